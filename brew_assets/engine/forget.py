"""Which lost bottles are taken off the manifest: those that nobody has any more, asked twice.

A 404 may be a mistake of a moment, or come from a registry or proxy that is not the one it should be. Whoever
forgets a bottle for it never asks for that bottle again.
"""

import heapq
from collections.abc import Iterable

from brew_assets.domain.manifest import Manifest, bottle_of
from brew_assets.domain.plan import PlannedBottle
from brew_assets.engine.ports import Blobs, StopSignal, Store
from brew_assets.errors import BlobNotFound, MirrorError, StoreError

# Of the newest bottles that are held the registry has to have one.
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
    if not asked or not (downloaded or _has_something(blobs, manifest)):
        return []
    return [
        item for item in asked if not stop.is_set() and _lacks(blobs, item) and _is_still_lost(store, item)
    ]


def _has_something(blobs: Blobs, manifest: Manifest) -> bool:
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
        return store.facts(planned.lost) is None
    except StoreError:
        return False
