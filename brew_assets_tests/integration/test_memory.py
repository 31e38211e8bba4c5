"""The memory of a sync: the same for a large bottle as for a small one, and little per bottle."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import measure
from benchmarks.sink import Sink
from brew_assets.simulator import Simulator, SizeDistribution, World
from brew_assets_tests.integration.mirrors import PROGRAM

# What the interpreter, the libraries and ten workers' buffers may take together.
BASE_MIB = 96
# Plan, receipts and manifest of one bottle, in memory at the same time, and then its formula in the catalogue
# and what its index decides: here every bottle has a formula and an index of its own.
KIB_PER_BOTTLE = 6
# What publishing takes beside that: the libraries that verify the signed API, and of each bottle its place in
# the API and in the record.
PUBLISHING_MIB, PUBLISHING_KIB_PER_BOTTLE = 12, 6
_TIMEOUT_S = 3000


def peak_of_a_sync(world: World, folder: Path, *, publish: str = "off") -> float:
    """Peak MiB of the process that copies by a plan, against a sink that stores no bottle."""
    with Simulator(world) as upstream, Sink() as sink:
        environment = {
            "PATH": os.environ["PATH"],
            **upstream.environment(),
            "MIRROR_URL": "s3://bench/",
            "PUBLISH": publish,
            "AWS_ENDPOINT_URL": sink.url,
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark-secret",
            "AWS_EC2_METADATA_DISABLED": "true",
            # Output and errors go into one file, which is to be the report alone.
            "LOG_LEVEL": "WARNING",
        }
        planned = subprocess.run(
            [PROGRAM, "plan", "--no-sizes", "--json", "--platform", "arm64_sonoma"],
            env=environment,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
        sync_id = json.loads(planned.stdout)["sync_id"]
        log = folder / "report.json"
        log.unlink(missing_ok=True)
        order = {
            "stages": [[PROGRAM, "sync", "--json", "--plan", sync_id]],
            "env": environment,
            "log": str(log),
            "folder": str(folder),
        }
        done = subprocess.run(
            [sys.executable, "-I", "-S", measure.__file__],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
        report = json.loads(log.read_text())
        assert report["outcome"] == "success"
        assert report["stored"] == len(world.bottles)
        stages = json.loads(done.stdout)["stages"]
        return float(stages[0]["peak_kib"]) / 1024


def many(count: int) -> World:
    """So many tiny bottles."""
    world = World(seed=51, sizes=SizeDistribution.fixed(700))
    for number in range(count):
        world.publish(f"formula-{number}", "1.0", tags=["arm64_sonoma"])
    return world


def one(size_bytes: int) -> World:
    """One bottle of this size."""
    world = World(seed=52)
    world.publish("huge", "1.0", tags=["arm64_sonoma"], size_bytes=size_bytes)
    return world


def test_memory_does_not_grow_with_the_size_of_a_bottle(tmp_path: Path) -> None:
    small = peak_of_a_sync(one(100_000), tmp_path)
    large = peak_of_a_sync(one(300_000_000), tmp_path)
    assert large < BASE_MIB
    assert large - small < 8


def test_memory_grows_by_little_more_than_the_plan_with_the_number_of_bottles(tmp_path: Path) -> None:
    few, more = peak_of_a_sync(many(200), tmp_path), peak_of_a_sync(many(3_000), tmp_path)
    assert more < BASE_MIB
    assert more - few < 2_800 * KIB_PER_BOTTLE / 1024


def test_publishing_takes_little_more(tmp_path: Path) -> None:
    few, more = (peak_of_a_sync(many(count), tmp_path, publish="strict") for count in (200, 3_000))
    assert more < BASE_MIB + PUBLISHING_MIB
    assert more - few < 2_800 * (KIB_PER_BOTTLE + PUBLISHING_KIB_PER_BOTTLE) / 1024


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_fifty_thousand_tiny_bottles(tmp_path: Path) -> None:
    few, most = peak_of_a_sync(many(200), tmp_path), peak_of_a_sync(many(50_000), tmp_path)
    print(f"200 bottles: {few:.0f} MiB; 50,000 bottles: {most:.0f} MiB")
    assert most - few < 49_800 * KIB_PER_BOTTLE / 1024


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_bottle_of_four_gibibytes(tmp_path: Path) -> None:
    small, large = peak_of_a_sync(one(100_000), tmp_path), peak_of_a_sync(one(4 * 1024**3), tmp_path)
    print(f"100 KB: {small:.0f} MiB; 4 GiB: {large:.0f} MiB")
    assert large < BASE_MIB
    assert large - small < 8
