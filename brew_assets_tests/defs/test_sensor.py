"""Which runs the sensor asks for."""

import dagster as dg
import pytest

from brew_assets.defs import sensors
from brew_assets_tests.defs.deployment import PLATFORMS, Deployment, metadata_of

# Dagster's own: of the sensor, the job and the partition.
OF_THE_SENSOR = {"dagster/sensor_name", "dagster/partition", "dagster/partition_set", "mirror/purpose"}


def test_no_plan_no_run(deployment: Deployment) -> None:
    tick = deployment.tick()
    assert not tick.run_requests
    assert tick.skip_message == "No new plan."


def test_every_plan_since_the_last_tick_gets_its_runs(deployment: Deployment) -> None:
    deployment.tick()
    plans = [metadata_of(deployment.plan(platforms=[p]), "pending_bottles")["sync_id"] for p in PLATFORMS]
    keys = [request.run_key for request in deployment.tick().run_requests]
    assert keys == [f"{plan}:{platform}" for plan, platform in zip(plans, PLATFORMS, strict=True)]
    assert not deployment.tick().run_requests


def test_plans_beyond_what_one_tick_takes_wait_for_the_next(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "MAX_PLANS_PER_TICK", 2)
    deployment.tick()
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


@pytest.mark.parametrize(
    ("planning", "inherited"),
    [
        ({}, {"mirror/trigger": "Manual"}),
        ({"dagster/schedule_name": "weekly_sync"}, {"mirror/trigger": "Scheduled"}),
        (
            {
                "mirror/trigger": "Selective",
                "mirror/requested_by": "admin@company.com",
                "mirror/event_id": "event-0001",
                "mirror/notification_channel": "#sync",
                "dagster/priority": "-10",
                "dagster/sensor_name": "take_sync_events",
                "dagster/run_key": "event-0001",
            },
            {
                "mirror/trigger": "Selective",
                "mirror/requested_by": "admin@company.com",
                "mirror/event_id": "event-0001",
                "mirror/notification_channel": "#sync",
                "dagster/priority": "-10",
            },
        ),
    ],
    ids=["by hand", "by the schedule", "by an event"],
)
def test_the_runs_of_a_plan_say_who_asked_for_it(
    deployment: Deployment, planning: dict[str, str], inherited: dict[str, str]
) -> None:
    plan = metadata_of(deployment.run("weekly_sync", tags=planning), "pending_bottles")
    for request in deployment.tick().run_requests:
        own = {name: value for name, value in request.tags.items() if name not in OF_THE_SENSOR}
        assert own == {"mirror/sync_id": plan["sync_id"], "mirror/route": "local", **inherited}


def test_a_plan_that_no_run_made_says_of_nobody_that_they_asked(deployment: Deployment) -> None:
    _report(deployment, sync_id="sync-1", pending={"arm64_sonoma": 1})
    (request,) = deployment.tick().run_requests
    assert "mirror/trigger" not in request.tags


def _report(deployment: Deployment, *, sync_id: str, pending: dict[str, int]) -> None:
    deployment.instance.report_runless_asset_event(
        dg.AssetMaterialization("pending_bottles", metadata={"sync_id": sync_id, "pending": pending})
    )
