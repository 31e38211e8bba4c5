"""PostgreSQL for tests: reachable with its password only, good for Dagster's storage, gone afterwards."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import psycopg2
import pytest

from brew_assets_tests.local_aws.session import wait_for
from brew_assets_tests.postgres import Postgres, postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A running PostgreSQL."""
    with postgres() as running:
        yield running


def test_dagsters_instance_keeps_its_runs_and_events_in_it(
    server: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("dagster")
    (home / "dagster.yaml").write_text(
        f"storage:\n  postgres:\n    postgres_url: {server.url('postgresql+psycopg2')}\n"
        "telemetry:\n  enabled: false\n"
    )

    @dg.asset
    def bottles() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"copied": 3})

    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert dg.materialize([bottles], instance=instance).success
    with dg.DagsterInstance.from_config(str(home)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("bottles"))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.metadata["copied"].value == 3
        assert [run.is_success for run in instance.get_runs()] == [True]


def test_it_asks_for_the_password(server: Postgres) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(
            host=server.host, port=server.port, user=server.user, password="wrong", dbname=server.database
        )


def test_its_environment_is_what_dagster_yaml_reads(server: Postgres) -> None:
    given = server.environment()
    assert given["DAGSTER_POSTGRES_PORT"] == str(server.port)
    assert server.url("postgresql+psycopg2") == (
        f"postgresql+psycopg2://{given['DAGSTER_POSTGRES_USER']}:{given['DAGSTER_POSTGRES_PASSWORD']}"
        f"@{given['DAGSTER_POSTGRES_HOST']}:{given['DAGSTER_POSTGRES_PORT']}/{given['DAGSTER_POSTGRES_DB']}"
    )


def test_nothing_is_left_of_it() -> None:
    with postgres() as server:
        owner = next(
            process
            for process in psutil.Process().children(recursive=True)
            if process.name() == "postgres" and f"port={server.port}" in process.cmdline()
        )
        family = [owner, *owner.children(recursive=True)]
        assert psutil.Process(owner.pid).uids().real != 0 or psutil.Process().uids().real != 0
    assert not any(process.is_running() for process in family)
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(server.url("postgresql"))


def test_it_ends_with_a_test_run_that_is_killed() -> None:
    script = (
        "import sys; from brew_assets_tests.postgres import postgres\n"
        "with postgres() as server:\n    print(server.port, flush=True); sys.stdin.read()"
    )
    run = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert run.stdout is not None
    port = int(run.stdout.readline())
    owner = next(
        process
        for process in psutil.Process(run.pid).children()
        if process.name() == "postgres" and f"port={port}" in process.cmdline()
    )
    folder = Path(owner.cwd()).parent
    run.kill()
    run.wait()

    def ended() -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            return not owner.is_running() or owner.status() == psutil.STATUS_ZOMBIE
        return True

    wait_for(ended, what="its end", timeout_s=60)
    # What a killed run cannot do itself.
    shutil.rmtree(folder)
