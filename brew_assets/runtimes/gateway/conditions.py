"""What the headers of a request make of an answer: not modified, a part of the body, or gzip.

RFC 9110: a header that cannot be read, or comes twice where it may come once, is as good as none.
"""

import re
from datetime import UTC, datetime, timedelta
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple

_LONGEST_DATE = 64
_RANGE = re.compile(r"bytes=[ \t]*(?:([0-9]{1,19})-([0-9]{1,19})?|-([0-9]{1,19}))[ \t]*", re.IGNORECASE)
_ETAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_WEIGHT = re.compile(r"q=([01](?:\.[0-9]{0,3})?)", re.IGNORECASE)


class Part(NamedTuple):
    """Bytes `start` up to, not including, `stop`."""

    start: int
    stop: int


def http_date(time: datetime) -> str:
    """The time as headers have it, in whole seconds."""
    return _shown(int(time.timestamp()))


@lru_cache(maxsize=4096)
def _shown(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def read_date(text: str) -> datetime | None:
    """The time in a header, None where it is none."""
    if len(text) > _LONGEST_DATE:
        return None
    try:
        found = parsedate_to_datetime(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def only(values: list[str]) -> str:
    """The value of a header that may come once; "" where it did not, or came with two values."""
    return values[0] if len(set(values)) == 1 else ""


def names_etag(if_none_match: str, etag: str) -> bool:
    """Whether an If-None-Match has the ETag, or any."""
    return if_none_match.strip() == "*" or etag in _ETAG.findall(if_none_match)


def is_unchanged(if_modified_since: str, modified: datetime) -> bool:
    """Whether an object of that time is not newer than the header says, by whole seconds."""
    asked = read_date(if_modified_since)
    return asked is not None and modified.replace(microsecond=0) <= asked


def is_settled_since(if_modified_since: str, changed_at: datetime, settle_s: int) -> bool:
    """Whether the header has a time that is more than `settle_s` seconds after the change.

    brew sends the time of its last check. One that was made soon after the change may have been answered by
    a gateway that did not know of it yet, or in the same second: the client would keep the old file for good.
    """
    asked = read_date(if_modified_since)
    return asked is not None and asked - changed_at > timedelta(seconds=settle_s)


def read_range(text: str, size: int) -> Part | None:
    """The part that a Range header asks for; None where it is none, or several: then all is sent.

    Raises:
        ValueError: nothing of the body is in that range.
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, stop = max(0, size - int(suffix)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last is not None else size
        if last is not None and int(last) < start:
            return None
    if start >= stop:
        raise ValueError(f"expected a range of {size} bytes")
    return Part(start, stop)


def may_take_part(if_range: str, *, etag: str, modified: datetime) -> bool:
    """Whether a client's part goes on with the body as it is now: its If-Range names it, or there is none."""
    if not if_range:
        return True
    # Strong comparison: a weak ETag, or another date than the exact one, names no bytes.
    return if_range.strip() == etag or read_date(if_range) == modified.replace(microsecond=0)


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a client takes gzip, by name or by `*`."""
    weights = {}
    for element in accept_encoding.lower().split(","):
        coding, *parameters = (part.strip() for part in element.split(";"))
        weight = next(iter(filter(None, map(_WEIGHT.fullmatch, parameters))), None)
        weights[coding] = float(weight[1]) if weight else 1.0
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0
