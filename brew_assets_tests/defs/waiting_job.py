"""A job that waits for another try of its only step."""

import dagster as dg

WAIT_S = 8.0


@dg.op
def fails_once(context: dg.OpExecutionContext) -> None:
    """Asks for another try a little later."""
    if context.retry_number == 0:
        raise dg.RetryRequested(max_retries=1, seconds_to_wait=WAIT_S)


@dg.job(executor_def=dg.in_process_executor)
def waiting() -> None:
    """Fails once, waits, succeeds."""
    fails_once()
