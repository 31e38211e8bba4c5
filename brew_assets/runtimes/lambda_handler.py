"""The Lambda: copies one batch of a run's plan, or bottles that an event names by value.

Configure the function with `brew_assets.runtimes.lambda_handler.handler`, the settings of the mirror and a
timeout of 900 s. Events: `{"batch_key": "state/batches/…"}`, or `{"formulas": [{"name", "version",
"bottles": {tag: {"url", "sha256", "size"}}}], "sync_date": "YYYY-MM-DD"}`.
"""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from dagster_pipes import (
    DAGSTER_PIPES_CONTEXT_ENV_VAR,
    DAGSTER_PIPES_MESSAGES_ENV_VAR,
    PipesContext,
    PipesDefaultContextLoader,
    PipesDefaultMessageWriter,
    PipesMappingParamsLoader,
)

from brew_assets.compose.mirror import build_mirror
from brew_assets.domain.batch import answer, decode_event
from brew_assets.domain.foreign_text import encodable, printable
from brew_assets.domain.proof import shown
from brew_assets.domain.report import Report, describe_report
from brew_assets.engine.clock import DeadlineStop
from brew_assets.engine.sync_worker import work_on
from brew_assets.engine.waiting import NoticeLog, Waits, heard
from brew_assets.errors import EventInvalid, MirrorError
from brew_assets.logs import configure_logging
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


# What Dagster says of a run and its assets has a few KB.
_MAX_PARAMS_BYTES = 1024 * 1024
# Messages come back in the log of the invocation. Other ways would let an event name a file to write to.
_STREAMS = ("buffered_stdio", "stdio")


@contextmanager
def open_pipes(event: object) -> Iterator[PipesContext | None]:
    """The way back to the Dagster run that invoked the function, None when none did.

    A context of its own for each invocation: `open_dagster_pipes` keeps the first one for as long as the
    environment is warm, closed (dagster-io/dagster#22094).

    Raises:
        EventInvalid: the event names a way back that is none.
    """
    params = PipesMappingParamsLoader(event if isinstance(event, Mapping) else {})
    if not isinstance(event, Mapping) or not params.is_dagster_pipes_process():
        yield None
        return
    context = _decoded(event, DAGSTER_PIPES_CONTEXT_ENV_VAR)
    if not isinstance(context.get("data"), dict):
        raise EventInvalid(f"{DAGSTER_PIPES_CONTEXT_ENV_VAR}: expected the data of a run, found none")
    messages = _decoded(event, DAGSTER_PIPES_MESSAGES_ENV_VAR)
    if "path" in messages or not any(messages.get(name) in ("stderr", "stdout") for name in _STREAMS):
        raise EventInvalid(
            f"{DAGSTER_PIPES_MESSAGES_ENV_VAR}: expected a stream of the log, found another way"
        )
    with PipesContext(params, PipesDefaultContextLoader(), PipesDefaultMessageWriter()) as pipes:
        yield pipes


def _decoded(event: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One of Dagster's parameters: JSON, compressed, in base64."""
    text = event.get(name)
    if not isinstance(text, str):
        raise EventInvalid(f"{name}: expected text, found {shown(text)}")
    try:
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(base64.b64decode(text), _MAX_PARAMS_BYTES)
        found = json.loads(data) if unpacking.eof else None
    except (ValueError, RecursionError, zlib.error) as exc:
        raise EventInvalid(f"{name}: expected what Dagster encodes, found {shown(str(exc))}") from exc
    if not isinstance(found, dict):
        raise EventInvalid(f"{name}: expected an object of {_MAX_PARAMS_BYTES:,} bytes at most")
    return found
