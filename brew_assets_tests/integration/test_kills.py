"""SIGKILL at seeded random instants: nothing partial, nothing lost, nothing downloaded twice."""

import random
import time

import pytest

from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.simulator import Fault, Simulator, SizeDistribution, World
from brew_assets_tests.integration.mirrors import MirrorUnderTest, assert_complete, assert_consistent

KILLS = 20
MANY_KILLS = 200
_TAGS = ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma")
_SIZES = SizeDistribution.lognormal(median_bytes=20_000, p90_bytes=400_000, max_bytes=4_000_000)


def kill_at_random_instants(mirror: MirrorUnderTest, *, kills: int, seed: int) -> None:
    """Kills one sync after another, each at another instant, and checks the store after each."""
    draw = random.Random(seed)
    world = World(seed=seed, sizes=_SIZES)
    with Simulator(world) as upstream:
        for number in range(kills):
            for formula in range(8):
                world.publish(f"formula-{formula}", f"1.{number}", tags=_TAGS, shared_digest=formula == 0)
            begun = upstream.downloads.total() + draw.randint(0, 24)
            killed = mirror.start(upstream, "sync", BATCH_SIZE="5")
            deadline = time.monotonic() + 60
            while upstream.downloads.total() < begun and killed.poll() is None:
                assert time.monotonic() < deadline
            instant = time.monotonic() + draw.uniform(0, 0.12)
            while time.monotonic() < instant and killed.poll() is None:
                pass
            killed.kill()
            killed.communicate()
            assert_consistent(mirror, upstream)
            if number % 4 == 3 and MANIFEST_KEY in mirror.keys():
                # The same after an operator deleted the manifest.
                mirror.remove(MANIFEST_KEY)
            whole = set(mirror.digests().values())
            before = upstream.downloads.copy()
            mirror.sync(upstream)
            assert_complete(mirror, upstream)
            again = {digest for digest in whole if upstream.downloads[digest] > before[digest]}
            assert not again, f"kill {number}: downloaded again: {again}"


@pytest.mark.timeout(900)
def test_a_sync_killed_at_any_instant_loses_and_repeats_nothing(mirror: MirrorUnderTest) -> None:
    kill_at_random_instants(mirror, kills=KILLS, seed=4)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_hundred_kills(mirror: MirrorUnderTest) -> None:
    kill_at_random_instants(mirror, kills=MANY_KILLS, seed=5)


def test_a_deleted_manifest_is_rebuilt_and_nothing_is_downloaded(mirror: MirrorUnderTest) -> None:
    with Simulator(World.generate(seed=6, formulae=20)) as upstream:
        mirror.sync(upstream)
        entries = mirror.entries()
        downloads = upstream.downloads.total()
        mirror.remove(MANIFEST_KEY)
        mirror.sync(upstream)
        assert mirror.entries() == entries
        assert upstream.downloads.total() == downloads


def test_sigterm_finishes_the_bottles_under_way_and_writes_their_receipts(mirror: MirrorUnderTest) -> None:
    world = World(seed=7, sizes=SizeDistribution.fixed(300_000))
    for formula in range(120):
        world.publish(f"formula-{formula}", "1.0", tags=["arm64_sonoma"])
    with Simulator(world) as upstream:
        # A tenth of a second each, or all might be there before it is asked to end.
        for bottle in world.bottles:
            upstream.fault(bottle.filename, Fault.slow(3_000_000, times=1))
        process = mirror.start(
            upstream, "sync", "--json", "--platform", "arm64_sonoma", MAX_CONCURRENT_DOWNLOADS="2"
        )
        deadline = time.monotonic() + 60
        while upstream.downloads.total() < 5 and process.poll() is None:
            assert time.monotonic() < deadline
        process.terminate()
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 1, errors
        assert '"outcome": "stopped"' in output
        assert_consistent(mirror, upstream)
        assert len(mirror.entries()) == len(mirror.bottle_keys()) > 0
        downloads = upstream.downloads.copy()
        mirror.sync(upstream, "--platform", "arm64_sonoma")
        assert max((upstream.downloads - downloads).values()) == 1
        assert max(upstream.downloads.values()) == 1
