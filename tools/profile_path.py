"""The path of one piece of work through our files: how deep it is, and how many files it visits.

python -m tools.profile_path bottle    a bottle, from its plan to the manifest of a directory
python -m tools.profile_path tick      a tick of the sensor that notifies, which sends Slack the end of a sync

A file counts when one of its functions is called meanwhile; what is called while modules load does not count.
"""

import argparse
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType

import dagster as dg

from brew_assets.compose.mirror import build_mirror
from brew_assets.domain.plan import Request
from brew_assets.engine.indexes_of_sync import complete_indexes
from brew_assets.engine.noticed_ports import NoticedRegistry
from brew_assets.engine.planner import make_plan
from brew_assets.settings import read_settings
from brew_assets.simulator import Simulator, World

_ROOT = Path(__file__).resolve().parent.parent / "brew_assets"
# It plays upstream, and has threads of its own here.
_NOT_OURS = "simulator/"


@dataclass(slots=True, kw_only=True)
class Trace:
    """What was called while a piece of work was traced, in all its threads.

    `calls` counts the calls of each file of ours, up to the first call of `end`. `before` are the frames of
    ours, the outermost first, that led to the first call of `until`; those of a thread follow those that
    started it.
    """

    until: CodeType | None = None
    end: CodeType | None = None
    ended: bool = False
    calls: Counter[str] = field(default_factory=Counter)
    before: list[str] = field(default_factory=list)
    _started: dict[threading.Thread, list[str]] = field(default_factory=dict)

    def note(self, frame: FrameType, event: str, _: object) -> None:
        """The hook of the interpreter."""
        self.ended |= frame.f_code is self.end
        if event != "call" or self.ended:
            return
        if frame.f_code is threading.Thread.start.__code__:
            self._started[frame.f_locals["self"]] = self._stack(frame.f_back)
        elif (file := _own_file(frame.f_code)) is not None:
            self.calls[file] += 1
            if frame.f_code is self.until and not self.before:
                self.before = self._stack(frame.f_back)

    def _stack(self, frame: FrameType | None) -> list[str]:
        own = []
        while frame is not None:
            if (file := _own_file(frame.f_code)) is not None:
                own.append(f"{file} {frame.f_code.co_qualname}")
            frame = frame.f_back
        return self._started.get(threading.current_thread(), []) + own[::-1]


def _own_file(code: CodeType) -> str | None:
    """The file below the package's folder, None where the code is somebody else's."""
    if code.co_name == "<module>":
        return None
    path = Path(code.co_filename)
    name = path.relative_to(_ROOT).as_posix() if path.is_relative_to(_ROOT) else ""
    return name if name and not name.startswith(_NOT_OURS) else None


@contextmanager
def tracing(until: CodeType | None = None, end: CodeType | None = None) -> Iterator[Trace]:
    """What is called in the block, also by threads that it starts, until `end` is called."""
    trace = Trace(until=until, end=end)
    threading.setprofile(trace.note)
    sys.setprofile(trace.note)
    try:
        yield trace
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def bottle_path() -> Trace:
    """One bottle, copied by its plan from the simulated upstream into a directory, and folded."""
    world = World(seed=1)
    world.publish("wget", "1.25.0", tags=["arm64_sonoma"], size_bytes=50_000)
    with Simulator(world) as upstream, tempfile.TemporaryDirectory() as folder:
        mirror = build_mirror(read_settings({"MIRROR_URL": folder, **upstream.environment()}))
        plan = make_plan(mirror, Request(platforms=("arm64_sonoma",))).plan
        # The indexes come when the manifest has the bottle.
        with tracing(until=NoticedRegistry.open.__code__, end=complete_indexes.__code__) as trace:
            report, _ = mirror.sync(plan)
    assert report.outcome == "success", report
    return trace


def tick_path() -> Trace:
    """The tick after a sync's last run: it sends the end message to a Slack on loopback."""
    # Definitions, and a Slack: what the other path does without.
    from brew_assets_tests.defs.announced import COMPLETE, Announced
    from brew_assets_tests.defs.deployment import Deployment
    from brew_assets_tests.slack_sink import slack_sink

    with (
        tempfile.TemporaryDirectory() as folder,
        slack_sink() as slack,
        dg.DagsterInstance.ephemeral(tempdir=folder) as instance,
    ):
        deployment = Deployment(Path(folder) / "mirror", instance)
        with deployment.simulator, _environment(SLACK_WEBHOOK_URL=slack.url, **deployment.environment()):
            announced = Announced(deployment, slack)
            assert deployment.run("weekly_sync").success
            announced.tick()
            deployment.copy_plan(deployment.tick().run_requests)
            sent = len(slack.texts)
            with tracing() as trace:
                announced.tick()
        assert slack.texts[sent:] == [COMPLETE], slack.texts
    return trace


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """The environment has these values in the block."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


PATHS: dict[str, Callable[[], Trace]] = {"bottle": bottle_path, "tick": tick_path}


def main() -> None:
    """Prints the path that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", choices=sorted(PATHS))
    trace = PATHS[parser.parse_args().path]()
    if trace.before:
        print(f"frames before the first byte is asked for: {len(trace.before)}")
        print(*(f"  {frame}" for frame in trace.before), sep="\n")
    rooms = Counter(file.partition("/")[0] if "/" in file else "above the rooms" for file in trace.calls)
    print(f"files of ours: {len(trace.calls)}, calls: {trace.calls.total():,}")
    print("  of", ", ".join(f"{room} {count}" for room, count in rooms.most_common()))
    print(*(f"  {calls:5,}  {file}" for file, calls in trace.calls.most_common()), sep="\n")


if __name__ == "__main__":
    main()
