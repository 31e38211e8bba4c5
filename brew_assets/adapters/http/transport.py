"""httpx's transport by our rule: its pool gets connections from `Reach`."""

import socket
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

from brew_assets.adapters.http.reach import Reach
from brew_assets.adapters.http.tunnel import ASKS_FOR_CREDENTIALS, ProxyFailure, credentials_wanted, wrapped
from brew_assets.adapters.http.url import Origin


class ReachTransport(httpx.HTTPTransport):
    """Sends requests, without looking into the environment. Used by one request at a time."""

    def __init__(self, reach: Reach) -> None:
        """Reads the trusted certificates.

        Raises:
            SettingsInvalid: a file or folder of certificates that is named has none.
        """
        context = reach.context()
        super().__init__(verify=context, trust_env=False)
        self._reach = reach
        self._backend = _Backend(reach)
        # There is no public way to give the transport another backend.
        self._pool = httpcore.ConnectionPool(ssl_context=context, network_backend=self._backend)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The response.

        Raises:
            ProxyRefused: the proxy lets nothing through.
            httpx.ProxyError: it lets nothing through just now; the text has the facts and no secret.
            httpx.HTTPError: as httpx has it.
        """
        url = request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        origin = Origin(url.scheme, url.host, port)
        self._backend.origin = origin
        proxy = self._reach.proxy_for(origin)
        if proxy is None or url.scheme == "https":
            return super().handle_request(request)
        request.extensions["target"] = f"http://{origin.netloc}".encode() + url.raw_path
        if proxy.authorization:
            request.headers["Proxy-Authorization"] = proxy.authorization.reveal()
        response = super().handle_request(request)
        if response.status_code == ASKS_FOR_CREDENTIALS:
            response.close()
            raise credentials_wanted(proxy)
        return response


class _Backend(httpcore.NetworkBackend):
    """Connections by `Reach`; `origin` is what the next one is for."""

    origin: Origin

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            if timeout is None:
                return _Stream(self._reach.connect(self.origin))
            return _Stream(self._reach.connect(self.origin, timeout_s=timeout))
        except ProxyFailure as exc:
            raise httpcore.ProxyError(str(exc)) from exc
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout(str(exc)) from exc
        except OSError as exc:
            raise httpcore.ConnectError(str(exc)) from exc


class _Stream(httpcore.NetworkStream):
    """A connected socket as httpcore uses one."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            self._sock.settimeout(timeout)
            return self._sock.recv(max_bytes)
        except TimeoutError as exc:
            raise httpcore.ReadTimeout(str(exc)) from exc
        except OSError as exc:
            raise httpcore.ReadError(str(exc)) from exc

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._sock.settimeout(timeout)
            self._sock.sendall(buffer)
        except TimeoutError as exc:
            raise httpcore.WriteTimeout(str(exc)) from exc
        except OSError as exc:
            raise httpcore.WriteError(str(exc)) from exc

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            self._sock.settimeout(timeout)
            return _Stream(wrapped(self._sock, ssl_context, server_hostname or ""))
        except TimeoutError as exc:
            self.close()
            raise httpcore.ConnectTimeout(str(exc)) from exc
        except OSError as exc:
            self.close()
            raise httpcore.ConnectError(str(exc)) from exc

    def get_extra_info(self, info: str) -> Any:
        return self._sock if info == "socket" else None
