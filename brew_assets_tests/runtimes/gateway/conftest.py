"""Mirrors that a sync has filled with awkward names, one in a directory and one in a bucket."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from brew_assets.domain.object_keys import INDEX_PREFIX
from brew_assets.domain.publication import RECORD_PREFIX, Publication, PublishedBottle
from brew_assets.simulator import Simulator, SizeDistribution, World
from brew_assets_tests.integration.mirrors import BucketMirror, DirectoryMirror, MirrorUnderTest
from brew_assets_tests.integration.publications import walk
from brew_assets_tests.integration.ways import Way
from brew_assets_tests.runtimes.gateway.publishing import Publisher, published_bottles
from brew_assets_tests.servers import S3Server, seaweedfs

PLATFORMS = ("arm64_sonoma", "x86_64_linux")


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """One SeaweedFS for all tests of this process."""
    with seaweedfs() as server:
        yield server


def awkward_world() -> World:
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
    return world


class Filled(NamedTuple):
    """A mirror and its publication of all that it holds; `bottles` by their flat names."""

    mirror: MirrorUnderTest
    publisher: Publisher
    bottles: dict[str, PublishedBottle]
    record: Publication


@pytest.fixture(scope="session")
def filled_directory(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    folder = tmp_path_factory.mktemp("filled")
    return fill(DirectoryMirror(folder / "mirror"), folder)


@pytest.fixture(scope="session")
def filled_bucket(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    return fill(BucketMirror(s3), tmp_path_factory.mktemp("filled"))


@pytest.fixture(params=["directory", "bucket"])
def filled(request: pytest.FixtureRequest) -> Filled:
    """A mirror to read from, shared by the tests of this process."""
    found: Filled = request.getfixturevalue(f"filled_{request.param}")
    return found


def by_syncs(mirror: MirrorUnderTest, upstream: Simulator, folder: Path) -> list[str]:
    """The way most mirrors come to be."""
    return []


def fill(mirror: MirrorUnderTest, folder: Path, way: Way = by_syncs) -> Filled:
    """A mirror that came to be in this way, and what a sync that completed it and the next one published.

    Between the two the bytes of 1.0 come once more under 1.1, as happened upstream.
    """
    mirror.settings |= {"TARGET_PLATFORMS": ",".join(PLATFORMS)}
    with Simulator(awkward_world()) as upstream:
        completing = way(mirror, upstream, folder)
        assert not [key for key in mirror.keys() if key.startswith((INDEX_PREFIX, RECORD_PREFIX))]
        done = mirror.sync(upstream, *completing)
        assert done["publication"]["outcome"] == "published"
        upstream.world.publish("same", "1.1", tags=["arm64_sonoma"], keg_version="1.0")
        assert mirror.sync(upstream)["publication"]["outcome"] == "published"
        return Filled(mirror, Publisher(mirror), published_bottles(mirror, upstream), walk(mirror))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a gateway's log goes."""
    return tmp_path
