"""What a registry's answers carry: the body of a blob, and documents out of the coding of a proxy."""

import zlib
from collections.abc import Callable

from brew_assets.adapters.http.connection import NETWORK_ERRORS, Wire
from brew_assets.adapters.http.response import WireResponse
from brew_assets.domain.oci import MAX_INDEX_BYTES
from brew_assets.errors import UpstreamInterrupted, UpstreamRefused, UpstreamTimeout

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
            raise interrupted(f"{self._name}: the body broke off", exc) from exc

    def close(self) -> None:
        """Keeps the connection when the body was read to its end, else closes it."""
        self._wire.finish()
        self._done()


def unpacked(data: bytes, encoding: str, path: str) -> bytes:
    """The document, out of the one gzip that a proxy may have put around it though nobody asked for one.

    Raises:
        UpstreamRefused: more than one coding, another one, or more bytes than a document may have.
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
    if len(document) > MAX_INDEX_BYTES or not unpacker.eof:
        raise UpstreamRefused(f"{path}: expected at most {MAX_INDEX_BYTES} bytes in a whole gzip")
    return document


def interrupted(what: str, exc: BaseException) -> UpstreamInterrupted:
    """Our error for what the network did meanwhile."""
    kind = UpstreamTimeout if isinstance(exc, TimeoutError) else UpstreamInterrupted
    return kind(f"{what}: {describe(exc)}")


def describe(exc: BaseException) -> str:
    """The class and the text of an error of the network."""
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
