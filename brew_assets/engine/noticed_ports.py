"""The ports, so that whoever looks on hears of each call that takes long: what it waits for, and why.

The adapters know nothing of it but what they add by `try_failed`.
"""

from collections.abc import Iterable, Iterator
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

_T = TypeVar("_T")


class NoticedCatalogue:
    """A formulae API whose answer may take long."""

    def __init__(self, source: CatalogueSource) -> None:
        self._source = source
        self.url = source.url

    def fetch(self, *, etag: str = "") -> FetchedCatalogue | None:
        """As of the source."""
        with waiting_for(f"the formulae API {self.url}"):
            return self._source.fetch(etag=etag)


class NoticedHashFile:
    """A hash file that may take long to read."""

    def __init__(self, source: HashFileSource) -> None:
        self._source = source
        self.name = source.name

    def load(self) -> HashFile:
        """As of the source."""
        with waiting_for(f"the hash file {self.name}"):
            return self._source.load()


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

    def __init__(self, blobs: Blobs, indexes: Indexes) -> None:
        self._blobs = blobs
        self._indexes = indexes
        self.url = blobs.url

    def _waiting(self) -> Wait:
        return waiting_for(f"the registry {self.url}")

    def open(self, bottle: Bottle, *, offset: int = 0) -> BlobStream:
        """As of the blobs."""
        with self._waiting() as wait:
            stream = self._blobs.open(bottle, offset=offset)
        # Until the body is closed, by the same thread.
        return _NoticedStream(stream, wait.__enter__())

    def fetch_index(self, image: str, reference: str) -> bytes | None:
        """As of the indexes."""
        with self._waiting():
            return self._indexes.fetch_index(image, reference)

    def fetch_child(self, image: str, digest: str) -> bytes | None:
        """As of the indexes."""
        with self._waiting():
            return self._indexes.fetch_child(image, digest)

    def interrupt(self) -> None:
        """As of the blobs."""
        self._blobs.interrupt()

    def close(self) -> None:
        """As of the blobs."""
        self._blobs.close()


class _NoticedSink:
    """A bottle of which the store may take long to take a part."""

    def __init__(self, sink: BottleSink, what: str) -> None:
        self._sink = sink
        self._what = what

    def write(self, view: memoryview) -> None:
        with waiting_for(self._what):
            self._sink.write(view)

    def commit(self) -> None:
        with waiting_for(self._what):
            self._sink.commit()

    def abort(self) -> None:
        self._sink.abort()


class NoticedStore:
    """A store that may be slow, or not there."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.url = store.url
        self._what = f"the store {store.url}"

    def read(self, key: str) -> Document | None:
        """As of the store."""
        with waiting_for(self._what):
            return self._store.read(key)

    def write(self, key: str, data: bytes, *, create_only: bool = False, replaces: str | None = None) -> str:
        """As of the store."""
        with waiting_for(self._what):
            return self._store.write(key, data, create_only=create_only, replaces=replaces)

    def delete(self, keys: Iterable[str]) -> None:
        """As of the store."""
        with waiting_for(self._what):
            self._store.delete(keys)

    def listing(self, prefix: str) -> Iterator[ListedObject]:
        """As of the store."""
        return self._each(self._store.listing(prefix))

    def _each(self, listing: Iterator[_T]) -> Iterator[_T]:
        while True:
            with waiting_for(self._what):
                try:
                    found = next(listing)
                except StopIteration:
                    return
            yield found

    def date_folders(self) -> list[str]:
        """As of the store."""
        with waiting_for(self._what):
            return self._store.date_folders()

    def facts(self, key: str) -> ObjectFacts | None:
        """As of the store."""
        with waiting_for(self._what):
            return self._store.facts(key)

    def hash(self, key: str) -> ObjectFacts | None:
        """As of the store."""
        with waiting_for(self._what) as wait:
            # A large object is read for long; only a try that fails is a wait.
            wait.pauses()
            return self._store.hash(key)

    def peek(self, key: str, length: int) -> bytes:
        """As of the store."""
        with waiting_for(self._what):
            return self._store.peek(key, length)

    def receive(self, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> BottleSink:
        """As of the store."""
        with waiting_for(self._what):
            sink = self._store.receive(bottle, date=date, size=size, replace=replace)
        return _NoticedSink(sink, self._what)

    def duplicate(self, source: str, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> None:
        """As of the store."""
        with waiting_for(self._what):
            self._store.duplicate(source, bottle, date=date, size=size, replace=replace)

    def prepare(self) -> None:
        """As of the store."""
        with waiting_for(self._what):
            self._store.prepare()

    def interrupt(self) -> None:
        """As of the store."""
        self._store.interrupt()

    def close(self) -> None:
        """As of the store."""
        self._store.close()
