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
    """What became of a notification on a channel; times are seconds since 1970.

    `outcome` is what the last sending said of the sync's end, empty in the record of an earlier version.
    """

    state: Literal["sending", "waiting", "sent", "dropped"]
    at: float
    first_at: float
    tries: int = 0
    not_before: float = 0.0
    outcome: str = ""


class DeliveryRecord(Protocol):
    """Where deliveries are remembered, longer than any process lives."""

    def read(self, key: str) -> Delivery | None:
        """What became of it, None when it was never tried."""

    def write(self, key: str, delivery: Delivery) -> None:
        """It is remembered."""


class Notifier:
    """Sends notifications to all channels; what goes wrong with one harms neither the others nor a sync."""

    def __init__(
        self,
        channels: Sequence[Channel],
        record: DeliveryRecord,
        clock: Clock,
        *,
        log: logging.Logger = logger,
    ) -> None:
        self._channels = channels
        self._record = record
        self._clock = clock
        self._log = log

    def notify(self, sync: str, notifications: Sequence[Notification], *, within_s: float = 30.0) -> bool:
        """Whether nothing is left to do: each was taken, or given up, by every channel that it is for.

        A channel gets them in the given order: a later one waits for an earlier one. No sending begins
        after so many seconds.
        """
        deadline = self._clock.monotonic() + within_s
        settled = True
        for channel in self._channels:
            for notification in notifications:
                if not channel.takes(notification) or not self._is_wanted(sync, channel, notification):
                    continue
                key = f"{sync}/{notification.name}/{channel.name}"
                if self._clock.monotonic() > deadline or not self._deliver(key, channel, notification):
                    settled = False
                    break
        return settled

    def given(self, sync: str, name: str) -> list[Delivery]:
        """What became of the notification on each channel to which sending began."""
        found = (self._record.read(f"{sync}/{name}/{channel.name}") for channel in self._channels)
        return [delivery for delivery in found if delivery is not None and delivery.tries]

    def send_best_effort(self, sync: str, notification: Notification, *, after: Sequence[str] = ()) -> None:
        """Each channel gets it now or never, and only if those `after` have been settled there."""
        for channel in self._channels:
            before = [self._record.read(f"{sync}/{name}/{channel.name}") for name in after]
            key = f"{sync}/{notification.name}/{channel.name}"
            if (
                channel.takes(notification)
                and not self._is_busy(channel)
                and all(d is not None and d.state in ("sent", "dropped") for d in before)
                and self._record.read(key) is None
            ):
                now = self._now()
                self._send(key, channel, notification, _untried(now), once=True)

    def _is_wanted(self, sync: str, channel: Channel, notification: Notification) -> bool:
        """Whether the channel was given what the notification corrects, if it corrects anything."""
        if not notification.corrects:
            return True
        earlier = self._record.read(f"{sync}/{notification.corrects}/{channel.name}")
        return earlier is not None and earlier.outcome not in ("", notification.outcome)

    def _deliver(self, key: str, channel: Channel, notification: Notification) -> bool:
        """Whether the channel has it, or never will."""
        now = self._now()
        known = self._record.read(key) or _untried(now)
        if known.state in ("sent", "dropped"):
            return True
        if known.state == "sending":
            if now - known.at < _SENDING_S:
                return False
            self._log.warning("%s: may have arrived and is not sent again: whoever sent it was stopped", key)
            self._record.write(key, msgspec.structs.replace(known, state="dropped"))
            return True
        if now < known.not_before or self._is_busy(channel):
            return False
        return self._send(key, channel, notification, known)

    def _send(
        self, key: str, channel: Channel, notification: Notification, known: Delivery, *, once: bool = False
    ) -> bool:
        sending = msgspec.structs.replace(
            known, state="sending", at=self._now(), tries=known.tries + 1, outcome=notification.outcome
        )
        self._record.write(key, sending)
        try:
            channel.send(notification)
        except ChannelError as error:
            return self._not_sent(key, channel, error, sending, once=once)
        except Exception as error:  # a mistake in one channel must not silence the others
            # Nothing of its text is shown: it may have a webhook's address in it.
            uncertain = ChannelUncertain(f"a {type(error).__name__}")
            return self._not_sent(key, channel, uncertain, sending, once=once)
        self._record.write(key, msgspec.structs.replace(sending, state="sent", at=self._now()))
        return True

    def _not_sent(
        self, key: str, channel: Channel, error: ChannelError, sending: Delivery, *, once: bool
    ) -> bool:
        """Whether it is given up."""
        now = self._now()
        wait_s = _BACKOFF.longest_s(sending.tries)
        if isinstance(error, ChannelBusy):
            wait_s = wait_s if error.wait_s is None else error.wait_s
            hold = Delivery(state="waiting", at=now, first_at=now, not_before=now + wait_s)
            self._record.write(_hold_of(channel), hold)
        if isinstance(error, ChannelUncertain):
            self._log.warning("%s: may have arrived and is not sent again: %s", key, error)
        elif once or now - sending.first_at > _GIVE_UP_S:
            self._log.warning("%s: given up after %d tries: %s", key, sending.tries, error)
        else:
            self._log.warning("%s: not sent, tried again in %.0f s: %s", key, wait_s, error)
            waiting = msgspec.structs.replace(sending, state="waiting", at=now, not_before=now + wait_s)
            self._record.write(key, waiting)
            return False
        self._record.write(key, msgspec.structs.replace(sending, state="dropped", at=now))
        return True

    def _is_busy(self, channel: Channel) -> bool:
        """Whether the channel asked to be left alone for longer."""
        hold = self._record.read(_hold_of(channel))
        return hold is not None and self._now() < hold.not_before

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _hold_of(channel: Channel) -> str:
    """The key of the record until when the channel is left alone."""
    return f"channel/{channel.name}"


def _untried(now: float) -> Delivery:
    return Delivery(state="waiting", at=now, first_at=now)
