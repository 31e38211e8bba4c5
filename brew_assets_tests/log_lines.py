"""The log lines of this process, as configure_logging writes them, for the length of a test."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from brew_assets.logs import OURS, LineHandler, configure_logging
from brew_assets.settings import Settings


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        return True


class Lines:
    """What was written so far."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    def all(self) -> list[dict[str, Any]]:
        """Every line, each of which is a JSON object."""
        return [json.loads(line) for line in self.text.splitlines()]

    def of(self, message: str) -> list[dict[str, Any]]:
        """The lines with that message."""
        return [line for line in self.all() if line["message"] == message]


@contextmanager
def log_lines(settings: Settings | None = None, *, stream: io.StringIO | None = None) -> Iterator[Lines]:
    """The lines that are logged in the block; afterwards logging is as it was before."""
    root, ours = logging.getLogger(), logging.getLogger(OURS)
    before = (root.level, ours.level, [h for h in root.handlers if isinstance(h, LineHandler)])
    written = stream or io.StringIO()
    configure_logging(settings or Settings(), stream=written)
    try:
        yield Lines(written)
    finally:
        for handler in [h for h in root.handlers if isinstance(h, LineHandler)]:
            root.removeHandler(handler)
        for handler in before[2]:
            root.addHandler(handler)
        root.setLevel(before[0])
        ours.setLevel(before[1])
