"""What a body from outside may cost: its pace, its bytes as they come, its bytes decoded."""

from collections.abc import Callable

# Less than this counts as silence. A body of a few hundred KiB is whole before it is ever looked at.
LEAST_BYTES_PER_S = 1024
PACE_WINDOW_S = 60.0


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
