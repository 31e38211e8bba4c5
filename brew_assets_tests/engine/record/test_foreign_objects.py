"""Whatever others keep in the mirror's folders: it is passed over, counted, said once, and never deleted."""

import logging

import pytest

from brew_assets.domain.manifest import BACKUPS_KEPT
from brew_assets.domain.object_keys import BACKUP_PREFIX, MANIFEST_KEY
from brew_assets.domain.plan import Request
from brew_assets.engine.coordination import PATIENCE_S, RUN_PREFIX
from brew_assets.engine.existence import mirror_exists
from brew_assets.engine.planner import make_plan
from brew_assets.engine.record.fold import backups, fold
from brew_assets.engine.record.foreign_objects import own_listing
from brew_assets.engine.record.journal import RECEIPT_PREFIX, journal_keys, read_recorded
from brew_assets.engine.record.rebuild import rebuild_manifest, receipts_waiting, restore_manifest
from brew_assets.engine.reports import refused_before
from brew_assets.errors import ManifestInvalid
from brew_assets.runtimes.status import read_status
from brew_assets_tests.engine.test_sync import Upstream, manifest
from brew_assets_tests.engine.test_sync import upstream as upstream  # noqa: PLC0414
from brew_assets_tests.fakes import MemoryStore
from brew_assets_tests.worlds import SYNC_ID

OTHERS = [
    "state/foo.txt",
    "state/receipts/readme.txt",
    "state/receipts/x/y.json",
    "state/receipts/.DS_Store",
    f"state/receipts/{SYNC_ID}/.DS_Store",
    "state/plans/zzz notes.txt",
    "state/plans/99999999T000000Z/deep/a.json",
    "state/reports/notes.txt",
    "backups/bottles_hash/old.json",
    "backups/bottles_hash/zzz.json",
    "v2/homebrew/core/x",
    "notes.txt",
]


def sync(upstream: Upstream) -> str:
    mirror = upstream.mirror()
    plan = make_plan(mirror, Request(platforms=("arm64_sonoma",)), sizes=False).plan
    upstream.store.write(f"{RUN_PREFIX}{plan.sync_id}/notes.txt", b"not a run")
    return mirror.sync(plan, platform="arm64_sonoma")[0].outcome


def test_a_mirror_goes_on_among_objects_of_others(
    upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    store = upstream.store
    for key in OTHERS:
        store.write(key, b"not ours")
    assert not mirror_exists(store)
    begin = upstream.clock.monotonic()
    for number in range(BACKUPS_KEPT + 3):
        upstream.publish("weekly", f"{number}.0")
        assert sync(upstream) == "success"
    # Nobody waited for a run that is none.
    assert upstream.clock.monotonic() - begin < PATIENCE_S
    held = manifest(store)
    assert len(backups(store)) == BACKUPS_KEPT
    assert receipts_waiting(store) == 0
    status = read_status(store)
    assert (status.held, status.journal_objects, len(status.backups)) == (len(held), 0, BACKUPS_KEPT)
    store.delete([MANIFEST_KEY])
    restored, _ = restore_manifest(store, upstream.clock)
    assert restored.startswith(f"{BACKUP_PREFIX}20")
    rebuild_manifest(store, upstream.clock, workers=2)
    assert manifest(store) == held
    for key in OTHERS:
        document = store.read(key)
        assert document is not None
        assert document.data == b"not ours"
    said = [record.__dict__ for record in caplog.records if record.message.startswith("ignored: ")]
    (of_receipts,) = (record for record in said if record["prefix"] == RECEIPT_PREFIX)
    assert (of_receipts["levelno"], of_receipts["objects"]) == (logging.WARNING, 4)


def test_a_backup_of_another_name_can_be_named(upstream: Upstream) -> None:
    sync(upstream)
    document = upstream.store.read(MANIFEST_KEY)
    assert document is not None
    upstream.store.write(f"{BACKUP_PREFIX}before the move.json", document.data)
    assert not any("before" in key for key in backups(upstream.store))
    key, _ = restore_manifest(upstream.store, upstream.clock, backup=f"{BACKUP_PREFIX}before the move.json")
    assert key == f"{BACKUP_PREFIX}before the move.json"


def test_an_object_of_the_journal_is_never_passed_over(upstream: Upstream) -> None:
    for name in (f"{SYNC_ID}/1.json", "adopted/030000000000-0badcafe.json"):
        key = f"{RECEIPT_PREFIX}{name}"
        upstream.store.write(key, b"damaged")
        assert journal_keys(upstream.store) == [key]
        with pytest.raises(ManifestInvalid, match=key):
            fold(upstream.store, upstream.clock)
        upstream.store.delete([key])
    assert read_recorded(upstream.store, SYNC_ID) == set()


def test_notes_among_the_plans_do_not_hide_what_was_refused_before(
    upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(30):
        upstream.store.write(f"state/plans/2026-{number:02}.txt", b"x")
    assert refused_before(upstream.store, "2027") == frozenset()
    assert sum(record.message.startswith("ignored: ") for record in caplog.records) == 1


def test_names_in_the_log_steer_nothing_and_are_short(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    for number in range(5):
        store.put(f"state/{number}\x1b[2J\n{'x' * 500}", b"")
    for _ in range(3):
        assert list(own_listing(store, "state/", lambda name: False)) == []
    (record,) = caplog.records
    first = record.__dict__["first"]
    assert record.__dict__["objects"] == 5
    assert first.isascii()
    assert first.isprintable()
    assert len(first) < 500
    assert first.count("\\x1b[2J\\n") == 3
