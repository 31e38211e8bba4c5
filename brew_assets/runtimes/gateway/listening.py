"""Where the gateway listens, with TLS or without."""

import socket
import ssl

import msgspec

from brew_assets.errors import SettingsInvalid

BACKLOG = 2048
# A client that acknowledges nothing for so long is gone, or sleeps; it begins again where it was.
SILENCE_MS = 300_000


class Listening(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen, and the files of certificate and key for TLS, both or none."""

    host: str = "127.0.0.1"
    port: int = 8080
    tls_cert: str = ""
    tls_key: str = ""

    def url(self, port: int | None = None) -> str:
        """The address of this machine under which clients reach it, as far as it is known here."""
        host = socket.gethostname() if self.host in ("", "0.0.0.0", "::") else self.host  # noqa: S104
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self.tls_cert else 'http'}://{shown}:{port or self.port}"


def open_socket(listening: Listening) -> socket.socket:
    """The socket, listening already: who connects now is answered once the server runs.

    Raises:
        SettingsInvalid: there is no such host or port to listen at, or it is taken.
    """
    expected = "an address of this machine and a free port (--port 0 takes any)"
    found = f"{listening.host}:{listening.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listening.host or None, listening.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
    except OSError as exc:
        raise SettingsInvalid(name="--host", expected=expected, found=f"{found}: {exc.strerror}") from exc
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Of connections too: they have it from the socket that accepts them.
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_MS)
        made.bind(address)
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError as exc:
        made.close()
        raise SettingsInvalid(name="--port", expected=expected, found=f"{found}: {exc.strerror}") from exc
    return made


def tls_context(listening: Listening) -> ssl.SSLContext | None:
    """What TLS is ended with, None without a certificate.

    Raises:
        SettingsInvalid: certificate or key is missing, or they do not belong together.
    """
    if not listening.tls_cert and not listening.tls_key:
        return None
    expected = "two PEM files that belong together, --tls-cert with its chain and --tls-key"
    if not (listening.tls_cert and listening.tls_key):
        raise SettingsInvalid(
            name="--tls-cert" if listening.tls_key else "--tls-key", expected=expected, found="one of them"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Asked for at a terminal otherwise, and a service has none.
        context.load_cert_chain(listening.tls_cert, listening.tls_key, password=lambda: b"")
    except (OSError, ssl.SSLError, ValueError) as exc:
        reason = getattr(exc, "reason", None) or getattr(exc, "strerror", None) or str(exc)
        found = f"{listening.tls_cert}, {listening.tls_key}: {reason}"
        raise SettingsInvalid(name="--tls-cert", expected=expected, found=found) from exc
    return context
