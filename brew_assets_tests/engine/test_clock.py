"""Stop signals by an injected time: who is told to end, when, and when nobody waits any longer."""

import subprocess
import sys

import pytest

from brew_assets.engine.clock import DeadlineStop, GracefulStop
from brew_assets_tests.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_a_stop_signal_gives_a_grace_from_its_first_setting(clock: FakeClock) -> None:
    stop = GracefulStop(grace_s=20.0, monotonic=clock.monotonic)
    clock.advance(1000.0)
    assert (stop.is_set(), stop.expired()) == (False, False)
    stop.set()
    clock.advance(19.0)
    stop.set()
    assert (stop.is_set(), stop.expired()) == (True, False)
    clock.advance(2.0)
    assert stop.expired()


@pytest.mark.parametrize(
    ("remaining_s", "set_after_s", "expires_after_s"),
    [(900.0, 810.0, 880.0), (300.0, 210.0, 280.0), (100.0, 70.0, 90.0), (10.0, 7.0, 9.0), (3.0, 2.1, 2.7)],
)
def test_a_deadline_sets_itself_and_leaves_time_for_receipts_and_report(
    clock: FakeClock, remaining_s: float, set_after_s: float, expires_after_s: float
) -> None:
    stop = DeadlineStop(remaining_s, monotonic=clock.monotonic)
    clock.advance(set_after_s - 0.01)
    assert (stop.is_set(), stop.expired()) == (False, False)
    clock.advance(0.02)
    assert (stop.is_set(), stop.expired()) == (True, False)
    clock.advance(expires_after_s - set_after_s - 0.02)
    assert not stop.expired()
    clock.advance(0.03)
    assert stop.expired()


def test_a_deadline_that_nobody_asked_about_in_time_gives_no_grace_beyond_it(clock: FakeClock) -> None:
    stop = DeadlineStop(900.0, monotonic=clock.monotonic)
    clock.advance(881.0)
    assert (stop.is_set(), stop.expired()) == (True, True)


def test_nobody_waits_beyond_the_deadline(clock: FakeClock) -> None:
    stop = DeadlineStop(900.0, monotonic=clock.monotonic)
    assert stop.wait(0.0) is False
    clock.advance(810.0)
    assert stop.wait(3600.0) is True


def test_a_deadline_can_be_set_before_its_time(clock: FakeClock) -> None:
    stop = DeadlineStop(900.0, monotonic=clock.monotonic)
    stop.set()
    assert (stop.is_set(), stop.wait(3600.0), stop.expired()) == (True, True, False)
    clock.advance(71.0)
    assert stop.expired()


# A signal comes before each step of a wait in turn, up to the one that blocks: the step that takes as
# long as was waited for where no signal comes. Its handler sets what is waited for.
_INTERRUPTED = """
import os, signal, sys, time
from brew_assets.engine.clock import {kind}

def times_of(seconds, step=0):
    event, times = {kind}(), []
    signal.signal(signal.SIGUSR1, lambda *_: event.set())

    def trace(frame, what, _):
        frame.f_trace_opcodes = True
        if what == "opcode":
            times.append(time.monotonic())
            if len(times) == step:
                os.kill(os.getpid(), signal.SIGUSR1)
        return trace

    sys.settrace(trace)
    try:
        event.wait(seconds)
    finally:
        sys.settrace(None)
    assert event.is_set() == bool(step)
    return times

times = times_of(2.0)
took = [after - before for before, after in zip(times, times[1:])]
blocks = took.index(max(took)) + 1
assert blocks > 5, took
for step in range(1, blocks + 1):
    times_of(1_000.0, step)
print("ended")
"""


@pytest.mark.parametrize("kind", ["SignalEvent", "GracefulStop"])
def test_a_signals_handler_may_set_what_it_interrupts_the_wait_for(kind: str) -> None:
    """With threading.Event this hangs: its set waits for the lock that the interrupted wait has."""
    code = _INTERRUPTED.format(kind=kind)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")
