"""A run that failed is told only when it is certain that Dagster starts no other in its place."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from logging import ERROR

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, JobFailureData, RunFailureReason
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.backfill import BulkActionStatus

from brew_assets.definitions import defs
from brew_assets.defs.notifications.missing_syncs import finding_of
from brew_assets.defs.notifications.run_history import RETRY_KNOWN_WITHIN_S
from brew_assets_tests.defs.announced import COMPLETE, FAILED, START, Announced
from brew_assets_tests.defs.backfilled import job_backfill
from brew_assets_tests.defs.deployment import PLATFORMS

RETRY = {"dagster/will_retry": "true"}
NO_RETRY = {"dagster/will_retry": "false"}


@pytest.fixture
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    folder = tmp_path_factory.mktemp("instance")
    retries = {"enabled": True, "max_retries": 3, "retry_on_asset_or_op_failure": False}
    with dg.DagsterInstance.ephemeral(tempdir=str(folder), settings={"run_retries": retries}) as running:
        yield running


@pytest.fixture
def announced(announced: Announced) -> Announced:
    """It has begun to tell."""
    announced.tick()
    return announced


class LostRun:
    """A run whose task is lost, by the steps in which Dagster records that; a kill can come between them."""

    def __init__(self, instance: dg.DagsterInstance, job: str, tags: dict[str, str]) -> None:
        self._instance = instance
        self.run = instance.create_run_for_job(defs.resolve_job_def(job), tags=tags)
        self._failure = DagsterEvent(
            event_type_value=dg.DagsterEventType.RUN_FAILURE.value,
            job_name=job,
            message="the task was lost",
            event_specific_data=JobFailureData(error=None, failure_reason=RunFailureReason.UNKNOWN),
        )

    def event(self) -> None:
        entry = EventLogEntry(  # type: ignore[no-untyped-call]
            error_info=None,
            level=ERROR,
            user_message="the task was lost",
            run_id=self.run.run_id,
            timestamp=datetime.now(UTC).timestamp(),
            job_name=self.run.job_name,
            dagster_event=self._failure,
        )
        self._instance.event_log_storage.store_event(entry)

    def status(self) -> None:
        self._instance.run_storage.handle_run_event(self.run.run_id, self._failure, datetime.now(UTC))

    def verdict(self, tags: dict[str, str]) -> None:
        self._instance.add_run_tags(self.run.run_id, tags)


def planned(announced: Announced, **more: str) -> tuple[LostRun, list[dg.RunRequest]]:
    """A sync whose first platform's run is to be lost, and the requests for its runs; the others are done."""
    deployment = announced.deployment
    assert deployment.run("weekly_sync").success
    requests = list(deployment.tick().run_requests)
    deployment.copy_plan(requests[1:])
    tags = {**requests[0].tags, "dagster/partition": str(requests[0].partition_key), **more}
    return LostRun(deployment.instance, "mirror_platform", tags), requests


def test_a_lost_run_is_not_told_while_dagster_decides_whether_to_begin_it_again(announced: Announced) -> None:
    lost, requests = planned(announced)
    for step in (lost.event, lost.status, lambda: lost.verdict(RETRY)):
        step()
        announced.tick()
        assert announced.slack.texts == [START]
    announced.deployment.copy_plan(requests[:1])
    announced.tick()
    assert announced.slack.texts == [START, COMPLETE]


def test_a_lost_run_that_nobody_begins_again_is_told_at_once_when_dagster_says_so(
    announced: Announced,
) -> None:
    lost, _ = planned(announced)
    lost.event()
    lost.status()
    lost.verdict(NO_RETRY)
    announced.tick()
    assert announced.slack.texts == [START, FAILED]


def test_a_lost_run_that_its_backfills_end_left_without_a_child_is_told(announced: Announced) -> None:
    instance = announced.deployment.instance
    job_backfill(announced.deployment, PLATFORMS[:1], backfill_id="qwertyui")
    lost, _ = planned(announced, **{"dagster/backfill": "qwertyui"})
    lost.event()
    lost.status()
    lost.verdict(RETRY)
    announced.tick()
    assert announced.slack.texts == [START]
    record = instance.get_backfill("qwertyui")
    assert record is not None
    instance.update_backfill(record._replace(status=BulkActionStatus.COMPLETED_FAILED))
    announced.tick()
    assert announced.slack.texts == [START, FAILED]


def test_a_lost_run_of_which_nothing_more_is_heard_is_told_after_a_while(announced: Announced) -> None:
    lost, _ = planned(announced)
    lost.event()
    lost.status()
    announced.tick()
    assert announced.slack.texts == [START]
    announced.clock.advance(RETRY_KNOWN_WITHIN_S)
    announced.tick()
    assert announced.slack.texts == [START, FAILED]


def lost_planning(announced: Announced) -> LostRun:
    tags = {"mirror/purpose": "plan", "dagster/schedule_name": "weekly_sync"}
    return LostRun(announced.deployment.instance, "weekly_sync", tags)


def test_a_lost_planning_is_not_told_while_dagster_decides_whether_to_begin_it_again(
    announced: Announced,
) -> None:
    lost = lost_planning(announced)
    for step in (lost.event, lost.status, lambda: lost.verdict(RETRY)):
        step()
        announced.tick()
        assert announced.slack.texts == []
    announced.deployment.sync()
    announced.tick()
    assert announced.slack.texts == [START, COMPLETE]


def test_a_lost_planning_that_nobody_begins_again_is_told_once(announced: Announced) -> None:
    lost = lost_planning(announced)
    lost.event()
    announced.tick()
    lost.status()
    announced.tick()
    assert announced.slack.texts == []
    lost.verdict(NO_RETRY)
    announced.tick()
    announced.tick()
    assert announced.slack.texts == [FAILED]


def test_other_failures_are_told_while_one_is_undecided(announced: Announced) -> None:
    lost = lost_planning(announced)
    lost.event()
    lost.status()
    announced.tick()
    announced.deployment.simulator.api_down = True
    assert not announced.deployment.run("weekly_sync").success
    announced.tick()
    assert announced.slack.texts == [FAILED]


def test_a_lost_planning_is_open_for_whoever_waits_for_the_scheduled_sync(announced: Announced) -> None:
    at = datetime.now(UTC) - timedelta(seconds=30)
    lost = lost_planning(announced)
    lost.event()
    lost.status()
    instance, window = announced.deployment.instance, timedelta(hours=12)
    soon, following = at + timedelta(minutes=1), at + timedelta(days=7)
    assert finding_of(instance, at, following, soon, window) is None
    lost.verdict(RETRY)
    assert finding_of(instance, at, following, soon, window) is None
    assert "did not end within" in (finding_of(instance, at, following, at + window, window) or "")
