"""A Lambda short of time, under AWS's own runtime client: it stops and tells, and another one goes on."""

import os
from pathlib import Path

from brew_assets.compose.mirror import build_mirror
from brew_assets.domain.batch import batch_report_key
from brew_assets.domain.plan import Request
from brew_assets.domain.report import Report, decode_report
from brew_assets.engine.lambda_copier import DispatchOptions, LambdaCopier
from brew_assets.engine.planner import make_plan
from brew_assets.engine.ports import Store
from brew_assets.engine.transfer.local_copier import LocalCopier
from brew_assets.settings import read_settings
from brew_assets.simulator import Fault, Simulator, SizeDistribution, World
from brew_assets_tests.runtimes.test_lambda_lines import invoke

BOTTLES = 60
SIZE = 10_000
# Two at a time and half a second each: not in the time of a short life.
SLOW = 20_000
SHORT_S = 10.0


class Functions:
    """Invokes the real handler; the first invocation has little time and a slow upstream."""

    def __init__(self, environment: dict[str, str], upstream: Simulator, folder: Path) -> None:
        self._environment = environment
        self._upstream = upstream
        self._folder = folder
        self.invoked: list[str] = []

    def invoke(self, batch_key: str) -> None:
        """Returns when the function has answered."""
        lives_s = 60.0 if self.invoked else SHORT_S
        self.invoked.append(batch_key)
        log = self._folder / f"log-{len(self.invoked)}"
        kind, _ = invoke(self._environment, {"batch_key": batch_key}, log, lives_s=lives_s)
        assert kind == "ok"
        self._upstream.clear_faults()

    def log(self, message: str) -> None:
        """Nobody is there."""

    def reports(self, store: Store) -> list[Report]:
        """What each invocation reported."""
        documents = (store.read(batch_report_key(key)) for key in self.invoked)
        return [decode_report(document.data) for document in documents if document is not None]


def test_a_lambda_whose_time_runs_short_reports_what_is_left_and_another_one_copies_it(
    tmp_path: Path,
) -> None:
    world = World(seed=9, sizes=SizeDistribution.fixed(SIZE))
    for number in range(BOTTLES):
        world.publish(f"formula-{number}", "1.0", tags=["arm64_sonoma"])
    with Simulator(world) as upstream:
        for bottle in world.bottles:
            upstream.fault(bottle.filename, Fault.slow(SLOW, times=None))
        own = {"MIRROR_URL": str(tmp_path / "mirror"), "MAX_CONCURRENT_DOWNLOADS": "2"}
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **own, **upstream.environment()}
        mirror = build_mirror(read_settings(environment))
        functions = Functions(environment, upstream, tmp_path)
        copier = LambdaCopier(
            functions,
            mirror.ports,
            fallback=LocalCopier(mirror.ports, mirror.options),
            options=DispatchOptions(concurrency=1),
        )
        plan = make_plan(mirror, Request(platforms=("arm64_sonoma",)), sizes=False).plan
        report, _ = mirror.sync(plan, copier=copier)
        downloads = [upstream.downloads[bottle.digest] for bottle in world.bottles]
    assert (report.outcome, report.stored) == ("success", BOTTLES)
    first, second = functions.reports(mirror.store)
    assert (first.outcome, second.outcome) == ("stopped", "success")
    assert first.left == len(first.undone) == second.planned == BOTTLES - first.stored
    assert 0 < first.stored < BOTTLES
    # It began nothing in the last third of its time, and what it had begun it finished.
    assert first.duration_s < SHORT_S * 0.9
    assert downloads == [1] * BOTTLES
