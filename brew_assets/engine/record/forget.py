"""Which lost bottles are taken off the manifest: those that nobody has any more, asked twice.

A 404 may be a mistake of a moment, or come from a registry or proxy that is not the one it should be. Whoever
forgets a bottle for it never asks for that bottle again.
"""

import heapq
from collections.abc import Iterable

from brew_assets.domain.manifest import Manifest, bottle_of
from brew_assets.domain.plan import PlannedBottle
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.ports import Blobs, StopSignal, Store
from brew_assets.engine.transfer.registry_verdict import has_none
from brew_assets.errors import BlobNotFound, MirrorError, StoreError

# Of the newest bottles that are held the registry has to have one; where none is held, one of as many others.
_KNOWN_BOTTLES = 3


def really_gone(
    candidates: Iterable[PlannedBottle],
    blobs: Blobs,
    store: Store,
    stop: StopSignal,
    *,
    manifest: Manifest,
    downloaded: int,
) -> list[PlannedBottle]:
    """Those of the candidates that the registry lacks when it is asked again, and the store too.

    None where the registry has shown nothing that it should have: neither has this run `downloaded` anything,
    nor does it have one of the newest bottles of the manifest.
    """
    asked = list(candidates)
    if not asked or not (downloaded or has_something(blobs, manifest)):
        return []
    return [
        item for item in asked if not stop.is_set() and _lacks(blobs, item) and _is_still_lost(store, item)
    ]


def lacks_everything(result: TransferResult, blobs: Blobs, stop: StopSignal, manifest: Manifest) -> str:
    """Why all that a run was to fetch was not found: the registry has nothing that it should have.

    Empty where it has, or where a bottle failed for another reason.
    """
    missing = {f.digest for f in result.failed if f.reason == BlobNotFound.reason}
    if result.downloaded or not missing or len(missing) < len({f.digest for f in result.failed}):
        return ""
    known = min(_KNOWN_BOTTLES, len(manifest))
    if stop.is_set() or (not known and len(missing) < _KNOWN_BOTTLES) or has_something(blobs, manifest):
        return ""
    return has_none(blobs, len(missing) + known)


def has_something(blobs: Blobs, manifest: Manifest) -> bool:
    """Whether one of the newest bottles of the manifest can be had."""
    newest = heapq.nlargest(_KNOWN_BOTTLES, manifest.entries(), key=lambda item: item[1].s3_key)
    for _, entry in newest:
        try:
            blobs.open(bottle_of(entry)).close()
        except MirrorError:
            continue
        return True
    return False


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
        return not store.exists(planned.lost)
    except StoreError:
        return False
