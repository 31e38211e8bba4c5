"""Reports: what runs did, and batches. Written at their end; read by the next sync, messages and pages."""

import heapq
import logging
import secrets
from collections.abc import Iterator, Sequence

import msgspec

from brew_assets.domain.downloads import Fetch
from brew_assets.domain.left_out import LISTED
from brew_assets.domain.object_keys import is_backfill_name, is_plan_name
from brew_assets.domain.proof import is_sync_id
from brew_assets.domain.report import REPORT_PREFIX, Report, decode_report, encode_report, kinds
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.index_completion import Completion
from brew_assets.engine.ports import Clock, Store
from brew_assets.engine.record.foreign_objects import own_listing
from brew_assets.engine.record.identify import PLAN_PREFIX
from brew_assets.engine.record.stored_names import STORED_SUFFIX
from brew_assets.errors import ObjectRefused, StoreError

MOST_REPORTS = 50
# Reports on a Lambda's batch are parts of a run's; names of stored bottles are no report.
_OTHERS = (".batch.json", STORED_SUFFIX)
_STORE_REASONS = frozenset(kind.reason for kind in kinds(StoreError))
# This one's earlier tries, and the last one's: what was refused longer ago has been tried last since. Plans
# that no run has begun have no report.
_SYNCS = 3
_PLANS = 20
_NO_INDEXES = Completion()

_log = logging.getLogger(__name__)


class Stopwatch:
    """When a piece of work began, and how long it has taken."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.started_at = f"{clock.now():%Y-%m-%dT%H:%M:%SZ}"
        self._begin = clock.monotonic()

    def report(
        self,
        begun: Report,
        result: TransferResult,
        *,
        kept: int = 0,
        identified: int = 0,
        forgotten: Sequence[str] = (),
        indexes: Completion = _NO_INDEXES,
    ) -> Report:
        """The report that was `begun`, with what was done until now; `identified` before the transfer."""
        return msgspec.structs.replace(
            begun,
            ended_at=f"{self._clock.now():%Y-%m-%dT%H:%M:%SZ}",
            duration_s=round(self._clock.monotonic() - self._begin, 3),
            kept=kept,
            identified=result.found + identified,
            left=result.left,
            left_bottles=tuple(result.undone[:LISTED]),
            failed=tuple(result.failed),
            forgotten=tuple(forgotten),
            servable=indexes.servable,
            unservable=indexes.held - indexes.servable,
            indexes_fetched=indexes.fetched,
            indexes_failed=indexes.failed,
            indexes_left=indexes.left,
            aborted=result.aborted,
            aborted_reason=result.aborted_reason,
            **result.counts(),
        )


def keep_report(store: Store, clock: Clock, report: Report, *, whose: str) -> None:
    """The report stands in the store, as far as that takes it: all is stored and recorded by then."""
    # To the microsecond: a second try may follow within the second, and what it says is the newer word.
    name = f"{whose}-{clock.now():%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(3)}"
    key = f"{REPORT_PREFIX}{report.sync_id}/{name}.json"
    try:
        store.write(key, encode_report(report))
    except StoreError as error:
        # Who reads the report later has to do without.
        _log.error("the report is not kept", extra={"key": key, "error": str(error)})


def kept_reports(store: Store, sync_id: str, *, most: int = MOST_REPORTS) -> dict[str, Report]:
    """The newest reports of the sync's runs by key, oldest first.

    One that cannot be read, or is of another sync, is left out, and the log says so.

    Raises:
        StoreError: the store did not answer.
    """
    if not is_sync_id(sync_id):
        return {}
    listed = own_listing(store, f"{REPORT_PREFIX}{sync_id}/", lambda name: name.endswith(".json"))
    keys = sorted((item.key for item in listed if not item.key.endswith(_OTHERS)), key=_time_of)
    found: dict[str, Report] = {}
    for key in keys[-most:]:
        try:
            document = store.read(key)
            if document is not None:
                found[key] = decode_report(document.data, sync_id=sync_id)
        except (ValueError, ObjectRefused) as error:
            _log.warning("a report is left out", extra={"key": key, "error": str(error)})
    return found


def newest_reported(store: Store, most: int) -> list[str]:
    """The ids of the syncs of which a run has left a report, the newest first, so many at most.

    Raises:
        StoreError: the store cannot be listed.
    """
    keys = (listed.key for listed in store.listing(REPORT_PREFIX) if not listed.key.endswith(_OTHERS))
    ids = {key.removeprefix(REPORT_PREFIX).partition("/")[0] for key in keys}
    return heapq.nlargest(most, filter(is_sync_id, ids))


def _time_of(key: str) -> tuple[str, str]:
    """What sorts keys by time: they end with `-<time>-<token>.json`."""
    parts = key.rsplit("-", 2)
    return (parts[1] if len(parts) == 3 else "", key)


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
            yield from (failure.name for failure in report.failed if failure.reason in _STORE_REASONS)
        if with_reports == _SYNCS:
            return


def refused_last(fetches: list[Fetch], refused: frozenset[str]) -> list[Fetch]:
    """The fetches in their order, those with a name that was refused at the end."""
    if not refused:
        return fetches
    return sorted(fetches, key=lambda fetch: any(p.bottle.filename in refused for p in fetch.names))
