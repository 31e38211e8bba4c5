"""What is held: receipts (the journal), the manifest (the snapshot), and folding one into the other.

Receipts are created, never changed. A fold writes the manifest with compare-and-swap and deletes the
receipts afterwards, so at every instant a stored bottle is named by a receipt, the manifest, or both.
"""

import contextlib
import logging
import random
import secrets
import weakref
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from brew_assets.domain.manifest import (
    BACKUP_PREFIX,
    BACKUPS_KEPT,
    MANIFEST_KEY,
    Entry,
    HeldEntry,
    Manifest,
    Receipt,
    decode_held,
    decode_manifest,
    decode_receipts,
    encode_receipts,
)
from brew_assets.engine.clock import GracefulStop
from brew_assets.engine.ports import Clock, Document, Store
from brew_assets.engine.stored_names import StoredNames
from brew_assets.errors import (
    KeyTaken,
    ManifestInvalid,
    ObjectRefused,
    PreconditionFailed,
    StoreError,
    StoreUnavailable,
)

RECEIPT_PREFIX = "state/receipts/"
# Every lost race means that another fold won; so many in a row mean that something else is wrong.
MAX_FOLD_RACES = 50
_FIRST_STAND_BACK_S = 0.02
_LONGEST_STAND_BACK_S = 1.0

_log = logging.getLogger(__name__)


class Held(msgspec.Struct, frozen=True):
    """What is held: entry key -> the fields that planning needs."""

    entries: dict[str, HeldEntry]
    manifest_missing: bool = False

    def places(self, digests: "set[str] | frozenset[str]") -> dict[str, HeldEntry]:
        """Digest -> one held object that has it, for the digests asked about."""
        return {entry.sha256: entry for entry in self.entries.values() if entry.sha256 in digests}


class FoldResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a fold did. `races` counts the times that another writer was faster."""

    entries: int
    added: int
    races: int
    manifest: Manifest


def read_held(store: Store) -> Held:
    """Manifest entries and receipts not yet folded.

    Receipts are read before the manifest, and all again when one vanished meanwhile: a fold in between
    then hides nothing.

    Raises:
        ManifestInvalid: the manifest or a receipt cannot be trusted.
        StoreError: the store cannot be read.
    """
    while True:
        journal: dict[str, HeldEntry] = {}
        vanished = False
        for _, batch in _journal(store, _journal_keys(store)):
            vanished = batch is None
            journal.update((receipt.key, _slim(receipt.entry)) for receipt in batch or ())
        if vanished:
            continue
        document = store.read(MANIFEST_KEY)
        entries = decode_held(document.data) if document else {}
        entries.update(journal)
        return Held(entries, document is None)


def read_journal(store: Store) -> list[Receipt]:
    """The receipts that nobody has folded yet, in the order of time.

    For readers of the whole record, who read the manifest afterwards: a fold in between then hides nothing.

    Raises:
        ManifestInvalid: a receipt cannot be trusted.
        StoreError: the store cannot be read, or receipts vanish each time they are read.
    """
    vanished = ""
    for _ in range(MAX_FOLD_RACES):
        receipts: list[Receipt] = []
        for key, batch in _journal(store, _journal_keys(store)):
            if batch is None:
                vanished = key
                break
            receipts += batch
        else:
            return receipts
    raise StoreError(
        f"{vanished}: expected a receipt, found nothing; {MAX_FOLD_RACES} readings in a row lacked one that "
        "was listed"
    )


def read_recorded(store: Store, sync_id: str) -> set[str]:
    """The entry keys of the sync's receipts that nobody has folded yet.

    Raises:
        ManifestInvalid: a receipt cannot be trusted.
        StoreError: the store cannot be read.
    """
    keys = [listed.key for listed in store.listing(f"{RECEIPT_PREFIX}{sync_id}/")]
    documents = ((key, store.read(key)) for key in keys)
    return {
        receipt.key
        for key, document in documents
        if document is not None
        for receipt in decode_receipts(document.data, key=key)
    }


def _slim(entry: Entry) -> HeldEntry:
    return HeldEntry(sha256=entry.sha256, file_size=entry.file_size, s3_key=entry.s3_key)


def _journal_keys(store: Store) -> list[str]:
    """The journal's keys in the order of time, so that of two receipts of one bottle the later counts.

    Sync ids begin with their time; the other names (an adoption's, a repair's) only tell of what was there
    before.
    """
    keys = [listed.key for listed in store.listing(RECEIPT_PREFIX)]
    return sorted(keys, key=lambda key: (_is_of_a_sync(key[len(RECEIPT_PREFIX) :]), key))


def _is_of_a_sync(name: str) -> bool:
    return name[:1].isdigit()


def _journal(store: Store, keys: Iterable[str]) -> Iterator[tuple[str, list[Receipt] | None]]:
    """The receipts of each journal object; a last None when one vanished: another fold took it.

    One object at a time: a journal of 50,000 receipts never is in memory as a whole. One that the store
    refuses to give out is left out: its bottles are found where they stand.
    """
    for key in keys:
        try:
            document = store.read(key)
        except ObjectRefused as error:
            _log.warning("receipts cannot be read", extra={"key": key, "error": str(error)})
            continue
        if document is None:
            yield key, None
            return
        yield key, decode_receipts(document.data, key=key)


class Journal:
    """Collects receipts of one run and writes them every `batch_size` bottles or `flush_s` seconds.

    A sync's journal says beside them which names the run put into the store itself.
    """

    def __init__(
        self, store: Store, clock: Clock, *, sync_id: str, batch_size: int = 50, flush_s: float = 5.0
    ) -> None:
        self._store = store
        self._clock = clock
        self._prefix = f"{RECEIPT_PREFIX}{sync_id}/"
        self._batch_size = batch_size
        self._flush_s = flush_s
        self._pending: list[Receipt] = []
        self._put_there = StoredNames(store, sync_id=sync_id) if _is_of_a_sync(sync_id) else None
        self._last = clock.monotonic()
        self.written = 0

    def add(self, receipts: Iterable[Receipt], *, put_there: Iterable[str] = ()) -> None:
        """Takes receipts; they are written at the latest by the next `tick` after `flush_s`.

        `put_there` are the entry keys of those bottles that did not stand there before.
        """
        self._pending.extend(receipts)
        if self._put_there is not None:
            self._put_there.add(put_there)
        self.tick()

    def tick(self) -> None:
        """Writes what is due."""
        if len(self._pending) >= self._batch_size or (
            self._pending and self._clock.monotonic() - self._last >= self._flush_s
        ):
            # What passes has passed by the next time; the last flush, at the end of the run, raises.
            with contextlib.suppress(StoreUnavailable):
                self.flush()

    def flush(self) -> None:
        """All receipts taken so far stand in the store.

        Raises:
            StoreError: they could not be written; they are kept for the next try.
        """
        self._last = self._clock.monotonic()
        # Before the receipts: what is recorded is found by the next try, and nobody would claim it any more.
        if self._put_there is not None:
            self._put_there.write()
        if self._pending:
            self._write_receipts()

    def _write_receipts(self) -> None:
        stamp = self._clock.now().strftime("%H%M%S%f")
        key = f"{self._prefix}{stamp}-{secrets.token_hex(4)}.json"
        # A key that is taken is our own: the answer to the first try was lost.
        with contextlib.suppress(KeyTaken):
            self._store.write(key, encode_receipts(self._pending), create_only=True)
        self.written += len(self._pending)
        self._pending = []


def fold(
    store: Store, clock: Clock, *, extra: Iterable[Receipt] = (), gone: Mapping[str, str] | None = None
) -> FoldResult:
    """All receipts are in the manifest, the old manifest is among the backups, the receipts are gone.

    `extra` are entries to record besides (a rebuild, an import), `gone` entries to forget: entry key -> the
    key of the object that it names. A manifest that nothing of this changes is left as it is, without a
    backup; a first one is written even when it is empty. A receipt that the store does not give out stays.

    Raises:
        ManifestInvalid: the manifest or a receipt cannot be trusted; nothing was changed.
        StoreError: the store cannot be read or written.
    """
    additional = list(extra)
    for races in range(MAX_FOLD_RACES):
        _stand_back(clock, races)
        # Listed before the manifest is read: what another fold takes meanwhile is seen to vanish.
        keys = _journal_keys(store)
        document = store.read(MANIFEST_KEY)
        manifest = decode_manifest(document.data) if document else Manifest()
        change = _Change(manifest)
        folded = change.take_journal(store, keys)
        if folded is None:
            continue
        change.take(additional)
        change.forget(gone or {})
        if change.is_one() or document is None:
            try:
                _replace_manifest(store, clock, document, manifest)
            except (PreconditionFailed, KeyTaken):
                continue
        _delete(store, folded)
        added = len(manifest) - change.entries_before
        _log.info(
            "folded",
            extra={"journals": len(folded), "entries": len(manifest), "added": added, "races": races},
        )
        return FoldResult(entries=len(manifest), added=added, races=races, manifest=manifest)
    raise StoreError(f"{MANIFEST_KEY}: lost {MAX_FOLD_RACES} races in a row against other writers")


class _Change:
    """What a fold does to a manifest. Receipts that could not be deleted say what it says already."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self.entries_before = len(manifest)
        self._before: dict[str, bytes | None] = {}

    def take_journal(self, store: Store, keys: Iterable[str]) -> list[str] | None:
        """The keys of what was taken of the journal; None when some of it vanished: another fold took it."""
        taken = []
        for key, receipts in _journal(store, keys):
            if receipts is None:
                return None
            taken.append(key)
            self.take(receipts)
        return taken

    def take(self, receipts: Iterable[Receipt]) -> None:
        """The entries of the receipts are in the manifest."""
        for receipt in receipts:
            self._before.setdefault(receipt.key, self._manifest.encoded(receipt.key))
            self._manifest.put(receipt.key, receipt.entry)

    def forget(self, gone: Mapping[str, str]) -> None:
        """The entries are not in the manifest."""
        for key, s3_key in gone.items():
            self._before.setdefault(key, self._manifest.encoded(key))
            self._manifest.forget(key, s3_key=s3_key)

    def is_one(self) -> bool:
        """Whether the manifest is another than before."""
        return any(self._manifest.encoded(key) != before for key, before in self._before.items())


# Stores in which a deletion was refused: that is said once.
_keeping: "weakref.WeakSet[Store]" = weakref.WeakSet()


def _delete(store: Store, keys: list[str]) -> None:
    """Nothing stands under the keys, as far as the store lets us delete; what stays does no harm."""
    try:
        store.delete(keys)
    except StoreError as error:
        if store in _keeping:
            return
        _keeping.add(store)
        _log.warning(
            "what is no longer needed cannot be deleted; it stays and grows. Allow deletions below "
            f"{RECEIPT_PREFIX} and {BACKUP_PREFIX} (s3:DeleteObject)",
            extra={"reason": error.reason, "error": str(error), "objects": len(keys)},
        )


def _stand_back(clock: Clock, races: int) -> None:
    """A random wait after a lost race, longer each time: a slow writer would lose to quick ones for ever."""
    if races:
        longest_s = min(_LONGEST_STAND_BACK_S, _FIRST_STAND_BACK_S * 2.0 ** (races - 1))
        # No stop shortens it: the fold is what a stop leaves time for, and all waits together are under 50 s.
        clock.wait(random.uniform(0.0, longest_s), GracefulStop())


def _replace_manifest(store: Store, clock: Clock, document: Document | None, manifest: Manifest) -> None:
    data = manifest.encode(last_updated=clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
    if document is None:
        store.write(MANIFEST_KEY, data, create_only=True)
        return
    back_up(store, clock, document.data)
    store.write(MANIFEST_KEY, data, replaces=document.version)
    prune_backups(store)


def back_up(store: Store, clock: Clock, data: bytes, *, suffix: str = "") -> str:
    """The key of the new backup that holds `data`."""
    while True:
        key = f"{BACKUP_PREFIX}{clock.now().strftime('%Y-%m-%dT%H%M%S.%fZ')}{suffix}.json"
        try:
            store.write(key, data, create_only=True)
        except KeyTaken:
            continue
        return key


def backups(store: Store) -> list[str]:
    """The keys of the backups, newest first."""
    return sorted((listed.key for listed in store.listing(BACKUP_PREFIX)), reverse=True)


def prune_backups(store: Store) -> None:
    """Only the newest BACKUPS_KEPT backups are left."""
    try:
        superfluous = backups(store)[BACKUPS_KEPT:]
    except StoreError:  # one backup too many harms nobody
        return
    if superfluous:
        _delete(store, superfluous)


def replace_manifest(store: Store, clock: Clock, manifest: Manifest) -> str | None:
    """The manifest stands in the place of whatever was there, valid or not; the key of its backup.

    For deliberate repairs (rebuild, restore, import) only; a sync folds.
    """
    for races in range(MAX_FOLD_RACES):
        _stand_back(clock, races)
        document = store.read(MANIFEST_KEY)
        data = manifest.encode(last_updated=clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
        try:
            if document is None:
                store.write(MANIFEST_KEY, data, create_only=True)
                return None
            backup = back_up(store, clock, document.data, suffix=_validity_suffix(document.data))
            store.write(MANIFEST_KEY, data, replaces=document.version)
        except (PreconditionFailed, KeyTaken):
            continue
        prune_backups(store)
        return backup
    raise StoreError(f"{MANIFEST_KEY}: lost {MAX_FOLD_RACES} races in a row against other writers")


def _validity_suffix(data: bytes) -> str:
    try:
        decode_manifest(data)
    except ManifestInvalid:
        return ".invalid"
    return ""
