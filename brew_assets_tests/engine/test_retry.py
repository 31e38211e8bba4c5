"""Which errors are tried again, when, and how often."""

import threading
from collections import deque
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.engine.retry import (
    MAX_BACKOFF_S,
    MAX_BUSY_WAIT_S,
    MIN_BUSY_WAIT_S,
    Backoff,
    Gate,
    RetryPolicy,
    SyncBudget,
    Tries,
    parse_retry_after,
    retrying,
)
from brew_assets.errors import (
    BlobNotFound,
    DigestMismatch,
    StoreRefused,
    StoreUnavailable,
    UpstreamBusy,
    UpstreamInterrupted,
)
from brew_assets_tests.fakes import FakeClock, FakeStop

MIN_DATE = datetime(1900, 1, 1, tzinfo=UTC).replace(tzinfo=None)
MAX_DATE = datetime(9999, 12, 30, tzinfo=UTC).replace(tzinfo=None)
NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 1.0),
        ("99999", 900.0),
        ("9" * 50, None),
        ("-5", None),
        ("5.5", None),
        ("", None),
        (None, None),
        ("soon", None),
        ("880.092µs", 1.0),
        ("880.092μs", 1.0),
        ("880.092us", 1.0),
        ("880.092Âµs", 1.0),
        ("1500ms", 1.5),
        ("1m2.5s", 62.5),
        ("1h", 900.0),
        ("2m0s", 120.0),
        ("5s extra", None),
        ("s", None),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 1.0),
        ("Sun, 22 Nov 2026 13:00:30 +0100", 30.0),
        ("Sun, 22 Nov 2026 12:00:30 -0000", 30.0),
        ("Sun, 99 Nov 2026 12:00:30 GMT", None),
        ("Mon, 22 Nov 9999 12:00:30 GMT", 900.0),
    ],
)
def test_each_form_of_retry_after_is_read(text: str | None, expected: float | None) -> None:
    assert parse_retry_after(text, now=NOW) == expected


def test_the_body_tells_what_the_header_does_not() -> None:
    body = "toomanyrequests: retry-after: 2.5s, allowed: 44000/minute"
    assert parse_retry_after(None, now=NOW, body=body) == 2.5
    assert parse_retry_after("rubbish", now=NOW, body=body) == 2.5
    assert parse_retry_after("4", now=NOW, body=body) == 4.0
    assert parse_retry_after(None, now=NOW, body="retry-after: 880.092µs, x") == 1.0
    assert parse_retry_after(None, now=NOW, body="retry-after:") is None


@given(st.text(max_size=40) | st.none(), st.text(max_size=80))
def test_any_text_is_a_bounded_wait_or_none(text: str | None, body: str) -> None:
    for told in (body, f"retry-after: {body}"):
        found = parse_retry_after(text, now=NOW, body=told)
        assert found is None or MIN_BUSY_WAIT_S <= found <= MAX_BUSY_WAIT_S


@given(
    st.datetimes(MIN_DATE, MAX_DATE),
    st.integers(-23 * 60, 23 * 60),
)
def test_any_date_is_a_bounded_wait(moment: datetime, minutes: int) -> None:
    date = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    found = parse_retry_after(format_datetime(date), now=NOW)
    assert found is not None
    assert MIN_BUSY_WAIT_S <= found <= MAX_BUSY_WAIT_S


@given(
    st.lists(
        st.tuples(st.floats(0, 10**6), st.sampled_from(("ns", "us", "µs", "ms", "s", "m", "h"))), min_size=1
    )
)
def test_any_go_duration_is_a_bounded_wait(parts: list[tuple[float, str]]) -> None:
    text = "".join(f"{number:.3f}{unit}" for number, unit in parts)
    found = parse_retry_after(text, now=NOW)
    assert found is not None
    assert MIN_BUSY_WAIT_S <= found <= MAX_BUSY_WAIT_S


@given(st.floats(0, 3600), st.integers(1, 100))
def test_waits_stay_within_their_limits(delay_s: float, failures: int) -> None:
    policy = RetryPolicy(delay_s=delay_s)
    assert 0 <= policy.wait_s(failures) <= min(MAX_BACKOFF_S, delay_s * 2.0 ** (failures - 1))
    assert 0 <= policy.resume_s() <= min(1.0, delay_s)


def tries(attempts: int = 3, budget: int = 100) -> tuple[Tries, FakeClock, Gate]:
    clock = FakeClock()
    gate = Gate(clock)
    return Tries(RetryPolicy(attempts=attempts), SyncBudget(budget), gate), clock, gate


def test_errors_that_will_not_heal_are_never_tried_again() -> None:
    made, _, _ = tries()
    assert made.next_wait_s(BlobNotFound("404"), gained=True) is None
    assert made.next_wait_s(DigestMismatch(subject="a", expected="b", actual="c"), gained=True) is None


def test_a_429_closes_the_gate_and_waits_there() -> None:
    made, clock, gate = tries()
    assert made.next_wait_s(UpstreamBusy("429", wait_s=40.0), gained=False) == 0.0
    assert gate.pass_through(FakeStop())
    assert 40.0 <= clock.monotonic() <= 44.1


def test_a_429_without_a_wait_closes_the_gate_for_a_while() -> None:
    made, clock, gate = tries()
    made.next_wait_s(UpstreamBusy("429"), gained=False)
    gate.pass_through(FakeStop())
    assert clock.monotonic() >= MIN_BUSY_WAIT_S


def test_a_shorter_hold_does_not_open_a_longer_one() -> None:
    clock = FakeClock()
    gate = Gate(clock)
    gate.close_for(60)
    gate.close_for(5)
    gate.pass_through(FakeStop())
    assert clock.monotonic() >= 60


def test_the_gate_holds_all_workers() -> None:
    clock = FakeClock()
    gate = Gate(clock)
    gate.close_for(60)
    passed: list[float] = []

    def work() -> None:
        assert gate.pass_through(FakeStop())
        passed.append(clock.monotonic())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(passed) == 8
    assert min(passed) >= 60


def test_a_stop_signal_opens_no_gate() -> None:
    gate = Gate(FakeClock())
    gate.close_for(60)
    stop = FakeStop()
    stop.set()
    assert not gate.pass_through(stop)


def test_the_budget_is_shared_and_ends() -> None:
    made, _, _ = tries(attempts=50, budget=2)
    error = UpstreamInterrupted("x")
    assert made.next_wait_s(error, gained=False) is not None
    assert made.next_wait_s(error, gained=False) is not None
    assert made.next_wait_s(error, gained=False) is None


@pytest.mark.parametrize(
    ("bottles", "attempts", "retries"), [(1, 3, 75), (100, 3, 75), (400, 3, 300), (9, 0, 0)]
)
def test_the_budget_follows_the_number_of_bottles(bottles: int, attempts: int, retries: int) -> None:
    budget = SyncBudget.for_bottles(bottles, attempts)
    while budget.spend():
        pass
    assert budget.spent == retries


class Passing:
    """A call that fails so many times, and then gives "well"."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = deque(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self._errors:
            raise self._errors.popleft()
        return "well"


BACKOFF = Backoff(first_s=1.0, cap_s=3.0)


def test_a_call_is_tried_again_after_waits_that_grow_up_to_a_limit() -> None:
    clock, call = FakeClock(), Passing(*[StoreUnavailable("503")] * 4)
    assert retrying(call, on=StoreUnavailable, next_wait_s=BACKOFF.for_tries(5), clock=clock) == "well"
    assert len(clock.waits) == 4
    longest = [BACKOFF.longest_s(failures) for failures in (1, 2, 3, 4, 10_000)]
    assert longest == [1.0, 2.0, 3.0, 3.0, 3.0]
    assert all(0 <= wait_s <= limit for wait_s, limit in zip(clock.waits, longest, strict=False))


def test_the_error_of_the_last_try_is_raised_without_another_wait() -> None:
    clock, call = FakeClock(), Passing(*[StoreUnavailable(str(number)) for number in range(9)])
    with pytest.raises(StoreUnavailable, match="1"):
        retrying(call, on=StoreUnavailable, next_wait_s=BACKOFF.for_tries(2), clock=clock)
    assert (call.calls, len(clock.waits)) == (2, 1)


def test_another_class_of_error_is_raised_at_once() -> None:
    clock, call = FakeClock(), Passing(StoreRefused("403"))
    with pytest.raises(StoreRefused):
        retrying(call, on=StoreUnavailable, next_wait_s=BACKOFF.for_tries(5), clock=clock)
    assert (call.calls, clock.waits) == (1, [])


def test_a_stop_signal_ends_the_wait_with_the_error_that_it_was_for() -> None:
    clock, stop, call = FakeClock(), FakeStop(), Passing(StoreUnavailable("503"))
    stop.set()
    with pytest.raises(StoreUnavailable):
        retrying(call, on=StoreUnavailable, next_wait_s=BACKOFF.for_tries(5), clock=clock, stop=stop)
    assert call.calls == 1
