"""The record of what is held: journal, manifest, folding, and repairs. Nothing is lost between them."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.domain.bottle import Bottle
from brew_assets.domain.manifest import decode_manifest, encode_receipts
from brew_assets.domain.object_keys import BACKUP_PREFIX, MANIFEST_KEY
from brew_assets.domain.plan import encode_plan
from brew_assets.engine.clock import SystemClock
from brew_assets.engine.ports import Clock, Document, Store
from brew_assets.engine.record.fold import backups, fold, read_held
from brew_assets.engine.record.journal import RECEIPT_PREFIX, Journal, read_recorded
from brew_assets.engine.record.rebuild import import_manifest, rebuild_manifest, restore_manifest
from brew_assets.engine.record.verify import UNANSWERED_IN_A_ROW, certify, entries_of_tags
from brew_assets.errors import (
    BackupInvalid,
    ChecksumRefused,
    ManifestInvalid,
    ObjectRefused,
    PlanInvalid,
    StoreError,
    StoreRefused,
    StoreUnavailable,
    StoreUnsupported,
)
from brew_assets_tests.fakes import FakeClock, MemoryStore, RefusingStore
from brew_assets_tests.worlds import (
    DATE,
    SYNC_ID,
    bottle,
    catalogue_of,
    formula,
    manifest_of,
    plan_of,
    receipt,
    resealed,
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "memory":
        return MemoryStore()
    store = DirectoryStore(tmp_path / "mirror")
    store.prepare()
    return store


def journal(store: Store, clock: Clock, **options: float) -> Journal:
    return Journal(store, clock, sync_id=SYNC_ID, **options)  # type: ignore[arg-type]


def note(store: Store, clock: Clock, *bottles: Bottle, date: str = DATE) -> None:
    """Receipts for the bottles stand in the store."""
    written = journal(store, clock)
    written.add(receipt(item, date=date) for item in bottles)
    written.flush()


def receipt_keys(store: Store) -> list[str]:
    return sorted(listed.key for listed in store.listing(RECEIPT_PREFIX))


def manifest_keys(store: Store) -> list[str]:
    document = store.read(MANIFEST_KEY)
    return sorted(decode_manifest(document.data).keys()) if document else []


def folding(store: Store, clock: FakeClock) -> Callable[[], None]:
    """A fold by somebody else."""

    def act() -> None:
        fold(store, clock)

    return act


WGET, CURL, LLVM = bottle("wget"), bottle("curl"), bottle("llvm")


def test_the_first_fold_makes_a_manifest_and_no_backup(store: Store, clock: FakeClock) -> None:
    note(store, clock, WGET, CURL)
    result = fold(store, clock)
    assert (result.entries, result.added, result.races) == (2, 2, 0)
    assert manifest_keys(store) == sorted((WGET.entry_key, CURL.entry_key))
    assert backups(store) == receipt_keys(store) == []


def test_a_fold_merges_and_backs_the_old_manifest_up(store: Store, clock: FakeClock) -> None:
    before = manifest_of(WGET)
    store.write(MANIFEST_KEY, before)
    note(store, clock, CURL)
    assert fold(store, clock).added == 1
    assert manifest_keys(store) == sorted((WGET.entry_key, CURL.entry_key))
    (backup,) = backups(store)
    document = store.read(backup)
    assert document is not None
    assert document.data == before
    assert receipt_keys(store) == []


def test_ten_backups_are_kept(store: Store, clock: FakeClock) -> None:
    for number in range(14):
        note(store, clock, bottle(f"f{number:02}"))
        fold(store, clock)
        clock.advance(60)
    kept = backups(store)
    assert len(kept) == 10
    newest = store.read(kept[0])
    assert newest is not None
    assert len(decode_manifest(newest.data)) == 13


def test_a_fold_without_receipts_leaves_the_manifest_as_it_is(store: Store, clock: FakeClock) -> None:
    version = store.write(MANIFEST_KEY, manifest_of(WGET))
    fold(store, clock)
    document = store.read(MANIFEST_KEY)
    assert document is not None
    assert document.version == version
    assert backups(store) == []


def test_receipts_go_only_after_the_manifest_stands(clock: FakeClock) -> None:
    store = MemoryStore()
    store.write(MANIFEST_KEY, manifest_of(WGET))
    note(store, clock, CURL)
    store.calls.clear()
    fold(store, clock)
    changes = [(name, key) for name, key in store.calls if name in ("write", "delete")]
    assert changes[0][1].startswith(BACKUP_PREFIX)
    assert changes[1] == ("write", MANIFEST_KEY)
    assert changes[2][0] == "delete"
    assert changes[2][1].startswith(RECEIPT_PREFIX)


@pytest.mark.parametrize("failing", [1, 2])
def test_a_fold_that_fails_half_way_loses_nothing(clock: FakeClock, failing: int) -> None:
    store = MemoryStore()
    store.write(MANIFEST_KEY, manifest_of(WGET))
    note(store, clock, CURL)
    if failing == 1:
        store.fail("write", StoreUnavailable("503"))
        with pytest.raises(StoreUnavailable):
            fold(store, clock)
    else:
        # Everything is recorded by then: what stays of the journal is folded again, to the same effect.
        store.fail("delete", StoreUnavailable("503"))
        fold(store, clock)
    assert set(read_held(store).entries) == {WGET.entry_key, CURL.entry_key}
    fold(store, clock)
    assert manifest_keys(store) == sorted((WGET.entry_key, CURL.entry_key))


def test_a_fold_that_loses_a_race_goes_on_from_the_other_ones_result(clock: FakeClock) -> None:
    store = MemoryStore()
    store.write(MANIFEST_KEY, manifest_of(WGET))
    note(store, clock, CURL)

    def other_writer() -> None:
        store.put(MANIFEST_KEY, manifest_of(WGET, LLVM))

    store.before("write", other_writer)
    result = fold(store, clock)
    assert result.races == 1
    assert manifest_keys(store) == sorted((WGET.entry_key, CURL.entry_key, LLVM.entry_key))


def test_receipts_that_come_during_a_fold_stay(clock: FakeClock) -> None:
    store = MemoryStore()
    note(store, clock, WGET)
    store.before("write", lambda: note(store, clock, CURL))
    fold(store, clock)
    assert set(read_held(store).entries) == {WGET.entry_key, CURL.entry_key}


def test_a_fold_that_loses_races_stands_back(clock: FakeClock) -> None:
    store = MemoryStore()
    note(store, clock, WGET)
    rivals = [bottle(f"rival{number}") for number in range(12)]

    def win() -> None:
        recorded = manifest_keys(store) if store.read(MANIFEST_KEY) else []
        store.write(MANIFEST_KEY, manifest_of(*rivals[: len(recorded) + 1]))
        if len(recorded) + 1 < len(rivals):
            store.before("write", win)

    store.before("write", win)
    folded = fold(store, clock)
    assert set(manifest_keys(store)) == {WGET.entry_key, *(rival.entry_key for rival in rivals)}
    assert folded.races == len(clock.waits) > 3
    # Full jitter: a random part of a time that doubles.
    assert all(0 <= wait_s <= min(1.0, 0.02 * 2**n) for n, wait_s in enumerate(clock.waits))


def test_a_repair_that_loses_a_race_stands_back_too(clock: FakeClock) -> None:
    store = MemoryStore()
    note(store, clock, WGET)
    fold(store, clock)
    note(store, clock, CURL)
    fold(store, clock)
    store.before("write", lambda: store.put(MANIFEST_KEY, manifest_of(LLVM)))
    restore_manifest(store, clock)
    assert manifest_keys(store) == [WGET.entry_key]
    assert len(clock.waits) == 1


def test_two_folds_at_the_same_time_lose_nothing(store: Store) -> None:
    # One that stands back does so for real.
    clock = SystemClock()
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(100):
                note(store, clock, bottle(f"{name}{number:03}"))
                fold(store, clock)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    expected = {bottle(f"{name}{number:03}").entry_key for name in ("a", "b") for number in range(100)}
    assert set(read_held(store).entries) == expected
    assert set(manifest_keys(store)) == expected
    assert receipt_keys(store) == []


def test_what_is_held_never_shrinks_while_others_fold(store: Store, clock: FakeClock) -> None:
    ended = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for number in range(40):
                note(store, clock, bottle(f"f{number:03}"))
                fold(store, clock)
        except BaseException as error:
            failures.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    seen = 0
    while not ended.is_set():
        count = len(read_held(store).entries)
        assert count >= seen
        seen = count
    thread.join(60)
    assert failures == []
    assert len(read_held(store).entries) == 40


def test_a_fold_between_two_reads_hides_nothing(clock: FakeClock) -> None:
    for operation in ("listing", "read"):
        store = MemoryStore()
        store.write(MANIFEST_KEY, manifest_of(WGET))
        note(store, clock, CURL)
        store.before(operation, folding(store, clock))
        assert set(read_held(store).entries) == {WGET.entry_key, CURL.entry_key}


def test_a_fold_after_the_receipts_were_read_hides_nothing(clock: FakeClock) -> None:
    store = MemoryStore()
    store.write(MANIFEST_KEY, manifest_of(WGET))
    note(store, clock, CURL)
    # The first read is the receipt's: the fold comes before the second, the manifest's.
    store.before("read", lambda: store.before("read", folding(store, clock)))
    assert set(read_held(store).entries) == {WGET.entry_key, CURL.entry_key}


def test_an_invalid_manifest_stops_everything_and_stays(store: Store, clock: FakeClock) -> None:
    damaged = manifest_of(WGET).replace(b"wget", b"wgot", 1)
    store.write(MANIFEST_KEY, damaged)
    note(store, clock, CURL)
    acts: list[Callable[[], object]] = [lambda: read_held(store), lambda: fold(store, clock)]
    for act in acts:
        with pytest.raises(ManifestInvalid, match=r"manifest restore.*manifest rebuild"):
            act()
    document = store.read(MANIFEST_KEY)
    assert document is not None
    assert document.data == damaged
    assert len(receipt_keys(store)) == 1
    assert backups(store) == []


def test_a_receipt_that_cannot_be_read_stops_everything_and_names_itself(
    store: Store, clock: FakeClock
) -> None:
    store.write(MANIFEST_KEY, manifest_of(WGET))
    key = f"{RECEIPT_PREFIX}{SYNC_ID}/damaged.json"
    store.write(key, encode_receipts([receipt(CURL)])[:-5])
    with pytest.raises(ManifestInvalid, match=key):
        fold(store, clock)
    assert manifest_keys(store) == [WGET.entry_key]


def test_the_receipt_of_a_later_sync_wins(store: Store, clock: FakeClock) -> None:
    early = Journal(store, clock, sync_id="20260815T030000Z-00000000")
    late = Journal(store, clock, sync_id="20260822T030000Z-00000000")
    late.add([receipt(WGET, date="2026-08-22")])
    late.flush()
    early.add([receipt(WGET, date="2026-08-15")])
    early.flush()
    fold(store, clock)
    (held,) = read_held(store).entries.values()
    assert held.s3_key == WGET.key("2026-08-22")


def test_the_receipt_of_a_sync_wins_over_an_earlier_adoption(store: Store, clock: FakeClock) -> None:
    stale = bottle("wget", content=b"what upstream had before")
    adopted = Journal(store, clock, sync_id="adopted")
    adopted.add([receipt(stale, date="2026-08-15")])
    adopted.flush()
    note(store, clock, WGET)
    fold(store, clock)
    (held,) = read_held(store).entries.values()
    assert held.sha256 == WGET.digest


def test_the_journal_writes_every_batch(store: Store, clock: FakeClock) -> None:
    written = journal(store, clock, batch_size=3)
    for number in range(8):
        written.add([receipt(bottle(f"f{number}"))])
    assert len(receipt_keys(store)) == 2
    assert written.written == 6
    written.flush()
    written.flush()
    assert len(receipt_keys(store)) == 3
    assert len(read_held(store).entries) == 8


def test_the_journal_writes_after_five_seconds(store: Store, clock: FakeClock) -> None:
    written = journal(store, clock)
    clock.advance(3)
    written.add([receipt(WGET)])
    assert receipt_keys(store) == []
    clock.advance(2.5)
    written.tick()
    assert len(receipt_keys(store)) == 1
    clock.advance(100)
    written.tick()
    assert len(receipt_keys(store)) == 1


def test_receipts_that_could_not_be_written_are_kept_for_the_next_try(clock: FakeClock) -> None:
    store = MemoryStore()
    written = journal(store, clock)
    written.add([receipt(WGET)])
    store.fail("write", StoreUnavailable("503"))
    with pytest.raises(StoreUnavailable):
        written.flush()
    written.flush()
    assert len(read_held(store).entries) == 1


def test_two_runs_of_one_sync_journal_while_a_third_folds(store: Store, clock: FakeClock) -> None:
    failures: list[BaseException] = []

    def run(name: str) -> None:
        try:
            for number in range(60):
                note(store, clock, bottle(f"{name}{number:03}"))
        except BaseException as error:
            failures.append(error)

    def third() -> None:
        try:
            for _ in range(40):
                fold(store, clock)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("a", "b")]
    threads.append(threading.Thread(target=third))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len(read_held(store).entries) == 120


# Repairs


@pytest.fixture
def filled(store: Store, clock: FakeClock) -> list[Bottle]:
    """Six bottles of two dates, held, with the plans that wanted them."""
    entries = [formula(f"f{number}") for number in range(3)]
    bottles = []
    for date in ("2026-08-15", DATE):
        plan = plan_of(catalogue_of(*entries), "arm64_sonoma", "arm64_tahoe")
        dated = {"sync_date": date, "created_at": f"{date}T03:00:00Z", "sync_id": f"sync-{date}"}
        store.write(f"state/plans/{date}.json", resealed(encode_plan(plan), **dated))
        for item in plan.objects:
            content = f"{item.bottle.formula}/{item.bottle.pkg_version}/{item.bottle.tag}/0".encode()
            sink = store.receive(item.bottle, date=date, size=len(content))
            sink.write(memoryview(content))
            sink.commit()
            written = journal(store, clock)
            written.add([receipt(item.bottle, date=date, size=len(content))])
            written.flush()
            bottles.append(item.bottle)
        entries = [formula(f"f{number}", "2.0") for number in range(3)]
    fold(store, clock)
    return bottles


def entries_now(store: Store) -> bytes:
    document = store.read(MANIFEST_KEY)
    assert document is not None
    return json.dumps(json.loads(document.data)["bottles"], sort_keys=True).encode()


def test_a_rebuild_gives_the_same_entries_back(store: Store, clock: FakeClock, filled: list[Bottle]) -> None:
    before = entries_now(store)
    store.delete([MANIFEST_KEY])
    manifest, unidentified, backup = rebuild_manifest(store, clock, workers=3)
    assert (len(manifest), unidentified, backup) == (len(filled), [], None)
    assert entries_now(store) == before


def test_a_rebuild_backs_a_damaged_manifest_up(store: Store, clock: FakeClock, filled: list[Bottle]) -> None:
    before = entries_now(store)
    store.write(MANIFEST_KEY, b"damaged")
    _, _, backup = rebuild_manifest(store, clock, workers=3)
    assert backup is not None
    document = store.read(backup)
    assert document is not None
    assert document.data == b"damaged"
    assert entries_now(store) == before


def test_a_rebuild_names_what_it_cannot_prove(store: Store, clock: FakeClock, filled: list[Bottle]) -> None:
    store.write(f"{DATE}/notes.txt", b"not a bottle")
    store.write(filled[-1].key(DATE), b"damaged")
    # Nothing says any more what its bytes were.
    store.delete([MANIFEST_KEY, *backups(store)])
    manifest, unidentified, _ = rebuild_manifest(store, clock, workers=3)
    assert sorted(item.key for item in unidentified) == sorted((f"{DATE}/notes.txt", filled[-1].key(DATE)))
    assert len(manifest) == len(filled) - 1


def test_a_restore_gives_the_newest_valid_backup_back(
    store: Store, clock: FakeClock, filled: list[Bottle]
) -> None:
    before = entries_now(store)
    note(store, clock, WGET)
    fold(store, clock)
    store.write(f"{BACKUP_PREFIX}2027-01-01T000000.000000Z.json", b"damaged backup")
    store.write(MANIFEST_KEY, b"damaged")
    restored, _ = restore_manifest(store, clock)
    assert restored.startswith(f"{BACKUP_PREFIX}2026-08-22")
    assert entries_now(store) == before


def test_a_restore_without_a_valid_backup_changes_nothing(store: Store, clock: FakeClock) -> None:
    store.write(MANIFEST_KEY, b"damaged")
    with pytest.raises(BackupInvalid, match=r"found none\. Nothing was changed\..*manifest rebuild"):
        restore_manifest(store, clock)
    document = store.read(MANIFEST_KEY)
    assert document is not None
    assert document.data == b"damaged"


@pytest.mark.parametrize(
    "key",
    [
        "backups/nope.json",
        "../x",
        "",
        f"{DATE}/",
        "state/plans/x.json",
        MANIFEST_KEY,
        "saved.json",
        f"{BACKUP_PREFIX}../../{MANIFEST_KEY}",
        BACKUP_PREFIX,
    ],
)
def test_a_backup_that_is_none_is_named_and_those_that_exist_are_listed(
    store: Store, clock: FakeClock, key: str
) -> None:
    for number in range(12):
        store.write(f"{BACKUP_PREFIX}2026-08-{number + 10}T030000.000000Z.json", manifest_of(WGET))
    store.write("state/plans/x.json", b"{}")
    store.write("saved.json", manifest_of(WGET))
    store.write(MANIFEST_KEY, manifest_of(CURL))
    with pytest.raises(BackupInvalid) as caught:
        restore_manifest(store, clock, backup=key)
    first, *listed = str(caught.value).splitlines()
    assert first.startswith(f"{key!r}: expected a backup of bottles_hash.json, found ")
    assert store.url in first
    assert [line.strip() for line in listed] == backups(store)[:10]
    assert manifest_keys(store) == [CURL.entry_key]


def test_a_backup_that_is_damaged_says_what_is_wrong_with_it(store: Store, clock: FakeClock) -> None:
    key = f"{BACKUP_PREFIX}2026-08-22T030000.000000Z.json"
    store.write(key, manifest_of(WGET).replace(b"wget", b"wgot", 1))
    store.write(MANIFEST_KEY, manifest_of(CURL))
    with pytest.raises(BackupInvalid, match=r"its bytes changed after it was written") as caught:
        restore_manifest(store, clock, backup=key)
    assert "Invalid hash file format" not in str(caught.value)
    assert manifest_keys(store) == [CURL.entry_key]


def test_an_import_takes_what_the_store_proves(store: Store, clock: FakeClock, filled: list[Bottle]) -> None:
    before = entries_now(store)
    document = store.read(MANIFEST_KEY)
    assert document is not None
    foreign = json.loads(document.data)
    del foreign["integrity"]
    store.delete([MANIFEST_KEY])
    store.delete([filled[0].key("2026-08-15")])
    store.write(filled[-1].key(DATE), b"damaged")
    result, left_out = import_manifest(store, clock, json.dumps(foreign).encode(), workers=3)
    assert result.entries == len(filled) - 2
    assert sorted(line.split(": ")[1].split()[0] for line in left_out) == ["MISMATCH", "MISSING"]
    assert set(json.loads(entries_now(store))) < set(json.loads(before))


def test_an_import_of_something_else_changes_nothing(store: Store, clock: FakeClock) -> None:
    store.write(MANIFEST_KEY, manifest_of(WGET))
    for data in (b"", b"{}", b"[]", b"\xff", b'{"bottles": {}}', manifest_of(CURL)[:-9]):
        with pytest.raises(ManifestInvalid, match=r"old\.json is not valid: .* unchanged") as caught:
            import_manifest(store, clock, data, workers=2, source="old.json")
        assert "Invalid hash file format" not in str(caught.value)
    assert manifest_keys(store) == [WGET.entry_key]


@pytest.mark.parametrize("deep", [False, True])
def test_every_entry_gets_its_verdict(
    store: Store, clock: FakeClock, filled: list[Bottle], deep: bool
) -> None:
    document = store.read(MANIFEST_KEY)
    assert document is not None
    entries = list(decode_manifest(document.data).entries())
    first, second, third = (entry for _, entry in entries[:3])
    store.delete([first.s3_key])
    size = third.file_size
    store.write(second.s3_key, b"shorter")
    store.write(third.s3_key, b"?" * size)
    certificates = certify(store, entries, deep=deep, workers=3)
    assert [certificate.key for certificate in certificates] == [key for key, _ in entries]
    assert [certificate.verdict for certificate in certificates[:3]] == ["MISSING", "MISMATCH", "MISMATCH"]
    assert "bytes" in certificates[1].finding
    assert "sha256" in certificates[2].finding
    assert all(certificate.verdict == "CURRENT" for certificate in certificates[3:])


@pytest.mark.parametrize(
    "error",
    [
        ObjectRefused("403 InvalidObjectState: archived"),
        StoreUnavailable("500"),
        StoreRefused("what one object alone brings up"),
        StoreUnsupported("501"),
    ],
)
def test_an_object_that_cannot_be_read_is_unreadable_and_the_others_get_their_verdict(
    store: Store, clock: FakeClock, filled: list[Bottle], error: StoreError
) -> None:
    document = store.read(MANIFEST_KEY)
    assert document is not None
    entries = list(decode_manifest(document.data).entries())
    odd = entries[1][1].s3_key
    refusing = RefusingStore(store, odd, error)
    for deep in (False, True):
        certificates = certify(refusing, entries, deep=deep, workers=3)
        assert [c.entry.s3_key for c in certificates if c.verdict != "CURRENT"] == [odd]
        assert certificates[1].verdict == "UNREADABLE"
        assert str(error) in certificates[1].finding


def test_what_the_store_itself_finds_spoilt_is_a_mismatch(
    store: Store, clock: FakeClock, filled: list[Bottle]
) -> None:
    document = store.read(MANIFEST_KEY)
    assert document is not None
    entries = list(decode_manifest(document.data).entries())
    refusing = RefusingStore(store, entries[0][1].s3_key, ChecksumRefused("400 BadDigest"))
    certificates = certify(refusing, entries, deep=True, workers=3)
    assert [c.verdict for c in certificates[:2]] == ["MISMATCH", "CURRENT"]


@pytest.mark.parametrize("error", [StoreUnavailable("503"), StoreRefused("the bucket is gone")])
def test_a_store_that_answers_nothing_gets_no_verdict(clock: FakeClock, error: StoreError) -> None:
    store = MemoryStore()
    for operation in ("facts", "listing"):
        store.refuse(operation, error)
    entries = [(WGET.entry_key, receipt(WGET).entry)] * UNANSWERED_IN_A_ROW
    with pytest.raises(type(error)):
        certify(store, entries, workers=1)


def test_receipts_that_cannot_be_deleted_are_told_of_once_and_cause_no_new_manifest(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    store.write(MANIFEST_KEY, manifest_of(CURL))
    note(store, clock, WGET)
    store.refuse("delete", ObjectRefused("403 AccessDenied"))
    for _ in range(5):
        assert fold(store, clock).entries == 2
    assert len(store.keys(BACKUP_PREFIX)) == 1
    assert len(store.keys(RECEIPT_PREFIX)) == 1
    warned = [record for record in caplog.records if "cannot be deleted" in record.message]
    assert len(warned) == 1
    note(store, clock, LLVM)
    assert fold(store, clock).entries == 3
    assert len(store.keys(BACKUP_PREFIX)) == 2


def test_receipts_that_cannot_be_read_hinder_no_fold_and_stay(clock: FakeClock) -> None:
    store = MemoryStore()
    note(store, clock, WGET)
    (odd,) = store.keys(RECEIPT_PREFIX)
    note(store, clock, CURL)
    store.refuse("read", ObjectRefused("403 AccessDenied"), key=odd)
    assert set(read_held(store).entries) == {CURL.entry_key}
    assert fold(store, clock).entries == 1
    assert store.keys(RECEIPT_PREFIX) == [odd]


def test_a_journal_waits_for_a_store_that_passes_and_fails_at_its_end(clock: FakeClock) -> None:
    store = MemoryStore()
    store.fail("write", StoreUnavailable("503"), StoreUnavailable("503"))
    journal = Journal(store, clock, sync_id="s", batch_size=1)
    journal.add([receipt(WGET)])
    journal.add([receipt(CURL)])
    journal.flush()
    assert read_recorded(store, "s") == {WGET.entry_key, CURL.entry_key}
    journal.add([])
    store.refuse("write", StoreUnavailable("503"))
    journal.add([receipt(LLVM)])
    with pytest.raises(StoreUnavailable):
        journal.flush()


def test_entries_are_chosen_by_the_tags_that_are_recorded(
    store: Store, clock: FakeClock, filled: list[Bottle]
) -> None:
    manifest = fold(store, clock).manifest
    assert len(entries_of_tags(manifest, ())) == len(manifest)
    (tag, *_) = sorted({item.tag for item in filled})
    assert {entry.platform for _, entry in entries_of_tags(manifest, (tag,))} == {tag}
    with pytest.raises(
        PlanInvalid, match=f"expected tags of recorded bottles .*{tag}.*, found 'arm64_sonmoa'"
    ):
        entries_of_tags(manifest, (tag, "arm64_sonmoa"))


class _TogetherStore(MemoryStore):
    """A far store: it answers no receipt before several are asked for."""

    def __init__(self, several: int) -> None:
        super().__init__()
        self._several = several
        self._asked = 0
        self._changed = threading.Condition()

    def read(self, key: str) -> Document | None:
        if key.startswith(RECEIPT_PREFIX):
            with self._changed:
                self._asked += 1
                self._changed.notify_all()
                assert self._changed.wait_for(lambda: self._asked >= self._several, 10)
        return super().read(key)


def _receipts_of_days(store: MemoryStore, clock: FakeClock, days: int) -> list[str]:
    """The dates of receipts of one bottle, each in a journal object of its own, in the order of time."""
    dates = [f"2026-01-{day:02}" for day in range(1, days + 1)]
    for date in dates:
        written = Journal(store, clock, sync_id=f"{date.replace('-', '')}T000000Z-0badcafe")
        written.add([receipt(WGET, date=date)])
        written.flush()
    return dates


def test_receipts_of_a_far_store_are_read_several_at_a_time_and_taken_in_order(clock: FakeClock) -> None:
    store = _TogetherStore(several=8)
    dates = _receipts_of_days(store, clock, 30)
    fold(store, clock)
    (held,) = read_held(store).entries.values()
    assert held.s3_key == WGET.key(dates[-1])
    assert store.keys(RECEIPT_PREFIX) == []
    # Only a process without other threads may fork a transfer's.
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("receipts")]


@pytest.mark.parametrize("read", [read_recorded, lambda store, _: set(read_held(store).entries)])
def test_whoever_reads_many_receipts_of_a_far_store_reads_several_at_a_time(
    clock: FakeClock, read: Callable[[Store, str], set[str]]
) -> None:
    store = _TogetherStore(several=8)
    sync_id = "20260101T000000Z-0badcafe"
    written = Journal(store, clock, sync_id=sync_id, batch_size=1)
    for number in range(20):
        written.add([receipt(bottle(f"f{number}"))])
    assert len(read(store, sync_id)) == 20


def test_one_of_many_receipts_that_is_not_given_out_is_left_out_alone(clock: FakeClock) -> None:
    store = MemoryStore()
    _receipts_of_days(store, clock, 20)
    refused = store.keys(RECEIPT_PREFIX)[7]
    store.refuse("read", ObjectRefused("403"), key=refused)
    assert fold(store, clock).entries == 1
    assert store.keys(RECEIPT_PREFIX) == [refused]


def test_a_store_that_refuses_everything_ends_the_reading_of_many_receipts(clock: FakeClock) -> None:
    store = MemoryStore()
    _receipts_of_days(store, clock, 20)
    store.refuse("read", StoreRefused("no such bucket"), key=store.keys(RECEIPT_PREFIX)[3])
    for read in (lambda: fold(store, clock), lambda: read_recorded(store, "20260104T000000Z-0badcafe")):
        with pytest.raises(StoreRefused, match="no such bucket"):
            read()
    # Nobody is left who reads, though what was raised is kept.
    for thread in threading.enumerate():
        if thread.name.startswith("receipts"):
            thread.join(10)
            assert not thread.is_alive()
