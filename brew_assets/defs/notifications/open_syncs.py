"""Which syncs, and which failures to plan one, have messages to send: what the sensor knows between ticks."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
import msgspec

from brew_assets.defs.assets import pending_bottles
from brew_assets.defs.notifications.missing_syncs import Watch
from brew_assets.defs.notifications.planning_runs import FailedPlanning, failed_plannings
from brew_assets.defs.notifications.run_history import OpenSync, planned_sync
from brew_assets.defs.tags import PLANNED, PLANNED_TAG
from brew_assets.domain.sync_status import SyncState
from brew_assets.engine.notifier import Wait

# A deployment whose sensor has just begun sends nothing about what was long before.
LOOK_BACK_S = 3600.0
# A plan is recorded within a week of its run's creation, or nobody hears of it.
_PLANNED_WITHIN_S = 8 * 86_400.0
# The newest: the syncs of five weeks on a busy day each.
_MOST_PLANNED = 200
# A run's end carries the time of its own machine, and is stored a little later than that.
_OVERLAP_S = 120.0


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """What is known from the ticks before; times are seconds since 1970.

    Nothing from before `since` is notified. `ended_until` is up to when failed and cancelled runs were looked
    at; `undecided` are those of them that were to plan and of which Dagster may still start another.
    `known` are the planning runs of the last days whose syncs were taken in. `syncs` have messages left to
    send, or are followed in case a later run completes them. `waits` are those of the notifier.
    """

    since: float
    ended_until: float
    known: tuple[str, ...] = ()
    syncs: tuple[OpenSync, ...] = ()
    plannings: tuple[FailedPlanning, ...] = ()
    undecided: tuple[str, ...] = ()
    waits: dict[str, Wait] = {}
    state: SyncState = SyncState()
    watch: Watch
    gauges_at: float = 0.0


def first_cursor(now: datetime) -> Cursor:
    """The cursor of a sensor that begins, or that has lost the one it had."""
    since = now.timestamp() - LOOK_BACK_S
    return Cursor(since=since, ended_until=since, watch=Watch(settled=now.timestamp()))


def newly_planned(
    instance: dg.DagsterInstance, cursor: Cursor, *, now: datetime, within_s: float = _PLANNED_WITHIN_S
) -> tuple[Cursor, Sequence[OpenSync]]:
    """The syncs that were planned since the last tick, oldest first, and the cursor that knows them."""
    before, after = set(cursor.known), now - timedelta(seconds=within_s)
    open_ids = {sync.sync_id for sync in cursor.syncs}
    known: list[str] = []
    syncs: list[OpenSync] = []
    for run_id, may_still_plan in _planning_runs(instance, after=after).items():
        sync = planned_sync(instance, run_id) if run_id not in before else None
        # One that has no plan has taken the tag over from another run, or is about to record its plan.
        if run_id in before or sync is not None or not may_still_plan:
            known.append(run_id)
        if sync is not None and sync.sync_id not in open_ids:
            syncs.append(sync)
    return msgspec.structs.replace(cursor, known=tuple(known)), sorted(
        syncs, key=lambda sync: sync.created_at
    )


def _planning_runs(instance: dg.DagsterInstance, *, after: datetime) -> dict[str, bool]:
    """The runs that were created since and have a plan, or may still write one: those have the value True."""
    wanted = dg.RunsFilter(tags={PLANNED_TAG: PLANNED}, created_after=after)
    tagged = instance.get_run_records(wanted, limit=_MOST_PLANNED)
    return _planned_without_tag(instance, after=after) | {
        record.dagster_run.run_id: not record.dagster_run.is_finished for record in tagged
    }


def _planned_without_tag(instance: dg.DagsterInstance, *, after: datetime) -> dict[str, bool]:
    """The runs of the version before that have recorded a plan. For one release: its runs have no tag."""
    wanted = dg.AssetRecordsFilter(asset_key=pending_bottles.key, after_timestamp=after.timestamp())
    records = [
        *instance.fetch_materializations(wanted, limit=_MOST_PLANNED).records,
        *instance.fetch_observations(wanted, limit=_MOST_PLANNED).records,
    ]
    return {record.run_id: False for record in records}


def newly_failed(instance: dg.DagsterInstance, cursor: Cursor, *, now: datetime) -> Cursor:
    """The cursor with the planning runs that have ended without a plan since the last tick."""
    now_s, after = now.timestamp(), datetime.fromtimestamp(cursor.ended_until, tz=UTC)
    ended = instance.get_run_records(
        dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
            updated_after=after,
        )
    )
    known = {planning.run_id for planning in cursor.plannings}
    run_ids = [record.dagster_run.run_id for record in ended]
    plannings, undecided = failed_plannings(
        instance, [run_id for run_id in (*cursor.undecided, *run_ids) if run_id not in known], now=now_s
    )
    return msgspec.structs.replace(
        cursor,
        ended_until=max(cursor.ended_until, now_s - _OVERLAP_S),
        plannings=(*cursor.plannings, *plannings),
        undecided=undecided,
    )
