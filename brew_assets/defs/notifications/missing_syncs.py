"""The sensor that notifies of a sync that did not happen, and how long ago the last good one was."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from logging import Logger

import dagster as dg
import msgspec

from brew_assets.compose import CLOCK, build_channels, build_metrics
from brew_assets.configured import deployment_of
from brew_assets.defs.assets import pending_bottles
from brew_assets.defs.notifications.deliveries import InstanceDeliveries
from brew_assets.defs.notifications.run_history import fate_of, made_a_plan, opened_sync, status_of
from brew_assets.defs.schedules import SCHEDULE, schedule_is_running, scheduled_times
from brew_assets.defs.tags import SCHEDULE_TAG
from brew_assets.domain.metrics import gauges
from brew_assets.domain.notifications.blocks import absence_message
from brew_assets.domain.quantities import rough_duration
from brew_assets.engine.notifier import Notification, Notifier
from brew_assets.engine.ports import Clock
from brew_assets.errors import UNREADABLE, ChannelError
from brew_assets.settings import Settings, read_settings

# Dagster's scheduler ticks within seconds; after so long it does not tick at all.
START_WITHIN = timedelta(hours=1)
_INTERVAL_S = 60
# A tick has a minute.
_NOTIFYING_S = 30.0
# CloudWatch's alarms look at periods of minutes.
_GAUGES_EVERY_S = 300.0
_BY_HAND = "a sync can be started by hand with the job selective_sync."
_NOT_STARTED = (
    f"No run of {SCHEDULE} was started for it. Check that Dagster's daemon runs and that the schedule is on; "
    f"{_BY_HAND}"
)
_CANCELLED = f"Its run of {SCHEDULE} was cancelled before it had a plan; {_BY_HAND}"


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A sync that is missing, of which some channel has had no message yet; `at` is its time, since 1970."""

    at: float
    finding: str


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """Since when somebody looks, up to which scheduled time all is settled, and when gauges were sent."""

    since: float
    settled: float
    gauges_at: float = 0.0
    unsent: tuple[Missing, ...] = msgspec.field(default=(), name="untold")
    expression: str = ""

    def under(self, expression: str, now: datetime) -> "Cursor":
        """The cursor under that SCHEDULE_EXPRESSION; by a new one nothing was scheduled before now."""
        changed = self.expression not in ("", expression)
        settled = now.timestamp() if changed else self.settled
        return msgspec.structs.replace(self, expression=expression, settled=settled)


def absence_sensor(settings: Settings, *, clock: Clock = CLOCK) -> dg.SensorDefinition:
    """The sensor; running from the start where there is a channel."""
    running, stopped = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED
    # Also without a schedule: whoever switches it on later is not to hear of the time before.
    return dg.SensorDefinition(
        name="report_missing_syncs",
        evaluation_fn=lambda context: report_missing_syncs(context, clock),
        minimum_interval_seconds=_INTERVAL_S,
        default_status=running if build_channels(settings) else stopped,
        description=(
            "Notifies once when a scheduled sync did not start, was cancelled before it had a plan, or did "
            "not end within SYNC_WINDOW_HOURS; publishes the age of the last good sync."
        ),
    )


def report_missing_syncs(context: dg.SensorEvaluationContext, clock: Clock) -> dg.SkipReason:
    """Notifies once of a scheduled sync that is missing."""
    settings, now = read_settings(), clock.now()
    cursor = _cursor(context.cursor, now).under(settings.schedule_expression, now)
    if now.timestamp() - cursor.gauges_at >= _GAUGES_EVERY_S:
        publish_gauges(context, settings, now, since=cursor.since)
        cursor = msgspec.structs.replace(cursor, gauges_at=now.timestamp())
    if schedule_is_running(context.instance, settings):
        cursor, finding = look_for_missing(context.instance, settings, cursor, clock, log=context.log)
    else:
        # Nothing is missed meanwhile, and nothing of it once the schedule is on again.
        unsent = notify_of_missing(context.instance, settings, cursor.unsent, clock, log=context.log)
        cursor = msgspec.structs.replace(cursor, settled=now.timestamp(), unsent=unsent)
        finding = "The schedule is stopped."
    context.update_cursor(msgspec.json.encode(cursor).decode())
    return dg.SkipReason(finding)


def look_for_missing(
    instance: dg.DagsterInstance, settings: Settings, cursor: Cursor, clock: Clock, *, log: Logger
) -> tuple[Cursor, str]:
    """The cursor after the scheduled times since the last settled one were looked at, and what was found.

    Several that are found missing at once make one message.
    """
    begin, now = datetime.fromtimestamp(cursor.settled + 1, tz=UTC), clock.now()
    window = timedelta(hours=settings.sync_window_hours)
    missing: list[tuple[datetime, str]] = []
    settled = cursor.settled
    for at, following in pairwise(scheduled_times(settings, after=begin)):
        finding = finding_of(instance, at, following, now, window) if at <= now else None
        if finding is None:
            # Neither well nor overdue: it and later ones are looked at again.
            break
        if finding:
            missing.append((at, finding))
        settled = at.timestamp()
    unsent = (*cursor.unsent, as_one(missing)) if missing else cursor.unsent
    finding = unsent[-1].finding if unsent else "Every scheduled sync is well or under way."
    unsent = notify_of_missing(instance, settings, unsent, clock, log=log)
    return msgspec.structs.replace(cursor, settled=settled, unsent=unsent), finding


def as_one(missing: Sequence[tuple[datetime, str]]) -> Missing:
    """The newest of them; its finding counts the others."""
    at, finding = missing[-1]
    if len(missing) > 1:
        finding += (
            f" {len(missing) - 1} scheduled before it are missing too, since {missing[0][0]:%Y-%m-%d %H:%M}."
        )
    return Missing(at=at.timestamp(), finding=finding)


def notify_of_missing(
    instance: dg.DagsterInstance, settings: Settings, unsent: Sequence[Missing], clock: Clock, *, log: Logger
) -> tuple[Missing, ...]:
    """Those that are left: not every channel has them, or gave up. One channel waits for no other."""
    notifier = Notifier(build_channels(settings, clock=clock), InstanceDeliveries(instance), clock, log=log)
    deadline = clock.monotonic() + _NOTIFYING_S
    return tuple(
        one
        for one in unsent
        if (left_s := deadline - clock.monotonic()) <= 0
        or not notifier.notify(
            f"scheduled-{datetime.fromtimestamp(one.at, tz=UTC):%Y%m%dT%H%M}",
            [absence_of(settings, one)],
            within_s=left_s,
        )
    )


def absence_of(settings: Settings, missing: Missing) -> Notification:
    """The sentence that people read of it."""
    message = absence_message(
        environment=settings.environment,
        scheduled_for=f"{datetime.fromtimestamp(missing.at, tz=UTC):%Y-%m-%d %H:%M}",
        finding=missing.finding,
        links=deployment_of(settings).links.of_schedule(SCHEDULE),
    )
    subject = f"[{settings.environment}] {message.text}"
    return Notification(name="absence", subject=subject, message=message)


def finding_of(
    instance: dg.DagsterInstance, at: datetime, following: datetime, now: datetime, window: timedelta
) -> str | None:
    """What is missing of the sync scheduled for that time; empty when nothing is, None while it is open."""
    records = instance.get_run_records(
        dg.RunsFilter(tags={SCHEDULE_TAG: SCHEDULE}, created_after=at - timedelta(seconds=1)),
        ascending=True,
        order_by="id",
    )
    mine = [record for record in records if record.create_timestamp.replace(tzinfo=UTC) < following]
    if all(was_cancelled_unplanned(instance, record) for record in mine):
        if now - at < min(START_WITHIN, window):
            return None
        return _CANCELLED if mine else _NOT_STARTED
    if any(has_ended(instance, record, now=now.timestamp()) for record in mine):
        return ""
    if now - at < window:
        return None
    return (
        f"It did not end within {rough_duration(window.total_seconds())} (SYNC_WINDOW_HOURS). It may still "
        "be going on: look at its runs."
    )


def was_cancelled_unplanned(instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    """Whether the planning run was cancelled before it had a plan."""
    run = record.dagster_run
    return run.status == dg.DagsterRunStatus.CANCELED and not made_a_plan(instance, run.run_id)


def has_ended(instance: dg.DagsterInstance, record: dg.RunRecord, *, now: float) -> bool:
    """Whether the planning run failed for good, or all runs of its plan have ended."""
    run = record.dagster_run
    if run.status == dg.DagsterRunStatus.FAILURE:
        return fate_of(instance, record, now=now) == "final"
    if run.status not in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED):
        return False
    records = instance.get_records_for_run(
        run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    ).records
    for event in records:
        if event.asset_key == pending_bottles.key and event.asset_materialization is not None:
            sync = opened_sync(
                instance,
                event.asset_materialization.metadata,
                run_id=run.run_id,
                at=event.timestamp,
            )
            return sync is None or status_of(instance, sync, now=now)[0].ended
    return run.status == dg.DagsterRunStatus.SUCCESS


def publish_gauges(
    context: dg.SensorEvaluationContext, settings: Settings, now: datetime, *, since: float
) -> None:
    """CloudWatch knows the age of the last good sync and what is pending; a failure is logged."""
    metrics = build_metrics(settings)
    if metrics is None:
        return
    state = InstanceDeliveries(context.instance).state()
    # Without a good sync so far the age counts from when somebody began to look.
    age_s = now.timestamp() - (state.last_good_at or since)
    try:
        metrics.publish(
            gauges(environment=settings.environment, pending=state.pending, last_good_age_s=age_s), now
        )
    except ChannelError as error:
        context.log.warning(f"The age of the last good sync was not published: {error}")


_cursor_decoder = msgspec.json.Decoder(Cursor)


def _cursor(text: str | None, now: datetime) -> Cursor:
    try:
        return _cursor_decoder.decode((text or "").encode())
    except UNREADABLE:
        return Cursor(since=now.timestamp(), settled=now.timestamp())
