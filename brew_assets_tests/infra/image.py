"""The image without Docker: its build context, its build script run into a folder, its programs started."""

import fnmatch
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
IMAGE = ROOT / "infra" / "image"
DOCKERFILE = (IMAGE / "Dockerfile").read_text(encoding="utf-8")
NOBODY = 65534

T = TypeVar("T")


def instructions(name: str) -> list[str]:
    """The arguments of the Dockerfile's instructions of that name, in order."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith(f"{name} ")]


def in_context(path: Path, rules: str | None = None) -> bool:
    """Whether Docker would send the file to the build: the last rule for it or a folder above it decides."""
    text = (ROOT / ".dockerignore").read_text(encoding="utf-8") if rules is None else rules
    parts = path.relative_to(ROOT).parts
    above = ["/".join(parts[: number + 1]) for number in range(len(parts))]
    sent = True
    for rule in (line.strip() for line in text.splitlines()):
        pattern = rule.removeprefix("!")
        if rule and not rule.startswith("#") and any(_matches(name, pattern) for name in above):
            sent = rule.startswith("!")
    return sent


def _matches(name: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch.fnmatch(name.rsplit("/", 1)[-1], pattern.removeprefix("**/"))
    return name.count("/") == pattern.count("/") and fnmatch.fnmatch(name, pattern)


def copy_context(target: Path) -> Path:
    """A folder with what the Dockerfile copies into the build, and nothing else."""
    for line in instructions("COPY"):
        *sources, destination = line.split()
        if line.startswith("--from"):
            continue
        for source in sources:
            place = target / destination / Path(source).name if destination == "./" else target / destination
            for path in [ROOT / source, *sorted((ROOT / source).rglob("*"))]:
                if path.is_file() and in_context(path):
                    copy = place / path.relative_to(ROOT / source)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(path, copy)
    return target


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Mode, size and time of everything in the folder."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        size = 0 if path.is_dir() else status.st_size
        found[path.relative_to(folder).as_posix()] = (status.st_mode, size, status.st_mtime_ns)
    return found


def unprivileged() -> int | None:
    """The user that programs are started as; None where the tests' own user is no root either."""
    return NOBODY if os.geteuid() == 0 else None


def find_python() -> str:
    """A Python with pip whose files the programs' user can read; this one where it can."""
    versions = [f"python3.{minor}" for minor in range(11, 15)]
    folders = ("/usr/local/bin", "/usr/bin")
    for candidate in [sys.executable, *(f"{folder}/{name}" for name in versions for folder in folders)]:
        if Path(candidate).exists() and (unprivileged() is None or _open_to_all(Path(candidate))):
            found = subprocess.run([candidate, "-m", "pip", "--version"], capture_output=True, check=False)
            if found.returncode == 0:
                return candidate
    raise RuntimeError("expected a Python 3.11 to 3.14 with pip that every user can start; found none")


def _open_to_all(program: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in program.resolve().parents)


def build(context: Path, target: Path) -> None:
    """Runs the script that the Dockerfile runs.

    Raises:
        RuntimeError: it failed; the message has what it printed.
    """
    environment = os.environ | {"PYTHON": find_python()}
    done = subprocess.run(
        [str(context / "infra/image/build"), str(target)],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"infra/image/build failed: {done.stdout[-1000:]}{done.stderr[-3000:]}")


class Program:
    """A program of the image that is running, in a process group of its own."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        user = unprivileged()
        # Dagster ends on SIGTERM as it would on SIGINT; an ignored SIGINT would be passed on to the program.
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                list(command),
                cwd="/",
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                user=user,
                group=user,
                extra_groups=[] if user else None,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, look: Callable[[], T | None], what: str, timeout_s: float = 150) -> T:
        """The first true answer of `look`.

        Raises:
            AssertionError: the program ended, or it took too long.
        """
        deadline = time.monotonic() + timeout_s
        while not (found := look()):
            ended = self.process.poll()
            assert ended is None, f"ended with {ended} before {what}: {self.output[-3000:]}"
            assert time.monotonic() < deadline, f"no {what} within {timeout_s} s: {self.output[-3000:]}"
            time.sleep(0.1)
        return found

    def wait(self, timeout_s: float = 150) -> int:
        """The exit code of a program that ends by itself."""
        return self.process.wait(timeout_s)

    def stop(self, timeout_s: float = 20) -> int:
        """The exit code after SIGTERM to the one process that was started, as ECS sends it.

        Raises:
            subprocess.TimeoutExpired: it did not end well before the services' stopTimeout of 60 s.
        """
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def close(self) -> None:
        """Nothing of it runs any more."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def user_of(process: "subprocess.Popen[Any]") -> int:
    """Who runs the process."""
    return Path(f"/proc/{process.pid}").stat().st_uid
