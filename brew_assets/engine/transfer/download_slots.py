"""How many bodies come from upstream at the same time, and how many threads that takes.

A slot is held from the request to the registry, through every redirect, to the last byte of the body. While
the store takes a bottle and answers, its thread holds none, and another thread downloads. So there are more
threads than slots, each with one buffer: memory = copy_threads(slots) x BUFFER_BYTES.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator

from brew_assets.errors import TransferStopped

# Threads beside those that download. With 8 a store that takes as long as upstream holds up nobody at the
# default of 10 slots; more than 32 would cost more memory than a slow store is worth.
LEAST_BESIDE = 8
MOST_BESIDE = 32
# How soon a thread that waits for a slot hears that it is wanted no more.
_LOOK_EVERY_S = 0.1


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

    @contextlib.contextmanager
    def one(self, given_up: Callable[[], bool]) -> Iterator[None]:
        """Inside, this thread is one of those that download. Who need not wait is let in at any time.

        Raises:
            TransferStopped: the work was given up while this thread waited.
        """
        self._take(given_up)
        try:
            yield
        finally:
            self._give()

    def _take(self, given_up: Callable[[], bool]) -> None:
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
            self._give()
        raise TransferStopped("stopped while waiting for its turn to download")

    def _give(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
