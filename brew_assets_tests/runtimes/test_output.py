"""What a sync says on standard error: JSON lines into a pipe, and in a terminal what a person can read."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brew_assets.simulator import Fault, Simulator, SizeDistribution, World
from brew_assets_tests.integration.mirrors import PROGRAM, DirectoryMirror

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PLATFORM = ("--platform", "arm64_sonoma")


@pytest.fixture
def upstream() -> Iterator[Simulator]:
    """Three bottles: one heals, one stays wrong."""
    world = World(seed=3, sizes=SizeDistribution.fixed(4_000))
    for name in ("good", "heals", "wrong"):
        world.publish(name, "1.0", tags=["arm64_sonoma"])
    with Simulator(world) as running:
        running.fault(name_of(world, "heals"), Fault.server_error(503, times=1))
        running.fault(name_of(world, "wrong"), Fault.wrong_bytes(times=None))
        yield running


def name_of(world: World, formula: str) -> str:
    return next(bottle.filename for bottle in world.bottles if bottle.formula == formula)


@pytest.fixture
def mirror(tmp_path: Path) -> DirectoryMirror:
    return DirectoryMirror(tmp_path / "mirror")


def lines_of(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith('{"')]


def in_terminal(command: list[str], environment: dict[str, str], *, columns: int = 200) -> tuple[int, str]:
    """Exit code and all that a terminal of that width was sent."""
    ours, theirs = pty.openpty()
    sized = environment | {"TERM": "xterm", "COLUMNS": str(columns), "LINES": "50"}
    with subprocess.Popen(command, env=sized, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while piece := _read(ours):
            shown += piece
        os.close(ours)
    return process.returncode, shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's way to say that nobody writes there any more
        return b""


class Screen:
    """What stands on a terminal after it was sent something: the few movements that our programs make."""

    def __init__(self, sent: str) -> None:
        self.rows: list[str] = [""]
        self._row = self._column = 0
        for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)", sent):
            self._take(part)

    def _take(self, part: str) -> None:
        if part == "\r":
            self._column = 0
        elif part == "\n":
            self._row += 1
            self.rows += [""] * (self._row + 1 - len(self.rows))
        elif part == "\x1b[2K":
            self.rows[self._row] = ""
        elif up := re.fullmatch(r"\x1b\[(\d+)A", part):
            self._row = max(0, self._row - int(up[1]))
        elif not part.startswith("\x1b"):
            row = self.rows[self._row].ljust(self._column)
            self.rows[self._row] = row[: self._column] + part + row[self._column + len(part) :]
            self._column += len(part)


def test_in_a_pipe_every_line_of_the_log_is_json_with_sync_platform_and_bottle(
    upstream: Simulator, mirror: DirectoryMirror
) -> None:
    done = mirror.run(upstream, "sync", "--json", *PLATFORM)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    lines = lines_of(done.stderr)
    assert len(lines) == len(done.stderr.splitlines())
    of_sync = [line for line in lines if "sync_id" in line]
    assert {(line["sync_id"], line["platform"]) for line in of_sync} == {(report["sync_id"], "arm64_sonoma")}
    assert sorted(line["bottle"] for line in lines if line["message"] == "stored") == [
        name_of(upstream.world, "good"),
        name_of(upstream.world, "heals"),
    ]
    by_bottle = {line["bottle"]: line for line in lines if line["message"] in ("tried again", "not stored")}
    assert by_bottle[name_of(upstream.world, "heals")]["reason"] == "upstream failed"
    wrong = by_bottle[name_of(upstream.world, "wrong")]
    assert (wrong["level"], wrong["reason"], wrong["security"]) == ("ERROR", "digest mismatch", True)
    assert lines[-1]["message"] == "sync ends"


def test_in_a_terminal_the_same_run_is_text_above_a_bar(upstream: Simulator, mirror: DirectoryMirror) -> None:
    code, shown = in_terminal([PROGRAM, "sync", *PLATFORM], mirror.environment(upstream))
    assert code == 1
    rows = [_ESCAPES.sub("", row).rstrip() for row in Screen(shown).rows]
    logged = [row for row in rows if re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ ", row)]
    words = [row.split()[2:5] for row in logged]
    for expected in (["INFO", "sync", "begins"], ["INFO", "sync", "ends"], ["WARNING", "tried", "again:"]):
        assert expected in words
    assert any(
        row.split()[2:5] == ["ERROR", "not", "stored:"]
        and re.search(r"sync=\S+ platform=arm64_sonoma bottle=wrong-1\.0\.arm64_sonoma\S+$", row)
        for row in logged
    ), rows
    # The bar tells of the bottles that are stored, and is gone at the end.
    assert not any("INFO stored" in row for row in rows)
    assert "Bottles 3/3" in shown
    assert not any(row.startswith("Bottles") for row in rows)
    assert not any(row.startswith("{") for row in rows)
    assert any("partial. Stored 2 bottles" in row for row in rows)


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_bar_of_any_width_takes_no_line_of_two_processes_away(
    mirror: DirectoryMirror, columns: int
) -> None:
    world = World(seed=4, sizes=SizeDistribution.fixed(500_000))
    for number in range(120):
        world.publish(f"a-formula-with-a-long-name-{number}", "1.0", tags=["arm64_sonoma"])
    with Simulator(world) as upstream:
        for bottle in world.bottles[::2]:
            upstream.fault(bottle.filename, Fault.slow(20_000_000, times=1), Fault.server_error(503, times=1))
        environment = mirror.environment(upstream, LOG_LEVEL="DEBUG", MAX_TRANSFER_PROCESSES="2")
        code, shown = in_terminal([PROGRAM, "sync", *PLATFORM], environment, columns=columns)
    assert code == 0
    rows = Screen(shown).rows
    if sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1:
        assert any("INFO processes share the transfer processes=2 " in row for row in rows)
    for bottle in world.bottles:
        assert sum(
            f"INFO stored how=downloaded bytes={bottle.size} " in row and of(bottle.filename, row)
            for row in rows
        )
    assert not any(re.search(r"Bottles.*(INFO|WARNING)|(INFO|WARNING).*Bottles", row) for row in rows)


def of(filename: str, row: str) -> bool:
    return row.rstrip().endswith(f"bottle={filename}")


def test_log_format_says_otherwise(upstream: Simulator, mirror: DirectoryMirror) -> None:
    done = mirror.run(upstream, "sync", "--json", *PLATFORM, LOG_FORMAT="text")
    assert lines_of(done.stderr) == []
    assert f"bottle={name_of(upstream.world, 'good')}\n" in done.stderr
    code, shown = in_terminal(
        [PROGRAM, "--quiet", "sync", "--json", *PLATFORM], mirror.environment(upstream, LOG_FORMAT="json")
    )
    assert code == 1
    assert {"sync begins", "sync ends"} <= {line["message"] for line in lines_of(_ESCAPES.sub("", shown))}


def test_log_level_leaves_what_went_wrong(upstream: Simulator, mirror: DirectoryMirror) -> None:
    done = mirror.run(upstream, "sync", "--json", *PLATFORM, LOG_LEVEL="ERROR")
    assert [(line["level"], line["message"]) for line in lines_of(done.stderr)] == [("ERROR", "not stored")]


def test_a_persons_mistake_is_still_told_in_words(mirror: DirectoryMirror, upstream: Simulator) -> None:
    done = mirror.run(upstream, "sync", "--plan", "no-such-plan")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: sync 'no-such-plan': expected a plan")


def test_processes_that_share_a_transfer_write_whole_lines_of_one_sync(mirror: DirectoryMirror) -> None:
    world = World(seed=5, sizes=SizeDistribution.fixed(2_000))
    for number in range(200):
        world.publish(f"formula-{number}", "1.0", tags=["arm64_sonoma"])
    with Simulator(world) as upstream:
        done = mirror.run(upstream, "sync", "--json", *PLATFORM, MAX_TRANSFER_PROCESSES="2")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    stored = [line for line in lines if line["message"] == "stored"]
    assert len({line["bottle"] for line in stored}) == len(stored) == 200
    assert {line["sync_id"] for line in stored} == {json.loads(done.stdout)["sync_id"]}
