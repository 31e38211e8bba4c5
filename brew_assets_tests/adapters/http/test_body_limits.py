"""What a body from outside may cost."""

import pytest

from brew_assets.adapters.http.body_limits import LEAST_BYTES_PER_S, PACE_WINDOW_S, Pace, SlowBody
from brew_assets_tests.fakes import FakeClock


def test_a_body_that_trickles_is_silence() -> None:
    clock = FakeClock()
    pace = Pace(clock.monotonic)
    for _ in range(int(PACE_WINDOW_S) - 1):
        clock.advance(1)
        pace.add(1)
    clock.advance(1)
    with pytest.raises(SlowBody, match="found 60 bytes in 60 s"):
        pace.add(1)


def test_a_body_that_comes_just_fast_enough_has_no_total_limit() -> None:
    clock = FakeClock()
    pace = Pace(clock.monotonic)
    for _ in range(10_000):
        clock.advance(1)
        pace.add(LEAST_BYTES_PER_S)


def test_what_came_fast_at_first_does_not_pay_for_what_trickles_afterwards() -> None:
    clock = FakeClock()
    pace = Pace(clock.monotonic)
    clock.advance(PACE_WINDOW_S)
    pace.add(10**9)
    clock.advance(PACE_WINDOW_S)
    with pytest.raises(SlowBody):
        pace.check()


def test_nothing_at_all_is_noticed_by_who_waits() -> None:
    clock = FakeClock()
    pace = Pace(clock.monotonic)
    clock.advance(PACE_WINDOW_S - 1)
    pace.check()
    clock.advance(1)
    with pytest.raises(SlowBody, match="found 0 bytes"):
        pace.check()
