"""What a process has written, read from its file: complete as soon as the process has written it."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# moto's backend of CloudWatch Logs; its classes are moto's own business.
LogsBackend = Any


class OutputFile:
    """A file that a process appends to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def size(self) -> int:
        """Bytes written until now."""
        return self.path.stat().st_size if self.path.exists() else 0

    def since(self, offset: int, *, most: int = 1 << 62) -> str:
        """What was written from there on, only the end of it when it is longer than `most` bytes."""
        if not self.path.exists():
            return ""
        with self.path.open("rb") as file:
            file.seek(max(offset, self.size() - most))
            return file.read().decode("utf-8", "replace")


class LogStream:
    """One stream of CloudWatch Logs."""

    def __init__(self, backend: LogsBackend, group: str, name: str) -> None:
        self._backend = backend
        self._group = group
        self.name = name

    def put(self, lines: list[str]) -> None:
        """The lines stand in the stream, in this order."""
        now_ms = int(time.time() * 1000)
        # 10,000 events is the most that one PutLogEvents takes.
        for start in range(0, len(lines), 10_000):
            events = [
                {"timestamp": now_ms, "message": line} for line in lines[start : start + 10_000] if line
            ]
            if events:
                self._backend.put_log_events(self._group, self.name, events)


class LogForwarder:
    """Passes whole lines of an output file on to a log stream, a few times per second."""

    def __init__(
        self, output: OutputFile, put: Callable[[list[str]], None], *, every_s: float = 0.25
    ) -> None:
        self._output = output
        self._put = put
        self._every_s = every_s
        self._ended = threading.Event()
        self._offset = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """All that was written stands in the stream."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            self._forward(last=False)
        self._forward(last=True)

    def _forward(self, *, last: bool) -> None:
        if self._output.size() <= self._offset:
            return
        with self._output.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        if not last:
            data = data[: data.rfind(b"\n") + 1]
        self._offset += len(data)
        if data:
            self._put(data.decode("utf-8", "replace").splitlines())
