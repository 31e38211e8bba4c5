"""Progress on standard error: bars, and what is waited for. Rich is loaded only where somebody looks.

A bar never takes more than one row: log lines, also those of forked processes, erase the row that they find
and leave the next one to the bar (logs.py). Of a row that does not fit, whole parts are left out.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from brew_assets.domain.foreign_text import printable
from brew_assets.domain.quantities import human_bytes
from brew_assets.engine.ports import Notice, ProgressListener
from brew_assets.engine.ports import Progress as TransferProgress
from brew_assets.engine.waiting import NoticeLog
from brew_assets.runtimes.printing import clear_row, console, drawing_row, erasing_row, show_row

_REDRAWN_EVERY_S = 0.1
_BAR_CELLS = 20
_CURRENT_CHARACTERS = 40
_GAP = "  "


class Display:
    """What a person sees while a command works; log lines alone unless `show`."""

    def __init__(self, *, show: bool, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._show = show
        self._monotonic = monotonic
        self._log = NoticeLog()
        self._row: _Row | None = None

    def waiting(self, notices: Sequence[Notice]) -> None:
        """What is waited for stands in the row of the bar, or in one of its own; else in the log."""
        if not self._show:
            self._log(notices)
            return
        text = "; ".join(printable(notice.sentence()) for notice in notices)
        if self._row is not None:
            self._row.wait(text)
        elif text:
            show_row(_cut(text, _columns()))
        else:
            clear_row()

    @contextmanager
    def counting(self, title: str) -> Iterator[Callable[[int, int], None]]:
        """A listener for (done, in all) behind a bar."""
        if not self._show:
            yield lambda done, total: None
            return
        with self._bar() as row:
            yield _counter(row, title, self._monotonic)

    @contextmanager
    def counting_beside(self, title: str) -> Iterator[Callable[[int, int], None]]:
        """The same in the row of the bar that is there, for what comes after the work that it shows."""
        if self._row is None:
            yield lambda done, total: None
        else:
            yield _counter(self._row, title, self._monotonic)

    @contextmanager
    def transfer(self) -> Iterator[ProgressListener | None]:
        """A listener for a transfer behind a bar of bytes and a count of bottles; None if nobody looks."""
        if not self._show:
            yield None
            return
        with self._bar() as row:

            def listen(progress: TransferProgress) -> None:
                title = f"Bottles {progress.bottles_done:,}/{progress.bottles_total:,}"
                done, total = progress.bytes_done, progress.bytes_total
                current = printable(progress.current, _CURRENT_CHARACTERS)
                row.update(title, done, total, lambda task: [*_bytes(done, total, task), current])

            yield listen

    @contextmanager
    def _bar(self) -> Iterator["_Row"]:
        clear_row()
        with _Row() as row:
            self._row = row
            try:
                yield row
            finally:
                self._row = None


class _Row:
    """A bar and its facts in one row of the terminal."""

    def __init__(self) -> None:
        from rich.progress import Progress, TextColumn
        from rich.table import Column

        # No thread of its own: rich does not wait for it, and only a process without others can share a
        # transfer with forked ones.
        text = TextColumn("{task.fields[row]}", markup=False, table_column=Column(no_wrap=True))
        self._progress = Progress(text, console=console(err=True), transient=True, auto_refresh=False)
        self._task = self._progress.add_task("", total=None, row="")
        self._title, self._facts = "", [""]
        self._share: float | None = None
        self._waiting = ""

    def __enter__(self) -> "_Row":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        with erasing_row():
            self._progress.stop()

    def update(self, title: str, done: int, total: int, facts: Callable[[Any], list[str]]) -> None:
        """The row shows so much, and the facts that are made of rich's own figures."""
        self._progress.update(self._task, completed=done, total=total or None)
        self._title, self._facts = title, facts(self._progress.tasks[0])
        self._share = min(1.0, done / total) if total else None
        self._draw()

    def wait(self, text: str) -> None:
        """The row says what is waited for, "" for nothing."""
        if text != self._waiting:
            self._waiting = text
            self._draw()

    def _draw(self) -> None:
        parts = [self._title, self._waiting] if self._waiting else [self._title, *self._facts]
        bar = "" if self._share is None or self._waiting else _bar(self._share)
        row = fitting([part for part in (parts[0], bar, *parts[1:]) if part], self._progress.console.width)
        with drawing_row():
            self._progress.update(self._task, row=row, refresh=True)


def _counter(row: _Row, title: str, monotonic: Callable[[], float]) -> Callable[[int, int], None]:
    drawn_at = 0.0

    def listen(done: int, total: int) -> None:
        nonlocal drawn_at
        now = monotonic()
        if now - drawn_at < _REDRAWN_EVERY_S and done != total:
            return
        drawn_at = now
        row.update(f"{title} {done:,}/{total:,}", done, total, _time_left)

    return listen


def fitting(parts: Sequence[str], columns: int) -> str:
    """The parts from the first on, each whole, as many as fit; a wait, which has no other place, is cut."""
    row = ""
    for part in parts:
        longer = f"{row}{_GAP}{part}" if row else part
        if len(longer) < columns:
            row = longer
            continue
        return _cut(longer, columns) if part.startswith("Waiting ") else row
    return row


def _cut(text: str, columns: int) -> str:
    return text if len(text) < columns else f"{text[: max(0, columns - 2)]}…"


def _columns() -> int:
    return shutil.get_terminal_size().columns


def _bar(share: float) -> str:
    full = round(share * _BAR_CELLS)
    return "━" * full + "─" * (_BAR_CELLS - full)


def _bytes(done: int, total: int, task: Any) -> list[str]:
    known = f"{human_bytes(done)} of {human_bytes(total)}" if total else human_bytes(done)
    speed = f"{human_bytes(round(task.speed))}/s" if task.speed else ""
    return [known, speed, *_time_left(task)]


def _time_left(task: Any) -> list[str]:
    left = task.time_remaining
    return [f"{int(left) // 60}:{int(left) % 60:02} left"] if left else []
