"""A relay on loopback that puts a distance between a client and a server, in a process of its own.

Prints its port on standard output and serves until standard input ends. Each direction is late by half of the
time there and back; a new connection's first bytes are late by one time there and back more, as its handshake
would be. Nothing limits how much is under way, and nothing is lost: the distance costs time, not bandwidth.
"""

import argparse
import asyncio
import select
import selectors
import sys
from collections import deque
from collections.abc import Callable
from typing import Protocol

from benchmarks.child import Child

# What a server does not take is no longer read once so much of it waits.
_MOST_WAITING_BYTES = 16 << 20


def _selector() -> selectors.BaseSelector:
    """One that wakes to the microsecond: epoll, and uvloop too, round up to the next millisecond."""
    if sys.platform != "linux":
        return selectors.DefaultSelector()

    class Precise(selectors.EpollSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is not None and timeout > 0:
                # The one descriptor that stands for all of them: select() could not take a thousand.
                select.select([self.fileno()], [], [], timeout)
                timeout = 0
            return super().select(timeout)

    return Precise()


class Timers(Protocol):
    """The part of an event loop that the delay needs."""

    def time(self) -> float:
        """Seconds that never go back."""

    def call_at(self, when: float, callback: Callable[[], object]) -> object:
        """The callback is called at that time."""


class Delay:
    """One direction: what is put in comes out in the same order, each piece `late_s` after it was put in.

    Nothing comes out earlier than `late_s` after `opens_at`. The end of the stream is None, and late as well.
    """

    def __init__(
        self, timers: Timers, deliver: Callable[[bytes | None], object], *, late_s: float, opens_at: float
    ) -> None:
        self._timers = timers
        self._deliver = deliver
        self._late_s = late_s
        self._opens_at = opens_at
        self._waiting: deque[tuple[float, bytes | None]] = deque()

    def put(self, piece: bytes | None) -> None:
        """The piece is on its way."""
        due = max(self._timers.time(), self._opens_at) + self._late_s
        if not self._waiting:
            self._timers.call_at(due, self._release)
        self._waiting.append((due, piece))

    def _release(self) -> None:
        now = self._timers.time()
        while self._waiting and self._waiting[0][0] <= now:
            self._deliver(self._waiting.popleft()[1])
        if self._waiting:
            self._timers.call_at(self._waiting[0][0], self._release)


class _End(asyncio.Protocol):
    """One of the two ends of a connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self.delay: Delay | None = None
        self._early: list[bytes | None] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=_MOST_WAITING_BYTES)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._put(data)

    def eof_received(self) -> bool:
        self._put(None)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._put(None)
        self.transport = None

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def join(self, other: "_End", delay: Delay) -> None:
        """What comes in here goes through the delay from now on."""
        self.other, self.delay = other, delay
        for piece in self._early:
            delay.put(piece)
        self._early.clear()

    def deliver(self, piece: bytes | None) -> None:
        """The piece has arrived at this end."""
        if self.transport is None:
            return
        if piece is None:
            self.transport.close()
        else:
            self.transport.write(piece)

    def _put(self, piece: bytes | None) -> None:
        if self.delay is None:
            self._early.append(piece)
        else:
            self.delay.put(piece)


async def _serve(target: int, round_trip_s: float) -> None:
    loop = asyncio.get_running_loop()
    joining: set[asyncio.Task[None]] = set()

    async def join(client: _End, began: float) -> None:
        try:
            _, server = await loop.create_connection(_End, "127.0.0.1", target)
        except OSError:
            client.deliver(None)
            return
        half_s = round_trip_s / 2
        # The kernel has answered the client at once; at a distance it would begin to send only now.
        client.join(server, Delay(loop, server.deliver, late_s=half_s, opens_at=began + round_trip_s))
        server.join(client, Delay(loop, client.deliver, late_s=half_s, opens_at=began))

    class Accepted(_End):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            task = loop.create_task(join(self, loop.time()))
            joining.add(task)
            task.add_done_callback(joining.discard)

    listener = await loop.create_server(Accepted, "127.0.0.1", 0, backlog=512)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    listener.close()


class Relay(Child):
    """A relay to a port of this machine as the harness sees it; use as a context manager."""

    def __init__(self, target: int, *, round_trip_ms: float) -> None:
        super().__init__("benchmarks.relay", str(target), str(round_trip_ms))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target", type=int, help="port on loopback")
    parser.add_argument("round_trip_ms", type=float, help="time there and back in milliseconds")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_selector())) as runner:
        runner.run(_serve(options.target, options.round_trip_ms / 1000))
