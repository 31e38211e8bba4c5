"""The bodies of a bucket's objects as boto3 hands them out, each with an end."""

import hashlib
import io
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from brew_assets.adapters.aws.answers import MOST_BYTES
from brew_assets.adapters.http.body_limits import Pace
from brew_assets.errors import ObjectRefused

# Of a page of a listing, the result of a deletion or a copy.
ANSWER_BYTES = MOST_BYTES
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
    answer: Mapping[str, Any],
    *,
    most: int,
    monotonic: Callable[[], float],
) -> bytes:
    """The body of what get_object answered, as it was sent.

    Raises:
        ObjectRefused: it is, or says that it is, of more than `most` bytes, or it comes compressed.
        SlowBody: it comes so slowly that it is as good as silent.
        Exception: botocore's and urllib3's for one that breaks off.
    """
    _check_coding(subject, answer)
    _check_size(subject, answer, most=most)
    stream, body, pace = answer["Body"], io.BytesIO(), Pace(monotonic)
    try:
        while piece := stream.read(_PIECE_BYTES):
            pace.add(len(piece))
            if body.write(piece) and body.tell() > most:
                raise _too_large(subject, most, f"more than {most:,}")
    except BaseException:
        stream.close()
        raise
    return body.getvalue()


def hashed_body(subject: str, answer: Mapping[str, Any]) -> Hashed:
    """Digest and size of the body as it was sent; it is in memory piece by piece.

    Raises:
        ObjectRefused: it is larger than any bottle.
        Exception: botocore's and urllib3's for one that breaks off.
    """
    _check_size(subject, answer, most=BOTTLE_BYTES)
    stream, digest, size = answer["Body"], hashlib.sha256(), 0
    try:
        while piece := stream.read(_HASH_BYTES):
            digest.update(piece)
            size += len(piece)
            if size > BOTTLE_BYTES:
                raise _too_large(subject, BOTTLE_BYTES, f"more than {BOTTLE_BYTES:,}")
    except BaseException:
        stream.close()
        raise
    return Hashed(digest.hexdigest(), size)


def first_bytes(answer: Mapping[str, Any], length: int) -> bytes:
    """The beginning of the body, also where the server ignored that only this was asked for.

    Raises:
        Exception: botocore's and urllib3's for one that breaks off.
    """
    stream, found = answer["Body"], b""
    try:
        while len(found) < length and (piece := stream.read(length - len(found))):
            found += piece
    finally:
        stream.close()
    return found


def _check_coding(subject: str, answer: Mapping[str, Any]) -> None:
    """Returns when the body is what was stored.

    Nobody asked for a compressed one, and a small one may grow beyond every limit.
    """
    coding = str(answer.get("ContentEncoding", ""))
    if not {part.strip() for part in coding.lower().split(",")} <= _PLAIN:
        answer["Body"].close()
        raise ObjectRefused(
            f"{subject}: expected the bytes as they were stored, found Content-Encoding {coding[:80]!r}; "
            "store it without one, and let no proxy compress what the bucket answers",
            status=200,
        )


def _check_size(subject: str, answer: Mapping[str, Any], *, most: int) -> None:
    """Returns unless the announced size is more."""
    announced = answer.get("ContentLength")
    if announced is not None and announced > most:
        answer["Body"].close()
        raise _too_large(subject, most, f"{announced:,}")


def _too_large(subject: str, most: int, found: str) -> ObjectRefused:
    return ObjectRefused(f"{subject}: expected at most {most:,} bytes, found {found}")
