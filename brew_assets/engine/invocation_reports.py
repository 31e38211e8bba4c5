"""What a worker's report on its batch is believed: no more than it says without contradiction, and of what it
says was stored no more than receipts or the manifest confirm.
"""

import logging
from collections.abc import Iterable, Sequence

import msgspec

from brew_assets.domain.batch import batch_report_key
from brew_assets.domain.downloads import Fetch
from brew_assets.domain.manifest import decode_receipts
from brew_assets.domain.proof import shown, wrong
from brew_assets.domain.report import Report, decode_report
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.ports import Store
from brew_assets.engine.record.fold import read_held
from brew_assets.engine.record.journal import RECEIPT_PREFIX
from brew_assets.errors import ObjectRefused, StoreUnavailable

_log = logging.getLogger(__name__)


def read_invocation_report(
    store: Store, batch_key: str, *, sync_id: str, fetches: Sequence[Fetch]
) -> Report | None:
    """The report on the batch of these fetches, None when there is none.

    Raises:
        ValueError: it is none, or it is not about this batch.
        StoreError: the store did not give it out.
    """
    key = batch_report_key(batch_key)
    document = store.read(key)
    if document is None:
        return None
    names = [planned.bottle.filename for fetch in fetches for planned in fetch.names]
    try:
        report = decode_report(document.data, sync_id=sync_id)
        if why := _why_not(report, names):
            raise ValueError(why)
    except ValueError as exc:
        raise ValueError(f"{key} is not believed, and its bottles are looked for again: {exc}") from exc
    return report


def _why_not(report: Report, names: Sequence[str]) -> str | None:
    """What contradicts that the report is about the bottles with these file names."""
    if report.planned != len(names):
        return wrong("planned", str(len(names)), report.planned)
    known = set(names)
    not_stored = [*report.undone, *(failure.name for failure in report.failed)]
    for name in not_stored:
        if name not in known:
            return f"expected every bottle of the batch once, found {shown(name)}"
        known.remove(name)
    if report.stored + len(not_stored) != report.planned:
        return wrong("stored", f"the {report.planned - len(not_stored)} that are left", report.stored)
    return None


def counts_of(report: Report) -> TransferResult:
    """The report's counts, without what it left: that is done again."""
    result = TransferResult(
        failed=list(report.failed), aborted=report.aborted, aborted_reason=report.aborted_reason
    )
    result.count(report)
    result.found = report.identified
    return result


def names_without_record(store: Store, sync_id: str, fetches: Iterable[Fetch]) -> list[Fetch]:
    """Those of the names that neither a receipt of the sync nor the manifest has with their digest.

    Raises:
        ManifestInvalid: a receipt or the manifest cannot be trusted.
        StoreError: the store cannot be read.
    """
    # Receipts first, the manifest second: a fold only moves names from the first to the second, so what
    # leaves the receipts after they were read is found there, and nothing that is recorded is copied again.
    # Not by looking for the objects: what no record names is not held for the next plan.
    wanted = {planned.bottle.entry_key: fetch.digest for fetch in fetches for planned in fetch.names}
    prefix = f"{RECEIPT_PREFIX}{sync_id}/"
    # Others' objects may stand beside ours: the mark of a folder, for one.
    keys = [listed.key for listed in store.listing(prefix) if listed.key.endswith(".json")]
    for key in keys if wanted else ():
        try:
            document = store.read(key)
        except (ObjectRefused, StoreUnavailable) as error:
            _log.warning("receipts cannot be read", extra={"key": key, "error": str(error)})
            continue
        for receipt in decode_receipts(document.data, key=key) if document is not None else ():
            if wanted.get(receipt.key) == receipt.entry.sha256:
                del wanted[receipt.key]
    if wanted:
        # Another run of the sync has folded them.
        held = read_held(store).entries
        wanted = {
            key: digest
            for key, digest in wanted.items()
            if (entry := held.get(key)) is None or entry.sha256 != digest
        }
    return [
        msgspec.structs.replace(fetch, names=names)
        for fetch in fetches
        if (names := tuple(p for p in fetch.names if p.bottle.entry_key in wanted))
    ]
