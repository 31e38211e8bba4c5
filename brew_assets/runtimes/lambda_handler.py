"""The Lambda: copies one batch of a run's plan, or bottles that an event names by value.

Configure the function with `brew_assets.runtimes.lambda_handler.handler`, the settings of the mirror and a
timeout of 900 s. Events: `{"batch_key": "state/batches/…"}`, or `{"formulas": [{"name", "version",
"bottles": {tag: {"url", "sha256", "size"}}}], "sync_date": "YYYY-MM-DD"}`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from dagster_pipes import PipesContext

from brew_assets.compose.mirror import build_mirror
from brew_assets.domain.batch import answer, decode_event
from brew_assets.domain.foreign_text import encodable, printable
from brew_assets.domain.report import Report, describe_report
from brew_assets.engine.clock import DeadlineStop
from brew_assets.engine.sync_worker import work_on
from brew_assets.engine.waiting import NoticeLog, Waits, heard
from brew_assets.errors import MirrorError
from brew_assets.logs import configure_logging
from brew_assets.runtimes.lambda_pipes import open_pipes
from brew_assets.settings import read_settings

# Messages come back in the last 4 KB of the invocation's log.
_FAILURES_NAMED = 3


class LambdaContext(Protocol):
    """What AWS hands to a handler beside the event."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation is killed."""


def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """The report, which stands in the store too; no new bottle starts when the time runs short.

    Raises:
        MirrorError: the event, the settings or the store ended the work; the message says which.
    """
    stop = DeadlineStop(context.get_remaining_time_in_millis() / 1000)
    settings = read_settings()
    configure_logging(settings)
    with _printable_errors():
        work = decode_event(event)
        with open_pipes(event) as pipes, heard(Waits(NoticeLog()), watch=True):
            report = work_on(build_mirror(settings, stop=stop), work)
            if pipes is not None:
                _report(pipes, report)
        answered: dict[str, Any] = encodable(answer(report))
        return answered


@contextmanager
def _printable_errors() -> Iterator[None]:
    """An error's text is one printable line: AWS's runtime writes it into its log and its answer."""
    try:
        yield
    except MirrorError as error:
        error.args = (printable(str(error)),)
        raise


def _report(pipes: PipesContext, report: Report) -> None:
    """Messages are for people: the run reads the report."""
    pipes.log.info(describe_report(report))
    for failure in report.failed[:_FAILURES_NAMED]:
        pipes.log.warning(printable(failure.message, 300))
