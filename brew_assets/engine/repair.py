"""Repair: what the manifest names and the store lacks or holds wrongly is fetched again, to its own place."""

from collections.abc import Callable, Iterable

import msgspec

from brew_assets.domain.downloads import CopyJob, group_fetches
from brew_assets.domain.manifest import Entry, bottle_of
from brew_assets.domain.plan import PlannedBottle
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.index_completion import Completion, IndexCompletion
from brew_assets.engine.ports import ProgressListener
from brew_assets.engine.record.verify import Certificate, Verdict
from brew_assets.engine.sync import Mirror
from brew_assets.engine.transfer.local_copier import Copier, LocalCopier
from brew_assets.engine.transfer.verdicts import all_lead_elsewhere
from brew_assets.errors import HostRefused

# What a repair fetches again.
MENDED: tuple[Verdict, ...] = ("MISSING", "MISMATCH")


def repair(
    mirror: Mirror,
    certificates: Iterable[Certificate],
    *,
    copier: Copier | None = None,
    progress: ProgressListener | None = None,
) -> TransferResult:
    """What was done about the MISSING and MISMATCH certificates; each goes back under its old key.

    Bytes that another CURRENT entry has are copied inside the store. The manifest keeps its entries. What is
    UNREADABLE (archived, refused) may be whole and is not overwritten.

    Raises:
        ManifestInvalid: the manifest or a receipt cannot be trusted.
        StoreError: receipts could not be written, or the store did not answer.
    """
    everything = list(certificates)
    places = {c.entry.sha256: c.entry.s3_key for c in everything if c.verdict == "CURRENT"}
    by_date: dict[str, list[PlannedBottle]] = {}
    for certificate in everything:
        if certificate.verdict in MENDED:
            planned = _planned(certificate.entry, places.get(certificate.entry.sha256))
            by_date.setdefault(certificate.entry.download_date, []).append(planned)
    copier = copier or LocalCopier(mirror.ports, mirror.options)
    result = TransferResult()
    for date, objects in sorted(by_date.items()):
        if result.aborted:
            result.leave(objects)
            continue
        job = CopyJob(sync_id="repair", sync_date=date, fetches=group_fetches(objects), force=True)
        result.add(copier.copy(job, progress=progress))
    manifest = mirror.fold().manifest
    if not result.aborted:
        result.abort(all_lead_elsewhere(result, mirror.ports, manifest), HostRefused.reason)
    return result


def repair_indexes(
    mirror: Mirror,
    certificates: Iterable[Certificate],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Completion:
    """What became of the indexes of all bottles that were looked at: each kept one was read.

    Raises:
        StoreError: the store did not answer.
    """
    bottles = [bottle_of(certificate.entry) for certificate in certificates]
    return IndexCompletion(mirror.ports, mirror.options).complete(bottles, fresh=True, progress=progress)


def _planned(entry: Entry, source: str | None) -> PlannedBottle:
    return PlannedBottle(bottle=bottle_of(entry), platforms=(), size=entry.file_size, source=source)


class RepairCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Exact counts of a verification and, if asked for, its repair.

    `servable` are those of the checked bottles with which an index is kept that fits.
    """

    checked: int
    current: int
    missing: int
    mismatch: int
    unreadable: int = 0
    repaired: int = 0
    failed: int = 0
    left: int = 0
    servable: int = 0
    indexes_fetched: int = 0
    indexes_failed: int = 0
    indexes_left: int = 0


def count(
    certificates: Iterable[Certificate],
    done: TransferResult | None = None,
    *,
    servable: int = 0,
    indexes: Completion | None = None,
) -> RepairCounts:
    """The verdicts counted, and what the repair did; without one, `servable` bottles were found."""
    verdicts = [certificate.verdict for certificate in certificates]
    return RepairCounts(
        checked=len(verdicts),
        current=verdicts.count("CURRENT"),
        missing=verdicts.count("MISSING"),
        mismatch=verdicts.count("MISMATCH"),
        unreadable=verdicts.count("UNREADABLE"),
        repaired=done.stored if done else 0,
        failed=len(done.failed) if done else 0,
        left=done.left if done else 0,
        servable=indexes.servable if indexes else servable,
        indexes_fetched=indexes.fetched if indexes else 0,
        indexes_failed=len(indexes.failed) if indexes else 0,
        indexes_left=indexes.left if indexes else 0,
    )
