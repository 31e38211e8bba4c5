"""The mirror as a Dagster resource, which builds the engine when asked and nothing before; its partitions."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import dagster as dg

from brew_assets.compose.mirror import build_mirror
from brew_assets.configured import configured_platforms
from brew_assets.domain.foreign_text import printable
from brew_assets.engine.clock import GracefulStop
from brew_assets.engine.log_context import bound
from brew_assets.engine.retry import Backoff
from brew_assets.engine.sync import Mirror
from brew_assets.engine.waiting import NoticeLog, Waits, heard
from brew_assets.errors import MirrorError
from brew_assets.logs import configure_logging
from brew_assets.settings import Settings, read_settings

# Of what may pass: the engine has used up its own tries by then. A batch that failed ends no step, but a
# client of Lambda for which there were no credentials just then does.
STEP_RETRIES = 2
# The executor sleeps through it: a termination waits as long, whatever RETRY_DELAY_SECONDS says.
LONGEST_STEP_WAIT_S = 60.0
StepContext = dg.OpExecutionContext | dg.AssetExecutionContext
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def platform_partitions(settings: Settings) -> dg.StaticPartitionsDefinition:
    """One partition per platform of TARGET_PLATFORMS. Static, so they stand in the UI before anything ran.

    Raises:
        SettingsInvalid: one is not known.
    """
    return dg.StaticPartitionsDefinition(list(configured_platforms(settings)))


# As they were when the definitions were loaded: for names, partitions and the schedule. Runs and ticks read
# their own.
LOADED_SETTINGS = read_settings()
platforms = platform_partitions(LOADED_SETTINGS)


class MirrorResource(dg.ConfigurableResource[Any]):
    """The wired engine, as the environment's settings say.

    No fields: sensors have the environment alone, and a run whose config named another store would copy into
    one while its messages read the other.
    """

    def settings(self) -> Settings:
        """The settings of this process.

        Raises:
            SettingsInvalid: an environment variable has a value that is not accepted.
        """
        return read_settings()

    @contextmanager
    def engine(self, context: StepContext | None = None) -> Iterator[Mirror]:
        """The engine for one step; what goes wrong in it ends the step with a message that says so.

        An interrupt (SIGTERM, a termination in the UI) lets bottles under way finish within the grace and
        records what was stored; only then the step ends as interrupted.

        Raises:
            dagster.Failure: in the place of a MirrorError.
            dagster.RetryRequested: the same where the step is given and another try of it may help.
            dagster.DagsterExecutionInterruptedError: the process was asked to end meanwhile.
        """
        stop = GracefulStop()
        try:
            settings = self.settings()
            configure_logging(settings)
            run = {"run_id": context.run_id} if context is not None else {}
            waits = heard(Waits(NoticeLog()), watch=True)
            with bound(**run), waits, stops_on_interrupt(stop):
                yield build_mirror(settings, stop=stop)
        except MirrorError as error:
            end_step(context, failure_from(error))


def failure_from(error: MirrorError) -> dg.Failure:
    """The error as Dagster shows it: our message, and no retry that cannot help."""
    return dg.Failure(
        description=printable(str(error)),
        metadata={"reason": error.reason},
        allow_retries=error.retryable,
    )


def end_step(context: StepContext | None, failure: dg.Failure) -> NoReturn:
    """Raises the failure, or asks for another try of the step where the failure allows one.

    No RetryPolicy: where an op has one, Dagster tries again after an interrupt too, so that neither a
    termination in the UI nor a task's SIGTERM would end the run (dagster/_core/execution/plan/utils.py,
    "respect retry policy when interrupts occur").
    """
    tries = context.retry_number if context is not None else STEP_RETRIES
    if failure.allow_retries and tries < STEP_RETRIES:
        backoff = Backoff(first_s=read_settings().retry_delay_seconds, cap_s=LONGEST_STEP_WAIT_S)
        raise dg.RetryRequested(
            max_retries=STEP_RETRIES, seconds_to_wait=backoff.wait_s(tries + 1)
        ) from failure
    raise failure from None


@contextmanager
def stops_on_interrupt(stop: GracefulStop) -> Iterator[None]:
    """SIGINT and SIGTERM set `stop` instead of ending the block in its midst; a second one does end it.

    Dagster's own handler raises wherever the main thread happens to be: receipts of bottles under way would
    have to wait without a grace, and neither fold nor report would follow. Signals reach the main thread
    alone, so in any other one nothing changes.

    Raises:
        dagster.DagsterExecutionInterruptedError: after the block, when a signal came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A signal that whoever started the process has it ignore stays ignored.
    before: dict[int, Any] = {
        number: handler
        for number in _SIGNALS
        if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        if stop.is_set() and callable(before[number]):
            before[number](number, frame)
        stop.set()

    for number in before:
        signal.signal(number, ask_to_stop)
    try:
        yield
    except Exception as error:
        if stop.is_set():
            raise dg.DagsterExecutionInterruptedError(str(error)) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stop.is_set():
        raise dg.DagsterExecutionInterruptedError
