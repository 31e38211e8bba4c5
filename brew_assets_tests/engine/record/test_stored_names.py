"""What a sync claims to have stored: each bottle is claimed once, by the sync that put it there."""

import logging
from pathlib import Path

import pytest

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.domain.manifest import decode_manifest
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.domain.plan import Plan
from brew_assets.domain.report import REPORT_PREFIX
from brew_assets.engine.lambda_copier import Pace
from brew_assets.engine.ports import Store
from brew_assets.engine.record.journal import Journal
from brew_assets.engine.record.stored_names import NAMES_PER_OBJECT, STORED_SUFFIX, stored_names
from brew_assets.engine.record.verify import certify
from brew_assets.engine.repair import repair
from brew_assets.engine.reports import kept_reports
from brew_assets.errors import KeyTaken, StoreError, StoreUnavailable
from brew_assets_tests.engine.carrying import Carrying
from brew_assets_tests.engine.test_lambda_copier import SyncStatus
from brew_assets_tests.engine.test_sync import ARM, Upstream
from brew_assets_tests.fakes import Act, FakeClock, FakeStop, MemoryStore
from brew_assets_tests.worlds import SYNC_ID, bottle, fetch, receipt


@pytest.fixture(params=["memory", "directory"])
def upstream(request: pytest.FixtureRequest, tmp_path: Path) -> Upstream:
    made = Upstream(MemoryStore() if request.param == "memory" else DirectoryStore(tmp_path / "mirror"))
    made.publish("wget", tags=ARM)
    made.publish("openssl@3", tags=dict.fromkeys(ARM, "one digest for three tags"))
    made.publish("ca-certificates", tags=("all",))
    return made


def bottles_of(store: Store) -> int:
    """How many objects stand in the date folders."""
    return sum(1 for date in store.date_folders() for _ in store.listing(f"{date}/"))


def objects_of(store: Store, sync_id: str = "") -> list[str]:
    """The keys of the objects that name what was stored."""
    keys = [listed.key for listed in store.listing(f"{REPORT_PREFIX}{sync_id}")]
    return [key for key in keys if key.endswith(STORED_SUFFIX)]


def claims(store: Store, *plans: Plan) -> list[int]:
    return [len(stored_names(store, plan.sync_id)) for plan in plans]


def test_of_two_syncs_that_planned_the_same_the_first_claims_all_and_the_second_nothing(
    upstream: Upstream,
) -> None:
    first, second = upstream.plan(), upstream.plan()
    assert len(first.objects) == len(second.objects) == 7
    upstream.mirror().sync(first)
    report, _ = upstream.mirror().sync(second)
    assert claims(upstream.store, first, second) == [7, 0]
    assert bottles_of(upstream.store) == 7
    assert (report.new, report.found, report.kept) == (0, 0, 7)
    assert objects_of(upstream.store, second.sync_id) == []


def test_of_two_syncs_at_once_each_claims_what_it_was_the_first_to_write() -> None:
    store = MemoryStore()
    upstream = Upstream(store)
    for number in range(6):
        upstream.publish(f"formula{number}")
    slow, quick = upstream.plan(), upstream.plan()
    quicker = Upstream(store)
    quicker.blobs, quicker.source = upstream.blobs, upstream.source

    def overtake() -> None:
        # The slow one's third bottle is whole and on its way when the quick one stores what is missing.
        quicker.mirror(workers=1).sync(quick)

    asked = [planned.bottle for planned in slow.objects]
    upstream.blobs.script(asked[2], Act(on_read=overtake))
    report, _ = upstream.mirror(workers=1).sync(slow)
    assert claims(store, slow, quick) == [2, 4]
    assert bottles_of(store) == 6
    assert (report.stored, report.new, report.found) == (6, 2, 4)


def test_a_forced_sync_claims_each_bottle_once_however_often_it_puts_it_there(upstream: Upstream) -> None:
    upstream.mirror().sync(upstream.plan())
    plan = upstream.plan(force=True)
    for platform in (*ARM, *ARM):
        upstream.mirror().sync(plan, platform)
    reports = kept_reports(upstream.store, plan.sync_id).values()
    assert sum(report.new for report in reports) > 7
    assert claims(upstream.store, plan) == [bottles_of(upstream.store)] == [7]


def test_a_sync_that_was_stopped_and_goes_on_claims_both_its_parts(upstream: Upstream) -> None:
    plan = upstream.plan()
    upstream.blobs.script(plan.objects[0].bottle, Act(on_open=upstream.stop.set))
    upstream.mirror(workers=1).sync(plan)
    (first,) = claims(upstream.store, plan)
    assert 0 < first < 7
    upstream.stop = FakeStop()
    upstream.mirror().sync(plan)
    assert claims(upstream.store, plan) == [7]


@pytest.mark.parametrize(
    "ending", ["work", "die", "work_then_die", "run_out_of_time", "run_out_of_time_soon"]
)
@pytest.mark.parametrize("force", [False, True])
def test_what_workers_stored_is_claimed_once_whatever_became_of_them(ending: str, force: bool) -> None:
    story = SyncStatus()
    if force:
        story.copy_plan(story.plan())
    plan = story.plan(force=force)
    story.workers.script = [getattr(story.workers, ending)] * 3
    assert story.copy_plan(plan).outcome == "success"
    assert claims(story.store, plan) == [bottles_of(story.store)] == [story.bottles]


def test_what_workers_stored_before_any_receipt_is_found_and_not_claimed() -> None:
    story = SyncStatus()
    plan = story.plan()
    claimed_before: list[int] = []

    def store_and_die(batch_key: str) -> None:
        # Killed between the bottles and what it says of them.
        before = set(objects_of(story.store))
        try:
            story.workers.store_then_die(batch_key)
        finally:
            story.store.delete(sorted(set(objects_of(story.store)) - before))
            claimed_before.extend(claims(story.store, plan))

    story.workers.script = [store_and_die]
    report = story.copy_plan(plan, concurrency=1, pace=Pace(target_s=0.2, least_s=0.2))
    assert report.outcome == "success"
    assert claimed_before == [0]
    assert claims(story.store, plan) == [report.new]
    assert report.new + report.found == story.bottles
    assert report.found > 0


def test_two_syncs_through_workers_do_not_claim_the_same_bottles() -> None:
    story = SyncStatus()
    first, second = story.plan(), story.plan()
    story.copy_plan(first)
    story.copy_plan(second)
    assert claims(story.store, first, second) == [story.bottles, 0]


def test_a_bottle_of_which_only_the_answer_was_lost_is_claimed_by_whose_write_it_was() -> None:
    store = MemoryStore()
    carrying, item = Carrying(store=store), bottle("wget")
    carrying.blobs.publish(b"wget/1.25.0/arm64_sonoma/0")
    store.fail("answer", StoreUnavailable("the answer was lost"))
    done = carrying.copy(fetch(item))
    assert (done.stored, done.found, done.downloaded) == (1, 0, 1)
    assert stored_names(store, SYNC_ID) == {item.entry_key}


@pytest.mark.parametrize("answer", [KeyTaken("the key"), StoreUnavailable("conflict", status=409)])
def test_a_bottle_that_somebody_else_wrote_in_that_moment_is_found_and_claimed_by_nobody(
    answer: StoreError,
) -> None:
    store = MemoryStore()
    carrying, item = Carrying(store=store), bottle("wget")
    carrying.blobs.publish(b"wget/1.25.0/arm64_sonoma/0")

    def stored_by_someone() -> None:
        store.put_bottle(item, b"wget/1.25.0/arm64_sonoma/0", date="2026-08-22")
        if isinstance(answer, StoreUnavailable):
            store.fail("commit", answer)

    store.before("receive", stored_by_someone)
    done = carrying.copy(fetch(item))
    assert (done.stored, done.found) == (1, 1)
    assert stored_names(store, SYNC_ID) == frozenset()


def test_every_journal_has_objects_of_its_own_and_large_ones_begin_another() -> None:
    store, clock = MemoryStore(), FakeClock()
    names = [f"formula{number}" for number in range(2 * NAMES_PER_OBJECT + 500)]
    journals = [Journal(store, clock, sync_id=SYNC_ID, batch_size=50) for _ in range(2)]
    for number, name in enumerate(names):
        journals[number % 2].add([receipt(bottle(name))], put_there=[bottle(name).entry_key])
    for journal in journals:
        journal.flush()
    assert len(stored_names(store, SYNC_ID)) == len(names)
    assert len(objects_of(store)) == 4
    assert max(len(store.data(key)) for key in objects_of(store)) < 60 * NAMES_PER_OBJECT
    # More at once than an object takes.
    at_once = Journal(store, clock, sync_id="20260823T030000Z-0badcafe")
    at_once.add([], put_there=names)
    at_once.flush()
    assert stored_names(store, "20260823T030000Z-0badcafe") == set(names)


def test_what_is_recorded_is_claimed_whenever_its_run_is_killed() -> None:
    store, clock = MemoryStore(), FakeClock()
    journal = Journal(store, clock, sync_id=SYNC_ID)
    wget = bottle("wget")
    journal.add([receipt(wget)], put_there=[wget.entry_key])
    claimed: list[frozenset[str]] = []
    # The second write is that of the receipts.
    store.before("write", lambda: store.before("write", lambda: claimed.append(stored_names(store, SYNC_ID))))
    journal.flush()
    assert claimed == [{wget.entry_key}]


def test_names_that_cannot_be_written_now_are_written_with_the_next_and_end_no_sync(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, clock = MemoryStore(), FakeClock()
    journal = Journal(store, clock, sync_id=SYNC_ID)
    wget, curl = bottle("wget"), bottle("curl")
    journal.add([receipt(wget)], put_there=[wget.entry_key])
    store.fail("write", StoreUnavailable("503"))
    journal.flush()
    assert journal.written == 1
    assert stored_names(store, SYNC_ID) == frozenset()
    assert "what this run stored may be counted too low" in caplog.text
    journal.add([receipt(curl)], put_there=[curl.entry_key])
    journal.flush()
    assert stored_names(store, SYNC_ID) == {wget.entry_key, curl.entry_key}


@pytest.mark.parametrize("damage", [b"", b"{", b'{"names": 7}', b"\xff\xfe", b"[" * 100_000])
def test_an_object_that_cannot_be_understood_counts_nothing_and_is_named(
    damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    story = SyncStatus(4)
    plan = story.plan()
    story.copy_plan(plan, concurrency=1)
    damaged = f"{REPORT_PREFIX}{plan.sync_id}/0badcafe{STORED_SUFFIX}"
    story.store.write(damaged, damage)
    with caplog.at_level(logging.WARNING):
        assert claims(story.store, plan) == [4]
    assert [record.__dict__["key"] for record in caplog.records if "key" in record.__dict__] == [damaged]


def test_the_names_are_taken_for_no_report() -> None:
    store = MemoryStore()
    upstream = Upstream(store)
    upstream.publish("wget", tags=ARM)
    plan = upstream.plan()
    for platform in ARM:
        upstream.mirror().sync(plan, platform)
    store.calls.clear()
    reports = kept_reports(store, plan.sync_id, most=4)
    assert [report.platforms for report in reports.values()] == [(platform,) for platform in ARM]
    assert objects_of(store, plan.sync_id)
    assert not set(objects_of(store, plan.sync_id)) & set(store.called("read"))


def test_what_one_run_copies_in_many_parts_stands_in_one_object() -> None:
    upstream = Upstream(MemoryStore())
    for number in range(60):
        upstream.publish(f"formula{number:02}", tags=("all",))
    plan = upstream.plan()
    # One platform's run does what the other two own, a few bottles at a time.
    upstream.mirror().sync(plan, ARM[0])
    assert claims(upstream.store, plan) == [60]
    assert len(objects_of(upstream.store)) == 1


def test_a_repair_claims_nothing(upstream: Upstream) -> None:
    plan = upstream.plan()
    upstream.mirror().sync(plan)
    before = objects_of(upstream.store)
    document = upstream.store.read(MANIFEST_KEY)
    assert document is not None
    entries = list(decode_manifest(document.data).entries())
    upstream.store.delete([entries[0][1].s3_key])
    done = repair(upstream.mirror(), certify(upstream.store, entries))
    assert done.stored == 1
    assert objects_of(upstream.store) == before
