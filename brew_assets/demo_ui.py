"""`make demo-ui`: Dagster's UI on the demo's runs, with a daemon and an upstream that has news.

Everything is on loopback. Upstream moves on by a week at each start; mirror and runs stay.
"""

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import httpx

from brew_assets.demo_processes import (
    CLOCK,
    CannotStart,
    Reaper,
    Service,
    end_all,
    note_where,
    only_one,
    port_to_listen_on,
    stop_signals,
)
from brew_assets.demo_upstream import demo_environment, demo_world, move_on, slow_down
from brew_assets.engine.clock import SignalEvent
from brew_assets.errors import MirrorError
from brew_assets.runtimes.context import SIMULATED_MARK
from brew_assets.runtimes.printing import print_line, print_lines
from brew_assets.simulator import Simulator
from brew_assets.simulator.model import SimulatedBottle

_WEEK = "upstream-week"
_PORT = 3000
# The last of those that Dagster makes in its home.
_DATABASE = Path("schedules", "schedules.db")
_START_TIMEOUT_S = 180.0
_POLL_S = 0.3
_LOADED = """{ workspaceOrError { ... on Workspace { locationEntries {
    loadStatus locationOrLoadError { __typename } } } } }"""


@click.command()
@click.option("--mirror", default="mirror", show_default=True, help="The demo's mirror.")
@click.option("--home", default=".demo", show_default=True, help="Where Dagster keeps the runs.")
@click.option(
    "--port", default=_PORT, show_default=True, help="The UI's port; another one where it is taken."
)
def main(mirror: str, home: str, port: int) -> None:
    """Start Dagster's UI, its daemon and a simulated upstream on the demo's mirror; Ctrl-C ends all of it."""
    if not (Path(mirror) / SIMULATED_MARK).exists():
        print_line(f"{mirror}/ does not hold the demo's bottles: run 'make demo' first", err=True)
        sys.exit(2)
    try:
        with stop_signals() as stop, only_one(Path(home)) as lock:
            _run(Path(mirror), Path(home), port, stop=stop, lock=lock)
    except MirrorError as error:
        print_lines(f"Error: {error}", err=True)
        sys.exit(2 if not isinstance(error, CannotStart) else 1)


def _run(mirror: Path, home: Path, port: int, *, stop: SignalEvent, lock: Path) -> None:
    """All of it goes on until somebody wants its end.

    Raises:
        CannotStart: one of the programs ended by itself.
    """
    print_line("Starting Dagster's webserver and daemon beside a simulated upstream …")
    world = demo_world()
    week = _next_week(home)
    new = [bottle for number in range(1, week + 1) for bottle in move_on(world, number)]
    listed = set(world.bottles)
    new = [bottle for bottle in new if bottle in listed]  # a later week may replace one of an earlier week
    with Simulator(world) as upstream:
        slow_down(upstream, new)
        environment = demo_environment(upstream, mirror.absolute(), home.absolute())
        # Few at a time, and a record of progress every second: a transfer can be watched.
        environment |= {"MAX_CONCURRENT_DOWNLOADS": "3", "PROGRESS_UPDATE_INTERVAL": "1"}
        free = port_to_listen_on(port)
        if free != port:
            print_line(f"Port {port} is taken: this one listens on {free}.")
        url = f"http://127.0.0.1:{free}"
        environment["DAGSTER_URL"] = url
        with _services(environment, home, free, stop) as services:
            if _wait_until_ready(url, services, stop):
                note_where(lock, url)
                _say_what_to_try(url, mirror, home, week, new)
            while not stop.is_set():
                _raise_if_ended(services)
                stop.wait(_POLL_S)
            print_line("Stopping …")
    print_line("Stopped. Mirror and runs are kept; make demo-ui goes on with them.")


def _next_week(home: Path) -> int:
    """How many weeks upstream has moved on since the demo, this start's week among them."""
    file = home / _WEEK
    text = file.read_text().strip() if file.exists() else ""
    week = int(text) + 1 if text.isdecimal() else 1
    file.write_text(f"{week}\n")
    return week


@contextlib.contextmanager
def _services(
    environment: dict[str, str], home: Path, port: int, stop: SignalEvent
) -> Iterator[list[Service]]:
    """Webserver and daemon run while the block lasts; then nothing of them is left.

    Nor where this process is killed: a daemon that went on would start runs beside the next one.

    Raises:
        CannotStart: Dagster's databases cannot be made.
    """
    commands = {
        "webserver": ("dagster-webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)),
        "daemon": ("dagster-daemon", "run", "-w", "workspace.yaml"),
    }
    services: list[Service] = []
    with contextlib.closing(Reaper()) as reaper:
        if not (home / _DATABASE).exists():
            _make_databases(environment, home, stop, reaper)
        try:
            for name, (script, *arguments) in commands.items():
                # Beside this Python, which may be no other program's.
                program = (sys.executable, str(Path(sys.executable).with_name(script)), *arguments)
                services.append(Service(name, program, environment, home / f"{name}.log", reaper=reaper))
            yield services
        finally:
            end_all(services)


def _make_databases(environment: dict[str, str], home: Path, stop: SignalEvent, reaper: Reaper) -> None:
    """Dagster's databases are there: two programs that make them at once leave what neither can read."""
    program = (sys.executable, "-m", "dagster", "instance", "info")
    made = Service("set-up of Dagster's databases", program, environment, home / "set-up.log", reaper=reaper)
    try:
        while not made.has_ended and not stop.wait(_POLL_S):
            pass
        if made.has_ended and not made.has_ended_well:
            raise CannotStart(made.how_it_ended())
    finally:
        end_all([made])


def _wait_until_ready(url: str, services: Sequence[Service], stop: SignalEvent) -> bool:
    """Whether the UI shows the project; not, where somebody wants the end before.

    Raises:
        CannotStart: one of the programs ended, or the UI does not answer in time.
    """
    deadline = CLOCK.monotonic() + _START_TIMEOUT_S
    with httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
        while not stop.wait(_POLL_S):
            _raise_if_ended(services)
            with contextlib.suppress(httpx.HTTPError, KeyError, TypeError, ValueError):
                found = client.post("/graphql", json={"query": _LOADED}).raise_for_status().json()
                entries = found["data"]["workspaceOrError"]["locationEntries"]
                if entries and all(_is_loaded(entry) for entry in entries):
                    return True
            if CLOCK.monotonic() > deadline:
                raise CannotStart(
                    f"The webserver has not answered within {_START_TIMEOUT_S:.0f} s; see {services[0].log}"
                )
    return False


def _is_loaded(entry: Mapping[str, Any]) -> bool:
    """Whether the project is there, or the UI shows why not."""
    return entry["loadStatus"] == "LOADED" and entry["locationOrLoadError"] is not None


def _raise_if_ended(services: Sequence[Service]) -> None:
    for service in services:
        if service.has_ended:
            raise CannotStart(f"{service.how_it_ended()}\nEverything else was stopped.")


def _say_what_to_try(url: str, mirror: Path, home: Path, week: int, new: Sequence[SimulatedBottle]) -> None:
    weeks = "a week" if week == 1 else f"{week} weeks"
    formulae = len({bottle.formula for bottle in new})
    print_lines(
        f"""
Dagster:  {url}
Upstream: simulated. It has moved on by {weeks} since the demo: {formulae} formulae have new versions, with
          {len(new)} bottles for all platforms. They come slowly, so that progress can be watched.

Try:
  One platform   Catalog, bottles, Materialize, select arm64_sonoma, Launch run. Its new bottles are
                 downloaded; the run's page and the asset's Events show how far it is.
  All of them    Jobs, weekly_sync, Materialize all. It plans, and within half a minute the sensor starts
                 a run for each platform that lacks something.
  What is held   Catalog, hash_manifest: the report of the last sync, and plots over time.
  What is served Catalog, publication: half a minute after the last run of a sync it has what that stored.

Mirror and runs are kept in {mirror}/ and {home}/ (logs: webserver.log, daemon.log). Each start moves upstream
on by another week. The schedule and the sensors are on, as in a deployment: see Automation.
Ctrl-C ends all of it."""
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
