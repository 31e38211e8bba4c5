"""CONNECT: a way through a proxy, within limits to all that it answers; and TLS over it, or over a socket."""

import socket
import ssl
import time
from collections.abc import Callable
from typing import cast

from urllib3.util.ssltransport import SSLTransport

from brew_assets.adapters.http.proxies import Proxy
from brew_assets.errors import ProxyRefused

MOST_HEAD_BYTES = 65536
# What a later try will not change: the rest of 4xx but these.
_PASSING = (408, 421, 425, 429)
ASKS_FOR_CREDENTIALS = 407


class ProxyFailure(ConnectionError):
    """A proxy did not let a connection through just now."""

    def __init__(self, proxy: Proxy, finding: str) -> None:
        super().__init__(f"the proxy {proxy} ({proxy.setting}) {finding}")


def open_tunnel(
    sock: socket.socket,
    proxy: Proxy,
    netloc: str,
    *,
    timeout_s: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """What is sent over the socket arrives at `netloc` (host:port).

    Raises:
        ProxyFailure: the proxy answers what may pass, what is no HTTP, too much, or nothing.
        ProxyRefused: it refuses, or asks for credentials.
    """
    lines = [f"CONNECT {netloc} HTTP/1.1", f"Host: {netloc}", "User-Agent: brew-mirror"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization.reveal()}")
    try:
        sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        head = _read_head(sock, proxy, monotonic() + timeout_s, monotonic)
    except ProxyFailure:
        raise
    except TimeoutError as exc:
        raise ProxyFailure(proxy, f"did not answer within {timeout_s:g} s") from exc
    except OSError as exc:
        raise ProxyFailure(proxy, f"broke off: {exc}") from exc
    _check_status(head, proxy, netloc)


def _read_head(sock: socket.socket, proxy: Proxy, ends_at: float, monotonic: Callable[[], float]) -> bytes:
    """The head, and nothing of what the other side sends after it."""
    head = b""
    while not head.endswith((b"\r\n\r\n", b"\n\n")):
        if monotonic() > ends_at:
            raise TimeoutError
        # What comes behind the head is the origin's. TLS knows no peeking: there, byte by byte.
        piece = sock.recv(1)
        if not piece:
            raise ProxyFailure(proxy, f"closed the connection after {len(head)} bytes of an answer")
        head += piece
        if len(head) > MOST_HEAD_BYTES:
            raise ProxyFailure(proxy, f"answered with a head of more than {MOST_HEAD_BYTES} bytes")
    return head


def _check_status(head: bytes, proxy: Proxy, netloc: str) -> None:
    line = head.split(b"\n", 1)[0].decode("latin-1").strip()
    version, _, rest = line.partition(" ")
    code = rest.strip()[:3]
    if not version.startswith("HTTP/") or not (code.isascii() and code.isdigit() and len(code) == 3):
        raise ProxyFailure(proxy, f"answered what is no HTTP: {line[:60]!a}")
    if failure := answer_failure(int(code), proxy, netloc):
        raise failure


def answer_failure(status: int, proxy: Proxy, netloc: str) -> ProxyFailure | ProxyRefused | None:
    """What a proxy's answer to CONNECT means; None where the way is open."""
    if 200 <= status < 300:
        return None
    if status == ASKS_FOR_CREDENTIALS:
        return credentials_wanted(proxy)
    if 400 <= status < 500 and status not in _PASSING:
        return ProxyRefused(
            f"the proxy {proxy} ({proxy.setting}) answered {status}: it does not lead to {netloc}; let it "
            "allow the host, or name the host in NO_PROXY where it is reached without"
        )
    return ProxyFailure(proxy, f"answered {status}: it does not lead to {netloc} now")


def credentials_wanted(proxy: Proxy) -> ProxyRefused:
    """The error for a proxy that answered 407."""
    which = "other credentials" if proxy.authorization else "credentials"
    return ProxyRefused(
        f"the proxy {proxy} ({proxy.setting}) asks for {which} (407); set "
        f"{proxy.setting}={proxy.scheme}://user:password@{proxy.netloc}"
    )


class _TlsInTls(SSLTransport):
    def shutdown(self, how: int) -> None:
        """Whoever reads or writes does so no longer."""
        self.socket.shutdown(how)


def wrapped(sock: socket.socket, context: ssl.SSLContext, host: str) -> socket.socket:
    """The socket with TLS spoken to `host` over it; a socket in all that is asked of one here.

    Raises:
        OSError: the handshake fails.
    """
    try:
        if isinstance(sock, ssl.SSLSocket):
            return cast(socket.socket, _TlsInTls(sock, context, server_hostname=host))
        return context.wrap_socket(sock, server_hostname=host)
    except ssl.SSLCertVerificationError as exc:
        exc.strerror = f"{exc.strerror}; name the file of a CA of your own by SSL_CERT_FILE"
        raise
