"""What log lines carry: sync id, platform, route and batch of their piece of work, its figures at the end.

logs.py puts these facts on the lines; here they are only kept. Threads do not inherit them: start one with
`in_this_context`.
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from brew_assets.domain.report import Report
from brew_assets.errors import MirrorError

_FACTS: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar(
    "log_facts", default=MappingProxyType({})
)


@contextlib.contextmanager
def bound(**facts: str) -> Iterator[None]:
    """Lines of the block, and of threads started in its context, carry these facts too."""
    token = _FACTS.set({**_FACTS.get(), **facts})
    try:
        yield
    finally:
        _FACTS.reset(token)


def bound_facts() -> Mapping[str, str]:
    """The facts that are bound here and now."""
    return _FACTS.get()


def in_this_context(act: Callable[[], None]) -> Callable[[], None]:
    """The act with the facts that are bound now, for one thread: a context has one user at a time."""
    return functools.partial(contextvars.copy_context().run, act)


def facts_of_error(error: MirrorError) -> dict[str, object]:
    """What a log line says of an error; `security` where something is not what it must be."""
    facts: dict[str, object] = {"reason": error.reason, "error": str(error)}
    return facts | {"security": True} if error.security else facts


def figures(report: Report) -> dict[str, object]:
    """What a line at the end of a piece of work says of it. Failures have had lines of their own."""
    facts: dict[str, object] = {
        "outcome": report.outcome,
        "planned": report.planned,
        "kept": report.kept,
        "stored": report.new,
        "found": report.found,
        "failed": len(report.failed),
        "left": report.left,
        "retries": report.retries,
        "bytes": report.bytes_downloaded,
        "duration_s": report.duration_s,
    }
    if report.left_out.rejected:
        facts["rejected"] = report.left_out.rejected
    if report.skipped:
        facts["skipped"] = report.skipped
    return facts | {"error": report.aborted} if report.aborted else facts
