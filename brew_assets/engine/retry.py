"""How often and when a call is tried again; whether an error may pass is said by its class (errors.py).

`retrying` is the one loop around a call that may fail and pass, `Backoff` the one way in which waits grow.
Of bottles and indexes `Tries` decides: a budget per bottle and one per sync, and a 429 holds all threads.
"""

import itertools
import logging
import random
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import msgspec

from brew_assets.engine.ports import Clock, StopSignal
from brew_assets.engine.waiting import try_failed, waiting_for
from brew_assets.errors import MirrorError, UpstreamBusy

MAX_BACKOFF_S = 300.0
# GHCR names waits of microseconds (dependabot/cli#380); asking again at once would only earn the next 429.
MIN_BUSY_WAIT_S = 1.0
MAX_BUSY_WAIT_S = 900.0
# So long all wait, in sum, while upstream gives nothing. Each bottle could name such a wait:
# a sync of thousands would take months.
MAX_HELD_S = 3600.0
# A body that broke off after bytes arrived is no sign of an upstream in trouble.
MAX_RESUME_WAIT_S = 1.0

_log = logging.getLogger(__name__)

T = TypeVar("T")

# Digits without limit would be looked through again from each of them.
_GO_DURATION = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)(ns|us|µs|μs|ms|s|m|h)")
_GO_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_DATE = 100
_IN_BODY = re.compile(r"retry-after:\s*([^,\s]+)", re.IGNORECASE)


def parse_retry_after(
    text: str | None, *, now: datetime, body: str = "", most_s: float = MAX_BUSY_WAIT_S
) -> float | None:
    """Seconds to wait: from integer seconds, an HTTP-date or a Go duration, in the header or the body.

    None when nothing readable is named; at least MIN_BUSY_WAIT_S and at most `most_s` otherwise.
    """
    found = _seconds((text or "").strip(), now)
    if found is None and (match := _IN_BODY.search(body)):
        found = _seconds(match[1], now)
    return None if found is None else min(max(found, MIN_BUSY_WAIT_S), most_s)


def _seconds(text: str, now: datetime) -> float | None:
    # A header is decoded as Latin-1; the micro sign of a Go duration is two octets of UTF-8.
    text = text.replace("Âµ", "µ").replace("Î¼", "μ")
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    parts = _GO_DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _GO_UNITS_S[unit] for number, unit in parts)
    if len(text) > _LONGEST_DATE:
        return None
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return (date - now).total_seconds()


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Waits of at most `first_s` seconds after one failure, twice that after each further, `cap_s` at most.

    Full jitter: a wait is any time up to its longest. Many that failed at the same moment would otherwise
    come back at the same moment, and fail again.
    """

    first_s: float
    cap_s: float = MAX_BACKOFF_S

    def longest_s(self, failures: int) -> float:
        """The longest wait before try number `failures` + 1."""
        # Doubled more often, a float would overflow where somebody is tried for days.
        return min(self.cap_s, self.first_s * 2.0 ** min(failures - 1, 100))

    def wait_s(self, failures: int) -> float:
        """A random wait before try number `failures` + 1."""
        return random.uniform(0.0, self.longest_s(failures))

    def for_tries(self, most: int) -> Callable[[Exception], float | None]:
        """For `retrying`: the wait after each failure, none after number `most`."""
        failures = itertools.count(1)
        return lambda _: self.wait_s(failed) if (failed := next(failures)) < most else None


def retrying(
    call: Callable[[], T],
    *,
    on: type[MirrorError],
    next_wait_s: Callable[[MirrorError], float | None],
    clock: Clock,
    stop: StopSignal | None = None,
) -> T:
    """What the call gives; after an error of the class `on` it is tried again.

    `next_wait_s` says after each of these how many seconds to wait, None for never again. Without a stop
    signal nothing shortens a wait.

    Raises:
        MirrorError: what the last try raised, also where the stop signal let it be the last.
    """
    while True:
        try:
            return call()
        except on as error:
            wait_s = next_wait_s(error)
            try_failed(error, next_try_in_s=wait_s)
            if wait_s is None or clock.wait(wait_s, stop):
                raise


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """`attempts` tries after the first; `delay_s` is the longest first wait."""

    attempts: int = 3
    delay_s: float = 30.0

    def wait_s(self, failures: int) -> float:
        """A random wait before try number `failures` + 1."""
        return Backoff(first_s=self.delay_s).wait_s(failures)

    def resume_s(self) -> float:
        """A random wait before going on after a body that broke off with bytes gained."""
        return Backoff(first_s=self.delay_s, cap_s=MAX_RESUME_WAIT_S).wait_s(1)


class SyncBudget:
    """Retries that all bottles of one sync share, so that a dead upstream ends a sync soon."""

    def __init__(self, retries: int) -> None:
        self._left = retries
        self._lock = threading.Lock()
        self.spent = 0

    @classmethod
    def for_bottles(cls, count: int, attempts: int) -> "SyncBudget":
        """A quarter of what every bottle could spend alone, and never less than for 25 bottles."""
        return cls(attempts * max(25, count // 4))

    def spend(self) -> bool:
        """Takes one retry; False when none is left."""
        with self._lock:
            if self._left <= 0:
                return False
            self._left -= 1
            self.spent += 1
            return True


class Gate:
    """Holds all workers back until the time that a 429 named, and for good once all have waited too long."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open_at = 0.0
        self._held_s = 0.0
        self._lock = threading.Lock()

    def close_for(self, seconds: float) -> None:
        """Nobody passes for so many seconds from now; a longer hold already set stays."""
        with self._lock:
            now = self._clock.monotonic()
            is_first, was_closed = self._open_at <= now, self.is_closed_for_good()
            open_at = max(self._open_at, now + seconds)
            self._held_s += open_at - max(self._open_at, now)
            self._open_at = open_at
        if is_first:
            # Once for all workers that meet the same answer.
            _log.warning(
                "upstream asks all to wait", extra={"reason": UpstreamBusy.reason, "wait_s": seconds}
            )
        if self.is_closed_for_good() and not was_closed:
            _log.error(
                "upstream has only asked to wait for so long that nothing more is asked of it",
                extra={"reason": UpstreamBusy.reason, "wait_s": MAX_HELD_S},
            )

    def has_given(self) -> None:
        """Upstream has given something: what was waited for before counts no more."""
        if self._held_s and not self.is_closed_for_good():
            with self._lock:
                self._held_s = 0.0

    def is_closed_for_good(self) -> bool:
        """Whether all have waited so long, for nothing, that the next sync may do the rest."""
        return self._held_s > MAX_HELD_S

    def pass_through(self, stop: StopSignal) -> bool:
        """Returns once the gate is open; False when the stop signal came first, or it is closed for good."""
        while not self.is_closed_for_good() and (left := self._open_at - self._clock.monotonic()) > 0:
            # Up to a tenth more, so that the workers do not all knock in the same instant.
            with waiting_for("upstream") as wait:
                wait.failed("it asks all to wait", next_try_in_s=left)
                if self._clock.wait(left * random.uniform(1.0, 1.1), stop):
                    return False
        return not self.is_closed_for_good()


class Tries:
    """The tries of one bottle: says after each failure whether and after which wait to try again."""

    def __init__(self, policy: RetryPolicy, budget: SyncBudget, gate: Gate) -> None:
        self._policy = policy
        self._budget = budget
        self._gate = gate
        self._failures = 0

    @property
    def retries(self) -> int:
        """How many tries there were after the first failure, or after the last that brought bytes."""
        return max(0, self._failures - 1)

    def next_wait_s(self, error: MirrorError, *, gained: bool = False) -> float | None:
        """Seconds to wait before the next try, None when there is none.

        `gained` says that the failed try brought bytes that the next one keeps; it starts the count anew.
        """
        if not error.retryable:
            return None
        if gained:
            self._failures = 0
        self._failures += 1
        if isinstance(error, UpstreamBusy):
            # Whether or not this bottle has a try left, the others must wait too.
            wait_s = error.wait_s
            if wait_s is None:
                wait_s = max(MIN_BUSY_WAIT_S, self._policy.wait_s(self._failures))
            self._gate.close_for(wait_s)
        if self._failures > self._policy.attempts or not self._budget.spend():
            return None
        if isinstance(error, UpstreamBusy):
            return 0.0
        return self._policy.resume_s() if gained else self._policy.wait_s(self._failures)
