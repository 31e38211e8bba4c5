"""Bottles that vanished from the store come back with the next sync, or are forgotten by name."""

import json
from pathlib import Path

import pytest

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.domain.manifest import Entry, decode_manifest
from brew_assets.domain.object_keys import BACKUP_PREFIX, MANIFEST_KEY
from brew_assets.domain.plan import Request
from brew_assets.engine.planner import make_plan
from brew_assets.engine.read_only_store import read_only
from brew_assets.engine.record.verify import certify
from brew_assets.engine.reports import refused_before
from brew_assets.errors import BlobNotFound, ObjectRefused
from brew_assets_tests.engine.test_sync import ARM, FakeHashFile, Upstream
from brew_assets_tests.fakes import Act, MemoryStore, RefusingStore


@pytest.fixture(params=["memory", "directory"])
def upstream(request: pytest.FixtureRequest, tmp_path: Path) -> Upstream:
    """A mirror that holds jq 1.0, and two others."""
    made = Upstream(MemoryStore() if request.param == "memory" else DirectoryStore(tmp_path / "mirror"))
    for name in ("jq", "wget", "zstd"):
        made.publish(name, tags=ARM)
    sync(made)
    made.next_week()
    return made


def sync(upstream: Upstream, **request: object) -> tuple[object, ...]:
    """What became of a sync: outcome, stored, failed, forgotten."""
    report, _ = upstream.mirror().sync(upstream.plan(**request))
    return report.outcome, report.stored, len(report.failed), report.forgotten


def entries(upstream: Upstream) -> dict[str, Entry]:
    document = upstream.store.read(MANIFEST_KEY)
    assert document is not None
    return dict(decode_manifest(document.data).entries())


def assert_true(upstream: Upstream, count: int) -> None:
    """The manifest has so many entries, and each names an object that is there."""
    certificates = certify(upstream.store, entries(upstream).items(), deep=True)
    assert [certificate.verdict for certificate in certificates] == ["CURRENT"] * count


def lose(upstream: Upstream, *keys: str) -> list[str]:
    """The objects of these entries are gone; their keys."""
    known = entries(upstream)
    gone = [known[key].s3_key for key in keys]
    upstream.store.delete(gone)
    return gone


def test_a_lost_bottle_is_planned_said_and_fetched_again(upstream: Upstream) -> None:
    gone = lose(upstream, "jq-1.0-arm64_sonoma", "wget-1.0-arm64_tahoe")
    plan = upstream.plan()
    assert (plan.left_out.lost, plan.left_out.lost_planned) == (2, 2)
    assert list(plan.left_out.lost_objects) == gone
    assert sorted(p.bottle.entry_key for p in plan.objects) == ["jq-1.0-arm64_sonoma", "wget-1.0-arm64_tahoe"]
    assert all(p.size for p in plan.objects)
    report, _ = upstream.mirror().sync(plan)
    assert (report.outcome, report.stored) == ("success", 2)
    assert_true(upstream, 9)
    assert upstream.plan().objects == ()


def test_a_lost_bottle_comes_back_on_the_day_on_which_it_was_stored(upstream: Upstream) -> None:
    upstream.clock.advance(-7 * 86400)
    lose(upstream, "jq-1.0-arm64_sonoma")
    assert sync(upstream) == ("success", 1, 0, ())
    assert_true(upstream, 9)


def test_a_whole_date_folder_that_is_gone_comes_back(upstream: Upstream) -> None:
    lose(upstream, *entries(upstream))
    assert sync(upstream) == ("success", 9, 0, ())
    assert_true(upstream, 9)


def test_a_version_that_the_catalogue_has_left_behind_is_fetched_from_its_address(upstream: Upstream) -> None:
    upstream.publish("jq", "2.0", tags=ARM)
    sync(upstream)
    upstream.next_week()
    lose(upstream, "jq-1.0-arm64_sonoma", "jq-1.0-arm64_tahoe")
    plan = upstream.plan()
    assert (plan.left_out.lost, plan.left_out.lost_planned, len(plan.objects)) == (2, 2, 2)
    # Each is asked of one run only, though the older one could serve more machines.
    assert sorted(p.platforms for p in plan.objects) == [("arm64_sonoma",), ("arm64_tahoe",)]
    report, _ = upstream.mirror().sync(plan, "arm64_sonoma")
    assert (report.outcome, report.stored) == ("success", 1)
    report, _ = upstream.mirror().sync(plan, "arm64_tahoe")
    assert (report.outcome, report.stored) == ("success", 1)
    assert_true(upstream, 12)


def test_what_neither_catalogue_nor_registry_has_leaves_the_manifest_by_name_with_a_backup(
    upstream: Upstream,
) -> None:
    upstream.publish("jq", "2.0", tags=ARM)
    sync(upstream)
    upstream.next_week()
    lose(upstream, "jq-1.0-arm64_sonoma", "jq-1.0-arm64_tahoe")
    (old,) = (p.bottle for p in upstream.plan().objects if p.bottle.tag == "arm64_sonoma")
    upstream.blobs.always(old, Act(error=BlobNotFound("404")))
    backups = len(list(upstream.store.listing(BACKUP_PREFIX)))
    assert sync(upstream) == ("success", 1, 0, (old.filename,))
    assert len(list(upstream.store.listing(BACKUP_PREFIX))) > backups
    assert old.entry_key not in entries(upstream)
    assert_true(upstream, 11)
    assert upstream.plan().left_out.lost == 0


@pytest.fixture
def outdated(upstream: Upstream) -> Upstream:
    """A mirror that has lost a bottle which the catalogue has left behind."""
    upstream.publish("jq", "2.0", tags=ARM)
    sync(upstream)
    upstream.next_week()
    lose(upstream, "jq-1.0-arm64_sonoma")
    return upstream


def test_a_registry_that_has_nothing_at_all_makes_nobody_forget(outdated: Upstream) -> None:
    outdated.blobs.forget_everything()
    assert sync(outdated) == ("failed", 0, 1, ())
    assert "jq-1.0-arm64_sonoma" in entries(outdated)


def test_a_404_of_a_moment_makes_nobody_forget(outdated: Upstream) -> None:
    (planned,) = outdated.plan().objects
    outdated.blobs.script(planned.bottle, Act(error=BlobNotFound("404")))
    assert sync(outdated) == ("failed", 0, 1, ())
    assert sync(outdated) == ("success", 1, 0, ())
    assert_true(outdated, 12)


def test_what_the_catalogue_has_in_a_form_that_cannot_be_used_is_not_forgotten(outdated: Upstream) -> None:
    (planned,) = outdated.plan().objects
    outdated.blobs.always(planned.bottle, Act(error=BlobNotFound("404")))
    for number in range(20):
        outdated.publish(f"other{number}")
    body = json.loads(outdated.source.body)
    next(found for found in body if found["name"] == "jq")["revision"] = "x"
    outdated.source.body = json.dumps(body).encode()
    assert sync(outdated) == ("partial", 20, 1, ())
    assert "jq-1.0-arm64_sonoma" in entries(outdated)


def test_a_lost_bottle_of_the_catalogue_that_the_registry_lacks_stays_a_failure(upstream: Upstream) -> None:
    lose(upstream, "jq-1.0-arm64_sonoma")
    (planned,) = upstream.plan().objects
    upstream.blobs.always(planned.bottle, Act(error=BlobNotFound("404")))
    assert sync(upstream) == ("failed", 0, 1, ())
    assert "jq-1.0-arm64_sonoma" in entries(upstream)


def test_a_selection_brings_back_what_it_covers_and_says_the_rest(upstream: Upstream) -> None:
    lose(upstream, "jq-1.0-arm64_sonoma", "wget-1.0-arm64_tahoe")
    plan = upstream.plan(formulae=("jq",))
    assert (plan.left_out.lost, plan.left_out.lost_planned, len(plan.objects)) == (2, 1, 1)


def test_an_external_list_does_not_keep_a_recorded_bottle_away(upstream: Upstream) -> None:
    known = entries(upstream)["jq-1.0-arm64_sonoma"]
    lose(upstream, "jq-1.0-arm64_sonoma")
    listed = FakeHashFile(f'{{"{known.sha256}": "jq"}}'.encode())
    mirror = upstream.mirror(hash_file=listed)
    plan = make_plan(mirror, Request(platforms=ARM)).plan
    assert len(plan.objects) == 1


def test_looking_writes_nothing_and_finds_the_same(upstream: Upstream) -> None:
    lose(upstream, "jq-1.0-arm64_sonoma")
    before = {listed.key for listed in upstream.store.listing("")}
    planned = make_plan(read_only(upstream.mirror()), Request(platforms=ARM))
    assert planned.plan.left_out.lost == 1
    assert {listed.key for listed in upstream.store.listing("")} == before


def test_another_size_than_recorded_is_said(upstream: Upstream) -> None:
    key = entries(upstream)["jq-1.0-arm64_sonoma"].s3_key
    upstream.store.delete([key])
    upstream.store.write(key, b"cut")
    planned = make_plan(upstream.mirror(), Request(platforms=ARM))
    assert (planned.plan.left_out.resized_objects, planned.plan.left_out.lost) == ((key,), 0)


def test_an_object_of_which_nobody_knows_is_not_taken_for_lost(upstream: Upstream) -> None:
    (gone,) = lose(upstream, "jq-1.0-arm64_sonoma")
    upstream.store = RefusingStore(upstream.store, gone, ObjectRefused("403"))
    assert upstream.plan().left_out.lost == 0


def test_a_refused_bottle_is_tried_last_in_the_next_sync(tmp_path: Path) -> None:
    store = MemoryStore()
    upstream = Upstream(store)
    for number in range(6):
        upstream.publish(f"f{number}")
    plan = upstream.plan()
    odd = plan.objects[1].bottle
    store.refuse("commit", ObjectRefused("403 AccessDenied"), key=odd.key(plan.sync_date))
    report, _ = upstream.mirror(workers=1).sync(plan)
    assert (report.stored, [failure.reason for failure in report.failed]) == (5, ["object refused"])
    upstream.next_week()
    for number in range(6, 9):
        upstream.publish(f"f{number}")
    store.allow_all()
    upstream.blobs.opened.clear()
    report, _ = upstream.mirror(workers=1).sync(upstream.plan())
    assert (report.outcome, report.stored) == ("success", 4)
    assert upstream.blobs.opened[-1][0] == odd.filename


@pytest.mark.parametrize(
    "prefix", ["state/upstream/", "state/runs/", "state/reports/", "state/upstream/indexes/"]
)
@pytest.mark.parametrize("operation", ["read", "write"])
def test_one_refused_object_of_our_own_stops_no_sync(prefix: str, operation: str) -> None:
    store = MemoryStore()
    upstream = Upstream(store)
    for number in range(4):
        upstream.publish(f"f{number}", tags=ARM)
    upstream.mirror().sync(upstream.plan(), "arm64_sonoma")
    store.refuse_below(operation, ObjectRefused("403"), prefix)
    upstream.next_week()
    for platform in ARM:
        report, _ = upstream.mirror().sync(upstream.plan(), platform)
        assert report.outcome == "success"
    assert_true(upstream, 12)


def test_a_manifest_that_was_deleted_is_made_anew_and_what_it_lacks_is_named(
    upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.store.write("2026-08-22/notes.txt", b"not a bottle")
    upstream.store.delete([MANIFEST_KEY])
    upstream.mirror().fold()
    assert_true(upstream, 9)
    (warned,) = [record for record in caplog.records if record.message == "not recorded"]
    assert warned.__dict__["key"] == "2026-08-22/notes.txt"


def test_a_lost_bottle_that_stands_in_another_folder_is_found_there(upstream: Upstream) -> None:
    for week in range(4):
        upstream.publish(f"later{week}", tags=ARM)
        sync(upstream)
        upstream.next_week()
    entry = entries(upstream)["jq-1.0-arm64_sonoma"]
    document = upstream.store.read(entry.s3_key)
    assert document is not None
    moved = f"2026-01-01/{entry.s3_key.partition('/')[2]}"
    upstream.store.write(moved, document.data)
    upstream.store.delete([entry.s3_key])
    upstream.blobs.opened.clear()
    plan = upstream.plan()
    assert (plan.left_out.lost, plan.objects) == (0, ())
    upstream.mirror().fold()
    assert entries(upstream)["jq-1.0-arm64_sonoma"].s3_key == moved
    assert_true(upstream, 21)


def test_what_was_forgotten_does_not_come_back_where_receipts_cannot_be_deleted() -> None:
    store = MemoryStore()
    upstream = Upstream(store)
    for name in ("jq", "wget", "zstd"):
        upstream.publish(name, tags=ARM)
    store.refuse("delete", ObjectRefused("403 AccessDenied"))
    sync(upstream)
    upstream.publish("jq", "2.0", tags=ARM)
    upstream.next_week()
    sync(upstream)
    upstream.next_week()
    key = entries(upstream)["jq-1.0-arm64_sonoma"].s3_key
    store.allow_all()
    store.delete([key])
    store.refuse("delete", ObjectRefused("403 AccessDenied"))
    (planned,) = upstream.plan().objects
    upstream.blobs.always(planned.bottle, Act(error=BlobNotFound("404")))
    assert sync(upstream) == ("success", 0, 0, (planned.bottle.filename,))
    backups = len(store.keys(BACKUP_PREFIX))
    for _ in range(3):
        upstream.next_week()
        assert upstream.plan().objects == ()
        upstream.mirror().fold()
    assert "jq-1.0-arm64_sonoma" not in entries(upstream)
    assert len(store.keys(BACKUP_PREFIX)) == backups
    assert_true(upstream, 11)


def test_what_came_back_meanwhile_is_not_forgotten(outdated: Upstream) -> None:
    plan = outdated.plan()
    (planned,) = plan.objects
    content = outdated.blobs.content(planned.bottle)
    # Somebody restores the object while the registry is asked.
    restored = Act(error=BlobNotFound("404"), on_open=lambda: restore(outdated, planned.lost, content))
    outdated.blobs.always(planned.bottle, restored)
    report, _ = outdated.mirror().sync(plan)
    assert report.forgotten == ()
    assert "jq-1.0-arm64_sonoma" in entries(outdated)


def restore(upstream: Upstream, key: str, content: bytes) -> None:
    upstream.store.write(key, content)


def test_plans_that_nobody_carries_out_make_no_refusal_forgotten() -> None:
    store = MemoryStore()
    upstream = Upstream(store)
    for number in range(6):
        upstream.publish(f"f{number}")
    plan = upstream.plan()
    odd = plan.objects[1].bottle
    store.refuse("commit", ObjectRefused("403 AccessDenied"), key=odd.key(plan.sync_date))
    upstream.mirror(workers=1).sync(plan)
    for _ in range(5):
        upstream.next_week()
        upstream.plan()
    upstream.publish("later")
    final = upstream.plan()
    assert odd.filename in refused_before(store, final.sync_id)
    upstream.blobs.opened.clear()
    upstream.mirror(workers=1).sync(final)
    assert upstream.blobs.opened[-1][0] == odd.filename
