"""What is held: receipts (the journal), the manifest (the snapshot), and folding one into the other.

Receipts are created, never changed. A fold writes the manifest with compare-and-swap and deletes the
receipts afterwards, so at every instant a stored bottle is named by a receipt, the manifest, or both.
"""

import hashlib
import itertools
import logging
import secrets
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from brew_assets.domain.manifest import (
    BACKUPS_KEPT,
    HeldEntry,
    Manifest,
    Receipt,
    decode_held,
    decode_manifest,
)
from brew_assets.domain.object_keys import BACKUP_PREFIX, MANIFEST_KEY, is_backup_name
from brew_assets.engine.ports import Clock, Document, Store
from brew_assets.engine.record.foreign_objects import own_listing
from brew_assets.engine.record.identify import Unidentified
from brew_assets.engine.record.journal import (
    RECEIPT_PREFIX,
    Absent,
    empty,
    journal_keys,
    read_objects,
    read_settled,
)
from brew_assets.engine.retry import Backoff
from brew_assets.errors import (
    KeyTaken,
    ManifestInvalid,
    ObjectRefused,
    PreconditionFailed,
    StoreError,
)

# Every lost race means that another fold won; so many in a row mean that something else is wrong.
MAX_FOLD_RACES = 50
_BLOCKED_AFTER = 3
_MOST_BACKUP_NAMES = 5
# After a lost race, longer each time: a slow writer would lose to quick ones for ever. Under 50 s in sum.
_STAND_BACK = Backoff(first_s=0.02, cap_s=1.0)

_log = logging.getLogger(__name__)


class Held(msgspec.Struct, frozen=True):
    """What is held: entry key -> the fields that planning needs."""

    entries: dict[str, HeldEntry]
    manifest_missing: bool = False


class FoldResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a fold did, and the manifest as it stands since.

    `races` counts the times that another writer was faster, `sha256` is of the manifest's bytes. `rebuilt`
    says that it was missing beside filled date folders; `unidentified` objects were not recorded then.
    """

    entries: int
    added: int
    races: int
    manifest: Manifest
    sha256: str
    rebuilt: bool = False
    unidentified: tuple[Unidentified, ...] = ()


# A run looks at the manifest again and again, and one of 250,000 entries has 112 MB.
_last_seen: "weakref.WeakKeyDictionary[Store, Document]" = weakref.WeakKeyDictionary()


def read_manifest(store: Store) -> Document | None:
    """The manifest as it stands, None when there is none.

    Its bytes are asked for only where another version stands there than was read or written here last. A
    compare-and-swap names that version too, so nothing is lost by a store that is wrong about it.

    Raises:
        StoreError: the store cannot be read.
    """
    seen = _last_seen.get(store)
    if seen is not None and seen.version and store.version(MANIFEST_KEY) == seen.version:
        return seen
    document = store.read(MANIFEST_KEY)
    if document is not None:
        _last_seen[store] = document
    return document


def read_held(store: Store) -> Held:
    """Manifest entries and receipts not yet folded.

    Receipts are read before the manifest, and all again when one vanished meanwhile: a fold in between
    then hides nothing.

    Raises:
        ManifestInvalid: the manifest or a receipt cannot be trusted.
        StoreError: the store cannot be read.
    """
    journal = dict(read_settled(store, lambda receipt: (receipt.key, HeldEntry.of(receipt.entry))))
    document = read_manifest(store)
    entries = decode_held(document.data) if document else {}
    entries.update(journal)
    return Held(entries, document is None)


def fold(
    store: Store, clock: Clock, *, extra: Iterable[Receipt] = (), gone: Mapping[str, str] | None = None
) -> FoldResult:
    """All receipts are in the manifest, the old manifest is among the backups, the receipts are gone.

    `extra` are entries to record besides (a rebuild, an import) where none of a newer date is recorded,
    `gone` entries to forget: entry key -> the key of the object that it names. A manifest that nothing of
    this changes is left as it is, without a backup; a first one is written even when it is empty. A receipt
    that the store does not give out stays.

    Raises:
        ManifestInvalid: the manifest or a receipt cannot be trusted; nothing was changed.
        StoreError: the store cannot be read or written.
    """
    additional, absent = list(extra), Absent()
    folded: list[str] = []
    added = 0

    # Listing, manifest, receipts, swap, deletion: in this order. Read before the listing, the manifest could
    # lack what a fold in between has taken out of the listing. Where nothing is due no swap would show that,
    # and bottles that are held would count as unrecorded. Only receipts that are in the manifest by then are
    # deleted: a fold that is killed before leaves them to the next one.
    def take_all() -> _Swap | None:
        nonlocal folded, added
        keys = journal_keys(store, absent)
        document = read_manifest(store)
        manifest = decode_manifest(document.data) if document else Manifest()
        change = _Change(manifest)
        folded, vanished = change.take_journal(store, keys)
        if vanished:
            absent.note(vanished)
            return None
        change.take_unless_newer(additional)
        change.forget(gone or {})
        added = len(manifest) - change.entries_before
        return _Swap(document, manifest, is_due=change.is_one() or document is None)

    swapped = _swap_manifest(store, clock, take_all)
    manifest, races = swapped.manifest, swapped.races
    if not _delete(store, folded) and gone:
        # They would bring back what has just been forgotten.
        empty(store, folded)
    # What says nothing is for who looks for a mistake.
    _log.log(
        logging.INFO if folded or added or races else logging.DEBUG,
        "folded",
        extra={"journals": len(folded), "entries": len(manifest), "added": added, "races": races},
    )
    data = swapped.document.data if swapped.document else b""
    return FoldResult(
        entries=len(manifest),
        added=added,
        races=races,
        manifest=manifest,
        sha256=hashlib.sha256(data).hexdigest(),
    )


class _Swap(NamedTuple):
    """The manifest that is to take the document's place if it is due; the backup's name gets the suffix."""

    document: Document | None
    manifest: Manifest
    is_due: bool
    suffix: str = ""


class _Swapped(NamedTuple):
    """The manifest and document that stand there now, the backup of what they replaced, the races lost."""

    manifest: Manifest
    document: Document | None
    backup: str | None
    races: int


def _swap_manifest(store: Store, clock: Clock, make: Callable[[], _Swap | None]) -> _Swapped:
    """The manifest as `make` makes it of the one that stands there, which is among the backups then.

    Compare-and-swap: `make` reads, and what it makes is written only over the very version that it read. It
    is asked again whenever another writer was faster, and where it gives None: what it read was changing.

    Raises:
        ObjectRefused: what stands under the manifest's name is none.
        StoreError: the store cannot be written, or others were always faster.
    """
    blocked = 0
    backup: str | None = None
    for races in range(MAX_FOLD_RACES):
        if races:
            # No stop shortens it: the fold is what a stop leaves time for.
            clock.wait(_STAND_BACK.wait_s(races))
        swap = make()
        if swap is None:
            continue
        # The backup comes first: after the swap nothing has the old bytes any more. A lost race leaves one
        # too many, which pruning takes away. Where only the answer to a swap was lost, it looks like a lost
        # race; the next `make` reads what was written and finds nothing due, so that nothing is written
        # twice.
        document = swap.document
        if swap.is_due:
            data = swap.manifest.encode(last_updated=clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
            try:
                if document is None:
                    document = Document(data, store.write(MANIFEST_KEY, data, create_only=True))
                else:
                    backup = back_up(store, clock, document.data, suffix=swap.suffix)
                    document = Document(data, store.write(MANIFEST_KEY, data, replaces=document.version))
            except (PreconditionFailed, KeyTaken) as error:
                # Nothing to read and nothing to create: no writer does that again and again.
                blocked += document is None and isinstance(error, KeyTaken)
                if blocked >= _BLOCKED_AFTER:
                    raise ObjectRefused(
                        f"{MANIFEST_KEY}: expected a file or nothing, found what is neither (a folder, a "
                        "link that leads nowhere). Move it away; the next sync makes the manifest anew"
                    ) from error
                continue
            _last_seen[store] = document
        if backup is not None:
            prune_backups(store)
        return _Swapped(swap.manifest, document, backup, races)
    raise StoreError(f"{MANIFEST_KEY}: lost {MAX_FOLD_RACES} races in a row against other writers")


class _Change:
    """What a fold does to a manifest. Receipts that could not be deleted say what it says already."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self.entries_before = len(manifest)
        self._before: dict[str, bytes | None] = {}

    def take_journal(self, store: Store, keys: Iterable[str]) -> tuple[list[str], list[str]]:
        """The keys of what was taken of the journal, and of what vanished: another fold took that."""
        taken: list[str] = []
        vanished: list[str] = []
        for key, receipts in read_objects(store, keys):
            (vanished if receipts is None else taken).append(key)
            self.take(receipts or ())
        return taken, vanished

    def take(self, receipts: Iterable[Receipt]) -> None:
        """The entries of the receipts are in the manifest."""
        for receipt in receipts:
            self._before.setdefault(receipt.key, self._manifest.encoded(receipt.key))
            self._manifest.put(receipt.key, receipt.entry)

    def take_unless_newer(self, receipts: Iterable[Receipt]) -> None:
        """The same, but for bottles that have a newer place: a sync has put them there meanwhile."""
        for receipt in receipts:
            known = self._manifest.get(receipt.key)
            if known is None or known.download_date <= receipt.entry.download_date:
                self.take([receipt])

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


def _delete(store: Store, keys: list[str]) -> bool:
    """Whether nothing stands under the keys any more; what the store lets nobody delete does no harm."""
    try:
        store.delete(keys)
    except StoreError as error:
        if store in _keeping:
            return False
        _keeping.add(store)
        _log.warning(
            "what is no longer needed cannot be deleted; it stays and grows. Allow deletions below "
            f"{RECEIPT_PREFIX} and {BACKUP_PREFIX} (s3:DeleteObject)",
            extra={"reason": error.reason, "error": str(error), "objects": len(keys)},
        )
        return False
    return True


def back_up(store: Store, clock: Clock, data: bytes, *, suffix: str = "") -> str:
    """The key of the new backup that holds `data`.

    Raises:
        StoreError: it could not be written.
    """
    token = ""
    for _ in range(_MOST_BACKUP_NAMES):
        key = f"{BACKUP_PREFIX}{clock.now().strftime('%Y-%m-%dT%H%M%S.%fZ')}{token}{suffix}.json"
        try:
            store.write(key, data, create_only=True)
        except KeyTaken:
            # This one's own, of which only the answer was lost; or one of the same microsecond.
            document = store.read(key)
            if document is None or document.data != data:
                token = f"-{secrets.token_hex(3)}"
                continue
        return key
    raise StoreError(f"{BACKUP_PREFIX}: expected a name for a backup, found {_MOST_BACKUP_NAMES} taken")


def backups(store: Store) -> list[str]:
    """The keys of the backups, newest first; what others keep beside them is none.

    Raises:
        StoreError: the store cannot be listed.
    """
    listed = own_listing(store, BACKUP_PREFIX, is_backup_name)
    return sorted((backup.key for backup in listed), reverse=True)


def prune_backups(store: Store) -> None:
    """Only the newest BACKUPS_KEPT backups are left, as far as the store lists and deletes them."""
    try:
        superfluous = backups(store)[BACKUPS_KEPT:]
    except StoreError:  # one backup too many harms nobody
        return
    if superfluous:
        _delete(store, superfluous)


def replace_manifest(
    store: Store, clock: Clock, successor_of: Callable[[Manifest | None], Manifest]
) -> tuple[Manifest, str | None]:
    """The manifest that stands there now, and the key of the backup of what it replaced.

    `successor_of` says what is to take the place of a manifest, None where none can be read; it is asked
    again whenever another writer was faster. For deliberate repairs (rebuild, restore) only; a sync folds.

    Raises:
        StoreError: the store cannot be read or written.
    """
    tries = itertools.count()

    def succeed() -> _Swap:
        document = store.read(MANIFEST_KEY)
        current = _valid_manifest(document)
        manifest = successor_of(current)
        # Written by the try before this one, of which only the answer was lost.
        is_there = next(tries) > 0 and current is not None and current.has_the_entries_of(manifest)
        return _Swap(document, manifest, not is_there, suffix="" if current is not None else ".invalid")

    swapped = _swap_manifest(store, clock, succeed)
    return swapped.manifest, swapped.backup


def _valid_manifest(document: Document | None) -> Manifest | None:
    try:
        return None if document is None else decode_manifest(document.data)
    except ManifestInvalid:
        return None
