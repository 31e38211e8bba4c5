"""Work of planning that a stop signal ends."""

import threading

import pytest

from brew_assets.engine.clock import until_stopped
from brew_assets.engine.log_context import bound, bound_facts
from brew_assets.errors import HashFileInvalid, PlanningStopped
from brew_assets_tests.fakes import FakeStop


def test_work_that_ends_gives_its_result_or_its_error() -> None:
    with bound(sync_id="one"):
        assert until_stopped(lambda: bound_facts()["sync_id"], FakeStop()) == "one"

    def fail() -> None:
        raise HashFileInvalid("there is no such object")

    with pytest.raises(HashFileInvalid, match="no such object"):
        until_stopped(fail, FakeStop())


def test_work_that_waits_for_ever_ends_with_the_signal() -> None:
    stop, answer = FakeStop(), threading.Event()

    def wait() -> None:
        stop.set()
        answer.wait(60)

    with pytest.raises(PlanningStopped):
        until_stopped(wait, stop)
    answer.set()


def test_after_the_signal_no_work_begins() -> None:
    stop = FakeStop()
    stop.set()
    with pytest.raises(PlanningStopped):
        until_stopped(lambda: pytest.fail("it began"), stop)


def test_work_that_waits_for_ever_ends_with_what_the_check_raises() -> None:
    answer = threading.Event()

    def give_up() -> None:
        raise TimeoutError("too slow")

    with pytest.raises(TimeoutError, match="too slow"):
        until_stopped(lambda: answer.wait(60), FakeStop(), check=give_up)
    answer.set()
