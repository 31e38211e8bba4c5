"""TLS over a socket, or over a proxy's TLS."""

import socket
import ssl
from typing import cast

from urllib3.util.ssltransport import SSLTransport


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


def is_tls(sock: socket.socket) -> bool:
    """Whether what is sent over the socket goes through Python's TLS, which keeps the time itself."""
    return isinstance(sock, ssl.SSLSocket | SSLTransport)
