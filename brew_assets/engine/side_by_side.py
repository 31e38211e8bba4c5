"""The same work for many things, several at a time, until a stop signal; for what waits for upstream."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from brew_assets.engine.log_context import in_this_context
from brew_assets.engine.ports import StopSignal

# How soon a stop signal is heard.
_TICK_S = 0.1

T = TypeVar("T")
R = TypeVar("R")


class _Done(Generic[R]):
    """What the work gave, or the error that ended its thread."""

    def __init__(self, *, result: R | None = None, crash: BaseException | None = None) -> None:
        self.result = result
        self.crash = crash


def side_by_side(
    work: Callable[[T], R],
    items: Sequence[T],
    *,
    threads: int,
    name: str,
    stop: StopSignal,
    interrupt: Callable[[], None],
    close: Callable[[], None] = lambda: None,
) -> Iterator[R]:
    """What the work gives for each item, in the order in which they are done.

    After a stop signal `interrupt` breaks off what is under way; what cannot be broken off, such as a look-up
    of a host's name, is given up when the grace is over: then there are fewer results than items. The work
    has to look at the signal itself. `close` ends each thread.

    Raises:
        BaseException: what the work raised; no new item begins then.
    """
    todo = deque(items)
    # No SimpleQueue: Python 3.11's waits for ever when a signal's handler takes longer than the wait that it
    # interrupts.
    answers: queue.Queue[_Done[R]] = queue.Queue()

    def run() -> None:
        try:
            while True:
                try:
                    item = todo.popleft()
                except IndexError:
                    return
                answers.put(_Done(result=work(item)))
        except BaseException as crash:  # raised again by the thread that waits for the answers
            todo.clear()
            answers.put(_Done(crash=crash))
        finally:
            close()

    for number in range(min(threads, len(items))):
        # Daemons: what cannot be broken off must not keep the process.
        threading.Thread(target=in_this_context(run), name=f"{name}-{number}", daemon=True).start()
    for _ in items:
        done = _next(answers, stop, interrupt)
        if done is None:
            todo.clear()
            return
        if done.crash is not None:
            raise done.crash
        yield done.result  # type: ignore[misc]


def _next(
    answers: "queue.Queue[_Done[R]]", stop: StopSignal, interrupt: Callable[[], None]
) -> _Done[R] | None:
    """The next answer, None when the grace is over before there is one."""
    while True:
        if stop.is_set():
            interrupt()
        try:
            return answers.get(timeout=_TICK_S)
        except queue.Empty:
            if stop.expired():
                return None
