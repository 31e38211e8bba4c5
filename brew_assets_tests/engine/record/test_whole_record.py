"""The whole record, read without a write: what `verify` and `status` go by."""

from collections.abc import Callable

import pytest

from brew_assets.domain.bottle import Bottle
from brew_assets.domain.manifest import decode_manifest, encode_receipts
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.engine.ports import Document
from brew_assets.engine.record.fold import fold, read_held
from brew_assets.engine.record.journal import RECEIPT_PREFIX, read_journal
from brew_assets.engine.record.rebuild import rebuild_manifest
from brew_assets.engine.record.verify import certify
from brew_assets.engine.record.whole_record import read_whole_record
from brew_assets.errors import ManifestInvalid, StoreRefused
from brew_assets.runtimes.status import read_status
from brew_assets_tests.fakes import FakeClock, MemoryStore
from brew_assets_tests.worlds import DATE, SYNC_ID, bottle, manifest_of, receipt

WGET, CURL, LLVM = bottle("wget"), bottle("curl"), bottle("llvm")
WRITES = {"write", "delete", "prepare", "receive", "duplicate"}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def refuse_writes(store: MemoryStore) -> None:
    """From now on nothing can be written."""
    for operation in WRITES:
        store.fail(operation, *[StoreRefused("read-only")] * 100)


def assert_unwritten(store: MemoryStore) -> None:
    """Nobody has tried to write."""
    assert not WRITES & {operation for operation, _ in store.calls}


def note(store: MemoryStore, *items: Bottle, name: str = "1", size: int = 1000, date: str = DATE) -> None:
    """A journal object of the bottles."""
    receipts = [receipt(item, size=size, date=date) for item in items]
    store.put(f"{RECEIPT_PREFIX}{SYNC_ID}/{name}.json", encode_receipts(receipts))


def folding(store: MemoryStore) -> Callable[[], None]:
    """A fold by somebody else."""

    def act() -> None:
        fold(store, FakeClock())

    return act


def test_receipts_that_no_manifest_names_are_read_with_it_and_nothing_is_written(store: MemoryStore) -> None:
    store.put(MANIFEST_KEY, manifest_of(WGET))
    note(store, CURL)
    refuse_writes(store)
    record = read_whole_record(store)
    assert set(record.manifest.keys()) == {WGET.entry_key, CURL.entry_key}
    assert (record.manifest_missing, record.left_out, record.warnings()) == (False, (), [])
    certificates = certify(store, record.manifest.entries())
    assert [certificate.verdict for certificate in certificates] == ["MISSING", "MISSING"]
    assert read_status(store).held == 2
    assert_unwritten(store)


def test_it_is_what_a_fold_would_leave(store: MemoryStore) -> None:
    store.put(MANIFEST_KEY, manifest_of(WGET))
    note(store, WGET, LLVM, name="1", date="2026-08-15")
    note(store, WGET, name="2", size=7)
    record = read_whole_record(store)
    folding(store)()
    assert dict(record.manifest.entries()) == dict(decode_manifest(store.data(MANIFEST_KEY)).entries())


@pytest.mark.parametrize("operation", ["listing", "read"])
def test_a_fold_in_between_hides_nothing(store: MemoryStore, operation: str) -> None:
    store.put(MANIFEST_KEY, manifest_of(WGET))
    note(store, CURL)
    store.before(operation, folding(store))
    assert set(read_whole_record(store).manifest.keys()) == {WGET.entry_key, CURL.entry_key}
    note(store, LLVM)
    store.before(operation, folding(store))
    assert read_status(store).held == 3


def test_a_fold_after_the_receipts_were_read_hides_nothing(store: MemoryStore) -> None:
    store.put(MANIFEST_KEY, manifest_of(WGET))
    note(store, CURL)
    # The first read is the receipt's: the fold comes before the second, the manifest's.
    store.before("read", lambda: store.before("read", folding(store)))
    assert set(read_whole_record(store).manifest.keys()) == {WGET.entry_key, CURL.entry_key}


class _NeverFound(MemoryStore):
    """Lists receipts that nobody can read, as a link to a folder in a directory."""

    def read(self, key: str) -> Document | None:
        found = super().read(key)
        return None if key.startswith(RECEIPT_PREFIX) else found


def test_a_receipt_that_is_listed_and_never_found_is_named_and_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = _NeverFound()
    note(store, CURL)
    readers: list[Callable[[], object]] = [
        lambda: read_journal(store),
        lambda: read_whole_record(store),
        lambda: read_status(store),
        lambda: read_held(store),
        lambda: fold(store, FakeClock()),
    ]
    for read in readers:
        store.calls.clear()
        caplog.clear()
        read()
        asked = [key for key in store.called("read") if key.startswith(RECEIPT_PREFIX)]
        assert 1 < len(asked) < 12
        assert [r.__dict__["key"] for r in caplog.records if "not there" in r.message] == asked[:1]


def test_a_manifest_that_was_deleted_leaves_what_a_rebuild_would_record(store: MemoryStore) -> None:
    for item in (WGET, CURL):
        store.put_bottle(item, f"{item.formula}/1.25.0/arm64_sonoma/0".encode(), date=DATE)
    store.put(f"{DATE}/notes.txt", b"no bottle")
    note(store, LLVM)
    record = read_whole_record(store)
    assert set(record.manifest.keys()) == {WGET.entry_key, CURL.entry_key, LLVM.entry_key}
    assert record.manifest_missing
    missing, left_out = record.warnings()
    assert missing.startswith("bottles_hash.json is missing")
    assert left_out.startswith(f"{DATE}/notes.txt: cannot be recorded: ")
    verdicts = {c.entry.formula_name: c.verdict for c in certify(store, record.manifest.entries())}
    assert verdicts == {"wget": "CURRENT", "curl": "CURRENT", "llvm": "MISSING"}
    assert MANIFEST_KEY not in store.keys()
    assert_unwritten(store)
    rebuilt, _, _ = rebuild_manifest(store, FakeClock(), workers=2)
    assert set(rebuilt.keys()) == {WGET.entry_key, CURL.entry_key}


def test_many_objects_that_cannot_be_recorded_are_counted(store: MemoryStore) -> None:
    store.put_bottle(WGET, b"wget/1.25.0/arm64_sonoma/0", date=DATE)
    for number in range(25):
        store.put(f"{DATE}/{number:02}.txt", b"no bottle")
    warnings = read_whole_record(store).warnings()
    assert len(warnings) == 22
    assert warnings[-1].startswith("5 more")


def test_status_says_that_the_manifest_is_missing(store: MemoryStore) -> None:
    store.put_bottle(WGET, b"wget/1.25.0/arm64_sonoma/0", date=DATE)
    assert read_status(store).manifest_missing
    store.put(MANIFEST_KEY, manifest_of(WGET))
    assert not read_status(store).manifest_missing


def test_a_damaged_manifest_or_receipt_ends_the_reading_and_names_itself(store: MemoryStore) -> None:
    store.put(MANIFEST_KEY, manifest_of(WGET)[:-9])
    with pytest.raises(ManifestInvalid, match=r"^Invalid hash file format: bottles_hash\.json: "):
        read_whole_record(store)
    note(store, CURL)
    key = f"{RECEIPT_PREFIX}{SYNC_ID}/1.json"
    store.put(key, store.data(key)[:-5])
    with pytest.raises(ManifestInvalid, match=rf"^{key} is not valid"):
        read_whole_record(store)
