"""Proxies as the environment names them, and the one rule for what goes past them."""

import base64
import functools
import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import unquote

from brew_assets.domain.addresses import shown_url
from brew_assets.errors import SettingsInvalid
from brew_assets.settings import Secret

EXPECTED = "http://[user:password@]host:port"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PORTS = {"http": 80, "https": 443}
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/?#@\[\]\\]+)(?::(\d{1,5}))?/?")
_ENTRY = re.compile(r"\[(?P<v6>[^\]]+)\](?::(?P<p6>\d+))?|(?P<host>[^:]+)(?::(?P<port>\d+))?")

_NONE = Secret("")
# The last are AWS's: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
_OF_THIS_LINK = ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32")
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Where a proxy is, which variable names it, and what it is shown to be let through."""

    setting: str
    scheme: str
    host: str
    port: int
    authorization: Secret = _NONE

    @property
    def netloc(self) -> str:
        """host:port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


@functools.lru_cache(maxsize=16)
def read_proxy(setting: str, value: Secret) -> Proxy:
    """The proxy that the setting's value names: with or without scheme, user and password, a last slash.

    Raises:
        SettingsInvalid: it is none, or speaks another protocol than HTTP.
    """
    text = value.reveal().strip()
    match = _SCHEME.match(text)
    scheme = match[1].lower() if match else "http"
    rest = text[match.end() :] if match else text
    if scheme not in _PORTS:
        expected = f"{EXPECTED} (an HTTP proxy: nothing else is spoken here, SOCKS neither)"
        raise SettingsInvalid(name=setting, expected=expected, found=shown_url(f"{scheme}://{rest}"))
    # A password may hold what elsewhere ends an authority, "@" among it.
    user, _, place = rest.rpartition("@")
    found = _HOST_PORT.fullmatch(place)
    port = int(found[2] or _PORTS[scheme]) if found else 0
    if found is None or not 0 < port < 65536:
        shown = shown_url(f"{scheme}://{place}") if "@" not in place else "…"
        raise SettingsInvalid(name=setting, expected=EXPECTED, found=repr(shown[:80]))
    return Proxy(
        setting=setting,
        scheme=scheme,
        host=found[1].strip("[]"),
        port=port,
        authorization=Secret(_basic(user)),
    )


def _basic(user_and_password: str) -> str:
    if not user_and_password:
        return ""
    user, _, password = user_and_password.partition(":")
    pair = f"{unquote(user)}:{unquote(password)}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


@functools.lru_cache(maxsize=512)
def goes_past(entries: tuple[str, ...], host: str, port: int) -> bool:
    """Whether NO_PROXY names the host.

    A name stands for itself and for all below it, with or without a dot (or "*.") before it. An entry with a
    port holds for that port alone. Addresses and networks hold for hosts that are written as addresses:
    nothing is looked up, since in a closed network only the proxy can. What is on this link alone, such as
    the addresses at which AWS gives out credentials, no proxy leads to.
    """
    host = _plain(host)
    # curl takes spaces between entries too.
    parts = (part for entry in (*entries, *_OF_THIS_LINK) for part in entry.split())
    return any(_names(part, host, port) for part in parts)


def _names(entry: str, host: str, port: int) -> bool:
    entry = entry.lower()
    if entry == "*":
        return True
    if (network := _network(entry)) is not None:
        return _is_in(host, network)
    match = _ENTRY.fullmatch(entry)
    if match is None or ((wanted := match["p6"] or match["port"]) and int(wanted) != port):
        return False
    if (network := _network(match["v6"] or match["host"])) is not None:
        return _is_in(host, network)
    name = _plain((match["host"] or "").removeprefix("*")).removeprefix(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _is_in(host: str, network: _Network) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address in network


def _plain(host: str) -> str:
    return host.strip("[]").lower().removesuffix(".")
