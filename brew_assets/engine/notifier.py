"""Notifications: sent to each channel in order, and none of them twice.

What was delivered is recorded before and after each sending. A process that is killed while it sends leaves
the record `sending`: nobody can know whether the message arrived, and it is not sent again. The same holds
for one that was sent and not answered. A channel that is busy is left alone by every message.
"""

import logging
from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from brew_assets.domain.metrics import Metric
from brew_assets.domain.notifications.blocks import Message
from brew_assets.engine.ports import Clock
from brew_assets.engine.retry import Backoff
from brew_assets.errors import ChannelBusy, ChannelError, ChannelUncertain

logger = logging.getLogger(__name__)

# Longer than a channel's own time-out: after it nobody is sending any more.
_SENDING_S = 60.0
_BACKOFF = Backoff(first_s=15.0, cap_s=600.0)
# A channel that is down for a day has other problems than a late message.
_GIVE_UP_S = 86_400.0
# What a busy channel may ask for at most.
LONGEST_BUSY_S = 86_400.0
# A gateway knows no better than we do what became of the request.
UNCERTAIN_STATUSES = frozenset({502, 504})


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One message to send. `channel` is the Slack channel that was asked for; empty means the usual one.

    `outcome` is how the sync ended by it, empty where it does not say. `corrects` names an earlier one: only
    a channel that was given that one with another outcome gets this.
    """

    name: str
    subject: str
    message: Message | None = None
    channel: str = ""
    security: str = ""
    metrics: tuple[Metric, ...] = ()
    outcome: str = ""
    corrects: str = ""


class Channel(Protocol):
    """A way to people or other systems."""

    name: str

    def takes(self, notification: Notification) -> bool:
        """Whether it has something for this channel."""

    def send(self, notification: Notification) -> None:
        """It was taken.

        Raises:
            ChannelBusy, ChannelFailed, ChannelRefused: it was not.
            ChannelUncertain: it may have been.
        """


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a notification on a channel, and when that was recorded, in seconds since 1970.

    `outcome` is what the notification said of the sync's end, empty where it said nothing of it.
    """

    state: Literal["sending", "sent", "dropped"]
    at: float
    outcome: str = ""

    @property
    def is_settled(self) -> bool:
        """Whether the channel has it, may have it, or never will."""
        return self.state != "sending"


class DeliveryRecord(Protocol):
    """Where the deliveries of one sync are recorded, longer than any process lives; `subject` names it."""

    subject: str

    def read(self, name: str, channel: str) -> Delivery | None:
        """What became of the notification; None when it was never sent, or is to be sent again."""

    def write(self, name: str, channel: str, state: str, outcome: str) -> None:
        """Records one of a delivery's states, or `waiting`: it did not arrive and is to be sent again."""


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """How long a message or a channel is left alone after so many failures; times are seconds since 1970."""

    tries: int
    first_at: float
    until: float


class Notifier:
    """Sends notifications to all channels; what goes wrong with one harms neither the others nor a sync.

    `waits` is changed in place. Whoever keeps it from one notifier to the next has channels that are down
    asked less and less often; without it they are asked again at once.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        waits: dict[str, Wait],
        clock: Clock,
        *,
        log: logging.Logger = logger,
    ) -> None:
        self._channels = channels
        self._waits = waits
        self._clock = clock
        self._log = log

    def notify(
        self, record: DeliveryRecord, notifications: Sequence[Notification], *, within_s: float = 30.0
    ) -> bool:
        """Whether nothing is left to do: each was taken, or given up, by every channel that it is for.

        A channel gets them in the given order: a later one waits for an earlier one. No sending begins
        after so many seconds.
        """
        deadline = self._clock.monotonic() + within_s
        settled = True
        for channel in self._channels:
            for notification in notifications:
                if not channel.takes(notification) or not _is_wanted(record, channel, notification):
                    continue
                if self._clock.monotonic() > deadline or not self._deliver(record, channel, notification):
                    settled = False
                    break
        return settled

    def given(self, record: DeliveryRecord, name: str) -> list[Delivery]:
        """What became of the notification on each channel that has it or may have it."""
        found = (record.read(name, channel.name) for channel in self._channels)
        return [delivery for delivery in found if delivery is not None]

    def send_best_effort(
        self, record: DeliveryRecord, notification: Notification, *, after: Sequence[str] = ()
    ) -> None:
        """Each channel gets it now or never, and only if those `after` have been settled there.

        Nothing is recorded: whoever calls knows what was sent before.
        """
        for channel in self._channels:
            before = [record.read(name, channel.name) for name in after]
            if (
                channel.takes(notification)
                and not self._is_waiting(_hold_of(channel))
                and all(delivery is not None and delivery.is_settled for delivery in before)
                and (error := self._attempt(channel, notification)) is not None
            ):
                key = f"{record.subject}/{notification.name}/{channel.name}"
                self._log.warning("%s: given up: %s", key, error)

    def _deliver(self, record: DeliveryRecord, channel: Channel, notification: Notification) -> bool:
        """Whether the channel has it, or never will."""
        # `sending` is recorded before the message leaves, its end afterwards. So whoever finds `sending`
        # young leaves it to its sender. Where it is old, the sender is dead: sent again, the message might
        # come twice; left so, it would hold up all that follow. Dropped, it is settled, and may have arrived.
        name, key = notification.name, f"{record.subject}/{notification.name}/{channel.name}"
        known = record.read(name, channel.name)
        if known is not None and known.is_settled:
            return True
        if known is not None:
            if self._now() - known.at < _SENDING_S:
                return False
            self._log.warning("%s: may have arrived and is not sent again: whoever sent it was stopped", key)
            record.write(name, channel.name, "dropped", known.outcome)
            return True
        if self._is_waiting(key) or self._is_waiting(_hold_of(channel)):
            return False
        record.write(name, channel.name, "sending", notification.outcome)
        error = self._attempt(channel, notification)
        state = "sent" if error is None else self._state_after(key, error)
        record.write(name, channel.name, state, notification.outcome)
        if state == "waiting":
            return False
        self._waits.pop(key, None)
        return True

    def _attempt(self, channel: Channel, notification: Notification) -> ChannelError | None:
        """Why the channel did not take it; one that is busy is left alone from now on."""
        try:
            channel.send(notification)
        except ChannelBusy as busy:
            self._put_off(_hold_of(channel), busy.wait_s)
            return busy
        except ChannelError as error:
            return error
        except Exception as error:  # a mistake in one channel must not silence the others
            # Nothing of its text is shown: it may have a webhook's address in it.
            return ChannelUncertain(f"a {type(error).__name__}")
        self._waits.pop(_hold_of(channel), None)
        return None

    def _state_after(self, key: str, error: ChannelError) -> str:
        """What the record says of a notification that was not taken: whether it is sent again."""
        if isinstance(error, ChannelUncertain):
            self._log.warning("%s: may have arrived and is not sent again: %s", key, error)
            return "dropped"
        wait = self._put_off(key, error.wait_s if isinstance(error, ChannelBusy) else None)
        if self._now() - wait.first_at > _GIVE_UP_S:
            self._log.warning("%s: given up after %d tries: %s", key, wait.tries, error)
            return "dropped"
        self._log.warning("%s: not sent, tried again in %.0f s: %s", key, wait.until - self._now(), error)
        return "waiting"

    def _put_off(self, key: str, wait_s: float | None) -> Wait:
        """Nothing is sent under that key for so long, else for longer with each failure."""
        now, before = self._now(), self._waits.get(key)
        tries = before.tries + 1 if before else 1
        if wait_s is None:
            wait_s = _BACKOFF.longest_s(tries)
        wait = Wait(tries=tries, first_at=before.first_at if before else now, until=now + wait_s)
        self._waits[key] = wait
        return wait

    def _is_waiting(self, key: str) -> bool:
        wait = self._waits.get(key)
        return wait is not None and self._now() < wait.until

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _is_wanted(record: DeliveryRecord, channel: Channel, notification: Notification) -> bool:
    """Whether the channel was given what the notification corrects, if it corrects anything."""
    if not notification.corrects:
        return True
    earlier = record.read(notification.corrects, channel.name)
    return earlier is not None and earlier.outcome not in ("", notification.outcome)


def _hold_of(channel: Channel) -> str:
    """The key of the wait of the whole channel."""
    return f"channel/{channel.name}"
