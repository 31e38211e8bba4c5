"""Processes of `make demo` and `make demo-ui`: started, watched, and ended with all that they started."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from brew_assets.engine.clock import SignalEvent, SystemClock
from brew_assets.engine.ports import Clock
from brew_assets.errors import MirrorError

CLOCK = SystemClock()

_LOCK = "demo-ui.running"
_REAPER = Path(__file__).with_name("demo_reaper.py")
_GRACE_S = 15.0
_POLL_S = 0.1
_LAST_LINES = 15
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CannotStart(MirrorError):
    """A program of the demo, or of its UI, has ended or does not answer."""


class DemoRuns(MirrorError):
    """Somebody else's `make demo-ui` has this folder."""

    def __init__(self, where: str, number: str) -> None:
        super().__init__(
            f"make demo-ui runs already: {where or 'it is just starting'}. Ctrl-C there ends it; from "
            f"elsewhere: kill {number}"
        )


@contextlib.contextmanager
def only_one(home: Path) -> Iterator[Path]:
    """Nobody else has the folder while the block lasts; the file is for `note_where`.

    The kernel lets go of it however this process ends. Two daemons on one folder would start runs twice.

    Raises:
        DemoRuns: somebody has it.
    """
    home.mkdir(parents=True, exist_ok=True)
    path = home / _LOCK
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            number, _, where = path.read_text().partition("\n")
            raise DemoRuns(where.strip(), number) from exc
        note_where(path, "")
        try:
            yield path
        finally:
            path.write_text("")


def note_where(path: Path, where: str) -> None:
    """The file of `only_one` has this process's number, for `make demo-clean`, and then where to look."""
    path.write_text(f"{os.getpid()}\n{where}\n")


def port_to_listen_on(wanted: int) -> int:
    """The port, or a free one where somebody else listens there."""
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            # As the webserver does: a port whose last connections have just ended is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    return wanted


@contextlib.contextmanager
def stop_signals() -> Iterator[SignalEvent]:
    """Set once somebody wants the end: Ctrl-C, SIGTERM, or the terminal is closed."""
    wanted = SignalEvent()
    # nohup has said that a closed terminal is no reason to end.
    heeded = [n for n in _STOP_SIGNALS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, lambda *_: wanted.set()) for number in heeded}
    try:
        yield wanted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Reaper:
    """A process that kills the groups it watches over when this one ends without having done so."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", str(_REAPER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
            bufsize=1,
        )

    def watch(self, group: int) -> None:
        """The group will not outlive this process."""
        self._ask(f"+{group}")

    def forget(self, group: int) -> None:
        """The group has ended."""
        self._ask(f"-{group}")

    def close(self) -> None:
        """What it still watches over is killed, and it ends."""
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._process.wait(10)

    def _ask(self, line: str) -> None:
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.write(f"{line}\n")


class Service:
    """A program in a session of its own, so that Ctrl-C reaches it through `end_all` alone."""

    def __init__(
        self, name: str, command: Sequence[str], environment: dict[str, str], log: Path, *, reaper: Reaper
    ) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        reaper.watch(self._process.pid)

    @property
    def has_ended(self) -> bool:
        """Whether the program is no more."""
        return self._process.poll() is not None

    @property
    def has_ended_well(self) -> bool:
        """Whether the program has ended with exit code 0."""
        return self._process.poll() == 0

    def how_it_ended(self) -> str:
        """How it ended, and the last of what it had written."""
        code = self._process.returncode
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        lines = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return "\n".join(
            [f"The {self.name} {how}. The last of {self.log}:", *(f"  {line}" for line in lines)]
        )

    def signal(self, number: int) -> None:
        """To the program and all that it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def is_gone(self) -> bool:
        """Whether nothing of it is left."""
        ended = self.has_ended
        try:
            os.killpg(self._process.pid, 0)
        except (ProcessLookupError, PermissionError):
            return ended
        return False


def end_all(services: Sequence[Service], *, clock: Clock = CLOCK) -> None:
    """They and all that they have started are gone: asked first, killed where that takes too long."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for service in services:
            service.signal(number)
        deadline = clock.monotonic() + _GRACE_S
        while clock.monotonic() < deadline:
            if all(service.is_gone() for service in services):
                return
            clock.wait(_POLL_S)
