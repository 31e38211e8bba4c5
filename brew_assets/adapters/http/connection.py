"""The bulk path's HTTP/1.1: one persistent connection, thin over http.client.

The standard library's connection does TCP, TLS and body framing. Only the response head is parsed here,
into a plain dict: the library's e-mail parser costs more than all else on a small bottle
(docs/performance.md).

It is ours because it was measured. Client CPU of one request of 50 KB on two cores over loopback, in us:

          here   http.client   urllib3   httpx
    GET     75           137       234     476
    PUT     45           118       194     414
"""

import contextlib
import http.client
import select
import socket
from collections.abc import Callable

from brew_assets.adapters.http.reach import CONNECT_TIMEOUT_S, Reach
from brew_assets.adapters.http.reader import (
    HEAD_TIME_S,
    READ_AHEAD_BYTES,
    Incoming,
    Reader,
    Watch,
    is_tls,
    limit_silence,
    silence,
)
from brew_assets.adapters.http.response import WireResponse
from brew_assets.adapters.http.tunnel import ASKS_FOR_CREDENTIALS, credentials_wanted, wrapped
from brew_assets.adapters.http.url import TARGET, Origin

# A connection that idled longer is asked whether the other side has closed it.
_IDLE_CHECK_S = 1.0
_DRAIN_BYTES = 65536

# http.client lets a malformed chunk size out as ValueError.
NETWORK_ERRORS = (OSError, http.client.HTTPException, ValueError)


class Wire:
    """One persistent connection to one origin, used by one thread.

    Memory: the head of a response and one small read-ahead; bodies go straight into the caller's buffer.
    """

    def __init__(
        self,
        origin: Origin,
        reach: Reach,
        *,
        timeout_s: float,
        monotonic: Callable[[], float],
    ) -> None:
        self.origin = origin
        self._monotonic = monotonic
        self._reach = reach
        # A proxy for plain http reads each request itself; through one for https goes what it cannot read.
        self._reads_along = reach.proxy_for(origin) if origin.scheme == "http" else None
        self._timeout_s = timeout_s
        self._watch = Watch(head_s=min(timeout_s, HEAD_TIME_S), monotonic=monotonic)
        self._connection: http.client.HTTPConnection | None = None
        self._opening: socket.socket | None = None
        self._reader: Reader | None = None
        self._response: WireResponse | None = None
        self._used_at = 0.0
        self._interrupted = False

    @property
    def way(self) -> str:
        """In words, how the origin is reached: for errors."""
        return self._reach.way_to(self.origin)

    def send(self, method: str, target: str, headers: dict[str, str], body: memoryview | None = None) -> None:
        """The request head, and the body's first or only piece, are on their way.

        A kept connection that the other side has closed is replaced once.

        Raises:
            OSError, http.client.HTTPException: the connection cannot be made or breaks.
            ProxyRefused: a proxy lets nothing through, or asks for credentials.
            SettingsInvalid: a setting names no proxy, or a file without certificates.
        """
        if self._reads_along is not None:
            target, headers = self._for_proxy(target, headers)
        head = _request_head(method, target, self.origin.netloc, headers)
        reused = self._connection is not None and not self._is_stale()
        try:
            self._write_first(head, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close()
            if not reused:
                raise
            self._write_first(head, body)

    def _for_proxy(self, target: str, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
        proxy = self._reads_along
        if proxy is not None and proxy.authorization:
            headers = headers | {"Proxy-Authorization": proxy.authorization.reveal()}
        return f"http://{self.origin.netloc}{target}", headers

    def _write_first(self, head: bytes, body: memoryview | None) -> None:
        sock = self._connected().sock
        if body is None:
            _send(sock, head)
        elif is_tls(sock):
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
            ProxyRefused: the proxy that reads along asks for credentials.
        """
        if self._reader is None:
            raise ConnectionResetError("the connection is closed")
        response = WireResponse(self._reader, method=method)
        try:
            response.begin()
        except BaseException:
            self.close()
            raise
        if response.status == ASKS_FOR_CREDENTIALS and self._reads_along is not None:
            self.close()
            raise credentials_wanted(self._reads_along)
        self._response = response
        return response

    def exchange(self, method: str, target: str, headers: dict[str, str]) -> WireResponse:
        """The response's head to a request without a body.

        A kept connection that turns out closed is replaced once: nothing has come back, so nothing can
        have happened twice that matters to a GET or HEAD.

        Raises:
            OSError, http.client.HTTPException: the connection cannot be made or breaks.
            ProxyRefused: a proxy lets nothing through, or asks for credentials.
            SettingsInvalid: a setting names no proxy, or a file without certificates.
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
        """Keeps the connection when the response was read to its end (a small rest is), else closes it.

        Never raises for what the connection does: the response has been used already.
        """
        response, self._response = self._response, None
        if response is None:
            return
        # A connection may be used again only if the next byte on it begins the next answer. That holds once
        # the body was read to its end, and then only if the server keeps it too. A small rest is read, which
        # is cheaper than a new handshake; a large one costs more than it saves. Where reading has failed
        # once, by a time-out for one, nothing is read again: a second wait as long would be all that comes of
        # it.
        try:
            if (
                not response.isclosed()
                and 0 <= (response.length or 0) <= _DRAIN_BYTES
                and not (self._reader is None or self._reader.raw.is_broken)
            ):
                if self._reader is not None:
                    self._reader.raw.watch_head()
                response.read(_DRAIN_BYTES)
            keep = (
                response.isclosed()
                and not response.will_close
                and not (self._reader is None or self._reader.raw.is_broken)
            )
        except NETWORK_ERRORS:
            keep = False
        if keep:
            self._used_at = self._monotonic()
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
        connection, opening = self._connection, self._opening
        for sock in (opening, connection.sock if connection is not None else None):
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _connected(self) -> http.client.HTTPConnection:
        if self._interrupted:
            raise ConnectionAbortedError("the grace is over")
        if self._connection is None:
            host, port = self.origin.host, self.origin.port
            # Made without the library, which shows nobody the socket during a handshake.
            sock = self._opened(timeout_s=min(CONNECT_TIMEOUT_S, self._timeout_s))
            connection = http.client.HTTPConnection(host, port)
            connection.sock = sock
            limit_silence(connection.sock, self._timeout_s)
            self._reader = Reader(Incoming(connection.sock, self._watch), READ_AHEAD_BYTES)
            self._connection = connection
        return self._connection

    def _opened(self, *, timeout_s: float) -> socket.socket:
        # interrupt() comes from another thread and must end whichever step this one is in: a connection in
        # the making, a proxy's tunnel, a TLS handshake. wrap_socket() empties the object that it was given,
        # so what is shut down is a duplicate of the descriptor, which stays valid throughout. The flag is
        # looked at after the duplicate is in its place: an interruption before that is seen here, a later one
        # finds it.
        made: list[socket.socket] = []
        try:
            with contextlib.ExitStack() as copies:

                def opening(sock: socket.socket) -> None:
                    made.append(sock)
                    # A copy: TLS takes the socket away.
                    self._opening = copies.enter_context(sock.dup())
                    if self._interrupted:
                        raise ConnectionAbortedError("the grace is over")

                sock = self._reach.connect(
                    self.origin,
                    timeout_s=timeout_s,
                    interrupted=lambda: self._interrupted,
                    opening=opening,
                )
                if self.origin.scheme != "https":
                    return sock
                made.append(sock)
                return wrapped(sock, self._reach.context(), self.origin.host)
        except BaseException:
            for sock in made:
                sock.close()
            raise
        finally:
            self._opening = None

    def _is_stale(self) -> bool:
        """Closes a connection that idled and has something to read: it can only be the end."""
        connection = self._connection
        if connection is None or self._monotonic() - self._used_at < _IDLE_CHECK_S:
            return False
        readable, _, _ = select.select([connection.sock], [], [], 0)
        if readable:
            self.close()
        return bool(readable)


def _send(sock: socket.socket, data: "bytes | memoryview") -> None:
    try:
        sock.sendall(data)
    except (BlockingIOError, TimeoutError) as exc:
        raise silence(sock) from exc


def _request_head(method: str, target: str, host: str, headers: dict[str, str]) -> bytes:
    lines = "\r\n".join([f"{name}: {value}" for name, value in headers.items()])
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n\r\n"
    if not TARGET.fullmatch(target) or head.count("\n") != len(headers) + 3 or not head.isascii():
        raise http.client.InvalidURL(f"expected visible ASCII in the request for {target[:200]!r}")
    return head.encode("ascii")
