"""What is handed to the one way to the terminal, and what arrives there."""

import io
import json
import sys
import threading

import click
import pytest

from brew_assets.engine.ports import Progress
from brew_assets.errors import BackupInvalid, PlanInvalid
from brew_assets.runtimes.printing import (
    clear_row,
    print_error,
    print_json,
    print_line,
    print_lines,
    print_table,
    print_traceback,
    print_usage_error,
    show_row,
)
from brew_assets.runtimes.progress import Display

HOSTILE = "[/x] [bold]b[/bold] :smile: \x1b[2J\n\ud800"
SHOWN = "[/x] [bold]b[/bold] :smile: \\x1b[2J\\n\\ud800"


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_a_line_is_one_line_on_the_stream_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(HOSTILE)
    print_line(HOSTILE, err=True, label="Warning:", colour="yellow")
    assert capsys.readouterr() == (f"{SHOWN}\n", f"Warning: {SHOWN}\n")


def test_lines_break_where_they_should_and_an_error_never(capsys: pytest.CaptureFixture[str]) -> None:
    print_lines("a\nb\x1b")
    print_error(PlanInvalid("a\nError: b\x1b"))
    print_error(BackupInvalid("none:\n  backups/x\nError: y"))
    assert capsys.readouterr() == (
        "a\nb\\x1b\n",
        "Error: a\\nError: b\\x1b\nError: none:\n  backups/x\n  Error: y\n",
    )


def test_a_table_shows_markup_and_keeps_its_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(f"T {HOSTILE}", ("a", "b"), [(HOSTILE, "x" * 5000), ("y", ":tada:")], numbers=True)
    shown = capsys.readouterr().out
    assert f"T {SHOWN}" in shown
    _, head, first, second = shown.splitlines()
    assert head.split() == ["a", "b"]
    assert first.startswith(f"{SHOWN}  xxx")
    assert first.endswith("x…")
    assert shown.count("x") < 1010
    assert second.split() == ["y", ":tada:"]


def test_json_is_ascii_and_can_be_read_by_everybody(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({HOSTILE: [HOSTILE, "naïve\x7f\x9b", 1, None]})
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert "\x7f" not in printed
    assert json.loads(printed) == {
        HOSTILE.replace("\ud800", "\\ud800"): [HOSTILE.replace("\ud800", "\\ud800"), "naïve\x7f\x9b", 1, None]
    }


def test_a_mistake_in_the_options_shows_the_usage_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    command = click.Command("x", params=[click.Option(["--number"], type=int)])
    for error in (
        click.UsageError(HOSTILE, ctx=click.Context(command)),
        click.UsageError(f"Error: {HOSTILE}"),
        click.FileError("f\x1b", HOSTILE),
    ):
        print_usage_error(error)
    shown = capsys.readouterr().err
    assert shown.startswith("Usage: ")
    assert shown.count(SHOWN) == 3
    assert [line for line in shown.splitlines() if line.startswith("Error: ")] == shown.splitlines()[-3:]


def test_a_mistake_of_ours_is_a_traceback_without_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        raise ValueError("\x1b[2J\ud800")
    except ValueError:
        print_traceback()
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert shown.endswith("ValueError: \\x1b[2J\\ud800\n")


def test_a_bar_shows_the_name_of_a_bottle_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(show=True)
    with display.counting(HOSTILE[:10]) as tick:
        tick(1, 2)
    with display.transfer() as listen:
        assert listen is not None
        name = f"{HOSTILE[:7]}\x1b[2J"
        listen(Progress(bottles_done=1, bottles_total=2, bytes_done=1, bytes_total=2, failed=0, current=name))
    shown = capsys.readouterr().err
    assert "\x1b[2J" not in shown


class _Slow(io.StringIO):
    """A stream in which another thread has its turn before a line is written, if anything lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.begins, self.drawn = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        if text.startswith("the line"):
            self.begins.set()
            self.drawn.wait(0.2)
        return super().write(text)


def test_a_row_that_another_thread_draws_stands_before_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = _Slow()
    monkeypatch.setattr(sys, "stderr", stream)

    def draw() -> None:
        stream.begins.wait(10)
        show_row("again")
        stream.drawn.set()

    thread = threading.Thread(target=draw)
    thread.start()
    show_row("waiting")
    print_line("the line", err=True)
    thread.join()
    clear_row()
    # What click leaves of the erasing where no terminal is.
    assert stream.getvalue().split("\r") == ["waiting", "the line\nagain", ""]
