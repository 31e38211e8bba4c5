"""The sensor that notifies people and other systems of syncs: one start and one end for each, in order."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import dagster as dg
import msgspec

from brew_assets.compose import CLOCK, build_channels
from brew_assets.defs.assets import pending_bottles
from brew_assets.defs.notifications.due import DueNotifications
from brew_assets.defs.notifications.incomplete_syncs import FOLLOWED_FOR_S, MOST_FOLLOWED, IncompleteSync
from brew_assets.defs.notifications.planning_runs import FailedPlanning, failed_plannings
from brew_assets.defs.notifications.run_history import OpenSync, opened_sync, status_of
from brew_assets.engine.ports import Clock
from brew_assets.errors import UNREADABLE
from brew_assets.settings import Settings, read_settings

MAX_EVENTS_PER_TICK = 50
# A deployment whose sensor has just begun sends nothing about what was long before.
LOOK_BACK_S = 3600.0
# Of each kind, when the cursor is lost: the syncs of five weeks on a busy day each.
_MOST_EARLIER = 200
_NEVER_LOOKED = -1


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far Dagster's events were read (storage ids), and which syncs still have messages to send.

    `undecided` are planning runs that failed, and of which Dagster may still start another. `incomplete` are
    syncs whose end was no success: a later run may complete them.
    Nothing from before `since` (seconds since 1970) is notified; 0 before the first tick.
    """

    since: float = 0.0
    plans: int = 0
    own_plans: int = 0
    failures: int = 0
    cancels: int = _NEVER_LOOKED
    syncs: tuple[OpenSync, ...] = ()
    plannings: tuple[FailedPlanning, ...] = ()
    undecided: tuple[str, ...] = ()
    incomplete: tuple[IncompleteSync, ...] = ()


def notifying_sensor(settings: Settings, *, clock: Clock = CLOCK) -> dg.SensorDefinition:
    """The sensor; running from the start where there is a channel."""
    running, stopped = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED
    return dg.SensorDefinition(
        name="announce_syncs",
        evaluation_fn=lambda context: announce_syncs(context, clock),
        minimum_interval_seconds=max(1, min(30, int(settings.progress_update_interval))),
        default_status=running if build_channels(settings) else stopped,
        description="Notifies Slack, SNS and CloudWatch when a sync starts, how far it is, and how it ended.",
    )


def announce_syncs(context: dg.SensorEvaluationContext, clock: Clock) -> dg.SkipReason:
    """Sends the messages that are due; the cursor keeps the syncs that have more."""
    settings, now = read_settings(), clock.now().timestamp()
    channels = build_channels(settings, clock=clock)
    if not channels:
        return dg.SkipReason("No channel is configured.")
    known = decode_cursor(context.cursor)
    cursor = with_news(context.instance, known, now=now)
    due = DueNotifications(context.instance, settings, channels, clock, log=context.log)
    if known is None:
        earlier = _syncs_before(context.instance, cursor)
        found = tuple(again for sync in earlier if (again := due.recall(sync)) is not None)
        cursor = msgspec.structs.replace(cursor, incomplete=found[-MOST_FOLLOWED:])
    left = [one for sync in cursor.syncs if (one := due.notify(sync)) is not None]
    plannings = tuple(
        planning for planning in cursor.plannings if not due.notify_of_failed_planning(planning)
    )
    incomplete = [one for known in cursor.incomplete if (one := due.follow(known)) is not None]
    syncs = tuple(one for one in left if isinstance(one, OpenSync))
    incomplete += [one for one in left if isinstance(one, IncompleteSync)]
    cursor = msgspec.structs.replace(
        cursor, syncs=syncs, plannings=plannings, incomplete=tuple(incomplete[-MOST_FOLLOWED:])
    )
    context.update_cursor(msgspec.json.encode(cursor).decode())
    waiting = len(syncs) + len(plannings) + len(cursor.undecided)
    return dg.SkipReason(
        f"{waiting} syncs still have messages to send."
        if waiting != 1
        else "1 sync still has messages to send."
    )


_cursor_decoder = msgspec.json.Decoder(Cursor)


def decode_cursor(text: str | None) -> Cursor | None:
    """The cursor, None before the first tick and where another version wrote it."""
    try:
        return _cursor_decoder.decode((text or "").encode())
    except UNREADABLE:
        return None


def with_news(instance: dg.DagsterInstance, cursor: Cursor | None, *, now: float) -> Cursor:
    """The cursor with the plans, and the failures of planning, that Dagster has recorded since."""
    is_lost, cursor = cursor is None, cursor or Cursor()
    # For what has no storage id yet: without either, all of the past would be news.
    since = cursor.since or now - LOOK_BACK_S
    made = instance.fetch_materializations(
        _plans(after=cursor.plans, since=since), limit=MAX_EVENTS_PER_TICK, ascending=True
    ).records
    seen = instance.fetch_observations(
        _plans(after=cursor.own_plans, since=since), limit=MAX_EVENTS_PER_TICK, ascending=True
    ).records
    failed = _ended(instance, dg.DagsterEventType.RUN_FAILURE, after=cursor.failures, since=since)
    # A cursor from before anybody looked for them: what was cancelled long ago is no news.
    lately = since if cursor.cancels >= 0 else max(since, now - LOOK_BACK_S)
    cancelled = _ended(instance, dg.DagsterEventType.RUN_CANCELED, after=max(0, cursor.cancels), since=lately)
    known = {sync.sync_id for sync in (*cursor.syncs, *(one.sync for one in cursor.incomplete))}
    syncs = list(cursor.syncs)
    earlier = _going_on(instance, before=since, now=now) if is_lost else []
    for record in (*earlier, *made, *seen):
        sync = _sync_of(instance, record)
        if sync is not None and sync.sync_id not in known:
            known.add(sync.sync_id)
            syncs.append(sync)
    ended = (record.run_id for record in (*failed, *cancelled))
    plannings, undecided = failed_plannings(instance, [*cursor.undecided, *ended], now=now)
    return Cursor(
        since=since,
        plans=made[-1].storage_id if made else cursor.plans,
        own_plans=seen[-1].storage_id if seen else cursor.own_plans,
        failures=failed[-1].storage_id if failed else cursor.failures,
        cancels=cancelled[-1].storage_id if cancelled else max(0, cursor.cancels),
        syncs=tuple(syncs),
        plannings=(*cursor.plannings, *plannings),
        undecided=undecided,
        incomplete=cursor.incomplete,
    )


def _ended(
    instance: dg.DagsterInstance,
    kind: Literal[dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_CANCELED],
    *,
    after: int,
    since: float,
) -> Sequence[dg.EventLogRecord]:
    """The next events of runs that ended so."""
    wanted = dg.RunStatusChangeRecordsFilter(
        event_type=kind, after_storage_id=after or None, after_timestamp=None if after else since
    )
    return instance.fetch_run_status_changes(wanted, limit=MAX_EVENTS_PER_TICK, ascending=True).records


def _plans(*, after: int, since: float) -> dg.AssetRecordsFilter:
    return dg.AssetRecordsFilter(
        asset_key=pending_bottles.key,
        after_storage_id=after or None,
        after_timestamp=None if after else since,
    )


def _going_on(instance: dg.DagsterInstance, *, before: float, now: float) -> list[dg.EventLogRecord]:
    """The newest plans from before that time, whose syncs go on: their ends are not notified yet."""
    wanted = dg.AssetRecordsFilter(asset_key=pending_bottles.key, before_timestamp=before)
    newest = [
        *instance.fetch_materializations(wanted, limit=1).records,
        *instance.fetch_observations(wanted, limit=1).records,
    ]
    return [record for record in newest if _goes_on(instance, record, now)]


def _syncs_before(instance: dg.DagsterInstance, cursor: Cursor) -> list[OpenSync]:
    """The syncs of the weeks before the cursor's beginning that it does not have, oldest first."""
    wanted = dg.AssetRecordsFilter(
        asset_key=pending_bottles.key,
        before_timestamp=cursor.since,
        after_timestamp=cursor.since - FOLLOWED_FOR_S,
    )
    records = [
        *instance.fetch_materializations(wanted, limit=_MOST_EARLIER).records,
        *instance.fetch_observations(wanted, limit=_MOST_EARLIER).records,
    ]
    known = {sync.sync_id for sync in cursor.syncs}
    found: dict[str, OpenSync] = {}
    for record in sorted(records, key=lambda record: record.storage_id):
        sync = _sync_of(instance, record)
        if sync is not None and sync.sync_id not in known:
            found.setdefault(sync.sync_id, sync)
    return list(found.values())


def _sync_of(instance: dg.DagsterInstance, record: dg.EventLogRecord) -> OpenSync | None:
    event = record.asset_materialization or record.asset_observation
    metadata: Mapping[str, dg.MetadataValue[Any]] = event.metadata if event else {}
    return opened_sync(instance, metadata, run_id=record.run_id, at=record.timestamp)


def _goes_on(instance: dg.DagsterInstance, record: dg.EventLogRecord, now: float) -> bool:
    sync = _sync_of(instance, record)
    return sync is not None and not status_of(instance, sync, now=now)[0].ended
