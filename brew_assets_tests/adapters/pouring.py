"""A server that begins an answer and pours on: as fast as it can, or a piece for every tick of a clock."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from brew_assets.engine.clock import SystemClock

# So much is no promise of anything, and a client without bound ends here all the same.
MOST_BYTES = 64 * 1024 * 1024


class TickingClock(SystemClock):
    """Seconds, one for every time that they are asked for; each lets the server send one piece."""

    def __init__(self) -> None:
        self.seconds = 0
        self.ticks = threading.Semaphore(0)

    def monotonic(self) -> float:
        self.seconds += 1
        self.ticks.release()
        return float(self.seconds)


class _Pouring:
    def __init__(self, begin: bytes, again: bytes, clock: TickingClock | None) -> None:
        self._begin, self._again, self._clock = begin, again, clock
        self._ended = threading.Event()
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.02)
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads[0].start()

    def end(self) -> None:
        self._ended.set()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for started in self._threads:
            started.join(6)
        self._listener.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            self._connections.append(connection)
            self._threads.append(threading.Thread(target=self._pour, args=(connection,), daemon=True))
            self._threads[-1].start()

    def _pour(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # the client hangs up
            connection.settimeout(5)
            connection.recv(65_536)
            connection.sendall(self._begin)
            left = MOST_BYTES if self._again else 0
            while left > 0 and self._may_go_on(connection):
                connection.sendall(self._again)
                left -= len(self._again)
            connection.recv(1)

    def _may_go_on(self, connection: socket.socket) -> bool:
        """Whether the client still is there; waits for a tick of the clock, if there is one."""
        while not self._ended.is_set():
            ticked = self._clock is None or self._clock.ticks.acquire(timeout=0.05)
            if self._clock is not None and select.select([connection], [], [], 0)[0]:
                if ticked:
                    self._clock.ticks.release()  # it was another connection's
                return False
            if ticked:
                return True
        return False


@contextmanager
def pouring(begin: bytes, again: bytes, *, clock: TickingClock | None = None) -> Iterator[str]:
    """The address of the server; it pours until the client hangs up."""
    server = _Pouring(begin, again, clock)
    try:
        yield server.url
    finally:
        server.end()
