"""What runs print: Dagster's events and `context.log`, as lines like all others, with run, job and step.

The lines of single bottles are printed only: they are not events, and Dagster's database never sees them.
"""

import logging
from typing import Any

import dagster as dg
import dagster._loggers

from brew_assets.defs.tags import ROUTE_TAG, SYNC_ID_TAG
from brew_assets.logs import OURS, configure_logging
from brew_assets.settings import read_settings

PARTITION_TAG = "dagster/partition"
_CONFIG = {
    "log_level": dg.Field(str, default_value="DEBUG", description="Least severity; LOG_LEVEL bounds it.")
}


@dg.logger(_CONFIG, description="Lines on standard error: JSON, or text in a terminal (LOG_FORMAT).")
def run_lines(context: dg.InitLoggerContext) -> logging.Logger:
    """A logger with our handler and no parent."""
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

    Definitions only offers loggers to runs whose config names one. All others, such as every materialization
    from the UI and every backfill, take Dagster's own (https://github.com/dagster-io/dagster/issues/20084),
    which is looked up by this name in each run (dagster/_loggers/__init__.py, default_system_loggers).
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
