"""Where a server is: scheme, host and port, and what an address asks of it."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from brew_assets.domain.addresses import shown_url

# What may stand in a request line.
TARGET = re.compile(r"[\x21-\x7e]+")


class AddressInvalid(ValueError):
    """An address that somebody wrote is none, or none that may stand there; `found` shows no password."""

    def __init__(self, *, expected: str, url: str) -> None:
        self.expected = expected
        self.found = repr(shown_url(url)[:200])
        super().__init__(f"expected {expected}, found {self.found}")


class Origin(NamedTuple):
    """Scheme, host and port of a server."""

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        """host[:port], the port only when it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine."""
        return self.host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", self.host) is not None


def split_url(url: str) -> tuple[Origin, str]:
    """Origin and request target of an absolute http(s) address.

    Raises:
        AddressInvalid: it is none, or holds characters that do not belong into a request line.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        parts, port = urlsplit(""), 0
    # Outside the handler: the text of its error has what may be a part of a password.
    if parts.scheme not in ("http", "https") or not parts.hostname or not TARGET.fullmatch(url):
        raise AddressInvalid(expected="an absolute http(s) address", url=url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Origin(parts.scheme, parts.hostname, port), target
