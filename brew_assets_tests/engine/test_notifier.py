"""Announcements: in order, none twice, and no channel harms another."""

import logging
from datetime import timedelta

import msgspec
import pytest

from brew_assets.domain.notifications.blocks import Message
from brew_assets.engine.notifier import Delivery, Notification, Notifier, Wait
from brew_assets.errors import ChannelBusy, ChannelError, ChannelFailed, ChannelRefused, ChannelUncertain
from brew_assets_tests.fakes import START, FakeClock


class Record:
    """The deliveries of one sync in memory; `stop_at` makes the process die when it writes that state."""

    def __init__(self, clock: FakeClock, subject: str = "sync") -> None:
        self.subject = subject
        self.states: dict[str, str] = {}
        self.stop_at: str | None = None
        self._clock = clock
        self._deliveries: dict[str, Delivery] = {}

    def read(self, name: str, channel: str) -> Delivery | None:
        return self._deliveries.get(f"{name}/{channel}")

    def write(self, name: str, channel: str, state: str, outcome: str) -> None:
        if state == self.stop_at:
            raise KeyboardInterrupt
        key = f"{name}/{channel}"
        self.states[key] = state
        self._deliveries.pop(key, None)
        if state in ("sending", "sent", "dropped"):
            known = {"state": state, "at": self._clock.now().timestamp(), "outcome": outcome}
            self._deliveries[key] = msgspec.convert(known, Delivery)


class Recorder:
    """A channel that keeps what it took, and fails as it is told."""

    def __init__(self, name: str = "slack", *, security_only: bool = False) -> None:
        self.name = name
        self.taken: list[str] = []
        self.tried = 0
        self.errors: list[Exception] = []
        self.down: ChannelError | None = None
        self._security_only = security_only

    def takes(self, notification: Notification) -> bool:
        return bool(notification.security) if self._security_only else notification.message is not None

    def send(self, notification: Notification) -> None:
        self.tried += 1
        if self.down is not None:
            raise self.down
        if self.errors:
            raise self.errors.pop(0)
        self.taken.append(notification.name)


def notification(name: str, *, security: str = "") -> Notification:
    return Notification(name=name, subject=name, message=Message(text=name, blocks=()), security=security)


DUE = [notification("start"), notification("end")]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def record(clock: FakeClock) -> Record:
    return Record(clock)


@pytest.fixture
def waits() -> dict[str, Wait]:
    return {}


def test_each_is_told_once_and_in_order(clock: FakeClock, record: Record, waits: dict[str, Wait]) -> None:
    slack = Recorder()
    notifier = Notifier([slack], waits, clock)
    assert notifier.notify(record, DUE[:1])
    assert notifier.notify(record, DUE)
    assert notifier.notify(record, DUE)
    assert slack.taken == ["start", "end"]


def test_another_sync_has_messages_of_its_own(clock: FakeClock, waits: dict[str, Wait]) -> None:
    one, two = Record(clock, "one"), Record(clock, "two")
    slack = Recorder()
    notifier = Notifier([slack], waits, clock)
    assert notifier.notify(one, DUE)
    assert notifier.notify(two, DUE)
    assert slack.taken == ["start", "end", "start", "end"]


def test_a_channel_that_is_down_keeps_the_order_and_harms_no_other(
    clock: FakeClock, record: Record, waits: dict[str, Wait]
) -> None:
    slack, sns = Recorder("slack"), Recorder("sns")
    notifier = Notifier([slack, sns], waits, clock)
    slack.down = ChannelFailed("down")
    assert not notifier.notify(record, DUE)
    assert (slack.tried, sns.taken) == (1, ["start", "end"])
    # Not before its time.
    assert not notifier.notify(record, DUE)
    assert slack.tried == 1
    slack.down = None
    clock.advance(16)
    assert notifier.notify(record, DUE)
    assert slack.taken == ["start", "end"]
    assert sns.taken == ["start", "end"]


def test_a_busy_channel_is_left_alone_as_long_as_it_asks(
    clock: FakeClock, record: Record, waits: dict[str, Wait]
) -> None:
    slack = Recorder()
    notifier = Notifier([slack], waits, clock)
    slack.errors = [ChannelBusy("busy", wait_s=90)]
    assert not notifier.notify(record, DUE)
    clock.advance(89)
    assert not notifier.notify(record, DUE)
    assert slack.tried == 1
    clock.advance(2)
    assert notifier.notify(record, DUE)
    assert slack.taken == ["start", "end"]


def test_a_busy_channel_is_left_alone_by_every_message(clock: FakeClock, waits: dict[str, Wait]) -> None:
    one, two, three = Record(clock, "one"), Record(clock, "two"), Record(clock, "three")
    slack, sns = Recorder("slack"), Recorder("sns")
    notifier = Notifier([slack, sns], waits, clock)
    slack.errors = [ChannelBusy("busy", wait_s=3600)]
    assert not notifier.notify(one, DUE[:1])
    clock.advance(3599)
    assert not notifier.notify(two, DUE)
    notifier.send_best_effort(three, notification("progress-1"))
    assert (slack.tried, sns.taken) == (1, ["start", "start", "end", "progress-1"])
    clock.advance(2)
    assert notifier.notify(one, DUE)
    assert notifier.notify(two, DUE)
    assert slack.taken == ["start", "end", "start", "end"]


def test_a_channel_that_is_too_busy_for_progress_is_left_alone_by_the_end_too(
    clock: FakeClock, record: Record, waits: dict[str, Wait]
) -> None:
    slack = Recorder()
    notifier = Notifier([slack], waits, clock)
    assert notifier.notify(record, DUE[:1])
    slack.errors = [ChannelBusy("busy", wait_s=90)]
    notifier.send_best_effort(record, notification("progress-1"), after=["start"])
    assert not notifier.notify(record, DUE)
    clock.advance(91)
    assert notifier.notify(record, DUE)
    assert slack.taken == ["start", "end"]


def test_a_channel_that_is_busy_without_saying_how_long_is_left_alone_by_every_message(
    clock: FakeClock, waits: dict[str, Wait]
) -> None:
    one, two = Record(clock, "one"), Record(clock, "two")
    slack = Recorder()
    notifier = Notifier([slack], waits, clock)
    slack.errors = [ChannelBusy("busy")]
    assert not notifier.notify(one, DUE)
    assert not notifier.notify(two, DUE)
    assert slack.tried == 1
    clock.advance(16)
    assert notifier.notify(two, DUE)
    assert notifier.notify(one, DUE)


def test_the_reasons_stand_in_the_log_that_is_given(
    clock: FakeClock, record: Record, waits: dict[str, Wait], caplog: pytest.LogCaptureFixture
) -> None:
    slack = Recorder()
    slack.errors = [ChannelFailed("the reason")]
    assert not Notifier([slack], waits, clock, log=logging.getLogger("a tick")).notify(record, DUE)
    assert [(r.name, "the reason" in r.getMessage()) for r in caplog.records] == [("a tick", True)]


def test_waits_grow_and_a_day_later_a_message_is_given_up(
    clock: FakeClock, record: Record, waits: dict[str, Wait]
) -> None:
    slack = Recorder()
    notifier = Notifier([slack], waits, clock)
    slack.down = ChannelRefused("no such webhook")
    begun = clock.monotonic()
    while not notifier.notify(record, DUE):
        clock.advance(15)
    assert clock.monotonic() - begun > timedelta(days=1).total_seconds()
    assert slack.tried < 600
    assert set(record.states.values()) == {"dropped"}
    assert slack.taken == []


def test_what_was_sent_when_the_process_died_is_not_sent_again(
    clock: FakeClock, record: Record, waits: dict[str, Wait]
) -> None:
    slack = Recorder()
    record.stop_at = "sent"
    with pytest.raises(KeyboardInterrupt):
        Notifier([slack], waits, clock).notify(record, DUE)
    record.stop_at = None
    # For a minute it might still be on its way by somebody else's hand.
    assert not Notifier([slack], waits, clock).notify(record, DUE)
    clock.advance(61)
    assert Notifier([slack], waits, clock).notify(record, DUE)
    assert slack.taken == ["start", "end"]


def test_what_was_not_yet_begun_when_the_process_died_is_sent(
    clock: FakeClock, record: Record, waits: dict[str, Wait]
) -> None:
    slack = Recorder()
    record.stop_at = "sending"
    with pytest.raises(KeyboardInterrupt):
        Notifier([slack], waits, clock).notify(record, DUE)
    record.stop_at = None
    assert Notifier([slack], waits, clock).notify(record, DUE)
    assert slack.taken == ["start", "end"]


@pytest.mark.parametrize("error", [ChannelUncertain("no answer"), ZeroDivisionError("PLANTED")])
def test_what_may_have_arrived_is_not_sent_again_and_harms_no_other(
    clock: FakeClock,
    record: Record,
    waits: dict[str, Wait],
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    slack, sns = Recorder("slack"), Recorder("sns")
    slack.errors = [error]
    notifier = Notifier([slack, sns], waits, clock)
    assert notifier.notify(record, DUE)
    assert (slack.taken, sns.taken) == (["end"], ["start", "end"])
    assert record.states["start/slack"] == "dropped"
    assert "sync/start/slack: may have arrived and is not sent again" in caplog.text
    assert "PLANTED" not in caplog.text


def test_a_channel_gets_only_what_is_for_it(clock: FakeClock, record: Record, waits: dict[str, Wait]) -> None:
    security = Recorder("security", security_only=True)
    due = [notification("start"), notification("end", security="a digest that does not fit")]
    assert Notifier([security], waits, clock).notify(record, due)
    assert security.taken == ["end"]


def test_progress_is_told_now_or_never_and_only_after_the_start(
    clock: FakeClock, record: Record, waits: dict[str, Wait]
) -> None:
    slack = Recorder()
    notifier = Notifier([slack], waits, clock)
    notifier.send_best_effort(record, notification("progress-1"), after=["start"])
    assert slack.taken == []
    notifier.notify(record, DUE[:1])
    notifier.send_best_effort(record, notification("progress-2"), after=["start"])
    slack.errors = [ChannelFailed("down")]
    notifier.send_best_effort(record, notification("progress-3"), after=["start"])
    assert slack.taken == ["start", "progress-2"]
    assert notifier.notify(record, DUE)
    assert slack.taken == ["start", "progress-2", "end"]
    # It leaves no record: the number of them has no bound.
    assert record.states == {"start/slack": "sent", "end/slack": "sent"}


def test_no_sending_begins_when_the_time_is_over(
    clock: FakeClock, record: Record, waits: dict[str, Wait]
) -> None:
    slack = Recorder()
    notifier = Notifier([slack], waits, clock)
    assert not notifier.notify(record, DUE, within_s=-1)
    assert slack.tried == 0
    assert clock.now() > START


def end(outcome: str, *, corrects: str = "") -> Notification:
    """How a sync has ended, or that this was wrong."""
    name = "completion" if corrects else "end"
    message = Message(text=name, blocks=())
    return Notification(name=name, subject=name, message=message, outcome=outcome, corrects=corrects)


@pytest.mark.parametrize(
    ("first", "taken"),
    [("failure", ["end", "completion"]), ("warning", ["end", "completion"]), ("success", ["end"])],
)
def test_what_corrects_another_goes_to_whom_that_said_otherwise(
    clock: FakeClock, record: Record, waits: dict[str, Wait], first: str, taken: list[str]
) -> None:
    slack, added_later = Recorder(), Recorder("sns")
    assert Notifier([slack], waits, clock).notify(record, [end(first)])
    notifier = Notifier([slack, added_later], waits, clock)
    for _ in range(2):
        assert notifier.notify(record, [end("success", corrects="end")])
    assert slack.taken == taken
    assert added_later.taken == []


@pytest.mark.parametrize(
    ("error", "taken"),
    [(ChannelFailed("down"), ["end"]), (ChannelUncertain("no answer"), ["completion"])],
    ids=["it never came", "it may have come"],
)
def test_what_corrects_another_goes_to_whom_that_may_have_reached(
    clock: FakeClock, record: Record, waits: dict[str, Wait], error: ChannelError, taken: list[str]
) -> None:
    slack = Recorder()
    slack.errors = [error]
    notifier = Notifier([slack], waits, clock)
    notifier.notify(record, [end("failure")])
    clock.advance(3600.0)
    assert notifier.notify(record, [end("success"), end("success", corrects="end")])
    assert slack.taken == taken


def test_what_corrects_another_waits_for_a_process_that_sends_and_may_have_died(
    clock: FakeClock, record: Record, waits: dict[str, Wait]
) -> None:
    slack = Recorder()
    record.stop_at = "sent"
    notifier = Notifier([slack], waits, clock)
    with pytest.raises(KeyboardInterrupt):
        notifier.notify(record, [end("failure")])
    record.stop_at = None
    due = [end("success"), end("success", corrects="end")]
    assert not notifier.notify(record, due)
    clock.advance(61.0)
    assert notifier.notify(record, due)
    assert slack.taken == ["end", "completion"]
