"""Runs of one plan at the same time: each lets the others finish what they own, and waits for no dead one."""

import pytest

from brew_assets.engine.coordination import PATIENCE_S, RUN_PREFIX, Companions, wait_while_progress
from brew_assets_tests.fakes import FakeClock, FakeStop, MemoryStore
from brew_assets_tests.worlds import DATE, SYNC_ID, catalogue_of, fetch, formula, plan_of

PLAN = plan_of(catalogue_of(*(formula(f"f{number}") for number in range(4))), "arm64_sonoma", "arm64_tahoe")
FETCHES = [fetch(item.bottle) for item in PLAN.objects]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def companions(
    store: MemoryStore, clock: FakeClock, platform: str, stop: FakeStop | None = None
) -> Companions:
    return Companions(store, clock, stop or FakeStop(), plan=PLAN, platform=platform)


def test_a_run_is_announced_while_it_lasts(store: MemoryStore, clock: FakeClock) -> None:
    sonoma, tahoe = companions(store, clock, "arm64_sonoma"), companions(store, clock, "arm64_tahoe")
    with sonoma.registered():
        assert not sonoma.are_running()
        assert tahoe.are_running()
    assert not tahoe.are_running()
    assert store.called("delete") == []


def test_an_announcement_goes_with_a_run_that_fails(store: MemoryStore, clock: FakeClock) -> None:
    sonoma = companions(store, clock, "arm64_sonoma")
    with pytest.raises(ZeroDivisionError), sonoma.registered():
        raise ZeroDivisionError
    assert not companions(store, clock, "arm64_tahoe").are_running()


def test_alone_a_run_waits_for_nobody(store: MemoryStore, clock: FakeClock) -> None:
    companions(store, clock, "arm64_sonoma").wait_while_they_get_on(FETCHES)
    assert clock.waits == []


def test_a_run_waits_as_long_as_the_others_get_on(store: MemoryStore, clock: FakeClock) -> None:
    tahoe = companions(store, clock, "arm64_tahoe")
    with companions(store, clock, "arm64_sonoma").registered():
        listings = iter(range(10_000))

        def another_bottle_now_and_then() -> None:
            number = next(listings)
            if number % 80 == 79 and number // 80 < len(FETCHES):
                store.put(FETCHES[number // 80].names[0].bottle.key(DATE), b"x")
            store.before("listing", another_bottle_now_and_then)

        store.before("listing", another_bottle_now_and_then)
        tahoe.wait_while_they_get_on(FETCHES)
    assert len(store.bottle_keys()) == len(FETCHES)
    assert clock.monotonic() > PATIENCE_S


def test_a_run_that_was_killed_is_waited_for_no_longer_than_patience(
    store: MemoryStore, clock: FakeClock
) -> None:
    store.put(f"{RUN_PREFIX}{SYNC_ID}/arm64_sonoma", b"running\n")
    companions(store, clock, "arm64_tahoe").wait_while_they_get_on(FETCHES)
    assert PATIENCE_S <= clock.monotonic() <= PATIENCE_S + 1


def test_a_stop_signal_ends_the_wait(store: MemoryStore, clock: FakeClock) -> None:
    store.put(f"{RUN_PREFIX}{SYNC_ID}/arm64_sonoma", b"running\n")
    stop = FakeStop()
    stop.set()
    companions(store, clock, "arm64_tahoe", stop).wait_while_they_get_on(FETCHES)
    assert clock.monotonic() < 1


def waited(clock: FakeClock, missing: list[int], *, running: int = 99, stop: FakeStop | None = None) -> bool:
    """Whether somebody may still be storing after a wait in which so much was missing at each look."""
    counts, looks = iter(missing), iter(range(running))
    return wait_while_progress(
        lambda: next(counts),
        lambda: next(looks, None) is not None,
        patience_s=3.0,
        clock=clock,
        stop=stop or FakeStop(),
        look_every_s=1.0,
    )


def test_others_are_waited_for_as_long_as_something_new_appears(clock: FakeClock) -> None:
    assert not waited(clock, [5, 5, 5, 4, 4, 3, 3, 0])
    assert clock.waits == [1.0] * 7
    assert waited(clock, [5, 4, 4, 4, 4, 4, 4])
    assert clock.waits == [1.0] * (7 + 4)


def test_others_that_have_ended_are_not_waited_for(clock: FakeClock) -> None:
    assert not waited(clock, [5, 4, 3], running=2)
    assert clock.waits == [1.0] * 2


def test_a_stop_signal_leaves_others_to_themselves(clock: FakeClock) -> None:
    stop = FakeStop()
    stop.set()
    assert waited(clock, [5], stop=stop)
