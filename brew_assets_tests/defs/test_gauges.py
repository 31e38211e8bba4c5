"""How the mirror stands, as CloudWatch hears it: from syncs of everything, and never from an older one."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import msgspec
import pytest

from brew_assets.compose.store import CLOCK
from brew_assets.defs.notifications.missing_syncs import Watch
from brew_assets.defs.notifications.open_syncs import Cursor
from brew_assets.defs.notifications.sensor import announce_syncs
from brew_assets.domain.sync_status import SyncState
from brew_assets.simulator import Fault
from brew_assets_tests.defs.announced import COMPLETE, START, WARNING, Announced, published, state_of
from brew_assets_tests.ports import free_ports
from brew_assets_tests.slack_sink import Answer


@pytest.fixture
def announced(announced: Announced) -> Announced:
    """It has begun to tell."""
    announced.tick()
    return announced


def whole_sync(announced: Announced, *, missing: int = 0) -> None:
    """A sync of everything; so many names are not to be had."""
    names = sorted({b.filename for b in announced.deployment.world.bottles if b.tag == "arm64_sonoma"})
    for name in names[:missing]:
        announced.deployment.simulator.fault(name, Fault.not_found())
    announced.deployment.sync()
    announced.deployment.simulator.clear_faults()


def test_what_is_pending_is_known_from_the_plan_on(announced: Announced) -> None:
    deployment = announced.deployment
    assert deployment.run("weekly_sync").success
    announced.tick()
    planned = state_of(announced)
    assert planned.last_good_at is None
    assert planned.pending
    deployment.copy_plan(deployment.tick().run_requests)
    assert len(deployment.entries()) == planned.pending
    announced.tick()
    assert state_of(announced).pending == 0
    assert state_of(announced).last_good_at is not None


def test_a_sync_of_one_formula_or_platform_says_nothing_of_the_whole(announced: Announced) -> None:
    deployment, platforms = announced.deployment, ["arm64_tahoe", "arm64_sequoia", "arm64_sonoma"]
    whole_sync(announced, missing=3)
    announced.tick()
    before = state_of(announced)
    assert before.pending
    assert before.last_good_at is None
    names = [formula.name for formula in deployment.world.formulae[:1]]
    for asked in ({"formula_names": names, "platforms": platforms}, {"platforms": platforms[:1]}):
        assert deployment.plan(**asked).success
        deployment.copy_plan(deployment.tick().run_requests)
    assert deployment.run("mirror_platform", platform="arm64_sequoia").success
    announced.tick()
    assert announced.slack.texts == [START, WARNING, *[START, COMPLETE] * 3]
    assert state_of(announced) == before


def test_a_selective_sync_without_any_selection_is_one_of_everything(announced: Announced) -> None:
    assert announced.deployment.plan().success
    announced.deployment.copy_plan(announced.deployment.tick().run_requests)
    announced.tick()
    assert state_of(announced).last_good_at is not None


def test_an_older_sync_whose_end_waits_takes_nothing_back(announced: Announced) -> None:
    whole_sync(announced, missing=3)
    announced.slack.answer_next(Answer(status=503))
    announced.tick()
    assert state_of(announced).pending
    whole_sync(announced)
    announced.tick()
    after = state_of(announced)
    assert after.pending == 0
    assert after.last_good_at is not None
    announced.tick()
    assert announced.open == 1
    assert state_of(announced) == after


def test_the_state_goes_forward_only() -> None:
    first = SyncState().after(created_at=10.0, pending=5, good_at=None)
    second = first.after(created_at=20.0, pending=0, good_at=25.0)
    assert second == SyncState(last_good_at=25.0, pending=0, pending_of=20.0)
    assert second.after(created_at=10.0, pending=3, good_at=None) == second
    assert second.after(created_at=10.0, pending=3, good_at=15.0) == second
    # The older one has ended later: it was good then.
    assert second.after(created_at=10.0, pending=0, good_at=30.0).last_good_at == 30.0


def test_of_two_syncs_of_the_same_bottles_one_says_that_it_downloaded_them(
    announced: Announced, cloudwatch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = announced.deployment

    def downloaded(environment: str) -> list[float]:
        monkeypatch.setenv("ENVIRONMENT", environment)
        announced.tick()
        date = next(iter(deployment.entries().values())).download_date
        return published(cloudwatch, "BottlesDownloaded", environment, SyncDate=date)

    # The sensor has looked before: otherwise only the newer plan would count.
    deployment.tick()
    assert deployment.run("weekly_sync").success
    assert deployment.run("weekly_sync").success
    requests = deployment.tick().run_requests
    deployment.copy_plan(requests[:3])
    assert downloaded("first") == [len(deployment.entries())]
    deployment.copy_plan(requests[3:])
    assert downloaded("second") == [0]


@pytest.mark.parametrize(
    ("state", "environment", "age_s", "pending"),
    [
        (SyncState(), "untold", 3600.0, []),
        (SyncState(last_good_at=600.0, pending=8, pending_of=1.0), "good", 600.0, [8.0]),
        (SyncState(pending=8, pending_of=1.0), "never-good", 3600.0, [8.0]),
    ],
    ids=["before any sync", "after a good one", "without a good one"],
)
def test_the_age_of_the_last_good_sync_and_what_is_pending_are_published(
    instance: dg.DagsterInstance,
    cloudwatch: str,
    monkeypatch: pytest.MonkeyPatch,
    state: SyncState,
    environment: str,
    age_s: float,
    pending: list[float],
) -> None:
    monkeypatch.setenv("ENVIRONMENT", environment)
    now = datetime.now(UTC).timestamp()
    if state.last_good_at is not None:
        state = msgspec.structs.replace(state, last_good_at=now - state.last_good_at)
    known = Cursor(since=now - 3600.0, ended_until=now, state=state, watch=Watch(settled=now))
    first = dg.build_sensor_context(instance=instance, cursor=msgspec.json.encode(known).decode())
    announce_syncs(first, CLOCK)
    again = dg.build_sensor_context(instance=instance, cursor=first.cursor)
    announce_syncs(again, CLOCK)
    (age,) = published(cloudwatch, "LastGoodSyncAge", environment)
    assert age_s <= age <= age_s + 120.0
    assert published(cloudwatch, "PendingBottles", environment) == pending
    assert msgspec.json.decode(first.cursor or "", type=Cursor).gauges_at >= now
    assert again.cursor == first.cursor


def test_a_cloudwatch_that_is_down_keeps_no_missing_sync_from_being_told(
    announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("ENABLE_METRICS", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    before = (datetime.now(UTC) - timedelta(days=8)).timestamp()
    known = Cursor(since=before, ended_until=before, watch=Watch(settled=before))
    cursor = msgspec.json.encode(known).decode()
    context = dg.build_sensor_context(instance=announced.deployment.instance, cursor=cursor)
    announce_syncs(context, announced.clock)
    assert announced.slack.texts == ["⏰ Homebrew Bottles Sync Is Missing"]
