"""Progress bars on standard error. Rich is loaded only where somebody looks.

A bar never takes more than one row: log lines, also those of forked processes, erase the row that they find
and leave the next one to the bar (logs.py).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from brew_assets.domain.foreign_text import printable
from brew_assets.engine.ports import Progress as TransferProgress
from brew_assets.engine.ports import ProgressListener
from brew_assets.runtimes.printing import console

_REDRAWN_EVERY_S = 0.1


@contextmanager
def counting_bar(title: str, *, show: bool) -> Iterator[Callable[[int, int], None]]:
    """A listener for (done, in all) behind a bar; silent unless `show`."""
    if not show:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    columns = (
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
        BarColumn(),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
    )
    # No thread of its own: rich does not wait for it, and a transfer that follows could not be shared.
    with Progress(*columns, console=console(err=True), transient=True, auto_refresh=False) as progress:
        task = progress.add_task(title, total=None)
        drawn_at = 0.0

        def listen(done: int, total: int) -> None:
            nonlocal drawn_at
            now = time.monotonic()
            draw = now - drawn_at >= _REDRAWN_EVERY_S or done == total
            drawn_at = now if draw else drawn_at
            progress.update(task, completed=done, total=total, refresh=draw)

        yield listen


@contextmanager
def transfer_bar(*, show: bool) -> Iterator[ProgressListener | None]:
    """A listener for a transfer behind a bar of bytes with the count of bottles; None unless `show`."""
    if not show:
        yield None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.table import Column

    with Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
        BarColumn(),
        DownloadColumn(table_column=Column(no_wrap=True)),
        TransferSpeedColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[current]}", markup=False, table_column=Column(no_wrap=True)),
        console=console(err=True),
        transient=True,
        # No thread of its own: only a process without others can share a transfer with forked ones.
        auto_refresh=False,
    ) as bar:
        task = bar.add_task("Bottles", total=None, current="")

        def listen(progress: TransferProgress) -> None:
            bar.update(
                task,
                description=f"Bottles {progress.bottles_done:,}/{progress.bottles_total:,}",
                completed=progress.bytes_done,
                total=progress.bytes_total or None,
                current=printable(progress.current, 40),
                refresh=True,
            )

        yield listen
