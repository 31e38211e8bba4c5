"""The ports with what people need to know: what is waited for, and what to look at if nobody answers.

The adapters know nothing of it but what they add by `try_failed`. A `hint` names the settings that lead
there.
"""

from collections.abc import Callable, Iterator
from typing import NoReturn, ParamSpec, TypeVar

from brew_assets.domain.bottle import Bottle
from brew_assets.engine.ports import (
    ApiSource,
    Blobs,
    BlobStream,
    BottleSink,
    CatalogueSource,
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
    MirrorError,
    StoreUnavailable,
    UpstreamInterrupted,
)

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _with(error: object, hint: str) -> str:
    """The error's text with the hint, unless the adapter has said what to check.

    Only the sentence depends on what it says already; the class and what is done about it stay.
    """
    text = str(error)
    if not hint or "; check " in text:
        return text
    settings, _, way = hint.partition("; ")
    # How the server is reached, a connection that was not made may have said already.
    return f"{text}; {settings if not way or way in text else hint}"


def _noticed(
    ask: Callable[_P, _T], *, what: str, error_type: type[MirrorError], hint: str
) -> Callable[_P, _T]:
    """The same question to `what`, which is waited for; an error of the type has the hint.

    It comes without its cause, in whose text an address may stand as it is.
    """

    def asked(*given: _P.args, **named: _P.kwargs) -> _T:
        try:
            with waiting_for(what):
                return ask(*given, **named)
        except error_type as error:
            raise type(error)(_with(error, hint)) from None

    return asked


class NoticedCatalogue:
    """A formulae API whose answer may take long."""

    def __init__(self, source: CatalogueSource, *, hint: str = "") -> None:
        self.url = source.url
        what = f"the formulae API {self.url}"
        self.fetch = _noticed(source.fetch, what=what, error_type=CatalogueUnreachable, hint=hint)


class NoticedApi:
    """Signed files of the formulae API, whose answers may take long."""

    def __init__(self, source: ApiSource, *, hint: str = "") -> None:
        self.url = source.url
        self.keys = source.keys
        what = f"the formulae API {self.url}"
        self.fetch = _noticed(source.fetch, what=what, error_type=CatalogueUnreachable, hint=hint)


class NoticedHashFile:
    """A hash file that may take long to read."""

    def __init__(self, source: HashFileSource, *, hint: str = "") -> None:
        self.name = source.name
        what = f"the hash file {self.name}"
        self.load = _noticed(source.load, what=what, error_type=HashFileUnreachable, hint=hint)


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
        self._hint = hint
        self.url = blobs.url
        self._what = f"the registry {blobs.url}"
        self.fetch_index = self._noticed(indexes.fetch_index)
        self.fetch_child = self._noticed(indexes.fetch_child)
        self.interrupt = blobs.interrupt
        self.close = blobs.close

    def open(self, bottle: Bottle, *, offset: int = 0) -> BlobStream:
        """As of the blobs."""
        wait = waiting_for(self._what).__enter__()
        try:
            # The wait lasts until the body is closed, by the same thread.
            return _NoticedStream(self._blobs.open(bottle, offset=offset), wait)
        except BaseException as error:
            wait.__exit__(None, None, None)
            if isinstance(error, UpstreamInterrupted):
                raise type(error)(_with(error, self._hint)) from error
            raise

    def _noticed(self, ask: Callable[_P, _T]) -> Callable[_P, _T]:
        def asked(*given: _P.args, **named: _P.kwargs) -> _T:
            try:
                with waiting_for(self._what):
                    return ask(*given, **named)
            except UpstreamInterrupted as error:
                raise type(error)(_with(error, self._hint)) from error

        return asked


class _NoticedSink:
    """A bottle of which the store may take long to take a part."""

    def __init__(self, sink: BottleSink, what: str, explain: Callable[[StoreUnavailable], NoReturn]) -> None:
        self._sink = sink
        self._what = what
        self._explain = explain
        self.abort = sink.abort

    def write(self, view: memoryview) -> None:
        try:
            with waiting_for(self._what):
                self._sink.write(view)
        except StoreUnavailable as error:
            self._explain(error)

    def commit(self) -> None:
        try:
            with waiting_for(self._what):
                self._sink.commit()
        except StoreUnavailable as error:
            self._explain(error)


class NoticedStore:
    """A store that may be slow, or not there."""

    def __init__(self, store: Store, *, hint: str = "") -> None:
        self._store = store
        self._hint = hint
        self.url = store.url
        self._what = f"the store {store.url}"
        self.read = self._noticed(store.read)
        self.write = self._noticed(store.write)
        self.delete = self._noticed(store.delete)
        self.date_folders = self._noticed(store.date_folders)
        self.facts = self._noticed(store.facts)
        self.exists = self._noticed(store.exists)
        self.version = self._noticed(store.version)
        self.peek = self._noticed(store.peek)
        self.duplicate = self._noticed(store.duplicate)
        self.prepare = self._noticed(store.prepare)
        self._list = self._noticed(store.listing)
        self._receive = self._noticed(store.receive)
        self.check_size = store.check_size
        self.interrupt = store.interrupt
        self.close = store.close

    def _noticed(self, ask: Callable[_P, _T]) -> Callable[_P, _T]:
        """The same question to the store: a wait, and with a hint when there is no answer."""

        def asked(*given: _P.args, **named: _P.kwargs) -> _T:
            try:
                with waiting_for(self._what):
                    return ask(*given, **named)
            except StoreUnavailable as error:
                self._explain(error)

        return asked

    def _explain(self, error: StoreUnavailable) -> NoReturn:
        # A status is an answer.
        if type(error) is not StoreUnavailable or error.status or not self._hint:
            raise error
        raise StoreUnavailable(_with(error, self._hint), code=error.code) from error

    def listing(self, prefix: str) -> Iterator[ListedObject]:
        """As of the store."""
        return self._each(self._list(prefix))

    def _each(self, listing: Iterator[ListedObject]) -> Iterator[ListedObject]:
        take = self._noticed(lambda: next(listing, None))
        while (listed := take()) is not None:
            yield listed

    def hash(self, key: str) -> ObjectFacts | None:
        """As of the store."""
        try:
            with waiting_for(self._what) as wait:
                # A large object is read for long; only a try that fails is a wait.
                wait.pauses()
                return self._store.hash(key)
        except StoreUnavailable as error:
            self._explain(error)

    def receive(self, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> BottleSink:
        """As of the store."""
        sink = self._receive(bottle, date=date, size=size, replace=replace)
        return _NoticedSink(sink, self._what, self._explain)
