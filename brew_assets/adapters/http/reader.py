"""What comes over one connection, and how long it may take to come.

Silence is limited by the kernel. Bytes that trickle are no silence to it, so what comes is looked at too: a
head has to be whole soon after its first byte, and a body has to keep a pace unless its reader says that it
need not.
"""

import io
import socket
import ssl
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from urllib3.util.ssltransport import SSLTransport

from brew_assets.adapters.http.body_limits import LEAST_BYTES_PER_S, PACE_WINDOW_S
from brew_assets.adapters.http.dial import out_of_time

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# A small bottle comes with its head in one call.
READ_AHEAD_BYTES = 65536
# From the first byte of a head to its last.
HEAD_TIME_S = 60.0


class Watch:
    """Ends what trickles. Reused by all responses of a connection; asks the time once per receive."""

    def __init__(self, *, head_s: float, monotonic: Callable[[], float]) -> None:
        self._head_s = head_s
        self._monotonic = monotonic
        self._began: float | None = None
        self._bytes = 0

    def begin(self) -> None:
        """The next bytes are the first ones."""
        self._began, self._bytes = None, 0

    def saw_head(self, _: int) -> None:
        """Returns while a head, a trailer or a rest that is thrown away may still be on its way.

        Raises:
            TimeoutError: it takes too long.
        """
        now = self._monotonic()
        if self._began is None:
            self._began = now
        elif now - self._began > self._head_s:
            raise TimeoutError(f"the head was not whole {self._head_s:g} s after its first byte")

    def saw_body(self, count: int) -> None:
        """Returns while the body keeps the pace.

        Raises:
            TimeoutError: fewer bytes than LEAST_BYTES_PER_S came in a window of PACE_WINDOW_S.
        """
        now = self._monotonic()
        if self._began is None:
            self._began = now
        self._bytes += count
        took_s = now - self._began
        if took_s >= PACE_WINDOW_S:
            if self._bytes < LEAST_BYTES_PER_S * took_s:
                raise TimeoutError(f"{self._bytes} bytes in {took_s:.0f} s count as silence")
            self._began, self._bytes = now, 0


class Incoming(io.RawIOBase):
    """A socket whose time-out shows as TimeoutError, kept by the kernel (see limit_silence)."""

    is_broken = False

    def __init__(self, sock: socket.socket, watch: Watch) -> None:
        self._sock = sock
        self._watch = watch
        self._saw: Callable[[int], None] | None = None
        self._saw_head, self._saw_body = watch.saw_head, watch.saw_body
        # TLS knows no flags.
        self._body_flags = 0 if is_tls(sock) else socket.MSG_WAITALL

    def watch_head(self) -> None:
        """What comes next has to be whole soon."""
        self._watch.begin()
        self._saw = self._saw_head

    def watch_body(self) -> None:
        """What comes next has to keep a pace."""
        self._watch.begin()
        self._saw = self._saw_body

    def watch_nothing(self) -> None:
        """What comes next may trickle; silence is still limited."""
        self._saw = None

    def readable(self) -> bool:
        """True: what io asks before it reads."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """How many bytes have come into the buffer; 0 at the end.

        Raises:
            TimeoutError: nothing came in time, or too little.
            OSError: the connection breaks.
        """
        try:
            # More than the read-ahead is asked for only within a body of known length: then one call that
            # waits for all of it spares the others, each of which would hand the interpreter over. Where
            # the pace counts, every arrival has to be seen.
            size = memoryview(buffer).nbytes
            flags = self._body_flags if size > READ_AHEAD_BYTES and self._saw is None else 0
            try:
                count = self._sock.recv_into(buffer, size, flags) if flags else self._sock.recv_into(buffer)
            except (BlockingIOError, TimeoutError) as exc:
                raise silence(self._sock) from exc
            if self._saw is not None:
                self._saw(count)
            return count
        except OSError:
            # Nothing may be read from here again: it would only be waited for once more.
            self.is_broken = True
            raise


class Reader(io.BufferedReader):
    """The read-ahead of one connection, shared by its responses: a response cannot close it.

    Making one anew for every response costs more than reading a small one.
    """

    raw: Incoming

    def makefile(self, mode: str) -> "Reader":
        """What http.client asks of a socket."""
        return self

    def close(self) -> None:
        """A response is at its end; the connection is not."""


def is_tls(sock: socket.socket) -> bool:
    """Whether what is sent over the socket goes through Python's TLS, which keeps the time itself."""
    return isinstance(sock, ssl.SSLSocket | SSLTransport)


def silence(sock: socket.socket) -> TimeoutError:
    """What to raise when nothing came or went for as long as `limit_silence` said."""
    timeout_s = sock.gettimeout()
    if timeout_s is None:
        interval = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.calcsize("@ll"))
        seconds, microseconds = struct.unpack("@ll", interval)
        timeout_s = seconds + microseconds / 1_000_000
    return out_of_time(timeout_s)


def limit_silence(sock: socket.socket, timeout_s: float) -> None:
    """No send or receive waits longer than `timeout_s`.

    Without TLS the kernel keeps the time: Python's own way polls before every call, which doubles the
    times that a worker hands the interpreter over. A time-out then shows as BlockingIOError.
    """
    if is_tls(sock):
        sock.settimeout(timeout_s)
        return
    sock.settimeout(None)
    interval = struct.pack("@ll", int(timeout_s), int(timeout_s % 1 * 1_000_000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)
