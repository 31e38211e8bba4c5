"""Which connection a thread uses: its own, one per origin, all of which can be broken off."""

import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator

from brew_assets.adapters.http.connection import Wire
from brew_assets.adapters.http.reach import Reach
from brew_assets.adapters.http.response import WireResponse
from brew_assets.adapters.http.url import Origin


class Wires:
    """The calling thread's connections, one per origin."""

    def __init__(self, reach: Reach, *, timeout_s: float, monotonic: Callable[[], float]) -> None:
        self._reach = reach
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._wires: dict[Origin, Wire] = {}

    def to(self, origin: Origin) -> Wire:
        """The connection to this origin, which may not be made yet.

        Raises:
            OSError, SettingsInvalid: no context for TLS can be made of the trusted certificates.
        """
        wire = self._wires.get(origin)
        if wire is None:
            if origin.scheme == "https":
                self._reach.context()  # what it cannot be made of is known before anything is sent
            wire = self._wires[origin] = Wire(
                origin, self._reach, timeout_s=self._timeout_s, monotonic=self._monotonic
            )
        return wire

    def interrupt(self) -> None:
        """Whatever the thread sends or awaits fails at once. Called from another thread."""
        for wire in list(self._wires.values()):
            wire.interrupt()

    def close(self) -> None:
        """All connections are closed."""
        for wire in self._wires.values():
            wire.close()
        self._wires.clear()


class ThreadWires:
    """Every thread's own connections, and a way to break off all of them."""

    def __init__(self, reach: Reach, *, timeout_s: float, monotonic: Callable[[], float]) -> None:
        self._reach = reach
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._local = threading.local()
        self._idle: deque[Wires] = deque()
        self._all: weakref.WeakSet[Wires] = weakref.WeakSet()
        self._lock = threading.Lock()

    def mine(self) -> Wires:
        """The calling thread's connections until it gives them back: those given back last, or new ones."""
        wires: Wires | None = getattr(self._local, "wires", None)
        if wires is None and self._idle:
            with contextlib.suppress(IndexError):
                wires = self._local.wires = self._idle.pop()
        if wires is None:
            wires = self._local.wires = Wires(
                self._reach, timeout_s=self._timeout_s, monotonic=self._monotonic
            )
            with self._lock:
                self._all.add(wires)
        return wires

    def give_back(self) -> None:
        """Another thread may use the calling thread's connections: there are as many as are used at once."""
        wires: Wires | None = getattr(self._local, "wires", None)
        if wires is not None:
            self._local.wires = None
            self._idle.append(wires)

    def close(self) -> None:
        """The calling thread's connections and those that nobody uses are closed."""
        self.give_back()
        while self._idle:
            with contextlib.suppress(IndexError):
                self._idle.pop().close()

    def interrupt(self, *, but_mine: bool = False) -> None:
        """Whatever any thread sends or awaits fails at once; the calling thread may go on if `but_mine`."""
        mine = getattr(self._local, "wires", None) if but_mine else None
        with self._lock:
            everyone = list(self._all)
        for wires in everyone:
            if wires is not mine:
                wires.interrupt()


@contextlib.contextmanager
def answered(wire: Wire, method: str, target: str, headers: dict[str, str]) -> Iterator[WireResponse]:
    """The response to a request without a body; afterwards the connection is kept or closed.

    Raises:
        OSError, http.client.HTTPException: the connection cannot be made or breaks.
        ProxyRefused, SettingsInvalid: as of Wire.exchange.
    """
    try:
        yield wire.exchange(method, target, headers)
    finally:
        wire.finish()
