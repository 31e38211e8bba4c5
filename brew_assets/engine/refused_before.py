"""What the store refused in the last syncs: tried again, after everything else."""

from brew_assets.domain.downloads import Fetch
from brew_assets.engine.adoption import PLAN_PREFIX
from brew_assets.engine.kept_reports import kept_reports
from brew_assets.engine.ports import Store
from brew_assets.errors import (
    ChecksumRefused,
    KeyTaken,
    ObjectRefused,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    StoreUnsupported,
)

_REASONS = {
    error.reason
    for error in (
        ChecksumRefused,
        KeyTaken,
        ObjectRefused,
        StoreError,
        StoreFull,
        StoreRefused,
        StoreUnavailable,
        StoreUnsupported,
    )
}
# This one's earlier tries, and the last one's: what was refused longer ago has been tried last since.
_SYNCS = 3


def refused_before(store: Store, sync_id: str) -> frozenset[str]:
    """The file names of the bottles that the store did not take in the newest syncs up to this one.

    Raises:
        StoreError: the store did not answer.
    """
    names = (listed.key[len(PLAN_PREFIX) :].removesuffix(".json") for listed in store.listing(PLAN_PREFIX))
    newest = sorted(name for name in names if name <= sync_id)[-_SYNCS:]
    return frozenset(
        failure.name
        for name in newest
        for report in kept_reports(store, name).values()
        for failure in report.failed
        if failure.reason in _REASONS
    )


def refused_last(fetches: list[Fetch], refused: frozenset[str]) -> list[Fetch]:
    """The fetches in their order, those with a name that was refused at the end."""
    if not refused:
        return fetches
    return sorted(fetches, key=lambda fetch: any(p.bottle.filename in refused for p in fetch.names))
