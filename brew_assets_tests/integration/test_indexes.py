"""Indexes on the command line: wrong ones are found out, silent ones are left when a signal comes."""

import json

import pytest

from brew_assets.domain.object_keys import INDEX_PREFIX
from brew_assets.engine.kept_indexes import index_key
from brew_assets.simulator import Fault, SimulatedBottle, Simulator, World
from brew_assets_tests.integration.mirrors import DirectoryMirror, MirrorUnderTest, assert_consistent
from brew_assets_tests.local_aws.session import wait_for

SONOMA = ("--platform", "arm64_sonoma")


def _saying(world: World, bottle: SimulatedBottle, size: int) -> Fault:
    """The index once says another size of the bottle."""
    right = world.index_json(bottle.image, bottle.reference)
    assert right is not None
    wrong = json.loads(right)
    for entry in wrong["manifests"]:
        if entry["annotations"]["sh.brew.bottle.digest"] == bottle.digest:
            entry["annotations"]["sh.brew.bottle.size"] = str(size)
    body = json.dumps(wrong).encode()
    return Fault(kind="answer", at="registry", times=1, body=body)


def _index_requests(upstream: Simulator) -> list[str]:
    return [seen.path for seen in upstream.requests if "/manifests/" in seen.path]


@pytest.mark.parametrize("wrong_by", [1, -1, 3_000_000_000])
def test_an_index_that_is_wrong_once_costs_no_bottle_and_is_asked_again(
    mirror: MirrorUnderTest, wrong_by: int
) -> None:
    world = World(seed=85)
    (jq, other) = world.publish("jq", "1.8.1", tags=["arm64_sonoma", "arm64_tahoe"], size_bytes=70_000)
    (large,) = world.publish("large", "1.0", size_bytes=1_500_000)
    with Simulator(world) as upstream:
        for bottle in (jq, large):
            fault = _saying(world, bottle, bottle.size + wrong_by)
            upstream.fault(f"{bottle.image}:{bottle.reference}", fault)
        assert mirror.sync(upstream, *SONOMA)["stored"] == 2
        assert {entry.sha256: entry.file_size for entry in mirror.entries().values()} == {
            jq.digest: jq.size,
            large.digest: large.size,
        }
        # What bytes have disproved is forgotten, and the same sync asks again.
        assert {key: mirror.read(key) for key in mirror.keys() if key.startswith(INDEX_PREFIX)} == {
            index_key(bottle.image, bottle.reference, right): right
            for bottle in (jq, large)
            if (right := world.index_json(bottle.image, bottle.reference)) is not None
        }
        asked = len(_index_requests(upstream))
        for _ in range(2):
            assert mirror.sync(upstream, *SONOMA)["failed"] == []
        # The other bottle of the index that was wrong is sized by the right one.
        assert mirror.sync(upstream, "--platform", "arm64_tahoe")["stored"] == 1
        assert len(_index_requests(upstream)) == asked
        assert max(upstream.downloads.values()) == 1
        assert {jq.digest, large.digest, other.digest} == set(mirror.digests().values())
        assert_consistent(mirror, upstream)


HOLD_UPS = {
    "without an answer": Fault.no_answer(times=None),
    "stalled in its body": Fault.stalls_after(100, times=None, at="registry"),
    "trickled": Fault.slow(20, times=None, at="registry"),
    "in a back-off": Fault.server_error(503, times=None),
    "asked to wait": Fault.too_many_requests("900", times=None),
}


@pytest.mark.parametrize("hold_up", HOLD_UPS)
@pytest.mark.parametrize("command", ["sync", "plan"])
def test_a_stop_signal_is_heard_while_an_index_does_not_come(
    command: str, hold_up: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    mirror = DirectoryMirror(tmp_path_factory.mktemp("mirror") / "mirror")
    world = World(seed=86)
    world.publish("jq", "1.8.1", size_bytes=4_000)
    with Simulator(world) as upstream:
        upstream.fault("jq:1.8.1", HOLD_UPS[hold_up])
        settings = {"DOWNLOAD_TIMEOUT_SECONDS": "300", "RETRY_DELAY_SECONDS": "300"}
        process = mirror.start(upstream, command, *SONOMA, **settings)
        try:
            wait_for(
                lambda: any("manifests" in seen.path for seen in upstream.requests),
                what="a request for the index",
                timeout_s=120,
            )
            process.terminate()
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 1, errors
        assert "Traceback" not in errors
        assert "topped" in errors
        assert [key for key in mirror.keys() if key.startswith("state/plans/")] == []
        assert upstream.downloads.total() == 0
