"""Mirrors that a sync has filled with awkward names, one in a directory and one in a bucket."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from brew_assets.domain.publication import Publication, PublishedBottle
from brew_assets.engine.kept_indexes import index_key
from brew_assets.simulator import Simulator, SizeDistribution, World
from brew_assets_tests.integration.mirrors import BucketMirror, DirectoryMirror, MirrorUnderTest
from brew_assets_tests.runtimes.gateway.publishing import Publisher, published_bottles
from brew_assets_tests.servers import S3Server, seaweedfs

PLATFORMS = ("arm64_sonoma", "x86_64_linux")


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """One SeaweedFS for all tests of this process."""
    with seaweedfs() as server:
        yield server


@pytest.fixture(scope="session")
def upstream() -> Iterator[Simulator]:
    """Names with @ + . _, versions with "-", revisions, rebuilds, `all`, one digest under two tags."""
    world = World(seed=7, sizes=SizeDistribution.fixed(20_000))
    tags = list(PLATFORMS)
    world.publish("openssl@3", "3.5.2", tags=tags)
    world.publish("libsigc++@2", "2.12.1", revision=2, tags=tags)
    world.publish("afl++", "4.33c", rebuild=3, tags=tags)
    world.publish("llama.cpp", "6150", tags=tags)
    world.publish("x_y-z.sh", "1.0_rc1", revision=1, rebuild=1, tags=tags)
    world.publish("agda", "2.8.0-r3", tags=["arm64_sonoma"])
    world.publish("ca-certificates", "2026-08-13", tags=["all"])
    world.publish("shared", "2.0", tags=tags, shared_digest=True)
    world.publish("same", "1.0", tags=["arm64_sonoma"])
    with Simulator(world) as running:
        yield running


class Filled(NamedTuple):
    """A mirror with one publication of all that it holds; `bottles` by their flat names."""

    mirror: MirrorUnderTest
    publisher: Publisher
    bottles: dict[str, PublishedBottle]
    record: Publication


@pytest.fixture(scope="session")
def filled_directory(upstream: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    return fill(DirectoryMirror(tmp_path_factory.mktemp("filled") / "mirror"), upstream)


@pytest.fixture(scope="session")
def filled_bucket(upstream: Simulator, s3: S3Server) -> Filled:
    return fill(BucketMirror(s3), upstream)


@pytest.fixture(params=["directory", "bucket"])
def filled(request: pytest.FixtureRequest) -> Filled:
    """A mirror to read from, shared by the tests of this process."""
    found: Filled = request.getfixturevalue(f"filled_{request.param}")
    return found


def fill(mirror: MirrorUnderTest, upstream: Simulator) -> Filled:
    """The mirror after two syncs, with its publication written and nothing pointing to it."""
    upstream.world.publish("same", "1.0", tags=["arm64_sonoma"])
    mirror.sync(upstream, TARGET_PLATFORMS=",".join(PLATFORMS))
    # The bytes of 1.0 once more, as happened upstream: one digest under two versions.
    upstream.world.publish("same", "1.1", tags=["arm64_sonoma"], keg_version="1.0")
    mirror.sync(upstream, TARGET_PLATFORMS=",".join(PLATFORMS))
    keep_index(mirror, upstream, "same", "1.1")
    publisher, bottles = Publisher(mirror), published_bottles(mirror, upstream)
    return Filled(mirror, publisher, bottles, publisher.record(list(bottles.values())))


def keep_index(mirror: MirrorUnderTest, upstream: Simulator, image: str, reference: str) -> None:
    """The index stands in the store, also where the sync needed no size from it and did not ask."""
    data = upstream.world.index_json(image, reference)
    assert data is not None
    mirror.write(index_key(image, reference, data), data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a gateway's log goes."""
    return tmp_path
