"""Where a server is: scheme, host and port, and what an address asks of it."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from brew_assets.domain.addresses import shown_url

# What may stand in a request line.
TARGET = re.compile(r"[\x21-\x7e]+")


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
        ValueError: it is none, or holds characters that do not belong into a request line.
    """
    found = f"expected an absolute http(s) address, found {shown_url(url)[:200]!r}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its text has what may be a part of a password
        raise ValueError(found) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not TARGET.fullmatch(url):
        raise ValueError(found)
    port = port or (443 if parts.scheme == "https" else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Origin(parts.scheme, parts.hostname, port), target
