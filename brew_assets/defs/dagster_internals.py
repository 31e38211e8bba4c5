"""All that this project uses of Dagster's private modules, each with what would make it needless.

The version is pinned exactly, and a test counts the imports.
"""

import logging
from typing import Any

import dagster as dg

# Definitions(loggers=…) counts for runs alone whose config names a logger:
# https://github.com/dagster-io/dagster/issues/20084, and pull request 24338, which is open.
import dagster._loggers

# DagsterInstance.get_backfill is public, but neither its answer nor the statuses in it are: there is no
# dg.BulkActionStatus, and a status that a later version adds has to count as an end there and here.
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES, BulkActionStatus

# A schedule cannot be asked for its times: ScheduleDefinition shows its cron_schedule alone.
# https://github.com/dagster-io/dagster/issues/9501 would have it take an iterator of times, which could be
# asked instead.
from dagster._utils.schedules import schedule_execution_time_iterator

from brew_assets.defs.tags import PARTITION_TAG, ROUTE_TAG, SYNC_ID_TAG
from brew_assets.logs import OURS, configure_logging
from brew_assets.settings import read_settings

__all__ = [
    "BULK_ACTION_TERMINAL_STATUSES",
    "BulkActionStatus",
    "loggers_of_all_runs",
    "run_lines",
    "schedule_execution_time_iterator",
]

_CONFIG = {
    "log_level": dg.Field(str, default_value="DEBUG", description="Least severity; LOG_LEVEL bounds it.")
}


@dg.logger(_CONFIG, description="Lines on standard error: JSON, or text in a terminal (LOG_FORMAT).")
def run_lines(context: dg.InitLoggerContext) -> logging.Logger:
    """Dagster's events and `context.log` as lines like all others, with run, job and step.

    A logger with our handler and no parent. The lines of single bottles are printed only: they are not
    events, and Dagster's database never sees them.
    """
    config: dict[str, Any] = context.logger_config
    settings = read_settings()
    levels = logging.getLevelNamesMapping()
    asked = levels.get(str(config["log_level"]).upper(), logging.DEBUG)
    lines = logging.Logger(f"{OURS}.dagster", max(asked, levels[settings.log_level]))
    lines.addFilter(_flatten)
    lines.addHandler(configure_logging(settings))
    return lines


def loggers_of_all_runs() -> dict[str, dg.LoggerDefinition]:
    """The loggers for Definitions; from now on runs of this process print with them.

    Runs whose config names none, such as every materialization from the UI and every backfill, look up
    Dagster's own logger by this name (dagster/_loggers/__init__.py, default_system_loggers).
    """
    dagster._loggers.colored_console_logger = run_lines
    return {"console": run_lines}


def _flatten(record: logging.LogRecord) -> bool:
    """True; Dagster's nested description of an event or message has become facts of the line."""
    facts = record.__dict__
    event = facts.pop("dagster_event", None)
    facts.pop("dagster_event_batch_metadata", None)
    given = facts.pop("dagster_meta", None)
    if given is None:
        return True
    tags = given["job_tags"]
    record.msg = given["orig_message"]
    found = {
        "sync_id": tags.get(SYNC_ID_TAG),
        "platform": tags.get(PARTITION_TAG),
        "route": tags.get(ROUTE_TAG),
        "run_id": given["run_id"],
        "job": given["job_name"],
        "step": given["step_key"],
        "event": event.event_type_value if event is not None else None,
    }
    facts.update({fact: value for fact, value in found.items() if value})
    if error := getattr(getattr(event, "event_specific_data", None), "error", None):
        record.exc_text = error.to_string()
    return True
