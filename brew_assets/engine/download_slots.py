"""How many bodies come from upstream at the same time, and how many threads that takes.

A slot is held from the request to the registry, through every redirect, to the last byte of the body. While
the store takes a bottle and answers, its thread holds none, and another thread downloads. So there are more
threads than slots, each with one buffer: memory = copy_threads(slots) x BUFFER_BYTES.
"""

import contextlib
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue

from brew_assets.errors import TransferStopped

# Threads beside those that download. With 8 a store that takes as long as upstream holds up nobody at the
# default of 10 slots; more than 32 would cost more memory than a slow store is worth.
LEAST_BESIDE = 8
MOST_BESIDE = 32
# How soon a thread that waits for a slot hears that it is wanted no more.
_LOOK_EVERY_S = 0.1


def copy_threads(slots: int) -> int:
    """The threads that keep so many slots busy while others wait for the store."""
    return slots + min(max(slots, LEAST_BESIDE), MOST_BESIDE)


class DownloadSlots:
    """The slots of one transfer, shared by its threads."""

    def __init__(self, count: int) -> None:
        # A queue, not a semaphore: it is written in C, and every bottle passes here twice.
        self._free: SimpleQueue[int] = SimpleQueue()
        for number in range(count):
            self._free.put(number)

    @contextlib.contextmanager
    def one(self, given_up: Callable[[], bool]) -> Iterator[None]:
        """Inside, this thread is one of those that download. Who need not wait is let in at any time.

        Raises:
            TransferStopped: the work was given up while this thread waited.
        """
        slot = self._take(given_up)
        try:
            yield
        finally:
            self._free.put(slot)

    def _take(self, given_up: Callable[[], bool]) -> int:
        with contextlib.suppress(Empty):
            return self._free.get_nowait()
        while not given_up():
            with contextlib.suppress(Empty):
                slot = self._free.get(timeout=_LOOK_EVERY_S)
                if not given_up():
                    return slot
                self._free.put(slot)
        raise TransferStopped("stopped while waiting for its turn to download")
