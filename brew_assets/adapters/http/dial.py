"""TCP connections to a host with addresses of both families, of which one may lead nowhere (RFC 8305).

The addresses are tried in the resolver's order, the families by turns, each 250 ms after the one before it or
as soon as that has failed. The family that answered is remembered for the host and comes first the next time,
until it does not answer.
"""

import contextlib
import errno
import os
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

# RFC 8305, section 5: "Connection Attempt Delay", recommended 250 ms.
STAGGER_S = 0.25
# How soon an interruption is heard.
_LOOK_EVERY_S = 0.1

_Info = tuple[Any, Any, int, str, Any]
Resolve = Callable[[str, int], Sequence[_Info]]


def _resolve(host: str, port: int) -> Sequence[_Info]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Dialer:
    """Makes connections. Safe for use by several threads, which share what is remembered."""

    def __init__(
        self,
        resolve: Resolve = _resolve,
        *,
        stagger_s: float = STAGGER_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolve = resolve
        self._monotonic = monotonic
        self._stagger_s = stagger_s
        self._families: dict[str, int] = {}

    def connect(
        self, host: str, port: int, *, timeout_s: float, interrupted: Callable[[], bool] = lambda: False
    ) -> socket.socket:
        """A connected socket, with `timeout_s` as its time-out.

        Raises:
            OSError: no address answered; that of the first one that was tried.
            TimeoutError: none did in `timeout_s` seconds.
            ConnectionAbortedError: `interrupted` became true.
        """
        addresses = _by_turns(self._resolve(host, port), self._families.get(host))
        if not addresses:
            raise OSError(f"{host} has no address")
        try:
            sock, family = _Race(addresses, self._stagger_s, self._monotonic).run(timeout_s, interrupted)
        except BaseException:
            self._families.pop(host, None)
            raise
        self._families[host] = family
        sock.settimeout(timeout_s)
        return sock


def out_of_time(timeout_s: float) -> TimeoutError:
    """What to raise when nothing came or went for so many seconds."""
    return TimeoutError(f"connection timeout after {timeout_s:g} seconds")


def _by_turns(infos: Sequence[_Info], first: int | None) -> list[_Info]:
    """The addresses, a family by turns with the other: `first`, else that of the resolver's first."""
    if not infos:
        return []
    leading = first if any(info[0] == first for info in infos) else infos[0][0]
    ours = [info for info in infos if info[0] == leading]
    others = [info for info in infos if info[0] != leading]
    turns: list[_Info] = []
    for position in range(max(len(ours), len(others))):
        turns += ours[position : position + 1] + others[position : position + 1]
    return turns


class _Race:
    """One connection by whichever address answers first; the others are closed."""

    def __init__(self, addresses: list[_Info], stagger_s: float, monotonic: Callable[[], float]) -> None:
        self._waiting = addresses
        self._monotonic = monotonic
        self._stagger_s = stagger_s
        self._error: OSError | None = None

    def run(self, timeout_s: float, interrupted: Callable[[], bool]) -> tuple[socket.socket, int]:
        """The connected socket and its family."""
        # One thread over all attempts, since a thread for each could neither be interrupted nor closed when
        # another one has won. The next address has its turn after 250 ms, or at once when nothing is pending
        # any more: refused addresses cost no wait, silent ones cost one turn each, and all together no more
        # than the time-out. Of the errors the first is kept: it is about the address that was preferred, the
        # rest often just says "no IPv6 here".
        ends_at = self._monotonic() + timeout_s
        next_at = 0.0
        with selectors.DefaultSelector() as pending:
            try:
                while True:
                    now = self._monotonic()
                    if interrupted():
                        raise ConnectionAbortedError("the grace is over")
                    if now >= ends_at:
                        raise out_of_time(timeout_s)
                    if self._waiting and (now >= next_at or not pending.get_map()):
                        self._start(pending, self._waiting.pop(0))
                        next_at = now + self._stagger_s
                    if not pending.get_map():
                        if not self._waiting:
                            raise self._error or OSError("no address answered")
                        continue
                    won = self._first_answer(pending, self._wait_s(ends_at, next_at))
                    if won is not None:
                        return won
            finally:
                for key in list(pending.get_map().values()):
                    key.fileobj.close()  # type: ignore[union-attr]

    def _wait_s(self, ends_at: float, next_at: float) -> float:
        until = min(ends_at, next_at) if self._waiting else ends_at
        return max(0.0, min(_LOOK_EVERY_S, until - self._monotonic()))

    def _start(self, pending: selectors.BaseSelector, info: _Info) -> None:
        family, kind, protocol, _, address = info
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as exc:  # a machine without this family
            self._error = self._error or exc
            return
        try:
            sock.setblocking(False)
            code = sock.connect_ex(address)
            if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
                raise OSError(code, os.strerror(code))
            pending.register(sock, selectors.EVENT_WRITE, family)
        except BaseException as exc:
            sock.close()
            if not isinstance(exc, OSError):
                raise
            self._error = self._error or exc

    def _first_answer(
        self, pending: selectors.BaseSelector, wait_s: float
    ) -> tuple[socket.socket, int] | None:
        for key, _ in pending.select(wait_s):
            sock: socket.socket = key.fileobj  # type: ignore[assignment]
            pending.unregister(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock, key.data
            sock.close()
            self._error = self._error or OSError(code, os.strerror(code))
        return None
