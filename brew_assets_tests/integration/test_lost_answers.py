"""Answers of the store that are lost: what it has taken is not downloaded a second time."""

import pytest

from brew_assets.simulator import Simulator, World
from brew_assets_tests.integration.mirrors import BucketMirror, assert_complete
from brew_assets_tests.quirky_s3 import Quirk, Seen, quirky_s3
from brew_assets_tests.servers import S3Server

PLATFORMS = ("--platform", "arm64_sonoma", "--platform", "arm64_tahoe")
LOST = {
    "reset": {"loses_answer": True},
    "500": {"answers": 500, "code": "InternalError"},
    "504": {"answers": 504},
}


def _world() -> World:
    world = World(seed=83)
    for number, size in enumerate((4_000, 60_000, 900_000, 1_500_000, 3_000_000)):
        world.publish(f"formula-{number}", "1.0", tags=["arm64_sonoma"], size_bytes=size)
    for number, size in enumerate((5_000, 1_600_000)):
        tags = ["arm64_sonoma", "arm64_tahoe"]
        world.publish(f"shared-{number}", "1.0", tags=tags, size_bytes=size, shared_digest=True)
    return world


def _is_upload(seen: Seen) -> bool:
    return not seen.is_copy


def _is_copy(seen: Seen) -> bool:
    return seen.is_copy


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("which", [_is_upload, _is_copy])
def test_bottles_that_the_store_took_without_an_answer_are_downloaded_once(
    s3: S3Server, lost: str, which: object
) -> None:
    assert callable(which)
    with quirky_s3(s3) as front, Simulator(_world()) as upstream:
        mirror = BucketMirror(front)
        front.add(Quirk(method="PUT", key=".tar.gz", matches=which, **LOST[lost]))  # type: ignore[arg-type]
        report = mirror.sync(upstream, *PLATFORMS, RETRY_ATTEMPTS="1")
        assert (report["stored"], report["downloaded"], report["failed"]) == (9, 7, [])
        assert upstream.bytes_sent == sum({b.digest: b.size for b in upstream.world.bottles}.values())
        assert max(upstream.downloads.values()) == 1
        if which is _is_upload:
            assert report["new"] == 9
        front.clear()
        assert_complete(mirror, upstream)
