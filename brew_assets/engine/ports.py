"""What the engine asks of the outside; the adapters answer."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from brew_assets.domain.bottle import Bottle
from brew_assets.domain.signatures import PublicKey

# The manifest of 250,000 bottles has 112 MB; nothing else that is read as a whole comes near it.
MAX_DOCUMENT_BYTES = 1024**3


class Document(msgspec.Struct, frozen=True):
    """A small object and the version that a compare-and-swap names."""

    data: bytes
    version: str


class ListedObject(msgspec.Struct, frozen=True):
    """One line of a listing; `size` in bytes."""

    key: str
    size: int


class ObjectFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the store proves of one object.

    `digest` is the SHA-256 that the store itself vouches for, None when it does not; `metadata` are the
    names that were stored with a bottle, empty where the store keeps none.
    """

    key: str
    size: int
    digest: str | None
    metadata: Mapping[str, str] = {}


class StopSignal(Protocol):
    """Asks work to end. After `expired` even the bottles under way are given up."""

    def is_set(self) -> bool:
        """No new bottle starts."""

    def expired(self) -> bool:
        """The grace for bottles under way is over."""

    def wait(self, seconds: float) -> bool:
        """Waits so many seconds or until set; whether it is set."""


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> datetime:
        """The time of day, in UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def wait(self, seconds: float, stop: StopSignal | None = None) -> bool:
        """Waits so many seconds, or until the stop signal where there is one; whether it is set."""


class BlobStream(Protocol):
    """The body of one blob. `start` is the offset of its first byte.

    `total` is the size of the whole blob in bytes, None where upstream does not say.
    """

    start: int
    total: int | None

    def readinto(self, view: memoryview) -> int:
        """How many bytes were put into the view; 0 at the end.

        Raises:
            UpstreamInterrupted: the body broke off or timed out.
        """

    def close(self) -> None:
        """Gives the connection back, or drops it when the body was not read to its end."""


class Blobs(Protocol):
    """Where bottles come from; `url` is the registry's address as it may be shown."""

    url: str

    def open(self, bottle: Bottle, *, offset: int = 0) -> BlobStream:
        """The blob from `offset` on, or from 0 when upstream does not do ranges.

        Raises:
            UpstreamError: one of its classes, see errors.py.
        """

    def interrupt(self) -> None:
        """Bodies that any thread is waiting for break off at once: the grace is over."""

    def close(self) -> None:
        """Connections of the calling thread are closed."""


class Indexes(Protocol):
    """OCI indexes and child manifests, byte for byte; `url` is the registry's address as it may be shown."""

    url: str

    def fetch_index(self, image: str, reference: str) -> bytes | None:
        """The index, None when the registry has none.

        Raises:
            UpstreamError: one of its classes, see errors.py.
        """

    def fetch_child(self, image: str, digest: str) -> bytes | None:
        """The child manifest with this digest (checked), None when the registry has none.

        Raises:
            UpstreamError: one of its classes, see errors.py.
        """

    def interrupt(self) -> None:
        """Documents that any thread is waiting for break off at once: the work is stopped."""


class FetchedCatalogue(msgspec.Struct, frozen=True, kw_only=True):
    """A body of the formulae API, decoded from its transfer coding, and its validators."""

    data: bytes
    etag: str
    last_modified: str


class CatalogueSource(Protocol):
    """The formulae API."""

    url: str

    def fetch(self, *, etag: str = "") -> FetchedCatalogue | None:
        """The catalogue, None when it still is the one with this ETag.

        Raises:
            CatalogueUnavailable: no answer, or one that may pass.
            CatalogueRefused: another answer without a catalogue, or an address that is none.
        """


class ApiSource(Protocol):
    """The signed files of the formulae API; `url` is its base address as it may be shown."""

    url: str

    def keys(self) -> tuple[PublicKey, ...]:
        """The keys that may sign its files.

        Raises:
            SettingsInvalid: one of the files that API_PUBLIC_KEY names cannot be read, or is no key.
        """

    def fetch(self, tag: str, *, etag: str = "") -> FetchedCatalogue | None:
        """The tag's packages file as it came, None when it still is the one with this ETag.

        Raises:
            CatalogueUnavailable: no answer, or one that may pass.
            CatalogueRefused: another answer without a file, or an address that is none.
        """


class BottleSink(Protocol):
    """One bottle on its way into the store. Nothing is visible before `commit`."""

    def write(self, view: memoryview) -> None:
        """Passes the bytes on.

        Raises:
            StoreError: one of its classes, see errors.py.
        """

    def commit(self) -> None:
        """The object stands under its key, whole.

        Raises:
            KeyTaken: another object stands there.
            ChecksumRefused: the store found other bytes than the digest promised.
            StoreError: one of its classes, see errors.py.
        """

    def abort(self) -> None:
        """Nothing stands under the key; never raises."""


class Store(Protocol):
    """The object store: a directory or a bucket.

    Every method that asks it for something may raise a StoreError (one of its classes, see errors.py). `url`
    is its address as it may be shown; sizes are bytes.
    """

    url: str

    def read(self, key: str) -> Document | None:
        """The object, None when there is none."""

    def exists(self, key: str) -> bool:
        """Whether an object stands there; none of its bytes are asked for."""

    def version(self, key: str) -> str | None:
        """What a compare-and-swap names of the object as it stands, None when there is none.

        None of its bytes are asked for; empty where the store names no version without them.
        """

    def write(self, key: str, data: bytes, *, create_only: bool = False, replaces: str | None = None) -> str:
        """The new version. `replaces` names the version that must still stand there.

        Raises:
            KeyTaken: create_only, and there is an object.
            PreconditionFailed: another version stands there than `replaces`, or none.
        """

    def delete(self, keys: Iterable[str]) -> None:
        """There is no object under any of the keys."""

    def listing(self, prefix: str) -> Iterator[ListedObject]:
        """Every object whose key begins so, whole or an error; never a part."""

    def date_folders(self) -> list[str]:
        """The date folders (YYYY-MM-DD), newest first."""

    def facts(self, key: str) -> ObjectFacts | None:
        """What the store proves: one HEAD on S3, a hash of the file in a directory. None if missing."""

    def hash(self, key: str) -> ObjectFacts | None:
        """The same with the digest of the bytes read back. None if missing."""

    def peek(self, key: str, length: int) -> bytes:
        """The first `length` bytes of an object, fewer where it is shorter.

        Raises:
            StoreError: it is missing, or another class of errors.py.
        """

    def check_size(self, bottle: Bottle, size: int) -> None:
        """Returns for a bottle that the store can hold. Nothing is contacted.

        Raises:
            ObjectRefused: it is larger than any that the store takes.
        """

    def receive(self, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> BottleSink:
        """A sink for the bottle's `size` bytes. Create-only unless `replace`."""

    def duplicate(self, source: str, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> None:
        """The bottle stands under its own key too, made from the held object at `source`.

        Raises:
            KeyTaken: another object stands there.
            StoreError: the source is missing or is not the bottle, or another class of errors.py.
        """

    def prepare(self) -> None:
        """The store can be written to; leftovers of killed runs are gone.

        Raises:
            StoreError: it cannot be reached or written to.
        """

    def interrupt(self) -> None:
        """Bottles on their way from any thread break off at once: the grace is over."""

    def close(self) -> None:
        """Connections of the calling thread are closed."""


class HashFile(msgspec.Struct, frozen=True, kw_only=True):
    """An external hash file as it was found."""

    source: str
    data: bytes


class HashFileSource(Protocol):
    """Where an external hash file comes from."""

    name: str

    def load(self) -> HashFile:
        """The file, at most as large as allowed.

        Raises:
            HashFileInvalid: it cannot be had or is too large.
        """


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What has been waited for so long, and the reason and the next try where they are known."""

    what: str
    waited_s: float
    why: str = ""
    next_try_in_s: float | None = None

    def sentence(self) -> str:
        """The same in words."""
        # An error of the store begins with its place.
        place = self.what.rpartition(" ")[2].rstrip("/")
        why = f": {self.why.removeprefix(f'{place}: ')}" if self.why else ""
        then = f"; next try in {self.next_try_in_s:,.0f} s" if self.next_try_in_s is not None else ""
        return f"Waiting for {self.what}{why}{then or f' ({self.waited_s:,.0f} s)'}"


class NoticeListener(Protocol):
    """Hears what is waited for."""

    def __call__(self, notices: Sequence[Notice]) -> None:
        """Called at every look with all that has been waited for too long; with nothing when that is over."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a transfer is, and what it waits for; unknown sizes are left out of `bytes_total`."""

    bottles_done: int
    bottles_total: int
    bytes_done: int
    bytes_total: int
    failed: int
    current: str
    waits: tuple[Notice, ...] = ()


class ProgressListener(Protocol):
    """Hears how far a transfer is, from the thread that called it."""

    def __call__(self, progress: Progress) -> None:
        """Called after every bottle and at least every second."""


class Invoker(Protocol):
    """Starts workers elsewhere. Called by several threads at once."""

    def invoke(self, batch_key: str) -> None:
        """Returns when a worker has ended well with the batch at that key.

        Raises:
            InvocationThrottled: throttled; nothing was begun.
            InvocationFailed: the worker timed out, died or was not reached.
            InvocationRefused: it cannot be started, now or later.
        """

    def log(self, message: str) -> None:
        """Writes what became of a batch into the log of the run."""


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """The outside, as compose/ chose it: handed on whole to whatever plans, copies or records.

    Without `api` no signed files are asked for: nothing is published.
    """

    catalogue: CatalogueSource
    blobs: Blobs
    indexes: Indexes
    store: Store
    hash_files: tuple[HashFileSource, ...]
    clock: Clock
    stop: StopSignal
    api: ApiSource | None = None
