"""One run of one tool: a fresh process tree, its cost, and whether everything arrived."""

import json
import os
import shutil
import signal
import subprocess
import sys
from base64 import b64decode
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure
from benchmarks.conditions import Place
from benchmarks.peers import Job, Tool
from benchmarks.sets import WorkSet
from benchmarks.sink import Sink

_TIMEOUT_S = 900
_LOG_TAIL_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run cost. `problem` is empty when every object arrived with its size."""

    wall_s: float
    client_cpu_s: float
    server_cpu_s: float
    peak_mib: float
    requests: dict[str, int]
    problem: str

    @property
    def is_ok(self) -> bool:
        return not self.problem


def run_tool(tool: Tool, work_set: WorkSet, place: Place, scratch: Path) -> Run:
    """Run a tool against a forgetful sink; `scratch` is created and removed."""
    sink = place.sink
    sink.reset()
    scratch.mkdir()
    try:
        job = Job(work_set=work_set, place=place, scratch=scratch)
        commands = tool.prepare(job)
        log = scratch / "output.log"
        env = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", **commands.env}
        env |= {"HOME": str(scratch), "TMPDIR": str(scratch)}
        order = {"stages": commands.stages, "env": env, "log": str(log), "folder": str(scratch)}
        before = place.server_cpu_s()
        found = _measured(order)
        server_cpu_s = place.server_cpu_s() - before
        stages = found["stages"]
        problem = _failed_stage(commands.stages, stages, log) or _missing(work_set, sink, tool.bucket)
        return Run(
            wall_s=found["wall_s"],
            client_cpu_s=sum(stage["cpu_s"] for stage in stages),
            server_cpu_s=server_cpu_s,
            peak_mib=max(stage["peak_kib"] for stage in stages) / 1024,
            requests=sink.requests(),
            problem=problem,
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _measured(order: Mapping[str, object]) -> measure.Measured:
    """What the measuring program found; it and its children are ended when this is interrupted."""
    launcher = subprocess.Popen(
        [sys.executable, "-I", "-S", measure.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = launcher.communicate(json.dumps(order), timeout=_TIMEOUT_S)
    except BaseException:
        # The launcher leads a group that holds only itself and the commands of this run.
        os.killpg(launcher.pid, signal.SIGKILL)
        launcher.wait()
        raise
    if launcher.returncode:
        raise RuntimeError(f"the measuring program ended with code {launcher.returncode}")
    found: measure.Measured = json.loads(output)
    return found


def _failed_stage(planned: list[list[str]], done: list[measure.Stage], log: Path) -> str:
    code = done[-1]["code"]
    if not code:
        return ""
    name = Path(planned[len(done) - 1][0]).name
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])
    return f"{name} ended with code {code}; the end of its output:\n{tail}"


def _missing(work_set: WorkSet, sink: Sink, bucket: str) -> str:
    """What the sink did not receive as it should; empty when all is there."""
    received = sink.received(bucket)
    wanted = Counter(blob.size for blob in work_set.blobs)
    found = Counter(size for _, size, _ in received)
    if found != wanted:
        return (
            f"the sink received {found.total()} of {wanted.total()} objects and "
            f"{sum(size for _, size, _ in received)} of {work_set.total_bytes} bytes"
        )
    checksums = {blob.sha256 for blob in work_set.blobs}
    wrong = [key for key, _, checksum in received if checksum and b64decode(checksum).hex() not in checksums]
    return f"{len(wrong)} objects came with a wrong checksum, first {wrong[0]}" if wrong else ""
