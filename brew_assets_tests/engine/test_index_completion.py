"""Indexes that a sync completes: which are asked for, what is remembered of them, and who is blamed."""

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.domain.bottle import Bottle
from brew_assets.domain.object_keys import INDEX_PREFIX, MANIFEST_KEY
from brew_assets.domain.publication import PublishedIndex
from brew_assets.domain.report import decode_report, encode_report
from brew_assets.engine.index_completion import Completion, IndexCompletion
from brew_assets.engine.judged_indexes import JUDGED_KEY
from brew_assets.engine.kept_indexes import index_key
from brew_assets.engine.options import Options
from brew_assets.engine.ports import Store
from brew_assets.engine.record.fold import read_held
from brew_assets.engine.retry import RetryPolicy
from brew_assets.engine.servable_bottles import ServableBottles, servable_bottles
from brew_assets.engine.sync import Mirror
from brew_assets.errors import (
    KeyTaken,
    ObjectRefused,
    RegistryRefused,
    StoreRefused,
    StoreUnavailable,
    UpstreamBusy,
    UpstreamFailed,
)
from brew_assets_tests.engine.test_sync import ARM, Upstream
from brew_assets_tests.fakes import FakeClock, FakeIndexes, FakeStop, MemoryStore, fake_ports
from brew_assets_tests.worlds import bottle, digest_of, held, index_json

SONOMA = bottle("wget")
TAHOE = bottle("wget", tag="arm64_tahoe")
NAME = ("wget", "1.25.0")


class Registry(FakeIndexes):
    """A registry that fails as often as a test says before it answers."""

    def __init__(self, *items: Bottle) -> None:
        super().__init__()
        self.errors: list[Exception] = []
        for item in items:
            same = [other for other in items if other.formula == item.formula]
            self.indexes[(item.formula, "1.25.0")] = index_json(*same)

    def fetch_index(self, image: str, reference: str) -> bytes | None:
        data = super().fetch_index(image, reference)
        if self.errors:
            raise self.errors.pop(0)
        return data


class World:
    """A store and a registry between which indexes are completed."""

    def __init__(self, *items: Bottle) -> None:
        self.store = MemoryStore()
        self.registry = Registry(*items)
        self.clock = FakeClock()
        self.stop = FakeStop()

    def complete(self, *items: Bottle, workers: int = 2, **how: Any) -> Completion:
        ports = fake_ports(indexes=self.registry, store=self.store, clock=self.clock, stop=self.stop)
        options = Options(platforms=(), workers=workers, retry=RetryPolicy(attempts=2))
        return IndexCompletion(ports, options).complete(items, **how)

    def servable(
        self, *items: Bottle, recorded: Iterable[Bottle] | None = None, **how: Any
    ) -> ServableBottles:
        there = held(items if recorded is None else recorded)
        return servable_bottles(self.store, there, items, workers=2, **how)

    def reads(self) -> list[str]:
        return [key for key in self.store.called("read") if key.startswith(INDEX_PREFIX)]


def test_what_fits_is_kept_once_and_neither_asked_for_nor_read_again() -> None:
    world = World(SONOMA, TAHOE)
    assert world.complete(SONOMA, TAHOE) == Completion(held=2, servable=2, fetched=1)
    key = index_key(*NAME, index_json(SONOMA, TAHOE))
    assert world.store.keys(INDEX_PREFIX) == [key]
    written = world.store.called("write")
    for _ in range(3):
        assert world.complete(SONOMA, TAHOE) == Completion(held=2, servable=2)
    assert (len(world.registry.asked), world.reads()) == (1, [])
    assert world.store.called("write") == written


def test_an_index_that_lacks_a_held_platform_is_asked_again_and_both_versions_stay() -> None:
    world = World(SONOMA)
    world.complete(SONOMA)
    world.registry.indexes[NAME] = index_json(SONOMA, TAHOE)
    assert world.complete(SONOMA, TAHOE).fetched == 1
    assert len(world.store.keys(INDEX_PREFIX)) == 2
    found = world.servable(SONOMA, TAHOE)
    assert found.bottles == (SONOMA, TAHOE)
    assert found.indexes == (
        PublishedIndex(image="wget", reference="1.25.0", sha256=digest_of(index_json(SONOMA, TAHOE))),
    )


def test_a_part_that_fits_is_served_and_the_other_lacks_by_upstreams_fault() -> None:
    world = World(SONOMA)
    completed = world.complete(SONOMA, TAHOE)
    assert (completed.servable, completed.fetched) == (1, 0)
    (failure,) = completed.failed
    assert (failure.name, failure.reason) == ("wget:1.25.0", "unfit index")
    found = world.servable(SONOMA, TAHOE)
    assert found.bottles == (SONOMA,)
    (lacking,) = found.lacking
    assert (lacking.name, lacking.tag, lacking.fault) == ("wget", "arm64_tahoe", "upstream")
    assert TAHOE.digest in lacking.reason
    # Who completes what fits anyway takes no blame off upstream.
    world.complete(SONOMA)
    assert world.servable(TAHOE).lacking[0].fault == "upstream"


@pytest.mark.parametrize(
    ("served", "reason"),
    [(None, "no index"), (b"<html>", "unfit index"), (index_json(SONOMA) + b" " * 4_200_000, "unfit index")],
)
def test_what_upstream_cannot_serve_is_not_kept_and_is_its_fault_until_it_can(
    served: bytes | None, reason: str
) -> None:
    world = World()
    if served is not None:
        world.registry.indexes[NAME] = served
    assert [f.reason for f in world.complete(SONOMA).failed] == [reason]
    assert world.store.keys(INDEX_PREFIX) == []
    assert [found.fault for found in world.servable(SONOMA).lacking] == ["upstream"]
    world.registry.indexes[NAME] = index_json(SONOMA)
    assert world.complete(SONOMA).servable == 1
    # Lost afterwards, it is this mirror's fault.
    world.store.delete(world.store.keys(INDEX_PREFIX))
    assert [found.fault for found in world.servable(SONOMA).lacking] == ["mirror"]


def test_what_is_not_held_or_was_never_asked_for_lacks_by_the_mirrors_fault() -> None:
    world = World()
    found = world.servable(SONOMA, TAHOE, recorded=[SONOMA])
    assert [(one.tag, one.fault) for one in found.lacking] == [
        ("arm64_sonoma", "mirror"),
        ("arm64_tahoe", "mirror"),
    ]
    assert "not held" in found.lacking[1].reason
    assert (found.bottles, found.indexes) == ((), ())


def test_failures_that_may_pass_are_tried_again_and_blame_nobody_upstream() -> None:
    world = World(SONOMA)
    world.registry.errors = [UpstreamFailed("503"), UpstreamBusy("429", wait_s=7.0)]
    assert world.complete(SONOMA).servable == 1
    assert max(world.clock.waits) >= 7.0
    world = World(SONOMA)
    world.registry.errors = [UpstreamFailed("503")] * 9
    (failure,) = world.complete(SONOMA).failed
    assert (failure.reason, len(world.registry.asked)) == ("upstream failed", 3)
    assert [found.fault for found in world.servable(SONOMA).lacking] == ["mirror"]


def test_a_registry_that_refuses_everything_is_asked_no_more() -> None:
    items = [bottle(f"f{number}") for number in range(9)]
    world = World(*items)
    world.registry.errors = [RegistryRefused("401 for all")] * 99
    completed = world.complete(*items, workers=1)
    assert (len(completed.failed), completed.left, len(world.registry.asked)) == (1, 8, 1)


@pytest.mark.parametrize("error", [ObjectRefused("403"), StoreUnavailable("503"), StoreRefused("no bucket")])
def test_an_index_that_the_store_does_not_take_is_named(error: Exception) -> None:
    world = World(SONOMA)
    world.store.refuse_below("write", error, INDEX_PREFIX)  # type: ignore[arg-type]
    (failure,) = world.complete(SONOMA).failed
    assert failure.message == str(error)
    assert [found.fault for found in world.servable(SONOMA).lacking] == ["mirror"]


def test_a_stop_signal_leaves_what_was_not_asked_for() -> None:
    items = [bottle(f"f{number}") for number in range(9)]
    world = World(*items)
    world.stop.set()
    completed = world.complete(*items)
    assert (completed.left, completed.fetched, world.registry.asked) == (9, 0, [])


def test_several_formulae_are_asked_for_at_a_time() -> None:
    items = [bottle(f"f{number}") for number in range(4)]
    world = World(*items)
    together = threading.Barrier(4, timeout=30)

    class Slow(Registry):
        def fetch_index(self, image: str, reference: str) -> bytes | None:
            together.wait()
            return super().fetch_index(image, reference)

    world.registry = Slow(*items)
    assert world.complete(*items, workers=4).servable == 4


def test_runs_beside_each_other_find_what_the_others_have_kept() -> None:
    items = [bottle(f"f{number}") for number in range(6)]
    first, second = World(*items), World(*items)
    second.store = first.store
    seen: list[tuple[int, int]] = []

    class Beside(Registry):
        """While this run asks for its first index, another one completes everything."""

        def fetch_index(self, image: str, reference: str) -> bytes | None:
            if not self.asked:
                first.complete(*items)
            return super().fetch_index(image, reference)

    second.registry = Beside(*items)
    completed = second.complete(
        *items, workers=1, beside_others="arm64_tahoe", progress=lambda *counts: seen.append(counts)
    )
    assert (completed.servable, len(second.registry.asked)) == (6, 1)
    assert seen[-1] == (6, 6)


def test_each_run_asks_in_an_order_of_its_own() -> None:
    items = [bottle(f"f{number:02}") for number in range(20)]
    asked = []
    for name in ("", "arm64_tahoe", "arm64_sonoma"):
        world = World(*items)
        world.complete(*items, workers=1, beside_others=name)
        asked.append([image for image, _ in world.registry.asked])
    assert asked[0] == sorted(asked[1]) == sorted(asked[2])
    # Of two orders without a relation about one place of all is the same.
    assert sum(one == other for one, other in zip(asked[1], asked[2], strict=True)) < 5


def test_the_summary_costs_reads_when_it_is_gone_and_nothing_else() -> None:
    world = World(SONOMA)
    world.complete(SONOMA)
    right = world.store.data(JUDGED_KEY)
    for spoilt in (None, b"", b"{}", right.replace(b"true", b"trun"), right[:-30]):
        if spoilt is None:
            world.store.delete([JUDGED_KEY])
        else:
            world.store.put(JUDGED_KEY, spoilt)
        before = len(world.reads())
        assert world.complete(SONOMA) == Completion(held=1, servable=1)
        assert len(world.reads()) == before + 1
        assert world.store.data(JUDGED_KEY) == right
    assert len(world.registry.asked) == 1


def test_an_emptied_index_is_fetched_again_whatever_the_summary_says() -> None:
    world = World(SONOMA)
    world.complete(SONOMA)
    (key,) = world.store.keys(INDEX_PREFIX)
    world.store.put(key, b"")
    assert world.complete(SONOMA) == Completion(held=1, servable=1, fetched=1)
    assert world.store.data(key) == index_json(SONOMA)


def test_an_index_damaged_under_its_size_is_found_by_who_reads_all_and_mended() -> None:
    world = World(SONOMA)
    world.complete(SONOMA)
    (key,) = world.store.keys(INDEX_PREFIX)
    world.store.put(key, index_json(SONOMA).replace(b"tab", b"tub"))
    assert len(world.servable(SONOMA).bottles) == 1
    assert len(world.servable(SONOMA, fresh=True).bottles) == 0
    assert world.complete(SONOMA, fresh=True).fetched == 1
    assert len(world.servable(SONOMA, fresh=True).bottles) == 1


def test_what_two_runs_learn_at_once_is_remembered_of_both() -> None:
    items = [bottle("one"), bottle("two")]
    world, other = World(items[0]), World(items[1])
    other.store = world.store

    class Between(Registry):
        """While it is asked, another run reads the summary and writes it."""

        def fetch_index(self, image: str, reference: str) -> bytes | None:
            other.complete(bottle("gone"), items[1])
            return super().fetch_index(image, reference)

    world.registry = Between(items[0])
    world.complete(items[0])
    document = json.loads(world.store.data(JUDGED_KEY))
    assert len(document["judged"]) == 2
    assert list(document["findings"]) == ["gone:1.25.0"]


@pytest.mark.parametrize("error", [KeyTaken("x"), ObjectRefused("403")])
def test_a_summary_that_cannot_be_written_costs_no_sync(error: Exception) -> None:
    world = World(SONOMA)
    world.store.refuse("write", error, key=JUDGED_KEY)  # type: ignore[arg-type]
    assert world.complete(SONOMA) == Completion(held=1, servable=1, fetched=1)


def test_a_finding_that_nobody_renews_is_forgotten() -> None:
    world = World()
    world.complete(SONOMA)
    assert world.servable(SONOMA).lacking[0].fault == "upstream"
    world.clock.advance(91 * 86400)
    world.complete(bottle("other"))
    assert world.servable(SONOMA).lacking[0].fault == "mirror"


@pytest.fixture(params=["memory", "directory"])
def upstream(request: pytest.FixtureRequest, tmp_path: Path) -> Upstream:
    made = Upstream(MemoryStore() if request.param == "memory" else DirectoryStore(tmp_path / "mirror"))
    made.publish("wget", tags=ARM)
    made.publish("old", tags=("arm64_sonoma",))
    return made


def _lose_indexes(store: Store) -> None:
    store.delete([listed.key for listed in store.listing(INDEX_PREFIX)])


def test_a_disabled_formula_that_is_held_stays_servable_and_an_excluded_one_is_not_asked_for(
    upstream: Upstream,
) -> None:
    upstream.mirror().sync(upstream.plan())
    upstream.publish("old", tags=("arm64_sonoma",), disabled=True)
    upstream.publish("gone", tags=("arm64_sonoma",))
    _lose_indexes(upstream.store)
    upstream.indexes.asked.clear()
    mirror = upstream.mirror()
    excluding = Mirror(mirror.ports, msgspec.structs.replace(mirror.options, exclude_formulae=("wget",)))
    report, _ = excluding.sync(upstream.plan())
    assert sorted({name for name, _ in upstream.indexes.asked}) == ["gone", "old"]
    assert (report.outcome, report.servable, report.unservable) == ("success", 2, 0)


def test_a_bottle_that_failed_is_not_reported_a_second_time_for_its_index(upstream: Upstream) -> None:
    plan = upstream.plan()
    upstream.blobs.forget_everything()
    upstream.indexes.indexes.clear()
    report, _ = upstream.mirror().sync(plan)
    assert len(report.failed) == 4
    assert report.indexes_failed == ()


def test_a_report_says_what_is_held_and_not_servable(upstream: Upstream) -> None:
    plan = upstream.plan()
    del upstream.indexes.indexes[("wget", "1.0")]
    _lose_indexes(upstream.store)
    report, folded = upstream.mirror().sync(plan)
    assert (report.outcome, report.stored, report.failed) == ("partial", 4, ())
    assert [failure.name for failure in report.indexes_failed] == ["wget:1.0"]
    assert (report.servable, report.unservable) == (1, 3)
    assert folded.entries == 4
    assert upstream.store.read(MANIFEST_KEY) is not None
    found = servable_bottles(
        upstream.store,
        read_held(upstream.store).entries,
        [planned.bottle for planned in plan.objects],
        workers=2,
    )
    assert [found.formula for found in found.bottles] == ["old"]
    assert {(one.name, one.fault) for one in found.lacking} == {("wget", "upstream")}


def test_a_report_of_before_is_read_without_the_counts_of_indexes(upstream: Upstream) -> None:
    report, _ = upstream.mirror().sync(upstream.plan())
    fields = json.loads(encode_report(report))
    new = ("servable", "unservable", "indexes_fetched", "indexes_failed", "indexes_left")
    before = decode_report(json.dumps({name: fields[name] for name in fields if name not in new}).encode())
    assert (before.servable, before.indexes_failed, before.outcome) == (0, (), "success")
    assert decode_report(encode_report(report)) == report
