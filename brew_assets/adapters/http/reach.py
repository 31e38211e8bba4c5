"""How everything outside is reached: one rule for proxies, trust and addresses, for every client."""

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from brew_assets.adapters.http.dial import Dialer
from brew_assets.adapters.http.proxies import Proxy, goes_past, read_proxy
from brew_assets.adapters.http.trust import Trust
from brew_assets.adapters.http.tunnel import ProxyFailure, open_tunnel, wrapped
from brew_assets.adapters.http.url import Origin
from brew_assets.settings import Secret

CONNECT_TIMEOUT_S = 30.0
_DIALER = Dialer()
_UNSET = Secret("")
_SYSTEM = Trust()
Opening = Callable[[socket.socket], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Proxies as the settings name them, what goes past them, whom to trust. Nothing is read before use.

    A loopback host goes through the proxy too unless `no_proxy` names it, as with curl.
    """

    https_proxy: Secret = _UNSET
    http_proxy: Secret = _UNSET
    all_proxy: Secret = _UNSET
    no_proxy: tuple[str, ...] = ()
    trust: Trust = _SYSTEM
    dialer: Dialer = field(default=_DIALER, compare=False, repr=False)

    def trusting(self, setting: str, path: str) -> "Reach":
        """The same, with one more file of certificates, which `setting` names."""
        return replace(self, trust=replace(self.trust, files=(*self.trust.files, (setting, path))))

    def proxy_for(self, origin: Origin) -> Proxy | None:
        """The proxy that leads to this server, None where it is reached without.

        Raises:
            SettingsInvalid: the setting names no proxy.
        """
        setting, value = self._setting_for(origin.scheme)
        if not value or goes_past(self.no_proxy, origin.host, origin.port):
            return None
        return read_proxy(setting, value)

    def proxies(self) -> tuple[Proxy, ...]:
        """All that the settings name.

        Raises:
            SettingsInvalid: one names no proxy.
        """
        named = (
            ("HTTPS_PROXY", self.https_proxy),
            ("HTTP_PROXY", self.http_proxy),
            ("ALL_PROXY", self.all_proxy),
        )
        return tuple(read_proxy(setting, value) for setting, value in named if value)

    def _setting_for(self, scheme: str) -> tuple[str, Secret]:
        setting, value = (
            ("HTTPS_PROXY", self.https_proxy) if scheme == "https" else ("HTTP_PROXY", self.http_proxy)
        )
        return (setting, value) if value or not self.all_proxy else ("ALL_PROXY", self.all_proxy)

    def way_to(self, origin: Origin) -> str:
        """In words, how the server is reached: for errors."""
        proxy = self.proxy_for(origin)
        if proxy is not None:
            return f"through the proxy {proxy} ({proxy.setting})"
        setting, value = self._setting_for(origin.scheme)
        return f"past the proxy of {setting} (NO_PROXY)" if value else f"no proxy is set ({setting})"

    def context(self) -> ssl.SSLContext:
        """The TLS context of this process.

        Raises:
            SettingsInvalid: a file or folder of certificates that is named has none.
        """
        return self.trust.context()

    def aws_context(self) -> ssl.SSLContext:
        """One of their own for AWS's clients: urllib3 sets what it offers anew with each connection.

        Raises:
            SettingsInvalid: a file or folder of certificates that is named has none.
        """
        return self.trust.context(user="aws")

    def ca_file(self) -> str:
        """The same certificates as a file, which is gone when the process ends.

        Raises:
            SettingsInvalid: a file or folder of certificates that is named has none.
        """
        return self.trust.file()

    def connect(
        self,
        origin: Origin,
        *,
        timeout_s: float = CONNECT_TIMEOUT_S,
        interrupted: Callable[[], bool] = lambda: False,
        opening: Opening = lambda _: None,
    ) -> socket.socket:
        """A connection to the server, for https not encrypted yet; for plain http it may be one to its proxy.

        `opening` gets the socket as soon as there is one, so that somebody else can break it off.

        Raises:
            OSError: it cannot be made.
            ProxyFailure, ProxyRefused: that is the proxy's doing.
            SettingsInvalid: the setting names no proxy.
        """
        proxy = self.proxy_for(origin)
        if proxy is None:
            sock = self._directly(origin, timeout_s, interrupted)
            opening(sock)
            return sock
        sock = self._to_proxy(proxy, timeout_s, interrupted, opening)
        if origin.scheme == "https":
            try:
                host = f"[{origin.host}]" if ":" in origin.host else origin.host
                open_tunnel(sock, proxy, f"{host}:{origin.port}", timeout_s=timeout_s)
            except BaseException:
                sock.close()
                raise
        return sock

    def _directly(self, origin: Origin, timeout_s: float, interrupted: Callable[[], bool]) -> socket.socket:
        try:
            return self.dialer.connect(origin.host, origin.port, timeout_s=timeout_s, interrupted=interrupted)
        except ConnectionAbortedError:
            raise
        except OSError as exc:
            if origin.is_loopback:
                raise
            # Of the same class: what was found decides what becomes of it.
            text, way = exc.strerror or str(exc), self.way_to(origin)
            facts = (f"{text}; {way}",) if exc.errno is None else (exc.errno, f"{text}; {way}")
            raise type(exc)(*facts) from exc

    def _to_proxy(
        self, proxy: Proxy, timeout_s: float, interrupted: Callable[[], bool], opening: Opening
    ) -> socket.socket:
        try:
            sock = self.dialer.connect(proxy.host, proxy.port, timeout_s=timeout_s, interrupted=interrupted)
        except ConnectionAbortedError:
            raise
        except OSError as exc:
            raise ProxyFailure(proxy, f"cannot be reached: {exc}; check {proxy.setting}") from exc
        try:
            opening(sock)
            if proxy.scheme == "https":
                return wrapped(sock, self.context(), proxy.host)
        except OSError as exc:
            sock.close()
            raise ProxyFailure(proxy, f"does not speak TLS as expected: {exc}") from exc
        except BaseException:
            sock.close()
            raise
        return sock


# No proxy, and the system's certificates.
PLAIN = Reach()
