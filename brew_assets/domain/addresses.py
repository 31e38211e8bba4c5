"""Addresses as they may be shown: without user, password, query and fragment: each may be a secret."""

import re
from urllib.parse import unquote, urlsplit

_SCHEME = re.compile(r"\s*([a-zA-Z][a-zA-Z0-9+.-]*://)?")
_HOST = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^\s:\[\]\\]*)(:\d{0,5})?")
_HIDDEN = "…"
_IN_TEXT = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://\S*")


def shown_url(url: str) -> str:
    """Scheme, host, port and path of an address; of one that cannot be read no more than is safe.

    A password may hold what ends an authority for a parser ("/", "?", "#"). Where it may be so, only the
    scheme is shown.
    """
    match = _SCHEME.match(url)
    scheme = (match[1] or "") if match else ""
    rest = url.strip()[len(scheme) :]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = re.split(r"[?#]", rest[len(authority) :], maxsplit=1)[0]
    host = authority.rpartition("@")[2]
    ambiguous = "@" in rest[len(authority) :] and (":" in authority or not scheme)
    if ambiguous or not _HOST.fullmatch(host):
        return f"{scheme}{_HIDDEN}"
    return f"{scheme}{host}{path}"


def with_shown_urls(text: str) -> str:
    """A library's sentence; the addresses in it, which have no spaces, are as `shown_url` has them."""
    return _IN_TEXT.sub(lambda found: shown_url(found[0]), text)


def names_a_secret(text: str, url: str) -> bool:
    """Whether the text has a part of the address in it that `shown_url` hides."""
    return any(part in text for part in _hidden_parts(url))


def _hidden_parts(url: str) -> set[str]:
    try:
        parts = urlsplit(url.strip())
        user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    except ValueError:
        return {""}  # in every text
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        return {""}
    found = {user, password, parts.query, parts.fragment}
    return {form for part in found if part for form in (part, unquote(part))}
