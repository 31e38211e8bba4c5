"""One small answer over HTTP, with bounds to everything that comes: head, body, time."""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from brew_assets.adapters.http.body_limits import (
    PACE_WINDOW_S,
    BodyDecoder,
    BodyLimits,
    BodyRefused,
    Pace,
    SlowBody,
)
from brew_assets.engine.clock import until_stopped
from brew_assets.engine.ports import Clock, StopSignal

if TYPE_CHECKING:
    import httpx

# With everything that comes before it: answers of the kind 1xx, of which there may be any number.
MOST_HEAD_BYTES = 256 * 1024
# What frames a body in chunks may be so much, and as much as the body itself: chunks of a byte, or with long
# extensions, would go on for ever and cost the processor more than all the rest.
MOST_FRAMING_BYTES = 1024 * 1024
_OK = 200


class Answer(NamedTuple):
    """Status, headers, and the body of a 200; of any other answer it is not read."""

    status: int
    headers: "httpx.Headers"
    body: bytes


def get(
    client: "httpx.Client",
    url: str,
    headers: dict[str, str],
    *,
    limits: BodyLimits,
    silence_s: float,
    clock: Clock,
    stop: StopSignal | None,
) -> Answer:
    """The answer; the client is closed afterwards. Redirects are the client's matter: it should follow none.

    Raises:
        PlanningStopped: the stop signal came first.
        BodyRefused: it is larger than the limits, or encoded otherwise than with one gzip.
        BodyBroken, SlowBody, httpx.HTTPError and whatever else httpx lets out: it may be whole another time.
    """
    connection = Connection(clock.monotonic, head_s=max(PACE_WINDOW_S, silence_s))

    def fetch() -> Answer:
        extensions = {"trace": connection.trace}
        with client, client.stream("GET", url, headers=headers, extensions=extensions) as response:
            if response.status_code != _OK:
                return Answer(response.status_code, response.headers, b"")
            encodings = response.headers.get_list("content-encoding", split_commas=True)
            body = BodyDecoder(encodings, limits)
            connection.head_is_read()
            for piece in response.iter_raw():
                connection.brought(len(piece))
                body.add(piece)
            return Answer(_OK, response.headers, body.finish())

    try:
        return until_stopped(fetch, stop, check=connection.check)
    finally:
        connection.give_up()


class Connection:
    """What comes over the connection of one request, as seen by who waits for it.

    httpcore reads as long as a head is not whole, and past any number of 1xx; httpx bounds each single wait
    and no more. The streams that its trace hands out are counted here, and the socket is shut down from
    outside.
    """

    def __init__(self, monotonic: Callable[[], float], *, head_s: float) -> None:
        self._monotonic = monotonic
        self._head_s = head_s
        self._began = monotonic()
        self._received = self._of_body = self._counted = 0
        self._has_head = False
        self._pace: Pace | None = None
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_given_up = False

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Called by httpcore: keeps hold of the connection."""
        if event.endswith("connect_tcp.complete"):
            # A copy: TLS takes the socket away from the stream.
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket").dup()
            if self._is_given_up:
                self.give_up()
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._count_reads_of(info["return_value"])

    def _count_reads_of(self, stream: Any) -> None:
        read = stream.read

        def counting(max_bytes: int, timeout: float | None = None) -> bytes:
            data: bytes = read(max_bytes, timeout)
            self._received += len(data)
            if not self._has_head and self._received > MOST_HEAD_BYTES:
                raise BodyRefused(f"expected a head of at most {MOST_HEAD_BYTES} bytes, found more")
            if self._received - MOST_HEAD_BYTES - MOST_FRAMING_BYTES > 2 * self._of_body:
                raise BodyRefused(f"expected chunks, found more around them than in {self._of_body} bytes")
            return data

        stream.read = counting

    def head_is_read(self) -> None:
        """From now on the pace counts."""
        self._has_head = True

    def brought(self, count: int) -> None:
        """So many bytes more of the body have come: the pace is theirs, not that of what frames them."""
        self._of_body += count

    def check(self) -> None:
        """Returns while it is worth to wait.

        Raises:
            SlowBody: the head takes too long, or the body comes too slowly.
        """
        if not self._has_head:
            took_s = self._monotonic() - self._began
            if took_s >= self._head_s:
                raise SlowBody(f"expected an answer within {self._head_s:.0f} s, found no whole head")
            return
        if self._pace is None:
            self._pace = Pace(self._monotonic)
        of_body = self._of_body
        fresh, self._counted = of_body - self._counted, of_body
        self._pace.add(fresh)

    def give_up(self) -> None:
        """Whoever still waits for the connection does so no longer."""
        with self._lock:
            self._is_given_up = True
            connection, self._socket = self._socket, None
        if connection is not None:
            with contextlib.suppress(OSError), connection:
                connection.shutdown(socket.SHUT_RDWR)
