"""What the store refused in the last syncs: tried again, after everything else."""

import logging
from collections.abc import Iterator

from brew_assets.domain.downloads import Fetch
from brew_assets.domain.object_keys import is_backfill_name, is_plan_name
from brew_assets.engine.kept_reports import kept_reports
from brew_assets.engine.ports import Store
from brew_assets.engine.record.foreign_objects import own_listing
from brew_assets.engine.record.identify import PLAN_PREFIX
from brew_assets.errors import StoreError, kinds

_REASONS = frozenset(kind.reason for kind in kinds(StoreError))
# This one's earlier tries, and the last one's: what was refused longer ago has been tried last since. Plans
# that no run has begun have no report.
_SYNCS = 3
_PLANS = 20

_log = logging.getLogger(__name__)


def refused_before(store: Store, sync_id: str) -> frozenset[str]:
    """The file names of the bottles that the store did not take in the newest syncs up to this one.

    None where the store does not say: it decides no more than an order.
    """
    try:
        return frozenset(_refused(store, sync_id))
    except StoreError as error:
        _log.warning("what was refused before is not known", extra={"error": str(error)})
        return frozenset()


def _refused(store: Store, sync_id: str) -> Iterator[str]:
    plans = own_listing(store, PLAN_PREFIX, is_plan_name, besides=is_backfill_name)
    names = (listed.key[len(PLAN_PREFIX) :].removesuffix(".json") for listed in plans)
    with_reports = 0
    for name in sorted((name for name in names if name <= sync_id), reverse=True)[:_PLANS]:
        reports = kept_reports(store, name).values()
        with_reports += bool(reports)
        for report in reports:
            yield from (failure.name for failure in report.failed if failure.reason in _REASONS)
        if with_reports == _SYNCS:
            return


def refused_last(fetches: list[Fetch], refused: frozenset[str]) -> list[Fetch]:
    """The fetches in their order, those with a name that was refused at the end."""
    if not refused:
        return fetches
    return sorted(fetches, key=lambda fetch: any(p.bottle.filename in refused for p in fetch.names))
