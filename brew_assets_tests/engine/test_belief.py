"""Documents that lie in the store and say what is not so: nothing is done for them and nothing counted."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from msgspec import structs

from brew_assets.domain.batch import Batch, BatchReference, batch_key, batch_report_key, encode_batch
from brew_assets.domain.plan import Plan, encode_plan
from brew_assets.domain.report import REPORT_PREFIX, encode_report
from brew_assets.engine.catalogue_cache import LATEST_KEY, kept_catalogue
from brew_assets.engine.kept_plans import kept_plan, load_plan
from brew_assets.engine.planner import refresh_catalogue
from brew_assets.engine.record.fold import read_held
from brew_assets.engine.record.held import take_inventory
from brew_assets.engine.record.identify import PLAN_PREFIX
from brew_assets.engine.record.journal import RECEIPT_PREFIX
from brew_assets.engine.record.stored_names import STORED_SUFFIX, stored_names
from brew_assets.engine.reports import kept_reports
from brew_assets.engine.sync_worker import work_on
from brew_assets.errors import InvocationFailed, PlanInvalid
from brew_assets_tests.engine.test_lambda_copier import SyncStatus
from brew_assets_tests.engine.test_sync import Upstream
from brew_assets_tests.fakes import MemoryStore
from brew_assets_tests.worlds import resealed, unsealed


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def upstream(store: MemoryStore) -> Upstream:
    made = Upstream(store)
    for number in range(4):
        made.publish(f"good{number}")
    return made


def key_of(plan: Plan) -> str:
    return f"{PLAN_PREFIX}{plan.sync_id}.json"


def with_date(document: bytes, date: str) -> bytes:
    return resealed(document, sync_date=date, created_at=f"{date}T03:00:00Z")


# Plans


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda data: data.replace(b"good0-1.0", b"good0-1.8").replace(b'"1.0"', b'"1.8"', 1),
            "bytes changed",
        ),
        (lambda data: resealed(data, sync_date="state/receipts"), "sync_date: expected YYYY-MM-DD"),
        (lambda data: with_date(data, "2036-11-28"), "sync_date: expected 2026-08-"),
        (lambda data: resealed(data, sync_id="20260101T000000Z-00000000"), "that of its key"),
        (lambda data: unsealed(data, plan_version=1), "expected plan_version 2, found 1"),
        (lambda data: b"", "found an empty file"),
    ],
)
def test_a_plan_that_cannot_be_believed_is_named_and_carried_out_by_nobody(
    upstream: Upstream, store: MemoryStore, change: Callable[[bytes], bytes], words: str
) -> None:
    plan = upstream.plan("arm64_sonoma")
    before = store.keys()
    store.put(key_of(plan), change(store.data(key_of(plan))))
    with pytest.raises(PlanInvalid) as caught:
        load_plan(upstream.mirror().ports, plan.sync_id)
    assert key_of(plan) in str(caught.value)
    assert words in str(caught.value)
    assert "ew plan" in str(caught.value)
    assert store.keys() == before


def test_tomorrow_has_begun_somewhere(upstream: Upstream, store: MemoryStore) -> None:
    plan = upstream.plan("arm64_sonoma")
    today = upstream.clock.now()
    for days, loads in ((1, True), (2, False)):
        date = f"{today + timedelta(days=days):%Y-%m-%d}"
        store.put(key_of(plan), with_date(encode_plan(plan), date))
        if loads:
            assert load_plan(upstream.mirror().ports, plan.sync_id).sync_date == date
        else:
            with pytest.raises(PlanInvalid, match="clock of the machine"):
                load_plan(upstream.mirror().ports, plan.sync_id)


def test_a_message_about_a_sync_reads_a_plan_of_the_version_before(
    upstream: Upstream, store: MemoryStore
) -> None:
    plan = upstream.plan("arm64_sonoma")
    store.put(key_of(plan), unsealed(encode_plan(plan), plan_version=1))
    found = kept_plan(store, plan.sync_id)
    assert found is not None
    assert found.objects == plan.objects
    assert kept_plan(store, "../plans/x") is None


def test_bottles_of_a_sync_before_the_upgrade_get_their_names_from_its_plan(
    upstream: Upstream, store: MemoryStore
) -> None:
    plan = upstream.plan("arm64_sonoma")
    store.put(key_of(plan), unsealed(encode_plan(plan), plan_version=1))
    item = plan.objects[0].bottle
    # As a store without metadata keeps it; what is no archive names no formula.
    store.put(item.key(plan.sync_date), upstream.blobs.content(item))
    mirror = upstream.mirror()
    take_inventory(mirror.ports, mirror.options, also=plan.sync_date)
    upstream.mirror().fold()
    assert item.entry_key in read_held(store).entries


# Batches


def give_out(upstream: Upstream, store: MemoryStore, change: Callable[[bytes], bytes]) -> str:
    plan = upstream.plan("arm64_sonoma")
    key = batch_key(plan.sync_id, "20260822-030000-0a")
    batch = Batch(sync_id=plan.sync_id, sync_date=plan.sync_date, objects=plan.objects)
    store.put(key, change(encode_batch(batch)))
    return key


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.replace(b"good0", b"gooe0"), "bytes changed"),
        (lambda data: unsealed(data, batch_version=1), "same version"),
        (lambda data: resealed(data, sync_date="state/receipts"), "sync_date: expected YYYY-MM-DD"),
        (lambda data: resealed(data, sync_date="2036-11-28"), "sync_date: expected 2026-08-"),
        (lambda data: resealed(data, sync_id="20260101T000000Z-00000000"), "that of its key"),
    ],
)
def test_a_worker_copies_nothing_of_a_batch_that_cannot_be_believed(
    upstream: Upstream, store: MemoryStore, change: Callable[[bytes], bytes], words: str
) -> None:
    key = give_out(upstream, store, change)
    before = store.keys()
    with pytest.raises(PlanInvalid) as caught:
        work_on(upstream.mirror(), BatchReference(batch_key=key))
    assert key in str(caught.value)
    assert words in str(caught.value)
    assert store.keys() == before


def test_a_run_whose_lambdas_are_of_another_version_copies_its_bottles_itself() -> None:
    story = SyncStatus(bottles=8)

    def of_another_version(key: str) -> None:
        raise InvocationFailed(f"{key}: expected batch_version 1, found 2")

    story.workers.always = of_another_version
    plan = story.plan()
    report = story.copy_plan(plan)
    assert (report.stored, report.failed, report.left) == (8, (), 0)


# Reports of workers


def false_report(story: SyncStatus, **changes: Any) -> Callable[[str], None]:
    """A worker that does nothing, and whose report says that it has done everything (but for the changes)."""

    def behave(key: str) -> None:
        batch = json.loads(story.store.data(key))
        names = len(batch["objects"])
        report = {
            "sync_id": batch["sync_id"],
            "sync_date": batch["sync_date"],
            "platforms": ["arm64_sonoma"],
            "route": "lambda",
            "started_at": "",
            "ended_at": "",
            "duration_s": 1.0,
            "planned": names,
            "stored": names,
        }
        story.store.put(batch_report_key(key), json.dumps(report | changes).encode())

    return behave


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"stored": 0},
        {"stored": 10**6},
        {"stored": -1},
        {"planned": 0, "stored": 0},
        {"sync_id": "20260101T000000Z-00000000"},
        {"undone": ["a-1.arm64_sonoma.bottle.tar.gz"]},
        {"failed": [{"name": "x", "digest": "", "reason": "", "message": ""}]},
        {"duration_s": 1e300},
        {"duration_s": -1.0},
        {"bytes_stored": 10**40},
        {"route": "../x"},
        {"sync_date": "x"},
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_what_a_report_says_and_nothing_records_is_done(changes: dict[str, Any], force: bool) -> None:
    story = SyncStatus(bottles=6)
    story.workers.always = false_report(story, **changes)
    plan = story.plan(force=force)
    report = story.copy_plan(plan)
    assert (report.stored, report.failed, report.left, report.outcome) == (6, (), 0, "success")
    assert len(read_held(story.store).entries) == 6
    assert len(story.store.bottle_keys()) == 6


def test_a_report_is_believed_when_another_run_has_folded_its_receipts() -> None:
    story = SyncStatus(bottles=6)

    def work_and_fold(key: str) -> None:
        story.workers.work(key)
        story.upstream.mirror().fold()

    story.workers.always = work_and_fold
    report = story.copy_plan(story.plan())
    assert (report.stored, report.downloaded, report.outcome) == (6, 6, "success")
    assert sorted(story.downloads()) == sorted(set(story.downloads()))
    assert not any("done again" in told for told in story.workers.logged)


def test_a_false_report_is_told_with_its_key() -> None:
    story = SyncStatus(bottles=3)
    story.workers.always = false_report(story, stored=1)
    story.copy_plan(story.plan())
    assert any("not believed" in told and REPORT_PREFIX in told for told in story.workers.logged)


# What only informs


def test_a_report_of_another_sync_is_left_out_and_logged(
    upstream: Upstream, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    plan = upstream.plan("arm64_sonoma")
    report, _ = upstream.mirror().sync(plan)
    good = kept_reports(store, plan.sync_id)
    assert list(good.values()) == [report]
    wrong = {"sync_id": "other"}, {"stored": -1}, {"duration_s": -1}, {"route": "x"}, {"sync_date": "../x"}
    for number, change in enumerate(wrong):
        said = msgspec.to_builtins(report) | change
        store.put(f"{REPORT_PREFIX}{plan.sync_id}/all-2026-{number}.json", json.dumps(said).encode())
    assert kept_reports(store, plan.sync_id) == good
    assert caplog.text.count("a report is left out") == len(wrong)
    store.put(f"{REPORT_PREFIX}x/../y/all-1-2.json", encode_report(report))
    assert kept_reports(store, "x/../y") == {}
    # And the next sync goes on.
    assert upstream.mirror().sync(plan)[0].outcome == "success"


@pytest.mark.parametrize("name", ["../x", "", "a/b", "\x1b[2J", "x" * 400, "a..b", "wget 1.0"])
def test_names_that_are_no_entry_keys_count_nothing(store: MemoryStore, name: str) -> None:
    folder = f"{REPORT_PREFIX}20260822T030000Z-0badcafe/"
    store.put(f"{folder}a{STORED_SUFFIX}", json.dumps({"names": ["wget-1.0-arm64_sonoma"]}).encode())
    store.put(f"{folder}b{STORED_SUFFIX}", json.dumps({"names": ["curl-1.0-arm64_sonoma", name]}).encode())
    assert stored_names(store, "20260822T030000Z-0badcafe") == {"wget-1.0-arm64_sonoma"}
    assert stored_names(store, "../reports/20260822T030000Z-0badcafe") == frozenset()


@pytest.mark.parametrize(
    "change",
    [{"sha256": "../../../x"}, {"sha256": ""}, {"formulae": -1}, {"previous_bottles": -1}, {"bottles": "x"}],
)
def test_a_note_of_the_catalogue_that_names_no_catalogue_is_none(
    upstream: Upstream, store: MemoryStore, change: dict[str, Any]
) -> None:
    upstream.plan("arm64_sonoma")
    note = json.loads(store.data(LATEST_KEY))
    assert kept_catalogue(store) is not None
    store.put(LATEST_KEY, json.dumps(note | change).encode())
    assert kept_catalogue(store) is None
    assert len(refresh_catalogue(upstream.mirror()).catalogue.formulae) == 4
    assert kept_catalogue(store) is not None


def test_a_sync_meets_a_damaged_plan_of_another_one_and_goes_on(
    upstream: Upstream, store: MemoryStore
) -> None:
    plan = upstream.plan("arm64_sonoma")
    store.put(key_of(structs.replace(plan, sync_id="20260101T000000Z-00000000")), encode_plan(plan)[:-9])
    report, _ = upstream.mirror().sync(plan)
    assert report.outcome == "success"
    assert list(store.listing(RECEIPT_PREFIX)) == []
