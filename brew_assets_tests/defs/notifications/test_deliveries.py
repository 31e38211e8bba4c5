"""Where it stands what was sent: in tags of the planning run, which Dagster copies and rewrites."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance import InstanceType
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.run_coordinator import DefaultRunCoordinator
from dagster._core.storage.event_log import InMemoryEventLogStorage
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.runs import InMemoryRunStorage

from brew_assets.definitions import defs
from brew_assets.defs.notifications.run_history import fate_of
from brew_assets_tests.defs.announced import COMPLETE, FAILED, START, Announced, state_of
from brew_assets_tests.slack_sink import Answer

STARTED = "mirror/notified.start.slack"


class OddRunStorage(InMemoryRunStorage):
    """As Dagster+'s it keeps no cursors of daemons; `meanwhile` happens once a run's body has been read."""

    meanwhile: Callable[[], object] | None = None

    def get_cursor_values(self, keys: set[str]) -> object:  # type: ignore[override]
        return NotImplementedError("KVS is not supported from the user cloud")

    def set_cursor_values(self, pairs: object) -> object:  # type: ignore[override]
        return NotImplementedError("KVS is not supported from the user cloud")

    def _get_run_by_id(self, run_id: str) -> dg.DagsterRun | None:
        run = super()._get_run_by_id(run_id)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return run


@pytest.fixture
def storage() -> OddRunStorage:
    return OddRunStorage()


@contextmanager
def odd_instance(
    folder: Path, storage: OddRunStorage, settings: dict[str, Any] | None = None
) -> Iterator[dg.DagsterInstance]:
    """An instance in memory with that storage of runs."""
    with dg.DagsterInstance(
        instance_type=InstanceType.EPHEMERAL,
        local_artifact_storage=LocalArtifactStorage(str(folder)),
        run_storage=storage,
        event_storage=InMemoryEventLogStorage(),
        compute_log_manager=NoOpComputeLogManager(),
        run_coordinator=DefaultRunCoordinator(),
        run_launcher=SyncInMemoryRunLauncher(),
        settings=settings,
    ) as running:
        yield running


@pytest.fixture
def instance(
    tmp_path_factory: pytest.TempPathFactory, storage: OddRunStorage
) -> Iterator[dg.DagsterInstance]:
    with odd_instance(tmp_path_factory.mktemp("instance"), storage) as running:
        yield running


def test_on_dagster_plus_a_week_is_a_start_and_an_end(announced: Announced) -> None:
    deployment = announced.deployment
    planning = deployment.run("weekly_sync")
    for _ in range(2):
        announced.tick(keep_cursor=False)
    assert announced.slack.texts == [START]
    tags = deployment.run_of(planning).tags
    assert tags[STARTED] == f"sent.{planning.run_id}"
    deployment.copy_plan(deployment.tick().run_requests)
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts == [START, COMPLETE]
    tags = deployment.run_of(planning).tags
    assert {name for name in tags if name.startswith("mirror/notified.")} == {
        STARTED,
        "mirror/notified.end.slack",
    }
    assert tags["mirror/notified.end.slack"] == f"sent.success.{planning.run_id}"
    assert state_of(announced).last_good_at is not None


def test_on_dagster_plus_a_week_without_a_plan_is_a_failure_and_a_platform_a_sync(
    announced: Announced,
) -> None:
    announced.deployment.simulator.api_down = True
    failed = announced.deployment.run("weekly_sync")
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts == [FAILED]
    tags = announced.deployment.run_of(failed).tags
    assert tags["mirror/notified.end.slack"] == f"sent.{failed.run_id}"
    announced.deployment.simulator.api_down = False
    planned = announced.deployment.run("mirror_platform", platform="arm64_sonoma")
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts == [FAILED, START, COMPLETE]
    assert STARTED in announced.deployment.run_of(planned).tags


def test_the_tags_of_a_run_that_another_took_over_count_for_the_first_alone(announced: Announced) -> None:
    deployment = announced.deployment
    first = deployment.run("weekly_sync")
    announced.tick()
    copied = deployment.run_of(first).tags
    assert copied[STARTED] == f"sent.{first.run_id}"
    # As an automatic retry does, and "use parent tags" in the UI.
    second = deployment.run("weekly_sync", tags=copied)
    announced.tick()
    assert announced.slack.texts == [START, START]
    tags = deployment.run_of(second).tags
    assert tags[STARTED] == f"sent.{second.run_id}"
    assert deployment.run_of(first).tags[STARTED] == f"sent.{first.run_id}"


def test_a_run_that_took_tags_over_and_plans_nothing_is_no_sync(announced: Announced) -> None:
    deployment = announced.deployment
    first = deployment.run("weekly_sync")
    copied = deployment.run_of(first).tags
    job = defs.resolve_job_def("weekly_sync")
    going = deployment.instance.create_run_for_job(job, tags=copied, status=dg.DagsterRunStatus.STARTED)
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts == [START]
    deployment.instance.report_run_canceled(going)
    deployment.copy_plan(deployment.tick().run_requests)
    announced.tick()
    assert COMPLETE in announced.slack.texts
    assert announced.slack.texts.count(START) == 1


@pytest.mark.parametrize("keep_cursor", [True, False])
def test_an_event_that_rewrites_the_runs_body_meanwhile_hides_no_delivery(
    announced: Announced, storage: OddRunStorage, keep_cursor: bool
) -> None:
    deployment = announced.deployment
    announced.tick()
    planning = deployment.run("weekly_sync")
    # Dagster has read the body for its next event; the sensor sends and tags; Dagster writes what it read.
    storage.meanwhile = lambda: announced.tick(keep_cursor=keep_cursor)
    ended = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, "weekly_sync", message="")
    storage.handle_run_event(planning.run_id, ended)
    assert storage.meanwhile is None
    assert announced.slack.texts == [START]
    assert STARTED not in deployment.run_of(planning).tags
    announced.tick()
    assert announced.slack.texts == [START]
    deployment.copy_plan(deployment.tick().run_requests)
    for _ in range(2):
        announced.tick(keep_cursor=keep_cursor)
    assert announced.slack.texts == [START, COMPLETE]


def test_a_message_that_is_to_be_sent_again_is_though_the_body_has_lost_that(
    announced: Announced, storage: OddRunStorage
) -> None:
    deployment = announced.deployment
    announced.slack.answer_next(Answer(status=503))
    planning = deployment.run("weekly_sync")
    storage.meanwhile = announced.tick
    ended = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, "weekly_sync", message="")
    storage.handle_run_event(planning.run_id, ended)
    assert announced.slack.texts == []
    announced.clock.advance(30.0)
    announced.tick()
    assert announced.slack.texts == [START]
    # `sending` became a second row beside `waiting`; what followed is written into both.
    (found,) = deployment.instance.get_run_tags([STARTED])
    assert found == (STARTED, {f"sent.{planning.run_id}"})
    announced.tick()
    assert announced.slack.texts == [START]


def test_messages_end_with_the_planning_run_when_somebody_deletes_it(announced: Announced) -> None:
    deployment = announced.deployment
    planning = deployment.run("weekly_sync")
    announced.tick()
    assert announced.open == 1
    deployment.instance.delete_run(planning.run_id)
    announced.tick()
    assert (announced.slack.texts, announced.open) == ([START], 0)


def test_that_dagster_begins_a_run_again_is_known_though_its_body_has_lost_that(
    tmp_path: Path, storage: OddRunStorage
) -> None:
    retries = {"run_retries": {"enabled": True, "max_retries": 3}}
    with odd_instance(tmp_path, storage, retries) as instance:
        run = instance.create_run_for_job(defs.resolve_job_def("weekly_sync"))
        # While the sensor writes a tag of its own, Dagster notes that another run follows.
        storage.meanwhile = lambda: instance.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
        instance.add_run_tags(run.run_id, {STARTED: f"sent.{run.run_id}"})
        record = instance.get_run_record_by_id(run.run_id)
        assert record is not None
        assert "dagster/will_retry" not in record.dagster_run.tags
        assert fate_of(instance, record, now=datetime.now(UTC).timestamp()) == "retried"
