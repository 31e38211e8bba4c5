"""What a run writes to its standard error: Dagster's events and the engine's lines, all of one kind."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from brew_assets.defs.dagster_internals import loggers_of_all_runs, run_lines
from brew_assets.simulator import Fault, Simulator, SizeDistribution, World
from brew_assets_tests.defs.deployment import Deployment
from brew_assets_tests.log_lines import log_lines

PROGRAM = str(Path(sys.executable).parent / "dagster")


@pytest.fixture
def upstream() -> Iterator[Simulator]:
    world = World(seed=3, sizes=SizeDistribution.fixed(4_000))
    for name in ("good", "gone"):
        world.publish(name, "1.0", tags=["arm64_sonoma"])
    with Simulator(world) as running:
        yield running


@pytest.fixture
def environment(upstream: Simulator, tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: { enabled: false }\n")
    own = {"MIRROR_URL": str(tmp_path / "mirror"), "RETRY_DELAY_SECONDS": "0.01", "DAGSTER_HOME": str(home)}
    # As in the image: what a step said last is passed on by a program that Dagster ends otherwise at once.
    own |= {"DAGSTER_COMPUTE_LOG_TAIL_WAIT_AFTER_FINISH": "1.5"}
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(home), **own, **upstream.environment()}


def materialize(environment: dict[str, str], **more: str) -> "subprocess.CompletedProcess[str]":
    """A materialization as somebody asks for it: no job of ours, no run config."""
    command = [PROGRAM, "asset", "materialize", "-m", "brew_assets.definitions"]
    return subprocess.run(
        [*command, "--select", "bottles", "--partition", "arm64_sonoma"],
        env=environment | more,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def lines_of(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith('{"timestamp"')]


def test_events_and_bottles_of_a_run_are_json_lines_with_run_step_sync_and_platform(
    environment: dict[str, str], upstream: Simulator
) -> None:
    gone = next(bottle for bottle in upstream.world.bottles if bottle.formula == "gone")
    upstream.fault(gone.filename, Fault.not_found())
    done = materialize(environment, LOG_LEVEL="DEBUG")
    assert done.returncode == 1
    lines = lines_of(done.stderr)
    # Only what this command says by itself is not of the run.
    rest = [line for line in done.stderr.splitlines() if not line.startswith('{"timestamp"')]
    assert "SupersessionWarning" in rest[0]
    assert rest[2:] == ["Error: Materialization failed."]
    events = {line["event"]: line for line in lines if "event" in line}
    assert {"RUN_START", "STEP_START", "STEP_FAILURE", "RUN_FAILURE"} <= {
        name.replace("PIPELINE", "RUN") for name in events
    }
    assert len({line["run_id"] for line in events.values()}) == 1
    failure = events["STEP_FAILURE"]
    assert (failure["step"], failure["level"], failure["logger"]) == (
        "bottles",
        "ERROR",
        "brew_assets.dagster",
    )
    assert failure["platform"] == "arm64_sonoma"
    assert "not found" in failure["exception"]
    (stored,) = [line for line in lines if line["message"] == "stored"]
    (failed,) = [line for line in lines if line["message"] == "not stored"]
    assert (failed["bottle"], failed["reason"]) == (gone.filename, "not found")
    for line in (stored, failed):
        assert (line["platform"], line["route"]) == ("arm64_sonoma", "local")
        assert line["run_id"] == failure["run_id"]
        assert line["sync_id"] in next(
            line["message"] for line in lines if "copies for sync" in line["message"]
        )
    assert not any("dagster_event" in line or "dagster_meta" in line for line in lines)


def test_the_level_bounds_events_too_and_text_is_text(environment: dict[str, str]) -> None:
    done = materialize(environment, LOG_FORMAT="text")
    assert done.returncode == 0, done.stderr
    assert lines_of(done.stderr) == []
    assert "INFO stored " in done.stderr
    assert "STEP_START" not in done.stderr
    assert "DEBUG" not in done.stderr


def test_lines_of_single_bottles_are_no_events_of_the_run(deployment: Deployment) -> None:
    with log_lines():
        (run, *_) = deployment.sync()
        assert run.success
        entries = deployment.instance.all_logs(run.run_id)
        assert entries
        assert not any(entry.user_message == "stored" for entry in entries)


def test_a_run_config_can_still_ask_for_less() -> None:
    context = dg.build_init_logger_context({"log_level": "error"})
    with log_lines():
        logger = run_lines(context)
        assert logger.level == 40
    assert loggers_of_all_runs() == {"console": run_lines}
