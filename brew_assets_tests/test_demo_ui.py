"""`make demo-ui` as a person has it in a terminal: one command starts all, and nothing is left of it."""

import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from brew_assets.demo_processes import only_one
from brew_assets.demo_upstream import demo_environment, demo_world, move_on
from brew_assets.runtimes.context import SIMULATED_MARK
from brew_assets.simulator import Simulator
from brew_assets_tests.deployed.graphql import Webserver
from brew_assets_tests.local_aws.session import wait_for
from brew_assets_tests.ports import free_ports
from tools.demo_ui import ROOT, Playing, playing

PLATFORM = "arm64_sonoma"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What `make demo` leaves, as far as the UI looks at it: the mark."""
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / SIMULATED_MARK).touch()
    (tmp_path / "home").mkdir()
    shutil.copy(ROOT / "infra" / "dagster" / "laptop" / "dagster.yaml", tmp_path / "home")
    return tmp_path


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_one_command_starts_all_and_leaves_nothing(folder: Path, taken: int) -> None:
    with playing(folder, port=taken) as first:
        url = first.url()
        assert f"Port {taken} is taken" in first.printed
        assert not url.endswith(f":{taken}")
        assert "It has moved on by a week since the demo: 6 formulae have new versions" in first.printed
        family = processes_of(first)
        assert_refused_beside(folder, url, first.process.pid)
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(60) == 0, first.printed
    assert "Stopped. Mirror and runs are kept" in first.printed
    assert_nothing_left(family, url)
    # Webserver and daemon both make what is not there, at the same time.
    assert (folder / "home" / "set-up.log").is_file()
    with contextlib.closing(sqlite3.connect(folder / "home" / "schedules" / "schedules.db")) as database:
        assert database.execute("SELECT count(*) FROM alembic_version").fetchall() == [(1,)]

    # The state is kept, upstream has moved on, and a run is under way when the daemon dies.
    (port,) = free_ports(1)
    with playing(folder, port=port, log="second.log") as second:
        url = second.url()
        assert url == f"http://127.0.0.1:{port}"
        assert "It has moved on by 2 weeks since the demo" in second.printed
        with contextlib.closing(Webserver(url)) as webserver:
            run = webserver.launch("mirror_platform", tags={"dagster/partition": PLATFORM})
            wait_for(lambda: webserver.run(run).status == "STARTED", what="a run", timeout_s=90)
        family = processes_of(second)
        daemon = next(process for process in family if "dagster-daemon run" in " ".join(process.cmdline()))
        daemon.kill()
        assert second.process.wait(60) == 1, second.printed
    assert "The daemon was ended by signal 9. The last of" in second.printed
    assert "Everything else was stopped." in second.printed
    assert_nothing_left(family, url)

    # Killed while it starts, it can end nothing of what it has started.
    with playing(folder, port=port, log="third.log") as third:
        family = wait_for(
            lambda: found if len(found := children_of(third)) >= 4 else None,
            what="webserver, daemon, who watches over them, and a code server",
            timeout_s=60,
        )
        third.process.kill()
        assert_nothing_left(family, url)
        with only_one(folder / "home"):
            pass


def assert_refused_beside(folder: Path, url: str, number: int) -> None:
    """A second UI, the demo itself and its removal are refused, and say why."""
    for module in ("brew_assets.demo_ui", "brew_assets.demo"):
        places = ("--mirror", str(folder / "mirror"), "--home", str(folder / "home"))
        done = subprocess.run(
            [sys.executable, "-m", module, *places], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"Error: make demo-ui runs already: {url}. Ctrl-C there ends it; from elsewhere: kill {number}\n"
        )
    (folder / ".demo").symlink_to(folder / "home")
    cleaned = demo_clean(folder)
    assert (cleaned.returncode, cleaned.stdout) == (
        2,
        f"make demo-ui runs at {url}: end it first, with Ctrl-C there\n",
    )
    assert (folder / "mirror").exists()


def demo_clean(folder: Path) -> "subprocess.CompletedProcess[str]":
    """`make demo-clean` in a clone whose `.demo` and `mirror` are the folder's."""
    clean = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS")}
    dry = subprocess.run(
        ["make", "--dry-run", "demo-clean"], cwd=ROOT, env=clean, capture_output=True, text=True, check=True
    )
    return subprocess.run(
        ["sh", "-ec", dry.stdout], cwd=folder, env=clean, capture_output=True, text=True, check=False
    )


def processes_of(running: Playing) -> list[psutil.Process]:
    """All that it has started, and what those have started."""
    family = children_of(running)
    assert len(family) >= 5, "webserver, daemon, who watches over them, and a code server for each"
    return family


def children_of(running: Playing) -> list[psutil.Process]:
    return psutil.Process(running.process.pid).children(recursive=True)


def assert_nothing_left(family: list[psutil.Process], url: str) -> None:
    """None of the processes is at work, and nobody answers at the address."""
    _, alive = psutil.wait_procs(family, timeout=10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    with socket.socket() as asking:
        assert asking.connect_ex(("127.0.0.1", int(url.rsplit(":", 1)[1]))) != 0


def test_databases_that_cannot_be_made_are_named_with_the_log(folder: Path) -> None:
    (folder / "home" / "dagster.yaml").write_text("storage: {nowhere: true}\n")
    (port,) = free_ports(1)
    with playing(folder, port=port) as failed:
        assert failed.process.wait(60) == 1
    assert "Error: The set-up of Dagster's databases ended with exit code 1." in failed.printed
    assert "set-up.log" in failed.printed


def test_without_the_demos_bottles_it_names_make_demo(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "brew_assets.demo_ui", "--mirror", "real", "--home", "home"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "real/ does not hold the demo's bottles: run 'make demo' first\n"
    assert list(tmp_path.iterdir()) == []


def test_each_week_brings_every_platform_something_and_the_same_every_time() -> None:
    world, again = demo_world(), demo_world()
    known = {bottle.filename for bottle in world.bottles}
    for week in (1, 2, 3):
        new = move_on(world, week)
        assert new == move_on(again, week)
        assert not {bottle.filename for bottle in new} & known
        known |= {bottle.filename for bottle in new}
        for platform in ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma"):
            assert sum(bottle.tag == platform for bottle in new) >= 3
    assert all(re.search(r"\d", formula.version) for formula in world.formulae)


def test_settings_of_the_shell_do_not_reach_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = {
        "S3_BUCKET_NAME": "real",
        "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/x",
        "https_proxy": "http://proxy.example:3128",
        "HTTP_PROXY": "http://proxy.example:3128",
        "FORMULAE_API_URL": "https://formulae.brew.sh/api",
        "BOTTLE_REGISTRY_SECRET_NAME": "real",
    }
    for name, value in (theirs | {"TARGET_PLATFORMS": PLATFORM}).items():
        monkeypatch.setenv(name, value)
    with Simulator(demo_world()) as upstream:
        environment = demo_environment(upstream, tmp_path / "mirror", tmp_path / "home")
    assert environment["TARGET_PLATFORMS"] == PLATFORM
    assert environment["FORMULAE_API_URL"].startswith("http://127.0.0.1:")
    assert environment["MIRROR_URL"] == str(tmp_path / "mirror")
    assert not (theirs.keys() - {"FORMULAE_API_URL"}) & environment.keys()
