"""The runs that were to make a plan, however they were started, and those of them that ended without one."""

from collections.abc import Iterable

import dagster as dg
import msgspec

from brew_assets.defs.assets import bottles, pending_bottles
from brew_assets.defs.backfills import Backfill, backfill_of
from brew_assets.defs.jobs import selective_sync, weekly_sync
from brew_assets.defs.notifications.failure_causes import why_it_failed
from brew_assets.defs.notifications.run_history import fate_of, planned_sync
from brew_assets.defs.tags import BACKFILL_TAG, CHANNEL_TAG, PARENT_RUN_TAG, SCHEDULE_TAG, SYNC_ID_TAG

CANCELLED = "cancelled"
_CANCELLED_TEXT = "the run was cancelled before there was a plan"
_JOBS = frozenset({weekly_sync.name, selective_sync.name})
# Nobody waits longer for a backfill that Dagster's daemon has lost sight of.
_BACKFILL_ENDS_WITHIN_S = 86_400.0
# Somebody who executes again what failed does not do so more often.
_MOST_PARENTS = 20


class FailedPlanning(msgspec.Struct, frozen=True, kw_only=True):
    """A run that ended before there was a plan. Times are seconds since 1970.

    `subject` names what failed: the same for a run and for its executions again, and for all runs of a
    backfill. `recorded_by` is the run of these whose tags say that it was reported.
    """

    run_id: str
    started_at: float
    ended_at: float
    reason: str
    error: str
    channel: str
    subject: str = ""
    recorded_by: str = ""


def is_planning(run: dg.DagsterRun) -> bool:
    """Whether the run was to make a plan: one of the jobs, a click on pending_bottles, a sensor, a backfill.

    So is a run of `bottles` that had no plan: it makes one for itself.
    """
    steps = run.step_keys_to_execute
    wanted = {pending_bottles.key.to_user_string()}
    if SYNC_ID_TAG not in run.tags:
        wanted.add(bottles.key.to_user_string())
    if steps is not None:
        return any(step in wanted for step in steps)
    if run.asset_selection is not None:
        return any(key.to_user_string() in wanted for key in run.asset_selection)
    return run.job_name in _JOBS


def failed_plannings(
    instance: dg.DagsterInstance, run_ids: Iterable[str], *, now: float
) -> tuple[list[FailedPlanning], tuple[str, ...]]:
    """Those among the runs that ended without a plan, and those of which Dagster may still start another."""
    plannings, undecided = [], []
    for run_id in dict.fromkeys(run_ids):
        record = instance.get_run_record_by_id(run_id)
        if record is None or not is_planning(record.dagster_run):
            continue
        status = record.dagster_run.status
        may_be_retried = (
            status == dg.DagsterRunStatus.FAILURE and fate_of(instance, record, now=now) == "open"
        )
        if may_be_retried or _may_get_a_plan(instance, record, now):
            undecided.append(run_id)
        elif _is_to_be_reported(instance, record, now) and not _has_a_plan(instance, record.dagster_run):
            plannings.append(_failed_planning(instance, record, now))
    return plannings, tuple(undecided)


def _is_to_be_reported(instance: dg.DagsterInstance, record: dg.RunRecord, now: float) -> bool:
    """Whether the run failed for good or somebody cancelled it.

    A scheduled one that was cancelled is reported as a missing sync, unless it is executed again soon.
    """
    run = record.dagster_run
    if run.status == dg.DagsterRunStatus.CANCELED:
        return SCHEDULE_TAG not in run.tags
    return run.status == dg.DagsterRunStatus.FAILURE and fate_of(instance, record, now=now) == "final"


def _has_a_plan(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether there is a sync that the run belongs to: its own, or that of its backfill."""
    if SYNC_ID_TAG in run.tags or planned_sync(instance, run.run_id) is not None:
        return True
    backfill = run.tags.get(BACKFILL_TAG)
    return backfill is not None and _is_planned(instance, backfill)


def _is_planned(instance: dg.DagsterInstance, backfill: str) -> bool:
    """Whether a run of the backfill has made a plan, or has one."""
    runs = instance.get_runs(dg.RunsFilter(tags={BACKFILL_TAG: backfill}))
    return any(SYNC_ID_TAG in run.tags or planned_sync(instance, run.run_id) is not None for run in runs)


def _may_get_a_plan(instance: dg.DagsterInstance, record: dg.RunRecord, now: float) -> bool:
    """Whether another run of its backfill may still make the plan that this one could not make."""
    backfill = backfill_of(instance, record.dagster_run)
    if backfill is None or not backfill.goes_on:
        return False
    return now - (record.end_time or 0.0) < _BACKFILL_ENDS_WITHIN_S


def _failed_planning(instance: dg.DagsterInstance, record: dg.RunRecord, now: float) -> FailedPlanning:
    run = record.dagster_run
    if run.status == dg.DagsterRunStatus.CANCELED:
        reason, error = CANCELLED, _CANCELLED_TEXT
    else:
        reason, error = why_it_failed(instance, run.run_id)
    ended_at = record.end_time or now
    subject, recorded_by = _subject_of(instance, run)
    return FailedPlanning(
        run_id=run.run_id,
        started_at=record.start_time or ended_at,
        ended_at=ended_at,
        reason=reason,
        error=error,
        channel=run.tags.get(CHANNEL_TAG, ""),
        subject=subject,
        recorded_by=recorded_by,
    )


def _subject_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[str, str]:
    """The first of the runs that failed and were executed again one after the other, or its backfill's first.

    What is executed again after its backfill's end is no part of it any more.
    """
    for _ in range(_MOST_PARENTS):
        parent_id = run.parent_run_id or run.tags.get(PARENT_RUN_TAG)
        parent = instance.get_run_by_id(parent_id) if parent_id else None
        if parent is None or not is_planning(parent) or _has_a_plan(instance, parent):
            break
        if parent.status not in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED):
            break
        run = parent
    if not (backfill := run.tags.get(BACKFILL_TAG)):
        return f"run-{run.run_id}", run.run_id
    for before in Backfill(instance, backfill).failed_before:
        if _is_planned(instance, before):
            break
        backfill = before
    runs = Backfill(instance, backfill).records()
    return f"backfill-{backfill}", runs[0].dagster_run.run_id if runs else run.run_id
