"""Processes of tasks and Lambda environments: a group each, none of which outlives Local AWS."""

import contextlib
import os
import signal
import subprocess
import threading
from pathlib import Path

from brew_assets.demo_processes import Reaper


class Processes:
    """Starts process groups and ends them; a reaper ends them when this process is killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: set[int] = set()
        self._closed = False
        self._reaper = Reaper()

    def start(
        self, command: list[str], *, environment: dict[str, str], folder: Path, output: Path
    ) -> "Process":
        """The command in a session of its own, with default signals; both outputs go to the file.

        Raises:
            OSError: the command cannot be started.
        """
        with self._lock:
            if self._closed:
                raise OSError("Local AWS is ending")
            with output.open("ab") as file:
                # Signals that Python handles are at their default in the new program: what this process
                # ignores stays ignored, so __main__ handles SIGINT and SIGTERM.
                process = subprocess.Popen(
                    command,
                    env=environment,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._groups.add(process.pid)
            self._reaper.watch(process.pid)
        return Process(self, process)

    def close(self) -> None:
        """Every group is killed, and none can be started any more."""
        with self._lock:
            self._closed = True
            groups = list(self._groups)
        for group in groups:
            _kill_group(group)
        self._reaper.close()

    def forget(self, group: int) -> None:
        """The group has ended."""
        with self._lock:
            if group in self._groups:
                self._groups.discard(group)
                self._reaper.forget(group)


class Process:
    """One started program and what belongs to its group."""

    def __init__(self, owner: Processes, process: "subprocess.Popen[bytes]") -> None:
        self._owner = owner
        self._process = process
        self.pid = process.pid

    def wait(self) -> int:
        """The exit code (128 + signal for one that was killed); then nothing of its group is left."""
        code = self._process.wait()
        # In a container the end of the first process ends all others.
        _kill_group(self.pid)
        self._owner.forget(self.pid)
        return code if code >= 0 else 128 - code

    def wait_at_most(self, seconds: float) -> bool:
        """Whether it has ended by then."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def terminate(self) -> None:
        """SIGTERM to the first process only, as ECS sends it."""
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL to the whole group."""
        if self._process.poll() is None:
            _kill_group(self.pid)

    def peak_memory_mb(self) -> int:
        """The most memory that the first process has held, 0 where that cannot be read."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) // 1024
        return 0


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
