"""The command line in a place where others keep things too."""

import json
from collections.abc import Iterator

import pytest

from brew_assets.simulator import Simulator, World
from brew_assets_tests.integration.mirrors import BucketMirror, MirrorUnderTest

OTHERS = [
    "state/foo.txt",
    "state/receipts/readme.txt",
    "state/receipts/x/y.json",
    "state/plans/notes.txt",
    "backups/bottles_hash/old.json",
    "v2/x",
]
MARKERS = ["", "state/", "state/receipts/", "state/plans/", "backups/bottles_hash/", "2026-11-22/"]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Simulator]:
    world = World(seed=12)
    for name in ("jq", "wget"):
        world.publish(name, "1.0", tags=["arm64_sonoma"])
    with Simulator(world) as running:
        yield running


def test_every_command_goes_on_among_objects_of_others(mirror: MirrorUnderTest, upstream: Simulator) -> None:
    for key in OTHERS:
        mirror.write(key, b"not ours")
    if isinstance(mirror, BucketMirror):
        for key in MARKERS:
            mirror.server.client.put_object(Bucket=mirror.bucket, Key=f"{mirror.prefix}/{key}", Body=b"")
    assert mirror.sync(upstream)["stored"] == 2
    for command in ("verify", "manifest rebuild", "sync"):
        done = mirror.run(upstream, *command.split())
        assert done.returncode == 0, (command, done.stderr)
        assert "Traceback" not in done.stderr
    done = mirror.run(upstream, "status", "--json")
    assert done.returncode == 0
    status = json.loads(done.stdout)
    assert (status["held"], status["journal_objects"], status["manifest_missing"]) == (2, 0, False)
    assert "ignored: objects that the mirror has not made" in done.stderr
    assert "state/receipts/readme.txt" in done.stderr
    assert set(OTHERS) <= set(mirror.keys())
