"""Tables of the measured runs, the goals, and the machine they ran on, as Markdown."""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from statistics import median

import psutil

from benchmarks.conditions import SINK_MS, UPSTREAM_MS, Condition
from benchmarks.peers import TOOLS, WORKERS, program_version
from benchmarks.runs import Run

_COLUMNS = (
    "tool",
    "wall s (min-max)",
    "MB/s",
    "obj/s",
    "client CPU s",
    "CPU s/GB",
    "server CPU s",
    "peak MiB",
    "ok",
)


@dataclass(slots=True, kw_only=True)
class TableResult:
    """All runs of one table: `runs[tool][round]`."""

    name: str
    condition: Condition
    objects: int
    total_bytes: int
    runs: dict[str, list[Run]] = field(default_factory=dict)
    load: float = 0.0

    @property
    def is_ok(self) -> bool:
        return all(run.is_ok for runs in self.runs.values() for run in runs)


def set_table(result: TableResult) -> str:
    """One row per tool, the fastest first; medians of the runs that delivered everything."""
    rounds = max(len(runs) for runs in result.runs.values())
    lines = [
        f"### {result.condition.title}: {result.objects:,} blobs, {result.total_bytes / 1e6:,.0f} MB, "
        f"{rounds} interleaved {'run' if rounds == 1 else 'runs'}, load {result.load:.1f}",
        "",
        _row(_COLUMNS),
        _row(["---"] * len(_COLUMNS)),
    ]
    rows = []
    for tool, runs in result.runs.items():
        good = [run for run in runs if run.is_ok]
        is_ok = len(good) == len(runs)
        figures = _figures(result, good) if good else ["-"] * (len(_COLUMNS) - 2)
        wall_s = median(run.wall_s for run in good) if good else inf
        rows.append((wall_s, [TOOLS[tool].label, *figures, "yes" if is_ok else "NO"]))
    lines += [_row(cells) for _, cells in sorted(rows)]
    return "\n".join(lines)


def _figures(result: TableResult, runs: list[Run]) -> list[str]:
    walls = [run.wall_s for run in runs]
    wall_s = median(walls)
    cpu_s = median(run.client_cpu_s for run in runs)
    return [
        f"{wall_s:.2f} ({min(walls):.2f}-{max(walls):.2f})",
        f"{result.total_bytes / 1e6 / wall_s:.0f}",
        f"{result.objects / wall_s:.1f}" if result.objects < 100 else f"{result.objects / wall_s:.0f}",
        f"{cpu_s:.2f}",
        f"{cpu_s / (result.total_bytes / 1e9):.2f}",
        f"{median(run.server_cpu_s for run in runs):.2f}",
        f"{max(run.peak_mib for run in runs):.0f}",
    ]


def goals_table(results: list[TableResult]) -> str:
    """Each goal, the figure found, and whether it is met. Ratios are medians over the rounds."""
    by_name = {result.name: result for result in results}

    def ratio(name: str, peer: str, figure: Callable[[Run], float]) -> list[float]:
        runs = by_name[name].runs if name in by_name else {}
        pairs = zip(runs.get("ours", []), runs.get(peer, []), strict=False)
        return [figure(ours) / figure(theirs) for ours, theirs in pairs if ours.is_ok and theirs.is_ok]

    def wall(run: Run) -> float:
        return run.wall_s

    cpu = ratio("mixed", "aria2", lambda run: run.client_cpu_s)
    rate = ratio("small", "rclone", lambda run: 1 / run.wall_s)
    far = "small at a distance, no redirect"
    peaks = [run.peak_mib for result in results for run in result.runs.get("ours", []) if run.is_ok]
    rows = [
        _goal("mixed: client CPU s/GB, as a part of aria2 then s5cmd's", cpu, 0.38),
        _goal("small: objects per second, as a part of rclone's", rate, 0.9, is_floor=True),
        _goal("large: wall time, as a part of rclone's", ratio("large", "rclone", wall), 0.8),
        _goal(f"{far}: wall time, as a part of aria2 then s5cmd's", ratio("distance", "aria2", wall), 0.95),
        _goal(f"{far}: wall time, as a part of rclone's", ratio("distance", "rclone", wall), 0.5),
        _goal("peak memory of one process, all sets, MiB", [max(peaks)] if peaks else [], 96, digits=0),
    ]
    head = [_row(["goal", "limit", "found (min-max)", "met"]), _row(["---"] * 4)]
    return "\n".join(["### Goals", "", *head, *rows])


def distance_account(result: TableResult) -> str:
    """Of what our wall time at a distance consists; empty where there is no distance, or no run of ours."""
    condition = result.condition
    walls = [run.wall_s for run in result.runs.get("ours", []) if run.is_ok]
    if not condition.upstream_ms or not walls:
        return ""
    far_s = condition.upstream_ms / 1000
    waiting_s = condition.hops * far_s * result.objects / WORKERS
    # TCP takes one time there and back, TLS 1.3 another one; the connections are made side by side.
    trips = 2 if condition.tls else 1
    setting_up_s = trips * (condition.hops * far_s + condition.sink_ms / 1000)
    rest_s = median(walls) - waiting_s - setting_up_s
    hops = "1 hop" if condition.hops == 1 else f"{condition.hops} hops"
    return (
        f"Of the {median(walls):.1f} s of brew-mirror in “{condition.title}”, {waiting_s:.2f} s are the "
        f"distance itself ({hops} x {condition.upstream_ms:.0f} ms x {result.objects:,} bottles / {WORKERS} "
        f"downloads at a time), {setting_up_s:.2f} s the set-up of the first connections ({trips} x there "
        f"and back, to each host), and {rest_s:.1f} s what remains: the start of the process, the work on "
        "the bottles, receipts, manifest and report."
    )


def _goal(name: str, found: list[float], limit: float, *, is_floor: bool = False, digits: int = 2) -> str:
    bound = f"at {'least' if is_floor else 'most'} {limit:g}"
    if not found:
        return _row([name, bound, "not measured", "not measured"])
    figure = median(found)
    is_met = figure >= limit if is_floor else figure <= limit
    spread = f" ({min(found):.{digits}f}-{max(found):.{digits}f})" if len(found) > 1 else ""
    return _row([name, bound, f"{figure:.{digits}f}{spread}", "yes" if is_met else "no"])


def machine(programs: set[str], *, is_memory: bool) -> str:
    """The machine and the versions, as a list without host names or paths."""
    cores = os.cpu_count()
    memory_gib = psutil.virtual_memory().total / 2**30
    lines = [
        f"Date: {datetime.now(UTC):%Y-%m-%d}",
        f"Machine: {cores} cores, {_cpu_model()}, {memory_gib:.0f} GiB of memory",
        f"System: {platform.system()} {platform.release()} ({platform.machine()}), "
        f"Python {platform.python_version()}",
        "Programs: " + "; ".join(program_version(name) for name in sorted(programs)),
        f"Files of the upstream and of aria2: {'in memory (tmpfs)' if is_memory else 'on disk'}",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def document(results: list[TableResult], programs: set[str], *, is_memory: bool) -> str:
    """The whole report."""
    parts = [
        "Work: copy every blob of a set from an upstream (nginx, path shape of GHCR) into an S3-shaped sink "
        "that reads and drops them, so that the client's cost shows. All is on loopback and, where its "
        "title says so, under TLS: nginx "
        "ends it on both sides, and every tool trusts the same authority, which is made for the run. "
        "Each tool is told to be quiet. "
        f"Each tool gets {WORKERS} downloads at a time and a fresh process per run. "
        "`brew-mirror` carries out a plan made beforehand, as its peers carry out a list, verifies SHA-256 "
        "and keeps receipts, manifest and report; "
        "aria2 downloads to files and verifies their SHA-256, s5cmd uploads them; "
        "rclone verifies nothing and does less work.",
        "Medians of interleaved runs; peak is the largest resident size of any one client process. "
        "The ratios of one such run are its result, not the times: compare those only inside one table.",
        f"At a distance: {UPSTREAM_MS:.0f} ms there and back to the registry and its CDN, {SINK_MS:.0f} ms "
        "to the bucket, by a relay on loopback that delays each direction by half of that, and a new "
        "connection by one time there and back, as its handshake would. It limits no throughput, and its CPU "
        "time is counted to nobody.",
        machine(programs, is_memory=is_memory),
        *[set_table(result) for result in results],
        *[text for result in results if (text := distance_account(result))],
        goals_table(results),
    ]
    return "\n\n".join(parts)


def write_block(path: Path, block: str, *, name: str = "throughput") -> None:
    """Replace what stands between the markers of this name; they are appended where they are absent."""
    begin_mark, end_mark = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    text = path.read_text() if path.exists() else "# Performance\n"
    before, begin, rest = text.partition(begin_mark)
    _, end, after = rest.partition(end_mark)
    if begin and not end:
        raise ValueError(f"{path.name} has {begin_mark} but no {end_mark}")
    if not begin:
        before, after = text.rstrip("\n") + "\n\n", "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{before}{begin_mark}\n{block}\n{end_mark}{after}")


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
