"""The command line meets a kept plan that somebody or something has changed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from brew_assets.simulator import Simulator, SizeDistribution, World
from brew_assets_tests.worlds import resealed, unsealed

PROGRAM = str(Path(sys.executable).parent / "brew-mirror")


class Machine:
    """A machine with a mirror and a simulated upstream, and one plan that is kept."""

    def __init__(self, upstream: Simulator, folder: Path) -> None:
        self.mirror = folder / "mirror"
        self._environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "MIRROR_URL": str(self.mirror),
            "TARGET_PLATFORMS": "arm64_sonoma",
            **upstream.environment(),
        }
        self.sync_id = json.loads(self.run("plan", "--json").stdout)["sync_id"]
        self.plan = self.mirror / "state" / "plans" / f"{self.sync_id}.json"

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [PROGRAM, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def files(self) -> dict[str, bytes]:
        found = (path for path in self.mirror.rglob("*") if path.is_file())
        return {str(path.relative_to(self.mirror)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    world = World(seed=4, sizes=SizeDistribution.fixed(1_000))
    for number in range(3):
        world.publish(f"good{number}", "1.0", tags=["arm64_sonoma"])
    with Simulator(world) as upstream:
        yield Machine(upstream, tmp_path_factory.mktemp("machine"))


def renamed(document: bytes) -> bytes:
    objects = json.loads(document)["objects"]
    objects[0]["bottle"]["formula"] = "a/b"
    return resealed(document, objects=objects)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.replace(b"good0", b"gooe0", 1), "its bytes changed after it was written"),
        (lambda data: data.replace(b'"1.0"', b'"1.8"', 1), "its bytes changed after it was written"),
        (lambda data: data.replace(b"arm64_sonoma", b"arm64_sonomb"), "its bytes changed"),
        (lambda data: data.replace(b"20", b"30", 1), "its bytes changed"),
        (lambda data: resealed(data, sync_date="state/receipts"), "sync_date: expected YYYY-MM-DD"),
        (renamed, "objects[0].bottle.formula: expected a formula's name, found 'a/b'"),
        (lambda data: unsealed(data, plan_version=1), "expected plan_version 2, found 1"),
        (lambda data: data[: len(data) // 2], "its end is damaged or missing"),
    ],
    ids=range(8),
)
def test_a_changed_plan_ends_with_exit_code_2_and_nothing_written(
    machine: Machine, change: Callable[[bytes], bytes], words: str
) -> None:
    good = machine.plan.read_bytes()
    try:
        machine.plan.write_bytes(change(good))
        before = machine.files()
        done = machine.run("sync", "--plan", machine.sync_id)
        assert done.returncode == 2, done.stdout + done.stderr
        assert f"state/plans/{machine.sync_id}.json" in done.stderr
        assert words in done.stderr
        assert "`brew-mirror plan`" in done.stderr
        assert "Traceback" not in done.stderr
        assert machine.files() == before
    finally:
        machine.plan.write_bytes(good)


def test_a_changed_plan_hinders_no_other_sync_and_the_plan_as_it_was_is_carried_out(machine: Machine) -> None:
    good = machine.plan.read_bytes()
    machine.plan.write_bytes(good.replace(b"good0", b"gooe0", 1))
    assert machine.run("sync").returncode == 0
    machine.plan.write_bytes(good)
    done = machine.run("sync", "--plan", machine.sync_id, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kept"] == 3
