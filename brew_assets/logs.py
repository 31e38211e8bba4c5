"""Log lines: one JSON object each where programs read them, text where a person does.

Both carry the same facts: those of the line itself (`extra`) and those bound around it (log_context.py).
Only our own loggers ever write below WARNING: httpx logs whole addresses, botocore and urllib3 headers.
"""

import logging
import os
import sys
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from typing import Any, TextIO

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from brew_assets.domain.foreign_text import encodable, printable, printable_lines
from brew_assets.engine.log_context import bound_facts
from brew_assets.settings import Settings

OURS = "brew_assets"
_LIBRARIES = ("boto3", "botocore", "httpcore", "httpx", "s3transfer", "urllib3")
# AWS's runtime client puts a handler on the root logger before any code of ours runs.
_RUNTIME_CLIENT = "awslambdaric"
# They warn with a traceback of a refresh that failed, whose last line may have an answer with keys in it.
_CREDENTIALS = ("botocore.credentials", "botocore.tokens")
# So many lines of a kind on single bottles a terminal shows; the report at the end has the failures.
_LINES_OF_A_KIND = 20
# A progress bar may stand in the terminal's line: the line is erased, and the bar drawn anew below.
_ERASE_LINE = "\r\x1b[2K"
# The facts at the end of a line of text, and how they are called there.
_WHERE = {"sync_id": "sync", "platform": "platform", "bottle": "bottle"}
_NO_FACTS = frozenset({*RESERVED_ATTRS, "taskName"})


def configure_logging(
    settings: Settings, *, stream: TextIO | None = None, overview: bool = False, quiet: bool = False
) -> logging.Handler:
    """This process logs to `stream` (default: its standard error) as LOG_FORMAT and LOG_LEVEL say.

    With `overview` no line says of a single bottle that it is stored, unless LOG_LEVEL is DEBUG. If `quiet`,
    whatever LOG_LEVEL is, nothing is written that is no warning or error.

    What comes back writes the lines; it can be given to loggers that have no parent. Called again it changes
    nothing unless settings or stream differ: whether somebody looks on is decided the first time, before
    anybody redirects the output.
    """
    level = logging.getLevelName(settings.log_level)
    if quiet:
        level = max(level, logging.WARNING)
    root = logging.getLogger()
    logging.getLogger(OURS).setLevel(level)
    root.setLevel(max(level, logging.WARNING))
    for library in _LIBRARIES:
        logging.getLogger(library).setLevel(max(level, logging.WARNING))
    target = stream or sys.__stderr__ or sys.stderr or _nowhere()
    wanted = (settings.log_format, level, id(target))
    found = [handler for handler in root.handlers if isinstance(handler, LineHandler)]
    if found and found[0].made_for == wanted:
        return found[0]
    made = _handler(settings.log_format, level, target, overview=overview)
    made.made_for = wanted
    for handler in list(root.handlers):
        if isinstance(handler, LineHandler):
            root.removeHandler(handler)
        elif type(handler).__module__.startswith(_RUNTIME_CLIENT):
            # Every line would come twice. Its filter knows the request's id.
            root.removeHandler(handler)
            made.filters.extend(handler.filters)
    root.addHandler(made)
    return made


@cache
def _nowhere() -> TextIO:
    """A stream for a process whose standard error is closed."""
    return open(os.devnull, "w", encoding="utf-8")


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes each record as one line, at once and whole, so that lines of several processes do not mix."""

    made_for: tuple[str, int, int] = ("", 0, 0)

    def __init__(self, stream: TextIO, *, erases: bool = False) -> None:
        super().__init__(stream)
        self._before = _ERASE_LINE if erases else ""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.stream.write(f"{self._before}{self.format(record)}\n")
            self.flush()
        except Exception:  # a log that cannot be written ends nothing
            self.handleError(record)


def _handler(log_format: str, level: int, target: TextIO, *, overview: bool) -> LineHandler:
    terminal = target.isatty()
    handler = LineHandler(target, erases=terminal)
    handler.addFilter(_is_to_be_written)
    handler.addFilter(_name_credentials_failure)
    handler.addFilter(_add_bound_facts)
    as_json = log_format == "json" or (log_format == "auto" and not terminal)
    handler.setFormatter(JsonLines() if as_json else TextLines())
    by_a_person = terminal and not as_json
    if level > logging.DEBUG and (by_a_person or overview):
        handler.addFilter(_Overview(most=_LINES_OF_A_KIND if by_a_person else None))
    return handler


def _is_to_be_written(record: logging.LogRecord) -> bool:
    """Whether a record is ours, or a warning of a library that no handler below the root writes."""
    if record.name.startswith(OURS):
        return True
    if record.levelno < logging.WARNING:
        return False
    logger: logging.Logger | None = logging.Logger.manager.loggerDict.get(record.name)  # type: ignore[assignment]
    while isinstance(logger, logging.Logger) and logger.parent is not None:
        # Libraries give their loggers one that does nothing.
        if any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            return False
        logger = logger.parent
    return True


def _name_credentials_failure(record: logging.LogRecord) -> bool:
    """True; what credentials failed by is a fact of the record, in our words, and no traceback."""
    if record.name in _CREDENTIALS and record.exc_info:
        # botocore has been imported by whoever logs this.
        from brew_assets.adapters.aws.credentials import credentials_failure

        error = record.exc_info[1]
        record.__dict__["error"] = credentials_failure(error).message if error else ""
        record.exc_info = record.exc_text = None
    return True


def _add_bound_facts(record: logging.LogRecord) -> bool:
    """True; the record has the bound facts. Its own win."""
    for name, value in bound_facts().items():
        record.__dict__.setdefault(name, value)
    return True


class _Overview(logging.Filter):
    """What a person can read while a sync runs: the bar, or the result, has the bottles that are stored.

    Of the lines of a kind on single bottles at most so many are shown; None means all.
    """

    def __init__(self, *, most: int | None) -> None:
        super().__init__()
        self._most = most
        self._shown: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        if "bottle" not in record.__dict__:
            return True
        if record.levelno < logging.WARNING:
            return False
        if self._most is None:
            return True
        kind = record.msg
        self._shown[kind] += 1
        if self._shown[kind] == self._most:
            record.msg += " (further lines of this kind are left out; LOG_LEVEL=DEBUG shows them)"
        return self._shown[kind] <= self._most


class JsonLines(JsonFormatter):
    """One object in one line of ASCII: whoever cuts a log's tail by bytes cuts no character."""

    def __init__(self) -> None:
        super().__init__(
            ["timestamp", "levelname", "name", "message"],
            rename_fields={"levelname": "level", "name": "logger", "exc_info": "exception"},
            reserved_attrs=sorted(_NO_FACTS),
            timestamp=True,
        )

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return {name: encodable(value) for name, value in log_data.items() if value is not None}


class TextLines(logging.Formatter):
    """Time, level, message and error, then the facts as `name=value`, those that say where last."""

    def format(self, record: logging.LogRecord) -> str:
        facts = {
            name: value
            for name, value in record.__dict__.items()
            if name not in _NO_FACTS and name not in _WHERE and value is not None
        }
        message = printable(record.getMessage())
        if error := facts.pop("error", None):
            message += f": {printable(str(error))}"
        facts |= {
            _WHERE[name]: record.__dict__[name] for name in _WHERE if record.__dict__.get(name) is not None
        }
        when = datetime.fromtimestamp(record.created, UTC)
        named = [f"{name}={_quoted(value)}" for name, value in facts.items()]
        line = " ".join([f"{when:%Y-%m-%d %H:%M:%S}Z", record.levelname, message, *named])
        trace = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        # Set in, so that no line of an exception's text can pass for a record.
        return "\n".join([line, *_trace_lines(trace)]) if trace else line


def _trace_lines(trace: str) -> list[str]:
    first, *others = printable_lines(trace).split("\n")
    return [first, *(f"  {line}" for line in others)]


def _quoted(value: object) -> str:
    text = printable(str(value))
    if text and " " not in text and '"' not in text:
        return text
    inner = text.replace('"', '\\"')
    return f'"{inner}"'
