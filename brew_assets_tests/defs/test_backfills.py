"""A backfill is one sync: its runs share a plan, nobody else carries it out, and it is told once."""

import json
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.asset_backfill import AssetBackfillData
from dagster._core.execution.backfill import BulkActionStatus

from brew_assets.definitions import defs
from brew_assets.defs.backfills import Backfill
from brew_assets.defs.notifications.run_history import CHECKED_WITHIN_S
from brew_assets.engine.kept_plans import load_plan
from brew_assets.simulator import Fault
from brew_assets_tests.defs.announced import COMPLETE, FAILED, START, WARNING, Announced, state_of
from brew_assets_tests.defs.automation import Automation
from brew_assets_tests.defs.backfilled import ALL, PLANNING, Backfilled, asset_backfill, job_backfill
from brew_assets_tests.defs.deployment import PLATFORMS, Deployment, checks_of, metadata_of, pending_of
from brew_assets_tests.defs.notifications.test_store_findings import security_events

TAHOE, SEQUOIA, SONOMA = PLATFORMS
TOLD = [START, COMPLETE]


def tags_of(deployment: Deployment, result: dg.ExecuteInProcessResult) -> dict[str, str]:
    run = deployment.instance.get_run_by_id(result.run_id)
    assert run is not None
    return dict(run.tags)


def syncs_of(deployment: Deployment) -> set[str]:
    """The sync ids that runs carry."""
    tags = [run.tags.get("mirror/sync_id") for run in deployment.instance.get_runs()]
    return {tag for tag in tags if tag}


def plans_of(deployment: Deployment) -> list[str]:
    """The sync ids of the plans in the store."""
    return sorted(path.stem for path in (deployment.root / "state" / "plans").glob("*.json"))


def test_materialize_all_is_one_sync_with_one_start_and_one_end(announced: Announced) -> None:
    deployment = announced.deployment
    deployment.tick()
    backfill = Backfilled(deployment, ALL, PLATFORMS)
    planned = backfill.run(*PLANNING)
    sync_id = metadata_of(planned, "pending_bottles")["sync_id"]
    announced.tick()
    tick = deployment.tick()
    assert not tick.run_requests
    assert "needs a run of this sensor" in tick.skip_message
    for platform in PLATFORMS:
        result = backfill.run("bottles", platform=platform)
        assert result.success
        assert metadata_of(result, "bottles")["sync_id"] == sync_id
        assert tags_of(deployment, result)["mirror/sync_id"] == sync_id
        announced.tick()
    # The end waits for what the last run finds in the store.
    assert announced.slack.texts == [START]
    last = backfill.run("hash_manifest")
    assert last.success
    report = metadata_of(last, "hash_manifest")
    assert sync_id in json.dumps(report["report"])
    assert "all that was planned is in the store" in json.dumps(report["report"])
    announced.tick()
    announced.tick()
    assert (announced.slack.texts, announced.open) == (TOLD, 0)
    assert plans_of(deployment) == [sync_id]
    assert syncs_of(deployment) == {sync_id}
    assert set(deployment.simulator.downloads.values()) == {1}
    assert state_of(announced).last_good_at is not None
    assert state_of(announced).pending == 0
    assert not deployment.tick().run_requests


def test_what_the_last_run_of_a_backfill_finds_in_the_store_is_a_security_event(
    deployment: Deployment,
) -> None:
    backfill = Backfilled(deployment, ALL, PLATFORMS)
    backfill.run(*PLANNING)
    for platform in PLATFORMS:
        assert backfill.run("bottles", platform=platform).success
    for entry in deployment.entries().values():
        path = deployment.root / entry.s3_key
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert security_events(deployment) == []
    backfill.run("hash_manifest")
    (text,) = security_events(deployment)
    assert "is MISMATCH expected sha256" in text


def test_a_backfill_of_three_platforms_alone_plans_once_for_all_of_them(announced: Announced) -> None:
    deployment = announced.deployment
    deployment.tick()
    backfill = Backfilled(deployment, ["bottles"], PLATFORMS)
    results = [backfill.run("bottles", platform=platform) for platform in (SEQUOIA, TAHOE, SONOMA)]
    assert all(result.success for result in results)
    (sync_id,) = plans_of(deployment)
    assert syncs_of(deployment) == {sync_id}
    document = json.loads((deployment.root / "state" / "plans" / "by-backfill" / backfill.id).read_bytes())
    assert (document["sync_id"], document["run_id"]) == (sync_id, results[0].run_id)
    assert set(load_plan(deployment.mirror().ports, sync_id).platforms) == set(PLATFORMS)
    announced.tick()
    assert (announced.slack.texts, announced.open) == (TOLD, 0)
    assert state_of(announced).last_good_at is not None
    assert not deployment.tick().run_requests
    # Another one is another sync.
    again = Backfilled(deployment, ["bottles"], PLATFORMS, backfill_id="asdfghjk")
    for platform in PLATFORMS:
        assert again.run("bottles", platform=platform).success
    assert len(plans_of(deployment)) == 2
    announced.tick()
    assert announced.slack.texts == TOLD * 2


def test_a_backfill_of_some_platforms_plans_for_them_alone(announced: Announced) -> None:
    deployment = announced.deployment
    backfill = Backfilled(deployment, ["bottles", "hash_manifest"], [SONOMA, TAHOE])
    for platform in (SONOMA, TAHOE):
        assert backfill.run("bottles", platform=platform).success
    assert backfill.run("hash_manifest").success
    (sync_id,) = plans_of(deployment)
    assert load_plan(deployment.mirror().ports, sync_id).platforms == (TAHOE, SONOMA)
    announced.tick()
    assert (announced.slack.texts, announced.open) == (TOLD, 0)
    # A part says nothing of how the mirror stands.
    assert state_of(announced).last_good_at is None


def test_a_planning_run_of_a_backfill_plans_for_its_platforms(deployment: Deployment) -> None:
    deployment.tick()
    backfill = Backfilled(deployment, ALL, [SONOMA])
    assert pending_of(backfill.run(*PLANNING)).keys() == {SONOMA}
    assert not deployment.tick().run_requests


def test_what_a_backfill_plans_and_does_not_store_is_the_sensors(deployment: Deployment) -> None:
    deployment.tick()
    backfill = Backfilled(deployment, PLANNING, [])
    backfill.run(*PLANNING)
    assert [request.partition_key for request in deployment.tick().run_requests] == list(PLATFORMS)
    part = Backfilled(deployment, ALL, [SONOMA], backfill_id="asdfghjk")
    config = {"ops": {"pending_bottles": {"config": {"platforms": [SONOMA, TAHOE]}}}}
    part.run(*PLANNING, config=config)
    assert [request.partition_key for request in deployment.tick().run_requests] == [TAHOE]


def test_a_backfill_of_the_job_is_one_sync_too(announced: Announced) -> None:
    deployment = announced.deployment
    job_backfill(deployment, PLATFORMS, backfill_id="zxcvbnma")
    for platform in PLATFORMS:
        tags = {"dagster/backfill": "zxcvbnma"}
        assert deployment.run("mirror_platform", platform=platform, tags=tags).success
    assert len(plans_of(deployment)) == 1
    announced.tick()
    assert (announced.slack.texts, announced.open) == (TOLD, 0)


def test_two_backfills_at_once_are_two_syncs_and_download_nothing_twice(deployment: Deployment) -> None:
    first = Backfilled(deployment, ["bottles"], PLATFORMS)
    second = Backfilled(deployment, ["bottles"], PLATFORMS, backfill_id="asdfghjk")
    for platform in PLATFORMS:
        assert first.run("bottles", platform=platform).success
        assert second.run("bottles", platform=platform).success
    assert len(syncs_of(deployment)) == 2
    assert set(deployment.simulator.downloads.values()) == {1}


def test_a_backfill_that_nobody_knows_plans_for_the_runs_that_are_there(deployment: Deployment) -> None:
    tags = {"dagster/backfill": "../../made/up"}
    for platform in (SONOMA, TAHOE):
        assert deployment.run("mirror_platform", platform=platform, tags=tags).success
    assert {path.name for path in deployment.root.glob("state/plans/by-backfill/*")}
    assert not list(deployment.root.parent.glob("made"))


def retried(
    deployment: Deployment, result: dg.ExecuteInProcessResult, platform: str, **more: str
) -> dg.ExecuteInProcessResult:
    """The run again, as Dagster starts it after the backfill's end: without the backfill's tag."""
    tags = {"dagster/parent_run_id": result.run_id, "dagster/root_run_id": result.run_id, **more}
    return deployment.run("mirror_platform", platform=platform, tags=tags)


def test_a_retry_after_the_end_of_the_backfill_goes_on_with_its_plan(announced: Announced) -> None:
    deployment = announced.deployment
    (bottle,) = deployment.world.publish("wget", "1.25.0", tags=(SONOMA,))
    deployment.simulator.fault(bottle.filename, Fault.not_found())
    backfill = Backfilled(deployment, ["bottles"], PLATFORMS)
    results = {platform: backfill.run("bottles", platform=platform) for platform in PLATFORMS}
    backfill.end(BulkActionStatus.COMPLETED_FAILED)
    deployment.simulator.clear_faults()
    (sync_id,) = plans_of(deployment)
    failed = [platform for platform, result in results.items() if not result.success]
    assert failed
    for platform in failed:
        # Dagster takes its tags over, and a person may not.
        for more in ({"mirror/sync_id": sync_id}, {}):
            result = retried(deployment, results[platform], platform, **more)
            assert result.success
            assert tags_of(deployment, result)["mirror/sync_id"] == sync_id
    assert plans_of(deployment) == [sync_id]


def test_after_the_end_of_a_backfill_nothing_more_is_planned_for_it(deployment: Deployment) -> None:
    deployment.simulator.api_body_override = b"<html>maintenance</html>"
    backfill = Backfilled(deployment, ["bottles"], PLATFORMS)
    first = backfill.run("bottles", platform=SONOMA)
    assert not first.success
    backfill.end(BulkActionStatus.COMPLETED_FAILED)
    deployment.simulator.api_body_override = None
    result = retried(deployment, first, SONOMA)
    assert result.success
    (sync_id,) = plans_of(deployment)
    assert load_plan(deployment.mirror().ports, sync_id).platforms == (SONOMA,)


def test_a_run_that_fails_to_plan_leaves_it_to_the_next(announced: Announced) -> None:
    deployment = announced.deployment
    deployment.simulator.api_body_override = b"<html>maintenance</html>"
    backfill = Backfilled(deployment, ["bottles"], PLATFORMS)
    first = backfill.run("bottles", platform=TAHOE)
    assert not first.success
    deployment.simulator.api_body_override = None
    for platform in (SEQUOIA, SONOMA):
        assert backfill.run("bottles", platform=platform).success
    assert len(plans_of(deployment)) == 1
    announced.tick()
    # Of the first one everybody hears: it is part of the sync though it never knew its plan.
    assert announced.slack.texts == [START, FAILED]
    assert first.run_id in json.dumps(announced.slack.taken[-1])


def test_a_backfill_that_is_cancelled_after_its_plan_is_told_as_cancelled(announced: Announced) -> None:
    deployment = announced.deployment
    deployment.tick()
    backfill = Backfilled(deployment, ALL, PLATFORMS)
    backfill.run(*PLANNING)
    assert backfill.run("bottles", platform=TAHOE).success
    announced.tick()
    assert announced.slack.texts == [START]
    backfill.end(BulkActionStatus.CANCELED)
    announced.tick()
    assert (announced.slack.texts, announced.open) == ([START, FAILED], 0)
    told = json.dumps(announced.slack.taken[-1])
    assert "*Error Type:* Cancelled" in told
    assert "arm64_sonoma: its backfill ended before this platform was begun" in told
    # Whoever cancelled it does not want it.
    assert not deployment.tick().run_requests


def test_a_planning_run_that_is_executed_again_after_its_backfill_failed_has_its_runs(
    announced: Announced,
) -> None:
    deployment = announced.deployment
    deployment.tick()
    deployment.simulator.api_body_override = b"<html>maintenance</html>"
    backfill = Backfilled(deployment, ALL, PLATFORMS)
    assert not backfill.run(*PLANNING).success
    deployment.simulator.api_body_override = None
    # In the half minute until the daemon looks at the backfill again.
    assert backfill.run(*PLANNING).success
    backfill.end(BulkActionStatus.COMPLETED_FAILED)
    announced.tick()
    assert (announced.slack.texts[-1:], announced.open) == ([START], 1)
    assert [request.partition_key for request in deployment.tick().run_requests] == list(PLATFORMS)


def test_a_platform_that_fails_in_a_backfill_is_told_as_ever(announced: Announced) -> None:
    deployment = announced.deployment
    (bottle,) = deployment.world.publish("wget", "1.25.0", tags=(SONOMA,))
    deployment.simulator.fault(bottle.filename, Fault.not_found())
    backfill = Backfilled(deployment, ALL, PLATFORMS)
    backfill.run(*PLANNING)
    for platform in PLATFORMS:
        backfill.run("bottles", platform=platform)
    announced.tick()
    # No run of hash_manifest follows, and none is waited for.
    assert (announced.slack.texts, announced.open) == ([START, WARNING], 0)
    assert state_of(announced).last_good_at is None


def test_a_last_run_that_never_comes_is_not_waited_for_for_ever(announced: Announced) -> None:
    deployment = announced.deployment
    backfill = Backfilled(deployment, ALL, PLATFORMS)
    backfill.run(*PLANNING)
    for platform in PLATFORMS:
        assert backfill.run("bottles", platform=platform).success
    announced.tick()
    assert announced.slack.texts == [START]
    announced.clock.advance(CHECKED_WITHIN_S)
    announced.tick()
    assert (announced.slack.texts, announced.open) == (TOLD, 0)


def test_a_single_platform_without_a_backfill_plans_for_itself(deployment: Deployment) -> None:
    result = deployment.run("mirror_platform", platform=SONOMA)
    assert result.success
    (sync_id,) = plans_of(deployment)
    assert load_plan(deployment.mirror().ports, sync_id).platforms == (SONOMA,)
    assert not (deployment.root / "state" / "plans" / "by-backfill").exists()


def test_a_run_config_that_names_a_sync_is_stronger_than_the_backfill(deployment: Deployment) -> None:
    plan = metadata_of(deployment.plan(platforms=[SONOMA]), "pending_bottles")["sync_id"]
    backfill = Backfilled(deployment, ["bottles"], PLATFORMS)
    config: dict[str, Any] = {"ops": {"bottles": {"config": {"sync_id": plan}}}}
    result = backfill.run("bottles", platform=SONOMA, config=config)
    assert metadata_of(result, "bottles")["sync_id"] == plan
    assert plans_of(deployment) == [plan]


def test_a_run_that_makes_the_plan_as_well_copies_by_it(announced: Announced) -> None:
    deployment = announced.deployment
    deployment.tick()
    # As `dagster asset materialize --select "*" --partition …` starts it.
    keys = [dg.AssetKey(name) for name in ALL]
    job = defs.resolve_implicit_job_def_def_for_assets(keys)
    assert job is not None
    result = job.execute_in_process(
        instance=deployment.instance, partition_key=SONOMA, asset_selection=keys, raise_on_error=False
    )
    assert result.success
    (sync_id,) = plans_of(deployment)
    assert metadata_of(result, "bottles")["sync_id"] == sync_id
    requests = deployment.tick().run_requests
    assert [request.partition_key for request in requests] == [TAHOE, SEQUOIA]
    deployment.copy_plan(requests)
    announced.tick()
    assert (announced.slack.texts, announced.open) == (TOLD, 0)


@pytest.mark.parametrize("all_partitions", [True, False])
def test_the_platforms_of_a_backfill_are_read_from_every_form_of_its_record(
    deployment: Deployment, all_partitions: bool
) -> None:
    instance = deployment.instance
    data = AssetBackfillData.from_asset_partitions(
        asset_graph=defs.resolve_asset_graph(),
        partition_names=None if all_partitions else [SONOMA, TAHOE],
        asset_selection=[dg.AssetKey(name) for name in ALL],
        dynamic_partitions_store=instance,
        all_partitions=all_partitions,
        backfill_start_timestamp=1.0,
    )
    record = asset_backfill(instance, ALL, PLATFORMS, backfill_id="qwertyui")
    instance.add_backfill(record._replace(asset_backfill_data=data))
    wanted = PLATFORMS if all_partitions else (TAHOE, SONOMA)
    assert Backfill(instance, "qwertyui").platforms == wanted
    assert Backfill(instance, "qwertyui").ends_with_manifest


def test_a_backfill_of_bottles_alone_is_followed_by_one_run_of_the_manifest_and_its_checks(
    announced: Announced,
) -> None:
    deployment, automation = announced.deployment, Automation(announced.deployment)
    assert automation.asks() == []
    for result in deployment.sync():
        assert result.success
    # hash_manifest has followed in the same runs.
    assert automation.asks() == ["publication"]
    announced.tick()
    assert announced.slack.texts == TOLD
    deployment.world.publish("wget", "1.25.0", tags=("arm64_sonoma",))
    backfill = Backfilled(deployment, ["bottles"], PLATFORMS)
    for platform in PLATFORMS:
        assert backfill.run("bottles", platform=platform).success
        assert automation.asks() == []
    backfill.end()
    announced.tick()
    assert announced.slack.texts == TOLD * 2
    syncs = syncs_of(deployment)
    assert automation.asks() == ["hash_manifest"]
    result = automation.run("hash_manifest")
    assert metadata_of(result, "hash_manifest")["total_bottles"] == len(deployment.entries())
    assert "### Sync of" in metadata_of(result, "hash_manifest")["report"]
    assert set(checks_of(result)) == {"manifest_consistent", "sampled_objects_present"}
    assert automation.asks() == ["publication"]
    # Nobody hears of that run: it belongs to no sync.
    announced.tick()
    assert (announced.slack.texts, announced.open) == (TOLD * 2, 0)
    assert syncs_of(deployment) == syncs


def test_bottles_that_fail_ask_for_no_run_of_the_manifest_which_their_own_run_records(
    deployment: Deployment,
) -> None:
    automation = Automation(deployment)
    assert automation.asks() == []
    (bottle,) = deployment.world.publish("wget", "1.25.0", tags=("arm64_sonoma",))
    deployment.simulator.fault(bottle.filename, Fault.not_found())
    backfill = Backfilled(deployment, ["bottles"], [SONOMA])
    assert not backfill.run("bottles", platform=SONOMA).success
    backfill.end(BulkActionStatus.COMPLETED_FAILED)
    assert automation.asks() == ["publication"]
    recorded = deployment.instance.get_latest_materialization_event(dg.AssetKey("hash_manifest"))
    assert recorded is not None
    assert recorded.asset_materialization is not None
    assert recorded.asset_materialization.metadata["total_bottles"].value == len(deployment.entries())


def test_a_run_of_the_manifest_that_fails_by_itself_is_no_news_of_a_sync(announced: Announced) -> None:
    deployment, automation = announced.deployment, Automation(announced.deployment)
    deployment.sync()
    announced.tick()
    (deployment.root / "bottles_hash.json").write_bytes(b"{")
    automation.run("hash_manifest", fails=True)
    announced.tick()
    assert (announced.slack.texts, announced.open) == (TOLD, 0)
