"""What a person in a terminal sees, and what is said of waits."""

import fcntl
import os
import pty
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from brew_assets.runtimes.progress import fitting
from brew_assets.simulator import Simulator
from brew_assets_tests.integration.mirrors import PROGRAM, DirectoryMirror
from brew_assets_tests.runtimes.test_output import Screen, in_terminal

PLATFORM = ("--platform", "arm64_sonoma")


@contextmanager
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_catalogue_that_does_not_come_is_a_line_of_the_log(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    with silent_server() as address:
        process = mirror.start(upstream, "plan", FORMULAE_API_URL=address, LOG_FORMAT="text")
        assert process.stderr is not None
        line = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert re.search(rf"INFO Waiting for the formulae API {address}/formula.json \(\d s\)$", line.strip())


def test_in_a_terminal_what_is_waited_for_stands_in_one_row_and_is_gone_at_the_end(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    ours, theirs = pty.openpty()
    with silent_server() as address:
        environment = mirror.environment(upstream, FORMULAE_API_URL=address, TERM="xterm", COLUMNS="60")
        with subprocess.Popen([PROGRAM, "plan"], env=environment, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            shown = ""
            while "s)" not in shown and "…" not in shown:
                shown += os.read(ours, 4096).decode()
            process.send_signal(signal.SIGTERM)
            try:
                while piece := os.read(ours, 4096):
                    shown += piece.decode()
            except OSError:
                pass  # Linux's way to say that nobody writes there any more
        os.close(ours)
    assert process.returncode == 1
    assert "Waiting for the formulae API http://127.0.0.1:" in shown
    rows = [row.strip() for row in Screen(shown).rows]
    assert not any("Waiting" in row for row in rows), rows
    assert any(row.startswith("Stopped") for row in rows)


def test_a_lock_that_another_process_holds_is_named(mirror: DirectoryMirror, upstream: Simulator) -> None:
    mirror.sync(upstream, *PLATFORM)
    with (mirror.root / ".lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = mirror.start(upstream, "sync", "--force", *PLATFORM, LOG_FORMAT="text")
        assert process.stderr is not None
        line = process.stderr.readline()
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    waiting = rf"WARNING Waiting for the store {mirror.root}/: another process holds \.lock \(\d s\)$"
    assert re.search(waiting, line.strip())


def test_in_a_terminal_a_table_has_a_frame_and_a_bar_is_never_cut_within_a_figure(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    code, shown = in_terminal([PROGRAM, "sync", *PLATFORM], mirror.environment(upstream), columns=40)
    assert code == 0
    assert "Bottles 3/3" in shown
    assert not re.search(r"\d/\?|byt\b", shown)
    code, shown = in_terminal([PROGRAM, "status"], mirror.environment(upstream), columns=80)
    assert code == 0
    assert shown.count("┏") == 2


def test_a_key_that_is_to_be_copied_stands_whole_in_a_narrow_terminal(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    mirror.sync(upstream, *PLATFORM)
    (key,) = [key for key in mirror.keys() if key.startswith("backups/")]
    for columns, frames in ((80, 0), (140, 1)):
        arguments = [PROGRAM, "manifest", "backups"]
        code, shown = in_terminal(arguments, mirror.environment(upstream), columns=columns)
        assert (code, shown.count("┏"), shown.count(key)) == (0, frames, 1)


def test_who_stops_a_plan_hears_of_no_bottles_under_way(mirror: DirectoryMirror, upstream: Simulator) -> None:
    with silent_server() as address:
        process = mirror.start(upstream, "plan", FORMULAE_API_URL=address, LOG_FORMAT="text")
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    assert said.splitlines() == [
        "Stopping …",
        "Stopped before there was a plan; nothing was copied, the next sync begins anew.",
    ]


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        (80, "Bottles 1/2  ━━──  4.0 KB of 8.0 KB  2.0 KB/s"),
        (40, "Bottles 1/2  ━━──  4.0 KB of 8.0 KB"),
        (30, "Bottles 1/2  ━━──"),
        (5, ""),
    ],
)
def test_of_a_bar_that_does_not_fit_whole_parts_are_left_out(columns: int, row: str) -> None:
    assert fitting(["Bottles 1/2", "━━──", "4.0 KB of 8.0 KB", "2.0 KB/s"], columns) == row


def test_a_wait_that_does_not_fit_is_cut() -> None:
    assert fitting(["Bottles 1/2", "Waiting for the registry"], 24) == "Bottles 1/2  Waiting f…"


def test_the_simulator_says_what_it_does_and_quiet_says_nothing() -> None:
    for options, said in (
        ((), ["Making the bottles of 3 formulae …", "Serving 18 bottles; Ctrl-C ends it."]),
        (("--quiet",), []),
    ):
        process = subprocess.Popen(
            [PROGRAM, *options, "simulate", "--formulae", "3"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for name in ("FORMULAE_API_URL", "BOTTLE_REGISTRY_URL", "BOTTLE_CDN_HOSTS"):
            assert process.stdout.readline().startswith(f"export {name}=")
        assert process.stderr is not None
        shown = [process.stderr.readline().rstrip() for _ in said]
        process.terminate()
        assert (shown, process.communicate(timeout=20)[1]) == (said, "")
