"""Outside systems on loopback."""

from collections.abc import Iterator

import pytest

from brew_assets_tests.event_account import CREDENTIALS, aws
from brew_assets_tests.quirky_s3 import QuirkyS3, quirky_s3
from brew_assets_tests.servers import ACCESS_KEY, SECRET_KEY, S3Server, seaweedfs
from brew_assets_tests.slack_sink import SlackSink, slack_sink


@pytest.fixture
def slack() -> Iterator[SlackSink]:
    with slack_sink() as sink:
        yield sink


@pytest.fixture(scope="module")
def aws_url() -> Iterator[str]:
    with aws() as url:
        yield url


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """An S3 server for the tests of one module."""
    with seaweedfs() as running:
        yield running


@pytest.fixture(scope="module")
def front(server: S3Server) -> Iterator[QuirkyS3]:
    """What stands before it and answers as other servers do."""
    with quirky_s3(server) as running:
        yield running


@pytest.fixture
def quirky(front: QuirkyS3, monkeypatch: pytest.MonkeyPatch) -> Iterator[QuirkyS3]:
    """The same, without a quirk yet, and credentials for it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    front.seen.clear()
    yield front
    front.clear()
