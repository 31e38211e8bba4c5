"""A small upstream and an empty mirror for those who type commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from brew_assets.simulator import Simulator, SizeDistribution, World
from brew_assets_tests.integration.mirrors import DirectoryMirror


@pytest.fixture(scope="module")
def upstream() -> Iterator[Simulator]:
    world = World(seed=3, sizes=SizeDistribution.fixed(4_000))
    for name in ("jq", "ripgrep", "wget"):
        world.publish(name, "1.0", tags=["arm64_sonoma"])
    with Simulator(world) as running:
        yield running


@pytest.fixture
def mirror(tmp_path: Path) -> DirectoryMirror:
    return DirectoryMirror(tmp_path / "mirror")
