"""A deployment in one process: the real definitions, a store in a directory, a simulated upstream."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from brew_assets_tests.defs.announced import Announced
from brew_assets_tests.defs.deployment import Deployment
from brew_assets_tests.slack_sink import SlackSink, slack_sink


@pytest.fixture
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    # Otherwise it leaves folders behind where programs keep temporary files.
    folder = tmp_path_factory.mktemp("instance")
    with dg.DagsterInstance.ephemeral(tempdir=str(folder)) as running:
        yield running


@pytest.fixture
def deployment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path / "mirror", instance)
    with deployment.simulator:
        for name, value in deployment.environment().items():
            monkeypatch.setenv(name, value)
        yield deployment


@pytest.fixture
def slack() -> Iterator[SlackSink]:
    with slack_sink() as sink:
        yield sink
        assert sink.problems == []


@pytest.fixture
def announced(deployment: Deployment, slack: SlackSink, monkeypatch: pytest.MonkeyPatch) -> Announced:
    """The deployment, which tells its syncs to `slack`."""
    monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
    monkeypatch.setenv("ENVIRONMENT", "staging")
    monkeypatch.setenv("RETRY_ATTEMPTS", "0")
    monkeypatch.setenv("DAGSTER_URL", "https://dagster.example")
    return Announced(deployment, slack)
