"""What a termination leaves behind: a task that is stopped, a spot interruption, "terminate" in the UI."""

import os
import signal
import threading
import time

import dagster as dg
import pytest

from brew_assets.defs.resources import MirrorResource, stops_on_interrupt
from brew_assets.engine.clock import GracefulStop
from brew_assets.errors import StoreUnavailable
from brew_assets.simulator import Fault
from brew_assets_tests.defs.deployment import Deployment


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_block_end_and_interrupts_afterwards(number: int) -> None:
    stop = GracefulStop()
    reached = []

    def work() -> None:
        with stops_on_interrupt(stop):
            os.kill(os.getpid(), number)
            reached.append(stop.is_set())

    with dg.raise_execution_interrupts():
        before = signal.getsignal(signal.SIGTERM)
        with pytest.raises(dg.DagsterExecutionInterruptedError):
            work()
        assert signal.getsignal(signal.SIGTERM) is before
    assert reached == [True]


def test_a_second_signal_ends_the_block_at_once() -> None:
    reached = []

    def work() -> None:
        with stops_on_interrupt(GracefulStop()):
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append("the end")

    with dg.raise_execution_interrupts(), pytest.raises(dg.DagsterExecutionInterruptedError):
        work()
    assert reached == []


def test_an_error_that_the_stop_brought_about_ends_as_an_interrupt() -> None:
    def work() -> None:
        with MirrorResource().engine():
            os.kill(os.getpid(), signal.SIGTERM)
            raise StoreUnavailable("the connection was closed")

    with dg.raise_execution_interrupts(), pytest.raises(dg.DagsterExecutionInterruptedError):
        work()


def test_without_a_signal_nothing_is_interrupted_in_any_thread() -> None:
    with stops_on_interrupt(GracefulStop()):
        pass
    seen: list[bool] = []

    def elsewhere() -> None:
        with stops_on_interrupt(GracefulStop()):
            seen.append(True)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [True]


def test_an_interrupted_run_records_what_it_stored_and_the_next_one_goes_on(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_CONCURRENT_DOWNLOADS", "1")
    deployment.world.publish("slow", "1.0", tags=("arm64_sonoma",), size_bytes=40_000)
    deployment.world.publish("never-begun", "1.0", tags=("arm64_sonoma",))
    (slow,) = [bottle for bottle in deployment.world.bottles if bottle.formula == "slow"]
    deployment.simulator.fault(slow.filename, Fault.slow(40_000))

    def interrupt_when_slow_is_under_way() -> None:
        deadline = time.monotonic() + 30
        while not deployment.simulator.downloads[slow.digest] and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt_when_slow_is_under_way)
    thread.start()
    interrupted = deployment.run("mirror_platform", platform="arm64_sonoma")
    thread.join()
    assert not interrupted.success
    assert interrupted.is_node_skipped("hash_manifest") or interrupted.is_node_untouched("hash_manifest")

    held = deployment.entries()
    assert "slow-1.0-arm64_sonoma" in held
    assert "never-begun-1.0-arm64_sonoma" not in held
    (observation,) = deployment.observations()
    assert observation.metadata["outcome"].value == "stopped"
    assert observation.metadata["left"].value == 1
    (run,) = deployment.instance.get_runs()
    assert run.status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)

    assert deployment.run("mirror_platform", platform="arm64_sonoma").success
    assert "never-begun-1.0-arm64_sonoma" in deployment.entries()
    assert set(deployment.simulator.downloads.values()) == {1}


def test_progress_is_observed_at_most_so_often(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deployment.run("mirror_platform", platform="arm64_sonoma").success
    assert deployment.observations() == []
    monkeypatch.setenv("PROGRESS_UPDATE_INTERVAL", "0.000001")
    (bottle,) = deployment.world.publish("wget", "1.25.0", tags=("arm64_sonoma",))
    assert deployment.run("mirror_platform", platform="arm64_sonoma").success
    last = deployment.observations()[-1]
    assert last.partition == "arm64_sonoma"
    assert last.metadata["bottles_done"].value == last.metadata["bottles_total"].value == 1
    assert last.metadata["bytes_done"].value == bottle.size
