"""How batches are cut: by what earlier ones really took."""

from brew_assets.engine.lambda_copier import Pace
from brew_assets_tests.engine.test_lambda_copier import SyncStatus


def test_slow_workers_get_smaller_batches() -> None:
    story = SyncStatus(40)
    plan = story.plan()
    story.slow_down(plan, seconds=4.0)
    pace = Pace(names_per_s=1.0, target_s=10.0, least_s=1.0)
    story.assert_complete(story.copy_plan(plan, concurrency=1, pace=pace))
    assert story.sizes() == [10] + [2] * 15


def test_batches_are_never_cut_under_the_least_and_grow_again_when_workers_are_fast() -> None:
    story = SyncStatus(150)
    plan = story.plan()
    story.slow_down(plan, seconds=40.0, first=10)
    pace = Pace(names_per_s=1.0, target_s=10.0, least_s=4.0)
    story.assert_complete(story.copy_plan(plan, concurrency=1, pace=pace))
    sizes = story.sizes()
    assert sizes[:8] == [10] + [4] * 7
    assert max(sizes) > 10


def test_many_unfinished_batches_at_once_tell_the_same_and_do_not_make_crumbs() -> None:
    story = SyncStatus(400)
    story.workers.script = [story.workers.run_out_of_time] * 10
    story.assert_complete(story.copy_plan(story.plan(), concurrency=10, pace=Pace()))
    assert len(story.workers.invoked) == 20
    assert min(story.sizes()) > 30


def test_what_a_batch_did_before_its_time_was_over_tells_how_slow_workers_are() -> None:
    story = SyncStatus(40)
    plan = story.plan()
    story.slow_down(plan, seconds=10.0)
    story.workers.script = [story.workers.run_out_of_time_soon]
    pace = Pace(names_per_s=1.0, target_s=20.0, least_s=1.0)
    story.assert_complete(story.copy_plan(plan, concurrency=1, pace=pace))
    assert story.sizes()[:2] == [20, 2]
