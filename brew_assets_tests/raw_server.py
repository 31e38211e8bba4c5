"""A server on loopback that sends what no HTTP library would: bytes, one connection at a time each."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Answer = Callable[[socket.socket], None]


class RawServer:
    """Reads one request per connection, hands the connection to `answer`, then closes it."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.requests: list[bytes] = []
        # Set by the test's end: answers that wait do so no longer.
        self.over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536) or b"\r\n\r\n"
            self.requests.append(request)
            self._answer(connection)
            # Closed by an orderly end, whatever the other side still sends.
            connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Nobody listens any more, and no answer goes on."""
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)


@contextlib.contextmanager
def raw_server(answer: Callable[["RawServer", socket.socket], None]) -> Iterator[RawServer]:
    """A server that gives every connection to `answer`."""
    server = RawServer(lambda connection: answer(server, connection))
    try:
        yield server
    finally:
        server.close()


def whole(body: bytes, *headers: str) -> Callable[[RawServer, socket.socket], None]:
    """An answer with this body."""
    return lambda _, connection: connection.sendall(head(len(body), *headers) + body)


def head(length: int, *headers: str) -> bytes:
    """The head of a good answer."""
    lines = "".join(f"{line}\r\n" for line in headers)
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{lines}\r\n".encode()


def stalls(sent: bytes) -> Callable[[RawServer, socket.socket], None]:
    """These bytes, and then nothing."""

    def answer(server: RawServer, connection: socket.socket) -> None:
        connection.sendall(sent)
        server.over.wait(60)

    return answer


def trickles(
    sent: bytes, each: bytes, advance: Callable[[float], None]
) -> Callable[[RawServer, socket.socket], None]:
    """These bytes, then one piece every second of the clock, for ever."""

    def answer(server: RawServer, connection: socket.socket) -> None:
        connection.sendall(sent)
        # The pause is for whoever reads: all that is measured goes by the clock.
        while not server.over.wait(0.002):
            connection.sendall(each)
            advance(1.0)

    return answer
