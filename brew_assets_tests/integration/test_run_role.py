"""Publications in a bucket whose server allows below published/ what the role of runs may do, and no more."""

from collections.abc import Iterator

import pytest

from brew_assets.simulator import Simulator, World
from brew_assets_tests.integration.mirrors import PLATFORMS, BucketMirror
from brew_assets_tests.quirky_s3 import Quirk, QuirkyS3, Seen, quirky_s3
from brew_assets_tests.servers import S3Server


def _is_published(seen: Seen) -> bool:
    return "/published/" in seen.key


def _is_blind(seen: Seen) -> bool:
    """Whether it is a write that infra/terraform/modules/iam allows nobody: CreateRecords, MovePointer."""
    may = {"if-none-match", "if-match"} if seen.key.endswith("/published/current.json") else {"if-none-match"}
    return _is_published(seen) and not may & seen.headers.keys()


@pytest.fixture
def front(s3: S3Server) -> Iterator[QuirkyS3]:
    with quirky_s3(s3) as made:
        made.add(
            Quirk(method="PUT", matches=_is_blind, status=403, code="AccessDenied"),
            Quirk(method="DELETE", matches=_is_published, status=403, code="AccessDenied"),
        )
        yield made


def test_the_role_of_runs_suffices_for_one_publication_after_the_other(front: QuirkyS3) -> None:
    mirror = BucketMirror(front)
    with Simulator(World(seed=92)) as upstream:
        for version in ("1.0", "1.1", "1.2"):
            upstream.world.publish("jq", version, tags=PLATFORMS, size_bytes=20_000)
            assert mirror.sync(upstream)["publication"]["outcome"] == "published"
    written = [seen for seen in front.seen if seen.method == "PUT" and _is_published(seen)]
    moves = [seen for seen in written if seen.key.endswith("/current.json")]
    # The first pointer is created where nothing stood, the others name the version that they replace.
    assert ["if-match" in seen.headers for seen in moves] == [False, True, True]
    assert len(written) == 2 * len(moves)
