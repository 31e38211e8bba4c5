"""A deployment that is upgraded in mid-sync: what the version before recorded counts, and nothing is lost."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import msgspec
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from brew_assets.definitions import defs
from brew_assets.defs.assets import pending_bottles
from brew_assets.defs.notifications.run_history import planned_sync
from brew_assets_tests.defs.announced import COMPLETE, FAILED, START, Announced, state_of

LATE = "⏰ Homebrew Bottles Sync Is Missing"


@pytest.fixture
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    # With a storage for the states of sensors, which an ephemeral one has not.
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance"))) as running:
        yield running


@pytest.fixture
def announced(announced: Announced, monkeypatch: pytest.MonkeyPatch) -> Announced:
    """Its runs are those of the version before, which gave a run that plans no tag."""
    monkeypatch.setattr("brew_assets.defs.run_plans.PLANNED_TAG", "mirror/unknown")
    return announced


class Before:
    """What the version before left in its cursors and in the storage of the daemon's."""

    def __init__(self, announced: Announced) -> None:
        self.instance = announced.deployment.instance
        self._since = datetime.now(UTC).timestamp() - 86_400.0

    def delivered(self, key: str, *, state: str = "sent", outcome: str = "") -> None:
        """It knows that of the delivery."""
        at = datetime.now(UTC).timestamp()
        known = {"state": state, "at": at, "first_at": at, "tries": 1, "not_before": 0.0, "outcome": outcome}
        self.keep(f"deliveries/{key}", known)

    def keep(self, key: str, value: dict[str, Any]) -> None:
        """Its daemon's cursor storage has the value."""
        self.instance.daemon_cursor_storage.set_cursor_values({f"brew_assets/{key}": json.dumps(value)})

    def sync(self, run_id: str) -> dict[str, Any]:
        """A planned sync as its cursor has it."""
        found = planned_sync(self.instance, run_id)
        assert found is not None
        kept: dict[str, Any] = msgspec.to_builtins(found)
        plan = kept.pop("plan")
        del kept["reported_at"], kept["seen"]
        names = {"date": "sync_date", "planned": "objects", "size": "estimated_bytes"}
        same = {name: name for name in ("sync_id", "route", "held", "unknown_sizes")}
        return kept | {before: plan[now] for before, now in (names | same).items()}

    def cursor(self, **more: Any) -> str:
        """The cursor of its sensor, which has read all plans so far."""
        wanted = dg.AssetRecordsFilter(asset_key=pending_bottles.key)
        made = self.instance.fetch_materializations(wanted, limit=1).records
        seen = self.instance.fetch_observations(wanted, limit=1).records
        known = {
            "since": self._since,
            "plans": made[0].storage_id if made else 0,
            "own_plans": seen[0].storage_id if seen else 0,
            "failures": 0,
            "cancels": 0,
            "syncs": [],
            "plannings": [],
            "undecided": [],
            "incomplete": [],
        }
        return json.dumps(known | more)


def test_a_sync_whose_start_was_given_before_gets_its_end_and_no_second_start(announced: Announced) -> None:
    deployment, before = announced.deployment, Before(announced)
    sync = before.sync(deployment.run("weekly_sync").run_id)
    before.delivered(f"{sync['sync_id']}/start/slack")
    before.keep("state", {"last_good_at": 5.0, "pending": 7, "pending_of": 3.0})
    announced.cursor = before.cursor(syncs=[sync])
    announced.tick()
    assert announced.slack.texts == []
    assert state_of(announced).last_good_at == 5.0
    deployment.copy_plan(deployment.tick().run_requests)
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts == [COMPLETE]


def test_a_sync_whose_end_was_given_before_gets_nothing_more(announced: Announced) -> None:
    deployment, before = announced.deployment, Before(announced)
    sync = before.sync(deployment.run("weekly_sync").run_id)
    deployment.copy_plan(deployment.tick().run_requests)
    before.delivered(f"{sync['sync_id']}/start/slack")
    before.delivered(f"{sync['sync_id']}/end/slack", outcome="success")
    # Its cursor does not know yet: the daemon was stopped for the upgrade before it was kept.
    announced.cursor = before.cursor(syncs=[sync])
    for _ in range(2):
        announced.tick()
    assert (announced.slack.texts, announced.open) == ([], 0)


def test_a_message_that_was_on_its_way_is_not_sent_again(announced: Announced) -> None:
    deployment, before = announced.deployment, Before(announced)
    sync = before.sync(deployment.run("weekly_sync").run_id)
    before.delivered(f"{sync['sync_id']}/start/slack", state="sending")
    announced.cursor = before.cursor(syncs=[sync])
    announced.tick()
    assert announced.slack.texts == []


def test_a_plan_that_a_task_of_the_version_before_makes_is_found(announced: Announced) -> None:
    before = Before(announced)
    announced.cursor = before.cursor()
    announced.tick()
    deployment = announced.deployment
    assert deployment.run("weekly_sync").success
    announced.tick()
    assert deployment.run("mirror_platform", platform="arm64_sonoma").success
    announced.tick()
    deployment.copy_plan(deployment.tick().run_requests)
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts == [START, START, COMPLETE, COMPLETE]


def test_what_was_reported_and_forgotten_before_is_no_news(announced: Announced) -> None:
    deployment, before = announced.deployment, Before(announced)
    deployment.sync()
    assert deployment.run("mirror_platform", platform="arm64_sonoma").success
    announced.cursor = before.cursor()
    for _ in range(2):
        announced.tick()
    assert (announced.slack.texts, announced.open) == ([], 0)


def test_a_sync_that_was_reported_as_failed_before_is_completed_after(announced: Announced) -> None:
    deployment, before = announced.deployment, Before(announced)
    sync = before.sync(deployment.run("weekly_sync").run_id)
    requests = deployment.tick().run_requests
    deployment.copy_plan(requests[1:])
    cancelled = deployment.instance.create_run_for_job(
        defs.resolve_job_def("mirror_platform"),
        tags={**requests[0].tags, "dagster/partition": str(requests[0].partition_key)},
    )
    deployment.instance.report_run_canceled(cancelled)
    before.delivered(f"{sync['sync_id']}/start/slack")
    before.delivered(f"{sync['sync_id']}/end/slack", outcome="failure")
    ended = [
        run.run_id
        for run in deployment.instance.get_runs(dg.RunsFilter(tags={"mirror/sync_id": sync["sync_id"]}))
    ]
    followed = {"sync": sync, "reported_at": datetime.now(UTC).timestamp(), "seen": ended}
    announced.cursor = before.cursor(incomplete=[followed])
    announced.tick()
    assert announced.slack.texts == []
    deployment.copy_plan(requests[:1])
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts == [COMPLETE]
    assert "After a re-execution it is now complete" in json.dumps(announced.slack.taken[-1])


def test_a_failed_planning_that_was_reported_before_is_no_news(announced: Announced) -> None:
    deployment, before = announced.deployment, Before(announced)
    deployment.simulator.api_down = True
    failed = deployment.run("weekly_sync")
    before.delivered(f"run-{failed.run_id}/end/slack")
    announced.cursor = before.cursor()
    announced.tick()
    assert announced.slack.texts == []
    assert not deployment.run("weekly_sync").success
    announced.tick()
    assert announced.slack.texts == [FAILED]


def test_a_missing_sync_that_a_channel_has_not_heard_of_is_reported_there_alone(announced: Announced) -> None:
    before = Before(announced)
    now = datetime.now(UTC).timestamp()
    unsent = [{"at": 86_400.0 * days, "finding": f"finding {days}"} for days in (1, 2)]
    before.delivered("scheduled-19700102T0000/absence/slack")
    kept = {"since": 0.0, "settled": now, "gauges_at": now, "untold": unsent, "expression": ""}
    repository = RemoteRepositoryOrigin(
        ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(), "brew_assets"), "__repository__"
    )
    before.instance.add_instigator_state(
        InstigatorState(
            RemoteInstigatorOrigin(repository, "report_missing_syncs"),
            InstigatorType.SENSOR,
            InstigatorStatus.RUNNING,
            SensorInstigatorData(cursor=json.dumps(kept)),
        )
    )
    announced.cursor = before.cursor()
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts == [LATE]
    assert "finding 2" in json.dumps(announced.slack.taken)
