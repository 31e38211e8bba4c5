"""Progress bars on standard error. Rich is loaded only where somebody looks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from brew_assets.engine.ports import Progress as TransferProgress
from brew_assets.engine.ports import ProgressListener


@contextmanager
def counting_bar(title: str, *, show: bool) -> Iterator[Callable[[int, int], None]]:
    """A listener for (done, in all) behind a bar; silent unless `show`."""
    if not show:
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def transfer_bar(*, show: bool) -> Iterator[ProgressListener | None]:
    """A listener for a transfer behind a bar of bytes with the count of bottles; None unless `show`."""
    if not show:
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[current]}"),
        console=Console(stderr=True),
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
                current=progress.current[:40],
                refresh=True,
            )

        yield listen
