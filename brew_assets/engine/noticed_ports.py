"""The ports with what people need to know: what is waited for, and what to look at if nobody answers.

The adapters know nothing of it but what they add by `try_failed`. A `hint` names the settings that lead
there.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from brew_assets.domain.bottle import Bottle
from brew_assets.engine.ports import (
    Blobs,
    BlobStream,
    BottleSink,
    CatalogueSource,
    Document,
    FetchedCatalogue,
    HashFile,
    HashFileSource,
    Indexes,
    ListedObject,
    ObjectFacts,
    Store,
)
from brew_assets.engine.waiting import Wait, waiting_for
from brew_assets.errors import (
    CatalogueUnreachable,
    HashFileUnreachable,
    StoreUnavailable,
    UpstreamInterrupted,
)

_T = TypeVar("_T")


def _with(error: object, hint: str) -> str:
    """The error's text with the hint, unless the adapter has said what to check."""
    text = str(error)
    if not hint or "; check " in text:
        return text
    settings, _, way = hint.partition("; ")
    # How the server is reached, a connection that was not made may have said already.
    return f"{text}; {settings if not way or way in text else hint}"


class NoticedCatalogue:
    """A formulae API whose answer may take long."""

    def __init__(self, source: CatalogueSource, *, hint: str = "") -> None:
        self._source = source
        self._hint = hint
        self.url = source.url

    def fetch(self, *, etag: str = "") -> FetchedCatalogue | None:
        """As of the source."""
        try:
            with waiting_for(f"the formulae API {self.url}"):
                return self._source.fetch(etag=etag)
        except CatalogueUnreachable as error:
            # Without its cause, in whose text the address may stand as it is.
            raise CatalogueUnreachable(_with(error, self._hint)) from None


class NoticedHashFile:
    """A hash file that may take long to read."""

    def __init__(self, source: HashFileSource, *, hint: str = "") -> None:
        self._source = source
        self._hint = hint
        self.name = source.name

    def load(self) -> HashFile:
        """As of the source."""
        try:
            with waiting_for(f"the hash file {self.name}"):
                return self._source.load()
        except HashFileUnreachable as error:
            raise HashFileUnreachable(_with(error, self._hint)) from None


class _NoticedStream:
    """A body that may stand still."""

    def __init__(self, stream: BlobStream, wait: Wait) -> None:
        self._stream = stream
        self._wait = wait
        self.start = stream.start
        self.total = stream.total
        wait.pauses()

    def readinto(self, view: memoryview) -> int:
        self._wait.goes_on()
        try:
            return self._stream.readinto(view)
        finally:
            # What becomes of the bytes is no wait for the registry.
            self._wait.pauses()

    def close(self) -> None:
        self._wait.__exit__(None, None, None)
        self._stream.close()


class NoticedRegistry:
    """A registry that may be silent."""

    def __init__(self, blobs: Blobs, indexes: Indexes, *, hint: str = "") -> None:
        self._blobs = blobs
        self._indexes = indexes
        self._hint = hint
        self.url = blobs.url

    def open(self, bottle: Bottle, *, offset: int = 0) -> BlobStream:
        """As of the blobs."""
        with self._asking() as wait:
            stream = self._blobs.open(bottle, offset=offset)
        # Until the body is closed, by the same thread.
        return _NoticedStream(stream, wait.__enter__())

    def fetch_index(self, image: str, reference: str) -> bytes | None:
        """As of the indexes."""
        with self._asking():
            return self._indexes.fetch_index(image, reference)

    def fetch_child(self, image: str, digest: str) -> bytes | None:
        """As of the indexes."""
        with self._asking():
            return self._indexes.fetch_child(image, digest)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[Wait]:
        try:
            with waiting_for(f"the registry {self.url}") as wait:
                yield wait
        except UpstreamInterrupted as error:
            raise type(error)(_with(error, self._hint)) from error

    def interrupt(self) -> None:
        """As of the blobs."""
        self._blobs.interrupt()

    def close(self) -> None:
        """As of the blobs."""
        self._blobs.close()


class _NoticedSink:
    """A bottle of which the store may take long to take a part."""

    def __init__(self, sink: BottleSink, asking: "Callable[[], _Asking]") -> None:
        self._sink = sink
        self._asking = asking

    def write(self, view: memoryview) -> None:
        with self._asking():
            self._sink.write(view)

    def commit(self) -> None:
        with self._asking():
            self._sink.commit()

    def abort(self) -> None:
        self._sink.abort()


class _Asking:
    """A question to the store: a wait, and what to look at if it does not answer. Cheap: there are many."""

    __slots__ = ("_hint", "_wait")

    def __init__(self, what: str, hint: str) -> None:
        self._wait = waiting_for(what)
        self._hint = hint

    def __enter__(self) -> Wait:
        return self._wait.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wait.__exit__(kind, error, trace)
        # A status is an answer.
        if type(error) is StoreUnavailable and not error.status and self._hint:
            raise StoreUnavailable(_with(error, self._hint), code=error.code) from error


class NoticedStore:
    """A store that may be slow, or not there."""

    def __init__(self, store: Store, *, hint: str = "") -> None:
        self._store = store
        self._hint = hint
        self.url = store.url
        self._what = f"the store {store.url}"

    def _asking(self) -> _Asking:
        return _Asking(self._what, self._hint)

    def read(self, key: str) -> Document | None:
        """As of the store."""
        with self._asking():
            return self._store.read(key)

    def exists(self, key: str) -> bool:
        """As of the store."""
        with self._asking():
            return self._store.exists(key)

    def version(self, key: str) -> str | None:
        """As of the store."""
        with self._asking():
            return self._store.version(key)

    def write(self, key: str, data: bytes, *, create_only: bool = False, replaces: str | None = None) -> str:
        """As of the store."""
        with self._asking():
            return self._store.write(key, data, create_only=create_only, replaces=replaces)

    def delete(self, keys: Iterable[str]) -> None:
        """As of the store."""
        with self._asking():
            self._store.delete(keys)

    def listing(self, prefix: str) -> Iterator[ListedObject]:
        """As of the store."""
        with self._asking():
            found = self._store.listing(prefix)
        return self._each(found)

    def _each(self, listing: Iterator[_T]) -> Iterator[_T]:
        while True:
            with self._asking():
                try:
                    found = next(listing)
                except StopIteration:
                    return
            yield found

    def date_folders(self) -> list[str]:
        """As of the store."""
        with self._asking():
            return self._store.date_folders()

    def facts(self, key: str) -> ObjectFacts | None:
        """As of the store."""
        with self._asking():
            return self._store.facts(key)

    def hash(self, key: str) -> ObjectFacts | None:
        """As of the store."""
        with self._asking() as wait:
            # A large object is read for long; only a try that fails is a wait.
            wait.pauses()
            return self._store.hash(key)

    def peek(self, key: str, length: int) -> bytes:
        """As of the store."""
        with self._asking():
            return self._store.peek(key, length)

    def check_size(self, bottle: Bottle, size: int) -> None:
        """As of the store."""
        self._store.check_size(bottle, size)

    def receive(self, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> BottleSink:
        """As of the store."""
        with self._asking():
            sink = self._store.receive(bottle, date=date, size=size, replace=replace)
        return _NoticedSink(sink, self._asking)

    def duplicate(self, source: str, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> None:
        """As of the store."""
        with self._asking():
            self._store.duplicate(source, bottle, date=date, size=size, replace=replace)

    def prepare(self) -> None:
        """As of the store."""
        with self._asking():
            self._store.prepare()

    def interrupt(self) -> None:
        """As of the store."""
        self._store.interrupt()

    def close(self) -> None:
        """As of the store."""
        self._store.close()
