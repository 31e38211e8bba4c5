"""What a registry's answers mean and carry: the one table of statuses and codes, and bodies.

Codes are those of the OCI distribution specification ("Error Codes") and of the registry that it grew out of
(UNAVAILABLE, TAG_INVALID, …), in a body of `{"errors": [{"code": …}]}`. In this order:

1. Too much was asked: code TOOMANYREQUESTS whatever the status, status 429 whatever the code, 503 with a
   Retry-After. All workers wait.
2. A code of the table: the registry says what it found, and a proxy before it may have its own idea of a
   status (404 with UNSUPPORTED is no missing blob, 400 with BLOB_UNKNOWN is one).
3. The status.

Status and code decide, never text: texts are for people, and change.
"""

import re
import zlib
from collections.abc import Callable
from datetime import datetime

import msgspec

from brew_assets.adapters.http.connection import NETWORK_ERRORS, Wire
from brew_assets.adapters.http.response import WireResponse, may_pass
from brew_assets.domain.oci import MAX_INDEX_BYTES
from brew_assets.engine.retry import parse_retry_after
from brew_assets.errors import (
    UNREADABLE,
    BlobNotFound,
    DocumentTooLarge,
    UpstreamBusy,
    UpstreamError,
    UpstreamFailed,
    UpstreamInterrupted,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnauthorized,
)

# Enough for every error document; what is longer is none.
ERROR_BODY_BYTES = 16_384
TOO_MANY = "TOOMANYREQUESTS"
CODES: dict[str, type[UpstreamError]] = {
    TOO_MANY: UpstreamBusy,
    "BLOB_UNKNOWN": BlobNotFound,
    "MANIFEST_BLOB_UNKNOWN": BlobNotFound,
    "MANIFEST_UNKNOWN": BlobNotFound,
    "NAME_UNKNOWN": BlobNotFound,
    "UNAVAILABLE": UpstreamFailed,
    "UNAUTHORIZED": UpstreamUnauthorized,
    "BLOB_UPLOAD_INVALID": UpstreamRefused,
    "BLOB_UPLOAD_UNKNOWN": UpstreamRefused,
    "DENIED": UpstreamRefused,
    "DIGEST_INVALID": UpstreamRefused,
    "MANIFEST_INVALID": UpstreamRefused,
    "MANIFEST_UNVERIFIED": UpstreamRefused,
    "NAME_INVALID": UpstreamRefused,
    "PAGINATION_NUMBER_INVALID": UpstreamRefused,
    "RANGE_INVALID": UpstreamRefused,
    "SIZE_INVALID": UpstreamRefused,
    "TAG_INVALID": UpstreamRefused,
    "UNSUPPORTED": UpstreamRefused,
}
_TOO_MANY_STATUS, _UNAVAILABLE_STATUS = 429, 503
_GONE = frozenset({404, 410})
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


class _Error(msgspec.Struct):
    code: object = ""


class _Errors(msgspec.Struct):
    errors: list[_Error]


_errors_decoder = msgspec.json.Decoder(_Errors)


def answer_error(
    subject: str, *, status: int, body: bytes = b"", retry_after: str | None = None, now: datetime
) -> UpstreamError:
    """The error of an answer that has not what was asked for; its message names subject, status and code."""
    code = code_of(body)
    kind = _kind(status, code, named_wait=bool(retry_after))
    message = f"{subject}: {status}{f' {code}' if code else ''} from upstream"
    if kind is UpstreamBusy:
        text = body.decode("utf-8", "replace")
        return UpstreamBusy(message, wait_s=parse_retry_after(retry_after, now=now, body=text))
    return kind(message)


def code_of(body: bytes) -> str:
    """The first code of the table in the body, else the first one at all; empty when there is none."""
    try:
        errors = _errors_decoder.decode(body).errors
    except UNREADABLE:
        return ""
    codes = [error.code for error in errors if isinstance(error.code, str) and _CODE.fullmatch(error.code)]
    return next((code for code in codes if code in CODES), codes[0] if codes else "")


def _kind(status: int, code: str, *, named_wait: bool) -> type[UpstreamError]:
    if status == _TOO_MANY_STATUS or (status == _UNAVAILABLE_STATUS and named_wait):
        return UpstreamBusy
    if code in CODES:
        return CODES[code]
    if status in _GONE:
        return BlobNotFound
    return UpstreamFailed if may_pass(status) else UpstreamRefused


_NO_CODING = ("", "identity")
_GZIP = (["gzip"], ["x-gzip"])
_GZIP_BEGINS = b"\x1f\x8b"


class GhcrBlob:
    """The body of a blob, on a connection that is the calling thread's until the body is closed."""

    def __init__(
        self,
        wire: Wire,
        response: WireResponse,
        *,
        done: Callable[[], None],
        name: str,
        start: int,
        total: int | None,
    ) -> None:
        self._wire = wire
        self._response = response
        self._done = done
        self._name = name
        self.start = start
        self.total = total

    def readinto(self, view: memoryview) -> int:
        """How many bytes were put into the view; 0 at the end.

        Raises:
            UpstreamInterrupted: the body broke off or timed out.
        """
        try:
            return self._response.readinto(view)
        except NETWORK_ERRORS as exc:
            raise interrupted(self._name, exc, during="the body broke off") from exc

    def close(self) -> None:
        """Keeps the connection when the body was read to its end, else closes it."""
        self._wire.finish()
        self._done()


def unpacked(data: bytes, encoding: str, path: str) -> bytes:
    """The document, out of the one gzip that a proxy may have put around it though nobody asked for one.

    Raises:
        DocumentTooLarge: more bytes than a document may have.
        UpstreamRefused: more than one coding, or another one.
    """
    codings = [coding for part in encoding.split(",") if (coding := part.strip().lower()) not in _NO_CODING]
    if not codings:
        return data
    if codings not in _GZIP:
        raise UpstreamRefused(f"{path}: expected no Content-Encoding or one gzip, found {encoding[:80]!a}")
    if not data.startswith(_GZIP_BEGINS):
        return data  # only marked: it was unpacked on the way
    try:
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        document = unpacker.decompress(data, MAX_INDEX_BYTES + 1)
    except zlib.error as exc:
        raise UpstreamRefused(f"{path}: expected a gzip, found: {exc}") from exc
    if len(document) > MAX_INDEX_BYTES:
        raise DocumentTooLarge(f"{path}: expected at most {MAX_INDEX_BYTES} bytes, found more")
    if not unpacker.eof:
        raise UpstreamRefused(f"{path}: expected at most {MAX_INDEX_BYTES} bytes in a whole gzip")
    return document


def interrupted(subject: str, exc: BaseException, *, during: str, place: str = "") -> UpstreamInterrupted:
    """Our error for what the network did to the subject `during` something, at a host if that is said."""
    if isinstance(exc, TimeoutError):
        return UpstreamTimeout(f"{subject}: {exc}{f' at {place}' if place else ''}")
    return UpstreamInterrupted(f"{subject}: {during}: {describe(exc)}")


def describe(exc: BaseException) -> str:
    """The class and the text of an error of the network."""
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
