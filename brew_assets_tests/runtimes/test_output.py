"""What a sync says: results and log lines in two pipes, and in a terminal what a person can read."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from brew_assets.domain.bottle import entry_key
from brew_assets.domain.manifest import Receipt, encode_receipts
from brew_assets.domain.report import Report, describe_report
from brew_assets.runtimes.terminal import show_report
from brew_assets.simulator import Fault, Simulator, SizeDistribution, World
from brew_assets_tests.integration.mirrors import PROGRAM, DirectoryMirror

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PLATFORM = ("--platform", "arm64_sonoma")
ARM = ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma")


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
    done = mirror.run(upstream, "sync", "--json", *PLATFORM, LOG_LEVEL="DEBUG")
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
    assert [line["message"] for line in lines[-2:]] == ["sync ends", "a publication is current"]


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
    assert f"bottle={name_of(upstream.world, 'wrong')}\n" in done.stderr
    code, shown = in_terminal(
        [PROGRAM, "sync", "--json", *PLATFORM], mirror.environment(upstream, LOG_FORMAT="json")
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
        more = {"MAX_TRANSFER_PROCESSES": "2", "LOG_LEVEL": "DEBUG"}
        done = mirror.run(upstream, "sync", "--json", *PLATFORM, **more)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    stored = [line for line in lines if line["message"] == "stored"]
    assert len({line["bottle"] for line in stored}) == len(stored) == 200
    assert {line["sync_id"] for line in stored} == {json.loads(done.stdout)["sync_id"]}


def words_of(output: str) -> str:
    """The text, however wide the terminal was."""
    return " ".join(output.split())


def test_a_plan_says_why_its_platforms_add_up_to_more_than_it_has(mirror: DirectoryMirror) -> None:
    world = World(seed=5, sizes=SizeDistribution.fixed(4_000))
    world.publish("everywhere", "1.0", tags=["all"])
    world.publish("shared", "1.0", tags=list(ARM), shared_digest=True)
    world.publish("own", "1.0", tags=["arm64_sonoma"])
    with Simulator(world) as running:
        shown = mirror.run(running, "plan").stdout.splitlines()
        assert [row.split() for row in shown[1:6]] == [
            ["Platform", "Bottles", "To", "download", "Unknown", "sizes"],
            ["arm64_tahoe", "3", "12.0", "KB", "0"],
            ["arm64_sequoia", "3", "12.0", "KB", "0"],
            ["arm64_sonoma", "3", "12.0", "KB", "0"],
            ["all,", "each", "bottle", "once", "5", "12.0", "KB", "0"],
        ]
        assert "A bottle that serves several platforms stands in the row of each." in shown
        assert shown[7].startswith("To store: 5 bottles. To download: 3,")
        assert "2 more have the bytes of one of those or of a held one." in shown[7]
        alone = mirror.run(running, "plan", *PLATFORM)
        assert "serves several platforms" not in alone.stdout
        assert "all, each bottle once" not in alone.stdout


def test_what_another_sync_had_stored_is_found_and_not_stored(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    done = Report(
        sync_id="20261122T030000Z-00000000",
        sync_date="2026-11-22",
        platforms=("arm64_sonoma",),
        route="lambda",
        started_at="2026-11-22T03:00:00Z",
        ended_at="2026-11-22T03:00:10Z",
        duration_s=10.0,
        planned=20,
        stored=8,
        # One was downloaded for nothing: it stood there when it came.
        downloaded=5,
        duplicated=1,
        found=3,
        identified=5,
        kept=12,
        bytes_downloaded=5_000_000,
    )
    show_report(done, held=20, store_url="mirror/")
    told = words_of(capsys.readouterr().out)
    assert "success. Stored 5 bottles (4 downloaded, 1 copied inside the store), found 3 that another" in told
    assert "had stored, kept 12, failed 0, left 0: 20 planned. Downloaded 5.0 MB in 10.0 s." in told
    assert "Recorded first: 2 bottles that stood in the store without a record." in told
    assert describe_report(done) == (
        "5 of 20 bottles stored, found 3 that another sync or try had stored, 12 kept, "
        "5.0 MB downloaded in 10.0 s (success)"
    )
    plain = msgspec.structs.replace(done, stored=8, found=0, identified=0)
    show_report(plain, held=20, store_url="mirror/")
    told = words_of(capsys.readouterr().out)
    assert "found" not in told + describe_report(plain)
    assert "Recorded" not in told


def test_the_status_says_which_of_the_held_bottles_wait_in_receipts(mirror: DirectoryMirror) -> None:
    world = World(seed=7, sizes=SizeDistribution.fixed(4_000))
    for number in range(3):
        world.publish(f"formula{number}", "1.0", tags=["arm64_sonoma"])
    with Simulator(world) as running:
        mirror.sync(running, *PLATFORM)
        told = words_of(mirror.run(running, "status", COLUMNS="300").stdout)
        assert "Held: 3 bottles, 12.0 KB in the manifest" in told
        assert "receipts" not in told
        entry = next(iter(mirror.entries().values()))
        newer = msgspec.structs.replace(
            entry, formula_version="2.0", s3_key=entry.s3_key.replace("-1.0.", "-2.0.")
        )
        key = entry_key(entry.formula_name, "2.0", entry.platform, 0)
        mirror.write(
            "state/receipts/20260101T000000Z-1/a.json", encode_receipts([Receipt(key=key, entry=newer)])
        )
        told = words_of(mirror.run(running, "status", COLUMNS="300").stdout)
        assert "Held: 4 bottles: 3 in the manifest (12.0 KB, " in told
        assert "1 in receipts alone; 1 objects with receipts wait" in told


FULL = "standard output: No space left on device"


@pytest.mark.parametrize(
    "asked", ["--help", "sync --help", "manifest --help", "manifest import --help", "--version"]
)
def test_help_that_nobody_can_read_has_no_traceback_and_no_exit_code_of_a_failed_bottle(asked: str) -> None:
    gone = subprocess.run(
        ["bash", "-c", f'"$0" {asked} | head -c 0; exit "${{PIPESTATUS[0]}}"', PROGRAM], capture_output=True
    )
    assert (gone.returncode, gone.stderr) == (0, b"")
    with open("/dev/full", "w", encoding="utf-8") as full:
        refused = subprocess.run([PROGRAM, *asked.split()], stdout=full, stderr=subprocess.PIPE, text=True)
    assert refused.returncode == 2
    assert refused.stderr.endswith(f"Error: {FULL}\n")
    assert "Traceback" not in refused.stderr
    shown = subprocess.run([PROGRAM, *asked.split()], capture_output=True, text=True)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(("Usage: brew-mirror ", "brew-mirror, version "))


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_a_standard_error_that_is_closed_or_full_ends_nothing(
    upstream: Simulator, mirror: DirectoryMirror, closed: str
) -> None:
    for command, code in (
        ("plan --platform arm64_sonoma", 0),
        ("sync --platform arm64_sonoma", 1),
        ("status", 0),
    ):
        done = subprocess.run(
            ["bash", "-c", f'exec "$0" {command} {closed}', PROGRAM],
            env=mirror.environment(upstream),
            capture_output=True,
        )
        assert done.returncode == code, command
    assert len(mirror.bottle_keys()) == 2
