"""The runs of a backfill agree on one plan: who makes it, who waits, and what happens when the maker dies."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.domain.plan import Plan
from brew_assets.engine.clock import SystemClock
from brew_assets.engine.ports import StopSignal, Store
from brew_assets.engine.record.identify import planned_bottles
from brew_assets.engine.shared_plan import LONGEST_S, RENEW_EVERY_S, SILENCE_S, SharedPlan
from brew_assets.errors import CatalogueUnavailable, KeyTaken, PlanningStopped, PreconditionFailed
from brew_assets_tests.fakes import FakeClock, FakeStop, MemoryStore
from brew_assets_tests.worlds import catalogue_of, formula, plan_of

BACKFILL = "qwertyui"
KEY = f"state/plans/by-backfill/{BACKFILL}"


class Meanwhile(FakeClock):
    """A clock that does something whenever somebody waits."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self._act = act

    def wait(self, seconds: float, stop: StopSignal | None = None) -> bool:
        self._act()
        return super().wait(seconds, stop)


class Run:
    """One run of the backfill, and what it says."""

    def __init__(
        self,
        store: Store,
        run_id: str,
        *,
        clock: FakeClock | None = None,
        stop: FakeStop | None = None,
        ended: tuple[str, ...] = (),
        renew_every_s: float = RENEW_EVERY_S,
        backfill: str = BACKFILL,
    ) -> None:
        self.said: list[str] = []
        self.clock = clock or FakeClock()
        self.id = run_id
        self.shared = SharedPlan(
            store,
            self.clock,
            stop or FakeStop(),
            backfill=backfill,
            run_id=run_id,
            is_over=lambda other: other in ended,
            say=self.said.append,
            renew_every_s=renew_every_s,
        )

    def plan(self) -> Plan:
        """A plan with an id of its own."""
        return msgspec.structs.replace(plan_of(catalogue_of(formula())), sync_id=f"2026-by-{self.id}")

    def find_or_make(self) -> tuple[str, bool]:
        """The sync id, and whether this run has made the plan."""
        sync_id, made = self.shared.find_or_make(self.plan)
        return sync_id, made is not None


def begun(store: Store, run_id: str) -> None:
    """That run has begun to plan, and was killed."""
    store.write(KEY, msgspec.json.encode({"run_id": run_id, "token": "another"}))


def test_the_first_run_plans_and_the_others_take_its_plan() -> None:
    store = MemoryStore()
    assert Run(store, "first").shared.known() == ""
    assert Run(store, "first").find_or_make() == ("2026-by-first", True)
    assert Run(store, "second").find_or_make() == ("2026-by-first", False)
    assert Run(store, "third").shared.known() == "2026-by-first"
    assert json.loads(store.data(KEY))["sync_id"] == "2026-by-first"
    assert json.loads(store.data(KEY))["run_id"] == "first"


def test_a_run_that_comes_meanwhile_waits_and_says_for_whom() -> None:
    store = MemoryStore()
    begun(store, "first")
    looks = iter(range(1000))

    def plans() -> None:
        if next(looks) == 100:
            Run(store, "first").find_or_make()
        elif store.data(KEY).count(b"token"):
            store.write(KEY, store.data(KEY) + b" ")

    second = Run(store, "second", clock=Meanwhile(plans))
    assert second.find_or_make() == ("2026-by-first", False)
    # It says so at once, and then every minute.
    assert len(second.said) == 4
    assert all(line.startswith("Waiting for run first, which plans for all runs") for line in second.said)


def test_a_run_that_has_ended_without_a_plan_is_not_waited_for() -> None:
    store = MemoryStore()
    begun(store, "first")
    second = Run(store, "second", ended=("first",))
    assert second.find_or_make() == ("2026-by-second", True)
    assert second.clock.waits == []
    assert second.said == ["Run first has ended and has made no plan for this backfill: this run plans."]


def test_a_run_that_was_killed_is_known_by_its_silence() -> None:
    store = MemoryStore()
    begun(store, "first")
    second = Run(store, "second")
    assert second.find_or_make() == ("2026-by-second", True)
    assert SILENCE_S <= second.clock.monotonic() < SILENCE_S + 5
    assert "has been silent for 90 s" in second.said[-1]


def test_a_run_that_plans_for_ever_is_waited_for_an_hour() -> None:
    store = MemoryStore()
    begun(store, "first")
    second = Run(store, "second", clock=Meanwhile(lambda: store.write(KEY, store.data(KEY) + b" ")))
    assert second.find_or_make() == ("2026-by-second", True)
    assert LONGEST_S <= second.clock.monotonic() < LONGEST_S + 5


def test_a_run_shows_that_it_plans_as_long_as_it_does() -> None:
    store = MemoryStore()
    first = Run(store, "first", renew_every_s=0.01)

    def plan() -> Plan:
        seen = {store.data(KEY)}
        for _ in range(1000):
            seen.add(store.data(KEY))
            if len(seen) >= 3:
                break
            threading.Event().wait(0.01)
        assert len(seen) >= 3
        return first.plan()

    assert first.shared.find_or_make(plan)[0] == "2026-by-first"
    assert not [thread for thread in threading.enumerate() if thread.name == "renews-planning"]


def test_a_run_whose_planning_fails_lets_the_others_plan_at_once() -> None:
    store = MemoryStore()
    first, second = Run(store, "first"), Run(store, "second")

    def plan() -> Plan:
        raise CatalogueUnavailable("503")

    with pytest.raises(CatalogueUnavailable):
        first.shared.find_or_make(plan)
    assert second.find_or_make() == ("2026-by-second", True)
    assert (second.clock.waits, second.said) == ([], [])
    # Its second try takes the plan of the other.
    assert first.find_or_make() == ("2026-by-second", False)


def test_a_second_try_goes_on_without_waiting_for_its_own_first_one() -> None:
    store = MemoryStore()
    begun(store, "first")
    again = Run(store, "first")
    assert again.find_or_make() == ("2026-by-first", True)
    assert again.clock.waits == []


def test_a_run_that_was_taken_for_dead_takes_the_plan_of_the_other() -> None:
    store = MemoryStore()
    first, second = Run(store, "first"), Run(store, "second", ended=("first",))

    def plan() -> Plan:
        assert second.find_or_make() == ("2026-by-second", True)
        return first.plan()

    assert first.shared.find_or_make(plan) == ("2026-by-second", None)
    assert first.said == ["Another run has planned meanwhile; its plan counts, 2026-by-first is left alone."]
    assert json.loads(store.data(KEY))["sync_id"] == "2026-by-second"


def test_a_planning_run_of_the_backfill_names_the_plan_over_whatever_stood_there() -> None:
    store = MemoryStore()
    begun(store, "first")
    planning = Run(store, "planning")
    planning.shared.name(planning.plan())
    assert Run(store, "second").find_or_make() == ("2026-by-planning", False)


def test_a_stop_signal_ends_the_waiting() -> None:
    store, stop = MemoryStore(), FakeStop()
    begun(store, "first")
    second = Run(store, "second", clock=Meanwhile(stop.set), stop=stop)
    with pytest.raises(PlanningStopped):
        second.find_or_make()
    assert second.clock.monotonic() < SILENCE_S


@pytest.mark.parametrize(
    "document", [b"", b"\xff", b"[]", b'{"sync_id": "../../etc"}', b'{"run_id": "\\u0000"}', b'{"run_id": 7}']
)
def test_a_document_that_says_nothing_is_written_anew(document: bytes) -> None:
    store = MemoryStore()
    store.write(KEY, document)
    assert Run(store, "first").find_or_make() == ("2026-by-first", True)


class LosesAnswers(MemoryStore):
    """Every conditional write is carried out and then answered as if the first try had lost its answer."""

    def write(self, key: str, data: bytes, *, create_only: bool = False, replaces: str | None = None) -> str:
        version = super().write(key, data, create_only=create_only, replaces=replaces)
        if create_only:
            raise KeyTaken(key)
        if replaces is not None:
            raise PreconditionFailed(key)
        return version


def test_a_run_knows_its_own_writes_when_their_answers_were_lost() -> None:
    store = LosesAnswers()
    assert Run(store, "first").find_or_make() == ("2026-by-first", True)
    assert Run(store, "second").find_or_make() == ("2026-by-first", False)


@pytest.mark.parametrize(
    "backfill", ["../../escape", "a/b", "", "Q" * 300, "ümlaut", "sha256-", "\udcff", "by-backfill/x"]
)
def test_an_id_that_is_no_part_of_a_key_has_its_own_place_too(backfill: str) -> None:
    store = MemoryStore()
    assert Run(store, "first", backfill=backfill).find_or_make() == ("2026-by-first", True)
    assert Run(store, "second", backfill=backfill).find_or_make() == ("2026-by-first", False)
    (key,) = store.keys()
    assert key.startswith("state/plans/by-backfill/")
    assert key.count("/") == 3
    assert key.isascii()
    assert ".." not in key
    assert Run(store, "third").find_or_make() == ("2026-by-third", True)


def test_of_runs_that_begin_together_one_plans(tmp_path: Path) -> None:
    plans, found = [], []
    together = threading.Barrier(3)

    def run(number: int) -> None:
        store = DirectoryStore(tmp_path)
        store.prepare()
        own = Run(store, f"run-{number}")
        shared = SharedPlan(store, SystemClock(), FakeStop(), backfill=BACKFILL, run_id=own.id)

        def plan() -> Plan:
            plans.append(number)
            return own.plan()

        together.wait(10)
        found.append(shared.find_or_make(plan)[0])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(plans) == 1
    assert found == [f"2026-by-run-{plans[0]}"] * 3


def test_the_plans_of_backfills_are_no_foreign_objects(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    Run(store, "first").find_or_make()
    assert planned_bottles(store, {"2026-08-22/x"}) == {}
    assert "ignored" not in caplog.text
