"""What the threads of one transfer share: its ports and options, the work that is left, what came of it.

A download slot is held from the request to the registry, through every redirect, to the last byte of the
body. While the store takes a bottle and answers, its thread holds none, and another thread downloads. So
there are more threads than slots, each with one buffer: memory = copy_threads(slots) x BUFFER_BYTES.
"""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable

from brew_assets.domain.downloads import CopyJob
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.options import Options
from brew_assets.engine.ports import Ports
from brew_assets.engine.retry import Gate, SyncBudget
from brew_assets.engine.transfer.verdicts import Canary, HostVerdict, RegistryVerdict
from brew_assets.errors import MirrorError, StoreRefused, TransferStopped

# Threads beside those that download. With 8 a store that takes as long as upstream holds up nobody at the
# default of 10 slots; more than 32 would cost more memory than a slow store is worth.
LEAST_BESIDE = 8
MOST_BESIDE = 32
# How soon a thread that waits for a slot hears that it is wanted no more.
_LOOK_EVERY_S = 0.1

_log = logging.getLogger(__name__)


def copy_threads(slots: int, *, processes: int = 1) -> int:
    """The threads that keep so many slots busy while others wait for the store.

    Of one of several `processes` that share the slots, its part of those beside them.
    """
    beside = min(max(slots * processes, LEAST_BESIDE), MOST_BESIDE)
    return slots + max(1, beside // processes)


class DownloadSlots:
    """The slots of one transfer. Who came first is served first: a plan has an order.

    It ends with the bottles that the store has refused before, for example. The last one first would leave
    fewer buffers in use, and have the bottles of the threads that came first wait for the end.
    """

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._free = count
        # Locked until their thread has a slot.
        self._waiting: deque[threading.Lock] = deque()

    def take(self, given_up: Callable[[], bool]) -> None:
        """This thread is one of those that download, until it gives the slot back.

        Raises:
            TransferStopped: the work was given up while this thread waited.
        """
        # A lock for each that waits, not one semaphore: that would let a newcomer take what others have
        # waited for, and here the order is the plan's. A slot goes from hand to hand, never free in between.
        # So it may be given to a thread that has just given up waiting: whether it is still in the queue says
        # so, and if not it gives the slot on, or there would be one less until the end.
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        while not turn.acquire(timeout=_LOOK_EVERY_S):
            if given_up():
                break
        else:
            if not given_up():
                return
        with self._lock:
            was_given = turn not in self._waiting
            if not was_given:
                self._waiting.remove(turn)
        if was_given:
            self.give()
        raise TransferStopped("stopped while waiting for its turn to download")

    def give(self) -> None:
        """The slot is free for the thread that has waited longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1


class TransferState:
    """What the copy threads of one job share."""

    def __init__(
        self, ports: Ports, options: Options, job: CopyJob, *, slots: int, gate: Gate | None = None
    ) -> None:
        """`slots` bottles come at the same time; `gate` is one that other transfers share."""
        self.ports = ports
        self.options = options
        self.job = job
        # What is to be replaced stands there already and proves nothing.
        self.look_first = job.look_first and not job.force
        self.work = deque(job.fetches)
        self.gate = gate or Gate(ports.clock)
        self.slots = DownloadSlots(slots)
        self.budget = SyncBudget.for_bottles(len(self.work), options.retry.attempts)
        self.results: deque[TransferResult] = deque()
        self.ended = threading.Event()
        self.all_ended = threading.Event()
        self._running = 0
        self._running_lock = threading.Lock()
        self.canary = Canary(ports.store)
        self.registry = RegistryVerdict(ports.blobs)
        self.hosts = HostVerdict()
        # Whether the store makes another name of what it has; asked no more once it says that it never does.
        self.duplicates = True
        self.aborted = self.aborted_reason = ""
        self.crash: BaseException | None = None
        # A display only: a lost update between threads does no harm.
        self.moved = 0

    def expect(self, threads: int) -> None:
        """So many threads will start."""
        self._running = threads
        if threads == 0:
            self.all_ended.set()

    def take_turn(self) -> None:
        """The calling thread holds a download slot, and upstream has not asked to wait.

        Raises:
            TransferStopped: nothing new begins any more, or upstream has asked all to wait for too long.
        """
        self.slots.take(self.begins_nothing)
        # Asked here, since upstream may have asked all to wait while this thread waited for its turn.
        if not self.gate.pass_through(self.ports.stop):
            self.slots.give()
            raise TransferStopped("stopped while waiting for upstream")

    def begins_nothing(self) -> bool:
        """Whether no further bottle starts."""
        return self.ports.stop.is_set() or self.ended.is_set()

    def interrupt(self) -> None:
        """Threads that wait for upstream or store wait no longer."""
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
        """One thread has ended; the last one closes the connections to upstream, which all of them used."""
        with self._running_lock:
            self._running -= 1
            is_last = self._running == 0
        if is_last:
            with contextlib.suppress(Exception):  # what cannot be closed is closed with the process
                self.ports.blobs.close()
            self.all_ended.set()
