"""What the log of a sensor's tick says: Dagster's UI shows only what was written to the context's own log."""

import logging

import dagster as dg


def log_of(context: dg.SensorEvaluationContext) -> list[str]:
    """The lines that are written to the tick's log from now on."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    context.log.addHandler(Lines())
    return lines
