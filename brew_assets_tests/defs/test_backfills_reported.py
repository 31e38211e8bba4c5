"""What people are told of a backfill that went wrong, and of its runs when somebody executes them again."""

import json

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from brew_assets.definitions import defs
from brew_assets.defs.notifications.open_syncs import LOOK_BACK_S
from brew_assets.simulator import Fault
from brew_assets_tests.defs.announced import COMPLETE, FAILED, START, WARNING, Announced, state_of
from brew_assets_tests.defs.backfilled import ALL, PLANNING, Backfilled
from brew_assets_tests.defs.deployment import PLATFORMS, metadata_of, pending_of

TAHOE, SEQUOIA, SONOMA = PLATFORMS
_MANIFEST = dg.AssetKey("hash_manifest")


@pytest.fixture
def announced(announced: Announced) -> Announced:
    """It has begun to tell, and to start runs; a step that asks for another try gets it at once."""
    announced.tick()
    announced.deployment.tick()
    return announced


def executed_again(
    announced: Announced, run_id: str, *assets: str, platform: str | None = None
) -> dg.ExecuteInProcessResult:
    """The run again, as Dagster starts it after its backfill's end: without the backfill's tag."""
    instance = announced.deployment.instance
    before = instance.get_run_by_id(run_id)
    assert before is not None
    kept = {name: tag for name, tag in before.tags.items() if name.startswith("mirror/")}
    root = before.tags.get("dagster/root_run_id", before.run_id)
    keys = [dg.AssetKey(name) for name in assets]
    job = defs.resolve_implicit_job_def_def_for_assets(keys)
    assert job is not None
    return job.execute_in_process(
        instance=instance,
        asset_selection=keys,
        partition_key=platform,
        tags={**kept, "dagster/parent_run_id": before.run_id, "dagster/root_run_id": root},
        raise_on_error=False,
    )


def test_a_check_that_stops_a_backfill_is_reported_once_however_often_it_is_executed_again(
    announced: Announced,
) -> None:
    deployment = announced.deployment
    assert deployment.run("weekly_sync").success
    for formula in deployment.world.formulae[:5]:
        deployment.world.remove(formula.name)
    deployment.copy_plan(deployment.tick().run_requests)
    announced.tick()
    told = len(announced.slack.texts)
    backfill = Backfilled(deployment, ALL, PLATFORMS)
    failed = backfill.run(*PLANNING)
    assert not failed.success
    announced.tick()
    assert announced.slack.texts[told:] == []
    backfill.end(BulkActionStatus.COMPLETED_FAILED)
    announced.tick()
    assert announced.slack.texts[told:] == [FAILED]
    assert "the catalogue shrank from 20 to 15 formulae" in json.dumps(announced.slack.taken[-1])
    for _ in range(2):
        failed = executed_again(announced, failed.run_id, *PLANNING)
        assert not failed.success
        announced.tick()
    assert announced.slack.texts[told:] == [FAILED]


def test_a_backfill_without_planning_run_that_cannot_plan_is_reported_once(announced: Announced) -> None:
    deployment = announced.deployment
    deployment.simulator.api_down = True
    backfill = Backfilled(deployment, ["bottles"], PLATFORMS)
    failed = {platform: backfill.run("bottles", platform=platform) for platform in PLATFORMS}
    backfill.end(BulkActionStatus.COMPLETED_FAILED)
    announced.tick()
    assert announced.slack.texts == [FAILED]
    for platform, result in failed.items():
        assert not executed_again(announced, result.run_id, "bottles", platform=platform).success
    announced.tick()
    assert announced.slack.texts == [FAILED]


def test_the_planning_of_a_backfill_that_is_executed_again_plans_for_what_was_clicked(
    announced: Announced,
) -> None:
    deployment = announced.deployment
    deployment.simulator.api_down = True
    backfill = Backfilled(deployment, ALL, [SONOMA])
    failed = backfill.run(*PLANNING)
    backfill.end(BulkActionStatus.COMPLETED_FAILED)
    announced.tick()
    deployment.simulator.api_down = False
    again = executed_again(announced, failed.run_id, *PLANNING)
    assert pending_of(again).keys() == {SONOMA}
    requests = deployment.tick().run_requests
    assert [request.partition_key for request in requests] == [SONOMA]
    deployment.copy_plan(requests)
    announced.tick()
    assert announced.slack.texts == [FAILED, START, COMPLETE]


def test_a_platform_of_a_backfill_that_is_executed_again_completes_it(announced: Announced) -> None:
    deployment = announced.deployment
    (bottle,) = deployment.world.publish("wget", "1.25.0", tags=(SONOMA,))
    deployment.simulator.fault(bottle.filename, Fault.not_found(times=None))
    backfill = Backfilled(deployment, ALL, PLATFORMS)
    backfill.run(*PLANNING)
    results = {platform: backfill.run("bottles", platform=platform) for platform in PLATFORMS}
    backfill.end(BulkActionStatus.COMPLETED_FAILED)
    announced.tick()
    assert announced.slack.texts == [START, WARNING]
    deployment.simulator.clear_faults()
    failed = [platform for platform, result in results.items() if not result.success]
    for platform in failed:
        assert executed_again(announced, results[platform].run_id, "bottles", platform=platform).success
    announced.tick()
    assert announced.slack.texts == [START, WARNING, COMPLETE]
    assert state_of(announced).pending == 0
    assert state_of(announced).last_good_at is not None


def test_the_last_run_of_a_backfill_that_fails_is_no_success(announced: Announced) -> None:
    deployment = announced.deployment
    backfill = Backfilled(deployment, ALL, PLATFORMS)
    backfill.run(*PLANNING)
    for platform in PLATFORMS:
        assert backfill.run("bottles", platform=platform).success
    job = defs.resolve_implicit_job_def_def_for_assets([_MANIFEST])
    assert job is not None
    last = deployment.instance.create_run_for_job(
        job, tags={"dagster/backfill": backfill.id}, asset_selection={_MANIFEST}
    )
    deployment.instance.report_run_failed(last, "the task was lost")
    backfill.end(BulkActionStatus.COMPLETED_FAILED)
    announced.tick()
    assert announced.slack.texts == [START, FAILED]
    assert "hash_manifest: the task was lost" in json.dumps(announced.slack.taken[-1])
    assert state_of(announced).last_good_at is None
    again = executed_again(announced, last.run_id, "hash_manifest")
    assert again.success
    announced.tick()
    assert announced.slack.texts == [START, FAILED, COMPLETE]
    assert state_of(announced).last_good_at is not None


@pytest.mark.parametrize("planned", [True, False], ids=["after the plan", "before the plan"])
def test_materialize_all_that_is_cancelled_is_one_failure(announced: Announced, planned: bool) -> None:
    deployment, instance = announced.deployment, announced.deployment.instance
    backfill = Backfilled(deployment, ALL, PLATFORMS)
    runs = []
    if planned:
        backfill.run(*PLANNING)
        announced.tick()
        runs = [("bottles", {"dagster/partition": platform}) for platform in (TAHOE, SEQUOIA)]
    else:
        runs = [("pending_bottles", {})]
    for asset, tags in runs:
        job = defs.resolve_implicit_global_asset_job_def()
        run = instance.create_run_for_job(
            job, tags={"dagster/backfill": backfill.id, **tags}, asset_selection={dg.AssetKey(asset)}
        )
        instance.report_run_canceled(run)
    backfill.end(BulkActionStatus.CANCELED)
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts == [START, FAILED] if planned else [FAILED]
    assert "*Error Type:* Cancelled" in json.dumps(announced.slack.taken[-1])
    assert announced.open == 0
    assert not deployment.tick().run_requests


def test_two_backfills_and_a_single_platform_beside_each_other_are_three_syncs(announced: Announced) -> None:
    deployment = announced.deployment
    first = Backfilled(deployment, ALL, PLATFORMS)
    first.run(*PLANNING)
    second = Backfilled(deployment, ["bottles"], PLATFORMS, backfill_id="asdfghjk")
    for platform in PLATFORMS:
        assert first.run("bottles", platform=platform).success
        assert second.run("bottles", platform=platform).success
        announced.tick()
    assert deployment.run("mirror_platform", platform=SONOMA).success
    announced.tick()
    assert first.run("hash_manifest").success
    for _ in range(2):
        announced.tick()
    assert sorted(announced.slack.texts) == sorted([START, COMPLETE] * 3)
    assert announced.open == 0
    assert not deployment.tick().run_requests
    assert set(deployment.simulator.downloads.values()) == {1}


def test_a_sync_that_was_reported_as_failed_long_ago_is_followed_though_the_cursor_is_lost(
    announced: Announced,
) -> None:
    deployment = announced.deployment
    (bottle,) = deployment.world.publish("wget", "1.25.0", tags=(SONOMA,))
    deployment.simulator.fault(bottle.filename, Fault.not_found(times=None))
    backfill = Backfilled(deployment, ["bottles"], PLATFORMS)
    results = {platform: backfill.run("bottles", platform=platform) for platform in PLATFORMS}
    backfill.end(BulkActionStatus.COMPLETED_FAILED)
    announced.tick()
    assert announced.slack.texts == [START, WARNING]
    deployment.simulator.clear_faults()
    # A newer sync, which is well.
    assert deployment.run("mirror_platform", platform=TAHOE).success
    announced.tick()
    assert announced.slack.texts == [START, WARNING, START, COMPLETE]
    # So long ago that a sensor that begins does not look at it as at news.
    announced.clock.advance(LOOK_BACK_S + 60.0)
    announced.cursor = None
    announced.tick()
    failed = [platform for platform, result in results.items() if not result.success]
    for platform in failed:
        assert executed_again(announced, results[platform].run_id, "bottles", platform=platform).success
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts == [START, WARNING, START, COMPLETE, COMPLETE]


def test_a_backfill_that_is_executed_again_from_its_failure_completes_the_sync(announced: Announced) -> None:
    deployment = announced.deployment
    (bottle,) = deployment.world.publish("wget", "1.25.0", tags=(SONOMA,))
    deployment.simulator.fault(bottle.filename, Fault.not_found(times=None))
    first = Backfilled(deployment, ALL, PLATFORMS)
    planned = first.run(*PLANNING)
    results = {platform: first.run("bottles", platform=platform) for platform in PLATFORMS}
    first.end(BulkActionStatus.COMPLETED_FAILED)
    announced.tick()
    assert announced.slack.texts == [START, WARNING]
    deployment.simulator.clear_faults()
    # "Re-execute from failure": what was not materialized, in a backfill of its own; the first is cancelled.
    failed = [platform for platform, result in results.items() if not result.success]
    again = Backfilled(
        deployment, ["bottles", "hash_manifest"], failed, backfill_id="asdfghjk", parent=first.id
    )
    again.end(BulkActionStatus.CANCELED)
    last = Backfilled(
        deployment, ["bottles", "hash_manifest"], failed, backfill_id="zxcvbnma", parent=again.id
    )
    for platform in failed:
        result = last.run("bottles", platform=platform)
        assert metadata_of(result, "bottles")["sync_id"] == metadata_of(planned, "pending_bottles")["sync_id"]
        announced.tick()
    assert last.run("hash_manifest").success
    last.end()
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts == [START, WARNING, COMPLETE]
    assert "After a re-execution it is now complete" in json.dumps(announced.slack.taken[-1])
    assert (state_of(announced).pending, announced.open) == (0, 0)
    assert not deployment.tick().run_requests


def test_a_backfill_that_was_well_and_is_executed_again_is_a_new_sync(announced: Announced) -> None:
    deployment = announced.deployment
    first = Backfilled(deployment, ["bottles"], [SONOMA])
    assert first.run("bottles", platform=SONOMA).success
    first.end()
    deployment.world.publish("wget", "9.9", tags=(SONOMA,))
    again = Backfilled(deployment, ["bottles"], [SONOMA], backfill_id="asdfghjk", parent=first.id)
    held = len(deployment.entries())
    assert again.run("bottles", platform=SONOMA).success
    assert len(deployment.entries()) == held + 1
    announced.tick()
    assert announced.slack.texts == [START, COMPLETE] * 2


def test_a_last_run_alone_that_is_executed_again_completes_the_sync(announced: Announced) -> None:
    deployment = announced.deployment
    first = Backfilled(deployment, ALL, PLATFORMS)
    first.run(*PLANNING)
    for platform in PLATFORMS:
        assert first.run("bottles", platform=platform).success
    job = defs.resolve_implicit_job_def_def_for_assets([_MANIFEST])
    assert job is not None
    tags = {"dagster/backfill": first.id}
    lost = deployment.instance.create_run_for_job(job, tags=tags, asset_selection={_MANIFEST})
    deployment.instance.report_run_failed(lost, "the task was lost")
    first.end(BulkActionStatus.COMPLETED_FAILED)
    announced.tick()
    again = Backfilled(deployment, ["hash_manifest"], [], backfill_id="asdfghjk", parent=first.id)
    assert again.run("hash_manifest").success
    announced.tick()
    assert announced.slack.texts == [START, FAILED, COMPLETE]


def test_a_backfill_that_cannot_plan_again_is_no_news(announced: Announced) -> None:
    deployment = announced.deployment
    deployment.simulator.api_down = True
    parent = ""
    for backfill_id in ("qwertyui", "asdfghjk", "zxcvbnma"):
        backfill = Backfilled(deployment, ALL, PLATFORMS, backfill_id=backfill_id, parent=parent)
        assert not backfill.run(*PLANNING).success
        backfill.end(BulkActionStatus.COMPLETED_FAILED)
        announced.tick()
        parent = backfill_id
    assert announced.slack.texts == [FAILED]
    deployment.simulator.api_down = False
    last = Backfilled(deployment, ALL, PLATFORMS, backfill_id="poiuytre", parent=parent)
    last.run(*PLANNING)
    announced.tick()
    assert announced.slack.texts == [FAILED, START]
