"""The real clock, the real stop signal, and work that a stop signal ends."""

import contextlib
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from brew_assets.engine.log_context import in_this_context
from brew_assets.engine.ports import StopSignal
from brew_assets.errors import PlanningStopped

T = TypeVar("T")

# How soon a stop signal is heard while a thread of its own works.
_LOOK_EVERY_S = 0.1


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


class SignalEvent:
    """An event that a signal's handler may set, whatever it interrupts: also a wait for this very event."""

    # A handler runs in the main thread, between any two steps of what that does. threading.Event has a lock
    # that both its wait and its set take: a handler that comes while the wait has it waits for its own
    # thread, for ever. Here the event is a lock that is held until it is set. Taking and releasing it are one
    # step each, so a handler comes before or after, and what it releases before the wait is taken at once.
    def __init__(self) -> None:
        self._is_set = False
        self._held = threading.Lock()
        self._held.acquire()

    def set(self) -> None:
        """Whoever waits goes on, now and later."""
        self._is_set = True
        self._release()

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set

    def wait(self, seconds: float | None = None) -> bool:
        """Waits so many seconds, or as long as it takes, until it is set; whether it is."""
        if not self._is_set and self._held.acquire(timeout=-1 if seconds is None else max(0.0, seconds)):
            # For the next one who waits.
            self._release()
        return self._is_set

    def _release(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is released already
            self._held.release()


class GracefulStop:
    """A stop signal with a grace: set it, and bottles under way have `grace_s` seconds left.

    ECS sends SIGKILL 30 s (or what the task definition says) after SIGTERM; the default leaves time to
    write receipts and the report. `monotonic` are seconds that never go back.
    """

    def __init__(self, grace_s: float = 20.0, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._event = SignalEvent()
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


def go_on_planning(stop: StopSignal | None) -> None:
    """Returns when no stop signal has come.

    Raises:
        PlanningStopped: one has.
    """
    if stop is not None and stop.is_set():
        raise PlanningStopped


def until_stopped(
    work: Callable[[], T], stop: StopSignal | None = None, *, check: Callable[[], None] | None = None
) -> T:
    """What the work returns; a stop signal, and what `check` raises meanwhile, end the wait for it.

    The work has a thread of its own, since nothing else ends a look-up of a name, a TLS handshake or a read
    of a dead network disk. That thread is given up where it is: the work must change nothing that anybody
    else sees. The end of the process does not wait for it.

    Raises:
        PlanningStopped: the stop signal came first.
        BaseException: what the work, or `check`, raised.
    """
    go_on_planning(stop)
    done = threading.Event()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=in_this_context(run), name="until-stopped", daemon=True).start()
    while not done.wait(_LOOK_EVERY_S):
        go_on_planning(stop)
        if check is not None:
            check()
    if errors:
        raise errors[0]
    return results[0]
