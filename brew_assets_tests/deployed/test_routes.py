"""The ordinary days: a week from schedule to manifest, by Lambda and by ECS, and a backfill by hand."""

import pytest

from brew_assets.domain.report import decode_report
from brew_assets.engine.record.stored_names import STORED_SUFFIX
from brew_assets.simulator import Simulator, World
from brew_assets_tests.deployed.conftest import PLATFORM, SETTINGS, SyncStatus
from brew_assets_tests.deployed.deployment import Deployed, deployed
from brew_assets_tests.deployed.graphql import Run
from brew_assets_tests.integration.mirrors import wanted
from brew_assets_tests.local_aws.session import wait_for

pytestmark = [pytest.mark.aws, pytest.mark.timeout(900)]

ARM = ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma")
WEEK = SETTINGS | {
    "TARGET_PLATFORMS": ",".join(ARM),
    "MAX_CONCURRENT_DOWNLOADS": "4",
    "SCHEDULE_ENABLED": "true",
    "SCHEDULE_EXPRESSION": "* * * * *",
    "SIZE_THRESHOLD_GB": "0.004",
    "ECS_TASK_SIZES": "0.003:1024:2048:21,*:2048:4096:30",
    "ECS_SPOT_PERCENT": "67",
}


def runs_of(running: Deployed, sync_id: str) -> list[Run]:
    """The three runs of a sync, ended."""

    def look() -> list[Run] | None:
        runs = [r for r in running.webserver.runs() if r.tags.get("mirror/sync_id") == sync_id]
        return runs if len(runs) == 3 and all(run.ended for run in runs) else None

    return wait_for(look, what=f"three ended runs of {sync_id}", timeout_s=240)


def assert_successful(running: Deployed, runs: list[Run]) -> None:
    """All of them succeeded; if not, the message has the end of the others' events."""
    others = [run for run in runs if run.status != "SUCCESS"]
    assert not others, "\n".join(line for run in others for line in running.webserver.events(run.id)[-40:])


def assert_complete(running: Deployed) -> None:
    """Every bottle that serves a platform is recorded, was downloaded once, and no receipt is left."""
    recorded = {entry.s3_key.split("/")[1]: entry.sha256 for entry in running.entries().values()}
    names = wanted(running.upstream, ARM)
    assert recorded == dict(names)
    assert {running.upstream.downloads[digest] for digest in names.values()} == {1}
    assert running.keys("state/receipts/") == []


def assert_reported(running: Deployed, sync_id: str, route: str) -> None:
    """Each of the three runs left a report that says what it did."""
    found = running.keys(f"state/reports/{sync_id}/")
    keys = [key for key in found if not key.endswith((".batch.json", STORED_SUFFIX))]
    reports = [decode_report(running.read(key)) for key in keys]
    assert sorted(report.platforms[0] for report in reports) == sorted(ARM)
    assert {(report.route, report.outcome) for report in reports} == {(route, "success")}


def test_the_week_goes_by_itself_small_through_lambda_and_large_through_ecs() -> None:
    world = World.generate(seed=11, formulae=20)
    with Simulator(world) as upstream, deployed(upstream, WEEK) as running:
        webserver = running.webserver
        wait_for(lambda: webserver.runs(job="weekly_sync"), what="the schedule's run", timeout_s=240)
        webserver.stop_schedule("weekly_sync")
        plan = wait_for(
            lambda: webserver.metadata("pending_bottles"), what="the schedule's plan", timeout_s=240
        )
        assert plan["route"] == "lambda"
        assert "under the threshold of 0.004 GB" in plan["report"]

        runs = runs_of(running, plan["sync_id"])
        assert {run.platform for run in runs} == set(ARM)
        assert_successful(running, runs)
        assert {run.tags["mirror/route"] for run in runs} == {"lambda"}
        assert {(run.tags["ecs/cpu"], run.tags["ecs/memory"]) for run in runs} == {("512", "1024")}
        invocations = running.aws.invocations()
        assert len(invocations) >= 3
        assert {invocation.result for invocation in invocations} == {"ok"}
        assert_complete(running)
        assert_reported(running, plan["sync_id"], "lambda")

        # A week later upstream has more than the threshold.
        for number in range(12):
            world.publish(f"large-{number}", "1.0", tags=ARM, size_bytes=150_000)
        planning = webserver.launch("weekly_sync")
        assert running.wait_for_run(planning).status == "SUCCESS"
        second = webserver.metadata("pending_bottles")
        assert second["route"] == "ecs"
        runs = runs_of(running, second["sync_id"])
        assert_successful(running, runs)
        tasks = {task.tags.get("dagster/run_id"): task for task in running.aws.tasks()}
        assert (tasks[planning].cpu, tasks[planning].memory) == ("512", "1024")
        for run in runs:
            task = tasks[run.id]
            assert (task.cpu, task.memory, task.ephemeral_storage_gib) == ("1024", "2048", 21)
            assert (task.tags["mirror/route"], task.tags["mirror/sync_id"]) == ("ecs", second["sync_id"])
        providers = [str(tasks[run.id].capacity_provider) for run in runs]
        # 67 % of three are two; in one plan of a hundred it is all three's turn.
        assert (providers.count("FARGATE_SPOT"), providers.count("FARGATE")) in ((2, 1), (3, 0))
        assert len(running.aws.invocations()) == len(invocations)
        assert_complete(running)
        assert_reported(running, second["sync_id"], "ecs")

        # A single platform by hand, into an environment that has served other batches before.
        world.publish("late", "1.0", tags=("arm64_sonoma",))
        run_id = webserver.launch("mirror_platform", tags={"dagster/partition": "arm64_sonoma"})
        assert running.wait_for_run(run_id).status == "SUCCESS"
        (warm,) = running.aws.invocations()[len(invocations) :]
        assert not warm.cold
        assert any("1 of 1 bottles stored" in message for message in webserver.events(run_id))
        assert_complete(running)


def test_a_backfill_of_a_platform_decides_by_itself_and_folds(story: SyncStatus) -> None:
    story.publish(8)
    before = story.lambdas()
    story.webserver.backfill("bottles", PLATFORM)
    run = wait_for(
        lambda: next((r for r in story.webserver.runs() if "dagster/backfill" in r.tags), None),
        what="the backfill's run",
        timeout_s=180,
    )
    story.wait_for_success(run.id)
    assert "mirror/route" not in run.tags
    assert story.lambdas() > before
    assert "| route | lambda |" in story.webserver.metadata("bottles", partition=PLATFORM)["figures"]
    story.assert_held()
    assert story.deployed.keys("state/receipts/") == []


def test_bottles_can_be_given_to_the_lambda_by_value(story: SyncStatus) -> None:
    story.publish(2)
    formulas = []
    for bottle in story.bottles:
        url = bottle.url
        bottles = {
            PLATFORM: {
                "url": url,
                "sha256": bottle.digest,
                "size": bottle.size,
            }
        }
        formulas.append({"name": bottle.formula, "version": "1.0", "bottles": bottles})
    done = story.deployed.account.invoke({"formulas": formulas, "sync_date": "2025-07-21"})
    assert done["error"] is None, done
    assert (done["answer"]["outcome"], done["answer"]["stored"]) == ("success", 2)
    story.assert_held()
    assert {key for key in story.deployed.keys("2025-07-21/")} == {
        f"2025-07-21/{bottle.filename}" for bottle in story.bottles
    }
    refused = story.deployed.account.invoke({"formulas": [], "sync_date": "2025-07-21"})
    assert refused["error"] == "Unhandled"
    assert "at least one bottle" in refused["answer"]["errorMessage"]
