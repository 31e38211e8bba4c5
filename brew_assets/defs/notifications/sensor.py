"""The sensor that notifies people and other systems of syncs: one start and one end for each, in order."""

from collections.abc import Sequence
from datetime import datetime

import dagster as dg
import msgspec

from brew_assets.compose.channels import build_channels, build_metrics
from brew_assets.compose.store import CLOCK
from brew_assets.defs.notifications.due import FOLLOWED_FOR_S, DueNotifications
from brew_assets.defs.notifications.from_before import cursor_from_before
from brew_assets.defs.notifications.missing_syncs import look_for_missing
from brew_assets.defs.notifications.open_syncs import Cursor, first_cursor, newly_failed, newly_planned
from brew_assets.defs.notifications.run_history import OpenSync
from brew_assets.domain.metrics import gauges
from brew_assets.engine.ports import Clock
from brew_assets.errors import UNREADABLE, ChannelError
from brew_assets.settings import Settings, read_settings

# Of those whose end was no success. Each costs every tick a query, and the cursor its plan's figures.
MOST_FOLLOWED = 50
# A message is given up after a day; what waited for longer is over.
_WAITS_FOR_S = 2 * 86_400.0
# CloudWatch's alarms look at periods of minutes.
_GAUGES_EVERY_S = 300.0
_cursor_decoder = msgspec.json.Decoder(Cursor)


def notifying_sensor(settings: Settings, *, clock: Clock = CLOCK) -> dg.SensorDefinition:
    """The sensor; running from the start where there is a channel."""
    running, stopped = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED
    return dg.SensorDefinition(
        name="announce_syncs",
        evaluation_fn=lambda context: announce_syncs(context, clock),
        minimum_interval_seconds=max(1, min(30, int(settings.progress_update_interval))),
        default_status=running if build_channels(settings) else stopped,
        description=(
            "Notifies Slack, SNS and CloudWatch when a sync starts, how far it is, and how it ended; once "
            "when a scheduled sync did not start, was cancelled before it had a plan, or did not end within "
            "SYNC_WINDOW_HOURS. Publishes the age of the last good sync."
        ),
    )


def announce_syncs(context: dg.SensorEvaluationContext, clock: Clock) -> dg.SkipReason:
    """Sends the messages that are due; the cursor keeps what has more."""
    settings, now = read_settings(), clock.now()
    channels = build_channels(settings, clock=clock)
    if not channels:
        return dg.SkipReason("No channel is configured.")
    instance = context.instance
    known = decode_cursor(context.cursor) or cursor_from_before(instance, context.cursor, now)
    cursor = publish_gauges(context, settings, known or first_cursor(now), now)
    since = now.timestamp() - _WAITS_FOR_S
    waits = {key: wait for key, wait in cursor.waits.items() if wait.first_at > since}
    due = DueNotifications(
        instance, settings, channels, clock, waits=waits, state=cursor.state, log=context.log
    )
    if known is None:
        cursor, planned = newly_planned(instance, cursor, now=now, within_s=FOLLOWED_FOR_S)
    else:
        cursor, planned = newly_planned(instance, cursor, now=now)
    syncs = [*cursor.syncs, *(sync for sync in planned if sync.created_at >= cursor.since)]
    if known is None:
        earlier = [sync for sync in planned if sync.created_at < cursor.since]
        recalled = (due.recall(sync, is_newest=sync is planned[-1]) for sync in earlier)
        syncs += [sync for sync in recalled if sync is not None]
    cursor = newly_failed(instance, cursor, now=now)
    left = [one for sync in syncs if (one := due.notify(sync)) is not None]
    plannings = tuple(one for one in cursor.plannings if not due.notify_of_failed_planning(one))
    watch, finding = look_for_missing(instance, settings, cursor.watch, now)
    unsent = tuple(one for one in watch.unsent if not due.notify_of_missing(one))
    cursor = msgspec.structs.replace(
        cursor,
        syncs=bounded(left),
        plannings=plannings,
        watch=msgspec.structs.replace(watch, unsent=unsent),
        waits=waits,
        state=due.state,
    )
    context.update_cursor(msgspec.json.encode(cursor).decode())
    waiting = sum(not sync.is_incomplete for sync in left) + len(plannings) + len(cursor.undecided)
    still = "1 sync still has" if waiting == 1 else f"{waiting} syncs still have"
    return dg.SkipReason(f"{still} messages to send. {finding}")


def bounded(syncs: Sequence[OpenSync]) -> tuple[OpenSync, ...]:
    """Those that have messages to send, and the newest of those that are only followed."""
    followed = sorted((sync for sync in syncs if sync.is_incomplete), key=lambda sync: sync.created_at)
    waiting = [sync for sync in syncs if not sync.is_incomplete]
    return (*waiting, *followed[-MOST_FOLLOWED:])


def decode_cursor(text: str | None) -> Cursor | None:
    """The cursor, None before the first tick and where another version wrote it."""
    try:
        return _cursor_decoder.decode((text or "").encode())
    except UNREADABLE:
        return None


def publish_gauges(
    context: dg.SensorEvaluationContext, settings: Settings, cursor: Cursor, now: datetime
) -> Cursor:
    """CloudWatch knows every few minutes how old the last good sync is and what is pending.

    The cursor that comes back knows when. A failure is logged.
    """
    metrics, state = build_metrics(settings), cursor.state
    if metrics is None or now.timestamp() - cursor.gauges_at < _GAUGES_EVERY_S:
        return cursor
    # Without a good sync so far the age counts from when somebody began to look.
    age_s = now.timestamp() - (state.last_good_at or cursor.since)
    try:
        metrics.publish(
            gauges(environment=settings.environment, pending=state.pending, last_good_age_s=age_s), now
        )
    except ChannelError as error:
        context.log.warning(f"The age of the last good sync was not published: {error}")
    return msgspec.structs.replace(cursor, gauges_at=now.timestamp())
