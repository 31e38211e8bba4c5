"""The manifest made anew from the store's objects, from a backup, or from another tool's file."""

from collections.abc import Callable

from brew_assets.domain.manifest import MANIFEST_KEY, Manifest, Receipt, decode_manifest
from brew_assets.engine.adoption import Adopted, Stray, adopt, entries_of, unrecorded
from brew_assets.engine.certify import certify
from brew_assets.engine.ledger import (
    RECEIPT_PREFIX,
    FoldResult,
    backups,
    fold,
    replace_manifest,
)
from brew_assets.engine.ports import Clock, Store
from brew_assets.errors import ManifestInvalid


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
        ManifestInvalid: there is no valid backup.
    """
    candidates = [backup] if backup is not None else backups(store)
    problems = []
    for key in candidates:
        document = store.read(key)
        if document is None:
            problems.append(f"{key} is missing")
            continue
        try:
            manifest = decode_manifest(document.data)
        except ManifestInvalid as error:
            problems.append(f"{key}: {error.finding}")
            continue
        replace_manifest(store, clock, manifest)
        return key, fold(store, clock)
    raise ManifestInvalid(
        f"no valid backup was found ({'; '.join(problems) or 'there is none'})",
        remedy="Rebuild it from the stored bottles with `brew-mirror manifest rebuild`.",
    )


def import_manifest(
    store: Store,
    clock: Clock,
    data: bytes,
    *,
    workers: int,
    progress: Callable[[int], None] | None = None,
) -> tuple[FoldResult, list[str]]:
    """The manifest with those entries of a foreign one that this store proves; and what was left out.

    Raises:
        ManifestInvalid: the document is not of the specification's shape.
    """
    try:
        foreign = decode_manifest(data, sealed=b'"integrity"' in data[-256:])
    except ManifestInvalid as error:
        raise ManifestInvalid(
            f"the imported file: {error.finding}", remedy=f"{MANIFEST_KEY} in the store is unchanged."
        ) from error
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
    return sum(1 for _ in store.listing(RECEIPT_PREFIX))
