"""Which runs the sensor asks for."""

import dagster as dg
import pytest

from brew_assets.defs import sensors
from brew_assets_tests.defs.deployment import PLATFORMS, Deployment, metadata_of


def test_no_plan_no_run(deployment: Deployment) -> None:
    tick = deployment.tick()
    assert not tick.run_requests
    assert tick.skip_message == "No new plan."


def test_every_plan_since_the_last_tick_gets_its_runs(deployment: Deployment) -> None:
    plans = [metadata_of(deployment.plan(platforms=[p]), "pending_bottles")["sync_id"] for p in PLATFORMS]
    keys = [request.run_key for request in deployment.tick().run_requests]
    assert keys == [f"{plan}:{platform}" for plan, platform in zip(plans, PLATFORMS, strict=True)]
    assert not deployment.tick().run_requests


def test_plans_beyond_what_one_tick_takes_wait_for_the_next(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "MAX_PLANS_PER_TICK", 2)
    for number in range(3):
        _report(deployment, sync_id=f"sync-{number}", pending={"arm64_sonoma": 1})
    first, second = deployment.tick(), deployment.tick()
    assert [r.run_key for r in first.run_requests] == ["sync-0:arm64_sonoma", "sync-1:arm64_sonoma"]
    assert [r.run_key for r in second.run_requests] == ["sync-2:arm64_sonoma"]


def test_a_platform_that_is_no_partition_gets_no_run(deployment: Deployment) -> None:
    plan = metadata_of(deployment.plan(platforms=["x86_64_linux", "arm64_sonoma"]), "pending_bottles")
    assert plan["pending"]["x86_64_linux"] > 0
    assert [request.partition_key for request in deployment.tick().run_requests] == ["arm64_sonoma"]


def test_a_materialization_that_names_no_plan_is_left_out(deployment: Deployment) -> None:
    deployment.instance.report_runless_asset_event(dg.AssetMaterialization("pending_bottles"))
    tick = deployment.tick()
    assert not tick.run_requests
    assert tick.cursor is not None
    _report(deployment, sync_id="sync-1", pending={"arm64_sonoma": 2, "arm64_tahoe": 0})
    assert [request.run_key for request in deployment.tick().run_requests] == ["sync-1:arm64_sonoma"]


def _report(deployment: Deployment, *, sync_id: str, pending: dict[str, int]) -> None:
    deployment.instance.report_runless_asset_event(
        dg.AssetMaterialization("pending_bottles", metadata={"sync_id": sync_id, "pending": pending})
    )
