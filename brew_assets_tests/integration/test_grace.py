"""The grace: what a stop signal leaves time for, and what is written after it, in either store."""

import threading

import pytest

from brew_assets.compose.mirror import build_mirror
from brew_assets.domain.plan import Request
from brew_assets.engine.clock import GracefulStop
from brew_assets.engine.planner import make_plan
from brew_assets.engine.reports import kept_reports
from brew_assets.settings import read_settings
from brew_assets.simulator import Fault, Simulator, SizeDistribution, World
from brew_assets_tests.integration.mirrors import MirrorUnderTest, assert_consistent
from brew_assets_tests.local_aws.session import wait_for


def test_after_the_grace_receipts_fold_and_report_are_written_all_the_same(
    mirror: MirrorUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(seed=71, sizes=SizeDistribution.fixed(4_000))
    bottles = [world.publish(f"formula-{number}", "1.0", tags=["arm64_sonoma"])[0] for number in range(20)]
    with Simulator(world) as upstream:
        for name, value in mirror.environment(upstream, DOWNLOAD_TIMEOUT_SECONDS="60").items():
            monkeypatch.setenv(name, value)
        upstream.fault(bottles[0].filename, Fault.stalls_after(1_000, times=None))
        stop = GracefulStop(grace_s=2.0)
        built = build_mirror(read_settings(), stop=stop)
        plan = make_plan(built, Request(platforms=("arm64_sonoma",))).plan

        def stop_once_the_others_are_there() -> None:
            try:
                wait_for(lambda: len(mirror.bottle_keys()) == 19, what="19 bottles", timeout_s=60)
            finally:
                stop.set()

        stopper = threading.Thread(target=stop_once_the_others_are_there)
        stopper.start()
        report, folded = built.sync(plan)
        stopper.join()
        assert (report.outcome, report.stored, report.left) == ("stopped", 19, 1)
        assert report.duration_s < 20
        assert folded.entries == 19
        assert len(mirror.entries()) == 19
        assert len(kept_reports(built.store, plan.sync_id)) == 1
        assert_consistent(mirror, upstream)
