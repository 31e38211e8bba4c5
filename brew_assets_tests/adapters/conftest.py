"""Outside systems on loopback."""

from collections.abc import Iterator

import pytest

from brew_assets_tests.event_account import CREDENTIALS, aws
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
