"""One small world, served."""

from collections.abc import Iterator

import pytest

from brew_assets.simulator import SimulatedBottle, Simulator, World


@pytest.fixture
def world() -> World:
    return World(seed=7)


@pytest.fixture
def simulator(world: World) -> Iterator[Simulator]:
    with Simulator(world) as running:
        yield running


@pytest.fixture
def wget(world: World) -> SimulatedBottle:
    """A bottle of about 3 KB."""
    return world.publish("wget", "1.25.0", revision=1, size_bytes=3_000)[0]
