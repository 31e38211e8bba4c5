"""What a run's transfer comes to, once its receipts are folded: before it is reported, it is asked about.

Lost bottles that nobody has any more are taken off the manifest. A 404 may be a mistake of a moment, or come
from a registry or proxy that is not the one it should be. Whoever forgets a bottle for it never asks for that
bottle again: so all are asked twice.
"""

from collections.abc import Iterable, Sequence

from brew_assets.domain.downloads import Fetch
from brew_assets.domain.lost import lost_and_not_found
from brew_assets.domain.manifest import Manifest
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.domain.plan import PlannedBottle
from brew_assets.domain.report import Failure
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.ports import Blobs, Ports, Store
from brew_assets.engine.record.fold import FoldResult, fold
from brew_assets.engine.record.journal import RECEIPT_PREFIX
from brew_assets.engine.transfer.verdicts import all_lead_elsewhere, has_something, lacks_everything
from brew_assets.errors import (
    BlobNotFound,
    HostRefused,
    MirrorError,
    NotRecorded,
    RegistryRefused,
    StoreError,
)


def settle(
    ports: Ports, fetches: Sequence[Fetch], result: TransferResult, folded: FoldResult
) -> tuple[FoldResult, list[PlannedBottle]]:
    """The manifest as it is then, and the bottles that have left it; the result says no more than is so.

    What the manifest does not name has failed, what nobody has any more has not, and where nothing came at
    all the result says why.

    Raises:
        ManifestInvalid: the manifest or a receipt cannot be trusted.
        StoreError: the store cannot be read or written.
    """
    # What is unrecorded is looked for first: later neither the failures nor the manifest name the bottles
    # that leave, and these would seem stored and unrecorded. The fold drops an entry only while it names the
    # very object that is gone, so what another run has brought back meanwhile stays. The registry as a whole
    # is judged last: bottles that have rightly left are no sign that it lacks everything.
    _fail_the_unrecorded(fetches, result, folded.manifest)
    candidates = lost_and_not_found(result.failed, (p for fetch in fetches for p in fetch.names))
    gone = _really_gone(candidates, ports, folded.manifest, downloaded=result.downloaded)
    if gone:
        names = {planned.bottle.filename for planned in gone}
        result.failed = [failure for failure in result.failed if failure.name not in names]
        folded = fold(ports.store, ports.clock, gone={p.bottle.entry_key: p.lost for p in gone})
    facts = (result, ports, folded.manifest)
    if not result.aborted:
        result.abort(lacks_everything(*facts), RegistryRefused.reason)
        result.abort(all_lead_elsewhere(*facts), HostRefused.reason)
    return folded, gone


def _fail_the_unrecorded(fetches: Iterable[Fetch], result: TransferResult, manifest: Manifest) -> None:
    """What a run of these fetches has stored counts as failed where the manifest does not name it.

    Receipts reach it by a listing. Some stores list under other names what was written, or not at all.
    """
    if result.aborted:
        return
    accounted = {*result.undone, *(failure.name for failure in result.failed)}
    found = []
    for planned in (planned for fetch in fetches for planned in fetch.names):
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
            Failure(name=bottle.filename, digest=bottle.digest, reason=NotRecorded.reason, message=message)
        )
    result.stored -= min(result.stored, len(found))
    result.failed += found


def _really_gone(
    candidates: list[PlannedBottle], ports: Ports, manifest: Manifest, *, downloaded: int
) -> list[PlannedBottle]:
    """Those of the candidates that the registry lacks when it is asked again, and the store too.

    None where the registry has shown nothing that it should have: neither has this run `downloaded` anything,
    nor does it have one of the newest bottles of the manifest.
    """
    if not candidates or not (downloaded or has_something(ports.blobs, manifest)):
        return []
    return [
        item
        for item in candidates
        if not ports.stop.is_set() and _lacks(ports.blobs, item) and _is_still_lost(ports.store, item)
    ]


def _lacks(blobs: Blobs, planned: PlannedBottle) -> bool:
    try:
        blobs.open(planned.bottle).close()
    except BlobNotFound:
        return True
    except MirrorError:
        return False
    return False


def _is_still_lost(store: Store, planned: PlannedBottle) -> bool:
    try:
        return store.facts(planned.lost) is None
    except StoreError:
        return False
