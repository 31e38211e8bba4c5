"""A job that waits for another try of its only step, and a launcher whose lost workers are replaced."""

import dagster as dg
from dagster._core.launcher import DefaultRunLauncher

from brew_assets.defs.executor import interruptible_executor

WAIT_S = 8.0


class ResumingLauncher(DefaultRunLauncher):
    """Tells Dagster that it can resume runs, as the one of ECS does."""

    @property
    def supports_resume_run(self) -> bool:
        """Yes."""
        return True


@dg.op
def fails_once(context: dg.OpExecutionContext) -> None:
    """Asks for another try a little later."""
    if context.retry_number == 0:
        raise dg.RetryRequested(max_retries=1, seconds_to_wait=WAIT_S)


@dg.job(executor_def=interruptible_executor)
def waiting() -> None:
    """Fails once, waits, succeeds."""
    fails_once()
