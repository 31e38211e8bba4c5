"""Whether the manifest names what a run is about to report as done."""

from collections.abc import Iterable

from brew_assets.domain.downloads import Fetch
from brew_assets.domain.manifest import MANIFEST_KEY, Manifest
from brew_assets.domain.report import Failure
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.record.journal import RECEIPT_PREFIX
from brew_assets.errors import NotRecorded


def fail_the_unrecorded(fetches: Iterable[Fetch], result: TransferResult, manifest: Manifest) -> None:
    """What a run of these fetches has stored counts as failed where the manifest does not name it.

    Receipts reach it by a listing. Some stores list under other names what was written, or not at all.
    """
    if result.aborted:
        return
    accounted = {*result.undone, *(failure.name for failure in result.failed)}
    found = []
    for fetch in fetches:
        for planned in fetch.names:
            bottle = planned.bottle
            entry = manifest.get(bottle.entry_key)
            if bottle.filename in accounted or (entry is not None and entry.sha256 == bottle.digest):
                continue
            message = (
                f"{bottle.filename}: expected it in {MANIFEST_KEY}, where it is not: the store does not list "
                f"or give out the receipt that was written below {RECEIPT_PREFIX}. Look at what it lists "
                "there (some servers change a prefix with //, for one), then sync again"
            )
            found.append(
                Failure(
                    name=bottle.filename, digest=bottle.digest, reason=NotRecorded.reason, message=message
                )
            )
    result.stored -= min(result.stored, len(found))
    result.failed += found
