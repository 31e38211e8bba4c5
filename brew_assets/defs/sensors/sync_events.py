"""From events to plans: what people put on EventBridge, or straight into the queue, starts a sync."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import dagster as dg
import msgspec

from brew_assets.compose.channels import build_event_queue
from brew_assets.configured import configured_platforms
from brew_assets.defs.jobs import selective_sync
from brew_assets.defs.tags import (
    CHANNEL_TAG,
    EVENT_ID_TAG,
    PRIORITY_TAG,
    REQUESTED_BY_TAG,
    RUN_KEY_TAG,
    SENSOR_TAG,
    TRIGGER_TAG,
)
from brew_assets.domain.sync_event import Trigger, decode_trigger, is_event_id
from brew_assets.errors import UNREADABLE, QueueUnavailable, TriggerInvalid
from brew_assets.settings import Settings, read_settings

if TYPE_CHECKING:
    from brew_assets.adapters.aws.sqs import EventQueue, ReceivedEvent

SENSOR = "take_sync_events"
MAX_EVENTS_PER_TICK = 10
_INTERVAL_S = 30
MAX_WAITING = 40
# Ticks after which a message is left to its redelivery, which brings a newer handle.
_MAX_LOOKS = 10
_MAX_CURSOR_CHARACTERS = 200_000


class Waiting(msgspec.Struct, frozen=True):
    """A message that has to be deleted once the run of its event is queued."""

    event_id: str
    handle: str
    looks: int = 0


def trigger_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor that takes events; running from the start where a queue is named and SCHEDULE_ENABLED."""
    running, stopped = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED
    return dg.SensorDefinition(
        name=SENSOR,
        evaluation_fn=take_sync_events,
        job=selective_sync,
        minimum_interval_seconds=_INTERVAL_S,
        default_status=running if settings.trigger_queue_url and settings.schedule_enabled else stopped,
        description="Starts one planning run for every event in the queue (TRIGGER_QUEUE_URL).",
    )


def take_sync_events(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """One run request per event. Its message is deleted by a later tick, once the run is queued.

    The cursor holds the handles of those messages. When it is lost, or the run never came to be, the message
    becomes visible again and is looked at anew.
    """
    settings = read_settings()
    queue = build_event_queue(settings)
    if queue is None:
        return dg.SensorResult(skip_reason="TRIGGER_QUEUE_URL names no queue.")
    with closing(queue):
        tick = _Tick(context, queue, configured_platforms(settings))
        try:
            tick.settle(decode_cursor(context.cursor))
            events = queue.receive(MAX_EVENTS_PER_TICK)
        except QueueUnavailable as error:
            context.log.warning(str(error))
            return dg.SensorResult(skip_reason=f"The queue of events is not available: {error}")
        for event in events:
            tick.take(event)
    cursor = encode_cursor(tick.waiting)
    if not tick.requests:
        return dg.SensorResult(skip_reason=f"{len(events)} event(s), no new sync.", cursor=cursor)
    return dg.SensorResult(run_requests=list(tick.requests.values()), cursor=cursor)


class _Tick:
    """One look into the queue: the runs to ask for, and the messages that wait for theirs."""

    def __init__(
        self, context: dg.SensorEvaluationContext, queue: "EventQueue", platforms: Sequence[str]
    ) -> None:
        self.requests: dict[str, dg.RunRequest] = {}
        self.waiting: list[Waiting] = []
        self._context = context
        self._queue = queue
        self._platforms = platforms
        self._reachable = True

    def settle(self, waiting: Sequence[Waiting]) -> None:
        """Messages whose runs are queued are deleted; the others go on waiting, for a while.

        Raises:
            QueueUnavailable: the queue did not answer, or refused.
        """
        for message in waiting:
            if is_queued(self._context.instance, message.event_id):
                self._queue.delete(message.handle)
            elif message.looks < _MAX_LOOKS:
                self.waiting.append(msgspec.structs.replace(message, looks=message.looks + 1))

    def take(self, event: "ReceivedEvent") -> None:
        """The event is requested, or deleted because its run is queued, or buried because it is none."""
        subject = f"message {event.message_id}"
        try:
            trigger = decode_trigger(event.body, message_id=event.message_id, configured=self._platforms)
        except TriggerInvalid as error:
            reason = str(error)
            self._context.log.warning(f"{subject} starts no sync: {reason}")
            self._try(lambda: self._bury(event, reason), subject)
            return
        if is_queued(self._context.instance, trigger.id):
            self._context.log.info(f"{subject}: the run of event {trigger.id} is queued already.")
            self._try(lambda: self._queue.delete(event.handle), subject)
            return
        if trigger.id not in self.requests:
            self.requests[trigger.id] = run_request(trigger)
        self.waiting.append(Waiting(trigger.id, event.handle))

    def _bury(self, event: "ReceivedEvent", reason: str) -> None:
        if not self._queue.bury(event, reason):
            self._context.log.warning(
                f"message {event.message_id} stays in its queue: TRIGGER_DEAD_LETTER_QUEUE_URL is empty."
            )

    def _try(self, operation: Callable[[], object], subject: str) -> None:
        """The operation's effect, or a warning; after one failure only a warning: a tick has a minute."""
        try:
            if self._reachable:
                operation()
        except QueueUnavailable as error:
            self._reachable = False
            self._context.log.warning(str(error))
        if not self._reachable:
            self._context.log.warning(f"{subject} stays in its queue and comes again.")


def is_queued(instance: dg.DagsterInstance, event_id: str) -> bool:
    """Whether the event has its run. One that was created and never submitted is none yet.

    Dagster submits such a run when it is requested again with its run key (dagster/_daemon/sensor.py).
    """
    runs = instance.get_runs(filters=dg.RunsFilter(tags={RUN_KEY_TAG: event_id}))
    return any(
        run.tags.get(SENSOR_TAG) == SENSOR and run.status != dg.DagsterRunStatus.NOT_STARTED for run in runs
    )


def run_request(trigger: Trigger) -> dg.RunRequest:
    """The planning run that the event asks for."""
    return dg.RunRequest(run_key=trigger.id, tags=trigger_tags(trigger), run_config=run_config(trigger))


def trigger_tags(trigger: Trigger) -> dict[str, str]:
    """Who asked, as the tags of the planning run say it; those of its transfers inherit them."""
    tags = {
        TRIGGER_TAG: "Selective" if trigger.is_selective else "Manual",
        EVENT_ID_TAG: trigger.id,
        REQUESTED_BY_TAG: trigger.requested_by,
        CHANNEL_TAG: trigger.notification_channel,
        PRIORITY_TAG: str(trigger.priority or ""),
    }
    return {name: value for name, value in tags.items() if value}


def run_config(trigger: Trigger) -> dict[str, Any]:
    """The run config of selective_sync; empty for a sync of everything that is missing."""
    asked = {
        "formula_names": list(trigger.formula_names),
        "platforms": list(trigger.platforms),
        "force_download": trigger.force_download,
        "rebuild_manifest": trigger.rebuild_manifest,
    }
    config = {name: value for name, value in asked.items() if value}
    if trigger.include_dependencies is not None:
        config["include_dependencies"] = trigger.include_dependencies
    return {"ops": {"pending_bottles": {"config": config}}} if config else {}


def encode_cursor(waiting: Sequence[Waiting]) -> str:
    """The newest of the messages as JSON; older ones come again by themselves."""
    return msgspec.json.encode(waiting[-MAX_WAITING:]).decode()


_waiting_decoder = msgspec.json.Decoder(list[Waiting])


def decode_cursor(cursor: str | None) -> list[Waiting]:
    """The messages in a cursor; none in one that somebody has changed to something else."""
    if not cursor or len(cursor) > _MAX_CURSOR_CHARACTERS:
        return []
    try:
        waiting = _waiting_decoder.decode(cursor)
    except UNREADABLE:
        return []
    # Another id is no event's, and databases refuse some.
    return [message for message in waiting if is_event_id(message.event_id)][-MAX_WAITING:]
