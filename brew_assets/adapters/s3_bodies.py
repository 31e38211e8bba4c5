"""The bodies of an S3 server's answers, each with an end. Its pace is the wire's to watch."""

import hashlib
import http.client
import io
from typing import NamedTuple

from brew_assets.adapters.wire_response import WireResponse
from brew_assets.errors import ObjectRefused

# 1,000 keys of 1,024 bytes, each byte escaped to three, with 500 bytes of facts beside each, are under 4 MB;
# 1,000 refusals of a deletion that name their keys are less.
ANSWER_BYTES = 8 * 1024**2
# The registry takes no layer over 10 GB.
BOTTLE_BYTES = 16 * 1024**3

_PIECE_BYTES = 65536
_HASH_BYTES = 1024**2
# What leaves bytes as they are. Some servers keep the name of the signed upload's framing beside the object.
_PLAIN = frozenset({"", "identity", "aws-chunked"})


class Hashed(NamedTuple):
    """Digest and size of a body."""

    digest: str
    size: int


def whole_body(
    subject: str,
    response: WireResponse,
    *,
    most: int,
) -> bytes:
    """The body, as it was sent.

    Raises:
        ObjectRefused: it is, or says that it is, of more than `most` bytes, or it comes compressed.
        OSError, http.client.HTTPException: it breaks off, or comes so slowly that it is as good as silent.
    """
    _check_coding(subject, response)
    expected = _announced(subject, response, most=most)
    body, received = io.BytesIO(), 0
    while expected is None or received < expected:
        piece = response.read1(_PIECE_BYTES if expected is None else min(_PIECE_BYTES, expected - received))
        if not piece:
            break
        received += len(piece)
        if received > most:
            raise _too_large(subject, most, f"more than {most:,}")
        body.write(piece)
    _check_end(response, received, expected)
    return body.getvalue()


def hashed_body(subject: str, response: WireResponse) -> Hashed:
    """Digest and size of the body as it was sent; it is in memory piece by piece.

    Raises:
        ObjectRefused: it is larger than any bottle.
        OSError, http.client.HTTPException: it breaks off.
    """
    expected = _announced(subject, response, most=BOTTLE_BYTES)
    digest, size = hashlib.sha256(), 0
    buffer = memoryview(bytearray(_HASH_BYTES))
    while count := response.readinto(buffer):
        digest.update(buffer[:count])
        size += count
        if size > BOTTLE_BYTES:
            raise _too_large(subject, BOTTLE_BYTES, f"more than {BOTTLE_BYTES:,}")
    _check_end(response, size, expected)
    return Hashed(digest.hexdigest(), size)


def first_bytes(response: WireResponse, length: int) -> bytes:
    """The beginning of the body, also where the server ignored that only this was asked for.

    Raises:
        OSError, http.client.HTTPException: it breaks off.
    """
    return response.read(length)


def _check_coding(subject: str, response: WireResponse) -> None:
    """Returns when the body is what was stored.

    Nobody asked for a compressed one, and a small one may grow beyond every limit.
    """
    coding = response.fields.get("content-encoding", "").lower()
    if not {part.strip() for part in coding.split(",")} <= _PLAIN:
        raise ObjectRefused(
            f"{subject}: expected the bytes as they were stored, found Content-Encoding {coding[:80]!r}; "
            "store it without one, and let no proxy compress what the bucket answers",
            status=response.status,
        )


def _announced(subject: str, response: WireResponse, *, most: int) -> int | None:
    """The announced size, None where there is none."""
    expected = response.content_length
    if expected is not None and expected > most:
        raise _too_large(subject, most, f"{expected:,}")
    return expected


def _too_large(subject: str, most: int, found: str) -> ObjectRefused:
    return ObjectRefused(f"{subject}: expected at most {most:,} bytes, found {found}")


def _check_end(response: WireResponse, received: int, expected: int | None) -> None:
    """Returns after a whole body; the connection may be kept."""
    if expected is None:
        return
    if received != expected:
        raise http.client.IncompleteRead(b"", expected - received)
    response.length = 0
