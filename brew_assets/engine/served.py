"""What is served: the current publication and the newest ones beside it, in memory.

Who asks is answered from here, never from a listing: what a sync has half written is not there. A snapshot
never changes; another takes its place, whole, when the pointer names another record.
"""

import gzip
import hashlib
import io
import logging
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, TypeVar, cast

import msgspec

from brew_assets.domain.publication import (
    POINTER_KEY,
    Pointer,
    Publication,
    PublishedApi,
    PublishedBottle,
    PublishedIndex,
    record_key,
)
from brew_assets.engine.ports import Clock, Store
from brew_assets.engine.published import newest_ids, read_pointer, read_record
from brew_assets.errors import MirrorError, PublicationInvalid, StoreError

_log = logging.getLogger(__name__)
# The highest takes half as long again, and saves less than a hundredth.
_LEVEL = 6
_Name = TypeVar("_Name")
_Item = TypeVar("_Item")


class ApiFile:
    """One API file in memory: as gzip that is made once, and until then as it came."""

    def __init__(self, published: PublishedApi, data: bytes) -> None:
        self.published = published
        self._plain: bytes | None = data
        self._packed: bytes | None = None
        self._packed_sha256 = ""
        self._lock = threading.Lock()

    def packed(self) -> tuple[bytes, str]:
        """The file as gzip, and the SHA-256 of that. The first call takes half a second for 15 MB."""
        with self._lock:
            if self._packed is None:
                assert self._plain is not None
                self._packed = gzip.compress(self._plain, _LEVEL, mtime=0)
                self._packed_sha256 = hashlib.sha256(self._packed).hexdigest()
                # A quarter of the memory: hardly anybody asks for it as it came.
                self._plain = None
            return self._packed, self._packed_sha256

    def open(self) -> BinaryIO:
        """The file as it came, to be read from anywhere on."""
        with self._lock:
            if self._plain is not None:
                return io.BytesIO(self._plain)
            assert self._packed is not None
            return cast(BinaryIO, gzip.GzipFile(fileobj=io.BytesIO(self._packed)))


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot. `records` are the current one and then the others, the newest first.

    `current_since` is what the pointer says; `changed_at` is the time from which on no client was given
    another API file by this process.
    """

    pointer: Pointer
    records: tuple[Publication, ...]
    current_since: datetime
    changed_at: datetime
    api: Mapping[str, ApiFile]
    blobs: Mapping[tuple[str, str], PublishedBottle]
    flat: Mapping[str, PublishedBottle]
    indexes: Mapping[tuple[str, str], PublishedIndex]

    @property
    def current(self) -> Publication:
        """The record that the pointer names."""
        return self.records[0]

    def first_keys(self) -> list[str]:
        """One object of each kind of the current record."""
        kinds: tuple[Iterable[PublishedApi | PublishedIndex | PublishedBottle], ...] = (
            self.current.api,
            self.current.indexes,
            self.current.bottles,
        )
        return [found.key for kind in kinds for found in list(kind)[:1]]


class ServedRecords:
    """Follows the pointer of a store. `look` and `fault_now` are called by one thread or several."""

    def __init__(self, store: Store, clock: Clock, *, most: int, reload_s: float, settle_s: int) -> None:
        """`most` are the newest records served; the pointer is read every `reload_s` seconds."""
        self.now: Served | None = None
        self.reload_s = reload_s
        self.settle_s = settle_s
        self._store = store
        self._clock = clock
        self._most = most
        self._version = ""
        self._fault = "no record has been loaded yet"
        # Id and version of the current record when it was last proven to be the one that the pointer names.
        self._proven: tuple[str, str] | None = None
        # Of which snapshot, until when that is believed, and what was found.
        self._probed: tuple[Served, float, str] | None = None
        self._looking = threading.Lock()
        self._probing = threading.Lock()

    def look(self) -> None:
        """The snapshot is that of the pointer as it stands, or the old one is kept and there is a fault."""
        with self._looking:
            try:
                self._follow()
                fault = ""
            except MirrorError as error:
                fault = str(error)
            except Exception as error:  # a mistake of ours: what is served is served on
                _log.exception("a publication could not be looked at")
                fault = f"{type(error).__name__}: {error}"
            if fault and fault != self._fault:
                _log.error("the publication cannot be loaded", extra={"error": fault})
            self._fault = fault

    def pack(self) -> None:
        """The API files that are served are packed: who asks for them waits no longer."""
        for file in self.now.api.values() if self.now is not None else ():
            file.packed()

    def fault_now(self) -> str:
        """Why nothing, or something old, is served, or why it cannot be read; "" when all is well.

        The first objects of the record are read for it, and the record itself once it is another than before,
        at most once in `reload_s` seconds.
        """
        served = self.now
        if self._fault or served is None:
            return self._fault
        with self._probing:
            now_s = self._clock.monotonic()
            if self._probed is None or self._probed[0] is not served or now_s >= self._probed[1]:
                self._probed = (served, now_s + self.reload_s, self._probe(served))
            return self._probed[2]

    def _probe(self, served: Served) -> str:
        try:
            self._prove_record(served)
        except (PublicationInvalid, StoreError) as error:
            return str(error)
        for key in served.first_keys():
            try:
                if not self._store.peek(key, 1):
                    return f"{key}: expected bytes, found none"
            except StoreError as error:
                return f"{key}: cannot be read: {error}"
        return ""

    def _prove_record(self, served: Served) -> None:
        """The record stands there as the pointer names it: whoever starts now can load it, too.

        Raises:
            PublicationInvalid, StoreError: it does not, or cannot be read.
        """
        version = self._store.version(served.current.key)
        if version is None or self._proven != (served.pointer.publication_id, version):
            self._proven_record(served.pointer)

    def _proven_record(self, pointer: Pointer) -> Publication:
        """The record as the pointer names it; the version that it has then is remembered."""
        # Asked for before it is read: what another writes in between is another version.
        version = self._store.version(record_key(pointer.publication_id))
        found = read_record(self._store, pointer.publication_id, sha256=pointer.sha256)
        self._proven = pointer.publication_id, version or ""
        return found

    def _follow(self) -> None:
        version = self._store.version(POINTER_KEY)
        if self.now is not None and version and version == self._version:
            return
        pointer = read_pointer(self._store).pointer
        if pointer is None:
            raise PublicationInvalid(
                f"{POINTER_KEY}: expected the pointer to a publication, found nothing; a sync makes it, or "
                "`brew-mirror publish`"
            )
        if self.now is None or pointer != self.now.pointer:
            self.now = self._load(pointer)
            _log.info("serves a publication", extra={"publication_id": pointer.publication_id})
        self._version = version or ""

    def _load(self, pointer: Pointer) -> Served:
        since = _time_of(pointer)
        shared = _Shared(self.now)
        current = self._proven_record(pointer)
        records = [shared.record(current)]
        for name in newest_ids(self._store, self._most):
            if name != pointer.publication_id and (found := self._other(name)) is not None:
                records.append(shared.record(found))
        api = self._api_files(records[0])
        if self.now is not None:
            # Before the change: nobody waits for it after it.
            for file in api.values():
                file.packed()
        changed_at = since
        if self.now is not None and (self._clock.now() - since).total_seconds() > self.settle_s:
            # Clients have been given the old one until now, longer than they are expected to have been.
            changed_at = self._clock.now()
        return Served(
            pointer=pointer,
            records=tuple(records),
            current_since=since,
            changed_at=changed_at,
            api=api,
            **_maps(records),
        )

    def _other(self, publication_id: str) -> Publication | None:
        """A record that is not current; None if it is gone or cannot be trusted, which the log says."""
        for record in self.now.records if self.now is not None else ():
            if record.publication_id == publication_id:
                return record
        try:
            return read_record(self._store, publication_id)
        except PublicationInvalid as error:
            _log.error("an earlier publication is not served", extra={"error": str(error)})
            return None

    def _api_files(self, record: Publication) -> dict[str, ApiFile]:
        served = {} if self.now is None else self.now.api
        found = {}
        for published in record.api:
            before = served.get(published.tag)
            if before is not None and before.published.sha256 == published.sha256:
                found[published.tag] = before
                continue
            document = self._store.read(published.key)
            actual = "nothing" if document is None else hashlib.sha256(document.data).hexdigest()
            if document is None or actual != published.sha256 or len(document.data) != published.size:
                raise PublicationInvalid(
                    f"{published.key}: expected the {published.size:,} bytes of the API file of "
                    f"{published.tag}, found {actual}; publish anew with `brew-mirror publish`"
                )
            found[published.tag] = ApiFile(published, document.data)
        return found


class _Shared:
    """Most of a record stands in the one before it, too: that is in memory once."""

    def __init__(self, served: Served | None) -> None:
        self._bottles = dict(served.flat) if served is not None else {}
        self._indexes = dict(served.indexes) if served is not None else {}

    def record(self, record: Publication) -> Publication:
        """The record without what nobody is served, made of what there is already."""
        bottles = tuple(_kept(self._bottles, bottle.filename, bottle) for bottle in record.bottles)
        indexes = tuple(
            _kept(self._indexes, (index.image, index.reference), index) for index in record.indexes
        )
        return msgspec.structs.replace(record, lacking=(), bottles=bottles, indexes=indexes)


def _kept(known: dict[_Name, _Item], name: _Name, item: _Item) -> _Item:
    found = known.setdefault(name, item)
    return found if found == item else item


def _maps(records: list[Publication]) -> dict[str, Any]:
    """What is asked for by which name; what the current record names goes before all others."""
    blobs: dict[tuple[str, str], PublishedBottle] = {}
    flat: dict[str, PublishedBottle] = {}
    indexes: dict[tuple[str, str], PublishedIndex] = {}
    for record in reversed(records):
        blobs.update(((bottle.image, bottle.digest), bottle) for bottle in record.bottles)
        flat.update((bottle.filename, bottle) for bottle in record.bottles)
        indexes.update(((index.image, index.reference), index) for index in record.indexes)
    return {"blobs": blobs, "flat": flat, "indexes": indexes}


def _time_of(pointer: Pointer) -> datetime:
    try:
        found = datetime.fromisoformat(pointer.current_since)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as exc:
        raise PublicationInvalid(
            f"{POINTER_KEY}: current_since: expected a time such as 2026-08-22T03:00:00Z, found "
            f"{pointer.current_since[:80]!r}"
        ) from exc
