"""A sync that has ended: what the store says of it, and what later runs add to it."""

from collections.abc import Iterable, Sequence
from datetime import UTC
from logging import Logger

import dagster as dg
import msgspec

from brew_assets.compose.store import build_store
from brew_assets.defs.checks import held_objects_present, manifest_checks
from brew_assets.defs.notifications.run_history import OpenSync
from brew_assets.defs.pages.markdown import without_escapes
from brew_assets.defs.publication import published_objects_present
from brew_assets.domain.plan import Plan
from brew_assets.domain.sync_status import StoreFinding, SyncStatus
from brew_assets.engine.kept_plans import kept_plan
from brew_assets.engine.ports import Clock
from brew_assets.engine.record.stored_names import stored_names
from brew_assets.engine.reports import kept_reports
from brew_assets.errors import MirrorError
from brew_assets.settings import Settings

# So long the end waits for a store that cannot be read; then it is sent without the reports.
_PATIENCE_S = 600.0
# Platforms times tries; more would be a run that is begun again and again.
_MOST_REPORTS = 1000
_OF_STORED_DATA = {
    spec.name
    for check in (manifest_checks, held_objects_present, published_objects_present)
    for spec in check.check_specs
}


class EndedSync(msgspec.Struct, frozen=True, kw_only=True):
    """A sync that has ended, with what the store says of it; `ended` in seconds since 1970.

    `names` are the entry keys of what it stored itself, None like the plan when the store did not say.
    """

    status: SyncStatus
    ended: float
    plan: Plan | None
    names: frozenset[str] | None

    @property
    def left(self) -> int:
        """How many of the planned bottles are not held."""
        status = self.status
        return max(0, status.planned - status.done - len(status.forgotten))


def look_at_end(
    instance: dg.DagsterInstance,
    settings: Settings,
    status: SyncStatus,
    ended_at: float | None,
    *,
    clock: Clock,
    log: Logger,
) -> EndedSync | None:
    """The ended sync as the store knows it; None while the store cannot be read and may be soon."""
    now = clock.now().timestamp()
    ended = ended_at or now
    try:
        store = build_store(settings, clock=clock)
        reports = tuple(kept_reports(store, status.sync_id, most=_MOST_REPORTS).values())
        names = stored_names(store, status.sync_id)
        plan = kept_plan(store, status.sync_id)
    except MirrorError as error:
        log.warning(f"sync {status.sync_id}: its reports cannot be read: {error}")
        if now - ended < _PATIENCE_S:
            return None
        reports, names, plan = (), None, None
    run_ids = dict.fromkeys((*(run.run_id for run in status.runs), status.run_id, status.manifest_run_id))
    findings = _store_findings(instance, [run_id for run_id in run_ids if run_id])
    stored = None if names is None else len(names)
    status = msgspec.structs.replace(status, reports=reports, stored=stored, store_findings=findings)
    return EndedSync(status=status, ended=ended, plan=plan, names=names)


def _store_findings(instance: dg.DagsterInstance, run_ids: Iterable[str]) -> tuple[StoreFinding, ...]:
    """The checks of stored data that failed in these runs; a warning found nothing wrong."""
    findings = []
    for run_id in run_ids:
        evaluated = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        for record in evaluated.records:
            event = record.event_log_entry.dagster_event
            check = event.asset_check_evaluation_data if event else None
            if check is None or check.passed or check.severity != dg.AssetCheckSeverity.ERROR:
                continue
            if check.check_name in _OF_STORED_DATA:
                message = without_escapes(check.description or "")
                finding = StoreFinding(run_id=run_id, check=check.check_name, message=message)
                findings.append(finding)
    return tuple(findings)


class LaterRuns(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of a sync that began after its end was reported.

    `first_s` and `later_s` are the seconds of the tries before and since; time between tries is not counted.
    """

    run_ids: frozenset[str] = frozenset()
    first_s: float = 0.0
    later_s: float = 0.0

    def added_to(self, status: SyncStatus) -> SyncStatus:
        """The sync's status with what these runs alone have done."""
        reports = tuple(report for report in status.reports if report.run_id in self.run_ids)
        stored = None if status.stored is None else sum(report.new for report in reports)
        return msgspec.structs.replace(status, reports=reports, stored=stored)


def later_runs(sync: OpenSync, records: Iterable[dg.RunRecord], *, since: float) -> LaterRuns:
    """Those of the sync's runs that began after that time."""
    first_end, later, ids = sync.created_at, [], set()
    for record in records:
        began = began_at(record)
        if began > since:
            ids.add(record.dagster_run.run_id)
            later.append((began, max(began, record.end_time or began)))
        elif record.end_time:
            first_end = max(first_end, min(record.end_time, since))
    return LaterRuns(
        run_ids=frozenset(ids), first_s=first_end - sync.created_at, later_s=covered_s(sorted(later))
    )


def began_at(record: dg.RunRecord) -> float:
    """When the run began, or was made if it never did; seconds since 1970."""
    return record.start_time or record.create_timestamp.replace(tzinfo=UTC).timestamp()


def covered_s(spans: Sequence[tuple[float, float]]) -> float:
    """The seconds that lie in any of the spans, which are sorted by their beginnings."""
    total, until = 0.0, float("-inf")
    for begin, end in spans:
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total
