"""A receipt that cannot be trusted stops whoever reads it, and a rebuild is the way out."""

from collections.abc import Callable

import msgspec
import pytest

from brew_assets.domain.manifest import decode_manifest, encode_receipts
from brew_assets.domain.object_keys import BACKUP_PREFIX, MANIFEST_KEY
from brew_assets.engine.options import Options
from brew_assets.engine.ports import Document
from brew_assets.engine.record.fold import fold, read_held
from brew_assets.engine.record.held import take_inventory
from brew_assets.engine.record.journal import RECEIPT_PREFIX, REJECTED_PREFIX, read_journal
from brew_assets.engine.record.rebuild import import_manifest, rebuild_manifest, restore_manifest
from brew_assets.engine.record.whole_record import read_whole_record
from brew_assets.errors import ManifestInvalid, ObjectRefused, StoreError
from brew_assets.runtimes.status import read_status
from brew_assets_tests.fakes import FakeClock, MemoryStore, fake_ports
from brew_assets_tests.worlds import DATE, SYNC_ID, bottle, manifest_of, receipt

WGET, CURL = bottle("wget"), bottle("curl")
SIZE = len("wget/1.25.0/arm64_sonoma/0")
BAD = f"{RECEIPT_PREFIX}{SYNC_ID}/bad.json"
MOVED = f"{REJECTED_PREFIX}receipts/{SYNC_ID}/bad.json"


def _with(**changes: str) -> bytes:
    good = receipt(CURL, size=SIZE)
    wrong = msgspec.structs.replace(good, entry=msgspec.structs.replace(good.entry, **changes))
    return encode_receipts([wrong])


SEALED = encode_receipts([receipt(CURL, size=SIZE)])
DAMAGED: dict[str, bytes] = {
    "a digit": SEALED.replace(CURL.digest[:8].encode(), b"00000000"),
    "its end": SEALED[:-9],
    "nothing": b"",
    "a place": _with(s3_key=f"state/receipts/{CURL.filename}", download_date="state/receipts"),
    "a date": _with(s3_key=f"2026-13-45/{CURL.filename}", download_date="2026-13-45"),
    "an address": _with(url=WGET.url),
}
READERS: dict[str, Callable[[MemoryStore], object]] = {
    "held": read_held,
    "fold": lambda store: fold(store, FakeClock()),
    "record": read_whole_record,
    "journal": read_journal,
    "status": read_status,
    "restore": lambda store: restore_manifest(store, FakeClock()),
    "import": lambda store: import_manifest(store, FakeClock(), bytes(manifest_of(WGET)), workers=2),
}


@pytest.fixture(params=DAMAGED)
def store(request: pytest.FixtureRequest) -> MemoryStore:
    """WGET is recorded; CURL stands there, and its receipt is damaged."""
    store = MemoryStore()
    for item in (WGET, CURL):
        store.put_bottle(item, f"{item.formula}/1.25.0/arm64_sonoma/0".encode(), date=DATE)
    store.put(MANIFEST_KEY, manifest_of(WGET, size=SIZE))
    store.put(f"{BACKUP_PREFIX}2026-08-22T030000.000000Z.json", manifest_of(WGET, size=SIZE))
    store.put(BAD, DAMAGED[request.param])
    return store


def recorded(store: MemoryStore) -> set[str]:
    return set(decode_manifest(store.data(MANIFEST_KEY)).keys())


@pytest.mark.parametrize("reader", READERS)
def test_it_is_named_with_the_remedy_and_nothing_is_changed(store: MemoryStore, reader: str) -> None:
    before = {key: store.data(key) for key in store.keys()}
    with pytest.raises(ManifestInvalid, match=rf"^{BAD} is not valid: .*`brew-mirror manifest rebuild`"):
        READERS[reader](store)
    assert {key: store.data(key) for key in store.keys()} == before


def test_a_rebuild_moves_it_away_and_records_its_bottles_where_they_stand(store: MemoryStore) -> None:
    bad = store.data(BAD)
    made, (left,), _ = rebuild_manifest(store, FakeClock(), workers=2)
    assert set(made.keys()) == recorded(store) == {WGET.entry_key, CURL.entry_key}
    assert left.key == BAD
    assert left.why.endswith(f"; it is at {MOVED} now")
    assert store.data(MOVED) == bad
    assert store.keys(RECEIPT_PREFIX) == []
    assert set(read_held(store).entries) == recorded(store)


def test_good_receipts_stay_beside_it(store: MemoryStore) -> None:
    good = f"{RECEIPT_PREFIX}{SYNC_ID}/good.json"
    store.put(good, encode_receipts([receipt(bottle("llvm"))]))
    rebuild_manifest(store, FakeClock(), workers=2)
    assert store.keys(RECEIPT_PREFIX) == [good]


def test_where_nothing_can_be_deleted_it_says_nothing_any_more(store: MemoryStore) -> None:
    store.refuse("delete", ObjectRefused("403 AccessDenied"))
    bad = store.data(BAD)
    rebuild_manifest(store, FakeClock(), workers=2)
    assert store.data(MOVED) == bad
    assert read_journal(store) == []
    fold(store, FakeClock())


def test_one_of_the_same_name_was_rejected_before_and_stays(store: MemoryStore) -> None:
    bad = store.data(BAD)
    store.put(MOVED, b"another")
    rebuild_manifest(store, FakeClock(), workers=2)
    assert sorted(store.data(key) for key in store.keys(REJECTED_PREFIX)) == sorted([b"another", bad])


def test_one_that_cannot_be_moved_is_named(store: MemoryStore) -> None:
    store.refuse_below("write", ObjectRefused("403 AccessDenied"), REJECTED_PREFIX)
    made, (left,), _ = rebuild_manifest(store, FakeClock(), workers=2)
    assert len(made) == 2
    assert left.why.endswith("; it cannot be moved away: 403 AccessDenied")
    assert BAD in store.keys()


@pytest.mark.parametrize("content", [b"", b"wget/1.25.0/arm64_sonoma/0"])
def test_no_inventory_writes_a_receipt_that_nobody_would_take(content: bytes) -> None:
    store = MemoryStore()
    store.put(MANIFEST_KEY, manifest_of(CURL))
    item = bottle("wget", content=content)
    store.put_bottle(item, content, date=DATE if not content else "2026-13-45")
    inventory = take_inventory(fake_ports(store=store), Options(platforms=(), workers=2, batch_size=10))
    assert [stray.key for stray in inventory.unidentified] == [
        item.key(DATE if not content else "2026-13-45")
    ]
    assert read_journal(store) == []


def test_folders_of_the_future_hide_no_bottle_of_the_last_syncs() -> None:
    store, clock = MemoryStore(), FakeClock()
    store.put(MANIFEST_KEY, manifest_of(CURL))
    for number in range(4):
        future = bottle(f"future{number}", content=b"future")
        store.put_bottle(future, b"future", date=f"2999-01-0{number + 1}")
    # They are the newest of the record from now on.
    assert (
        take_inventory(
            fake_ports(store=store, clock=clock), Options(platforms=(), workers=2, batch_size=10)
        ).identified
        == 4
    )
    fold(store, clock)
    item = bottle("wget", content=b"wget")
    store.put_bottle(item, b"wget", date=DATE)
    inventory = take_inventory(
        fake_ports(store=store, clock=clock), Options(platforms=(), workers=2, batch_size=10)
    )
    assert inventory.entries[item.entry_key].s3_key == item.key(DATE)


# Receipts that are listed and not there


class _Ghosts(MemoryStore):
    """Lists so many receipts that nobody can read, beside those that are there."""

    def __init__(self, number: int) -> None:
        super().__init__()
        for ghost in range(number):
            self.put(f"{RECEIPT_PREFIX}{SYNC_ID}/ghost-{ghost:04}.json", b"")

    def read(self, key: str) -> Document | None:
        found = super().read(key)
        return None if "ghost" in key else found


@pytest.mark.parametrize("reader", ["held", "fold", "record", "journal", "status"])
def test_many_of_them_cost_no_more_readings_than_one(reader: str, caplog: pytest.LogCaptureFixture) -> None:
    store = _Ghosts(300)
    store.put(MANIFEST_KEY, manifest_of(WGET))
    store.put(f"{RECEIPT_PREFIX}{SYNC_ID}/there.json", encode_receipts([receipt(CURL)]))
    READERS[reader](store)
    asked = [key for key in store.called("read") if key.startswith(RECEIPT_PREFIX)]
    assert len(asked) <= 6 * 301
    assert len([r for r in caplog.records if "not there" in r.message]) == 20
    assert {CURL.entry_key, WGET.entry_key} == set(read_held(store).entries)


class _NewGhosts(MemoryStore):
    """Every listing shows a receipt that no other has shown and that is not there."""

    def enter(self, operation: str, key: str) -> None:
        super().enter(operation, key)
        if operation == "listing" and key == RECEIPT_PREFIX:
            self.put(f"{RECEIPT_PREFIX}{SYNC_ID}/ghost-{len(self.calls)}.json", b"")

    def read(self, key: str) -> Document | None:
        found = super().read(key)
        return None if "ghost" in key else found


@pytest.mark.parametrize("reader", ["held", "record", "journal", "status", "fold"])
def test_ghosts_that_never_end_end_the_reading(reader: str) -> None:
    store = _NewGhosts()
    store.put(MANIFEST_KEY, manifest_of(WGET))
    store.put(f"{RECEIPT_PREFIX}{SYNC_ID}/there.json", encode_receipts([receipt(CURL)]))
    if reader == "fold":
        with pytest.raises(StoreError, match="lost 50 races"):
            READERS[reader](store)
    else:
        READERS[reader](store)
        assert set(read_held(store).entries) == {WGET.entry_key, CURL.entry_key}
    assert len(store.called("listing")) <= 110
