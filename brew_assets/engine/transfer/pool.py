"""Copies bottles from upstream into the store: the same code in a laptop's process, a task and a Lambda.

Threads, each with one reused buffer and one store connection; as many upstream connections as download slots.
Memory = workers x (BUFFER_BYTES + the store's part, which only a bottle over 5 GiB needs). No temporary file.
"""

import threading
from collections import deque
from collections.abc import Iterable

from brew_assets.domain.downloads import Fetch
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.log_context import in_this_context
from brew_assets.engine.ports import Progress, ProgressListener
from brew_assets.engine.record.journal import Journal
from brew_assets.engine.retry import Gate
from brew_assets.engine.transfer.copy_thread import work_through
from brew_assets.engine.transfer.state import TransferOptions, TransferPorts, TransferRun
from brew_assets.engine.waiting import look

__all__ = ["TransferOptions", "TransferPorts", "transfer"]

_TICK_S = 0.1


def transfer(
    fetches: Iterable[Fetch],
    *,
    ports: TransferPorts,
    journal: Journal,
    date: str,
    options: TransferOptions,
    look_first: bool = False,
    progress: ProgressListener | None = None,
    gate: Gate | None = None,
) -> TransferResult:
    """Every name of the fetches is in the folder of `date` with a receipt, or counted as failed or left.

    `look_first` asks the store for each name before it is fetched, because another run may have stored it
    meanwhile; one that replaces what it finds does not look. `gate` is one that other transfers share.

    Raises:
        StoreError: receipts could not be written; the next run finds the stored bottles.
    """
    work = deque(fetches)
    run = TransferRun(ports, options, date=date, look_first=look_first, work=work, gate=gate)
    totals = (sum(len(fetch.names) for fetch in work), sum(fetch.size or 0 for fetch in work))
    threads = [
        threading.Thread(
            target=in_this_context(lambda: work_through(run)), name=f"transfer-{number}", daemon=True
        )
        for number in range(min(options.workers, len(work)))
    ]
    result, reporter = TransferResult(), _Reporter(progress, *totals)
    run.expect(len(threads))
    for thread in threads:
        thread.start()
    try:
        _collect(run, result, journal, reporter)
    finally:
        run.ended.set()
        for thread in threads:
            thread.join()
        # A listener may be what ended the block: it is not asked again, the receipts must be written.
        _collect(run, result, journal, None)
        journal.flush()
    if run.crash is not None:
        raise run.crash
    if not run.aborted and (refusal := run.canary.judge_at_the_end()) is not None:
        run.abort(str(refusal))
    for fetch in work:
        result.leave(fetch.names)
    result.retries = run.budget.spent
    result.abort(run.aborted, run.aborted_reason)
    return result


class _Reporter:
    """Reports to a listener how far the transfer is."""

    def __init__(self, listener: ProgressListener | None, bottles: int, size: int) -> None:
        self._listener = listener
        self._bottles = bottles
        self._bytes = size
        self._current = ""

    def report_progress(self, result: TransferResult, moved: int, current: str) -> None:
        self._current = current or self._current
        if self._listener is not None:
            self._listener(
                Progress(
                    bottles_done=result.stored + len(result.failed),
                    bottles_total=self._bottles,
                    bytes_done=moved,
                    bytes_total=self._bytes,
                    failed=len(result.failed),
                    current=self._current,
                )
            )


def _collect(run: TransferRun, result: TransferResult, journal: Journal, reporter: _Reporter | None) -> None:
    """Adds up what the copy threads did, several at a time, until all of them ended.

    Waking this thread for every bottle would cost a small bottle more than its copying does.
    """
    while True:
        all_ended = run.all_ended.wait(_TICK_S)
        current = ""
        while run.results:
            done = run.results.popleft()
            result.add(done)
            journal.add(done.receipts, put_there=done.put_there)
            if done.receipts:
                current = done.receipts[-1].key
        journal.tick()
        look()
        if run.ports.stop.expired():
            run.interrupt()
        if reporter is not None:
            reporter.report_progress(result, run.moved, current)
        if all_ended and not run.results:
            return
