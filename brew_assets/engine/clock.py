"""The real clock and the real stop signal."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from brew_assets.engine.ports import StopSignal


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def wait(self, seconds: float, stop: StopSignal | None = None) -> bool:
        """Waits so long, or until the stop signal if there is one; whether it is set."""
        if stop is not None:
            return stop.wait(seconds)
        time.sleep(seconds)
        return False


class GracefulStop:
    """A stop signal with a grace: set it, and bottles under way have `grace_s` seconds left.

    ECS sends SIGKILL 30 s (or what the task definition says) after SIGTERM; the default leaves time to
    write receipts and the report. `monotonic` are seconds that never go back.
    """

    def __init__(self, grace_s: float = 20.0, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._event = threading.Event()
        self.grace_s = grace_s
        self._monotonic = monotonic
        self._deadline = float("inf")

    def set(self) -> None:
        """No new bottle starts from now on; the first call starts the grace."""
        if not self._event.is_set():
            self._deadline = self._monotonic() + self.grace_s
            self._event.set()

    def is_set(self) -> bool:
        """Whether work should end."""
        return self._event.is_set()

    def expired(self) -> bool:
        """Whether the grace is over."""
        return self._event.is_set() and self._monotonic() > self._deadline

    def wait(self, seconds: float) -> bool:
        """Waits so long or until set; whether it is set."""
        return self._event.wait(seconds)


class DeadlineStop(GracefulStop):
    """A stop signal for work that is killed at a known time, as a Lambda's is.

    It is set by itself while there is time to finish the bottles under way, and its grace ends while there
    is time to write receipts and the report: of 900 s, 90 s and 20 s before the end.
    """

    def __init__(self, remaining_s: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        finishing_s = min(90.0, remaining_s * 0.3)
        reporting_s = min(20.0, remaining_s * 0.1)
        super().__init__(grace_s=finishing_s - reporting_s, monotonic=monotonic)
        now = monotonic()
        self._set_at = now + remaining_s - finishing_s
        self._expires_at = now + remaining_s - reporting_s

    def is_set(self) -> bool:
        """Whether work should end."""
        if self._monotonic() >= self._set_at:
            self.set()
        return super().is_set()

    def expired(self) -> bool:
        """Whether the grace is over, also when nobody asked as it began."""
        return self.is_set() and (super().expired() or self._monotonic() > self._expires_at)

    def wait(self, seconds: float) -> bool:
        """Waits so long or until set; whether it is set."""
        super().wait(max(0.0, min(seconds, self._set_at - self._monotonic())))
        return self.is_set()
