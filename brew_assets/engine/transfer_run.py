"""What the threads of one transfer share: its ports, its options, the work that is left, what came of it."""

import logging
import threading
from collections import deque

import msgspec

from brew_assets.domain.downloads import Fetch
from brew_assets.engine.canary import Canary
from brew_assets.engine.ports import Blobs, Clock, StopSignal, Store
from brew_assets.engine.refused_host import HostVerdict
from brew_assets.engine.registry_verdict import RegistryVerdict
from brew_assets.engine.retry import Gate, RetryPolicy, SyncBudget
from brew_assets.engine.transferred import Transferred
from brew_assets.errors import MirrorError, StoreRefused

_log = logging.getLogger(__name__)


class TransferOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to copy. `replace` overwrites what stands under a key (force, repair)."""

    workers: int = 10
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
        self.budget = SyncBudget.for_bottles(len(work), options.retry.attempts)
        self.results: deque[Transferred] = deque()
        self.ended = threading.Event()
        self.all_ended = threading.Event()
        self._running = 0
        self._running_lock = threading.Lock()
        self.canary = Canary(ports.store)
        self.verdict = RegistryVerdict(ports.blobs)
        self.hosts = HostVerdict()
        # Whether the store makes another name of what it has; asked no more once it says that it never does.
        self.duplicates = True
        self.aborted = ""
        self.crash: BaseException | None = None
        # A display only: a lost update between threads does no harm.
        self.moved = 0

    def expect(self, workers: int) -> None:
        """So many workers will start."""
        self._running = workers
        if workers == 0:
            self.all_ended.set()

    def count_bytes(self, count: int) -> None:
        self.moved += count

    def interrupt(self) -> None:
        """Workers that wait for upstream or store wait no longer."""
        self.ports.blobs.interrupt()
        self.ports.store.interrupt()

    def abort(self, reason: str, *, kind: type[MirrorError] = StoreRefused) -> None:
        """No further bottle starts: the store, or the registry, refuses everything."""
        if not self.aborted:
            _log.error("no further bottle starts", extra={"reason": kind.reason, "error": reason})
        self.aborted = self.aborted or reason
        self.ended.set()

    def end_thread(self) -> None:
        """One worker has ended."""
        with self._running_lock:
            self._running -= 1
            if self._running == 0:
                self.all_ended.set()
