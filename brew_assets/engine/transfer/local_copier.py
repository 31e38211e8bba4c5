"""Who carries bottles: this process itself, or workers elsewhere (dispatch.py)."""

import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from brew_assets.domain.downloads import Fetch
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.ports import ProgressListener, StopSignal
from brew_assets.engine.process_copier import transfer_in_processes, worthwhile_processes
from brew_assets.engine.record.journal import Journal
from brew_assets.engine.retry import RetryPolicy
from brew_assets.engine.transfer.download_slots import copy_threads
from brew_assets.engine.transfer.pool import TransferOptions, TransferPorts, transfer
from brew_assets.engine.waiting import unwatched

_log = logging.getLogger(__name__)


class CopyJob(msgspec.Struct, frozen=True, kw_only=True):
    """Fetches of one sync, and how they are to be stored.

    `look_first` asks the store for each name before it is fetched; `force` overwrites what stands there, and
    does not ask.
    """

    sync_id: str
    sync_date: str
    fetches: list[Fetch]
    force: bool = False
    look_first: bool = False


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
    """This process, or several forked from it where that is safe and worth it."""

    def __init__(
        self,
        ports: TransferPorts,
        *,
        slots: int,
        batch_size: int,
        retry: RetryPolicy,
        processes: int = 1,
        remake: Callable[[StopSignal], TransferPorts] | None = None,
        route: str = "local",
    ) -> None:
        """`slots` bottles come from upstream at the same time, over all processes.

        `remake` makes ports of its own for a process that shares a transfer; without it there is one.
        """
        self.route = route
        self.chunk_size = 2 * copy_threads(slots)
        self._ports = ports
        self._slots = slots
        self._batch_size = batch_size
        self._retry = retry
        self._processes = processes
        self._remake = remake
        self._journal: tuple[str, Journal] | None = None

    def log(self, message: str) -> None:
        """Writes a line of the log."""
        _log.info(message)

    def copy(self, job: CopyJob, *, progress: ProgressListener | None = None) -> TransferResult:
        """Every name of the job is in the store with a receipt, or counted as failed or undone.

        Raises:
            StoreError: receipts could not be written; the next run finds what was stored.
        """
        with unwatched():
            return self._transfer(job, progress)

    def _transfer(self, job: CopyJob, progress: ProgressListener | None) -> TransferResult:
        options = TransferOptions(
            workers=copy_threads(self._slots),
            slots=self._slots,
            batch_size=self._batch_size,
            retry=self._retry,
            replace=job.force,
        )
        processes = worthwhile_processes(job.fetches, limit=self._processes)
        if processes > 1 and self._remake is not None:
            return transfer_in_processes(
                job.fetches,
                count=processes,
                ports=self._ports,
                make_ports=self._remake,
                sync_id=job.sync_id,
                date=job.sync_date,
                options=options,
                look_first=job.look_first,
                progress=progress,
            )
        return transfer(
            job.fetches,
            ports=self._ports,
            journal=self._journal_of(job.sync_id),
            date=job.sync_date,
            options=options,
            look_first=job.look_first,
            progress=progress,
        )

    def _journal_of(self, sync_id: str) -> Journal:
        """The same for all that is copied of a sync: each chunk would leave an object of names otherwise."""
        if self._journal is None or self._journal[0] != sync_id:
            ports = self._ports
            journal = Journal(ports.store, ports.clock, sync_id=sync_id, batch_size=self._batch_size)
            self._journal = (sync_id, journal)
        return self._journal[1]
