"""What a termination leaves behind: a task that is stopped, a spot interruption, "terminate" in the UI."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT, JobPythonOrigin, RepositoryPythonOrigin
from dagster._grpc.types import ExecuteRunArgs

from brew_assets.defs.resources import MirrorResource, stops_on_interrupt
from brew_assets.defs.tags import WILL_RETRY_TAG
from brew_assets.engine.clock import GracefulStop
from brew_assets.errors import StoreUnavailable
from brew_assets.simulator import Fault
from brew_assets_tests.defs import waiting_job
from brew_assets_tests.defs.deployment import Deployment, figures_of
from brew_assets_tests.raw_server import RawServer, raw_server

INSTANCE = Path(__file__).parents[2] / "infra" / "dagster" / "dagster.yaml"


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
    deployment.simulator.fault(slow.filename, Fault.slow(10_000))

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
    assert figures_of(str(observation.metadata["figures"].value))["left"] == "1"
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


class Worker:
    """A run of the job that waits, and the process that carries it out as the launcher's command does."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        repository = RepositoryPythonOrigin(
            executable_path=sys.executable,
            code_pointer=ModuleCodePointer(waiting_job.__name__, "waiting", working_directory=None),
            entry_point=DEFAULT_DAGSTER_ENTRY_POINT,
        )
        origin = JobPythonOrigin(job_name="waiting", repository_origin=repository)
        run = instance.create_run_for_job(waiting_job.waiting, job_code_origin=origin)
        self.run_id = run.run_id
        arguments = ExecuteRunArgs(
            job_origin=origin, run_id=self.run_id, instance_ref=instance.get_ref()
        ).get_command_args()
        # An interrupt that the tests' own parent has them ignore would be passed on.
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def wait_for(self, kind: dg.DagsterEventType) -> None:
        """The run has come to this event."""
        deadline = time.monotonic() + 60
        while not self.instance.all_logs(self.run_id, of_type=kind):
            assert time.monotonic() < deadline, f"no {kind}"
            assert self.process.poll() is None, f"ended before {kind}"
            time.sleep(0.05)

    def interrupt(self) -> None:
        """The process gets a SIGTERM, and ends."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def run(self) -> dg.DagsterRun:
        """The run as it stands now."""
        run = self.instance.get_run_by_id(self.run_id)
        assert run is not None
        return run


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance that answers lost tasks as the one on AWS does."""
    on_aws = yaml.safe_load(INSTANCE.read_text())
    same = {name: on_aws[name] for name in ("run_monitoring", "run_retries", "telemetry")}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(same))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def test_a_run_that_is_interrupted_between_steps_is_to_be_replaced_by_a_child(
    deployed: dg.DagsterInstance,
) -> None:
    worker = Worker(deployed)
    worker.wait_for(dg.DagsterEventType.STEP_UP_FOR_RETRY)
    worker.interrupt()
    assert worker.run().status == dg.DagsterRunStatus.FAILURE
    assert worker.run().tags[WILL_RETRY_TAG] == "true"


def test_a_run_that_is_terminated_between_steps_ends_as_cancelled_without_a_child(
    deployed: dg.DagsterInstance,
) -> None:
    worker = Worker(deployed)
    worker.wait_for(dg.DagsterEventType.STEP_UP_FOR_RETRY)
    deployed.report_run_canceling(worker.run())
    worker.interrupt()
    assert worker.run().status == dg.DagsterRunStatus.CANCELED
    assert worker.run().tags.get(WILL_RETRY_TAG, "false") == "false"


@pytest.mark.parametrize("job", ["formula_catalog", "pending_bottles"])
def test_a_run_that_is_interrupted_while_the_catalogue_stalls_ends_at_once(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    def answer(server: RawServer, _: socket.socket) -> None:
        # As a termination in the UI does; nothing else ends the wait for this answer.
        os.kill(os.getpid(), signal.SIGTERM)
        server.over.wait(60)

    with raw_server(answer) as server:
        monkeypatch.setenv("FORMULAE_API_URL", server.url)
        interrupted = deployment.run("weekly_sync", selection=[job])
    assert not interrupted.success
    assert len(server.requests) == 1
    (run,) = deployment.instance.get_runs()
    assert run.status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
