"""Which runs the sensor asks for."""

from typing import Any

import dagster as dg
import pytest

from brew_assets_tests.defs.deployment import PLATFORMS, Deployment, metadata_of, pending_of

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


def test_plans_beyond_what_one_tick_takes_wait_for_the_next(deployment: Deployment) -> None:
    deployment.plans_per_tick = 2
    deployment.tick()
    for number in range(3):
        _report(deployment, sync_id=f"sync-{number}", pending={"arm64_sonoma": 1})
    first, second = deployment.tick(), deployment.tick()
    assert [r.run_key for r in first.run_requests] == ["sync-0:arm64_sonoma", "sync-1:arm64_sonoma"]
    assert [r.run_key for r in second.run_requests] == ["sync-2:arm64_sonoma"]


def test_a_platform_that_is_no_partition_gets_no_run(deployment: Deployment) -> None:
    planned = deployment.plan(platforms=["x86_64_linux", "arm64_sonoma"])
    assert pending_of(planned)["x86_64_linux"] > 0
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


def test_a_plan_that_the_version_before_recorded_gets_its_runs_with_its_route_and_sizes(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECS_CLUSTER_NAME", "sync")
    monkeypatch.setenv("ECS_TASK_SIZES", "0.000001:512:1024:21,*:1024:2048:21")
    pending, sizes = {"arm64_tahoe": 3, "arm64_sonoma": 2}, {"arm64_tahoe": 9_000, "arm64_sonoma": 5}
    metadata: dict[str, Any] = {"pending": pending, "pending_bytes": sizes, "route": "ecs"}
    made = dg.AssetMaterialization("pending_bottles", metadata={"sync_id": "sync-1", **metadata})
    deployment.instance.report_runless_asset_event(made)
    requests = deployment.tick().run_requests
    assert [request.run_key for request in requests] == ["sync-1:arm64_tahoe", "sync-1:arm64_sonoma"]
    assert [request.tags["ecs/cpu"] for request in requests] == ["1024", "512"]
    assert {request.tags["mirror/route"] for request in requests} == {"ecs"}


def _report(deployment: Deployment, *, sync_id: str, pending: dict[str, int]) -> None:
    deployment.instance.report_runless_asset_event(
        dg.AssetMaterialization("pending_bottles", metadata={"sync_id": sync_id, "pending": pending})
    )


def plans(deployment: Deployment, *platforms: str) -> list[str]:
    """The sync ids of plans, one for each platform, oldest first."""
    made = [metadata_of(deployment.plan(platforms=[name]), "pending_bottles") for name in platforms]
    return [plan["sync_id"] for plan in made]


def test_a_sensor_without_a_cursor_begins_at_the_newest_plan(deployment: Deployment) -> None:
    *_, newest = plans(deployment, *PLATFORMS)
    assert [request.run_key for request in deployment.tick().run_requests] == [f"{newest}:{PLATFORMS[-1]}"]
    # From there on every plan counts.
    later = plans(deployment, *PLATFORMS[:2])
    keys = [request.run_key for request in deployment.tick().run_requests]
    assert keys == [f"{plan}:{platform}" for plan, platform in zip(later, PLATFORMS, strict=False)]


def test_a_sensor_that_has_lost_its_cursor_starts_no_run_again(deployment: Deployment) -> None:
    deployment.sync()
    before = len(deployment.instance.get_runs())
    deployment.cursor = None
    assert not deployment.tick().run_requests
    # The same in a location of another name, whose run keys are its own; a plan of which one run was begun.
    plan = metadata_of(deployment.plan(force_download=True), "pending_bottles")["sync_id"]
    tags = {"mirror/sync_id": plan}
    assert deployment.run("mirror_platform", platform=PLATFORMS[0], tags=tags).success
    deployment.cursor = None
    assert [request.run_key for request in deployment.tick().run_requests] == [
        f"{plan}:{platform}" for platform in PLATFORMS[1:]
    ]
    assert len(deployment.instance.get_runs()) == before + 2


def test_a_run_that_was_created_and_never_submitted_is_requested_again(deployment: Deployment) -> None:
    (plan,) = plans(deployment, "arm64_sonoma")
    deployment.instance.add_run(
        dg.DagsterRun(
            "mirror_platform",
            status=dg.DagsterRunStatus.NOT_STARTED,
            tags={"mirror/sync_id": plan, "dagster/partition": "arm64_sonoma"},
        )
    )
    assert [request.run_key for request in deployment.tick().run_requests] == [f"{plan}:arm64_sonoma"]


def test_what_was_planned_while_the_sensor_was_off_for_days_waits_for_nobody(deployment: Deployment) -> None:
    deployment.tick()
    *_, newest = plans(deployment, *PLATFORMS)
    deployment.plans_per_tick = 2
    deployment.clock.advance(2 * 86_400.0)
    # What is passed over takes its place in a tick.
    assert not deployment.tick().run_requests
    assert [request.run_key for request in deployment.tick().run_requests] == [f"{newest}:{PLATFORMS[-1]}"]


def test_a_sensor_that_found_no_plan_yet_misses_none(deployment: Deployment) -> None:
    deployment.tick()
    first, second = plans(deployment, *PLATFORMS[:2])
    keys = [request.run_key for request in deployment.tick().run_requests]
    assert keys == [f"{first}:{PLATFORMS[0]}", f"{second}:{PLATFORMS[1]}"]


def test_the_newest_plan_is_the_newest_that_names_one(deployment: Deployment) -> None:
    _report(deployment, sync_id="sync-1", pending={"arm64_sonoma": 1})
    deployment.instance.report_runless_asset_event(dg.AssetMaterialization("pending_bottles"))
    assert [request.run_key for request in deployment.tick().run_requests] == ["sync-1:arm64_sonoma"]
    assert deployment.tick().skip_message == "No new plan."


@pytest.mark.parametrize("typed", ["none", "-", "12a", "²", "-1", "1" * 30])
def test_a_cursor_that_somebody_typed_and_that_is_none_is_as_good_as_lost(
    deployment: Deployment, typed: str
) -> None:
    *_, newest = plans(deployment, *PLATFORMS)
    deployment.cursor = typed
    assert [request.run_key for request in deployment.tick().run_requests] == [f"{newest}:{PLATFORMS[-1]}"]
    assert deployment.tick().skip_message == "No new plan."
