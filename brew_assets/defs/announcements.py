"""The sensor that tells people and other systems how syncs go: one start and one end for each, in order."""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg
import msgspec

from brew_assets.compose import build_channels
from brew_assets.defs.assets import pending_bottles
from brew_assets.defs.route_tags import CHANNEL_TAG
from brew_assets.defs.sync_stories import (
    OpenSync,
    fate_of,
    made_a_plan,
    opened_sync,
    story_of,
    why_it_failed,
)
from brew_assets.defs.teller import FailedPlanning, Teller
from brew_assets.engine.clock import SystemClock
from brew_assets.errors import UNREADABLE
from brew_assets.settings import Settings, read_settings

MAX_EVENTS_PER_TICK = 50
# A deployment that has just begun to tell says nothing of what was long before.
LOOK_BACK_S = 3600.0
_PURPOSE_TAG, _PLANNING = "mirror/purpose", "plan"


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far Dagster's events were read (storage ids), and what is not told to its end.

    `undecided` are planning runs that failed, and of which Dagster may still start another.
    Nothing from before `since` (seconds since 1970) is told; 0 before the first tick.
    """

    since: float = 0.0
    plans: int = 0
    own_plans: int = 0
    failures: int = 0
    syncs: tuple[OpenSync, ...] = ()
    plannings: tuple[FailedPlanning, ...] = ()
    undecided: tuple[str, ...] = ()


def announcing_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor; running from the start where somebody is to be told."""
    running, stopped = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED
    return dg.SensorDefinition(
        name="announce_syncs",
        evaluation_fn=announce_syncs,
        minimum_interval_seconds=max(1, min(30, int(settings.progress_update_interval))),
        default_status=running if build_channels(settings) else stopped,
        description="Tells Slack, SNS and CloudWatch when a sync starts, how far it is, and how it ended.",
    )


def announce_syncs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Whatever is due is told; the cursor keeps what is not told to its end."""
    settings = read_settings()
    channels = build_channels(settings)
    if not channels:
        return dg.SkipReason("No channel is configured.")
    cursor = with_news(context.instance, decode_cursor(context.cursor))
    teller = Teller(context.instance, settings, channels, log=context.log)
    syncs = tuple(later for sync in cursor.syncs if (later := teller.tell(sync)) is not None)
    plannings = tuple(planning for planning in cursor.plannings if not teller.tell_failed_planning(planning))
    cursor = msgspec.structs.replace(cursor, syncs=syncs, plannings=plannings)
    context.update_cursor(msgspec.json.encode(cursor).decode())
    left = len(syncs) + len(plannings) + len(cursor.undecided)
    return dg.SkipReason(f"{left} syncs are not told to their end.")


_cursor_decoder = msgspec.json.Decoder(Cursor)


def decode_cursor(text: str | None) -> Cursor | None:
    """The cursor, None before the first tick and where another version wrote it."""
    try:
        return _cursor_decoder.decode((text or "").encode())
    except UNREADABLE:
        return None


def with_news(instance: dg.DagsterInstance, cursor: Cursor | None) -> Cursor:
    """The cursor with the plans, and the failures of planning, that Dagster has recorded since."""
    is_lost, cursor = cursor is None, cursor or Cursor()
    # For what has no storage id yet: without either, all of the past would be news.
    since = cursor.since or SystemClock().now().timestamp() - LOOK_BACK_S
    made = instance.fetch_materializations(
        _plans(after=cursor.plans, since=since), limit=MAX_EVENTS_PER_TICK, ascending=True
    ).records
    seen = instance.fetch_observations(
        _plans(after=cursor.own_plans, since=since), limit=MAX_EVENTS_PER_TICK, ascending=True
    ).records
    failed = instance.fetch_run_status_changes(
        dg.RunStatusChangeRecordsFilter(
            event_type=dg.DagsterEventType.RUN_FAILURE,
            after_storage_id=cursor.failures or None,
            after_timestamp=None if cursor.failures else since,
        ),
        limit=MAX_EVENTS_PER_TICK,
        ascending=True,
    ).records
    known = {sync.sync_id for sync in cursor.syncs}
    syncs = list(cursor.syncs)
    earlier = _going_on(instance, before=since) if is_lost else []
    for record in (*earlier, *made, *seen):
        event = record.asset_materialization or record.asset_observation
        metadata: Mapping[str, dg.MetadataValue[Any]] = event.metadata if event else {}
        sync = opened_sync(instance, metadata, run_id=record.run_id, at=record.timestamp)
        if sync is not None and sync.sync_id not in known:
            known.add(sync.sync_id)
            syncs.append(sync)
    plannings, undecided = _failed_plannings(instance, [*cursor.undecided, *(r.run_id for r in failed)])
    return Cursor(
        since=since,
        plans=made[-1].storage_id if made else cursor.plans,
        own_plans=seen[-1].storage_id if seen else cursor.own_plans,
        failures=failed[-1].storage_id if failed else cursor.failures,
        syncs=tuple(syncs),
        plannings=(*cursor.plannings, *plannings),
        undecided=undecided,
    )


def _plans(*, after: int, since: float) -> dg.AssetRecordsFilter:
    return dg.AssetRecordsFilter(
        asset_key=pending_bottles.key,
        after_storage_id=after or None,
        after_timestamp=None if after else since,
    )


def _going_on(instance: dg.DagsterInstance, *, before: float) -> list[dg.EventLogRecord]:
    """The newest plans from before that time, as far as their syncs go on: of these the end is to be told."""
    wanted = dg.AssetRecordsFilter(asset_key=pending_bottles.key, before_timestamp=before)
    newest = [
        *instance.fetch_materializations(wanted, limit=1).records,
        *instance.fetch_observations(wanted, limit=1).records,
    ]
    return [record for record in newest if _goes_on(instance, record)]


def _goes_on(instance: dg.DagsterInstance, record: dg.EventLogRecord) -> bool:
    event = record.asset_materialization or record.asset_observation
    metadata: Mapping[str, dg.MetadataValue[Any]] = event.metadata if event else {}
    sync = opened_sync(instance, metadata, run_id=record.run_id, at=record.timestamp)
    return sync is not None and not story_of(instance, sync)[0].ended


def _failed_plannings(
    instance: dg.DagsterInstance, run_ids: Iterable[str]
) -> tuple[list[FailedPlanning], tuple[str, ...]]:
    """The planning runs among those that failed: which no other follows, and which one may still follow."""
    plannings, undecided = [], []
    for run_id in dict.fromkeys(run_ids):
        record = instance.get_run_record_by_id(run_id)
        if record is None or record.dagster_run.tags.get(_PURPOSE_TAG) != _PLANNING:
            continue
        status = record.dagster_run.status
        # The event of a failure is stored before the run's status.
        failed = status == dg.DagsterRunStatus.FAILURE
        if not record.dagster_run.is_finished or (failed and fate_of(instance, record) == "open"):
            undecided.append(run_id)
        elif failed and fate_of(instance, record) == "final" and not made_a_plan(instance, run_id):
            plannings.append(_failed_planning(instance, record))
    return plannings, tuple(undecided)


def _failed_planning(instance: dg.DagsterInstance, record: dg.RunRecord) -> FailedPlanning:
    run = record.dagster_run
    reason, error = why_it_failed(instance, run.run_id)
    ended_at = record.end_time or SystemClock().now().timestamp()
    return FailedPlanning(
        run_id=run.run_id,
        started_at=record.start_time or ended_at,
        ended_at=ended_at,
        reason=reason,
        error=error,
        channel=run.tags.get(CHANNEL_TAG, ""),
    )
