"""What syncs claim to have stored, by the real command line: each bottle once, whoever overlaps or dies."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from brew_assets.compose.store import build_store
from brew_assets.engine.ports import Store
from brew_assets.engine.record.journal import read_recorded
from brew_assets.engine.record.stored_names import stored_names
from brew_assets.settings import read_settings
from brew_assets.simulator import Fault, Simulator, SizeDistribution, World
from brew_assets_tests.integration.mirrors import MirrorUnderTest

BOTTLES = 60
KILLS = 4


def world_of_slow_bottles(upstream_seed: int) -> World:
    world = World(seed=upstream_seed, sizes=SizeDistribution.fixed(100_000))
    for formula in range(BOTTLES):
        world.publish(f"formula-{formula}", "1.0", tags=["arm64_sonoma"])
    return world


def plan(mirror: MirrorUnderTest, upstream: Simulator) -> str:
    done = mirror.run(upstream, "plan", "--json", "--platform", "arm64_sonoma")
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["sync_id"])


def store_of(mirror: MirrorUnderTest, monkeypatch: pytest.MonkeyPatch) -> Store:
    for name, value in mirror.settings.items():
        monkeypatch.setenv(name, value)
    return build_store(read_settings())


def test_two_syncs_at_once_claim_together_what_stands_in_the_date_folders(
    mirror: MirrorUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of_slow_bottles(41)
    with Simulator(world) as upstream:
        for bottle in world.bottles:
            upstream.fault(bottle.filename, Fault.slow(2_000_000, times=2))
        syncs = [plan(mirror, upstream) for _ in range(2)]
        slow = {"MAX_CONCURRENT_DOWNLOADS": "2", "BATCH_SIZE": "5"}
        processes = [mirror.start(upstream, "sync", "--json", "--plan", sync, **slow) for sync in syncs]
        with ThreadPoolExecutor(len(processes)) as readers:
            printed = list(readers.map(lambda process: process.communicate(timeout=240), processes))
        for process, (_, errors) in zip(processes, printed, strict=True):
            assert process.returncode == 0, errors
        reports = [json.loads(output) for output, _ in printed]
        store = store_of(mirror, monkeypatch)
        claims = [stored_names(store, sync) for sync in syncs]
        assert sum(report["planned"] for report in reports) == 2 * BOTTLES
        assert sum(len(names) for names in claims) == len(claims[0] | claims[1]) == BOTTLES
        assert len(mirror.bottle_keys()) == len(mirror.entries()) == BOTTLES
        # What the command lines say agrees: stored by itself, found, or held before it began.
        for names, report in zip(claims, reports, strict=True):
            assert report["stored"] - report["found"] == len(names)
            assert report["stored"] + report["kept"] == BOTTLES
        assert sum(report["found"] for report in reports) > 0


@pytest.mark.timeout(300)
def test_a_sync_that_is_killed_and_tried_again_claims_what_it_recorded_and_nothing_twice(
    mirror: MirrorUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of_slow_bottles(42)
    with Simulator(world) as upstream:
        for bottle in world.bottles:
            upstream.fault(bottle.filename, Fault.slow(500_000, times=KILLS))
        sync, other = plan(mirror, upstream), plan(mirror, upstream)
        store = store_of(mirror, monkeypatch)
        recorded: set[str] = set()
        for number in range(KILLS):
            begun = upstream.downloads.total() + 6 + 2 * number
            killed = mirror.start(
                upstream, "sync", "--plan", sync, BATCH_SIZE="2", MAX_CONCURRENT_DOWNLOADS="2"
            )
            deadline = time.monotonic() + 60
            while upstream.downloads.total() < begun and killed.poll() is None:
                assert time.monotonic() < deadline
            killed.kill()
            killed.communicate()
            recorded |= read_recorded(store, sync)
            claimed = stored_names(store, sync)
            assert recorded <= claimed
            assert len(claimed) <= len(mirror.bottle_keys())
        assert recorded
        mirror.sync(upstream, "--plan", sync)
        last = mirror.sync(upstream, "--plan", other)
        claimed = stored_names(store, sync)
        objects = len(mirror.bottle_keys())
        assert objects == len(mirror.entries()) == BOTTLES
        # What was stored in the last instants before a kill is found, and nobody's.
        assert recorded <= claimed
        assert len(recorded) < len(claimed) <= objects
        assert stored_names(store, other) == frozenset()
        assert (last["stored"], last["kept"]) == (0, BOTTLES)
