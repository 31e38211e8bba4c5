"""What is waited for, so that nobody looks at a silent screen: upstream, the store, a lock, other runs.

Whoever may wait says so with `waiting_for`, and `try_failed` adds why. What lasts is heard by the listener of
the piece of work that the code belongs to, bound as the facts of log lines are (log_context.py): a thread of
`watched` looks, or, where processes are forked and there must be no thread, whoever collects their results.
"""

import contextlib
import contextvars
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType

from brew_assets.engine.ports import Notice, NoticeListener

NOTICED_AFTER_S = 2.0
LOOK_EVERY_S = 0.5
# How soon a log says once more what is still waited for.
REPEATED_AFTER_S = 60.0
_LONGEST_REASON = 300

_log = logging.getLogger(__name__)


class Wait:
    """One wait of one thread, while its block lasts."""

    __slots__ = ("_outer", "_waits", "next_try_at", "since", "what", "why")

    def __init__(self, waits: "Waits", what: str) -> None:
        self._waits = waits
        self._outer: Wait | None = None
        self.what = what
        self.why = ""
        self.next_try_at: float | None = None
        self.since = 0.0

    def __enter__(self) -> "Wait":
        self.since = self._waits.monotonic()
        self._outer = self._waits.enter(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._waits.leave(self, self._outer)

    def goes_on(self) -> None:
        """Something has come: the wait begins anew."""
        self.since = self._waits.monotonic()

    def pauses(self) -> None:
        """Until it goes on, or a try fails, nothing is waited for."""
        self.since = math.inf

    def failed(self, error: object, *, next_try_in_s: float | None) -> None:
        """Why it takes so long; the next try begins in so many seconds."""
        if self.since == math.inf:
            self.goes_on()
        self.why = str(error)[:_LONGEST_REASON]
        self.next_try_at = None if next_try_in_s is None else self._waits.monotonic() + next_try_in_s


class _NoWait(Wait):
    """The wait of which nobody wants to hear."""

    __slots__ = ()

    def __init__(self) -> None:
        pass

    def __enter__(self) -> Wait:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def goes_on(self) -> None:
        pass

    def pauses(self) -> None:
        pass

    def failed(self, error: object, *, next_try_in_s: float | None) -> None:
        pass


class Waits:
    """The waits of one piece of work, in all its threads."""

    def __init__(self, listener: NoticeListener, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self._listener = listener
        self._waiting: dict[int, Wait] = {}
        self._innermost = threading.local()
        self._was_heard = False

    def enter(self, wait: Wait) -> Wait | None:
        """The wait has begun; the one of the same thread around it."""
        outer: Wait | None = getattr(self._innermost, "wait", None)
        self._innermost.wait = wait
        self._waiting[id(wait)] = wait
        return outer

    def leave(self, wait: Wait, outer: Wait | None) -> None:
        """It is over."""
        self._innermost.wait = outer
        self._waiting.pop(id(wait), None)

    def innermost(self) -> Wait | None:
        """What the calling thread waits for."""
        return getattr(self._innermost, "wait", None)

    def look(self, *, also: Iterable[Notice] = ()) -> None:
        """The listener hears what lasts, and what others `also` wait for, each thing once."""
        longest: dict[str, Notice] = {}
        for notice in (*self._lasting(), *also):
            known = longest.get(notice.what)
            if known is None or (bool(known.why), known.waited_s) < (bool(notice.why), notice.waited_s):
                longest[notice.what] = notice
        if longest or self._was_heard:
            self._was_heard = bool(longest)
            self._listener(sorted(longest.values(), key=lambda notice: -notice.waited_s))

    def _lasting(self) -> list[Notice]:
        now = self.monotonic()
        # One step of the interpreter, as is each change: no lock for what each bottle does five times.
        waiting = list(self._waiting.values())
        return [
            Notice(
                what=wait.what,
                waited_s=now - wait.since,
                why=wait.why,
                next_try_in_s=max(0.0, at - now) if (at := wait.next_try_at) is not None else None,
            )
            for wait in waiting
            if now - wait.since >= NOTICED_AFTER_S
            or (wait.next_try_at is not None and wait.next_try_at - wait.since >= NOTICED_AFTER_S)
        ]


class _Watch:
    """A thread that looks at the waits."""

    def __init__(self, waits: Waits) -> None:
        self.waits = waits
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._end.clear()
        self._thread = threading.Thread(target=self._run, name="waits", daemon=True)
        self._thread.start()

    def end(self) -> bool:
        """Whether there was one; it is no more."""
        thread, self._thread = self._thread, None
        if thread is None:
            return False
        self._end.set()
        thread.join()
        return True

    def _run(self) -> None:
        while not self._end.wait(LOOK_EVERY_S):
            self.waits.look()


_NO_WAIT = _NoWait()
_WATCH: contextvars.ContextVar[_Watch | None] = contextvars.ContextVar("waits", default=None)


def waiting_for(what: str) -> Wait:
    """A block in which the calling thread may wait for that: "the registry https://ghcr.io"."""
    watch = _WATCH.get()
    return _NO_WAIT if watch is None else Wait(watch.waits, what)


def try_failed(error: object, *, next_try_in_s: float | None) -> None:
    """Why the calling thread still waits for what it waits for; the next try begins in so many seconds."""
    watch = _WATCH.get()
    wait = watch.waits.innermost() if watch is not None else None
    if wait is not None:
        wait.failed(error, next_try_in_s=next_try_in_s)


@contextlib.contextmanager
def heard(waits: Waits, *, watch: bool = False) -> Iterator[None]:
    """Waits of the block, and of threads started in its context, are those; a thread looks if `watch`."""
    made = _Watch(waits)
    token = _WATCH.set(made)
    if watch:
        made.start()
    try:
        yield
    finally:
        made.end()
        _WATCH.reset(token)
        waits.look()


@contextlib.contextmanager
def unwatched() -> Iterator[None]:
    """No thread looks while the block lasts: there may be none where processes are forked. `look` instead."""
    watch = _WATCH.get()
    paused = watch is not None and watch.end()
    try:
        yield
    finally:
        if paused and watch is not None:
            watch.start()


def look(*, also: Iterable[Notice] = ()) -> None:
    """Whoever listens here hears what lasts."""
    watch = _WATCH.get()
    if watch is not None:
        watch.waits.look(also=also)


class NoticeLog:
    """A listener that logs a line for each thing that is waited for, and again while that lasts."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._said: dict[tuple[str, bool], float] = {}

    def __call__(self, notices: Sequence[Notice]) -> None:
        now = self._monotonic()
        for notice in notices:
            key = (notice.what, bool(notice.why))
            if now - self._said.get(key, -REPEATED_AFTER_S) >= REPEATED_AFTER_S:
                self._said[key] = now
                _log.log(logging.WARNING if notice.why else logging.INFO, notice.sentence())
