"""Servers that hand on what comes: a front that ends TLS, and a proxy that writes down what it is asked."""

import base64
import contextlib
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_PIECE_BYTES = 65536
Place = tuple[str, int]


def place_of(url: str) -> Place:
    """Host and port of a plain server."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


class Relay:
    """Takes connections in threads, and ends all of them with `close`."""

    def __init__(self, serve: Callable[[socket.socket], None], listener: socket.socket | None = None) -> None:
        self._serve = serve
        self._listener = listener or socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        with self.kept(connection), contextlib.suppress(OSError):
            self._serve(connection)

    @contextlib.contextmanager
    def kept(self, connection: socket.socket) -> Iterator[None]:
        """The connection is closed afterwards, or when the relay is."""
        with self._lock:
            self._open.add(connection)
        try:
            with connection:
                yield
        finally:
            with self._lock:
                self._open.discard(connection)

    def close(self) -> None:
        """Nobody listens any more, and no connection is left."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            still = list(self._open)
        for connection in still:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)

    def between(self, one: socket.socket, place: Place, first: bytes = b"") -> None:
        """What comes from either goes to the other, until one of them ends."""
        other = socket.create_connection(place, 10)
        other.settimeout(None)
        with self.kept(other):
            other.sendall(first)
            _shuttle(one, other)


def _shuttle(one: socket.socket, other: socket.socket) -> None:
    """Carries bytes both ways in one thread: two must not use one TLS connection at the same time."""
    with selectors.DefaultSelector() as readable:
        readable.register(one, selectors.EVENT_READ, other)
        readable.register(other, selectors.EVENT_READ, one)
        while other in {key.fileobj for key in readable.get_map().values()}:
            for key, _ in readable.select():
                source, target = key.fileobj, key.data
                piece = source.recv(_PIECE_BYTES)  # type: ignore[union-attr]
                while piece and isinstance(source, ssl.SSLSocket) and source.pending():
                    piece += source.recv(_PIECE_BYTES)
                if piece:
                    target.sendall(piece)
                    continue
                readable.unregister(source)
                if source is one:
                    other.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def tls_front(context: ssl.SSLContext, behind: Mapping[str, Place]) -> Iterator[int]:
    """The port of a front that speaks TLS and leads to the plain server of the name that is asked for."""
    asked: dict[int, str] = {}
    context.sni_callback = lambda sock, name, _: asked.__setitem__(id(sock), name or "")

    def serve(connection: socket.socket) -> None:
        connection.settimeout(30)
        encrypted = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with encrypted:
            encrypted.do_handshake()
            encrypted.settimeout(None)
            relay.between(encrypted, behind[asked.pop(id(encrypted))])

    relay = Relay(serve)
    try:
        yield relay.port
    finally:
        relay.close()


@dataclass(kw_only=True)
class Asked:
    """What the proxy was asked: a method and its target, and what came to let it through."""

    method: str
    target: str
    authorization: str = ""


@dataclass(kw_only=True)
class Orders:
    """How a proxy behaves: where names lead, whom it lets through, and what it answers instead."""

    leads: Mapping[str, Place] = field(default_factory=dict)
    credentials: str = ""
    answer: Callable[[Asked, socket.socket], bool] = lambda _, __: False


class RecordingProxy:
    """A proxy on loopback, which alone knows where names lead."""

    def __init__(
        self, orders: Orders, *, context: ssl.SSLContext | None = None, listener: socket.socket | None = None
    ) -> None:
        self.orders = orders
        self.asked: list[Asked] = []
        self._context = context
        self._relay = Relay(self._serve, listener)
        self.place = f"127.0.0.1:{self._relay.port}"

    @property
    def hosts(self) -> set[str]:
        """The hosts (host:port) to which it was asked to lead."""
        return {asked.target.removeprefix("http://").split("/")[0] for asked in self.asked}

    def close(self) -> None:
        """Nothing goes through any more."""
        self._relay.close()

    def _serve(self, connection: socket.socket) -> None:
        if self._context is None:
            self._answer(connection)
            return
        with self._context.wrap_socket(connection, server_side=True) as encrypted:
            self._answer(encrypted)

    def _answer(self, connection: socket.socket) -> None:
        request = _head_of(connection)
        head, _, rest = request.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in fields)}
        asked = Asked(method=method, target=target, authorization=headers.get("proxy-authorization", ""))
        self.asked.append(asked)
        if self.orders.answer(asked, connection):
            return
        wanted = base64.b64encode(self.orders.credentials.encode()).decode()
        if self.orders.credentials and asked.authorization != f"Basic {wanted}":
            connection.sendall(
                b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
            )
            return
        netloc = target if method == "CONNECT" else target.removeprefix("http://").split("/")[0]
        place = self.orders.leads.get(netloc)
        if place is None:
            connection.sendall(b"HTTP/1.1 403 Not from here\r\nContent-Length: 0\r\n\r\n")
        elif method == "CONNECT":
            connection.sendall(b"HTTP/1.1 200 Go on\r\nVia: 1.1 test\r\n\r\n")
            self._relay.between(connection, place, rest)
        else:
            path = target.removeprefix(f"http://{netloc}")
            kept = [text for text in fields if not text.lower().startswith(("proxy-", "connection:"))]
            lines = "\r\n".join([f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", ""])
            self._relay.between(connection, place, lines.encode("latin-1") + rest)


def _head_of(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        piece = connection.recv(_PIECE_BYTES)
        if not piece:
            raise ConnectionResetError
        request += piece
    return request


@contextlib.contextmanager
def recording_proxy(
    orders: Orders, *, context: ssl.SSLContext | None = None, listener: socket.socket | None = None
) -> Iterator[RecordingProxy]:
    """A proxy that writes down what it is asked."""
    proxy = RecordingProxy(orders, context=context, listener=listener)
    try:
        yield proxy
    finally:
        proxy.close()
