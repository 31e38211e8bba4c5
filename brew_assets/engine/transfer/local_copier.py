"""Copies bottles in this process: the same code in a laptop's, in a task and in a Lambda.

Threads, each with one reused buffer and one store connection; as many upstream connections as download slots.
Memory = threads x BUFFER_BYTES. No temporary file.
"""

import logging
import threading
from typing import Protocol

from brew_assets.domain.downloads import CopyJob
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.log_context import in_this_context
from brew_assets.engine.options import Options
from brew_assets.engine.ports import Ports, Progress, ProgressListener
from brew_assets.engine.record.journal import Journal
from brew_assets.engine.retry import Gate
from brew_assets.engine.transfer.copy_thread import CopyThread
from brew_assets.engine.transfer.state import TransferState, copy_threads

_TICK_S = 0.1

_log = logging.getLogger(__name__)


class Copier(Protocol):
    """Copies bottles from upstream into the store.

    `route` is the name that reports give it; `chunk_size` how many fetches of another run's it takes at a
    time.
    """

    route: str
    chunk_size: int

    def copy(self, job: CopyJob, *, progress: ProgressListener | None = None) -> TransferResult:
        """Every name of the job is in the store with a receipt, or counted as failed or undone.

        Raises:
            StoreError: receipts or batches could not be written; the next run finds what was stored.
        """

    def log(self, message: str) -> None:
        """Writes a line of the log."""


class LocalCopier:
    """This process, in threads."""

    def __init__(
        self,
        ports: Ports,
        options: Options,
        *,
        route: str = "local",
        threads: int | None = None,
        gate: Gate | None = None,
    ) -> None:
        """`route` is what brought the run here. Of several that share upstream, each has so many `threads`,
        and all of them the same `gate`.
        """
        self.route = route
        self._ports = ports
        self._options = options
        self._slots = options.workers_in_ecs if route == "ecs" else options.workers
        self._threads = threads or copy_threads(self._slots)
        self._gate = gate
        self.chunk_size = 2 * self._threads
        self._journal: tuple[str, Journal] | None = None

    def log(self, message: str) -> None:
        """Writes a line of the log."""
        _log.info(message)

    def copy(self, job: CopyJob, *, progress: ProgressListener | None = None) -> TransferResult:
        """Every name of the job is in the store with a receipt, or counted as failed or undone.

        Raises:
            StoreError: receipts could not be written; the next run finds what was stored.
        """
        transfer = TransferState(self._ports, self._options, job, slots=self._slots, gate=self._gate)
        collector = _Collector(transfer, self._journal_of(job.sync_id))
        threads = [
            threading.Thread(
                target=in_this_context(CopyThread(transfer).run), name=f"transfer-{number}", daemon=True
            )
            for number in range(min(self._threads, len(job.fetches)))
        ]
        transfer.expect(len(threads))
        for thread in threads:
            thread.start()
        try:
            collector.collect(progress)
        finally:
            # Whatever ended the block, no bottle that stands in the store is left without a receipt. Threads
            # are waited for first, since each may bring one more result until it ends; only then the last
            # results are collected, and all receipts are written.
            transfer.ended.set()
            for thread in threads:
                thread.join()
            # A listener may be what ended the block: it is not asked again, the receipts must be written.
            collector.collect(None)
            collector.journal.flush()
        return collector.total()

    def _journal_of(self, sync_id: str) -> Journal:
        """The same for all that is copied of a sync: each chunk would leave an object of names otherwise."""
        if self._journal is None or self._journal[0] != sync_id:
            ports, size = self._ports, self._options.batch_size
            self._journal = (sync_id, Journal(ports.store, ports.clock, sync_id=sync_id, batch_size=size))
        return self._journal[1]


class _Collector:
    """Adds up what the copy threads did, has it recorded and reports it, while they work."""

    def __init__(self, transfer: TransferState, journal: Journal) -> None:
        self.journal = journal
        self._transfer = transfer
        self._result = TransferResult()
        self._bottles = sum(len(fetch.names) for fetch in transfer.job.fetches)
        self._bytes = sum(fetch.size or 0 for fetch in transfer.job.fetches)
        self._current = ""

    def collect(self, listener: ProgressListener | None) -> None:
        """Takes results, several at a time, until all threads have ended.

        Waking this thread for every bottle would cost a small bottle more than its copying does.
        """
        transfer = self._transfer
        while True:
            # Asked before the results are taken: a thread leaves its last one before it says that it has
            # ended, so once all have ended, a queue that is found empty stays so.
            all_ended = transfer.all_ended.wait(_TICK_S)
            while transfer.results:
                done = transfer.results.popleft()
                self._result.add(done)
                self.journal.add(done.receipts, put_there=done.put_there)
                if done.receipts:
                    self._current = done.receipts[-1].key
            self.journal.tick()
            if transfer.ports.stop.expired():
                transfer.interrupt()
            if listener is not None:
                listener(self._progress())
            if all_ended and not transfer.results:
                return

    def _progress(self) -> Progress:
        return Progress(
            bottles_done=self._result.stored + len(self._result.failed),
            bottles_total=self._bottles,
            bytes_done=self._transfer.moved,
            bytes_total=self._bytes,
            failed=len(self._result.failed),
            current=self._current,
        )

    def total(self) -> TransferResult:
        """What all threads did, and what they left.

        Raises:
            BaseException: what crashed one of them.
        """
        transfer, result = self._transfer, self._result
        if transfer.crash is not None:
            raise transfer.crash
        if not transfer.aborted and (refusal := transfer.canary.judge_at_the_end()) is not None:
            transfer.abort(str(refusal))
        for fetch in transfer.work:
            result.leave(fetch.names)
        result.retries = transfer.budget.spent
        result.abort(transfer.aborted, transfer.aborted_reason)
        return result
