"""The manifest made anew from the store's objects, from a backup, or from another tool's file."""

import logging
from collections.abc import Callable

from brew_assets.domain.bottle import is_object_key
from brew_assets.domain.manifest import (
    BACKUP_PREFIX,
    BACKUPS_KEPT,
    MANIFEST_KEY,
    Manifest,
    Receipt,
    decode_manifest,
)
from brew_assets.engine.adoption import Adopted, Stray, adopt, entries_of, unrecorded
from brew_assets.engine.certify import certify
from brew_assets.engine.journal import journal_objects
from brew_assets.engine.ledger import FoldResult, backups, fold, replace_manifest
from brew_assets.engine.ports import Clock, Store
from brew_assets.errors import BackupInvalid, ManifestInvalid

_REBUILD = "Make the manifest from the stored bottles with `brew-mirror manifest rebuild`."


_MOST_NAMED = 20
_log = logging.getLogger(__name__)


def survey(
    store: Store,
    *,
    workers: int,
    patient: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Adopted:
    """Receipts for every proven bottle in all date folders; of two places of one bottle the newer."""
    objects = unrecorded(store, {}, store.date_folders())
    found = adopt(store, objects, workers=workers, patient=patient, progress=progress)
    entries = entries_of(found.receipts)
    receipts = [Receipt(key=key, entry=entry) for key, entry in entries.items()]
    return Adopted(receipts=receipts, strays=found.strays)


def rebuild_missing_manifest(store: Store, clock: Clock, *, workers: int, record: bool = True) -> Adopted:
    """What stands in the store, recorded in a first manifest unless `record` is false."""
    # Nobody waits here for one object: a sync goes on, and fetches again what it does not find.
    found = survey(store, workers=workers, patient=False)
    for stray in found.strays[:_MOST_NAMED]:
        _log.warning("not recorded", extra={"key": stray.key, "error": stray.why})
    if len(found.strays) > _MOST_NAMED:
        _log.warning("more objects are not recorded", extra={"objects": len(found.strays) - _MOST_NAMED})
    if record:
        fold(store, clock, extra=found.receipts)
    return found


def rebuild_manifest(
    store: Store, clock: Clock, *, workers: int, progress: Callable[[int, int], None] | None = None
) -> tuple[Manifest, list[Stray], str | None]:
    """The manifest made from the store's objects alone, what could not be recorded, the backup's key.

    Whatever stood in its place, valid or not, is backed up first.
    """
    found = survey(store, workers=workers, progress=progress)
    manifest = Manifest()
    for receipt in found.receipts:
        manifest.put(receipt.key, receipt.entry)
    backup = replace_manifest(store, clock, manifest)
    return manifest, found.strays, backup


def restore_manifest(store: Store, clock: Clock, *, backup: str | None = None) -> tuple[str, FoldResult]:
    """The backup's key (the newest valid one unless named), and the manifest after receipts were folded.

    Bottles stored after the backup are found again by the next sync's inventory, or by a rebuild.

    Raises:
        BackupInvalid: the one that is named is none, or there is no valid one.
    """
    problems = []
    for key in [backup] if backup is not None else backups(store):
        found = _read_backup(store, key)
        if isinstance(found, Manifest):
            replace_manifest(store, clock, found)
            return key, fold(store, clock)
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


def _read_backup(store: Store, key: str) -> Manifest | str:
    """The manifest that stands there, or what was found in its place."""
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
        ManifestInvalid: the document is no manifest; the message calls it `source`.
    """
    try:
        foreign = decode_manifest(data, sealed=b'"integrity"' in data[-256:])
    except ManifestInvalid as error:
        remedy = f"Nothing was imported; {MANIFEST_KEY} in the store is unchanged."
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
    """How many journal objects wait to be folded."""
    return sum(1 for _ in journal_objects(store))
