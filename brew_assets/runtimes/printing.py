"""The one way to a terminal or a pipe: whatever a text says, it is shown and never obeyed.

All that the command line prints passes here. Control characters become visible escapes, nothing is markup or
an emoji code, JSON is ASCII, and a reader that is gone (`| head`) changes no exit code. Results go to
standard output, all else to standard error. Where nobody looks, a row is a line, and no value is broken.
"""

import io
import json
import os
import re
import shlex
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
import msgspec

from brew_assets.domain.foreign_text import encodable, printable, printable_lines
from brew_assets.errors import BackupInvalid, MirrorError

if TYPE_CHECKING:
    from rich.console import Console

_CELL_CHARACTERS = 1000
_GAP = "  "
_PROGRAM = "brew-mirror"
_COMMAND = re.compile(rf"(?<=`){_PROGRAM}(?= [a-z])")
# How whoever reads a command of ours in a text has to begin it; see `repeat_options`.
_begin = [_PROGRAM]
# What stands in the last row of the terminal and is to be erased, if anything.
_row: list[str] = []
_row_lock = threading.RLock()
_ERASE_ROW = "\r\x1b[2K"


def prepare_streams() -> None:
    """From now on a character that a stream's encoding lacks is written as an escape.

    What whoever started the process has closed (`2>&-`) leads nowhere: otherwise the next file or socket
    would get its number, and whatever writes there without asking would write into that.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None and _is_closed(number):
            # The lowest number that is free: this one.
            setattr(sys, name, open(os.open(os.devnull, os.O_RDWR), mode))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_closed(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


def settle_streams() -> None:
    """Nothing is left to be written: a reader that is gone gives Python no exit code of its own."""
    clear_row()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            _let_go(stream)


def repeat_options(options: Sequence[str]) -> None:
    """Commands that are printed from now on, in our own texts and those of errors, have these options too."""
    _begin[:] = [shlex.join([_PROGRAM, *options])]


def command(arguments: str) -> str:
    """A command that the reader may copy: with the options for all commands that were given to this one."""
    return f"{_begin[0]} {arguments}"


def with_options(text: str) -> str:
    """The text, in which every `brew-mirror …` between back quotes has those options."""
    return _COMMAND.sub(lambda _: _begin[0], text)


def is_terminal(*, err: bool = False) -> bool:
    """Whether somebody looks at standard output or error, as far as anybody knows."""
    stream = sys.stderr if err else sys.stdout
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed meanwhile
        return False


def show_row(text: str) -> None:
    """The text stands in the terminal's last row of standard error until something else is printed."""
    with _row_lock:
        erase = _ERASE_ROW if _row else ""
        with drawing_row():
            _write(f"{erase}{printable(text)}", err=True, end="", over_row=True)


def clear_row() -> None:
    """It stands there no more."""
    with _row_lock:
        if _row:
            # Erased before it is forgotten: a signal's handler in between erases nothing twice.
            _write(_ERASE_ROW, err=True, end="", over_row=True)
            _row.clear()


@contextmanager
def drawing_row() -> Iterator[None]:
    """While the block draws the terminal's last row nothing else is printed; afterwards the row stands."""
    # Noted before it is drawn too: a signal's handler may print in the middle, in this very thread, which no
    # lock keeps out, and has to erase what it finds. What is drawn after that is noted once more.
    with _row_lock:
        _row[:] = ["drawn"]
        try:
            yield
        finally:
            _row[:] = ["drawn"]


@contextmanager
def erasing_row() -> Iterator[None]:
    """While the block erases the terminal's last row nothing else is printed; afterwards none stands."""
    with _row_lock:
        yield
        _row.clear()


def print_line(text: str, *, err: bool = False, label: str = "", colour: str | None = None) -> None:
    """The text stands on one line of standard output or error, behind the `label`, which has the colour."""
    text = with_options(text)
    behind = f" {printable(text)}" if label else click.style(printable(text), fg=colour)
    _write((click.style(label, fg=colour) if label else "") + behind, err=err)


def print_lines(text: str, *, err: bool = False) -> None:
    """The same for a text whose line breaks are ours."""
    _write(printable_lines(text), err=err)


def print_json(value: Any) -> None:
    """The value stands on standard output as JSON in ASCII."""
    _write(json.dumps(encodable(msgspec.to_builtins(value)), indent=2), err=False)


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: bool = False,
    copied: bool = False,
) -> None:
    """The table stands on standard output; with `numbers` all columns but the first are set to the right.

    In a terminal it is as wide as that; elsewhere it is plain text, a line for each row, and so is in a
    narrow terminal one from which the reader copies: in a frame its values would be broken.
    """
    # Every cell is made printable before any width is measured: an escape is longer than the character it
    # stands for. Pipes get plain columns without frames or colours, for grep and awk; a person a frame,
    # unless the values are there to be copied and the frame would break them over two lines.
    cells = [[printable(with_options(cell), _CELL_CHARACTERS) for cell in row] for row in rows]
    table = [list(columns), *cells]
    widths = [max(len(row[place]) for row in table) for place in range(len(columns))]
    if is_terminal() and not (copied and _framed(widths) > console(err=False).width):
        _write(_boxed(printable(title), columns, cells, numbers=numbers), err=False, end="")
        return
    lines = [printable(title)] if title else []
    for row in table:
        set_out = (
            cell.rjust(width) if numbers and place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append(_GAP.join(set_out).rstrip())
    _write("\n".join(lines), err=False)


def _framed(widths: Sequence[int]) -> int:
    """How wide a frame with such columns is."""
    return sum(width + 3 for width in widths) + 1


def _boxed(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title) if title else None)
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if numbers and number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # Drawn beside the stream: Rich writes into that while it captures, and raises what the stream does.
    out, drawn = console(err=False), io.StringIO()
    Console(file=drawn, width=out.width, force_terminal=True, markup=False, emoji=False).print(
        table, highlight=False
    )
    return drawn.getvalue()


def print_error(error: MirrorError) -> None:
    """What ended the command stands on standard error."""
    first, *listed = (
        f"Error: {error}".split("\n") if isinstance(error, BackupInvalid) else [f"Error: {error}"]
    )
    print_line(first, err=True)
    for backup in listed:  # set in: no name of one passes for a line of ours
        print_line(f"  {backup.strip()}", err=True)


def print_usage_error(error: click.ClickException) -> None:
    """How the command is used, and what was wrong with it, stand on standard error."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):  # nothing was: its message is the help
        print_lines(error.format_message(), err=True)
        return
    shown = io.StringIO()
    error.show(file=shown)
    usage, _, _ = shown.getvalue().partition("Error: ")
    if usage:
        print_lines(usage.rstrip("\n") + "\n", err=True)
    print_line(f"Error: {error.format_message()}", err=True)


def print_traceback() -> None:
    """The exception that is being handled, a mistake of ours, stands on standard error."""
    print_lines(traceback.format_exc().rstrip("\n"), err=True)


def console(*, err: bool) -> "Console":
    """Rich's console on standard output or error; to it nothing is markup."""
    from rich.console import Console

    return Console(stderr=err, highlight=False, markup=False, emoji=False)


def _write(text: str, *, err: bool, end: str = "\n", over_row: bool = False) -> None:
    """The text stands in the stream, or nobody reads that any more.

    Raises:
        click.ClickException: standard output does not take it; a result that nobody has is no success.
    """
    try:
        # As one: another thread may draw the row anew in between, and it would stay before the text.
        with _row_lock:
            if not over_row:
                clear_row()
            click.echo(text + end, err=err, nl=False)
    except OSError as error:
        _let_go(sys.stderr if err else sys.stdout)
        if not err and not isinstance(error, BrokenPipeError):
            raise click.ClickException(f"standard output: {error.strerror}") from error


def _let_go(stream: Any) -> None:
    """What the stream still holds, and all that comes, goes nowhere: Python writes it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class Command(click.Command):
    """A command: no reader of its help who is gone changes an exit code, no full disk gets a traceback."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """The option of click, printing by our way."""
        return _printing(super().get_help_option(ctx))


class Group(click.Group):
    """The same for a command with others below it, which are `Command`s."""

    command_class = Command

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """The option of click, printing by our way."""
        return _printing(super().get_help_option(ctx))


def show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """The callback of `--version`: it is printed, and the program ends."""
    if value and not ctx.resilient_parsing:
        # Slow to import, and for this alone.
        from importlib.metadata import version

        print_line(f"brew-mirror, version {version('brew-assets')}")
        ctx.exit()


def _printing(option: click.Option | None) -> click.Option | None:
    if option is not None:
        option.callback = _show_help
    return option


def _show_help(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        print_lines(ctx.get_help())
        ctx.exit()
