"""The manifest made anew from the store's objects, from a backup, or from another tool's file."""

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping

from brew_assets.domain.manifest import BACKUPS_KEPT, Manifest, Receipt, bottle_of, decode_manifest
from brew_assets.domain.object_keys import BACKUP_PREFIX, MANIFEST_KEY, is_object_key
from brew_assets.engine.ports import Clock, Store
from brew_assets.engine.record.fold import FoldResult, backups, fold, replace_manifest
from brew_assets.engine.record.identify import Identified, Unidentified, entries_of, identify, unrecorded
from brew_assets.engine.record.journal import (
    check_journal,
    journal_objects,
    move_to_rejected,
    untrusted_receipts,
)
from brew_assets.engine.record.successor import Successor
from brew_assets.engine.record.verify import certify
from brew_assets.errors import (
    BackupInvalid,
    ManifestInvalid,
    ObjectRefused,
    StoreError,
    StoreUnavailable,
)

_REBUILD = "Make the manifest from the stored bottles with `brew-mirror manifest rebuild`."
_SHAPE = (
    'Expected is one JSON object with "sync_version", "last_updated", "total_bottles", "total_size_bytes", '
    '"platforms", "statistics" and, under "bottles", the entry of each bottle by its key; '
    "docs/external-hash-file.md shows one."
)
_MOST_NAMED = 20
_log = logging.getLogger(__name__)


def identify_all(
    store: Store,
    *,
    workers: int,
    patient: bool = True,
    record: Manifest | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Identified:
    """Receipts for every proven bottle in all date folders; of two places of one bottle the newer.

    The `record` says which bottles have stood where, as plans do.

    Raises:
        StoreUnavailable: the store did not answer for an object (`patient`).
        StoreError: the store itself cannot be read.
    """
    objects = unrecorded(store, {}, store.date_folders())
    known = {entry.s3_key: bottle_of(entry) for _, entry in record.entries()} if record is not None else {}
    found = identify(store, objects, workers=workers, patient=patient, known=known, progress=progress)
    entries = entries_of(found.receipts)
    receipts = [Receipt(key=key, entry=entry) for key, entry in entries.items()]
    return Identified(receipts=receipts, unidentified=found.unidentified)


def rebuild_missing_manifest(store: Store, clock: Clock, *, workers: int) -> Identified:
    """What stands in the store, recorded in a first manifest.

    Raises:
        ManifestInvalid: a receipt cannot be trusted; nothing was changed.
        StoreError: the store cannot be read or written.
    """
    # Nobody waits here for one object: a sync goes on, and fetches again what it does not find.
    found = identify_all(store, workers=workers, patient=False)
    for item in found.unidentified[:_MOST_NAMED]:
        _log.warning("not recorded", extra={"key": item.key, "error": item.why})
    if len(found.unidentified) > _MOST_NAMED:
        _log.warning(
            "more objects are not recorded", extra={"objects": len(found.unidentified) - _MOST_NAMED}
        )
    fold(store, clock, extra=found.receipts)
    return found


def rebuild_manifest(
    store: Store, clock: Clock, *, workers: int, progress: Callable[[int, int], None] | None = None
) -> tuple[Manifest, list[Unidentified], str | None]:
    """The manifest made from the store's objects, what could not be recorded, the backup's key.

    What stands in its place by then, whoever wrote it, is backed up first, and its entries stay as far as
    their objects are there; of a damaged one so that `verify --repair` knows what to fetch. Receipts that
    cannot be trusted are moved to state/rejected/ and are among what could not be recorded.

    Raises:
        StoreError: the store cannot be read or written.
    """
    # Both before the listing: whatever they name was stored before it, so the listing shows it. What a sync
    # stores afterwards is in receipts that are good, or in the manifest that `replace_manifest` compares
    # with. Bad receipts are moved last: until the new manifest names their bottles they stay where they stop
    # every fold, so that a rebuild that is killed loses none of them.
    untrusted = untrusted_receipts(store)
    record = _last_record(store)
    found = identify_all(store, workers=workers, record=record, progress=progress)
    base = Manifest()
    for receipt in found.receipts:
        base.put(receipt.key, receipt.entry)
    successor = Successor(store, base, workers=workers, otherwise=record)
    manifest, backup = replace_manifest(store, clock, successor.after)
    return manifest, [*_left(found.unidentified, successor, manifest), *_set_aside(store, untrusted)], backup


def _last_record(store: Store) -> Manifest | None:
    """The manifest, or the newest backup that is valid."""
    document = store.read(MANIFEST_KEY)
    if document is not None:
        with contextlib.suppress(ManifestInvalid):
            return decode_manifest(document.data)
    for key in backups(store)[:BACKUPS_KEPT]:
        with contextlib.suppress(ObjectRefused, StoreUnavailable):
            found = read_backup(store, key)
            if isinstance(found, Manifest):
                return found
    return None


def _left(
    unidentified: Iterable[Unidentified], successor: Successor, manifest: Manifest
) -> list[Unidentified]:
    """The unidentified objects, and what is damaged with its remedy, in the order of their keys."""
    left = {item.key: item for item in unidentified}
    for _, entry in manifest.entries():
        left.pop(entry.s3_key, None)
    for certificate in successor.damaged:
        key = certificate.entry.s3_key
        remedy = (
            "`brew-mirror verify --repair` fetches the bottle again"
            if certificate.verdict == "MISMATCH"
            else "once it can be read, `brew-mirror verify` says what it is"
        )
        left[key] = Unidentified(
            key=key, why=f"{certificate.finding}; its entry is kept, {remedy}", kept=True
        )
    return [left[key] for key in sorted(left)]


def _set_aside(store: Store, untrusted: Mapping[str, ManifestInvalid]) -> list[Unidentified]:
    """The receipts that cannot be trusted, moved to where they hinder nobody."""
    moved = []
    for key, error in untrusted.items():
        try:
            became = f"it is at {move_to_rejected(store, key)} now"
        except StoreError as refused:
            became = f"it cannot be moved away: {refused}"
        moved.append(Unidentified(key=key, why=f"{error.finding}; {became}"))
    return moved


class Restored(FoldResult, frozen=True, kw_only=True):
    """What a restore did.

    `kept` counts the entries that only the manifest before had and whose objects are there, `gone` are those
    whose objects are not. `compared` is false where that manifest could not be read.
    """

    compared: bool
    kept: int
    gone: tuple[str, ...]


def restore_manifest(
    store: Store, clock: Clock, *, backup: str | None = None, workers: int = 10
) -> tuple[str, Restored]:
    """The backup's key (the newest valid one unless named), and the manifest after receipts were folded.

    What a valid manifest names stays as far as its objects are there: a sync may just have stored them. Where
    none can be read, bottles stored after the backup are found again by the next sync's inventory, or by a
    rebuild.

    Raises:
        BackupInvalid: the one that is named is none, or there is no valid one.
        ManifestInvalid: a receipt cannot be trusted; nothing was changed.
        StoreError: the store cannot be read or written.
    """
    problems = []
    for key in [backup] if backup is not None else backups(store):
        found = read_backup(store, key)
        if isinstance(found, Manifest):
            check_journal(store)
            return key, _put_back(store, clock, found, workers=workers)
        problems.append(f"{key}: {found}")
    if backup is not None:
        raise BackupInvalid(
            f"{backup[:200]!r}: expected a backup of {MANIFEST_KEY}, found {found}. Nothing was changed. "
            f"{_say_backups(store)}"
        )
    raise BackupInvalid(
        f"expected a valid backup of {MANIFEST_KEY} in {store.url}, found {'; '.join(problems) or 'none'}. "
        f"Nothing was changed. {_REBUILD}"
    )


def _put_back(store: Store, clock: Clock, found: Manifest, *, workers: int) -> Restored:
    successor = Successor(store, found, workers=workers)
    replace_manifest(store, clock, successor.after)
    folded = fold(store, clock)
    return Restored(
        entries=folded.entries,
        added=folded.added,
        races=folded.races,
        manifest=folded.manifest,
        sha256=folded.sha256,
        compared=successor.compared,
        kept=successor.kept + len(successor.damaged),
        gone=tuple(key for key in successor.gone if key not in folded.manifest),
    )


def read_backup(store: Store, key: str) -> Manifest | str:
    """The manifest that stands there, or what was found in its place.

    Raises:
        StoreError: the store does not give it out.
    """
    # The manifest itself would be "restored" from itself.
    if not key.startswith(BACKUP_PREFIX):
        return f"a key outside {BACKUP_PREFIX}"
    document = store.read(key) if is_object_key(key) else None
    if document is None:
        return "nothing"
    try:
        return decode_manifest(document.data)
    except ManifestInvalid as error:
        return error.finding


def _say_backups(store: Store) -> str:
    keys = backups(store)[:BACKUPS_KEPT]
    if not keys:
        return f"There are no backups in {store.url}. {_REBUILD}"
    return "\n  ".join((f"Backups in {store.url}, the newest first:", *keys))


def import_manifest(
    store: Store,
    clock: Clock,
    data: bytes,
    *,
    workers: int,
    source: str = "the imported file",
    progress: Callable[[int], None] | None = None,
) -> tuple[FoldResult, list[str]]:
    """The manifest with those entries of a foreign one that this store proves; and what was left out.

    Raises:
        ManifestInvalid: the document is no manifest; the message calls it `source`. Or a receipt cannot be
            trusted.
        StoreError: the store cannot be read or written.
    """
    try:
        foreign = decode_manifest(data, sealed=b'"integrity"' in data[-256:])
    except ManifestInvalid as error:
        remedy = f"Nothing was imported; {MANIFEST_KEY} in the store is unchanged. {_SHAPE}"
        raise ManifestInvalid(error.finding, remedy=remedy, document=source) from error
    certificates = certify(store, foreign.entries(), workers=workers, progress=progress)
    proven = [Receipt(key=c.key, entry=c.entry) for c in certificates if c.verdict == "CURRENT"]
    left_out = [
        f"{c.entry.s3_key}: {c.verdict}{f' ({c.finding})' if c.finding else ''}"
        for c in certificates
        if c.verdict != "CURRENT"
    ]
    if not _has_valid_manifest(store):
        # An import is one of the remedies for a manifest that is missing or cannot be read; what stands in
        # the store besides the imported bottles must not be forgotten by it.
        rebuild_manifest(store, clock, workers=workers)
    return fold(store, clock, extra=proven), left_out


def _has_valid_manifest(store: Store) -> bool:
    document = store.read(MANIFEST_KEY)
    try:
        return document is not None and len(decode_manifest(document.data)) >= 0
    except ManifestInvalid:
        return False


def receipts_waiting(store: Store) -> int:
    """How many journal objects wait to be folded.

    Raises:
        StoreError: the store cannot be listed.
    """
    return sum(1 for _ in journal_objects(store))
