"""Work of planning that a stop signal ends, also while it waits for somebody."""

import threading
from collections.abc import Callable
from typing import TypeVar

from brew_assets.engine.log_context import in_this_context
from brew_assets.engine.ports import StopSignal
from brew_assets.errors import PlanningStopped

T = TypeVar("T")

# How soon a signal is heard.
_LOOK_EVERY_S = 0.1


def go_on_planning(stop: StopSignal) -> None:
    """Returns when no stop signal has come.

    Raises:
        PlanningStopped: one has.
    """
    if stop.is_set():
        raise PlanningStopped


def until_stopped(work: Callable[[], T], stop: StopSignal, *, check: Callable[[], None] | None = None) -> T:
    """What the work returns; the stop signal, and what `check` raises meanwhile, end the wait for it.

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
