"""What a body from outside may cost: its pace, its bytes as they come, its bytes decoded."""

import io
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

# Less than this counts as silence: at this pace 4 MiB take more than an hour. A body of a few hundred KiB is
# whole before it is ever looked at.
LEAST_BYTES_PER_S = 1024
PACE_WINDOW_S = 60.0
_INFLATED_BYTES = 1024 * 1024
# zlib's number for "gzip, with whatever window it names".
_GZIP = 31
# Each is cut off the rest of its piece, which is copied: many would cost the square of their number.
_MOST_MEMBERS = 1000


class SlowBody(TimeoutError):
    """It comes, but at less than LEAST_BYTES_PER_S: nobody can wait for its end."""


class Pace:
    """Watches how fast a body comes, from the moment this is made. Bottles have no such limit."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since = monotonic()
        self._received = 0

    def add(self, received: int) -> None:
        """So many bytes more have come.

        Raises:
            SlowBody: too few for the time that a window, or the silence before them, has taken.
        """
        self._received += received
        self.check()

    def check(self) -> None:
        """The same without further bytes: for who waits for them in another thread.

        Raises:
            SlowBody: as of `add`.
        """
        took_s = self._monotonic() - self._since
        if took_s < PACE_WINDOW_S:
            return
        if self._received < took_s * LEAST_BYTES_PER_S:
            found = f"{self._received} bytes in {took_s:.0f} s"
            raise SlowBody(f"expected at least {LEAST_BYTES_PER_S} bytes/s, found {found}")
        self._since, self._received = self._monotonic(), 0


class BodyRefused(ValueError):
    """It is more than may come, or in an encoding that nobody asked for: asking again will not help."""


class BodyBroken(ValueError):
    """It ends too early, or is not what its head says."""


class BodyLimits(NamedTuple):
    """How many bytes may come, and how many they may be once they are decoded."""

    received: int
    decoded: int


class BodyDecoder:
    """A body as it comes, plain or with one gzip, never more of it in memory than its limits allow.

    Pieces are inflated by at most _INFLATED_BYTES at a time, so that one of a few bytes costs no gigabytes.
    """

    def __init__(self, encodings: Sequence[str], limits: BodyLimits) -> None:
        """`encodings` are those of Content-Encoding.

        Raises:
            BodyRefused: others than at most one gzip.
        """
        known = [name for found in encodings if (name := found.strip().lower()) not in ("", "identity")]
        if known not in ([], ["gzip"], ["x-gzip"]):
            found = ", ".join(known)[:80]
            raise BodyRefused(f"expected Content-Encoding gzip, once, or none, found {found!r}")
        self._is_gzip = bool(known)
        self._limits = limits
        self._received = 0
        self._members = 0
        self._inflater: Any = None
        # It hands its bytes out without a copy.
        self._decoded = io.BytesIO()

    def add(self, piece: bytes) -> None:
        """The next piece as it came.

        Raises:
            BodyRefused: there is more than the limits allow.
            BodyBroken: it is no gzip.
        """
        self._received += len(piece)
        if self._received > self._limits.received:
            raise BodyRefused(f"expected at most {self._limits.received} bytes, found more")
        if not self._is_gzip:
            self._keep(piece)
            return
        try:
            self._inflate(piece)
        except zlib.error as exc:
            raise BodyBroken(f"not gzip: {exc}") from exc

    def _inflate(self, piece: bytes) -> None:
        # Two ways for zlib to keep something back: input that it has not looked at (`unconsumed_tail`), and
        # output that did not fit, of which nothing shows. So it goes on as long as it fills a whole piece,
        # even without input, and each piece is counted before the next is made: a bomb ends at its limit, not
        # in memory. After the end of one member another may follow in the same bytes, as gzip allows.
        while piece or self._inflater is not None:
            if self._inflater is None:
                self._members += 1
                if self._members > _MOST_MEMBERS:
                    raise BodyRefused(f"expected at most {_MOST_MEMBERS} gzip members, found more")
                self._inflater = zlib.decompressobj(_GZIP)
            inflated = self._inflater.decompress(piece, _INFLATED_BYTES)
            self._keep(inflated)
            if self._inflater.eof:
                piece, self._inflater = self._inflater.unused_data, None
            else:
                piece = self._inflater.unconsumed_tail
                # What did not fit waits inside, with or without bytes that were not looked at yet.
                if len(inflated) < _INFLATED_BYTES:
                    return

    def _keep(self, piece: bytes) -> None:
        if self._decoded.tell() + len(piece) > self._limits.decoded:
            raise BodyRefused(f"expected at most {self._limits.decoded} bytes once decoded, found more")
        self._decoded.write(piece)

    def finish(self) -> bytes:
        """The whole body, decoded.

        Raises:
            BodyBroken: it ends in the midst of its gzip.
        """
        if self._inflater is not None:
            raise BodyBroken("the gzip ends too early")
        return self._decoded.getvalue()
