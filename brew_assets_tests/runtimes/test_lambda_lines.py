"""The Lambda's log under AWS's own runtime client: JSON lines, none twice, and Pipes' messages at the end."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster_pipes import encode_param

from brew_assets.compose.mirror import build_mirror
from brew_assets.domain.batch import Batch, batch_key, encode_batch
from brew_assets.domain.plan import Plan, Request
from brew_assets.engine.planner import make_plan
from brew_assets.settings import read_settings
from brew_assets.simulator import Fault, Simulator, SizeDistribution, World
from brew_assets_tests.local_aws.runtime_api import RuntimeApi, Work

HANDLER = "brew_assets.runtimes.lambda_handler.handler"
BOTTLES = 60
REQUEST_ID = "12345678-0000-4000-8000-000000000000"
# What an invocation's answer has of its log, and what AWS itself writes at the end of that.
TAIL_BYTES = 4096
AWS_OWN_BYTES = 400


@pytest.fixture
def upstream() -> Iterator[Simulator]:
    world = World(seed=9, sizes=SizeDistribution.fixed(1_000))
    for number in range(BOTTLES):
        world.publish(f"formula-{number}", "1.0", tags=["arm64_sonoma"])
    with Simulator(world) as running:
        yield running


@pytest.fixture
def environment(upstream: Simulator, tmp_path: Path) -> dict[str, str]:
    own = {"MIRROR_URL": str(tmp_path / "mirror"), "RETRY_DELAY_SECONDS": "0.01"}
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **own, **upstream.environment()}


def planned(environment: dict[str, str]) -> tuple[Plan, str]:
    """A plan of everything, and the key of the one batch that it is."""
    mirror = build_mirror(read_settings(environment))
    plan = make_plan(mirror, Request(platforms=("arm64_sonoma",)), sizes=False).plan
    key = batch_key(plan.sync_id, "0")
    batch = Batch(sync_id=plan.sync_id, sync_date=plan.sync_date, objects=plan.objects)
    mirror.store.write(key, encode_batch(batch), create_only=True)
    return plan, key


def from_dagster(key: str) -> dict[str, Any]:
    """The event as a run's Pipes client sends it; its reader takes the messages from the log's tail."""
    run = {"run_id": "run", "job_name": "mirror_platform", "retry_number": 0, "extras": {}}
    about = dict.fromkeys(
        ("asset_keys", "code_version_by_asset_key", "provenance_by_asset_key", "partition_key")
    )
    more = dict.fromkeys(("partition_key_range", "partition_time_window"))
    return {
        "batch_key": key,
        "DAGSTER_PIPES_CONTEXT": encode_param({"data": run | about | more}),
        "DAGSTER_PIPES_MESSAGES": encode_param({"buffered_stdio": "stderr"}),
    }


def invoke(
    environment: dict[str, str], event: dict[str, Any], log: Path, *, lives_s: float = 60.0
) -> tuple[str, str]:
    """The kind of the outcome, and all that the function wrote; it has `lives_s` from its start on."""
    api = RuntimeApi()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", HANDLER],
            env=environment | {"AWS_LAMBDA_RUNTIME_API": api.address},
            stdout=output,
            stderr=output,
        )
        try:
            # As at AWS: the start of an environment has time of its own.
            assert api.ready.wait(60), log.read_text()
            assert api.init_error is None, log.read_text()
            work = Work(
                request_id=REQUEST_ID,
                payload=json.dumps(event).encode(),
                function_arn="arn:aws:lambda:us-east-1:123456789012:function:mirror",
                deadline_ms=int((time.time() + lives_s) * 1000),
            )
            api.hand_out(work)
            kind, _ = work.outcome.get(timeout=120)
        finally:
            process.kill()
            process.wait()
            api.close()
    return kind, log.read_text(encoding="utf-8")


def ours(log: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [line for line in found if "logger" in line]


def test_every_line_is_json_once_with_sync_batch_and_request(
    environment: dict[str, str], tmp_path: Path
) -> None:
    plan, key = planned(environment)
    kind, log = invoke(environment, {"batch_key": key}, tmp_path / "log")
    assert kind == "ok"
    lines = ours(log)
    assert len(lines) == len(log.splitlines())
    stored = [line["bottle"] for line in lines if line["message"] == "stored"]
    assert sorted(stored) == sorted(p.bottle.filename for p in plan.objects)
    assert {
        (line["sync_id"], line["batch"], line["platform"], line["route"], line["aws_request_id"])
        for line in lines
    } == {(plan.sync_id, key, "arm64_sonoma", "lambda", REQUEST_ID)}
    assert [line["message"] for line in lines if line["message"] != "stored"] == [
        "batch begins",
        "batch ends",
    ]


def test_the_messages_for_dagster_are_whole_in_the_tail_after_all_lines(
    environment: dict[str, str], upstream: Simulator, tmp_path: Path
) -> None:
    for bottle in upstream.world.bottles[:10]:
        upstream.fault(bottle.filename, Fault.wrong_bytes(times=None))
    _, key = planned(environment)
    kind, log = invoke(environment, from_dagster(key), tmp_path / "log")
    assert kind == "ok"
    assert len(log.encode()) > 3 * TAIL_BYTES
    assert log.isascii()  # a tail that is cut within a character could not be decoded
    tail = log.encode()[-(TAIL_BYTES - AWS_OWN_BYTES) :].decode()
    messages = [json.loads(line) for line in tail.splitlines() if "__dagster_pipes_version" in line]
    assert [message["method"] for message in messages] == ["opened", "log", "log", "log", "log", "closed"]
    assert "50 of 60 bottles stored" in messages[1]["params"]["message"]


def test_only_what_went_wrong_is_written_where_the_level_says_so(
    environment: dict[str, str], tmp_path: Path
) -> None:
    _, key = planned(environment)
    kind, log = invoke(environment | {"LOG_LEVEL": "WARNING"}, {"batch_key": key}, tmp_path / "log")
    assert (kind, log) == ("ok", "")


def test_an_event_that_is_none_is_answered_with_one_printable_line(
    environment: dict[str, str], tmp_path: Path
) -> None:
    event = {"batch_key": "state/batches/[/x]\x1b[2J\nINFO forged\u202e"}
    kind, log = invoke(environment, event, tmp_path / "log")
    assert kind == "error"
    assert "\\x1b[2J" in log.replace("\\\\", "\\")
    assert "\x1b" not in log
    assert "\u202e" not in log
    assert not any(line.startswith("INFO forged") for line in log.splitlines())
