"""A server that begins an answer and pours on: as fast as it can, or a piece for every tick of a clock."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# So much is no promise of anything, and a client without bound ends here all the same.
MOST_BYTES = 64 * 1024 * 1024


class TickingClock:
    """Seconds, one for every time that they are asked for; each lets the server send one piece."""

    def __init__(self) -> None:
        self.seconds = 0
        self.ticks = threading.Semaphore(0)

    def __call__(self) -> float:
        self.seconds += 1
        self.ticks.release()
        return float(self.seconds)


@contextmanager
def pouring(begin: bytes, again: bytes, *, clock: TickingClock | None = None) -> Iterator[str]:
    """The address of the server; it pours until the client hangs up."""
    ended = threading.Event()
    pouring_threads: list[threading.Thread] = []
    connections: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.02)

    def pour(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # the client hangs up
            connection.settimeout(5)
            connection.recv(65_536)
            connection.sendall(begin)
            left = MOST_BYTES if again else 0
            while left > 0 and not ended.is_set():
                if clock is not None:
                    ticked = clock.ticks.acquire(timeout=0.05)
                    if select.select([connection], [], [], 0)[0]:
                        if ticked:
                            clock.ticks.release()  # it was another connection's
                        return
                    if not ticked:
                        continue
                connection.sendall(again)
                left -= len(again)
            connection.recv(1)

    def serve() -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            connections.append(connection)
            pouring_threads.append(threading.Thread(target=pour, args=(connection,), daemon=True))
            pouring_threads[-1].start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ended.set()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for started in (thread, *pouring_threads):
            started.join(6)
        listener.close()
