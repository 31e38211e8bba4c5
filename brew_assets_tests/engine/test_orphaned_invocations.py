"""Runs that come after one that was killed while its Lambdas were at work."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec import structs

from brew_assets.domain.batch import (
    Batch,
    DirectRequest,
    batch_key,
    batch_name,
    batch_report_key,
    encode_batch,
)
from brew_assets.domain.plan import Plan
from brew_assets.engine.coordination import INVOCATION_LIVES_S, INVOCATION_PATIENCE_S
from brew_assets.engine.ports import StopSignal
from brew_assets.engine.sync_worker import work_on
from brew_assets_tests.engine.test_lambda_copier import SyncStatus
from brew_assets_tests.fakes import FakeClock


class WatchedClock(FakeClock):
    """A clock that lets something happen whenever somebody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] = lambda: None

    def wait(self, seconds: float, stop: StopSignal | None = None) -> bool:
        self.meanwhile()
        return super().wait(seconds, stop)


class WatchedStory(SyncStatus):
    """A story in whose waits something may happen."""

    def __init__(self, bottles: int = 12) -> None:
        super().__init__(bottles)
        self.clock = self.upstream.clock = WatchedClock()


@pytest.fixture
def story() -> WatchedStory:
    return WatchedStory()


class Orphans:
    """Batches of a run that was killed; their workers store a few bottles whenever the next run waits."""

    def __init__(self, story: WatchedStory, plan: Plan, *, age_s: float = 0.0, date: str = "") -> None:
        self._story = story
        self._clock = story.clock
        self.batch = Batch(
            sync_id=plan.sync_id, sync_date=date or plan.sync_date, objects=plan.objects, look_first=False
        )
        given_out = self._clock.now() - timedelta(seconds=age_s)
        self.key = batch_key(plan.sync_id, batch_name(given_out, "0"))
        story.upstream.store.write(self.key, encode_batch(self.batch))
        self.waited_from = self._clock.monotonic()

    @property
    def waited_s(self) -> float:
        return self._clock.monotonic() - self.waited_from

    def store_next(self, count: int = 1) -> None:
        """The worker stores so many more of its bottles, without a receipt."""
        upstream = self._story.upstream
        missing = [
            planned.bottle
            for planned in self.batch.objects
            if upstream.store.facts(planned.bottle.key(self.batch.sync_date)) is None
        ]
        for bottle in missing[:count]:
            upstream.blobs.opened.append((bottle.filename, 0))
            self._story.store.put_bottle(bottle, upstream.blobs.content(bottle), date=self.batch.sync_date)


def test_a_run_lets_the_workers_of_a_killed_one_finish_and_downloads_nothing_again(
    story: WatchedStory,
) -> None:
    plan = story.plan()
    orphans = Orphans(story, plan)
    story.clock.meanwhile = orphans.store_next
    report = story.copy_plan(plan)
    story.assert_complete(report)
    assert (report.kept, report.downloaded) == (12, 0)
    assert story.workers.invoked == []
    assert sorted(story.downloads()) == sorted(set(story.downloads()))
    assert story.workers.logged == ["Waiting for 1 Lambda of an earlier run: 12 bottles."]


def test_workers_that_have_reported_are_waited_for_no_longer(story: WatchedStory) -> None:
    plan = story.plan()
    orphans = Orphans(story, plan)

    def report_half_of_it() -> None:
        orphans.store_next(6)
        story.upstream.store.write(batch_report_key(orphans.key), b"{}")

    story.clock.meanwhile = report_half_of_it
    report = story.copy_plan(plan)
    story.assert_complete(report)
    assert (report.kept, report.downloaded) == (6, 6)
    assert orphans.waited_s < 2


def test_a_dead_worker_of_a_killed_run_is_waited_for_no_longer_than_patience(story: WatchedStory) -> None:
    plan = story.plan()
    orphans = Orphans(story, plan)
    orphans.store_next(5)
    report = story.copy_plan(plan)
    story.assert_complete(report)
    assert (report.kept, report.downloaded) == (5, 7)
    assert INVOCATION_PATIENCE_S <= orphans.waited_s <= INVOCATION_PATIENCE_S + 2
    assert "this one goes on without" in story.workers.logged[-1]


def test_what_a_silent_worker_stores_after_all_is_not_downloaded_again(story: WatchedStory) -> None:
    plan = story.plan()
    orphans = Orphans(story, plan)

    def work_after_the_other(batch_key: str) -> None:
        orphans.store_next(12)
        story.workers.work(batch_key)

    story.workers.script = [work_after_the_other]
    report = story.copy_plan(plan, concurrency=1)
    story.assert_complete(report)
    assert (report.downloaded, report.identified) == (0, 12)
    assert sorted(story.downloads()) == sorted(set(story.downloads()))


def test_workers_that_are_too_old_to_live_cost_no_time(story: WatchedStory) -> None:
    plan = story.plan()
    orphans = Orphans(story, plan, age_s=INVOCATION_LIVES_S)
    story.assert_complete(story.copy_plan(plan))
    assert orphans.waited_s < 1


def test_workers_of_another_sync_are_let_finish_where_they_copy_the_same_bottles(story: WatchedStory) -> None:
    orphans = Orphans(story, story.plan(), date="2026-08-21")
    story.clock.meanwhile = lambda: orphans.store_next(4)
    report = story.copy_plan(story.plan())
    story.assert_complete(report)
    assert (report.kept, report.downloaded) == (12, 0)


def test_workers_on_other_bottles_are_not_waited_for(story: WatchedStory) -> None:
    orphans = Orphans(story, story.plan())
    story.upstream.publish("another")
    report = story.copy_plan(story.plan(formulae=("another",)))
    assert (report.outcome, report.downloaded) == ("success", 1)
    assert orphans.waited_s < 1


def test_a_stopped_run_waits_for_no_earlier_worker(story: WatchedStory) -> None:
    plan = story.plan()
    orphans = Orphans(story, plan)
    story.upstream.stop.set()
    assert story.copy_plan(plan).outcome == "stopped"
    assert orphans.waited_s < 1


def test_a_run_of_another_route_lets_lambdas_finish_too(story: WatchedStory) -> None:
    plan = story.plan()
    story.clock.meanwhile = Orphans(story, plan).store_next
    report, _ = story.upstream.mirror().sync(plan, "arm64_sonoma")
    assert (report.outcome, report.kept, report.downloaded) == ("success", 12, 0)


def test_the_run_of_another_platform_lets_the_workers_of_a_cancelled_one_finish_too() -> None:
    story = WatchedStory(bottles=0)
    for number in range(6):
        story.upstream.publish(f"shared{number}", tags=("all",))
    plan = story.upstream.plan("arm64_tahoe", "arm64_sonoma")
    theirs = tuple(planned for planned in plan.objects if planned.owner == "arm64_tahoe")
    assert 0 < len(theirs) < 6
    story.clock.meanwhile = Orphans(story, structs.replace(plan, objects=theirs)).store_next
    report, _ = story.upstream.mirror().sync(plan, "arm64_sonoma")
    assert (report.outcome, report.downloaded) == ("success", 6 - len(theirs))
    assert sorted(story.downloads()) == sorted(set(story.downloads()))


def test_a_lambda_that_gets_bottles_by_value_waits_for_no_other(story: WatchedStory) -> None:
    orphans = Orphans(story, story.plan())
    objects = story.plan().objects
    request = DirectRequest(sync_date="2026-08-22", objects=objects)
    report = work_on(story.upstream.mirror(), request)
    assert (report.outcome, report.stored) == ("success", 12)
    assert orphans.waited_s < 1
