"""What the threads of one transfer share: its ports, its options, the work that is left, what came of it."""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from brew_assets.domain.downloads import Fetch
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.ports import Blobs, Clock, StopSignal, Store
from brew_assets.engine.retry import Gate, RetryPolicy, SyncBudget
from brew_assets.engine.transfer.canary import Canary
from brew_assets.engine.transfer.download_slots import DownloadSlots
from brew_assets.engine.transfer.refused_host import HostVerdict
from brew_assets.engine.transfer.registry_verdict import RegistryVerdict
from brew_assets.errors import MirrorError, StoreRefused, TransferStopped

_log = logging.getLogger(__name__)


class TransferOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to copy. `replace` overwrites what stands under a key (force, repair).

    `workers` are the copy threads, of which `slots` may download at the same time.
    """

    workers: int = 10
    slots: int = 10
    batch_size: int = 50
    retry: RetryPolicy = RetryPolicy()
    replace: bool = False


class TransferPorts(msgspec.Struct, frozen=True, kw_only=True):
    """What a transfer works with."""

    blobs: Blobs
    store: Store
    clock: Clock
    stop: StopSignal


class TransferRun:
    """What the workers of one transfer share."""

    def __init__(
        self,
        ports: TransferPorts,
        options: TransferOptions,
        *,
        date: str,
        look_first: bool,
        work: "deque[Fetch]",
        gate: Gate | None,
    ) -> None:
        self.ports = ports
        self.options = options
        self.date = date
        # What is to be replaced stands there already and proves nothing.
        self.look_first = look_first and not options.replace
        self.work = work
        self.gate = gate or Gate(ports.clock)
        self._slots = DownloadSlots(options.slots)
        self.budget = SyncBudget.for_bottles(len(work), options.retry.attempts)
        self.results: deque[TransferResult] = deque()
        self.ended = threading.Event()
        self.all_ended = threading.Event()
        self._running = 0
        self._running_lock = threading.Lock()
        self.canary = Canary(ports.store)
        self.verdict = RegistryVerdict(ports.blobs)
        self.hosts = HostVerdict()
        # Whether the store makes another name of what it has; asked no more once it says that it never does.
        self.duplicates = True
        self.aborted = self.aborted_reason = ""
        self.crash: BaseException | None = None
        # A display only: a lost update between threads does no harm.
        self.moved = 0

    def expect(self, workers: int) -> None:
        """So many workers will start."""
        self._running = workers
        if workers == 0:
            self.all_ended.set()

    @contextmanager
    def turn_to_download(self) -> Iterator[None]:
        """Inside, the calling thread holds a download slot, and upstream has not asked to wait.

        Raises:
            TransferStopped: nothing new begins any more, or upstream has asked all to wait for too long.
        """
        with self._slots.one(self._begins_nothing):
            # Asked here, since upstream may have asked all to wait while this thread waited for its turn.
            if not self.gate.pass_through(self.ports.stop):
                raise TransferStopped("stopped while waiting for upstream")
            yield

    def _begins_nothing(self) -> bool:
        return self.ports.stop.is_set() or self.ended.is_set()

    def count_bytes(self, count: int) -> None:
        self.moved += count

    def interrupt(self) -> None:
        """Workers that wait for upstream or store wait no longer."""
        self.ports.blobs.interrupt()
        self.ports.store.interrupt()

    def abort(self, reason: str, *, kind: type[MirrorError] = StoreRefused) -> None:
        """No further bottle starts: the store, or the registry, refuses everything."""
        with self._running_lock:  # of several threads that find the same, one says so
            if is_first := not self.aborted:
                self.aborted, self.aborted_reason = reason, kind.reason
        self.ended.set()
        if is_first:
            _log.error("no further bottle starts", extra={"reason": kind.reason, "error": reason})

    def end_thread(self) -> None:
        """One worker has ended; the last one closes the connections to upstream, which all of them used."""
        with self._running_lock:
            self._running -= 1
            is_last = self._running == 0
        if is_last:
            with contextlib.suppress(Exception):  # what cannot be closed is closed with the process
                self.ports.blobs.close()
            self.all_ended.set()
