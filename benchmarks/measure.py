"""Runs commands one after the other and prints what they cost, as JSON.

A program of its own, started with `python -I -S`: on Linux the peak of a new process is at least
that of the process that started it, so the one that starts must be small.
"""

import json
import os
import sys
import time
from typing import TypedDict


class Stage(TypedDict):
    """What one command cost."""

    code: int
    cpu_s: float
    peak_kib: int


class Measured(TypedDict):
    """What all commands cost; the last stage is the one that failed, if one did."""

    wall_s: float
    stages: list[Stage]


def run(stages: list[list[str]], env: dict[str, str], log: str) -> Measured:
    """Run commands in turn, up to the first that fails."""
    # ru_maxrss counts bytes on macOS and KiB elsewhere.
    unit = 1024 if sys.platform == "darwin" else 1
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    done: list[Stage] = []
    start = time.perf_counter()
    for argv in stages:
        pid = os.posix_spawn(argv[0], argv, env, file_actions=actions)
        _, status, usage = os.wait4(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        cpu_s = usage.ru_utime + usage.ru_stime
        done.append({"code": code, "cpu_s": cpu_s, "peak_kib": usage.ru_maxrss // unit})
        if code:
            break
    return {"wall_s": time.perf_counter() - start, "stages": done}


if __name__ == "__main__":
    order = json.load(sys.stdin)
    os.chdir(order["folder"])
    json.dump(run(order["stages"], order["env"], order["log"]), sys.stdout)
