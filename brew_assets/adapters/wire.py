"""The bulk path's HTTP/1.1: one persistent connection, thin over http.client.

The standard library's connection does TCP, TLS and body framing. Only the response head is parsed here,
into a plain dict: the library's e-mail parser costs more than all else on a small bottle
(docs/performance.md).
"""

import contextlib
import http.client
import io
import select
import socket
import ssl
import struct
import time
from typing import TYPE_CHECKING

from brew_assets.adapters.origin import TARGET, Origin

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MAX_HEADERS = 100
_MAX_LINE = 65536
_CONNECT_TIMEOUT_S = 30.0
# A connection that idled longer is asked whether the other side has closed it.
_IDLE_CHECK_S = 1.0
_DRAIN_BYTES = 65536
# A small bottle comes with its head in one call.
_READ_AHEAD_BYTES = 65536

# http.client lets a malformed chunk size out as ValueError.
NETWORK_ERRORS = (OSError, http.client.HTTPException, ValueError)


class WireResponse(http.client.HTTPResponse):
    """A response whose head is a dict of lower-case names; the last of equal names wins."""

    fields: dict[str, str]

    def __init__(self, reader: "_Reader", *, method: str) -> None:
        super().__init__(reader, method=method)  # type: ignore[arg-type]

    def begin(self) -> None:
        """Reads status line and headers and settles how the body is framed."""
        while True:
            version, status, reason = self._read_status()  # type: ignore[attr-defined]
            fields = self._read_fields()
            if status != http.client.CONTINUE:
                break
        self.code = self.status = status
        self.reason = reason.strip()
        self.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        self.fields = fields
        self.chunked = fields.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        connection = fields.get("connection", "").lower()
        self.will_close = "close" in connection or (self.version == 10 and "keep-alive" not in connection)
        self.length = self._framed_length()
        if self.length is None and not self.chunked:
            self.will_close = True

    def _read_fields(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        readline = self.fp.readline
        for _ in range(_MAX_HEADERS):
            line = readline(_MAX_LINE + 1)
            if line in (b"\r\n", b"\n"):
                return fields
            if len(line) > _MAX_LINE:
                raise http.client.LineTooLong("header line")
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                raise http.client.HTTPException(f"expected a header line, found {line[:80]!r}")
            fields[name.lower()] = value.strip()
        raise http.client.HTTPException(f"more than {_MAX_HEADERS} headers")

    def _framed_length(self) -> int | None:
        if self.status in (204, 304) or self.status < 200 or self._method == "HEAD":  # type: ignore[attr-defined]
            return 0
        text = self.fields.get("content-length", "")
        if self.chunked or not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise http.client.HTTPException(f"expected a Content-Length in digits, found {text[:40]!r}")
        return int(text)

    @property
    def content_length(self) -> int | None:
        """The announced size of the body, None when it is not announced."""
        text = self.fields.get("content-length", "")
        # begin has refused what are no digits.
        return int(text) if text and not self.chunked else None


class _Reader(io.BufferedReader):
    """The read-ahead of one connection, shared by its responses: a response cannot close it.

    Making one anew for every response costs more than reading a small one.
    """

    raw: "_Silence"

    def makefile(self, mode: str) -> "_Reader":
        """What http.client asks of a socket."""
        return self

    def close(self) -> None:
        """A response is at its end; the connection is not."""


class _Silence(io.RawIOBase):
    """A socket whose time-out shows as TimeoutError, kept by the kernel (see _limit_silence)."""

    is_broken = False

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        # TLS knows no flags.
        self._body_flags = 0 if isinstance(sock, ssl.SSLSocket) else socket.MSG_WAITALL

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        try:
            # More than the read-ahead is asked for only within a body of known length: then one call that
            # waits for all of it spares the others, each of which would hand the interpreter over.
            size = memoryview(buffer).nbytes
            flags = self._body_flags if size > _READ_AHEAD_BYTES else 0
            return self._sock.recv_into(buffer, size, flags) if flags else self._sock.recv_into(buffer)
        except OSError as exc:
            # Nothing may be read from here again: it would only be waited for once more.
            self.is_broken = True
            if isinstance(exc, BlockingIOError):
                raise TimeoutError("timed out") from exc
            raise


class Wire:
    """One persistent connection to one origin, used by one thread.

    Memory: the head of a response and one small read-ahead; bodies go straight into the caller's buffer.
    """

    def __init__(self, origin: Origin, *, timeout_s: float, context: ssl.SSLContext | None = None) -> None:
        self.origin = origin
        self._timeout_s = timeout_s
        self._context = context
        self._connection: http.client.HTTPConnection | None = None
        self._reader: _Reader | None = None
        self._response: WireResponse | None = None
        self._used_at = 0.0
        self._interrupted = False

    def send(self, method: str, target: str, headers: dict[str, str], body: memoryview | None = None) -> None:
        """The request head, and the body's first or only piece, are on their way.

        A kept connection that the other side has closed is replaced once.

        Raises:
            OSError, http.client.HTTPException: the connection cannot be made or breaks.
        """
        head = _request_head(method, target, self.origin.netloc, headers)
        reused = self._connection is not None and not self._is_stale()
        try:
            self._write_first(head, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close()
            if not reused:
                raise
            self._write_first(head, body)

    def _write_first(self, head: bytes, body: memoryview | None) -> None:
        sock = self._connected().sock
        if body is None:
            _send(sock, head)
        elif isinstance(sock, ssl.SSLSocket):
            _send(sock, b"".join((head, body)))
        else:
            sent = sock.sendmsg((head, body)) - len(head)
            if sent < 0:
                _send(sock, head[sent:])
            if sent < len(body):
                _send(sock, body[max(0, sent) :])

    def send_more(self, piece: memoryview) -> None:
        """A further piece of the body is on its way.

        Raises:
            OSError: the connection breaks.
        """
        if self._connection is None:
            raise ConnectionResetError("the connection is closed")
        _send(self._connection.sock, piece)

    def receive(self, method: str) -> WireResponse:
        """The response's head; its body is still to be read.

        Raises:
            OSError, http.client.HTTPException: the connection breaks or does not speak HTTP.
        """
        if self._reader is None:
            raise ConnectionResetError("the connection is closed")
        response = WireResponse(self._reader, method=method)
        try:
            response.begin()
        except BaseException:
            self.close()
            raise
        self._response = response
        return response

    def exchange(self, method: str, target: str, headers: dict[str, str]) -> WireResponse:
        """The response's head to a request without a body.

        A kept connection that turns out closed is replaced once: nothing has come back, so nothing can
        have happened twice that matters to a GET or HEAD.

        Raises:
            OSError, http.client.HTTPException: the connection cannot be made or breaks.
        """
        reused = self._connection is not None
        self.send(method, target, headers)
        try:
            return self.receive(method)
        except (http.client.RemoteDisconnected, ConnectionResetError):
            self.close()
            if not reused:
                raise
            self.send(method, target, headers)
            return self.receive(method)

    def finish(self) -> None:
        """Keeps the connection when the response was read to its end (a small rest is), else closes it."""
        response, self._response = self._response, None
        if response is None:
            return
        try:
            if (
                not response.isclosed()
                and 0 <= (response.length or 0) <= _DRAIN_BYTES
                and not (self._reader is None or self._reader.raw.is_broken)
            ):
                response.read(_DRAIN_BYTES)
            keep = (
                response.isclosed()
                and not response.will_close
                and not (self._reader is None or self._reader.raw.is_broken)
            )
        except NETWORK_ERRORS:
            keep = False
        if keep:
            self._used_at = time.monotonic()
        else:
            self.close()

    def close(self) -> None:
        """The connection is closed; the next request makes a new one."""
        self._response = self._reader = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def interrupt(self) -> None:
        """Whatever a thread sends or awaits here fails at once, and no new connection is made."""
        self._interrupted = True
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _connected(self) -> http.client.HTTPConnection:
        if self._interrupted:
            raise ConnectionAbortedError("the grace is over")
        if self._connection is None:
            host, port = self.origin.host, self.origin.port
            timeout_s = min(_CONNECT_TIMEOUT_S, self._timeout_s)
            if self.origin.scheme == "https":
                context = self._context or ssl.create_default_context()
                connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                    host, port, timeout=timeout_s, context=context
                )
            else:
                connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
            connection.connect()
            _limit_silence(connection.sock, self._timeout_s)
            self._reader = _Reader(_Silence(connection.sock), _READ_AHEAD_BYTES)
            self._connection = connection
        return self._connection

    def _is_stale(self) -> bool:
        """Closes a connection that idled and has something to read: it can only be the end."""
        connection = self._connection
        if connection is None or time.monotonic() - self._used_at < _IDLE_CHECK_S:
            return False
        readable, _, _ = select.select([connection.sock], [], [], 0)
        if readable:
            self.close()
        return bool(readable)


def _send(sock: socket.socket, data: "bytes | memoryview") -> None:
    try:
        sock.sendall(data)
    except BlockingIOError as exc:
        raise TimeoutError("timed out") from exc


def _limit_silence(sock: socket.socket, timeout_s: float) -> None:
    """No send or receive waits longer.

    Without TLS the kernel keeps the time: Python's own way polls before every call, which doubles the
    times that a worker hands the interpreter over. A time-out then shows as BlockingIOError.
    """
    if isinstance(sock, ssl.SSLSocket):
        sock.settimeout(timeout_s)
        return
    sock.settimeout(None)
    interval = struct.pack("@ll", int(timeout_s), int(timeout_s % 1 * 1_000_000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)


def _request_head(method: str, target: str, host: str, headers: dict[str, str]) -> bytes:
    lines = "\r\n".join([f"{name}: {value}" for name, value in headers.items()])
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n\r\n"
    if not TARGET.fullmatch(target) or head.count("\n") != len(headers) + 3 or not head.isascii():
        raise http.client.InvalidURL(f"expected visible ASCII in the request for {target[:200]!r}")
    return head.encode("ascii")
