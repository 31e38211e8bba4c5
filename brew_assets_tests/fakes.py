"""The engine's ports without an outside: a clock that advances when it is waited on, a store in memory,
an upstream that plays a script."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from brew_assets.domain.bottle import Bottle
from brew_assets.domain.object_keys import parse_key
from brew_assets.engine.clock import SystemClock
from brew_assets.engine.ports import (
    BottleSink,
    Document,
    FetchedCatalogue,
    ListedObject,
    ObjectFacts,
    Ports,
    StopSignal,
    Store,
)
from brew_assets.errors import (
    BlobNotFound,
    ChecksumRefused,
    KeyTaken,
    MirrorError,
    PreconditionFailed,
    StoreError,
    UpstreamInterrupted,
)
from brew_assets_tests.worlds import digest_of

START = datetime(2026, 8, 22, 3, tzinfo=UTC)


class FakeStop:
    """A stop signal that a test sets; `expire` ends the grace too."""

    def __init__(self) -> None:
        self._set = False
        self._expired = False

    def set(self) -> None:
        self._set = True

    def expire(self) -> None:
        self._set = self._expired = True

    def is_set(self) -> bool:
        return self._set

    def expired(self) -> bool:
        return self._expired

    def wait(self, seconds: float) -> bool:
        return self._set


class FakeClock:
    """Time that passes only when somebody waits, and by a microsecond whenever the hour is asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._elapsed_s = 0.0
        self.waits: list[float] = []

    def now(self) -> datetime:
        with self._lock:
            self._elapsed_s += 1e-6
            return START + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        return self._elapsed_s

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._elapsed_s += seconds

    def wait(self, seconds: float, stop: StopSignal | None = None) -> bool:
        if stop is not None and stop.is_set():
            return True
        self.advance(seconds)
        with self._lock:
            self.waits.append(seconds)
        return stop is not None and stop.is_set()


class ImpatientClock(SystemClock):
    """The machine's clock for somebody whose waits are over at once."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def wait(self, seconds: float, stop: StopSignal | None = None) -> bool:
        self.waits.append(seconds)
        return stop is not None and stop.is_set()


class MovableClock(SystemClock):
    """The machine's clock, as far ahead of it as a test has moved it."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)

    def move_to(self, moment: datetime) -> None:
        self._ahead = moment - super().now()


@dataclass
class _Object:
    data: bytes
    version: str
    metadata: dict[str, str] = field(default_factory=dict)


class MemoryStore:
    """A store that keeps every promise of engine.ports.Store in a dict.

    `fail` makes the next calls of an operation raise; `before` runs a function before an operation, once.
    """

    url = "memory:"

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._objects: dict[str, _Object] = {}
        self._versions = 0
        self._failures: dict[str, list[MirrorError]] = {}
        self._before: dict[str, list[Callable[[], None]]] = {}
        self._refusals: list[tuple[str, Callable[[str], bool], MirrorError]] = []
        self.calls: list[tuple[str, str]] = []
        self.closed_by: set[int] = set()
        self.sinks: list[MemorySink] = []  # every sink that was opened

    def interrupt(self) -> None:
        """Nothing waits for anybody here."""

    def fail(self, operation: str, *errors: MirrorError) -> None:
        """The next calls of the operation raise these, one after the other."""
        self._failures.setdefault(operation, []).extend(errors)

    def refuse(self, operation: str, error: MirrorError, *, key: str = "") -> None:
        """Every call of the operation for a key that ends so raises this."""
        self._refusals.append((operation, lambda found: found.endswith(key), error))

    def refuse_below(self, operation: str, error: MirrorError, prefix: str) -> None:
        """Every call of the operation for a key that begins so raises this."""
        self._refusals.append((operation, lambda found: found.startswith(prefix), error))

    def allow_all(self) -> None:
        """Nothing is refused any more."""
        self._refusals.clear()

    def before(self, operation: str, act: Callable[[], None]) -> None:
        """Runs before the next call of the operation."""
        self._before.setdefault(operation, []).append(act)

    def called(self, operation: str) -> list[str]:
        """The keys of the operation's calls so far."""
        return [key for name, key in self.calls if name == operation]

    def keys(self, prefix: str = "") -> list[str]:
        with self._lock:
            return sorted(key for key in self._objects if key.startswith(prefix))

    def bottle_keys(self) -> list[str]:
        return [key for key in self.keys() if parse_key(key)]

    def data(self, key: str) -> bytes:
        return self._objects[key].data

    def put(self, key: str, data: bytes, **metadata: str) -> None:
        """As an operator would, past all conditions."""
        with self._lock:
            self._objects[key] = _Object(data, self._next_version(), metadata)

    def put_bottle(self, bottle: Bottle, data: bytes, *, date: str) -> None:
        """The bottle as a sync of that date stores it."""
        self.put(bottle.key(date), data, **_metadata(bottle, date))

    def enter(self, operation: str, key: str) -> None:
        """Records a call and plays what was scripted for it."""
        with self._lock:
            self.calls.append((operation, key))
            acts, self._before[operation] = self._before.get(operation, []), []
            waiting = self._failures.get(operation)
            error = waiting.pop(0) if waiting else None
            for refused, concerns, refusal in self._refusals:
                if refused == operation and concerns(key):
                    error = error or refusal
        for act in acts:
            act()
        if error is not None:
            raise error

    def _next_version(self) -> str:
        self._versions += 1
        return f"v{self._versions}"

    def read(self, key: str) -> Document | None:
        _check_key(key)
        self.enter("read", key)
        with self._lock:
            found = self._objects.get(key)
            return Document(found.data, found.version) if found else None

    def exists(self, key: str) -> bool:
        _check_key(key)
        self.enter("exists", key)
        return self._version(key) is not None

    def version(self, key: str) -> str | None:
        _check_key(key)
        self.enter("version", key)
        return self._version(key)

    def _version(self, key: str) -> str | None:
        with self._lock:
            found = self._objects.get(key)
            return found.version if found else None

    def write(self, key: str, data: bytes, *, create_only: bool = False, replaces: str | None = None) -> str:
        _check_key(key)
        self.enter("write", key)
        return self.place(key, data, {}, create_only=create_only, replaces=replaces)

    def place(
        self,
        key: str,
        data: bytes,
        metadata: dict[str, str],
        *,
        create_only: bool,
        replaces: str | None = None,
    ) -> str:
        with self._lock:
            current = self._objects.get(key)
            if create_only and current is not None:
                raise KeyTaken(key)
            if replaces is not None and (current is None or current.version != replaces):
                raise PreconditionFailed(key)
            version = self._next_version()
            self._objects[key] = _Object(bytes(data), version, metadata)
            return version

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            _check_key(key)
            self.enter("delete", key)
            with self._lock:
                self._objects.pop(key, None)

    def listing(self, prefix: str) -> Iterator[ListedObject]:
        self.enter("listing", prefix)
        with self._lock:
            found = [ListedObject(key, len(self._objects[key].data)) for key in self.keys(prefix)]
        return iter(found)

    def date_folders(self) -> list[str]:
        self.enter("date_folders", "")
        return sorted({place[0] for key in self.keys() if (place := parse_key(key))}, reverse=True)

    def facts(self, key: str) -> ObjectFacts | None:
        _check_key(key)
        self.enter("facts", key)
        return self._facts(key)

    def hash(self, key: str) -> ObjectFacts | None:
        _check_key(key)
        self.enter("hash", key)
        return self._facts(key)

    def _facts(self, key: str) -> ObjectFacts | None:
        with self._lock:
            found = self._objects.get(key)
            if found is None:
                return None
            return ObjectFacts(
                key=key, size=len(found.data), digest=digest_of(found.data), metadata=dict(found.metadata)
            )

    def peek(self, key: str, length: int) -> bytes:
        self.enter("peek", key)
        with self._lock:
            found = self._objects.get(key)
            if found is None:
                raise StoreError(f"{key}: expected an object, found none")
            return found.data[:length]

    def check_size(self, bottle: Bottle, size: int) -> None:
        """Returns: memory takes any size."""

    def receive(self, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> BottleSink:
        self.enter("receive", bottle.key(date))
        return MemorySink(self, bottle, date=date, size=size, replace=replace)

    def duplicate(self, source: str, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> None:
        self.enter("duplicate", bottle.key(date))
        with self._lock:
            found = self._facts(source)
            if found is None or found.digest != bottle.digest or found.size != size:
                raise StoreError(f"{source}: expected the bytes of {bottle.filename}, found {found}")
            data = self._objects[source].data
            self.place(bottle.key(date), data, _metadata(bottle, date), create_only=not replace)
        self.enter("answer to a copy", bottle.key(date))

    def prepare(self) -> None:
        self.enter("prepare", "")

    def close(self) -> None:
        self.closed_by.add(threading.get_ident())


class RefusingStore:
    """Another store, one of whose objects cannot be read."""

    def __init__(self, store: Store, key: str, error: StoreError) -> None:
        self._store = store
        self._key = key
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def _check(self, key: str) -> None:
        if key == self._key:
            raise self._error

    def read(self, key: str) -> Document | None:
        self._check(key)
        return self._store.read(key)

    def facts(self, key: str) -> ObjectFacts | None:
        self._check(key)
        return self._store.facts(key)

    def hash(self, key: str) -> ObjectFacts | None:
        self._check(key)
        return self._store.hash(key)

    def peek(self, key: str, length: int) -> bytes:
        self._check(key)
        return self._store.peek(key, length)


class MemorySink:
    """Bytes on their way into a MemoryStore; `seen` are all that were passed on, committed or not."""

    def __init__(self, store: MemoryStore, bottle: Bottle, *, date: str, size: int, replace: bool) -> None:
        self._store = store
        self._bottle = bottle
        self._date = date
        self._size = size
        self._replace = replace
        self.seen = bytearray()
        store.sinks.append(self)

    def write(self, view: memoryview) -> None:
        self._store.enter("sink.write", self._bottle.key(self._date))
        self.seen += view

    def commit(self) -> None:
        key = self._bottle.key(self._date)
        self._store.enter("commit", key)
        if len(self.seen) != self._size:
            raise StoreError(f"{key}: expected {self._size} bytes, found {len(self.seen)}")
        if digest_of(bytes(self.seen)) != self._bottle.digest:
            raise ChecksumRefused(f"{key}: other bytes than announced")
        metadata = _metadata(self._bottle, self._date)
        self._store.place(key, bytes(self.seen), metadata, create_only=not self._replace)
        self._store.enter("answer", key)

    def abort(self) -> None:
        self._store.calls.append(("abort", self._bottle.key(self._date)))


def _metadata(bottle: Bottle, date: str) -> dict[str, str]:
    return {
        "formula-name": bottle.formula,
        "formula-version": bottle.pkg_version,
        "platform": bottle.tag,
        "download-date": date,
        "sha256": bottle.digest,
        "sync-version": "1.0.0",
    }


def _check_key(key: str) -> None:
    if any(part in ("", ".", "..") for part in key.split("/")):
        raise StoreError(f"expected a relative key, found {key!r}")


@dataclass(frozen=True, kw_only=True)
class Act:
    """What upstream does when a bottle is asked for once. Nothing given: it serves the bottle."""

    error: BaseException | None = None
    breaks_after: int | None = None
    flips: int | None = None
    cuts_at: int | None = None
    ignores_range: bool = False
    starts_at: int | None = None
    hides_size: bool = False
    announces: int | None = None
    on_open: Callable[[], None] | None = None
    on_read: Callable[[], None] | None = None


class ScriptedBlobs:
    """An upstream that serves what was published, after playing what was scripted per file name."""

    url = "https://registry.example"

    def __init__(self, *, piece_bytes: int = 64 * 1024) -> None:
        self._lock = threading.Lock()
        self._contents: dict[str, bytes] = {}
        self._script: dict[str, list[Act]] = {}
        self._for_ever: dict[str, Act] = {}
        self._piece_bytes = piece_bytes
        self.opened: list[tuple[str, int]] = []

    def publish(self, *contents: bytes) -> None:
        for content in contents:
            self._contents[digest_of(content)] = content

    def forget_everything(self) -> None:
        """It answers 404 for whatever is asked."""
        self._contents.clear()

    def content(self, bottle: Bottle) -> bytes:
        """The bottle's bytes."""
        return self._contents[bottle.digest]

    def script(self, bottle: Bottle, *acts: Act) -> None:
        """These play for the bottle's next requests."""
        self._script.setdefault(bottle.filename, []).extend(acts)

    def interrupt(self) -> None:
        """Nothing waits for anybody here."""

    def close(self) -> None:
        """Nothing to close."""

    def always(self, bottle: Bottle, act: Act) -> None:
        """This plays whenever the script has ended."""
        self._for_ever[bottle.filename] = act

    def offsets(self, bottle: Bottle) -> list[int]:
        """From which offsets the bottle was asked for."""
        return [offset for name, offset in self.opened if name == bottle.filename]

    def open(self, bottle: Bottle, *, offset: int = 0) -> "ScriptedStream":
        with self._lock:
            self.opened.append((bottle.filename, offset))
            waiting = self._script.get(bottle.filename)
            act = waiting.pop(0) if waiting else self._for_ever.get(bottle.filename, Act())
        if act.on_open is not None:
            act.on_open()
        if act.error is not None:
            raise act.error
        content = self._contents.get(bottle.digest)
        if content is None:
            raise BlobNotFound(f"{bottle.filename}: 404 from upstream")
        return ScriptedStream(content, act, offset, self._piece_bytes)


class ScriptedStream:
    """One body, spoilt as its act says."""

    def __init__(self, content: bytes, act: Act, offset: int, piece_bytes: int) -> None:
        if act.flips is not None:
            spoilt = bytearray(content)
            spoilt[act.flips] ^= 0xFF
            content = bytes(spoilt)
        if act.cuts_at is not None:
            content = content[: act.cuts_at]
        self.start = 0 if act.ignores_range else offset
        if act.starts_at is not None:
            self.start = act.starts_at
        announced = len(content) if act.announces is None else act.announces
        self.total = None if act.hides_size else announced
        self._body = content[self.start :]
        self._act = act
        self._piece_bytes = piece_bytes
        self._given = 0
        self.closed = False

    def readinto(self, view: memoryview) -> int:
        if self._act.on_read is not None:
            self._act.on_read()
        room = min(len(view), self._piece_bytes)
        if self._act.breaks_after is not None:
            room = min(room, self._act.breaks_after - self._given)
            if room <= 0:
                raise UpstreamInterrupted("the body broke off")
        piece = self._body[self._given : self._given + room]
        view[: len(piece)] = piece
        self._given += len(piece)
        return len(piece)

    def close(self) -> None:
        self.closed = True


class FakeCatalogueSource:
    """A formulae API that serves `body` under the ETag of its bytes."""

    url = "https://formulae.example/api/formula.json"

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.asked: list[str] = []

    def fetch(self, *, etag: str = "") -> FetchedCatalogue | None:
        self.asked.append(etag)
        current = f'"{digest_of(self.body)[:16]}"'
        if etag == current:
            return None
        return FetchedCatalogue(data=self.body, etag=current, last_modified="")


class FakeIndexes:
    """A registry's documents: what was put in is there, everything else is not."""

    url = "https://registry.example"

    def __init__(self) -> None:
        self.indexes: dict[tuple[str, str], bytes] = {}
        self.children: dict[tuple[str, str], bytes] = {}
        self.asked: list[tuple[str, str]] = []

    def fetch_index(self, image: str, reference: str) -> bytes | None:
        self.asked.append((image, reference))
        return self.indexes.get((image, reference))

    def fetch_child(self, image: str, digest: str) -> bytes | None:
        self.asked.append((image, digest))
        return self.children.get((image, digest))

    def interrupt(self) -> None:
        """Nothing waits for anybody here."""


def fake_ports(**own: Any) -> Ports:
    """Ports of which all are fakes, but for those that a test brings itself."""
    ports: dict[str, Any] = {
        "catalogue": FakeCatalogueSource(b"[]"),
        "blobs": ScriptedBlobs(),
        "indexes": FakeIndexes(),
        "store": MemoryStore(),
        "hash_files": (),
        "clock": FakeClock(),
        "stop": FakeStop(),
    }
    return Ports(**ports | own)
