"""Fixtures of the integration tests: real processes, a real S3 server, the simulated upstream."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from brew_assets_tests.integration.mirrors import BucketMirror, DirectoryMirror, MirrorUnderTest
from brew_assets_tests.servers import S3Server, seaweedfs


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """One SeaweedFS for all tests of this process."""
    with seaweedfs() as server:
        yield server


@pytest.fixture(params=["directory", "bucket"])
def mirror(request: pytest.FixtureRequest, tmp_path: Path) -> MirrorUnderTest:
    """An empty mirror, once in a directory and once in a bucket."""
    if request.param == "directory":
        return DirectoryMirror(tmp_path / "mirror")
    return BucketMirror(request.getfixturevalue("s3"))
