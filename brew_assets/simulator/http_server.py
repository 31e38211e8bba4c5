"""An HTTP/1.1 server on loopback over the standard library's: threads, keep-alive, prompt stop.

Its handler spends about 100 us of a small request in the e-mail parser: a test's time, and nobody's bottle.
"""

import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

Ending = Literal["keep", "close", "stall"]
_POLL_S = 0.02  # how long stop() waits at most for the accepting thread
_GOODBYE_S = 5.0
_SILENT = (204, 304)
_NO_ANSWER = 0


@dataclass(slots=True)
class Request:
    """One request; header names in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]


@dataclass(slots=True)
class Reply:
    """One answer: a body in one piece, or a stream with its announced length."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    stream: Iterator[bytes] | None = None
    length: int = 0
    ending: Ending = "keep"


# Not http.server's, which asks the resolver for its own name.
class LoopbackServer(socketserver.ThreadingTCPServer):
    """Answers requests on 127.0.0.1 at a free port until it is stopped."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.answer = answer
        # Connections taken since the start.
        self.accepted = 0
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(("127.0.0.1", 0), _Connection)
        self.port = int(self.server_address[1])
        self._thread = threading.Thread(target=self.serve_forever, args=(_POLL_S,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No port is open and no connection is served any more."""
        self.shutdown()
        self._thread.join(_GOODBYE_S)
        self.server_close()
        with self._changed:
            for connection in self._open:
                _hang_up(connection)
            self._changed.wait_for(lambda: not self._open, _GOODBYE_S)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self.accepted += 1
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are everyday; anything else is a defect and is shown."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Head and first piece leave in one packet.
    wbufsize = -1
    server: LoopbackServer
    connection: socket.socket

    def _exchange(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        target = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.answer(Request(self.command, unquote(target.path), target.query, headers))
        self.close_connection |= reply.ending != "keep"
        try:
            self._send(reply)
        finally:
            if reply.stream is not None and hasattr(reply.stream, "close"):
                reply.stream.close()
        if reply.ending == "stall":
            # Nothing more until the client hangs up, or stop() does.
            while self.connection.recv(65_536):
                pass

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _exchange  # noqa: N815

    def _send(self, reply: Reply) -> None:
        if reply.status == _NO_ANSWER:
            return
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            # Go's "µs" leaves GHCR as UTF-8.
            self.send_header(name, value.encode().decode("latin-1"))
        self.send_header("Date", self.date_time_string())
        if reply.status not in _SILENT:
            length = len(reply.body) if reply.stream is None else reply.length
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD" and reply.status not in _SILENT:
            for piece in (reply.body,) if reply.stream is None else reply.stream:
                self.wfile.write(piece)
                self.wfile.flush()
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already
