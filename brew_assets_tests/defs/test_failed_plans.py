"""A sync for which no plan was made is reported with the cause, however its run was started and ended."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import EngineEventData, JobFailureData, RunFailureReason
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster_shared.error import SerializableErrorInfo

from brew_assets.definitions import defs
from brew_assets.defs.notifications.failure_causes import _REASONS, why_it_failed
from brew_assets.defs.notifications.open_syncs import LOOK_BACK_S
from brew_assets.errors import CatalogueUnavailable, MirrorError, StoreUnavailable, UpstreamInterrupted
from brew_assets_tests.defs.announced import COMPLETE, FAILED, START, Announced

PLANNING = ("formula_catalog", "pending_bottles")


@pytest.fixture
def announced(announced: Announced) -> Announced:
    """It has begun to tell; a step that asks for another try gets it at once."""
    announced.tick()
    return announced


def materialize(
    announced: Announced, *assets: str, tags: Mapping[str, str] | None = None, platform: str | None = None
) -> dg.ExecuteInProcessResult:
    """A run as the UI, a backfill or a sensor starts it: of assets, not of a job of ours."""
    return defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=announced.deployment.instance,
        asset_selection=[dg.AssetKey(name) for name in assets],
        partition_key=platform,
        tags=tags,
        raise_on_error=False,
    )


def shrink(announced: Announced) -> None:
    """There is a plan, and since then upstream has lost a quarter of its formulae."""
    assert announced.deployment.run("weekly_sync").success
    for formula in announced.deployment.world.formulae[:5]:
        announced.deployment.world.remove(formula.name)


Start = Callable[[Announced], dg.ExecuteInProcessResult]
STARTS: dict[str, Start] = {
    "schedule": lambda announced: announced.deployment.run(
        "weekly_sync", tags={"dagster/schedule_name": "weekly_sync"}
    ),
    "launchpad of a job": lambda announced: announced.deployment.run("selective_sync"),
    "materialize in the UI": lambda announced: materialize(announced, *PLANNING),
    "materialize all": lambda announced: materialize(
        announced, *PLANNING, tags={"dagster/backfill": "abcdefgh"}
    ),
    "a sensor": lambda announced: materialize(announced, *PLANNING, tags={"dagster/sensor_name": "theirs"}),
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_plan_that_a_check_stopped_is_reported_with_what_the_check_found(
    announced: Announced, start: Start
) -> None:
    shrink(announced)
    announced.tick()
    before = announced.slack.texts
    result = start(announced)
    assert not result.success
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts[len(before) :] == [FAILED]
    text = json.dumps(announced.slack.taken[-1])
    assert "the catalogue shrank from 20 to 15 formulae" in text
    assert "catalogue_not_shrunk" in text
    assert "*Error Type:* Check failed" in text
    assert "Execution of" not in text
    assert f"https://dagster.example/runs/{result.run_id}" in text


def test_a_plan_alone_that_is_materialized_and_fails_is_reported(announced: Announced) -> None:
    announced.deployment.simulator.api_down = True
    assert not materialize(announced, "pending_bottles").success
    announced.tick()
    assert announced.slack.texts == [FAILED]
    text = json.dumps(announced.slack.taken[-1])
    assert "*Error Type:* Catalogue unavailable" in text
    assert "no plan was made" in text
    assert "formula.json" in text


def test_a_catalogue_alone_that_is_not_materialized_is_no_sync(announced: Announced) -> None:
    announced.deployment.simulator.api_down = True
    assert not materialize(announced, "formula_catalog").success
    announced.tick()
    assert announced.slack.texts == []


@pytest.mark.parametrize(
    ("tags", "messages"),
    [({"dagster/backfill": "abcdefgh"}, 1), ({}, 2)],
    ids=["of one backfill", "two clicks"],
)
def test_platforms_whose_runs_cannot_plan_for_themselves_are_reported(
    announced: Announced, tags: dict[str, str], messages: int
) -> None:
    announced.deployment.simulator.api_down = True
    for platform in ("arm64_sonoma", "arm64_sequoia"):
        assert not materialize(announced, "bottles", platform=platform, tags=tags).success
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts == [FAILED] * messages


def test_a_run_that_cannot_plan_is_no_failure_of_a_backfill_that_has_a_plan(announced: Announced) -> None:
    tags = {"dagster/backfill": "abcdefgh"}
    assert materialize(announced, "bottles", platform="arm64_sonoma", tags=tags).success
    announced.tick()
    assert announced.slack.texts == [START, COMPLETE]
    lost = of_assets(announced, "bottles", tags={**tags, "dagster/partition": "arm64_sequoia"})
    announced.deployment.instance.report_run_failed(lost)
    announced.tick()
    assert announced.slack.texts == [START, COMPLETE]


def test_a_backfill_is_reported_as_failed_only_when_none_of_its_runs_can_plan_any_more(
    announced: Announced,
) -> None:
    instance = announced.deployment.instance
    backfill = PartitionBackfill(
        backfill_id="abcdefgh",
        status=BulkActionStatus.REQUESTED,
        from_failure=False,
        tags={},
        backfill_timestamp=0.0,
        asset_selection=[dg.AssetKey("bottles")],
    )
    instance.add_backfill(backfill)
    tags = {"dagster/backfill": "abcdefgh"}
    instance.report_run_failed(of_assets(announced, "bottles", tags=tags))
    announced.tick()
    assert announced.slack.texts == []
    ended = backfill.with_status(BulkActionStatus.COMPLETED_FAILED)  # type: ignore[no-untyped-call]
    instance.update_backfill(ended)
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts == [FAILED]


def of_assets(
    announced: Announced, *assets: str, tags: Mapping[str, str] | None = None, parent: str = ""
) -> dg.DagsterRun:
    """A run of these assets that has not begun."""
    return announced.deployment.instance.create_run_for_job(
        defs.resolve_implicit_global_asset_job_def(),
        asset_selection={dg.AssetKey(name) for name in assets},
        tags=tags,
        parent_run_id=parent or None,
        root_run_id=parent or None,
    )


def test_a_planning_that_somebody_cancels_is_reported_like_a_cancelled_run(announced: Announced) -> None:
    run = of_assets(announced, *PLANNING)
    announced.deployment.instance.report_run_canceled(run)
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts == [FAILED]
    text = json.dumps(announced.slack.taken[-1])
    assert "*Error Type:* Cancelled" in text
    assert "the run was cancelled before there was a plan" in text


def test_a_scheduled_planning_that_was_cancelled_is_left_to_the_missing_syncs(announced: Announced) -> None:
    run = of_assets(announced, *PLANNING, tags={"dagster/schedule_name": "weekly_sync"})
    announced.deployment.instance.report_run_canceled(run)
    announced.tick()
    assert announced.slack.texts == []


def test_a_planning_that_is_cancelled_after_its_plan_leaves_the_word_to_the_sync(
    announced: Announced,
) -> None:
    planning = announced.deployment.run("weekly_sync")
    run = announced.deployment.instance.get_run_by_id(planning.run_id)
    assert run is not None
    announced.deployment.instance.report_run_canceled(run)
    announced.tick()
    assert announced.slack.texts == [START]


def test_what_was_cancelled_before_an_upgrade_is_no_news_after_it(announced: Announced) -> None:
    announced.deployment.instance.report_run_canceled(of_assets(announced, *PLANNING))
    since = json.loads(announced.cursor or "{}")["since"] - 30 * 86_400
    announced.cursor = json.dumps({"since": since, "plans": 0, "own_plans": 0, "failures": 0})
    announced.clock.advance(LOOK_BACK_S + 60.0)
    announced.tick()
    assert announced.slack.texts == []


def test_a_failed_planning_that_is_executed_again_and_fails_again_is_no_news(announced: Announced) -> None:
    instance = announced.deployment.instance
    parent = ""
    for _ in range(3):
        run = of_assets(announced, *PLANNING, parent=parent)
        instance.report_run_failed(run)
        announced.tick()
        parent = run.run_id
    assert announced.slack.texts == [FAILED]
    # One that is executed again after a success, or of its own, is another matter.
    instance.report_run_failed(of_assets(announced, *PLANNING))
    planned = announced.deployment.run("weekly_sync")
    instance.report_run_failed(of_assets(announced, *PLANNING, parent=planned.run_id))
    announced.tick()
    assert sorted(announced.slack.texts) == sorted([FAILED, FAILED, START, FAILED])


def test_a_failed_planning_that_is_executed_again_and_succeeds_is_a_sync_like_any(
    announced: Announced,
) -> None:
    announced.deployment.simulator.api_down = True
    assert not announced.deployment.run("weekly_sync").success
    announced.tick()
    announced.deployment.simulator.api_down = False
    announced.deployment.sync()
    announced.tick()
    assert announced.slack.texts == [FAILED, START, COMPLETE]


def raised(build: Callable[[], BaseException]) -> SerializableErrorInfo:
    """An exception as Dagster records it."""
    try:
        raise build()
    except BaseException:
        return serializable_error_info_from_exc_info(sys.exc_info())


def behind(wrapper: Exception, cause: Exception) -> Callable[[], BaseException]:
    def build() -> BaseException:
        try:
            raise wrapper from cause
        except Exception as error:
            return error

    return build


OURS = StoreUnavailable("s3://bucket/key: the store did not answer")


def failed_with(announced: Announced, error: SerializableErrorInfo | None, message: str) -> dg.DagsterRun:
    """A run that failed with that error in its own event."""
    run = of_assets(announced, *PLANNING)
    data = JobFailureData(error=error, failure_reason=RunFailureReason.RUN_EXCEPTION)
    announced.deployment.instance.report_run_failed(run, message, data)
    return run


@pytest.mark.parametrize(
    ("build", "cause"),
    [
        (behind(RuntimeError("Error occurred while executing op"), OURS), ("store unavailable", str(OURS))),
        (
            behind(RuntimeError("outer"), behind(CatalogueUnavailable("api: no answer"), OURS)()),  # type: ignore[arg-type]
            ("store unavailable", str(OURS)),
        ),
        (behind(UpstreamInterrupted("x: broke off"), OSError("reset")), ("network", "x: broke off")),
        (behind(RuntimeError("outer"), dg.Failure("2 of 3 bottles")), ("", "2 of 3 bottles")),
        (behind(RuntimeError("outer"), KeyError("inner")), ("", "KeyError: 'inner'")),
        (
            behind(RuntimeError("outer"), OSError("https://user:secret@host/x?key=secret refused")),
            ("", "OSError: https://host/x refused"),
        ),
    ],
    ids=["ours", "the innermost of ours", "ours around another's", "a failure", "another's", "with a secret"],
)
def test_the_cause_is_named_and_not_what_stands_around_it(
    announced: Announced, build: Callable[[], BaseException], cause: tuple[str, str]
) -> None:
    run = failed_with(announced, raised(build), "Execution of run failed. An exception was thrown.")
    assert why_it_failed(announced.deployment.instance, run.run_id) == cause
    announced.tick()
    assert "Execution of run" not in json.dumps(announced.slack.taken[-1])


def test_a_run_that_could_not_be_launched_is_reported_with_what_the_launcher_said(
    announced: Announced,
) -> None:
    run, instance = of_assets(announced, *PLANNING), announced.deployment.instance
    error = raised(lambda: RuntimeError("RESOURCE:MEMORY on the cluster"))
    instance.report_engine_event("Caught an error while launching", run, EngineEventData(error=error))
    instance.report_run_failed(run)
    announced.tick()
    assert announced.slack.texts == [FAILED]
    text = json.dumps(announced.slack.taken[-1])
    assert "RuntimeError: RESOURCE:MEMORY on the cluster" in text
    assert "marked as failed from outside" not in text


@pytest.mark.parametrize(
    ("message", "shown"),
    [("The run worker was lost", "The run worker was lost"), (None, "marked as failed from outside")],
    ids=["with a word", "without"],
)
def test_a_run_whose_worker_died_is_reported_with_what_dagster_knows(
    announced: Announced, message: str | None, shown: str
) -> None:
    announced.deployment.instance.report_run_failed(of_assets(announced, *PLANNING), message)
    announced.tick()
    assert announced.slack.texts == [FAILED]
    assert shown in json.dumps(announced.slack.taken[-1])


def test_a_run_without_any_event_says_so(announced: Announced) -> None:
    run = of_assets(announced, *PLANNING)
    found = why_it_failed(announced.deployment.instance, run.run_id)
    assert found == ("", "the run ended without saying why")


def test_the_names_of_our_errors_have_their_reasons() -> None:
    assert _REASONS[StoreUnavailable.__name__] == StoreUnavailable.reason
    assert MirrorError.__name__ in _REASONS


def test_a_platform_whose_run_failed_outside_of_a_step_is_reported_with_the_cause(
    announced: Announced,
) -> None:
    deployment = announced.deployment
    assert deployment.run("weekly_sync").success
    requests = deployment.tick().run_requests
    deployment.copy_plan(requests[1:])
    tags: dict[str, Any] = {**requests[0].tags, "dagster/partition": requests[0].partition_key}
    run = deployment.instance.create_run_for_job(defs.resolve_job_def("mirror_platform"), tags=tags)
    error = raised(behind(RuntimeError("wrapper"), OURS))
    data = JobFailureData(error=error, failure_reason=RunFailureReason.JOB_INITIALIZATION_FAILURE)
    deployment.instance.report_run_failed(run, "Execution of run failed.", data)
    announced.tick()
    text = json.dumps(announced.slack.taken[-1])
    assert f"arm64_tahoe: {OURS}" in text
    assert "*Error Type:* Store unavailable" in text
