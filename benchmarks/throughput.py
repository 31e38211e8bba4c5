"""Compares the mirror with the tools a user would pick instead.

python -m benchmarks.throughput [--tables mixed,small,large,distance,distance-tls,redirect] [--runs 3]
                                [--tools ours,rclone,aria2] [--output docs/performance.md]

Ends with 0 when every run delivered everything, 1 when one did not, 2 when something is missing.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks import report, sets
from benchmarks.conditions import CONDITIONS, arranged
from benchmarks.peers import TOOLS, find_program, missing_programs
from benchmarks.runs import Run, run_tool

_MEMORY_FOLDER = Path("/dev/shm")
_SPARE_BYTES = 512 << 20


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the tables, and return the exit code."""
    options = _options(arguments)
    programs = {"nginx", *(program for tool in options.tools for program in TOOLS[tool].programs)}
    if missing := missing_programs(programs):
        _say("\n".join(missing))
        return 2
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    needed = max(sets.total_bytes(CONDITIONS[name].set_name) for name in options.tables)
    folder = roomy_folder(needed * (2 if "aria2" in options.tools else 1) + _SPARE_BYTES)
    if folder is None:
        return 2
    results = []
    for name in options.tables:
        with temporary(folder) as scratch:
            results.append(_measure(name, options.tools, options.runs, scratch))
    block = report.document(results, programs, is_memory=folder == _MEMORY_FOLDER)
    print(block)
    if options.output is not None:
        report.write_block(options.output, block)
    return 0 if all(result.is_ok for result in results) else 1


def _measure(name: str, tools: list[str], rounds: int, scratch: Path) -> report.TableResult:
    """All rounds of one table: in each, every tool once, and another tool first each time."""
    start = time.perf_counter()
    condition = CONDITIONS[name]
    work_set = sets.build(condition.set_name, scratch / "upstream")
    total = work_set.total_bytes
    result = report.TableResult(
        name=name, condition=condition, objects=len(work_set.blobs), total_bytes=total
    )
    result.runs = {tool: [] for tool in tools}
    built_s = time.perf_counter() - start
    _say(f"{name}: {result.objects:,} blobs, {total / 1e6:,.0f} MB written in {built_s:.1f} s")
    nginx = find_program("nginx")
    assert nginx is not None
    with arranged(condition, nginx, work_set, scratch) as place:
        for number in range(rounds):
            first = number % len(tools)
            for tool in tools[first:] + tools[:first]:
                if scratch.parent == _MEMORY_FOLDER:
                    _touch(scratch / "touched", min(2 * total, shutil.disk_usage(scratch).free // 2))
                run = run_tool(TOOLS[tool], work_set, place, scratch / "run")
                result.runs[tool].append(run)
                _say(f"{name} {number + 1}/{rounds} {tool}: {_line(run)}")
    result.load = os.getloadavg()[0]
    return result


def _touch(path: Path, count: int) -> None:
    """Write and remove `count` bytes.

    A virtual machine may give free memory back to its host; whoever uses it next pays for it.
    Without this aria2's files would be charged with up to 3 CPU seconds per GB of that.
    """
    piece = bytes(1 << 20)
    with path.open("wb", buffering=0) as file:
        for _ in range(0, count, len(piece)):
            file.write(piece)
    path.unlink()


def _line(run: Run) -> str:
    requests = ", ".join(f"{count} {method}" for method, count in sorted(run.requests.items()))
    line = (
        f"{run.wall_s:.2f} s, client CPU {run.client_cpu_s:.2f} s, server CPU {run.server_cpu_s:.2f} s, "
        f"peak {run.peak_mib:.0f} MiB, sink saw {requests or 'no request'}"
    )
    return line if run.is_ok else f"{line}; NOT OK: {run.problem}"


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.throughput", description=(__doc__ or "").partition("\n")[0]
    )
    known, known_tools = list(CONDITIONS), list(TOOLS)
    parser.add_argument("--tables", type=_some_of(known), default=known, help=",".join(known))
    parser.add_argument(
        "--tools", type=_some_of(known_tools), default=known_tools, help=",".join(known_tools)
    )
    parser.add_argument("--runs", type=_positive, default=3, help="rounds per table")
    parser.add_argument("--output", type=Path, help="file whose marked block is replaced")
    return parser.parse_args(arguments)


def _some_of(known: list[str]) -> Callable[[str], list[str]]:
    """A parser of comma-separated names that are all known."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        return list(dict.fromkeys(names))

    return parse


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


@contextmanager
def temporary(folder: Path) -> Iterator[Path]:
    """A new folder below `folder`, which is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="brew-mirror-bench-", dir=folder))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def roomy_folder(needed: int) -> Path | None:
    """Shared memory if it has room for `needed` bytes, else the temporary folder, else None."""
    if _MEMORY_FOLDER.is_dir() and os.access(_MEMORY_FOLDER, os.W_OK):
        # Files there are memory: leave a quarter of what is available to the programs.
        free = min(shutil.disk_usage(_MEMORY_FOLDER).free, psutil.virtual_memory().available * 3 // 4)
        if free >= needed:
            return _MEMORY_FOLDER
    folder = Path(tempfile.gettempdir())
    free = shutil.disk_usage(folder).free
    if free >= needed:
        return folder
    _say(f"The temporary folder has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed; set TMPDIR.")
    return None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
