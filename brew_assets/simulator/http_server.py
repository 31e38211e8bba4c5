"""A small HTTP/1.1 server on loopback: threads, keep-alive, prompt stop.

`http.server` spends most of a small request's time in the e-mail header parser; this one reads lines.
"""

import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

Ending = Literal["keep", "close", "stall"]
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_POLL_S = 0.02  # how long stop() waits at most for the accepting thread
_GOODBYE_S = 5.0
_LONGEST_LINE_BYTES = 65_536
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


class _Connection(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: LoopbackServer
    connection: socket.socket

    def handle(self) -> None:
        try:
            while self._exchange():
                pass
        except OSError:
            return  # the client hung up, or stop() did

    def _exchange(self) -> bool:
        """Whether another request may follow on this connection."""
        request = self._read()
        if request is None:
            return False
        reply = self.server.answer(request)
        try:
            self._send(request, reply)
        finally:
            if reply.stream is not None and hasattr(reply.stream, "close"):
                reply.stream.close()
        if reply.ending == "stall":
            self._await_hang_up()
        return reply.ending == "keep" and request.headers.get("connection", "").lower() != "close"

    def _read(self) -> Request | None:
        line = self.rfile.readline(_LONGEST_LINE_BYTES)
        words = line.decode("latin-1").split()
        if len(words) != 3:
            return None
        headers: dict[str, str] = {}
        while (line := self.rfile.readline(_LONGEST_LINE_BYTES)) not in (b"\r\n", b"\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        self.rfile.read(int(headers.get("content-length") or 0))
        if words[2] == "HTTP/1.0":
            headers.setdefault("connection", "close")
        target = urlsplit(words[1])
        return Request(words[0], unquote(target.path), target.query, headers)

    def _send(self, request: Request, reply: Reply) -> None:
        if reply.status == _NO_ANSWER:
            return
        send = self.connection.sendall
        head = _head(reply)
        if request.method == "HEAD" or reply.status in _SILENT:
            send(head)
        elif reply.stream is None:
            send(head + reply.body)
        else:
            # Head and first piece leave in one packet: two system calls per small bottle instead of three.
            send(head + next(reply.stream, b""))
            for piece in reply.stream:
                send(piece)

    def _await_hang_up(self) -> None:
        while self.connection.recv(_LONGEST_LINE_BYTES):
            pass


def _head(reply: Reply) -> bytes:
    length = len(reply.body) if reply.stream is None else reply.length
    lines = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    lines.append(f"Date: {formatdate(usegmt=True)}")
    if reply.status not in _SILENT:
        lines.append(f"Content-Length: {length}")
    # Go's "µs" leaves GHCR as UTF-8.
    return "\r\n".join((*lines, "", "")).encode()


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already
