"""How far a run is: observations of the asset, and lines in the log, while it goes on."""

from collections.abc import Callable

import dagster as dg

from brew_assets.defs.pages.metadata import progress_metadata
from brew_assets.defs.resources import StepContext
from brew_assets.engine.ports import Clock, Progress, ProgressListener

_LOG_EVERY_S = 30.0


def observe_progress(context: dg.AssetExecutionContext, clock: Clock, *, every_s: float) -> ProgressListener:
    """A listener that records an observation of the run's partition every so many seconds at most.

    Each is a row of Dagster's database.
    """
    last_at, last_bytes = clock.monotonic(), 0

    def listen(progress: Progress) -> None:
        nonlocal last_at, last_bytes
        elapsed_s = clock.monotonic() - last_at
        if elapsed_s < every_s:
            return
        rate = max(0, progress.bytes_done - last_bytes) / elapsed_s
        last_at, last_bytes = clock.monotonic(), progress.bytes_done
        context.log_event(
            dg.AssetObservation(
                asset_key=context.asset_key,
                partition=context.partition_key,
                metadata=progress_metadata(progress, bytes_per_second=rate),
            )
        )

    return listen


def log_sizes(context: dg.AssetExecutionContext, clock: Clock) -> Callable[[int, int], None]:
    """A listener that logs how many formulae's sizes are known every half minute at most."""
    return log_count(context, clock, "Sizes: {done:,} of {total:,} formulae")


def log_indexes(context: dg.AssetExecutionContext, clock: Clock) -> Callable[[int, int], None]:
    """A listener that logs how many of the missing indexes were asked for every half minute at most."""
    return log_count(context, clock, "Indexes: {done:,} of {total:,}")


def log_count(context: StepContext, clock: Clock, text: str) -> Callable[[int, int], None]:
    """A listener that logs `text` with how many are `done` of the `total` every half minute at most."""
    last_at = clock.monotonic()

    def listen(done: int, total: int) -> None:
        nonlocal last_at
        if clock.monotonic() - last_at >= _LOG_EVERY_S:
            last_at = clock.monotonic()
            context.log.info(text.format(done=done, total=total))

    return listen
