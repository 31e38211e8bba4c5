"""A deployment in one process: the real definitions, a store in a directory, a simulated upstream."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from brew_assets_tests.defs.deployment import Deployment


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
