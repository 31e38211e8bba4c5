"""Dagster's UI on the demo's runs, in processes of this machine that end with their block.

For the README's pictures and for the tests that click.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx

from brew_assets_tests.ports import free_ports

ROOT = Path(__file__).resolve().parent.parent
_PATIENCE_S = 120.0
# Longer than the demo's UI gives its own programs.
_GRACE_S = 40.0
_URL = re.compile(r"^Dagster: +(http://\S+)$", re.MULTILINE)


class CannotRun(Exception):
    """Something that is needed is missing or did not start."""


def run_demo(folder: Path) -> dict[str, str]:
    """The environment in which Dagster shows the demo's runs; mirror and instance are in the folder.

    Raises:
        CannotRun: the demo failed.
    """
    home, mirror = folder / "home", folder / "mirror"
    home.mkdir()
    # `make demo` copies the same file; it also keeps a first visit's dialogue about newsletters away.
    (home / "dagster.yaml").write_text((ROOT / "infra" / "dagster" / "laptop" / "dagster.yaml").read_text())
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "MIRROR_URL": str(mirror),
    }
    (port,) = free_ports(1)
    places = ["--mirror", str(mirror), "--home", str(home), "--port", str(port)]
    demo = [sys.executable, "-m", "brew_assets.demo", *places]
    done = subprocess.run(demo, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRun(f"The demo failed with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return environment


@contextlib.contextmanager
def served(environment: dict[str, str], *, log: Path) -> Iterator[str]:
    """The address of Dagster's UI while the block lasts.

    Raises:
        CannotRun: it did not start.
    """
    (port,) = free_ports(1)
    command = ["dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    with started(command, environment, log=log) as process:
        url = f"http://127.0.0.1:{port}"
        if not answers(f"{url}/server_info", process):
            raise CannotRun(f"Dagster's UI did not start:\n{log.read_text()[-2000:]}")
        yield url


class Playing:
    """`make demo-ui` as somebody has started it: its process, and what it has printed."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def printed(self) -> str:
        """All of it, so far."""
        return self._log.read_text(encoding="utf-8")

    def url(self) -> str:
        """The UI's address, once it says so.

        Raises:
            CannotRun: it ended, or said none in time.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while not (found := _URL.search(self.printed)):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise CannotRun(f"The demo's UI did not start:\n{self.printed[-3000:]}")
            time.sleep(0.1)
        return found[1]


@contextlib.contextmanager
def playing(folder: Path, *, port: int, log: str = "demo-ui.log") -> Iterator[Playing]:
    """The demo's UI on `mirror` and `home` of the folder, while the block lasts; it may take another port."""
    places = ("--mirror", str(folder / "mirror"), "--home", str(folder / "home"))
    command = ("brew_assets.demo_ui", *places, "--port", str(port))
    with started(command, dict(os.environ), log=folder / log) as process:
        yield Playing(process, folder / log)


@contextlib.contextmanager
def started(
    module: Sequence[str], environment: dict[str, str], *, log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """A Python module that runs while the block lasts; what it prints goes to the log."""
    # Dagster ends on SIGTERM as it would on SIGINT, and an ignored SIGINT would be passed on to it.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process)


def answers(url: str, process: "subprocess.Popen[bytes]") -> bool:
    """Whether the process serves the address before it ends or the patience does."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=5, trust_env=False).status_code == httpx.codes.OK:
                return True
        time.sleep(0.3)
    return False


def end(process: "subprocess.Popen[bytes]") -> None:
    """The process and those that it started are gone; they share a session of their own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
