"""A rebuild, a restore or an import beside a sync: what the sync reported as done stays in the manifest."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.domain.bottle import Bottle
from brew_assets.domain.manifest import decode_manifest
from brew_assets.domain.object_keys import BACKUP_PREFIX, MANIFEST_KEY
from brew_assets.engine.record.fold import MAX_FOLD_RACES, backups, fold, read_held
from brew_assets.engine.record.journal import RECEIPT_PREFIX, Journal
from brew_assets.engine.record.rebuild import (
    import_manifest,
    rebuild_manifest,
    rebuild_missing_manifest,
    restore_manifest,
)
from brew_assets.engine.record.verify import certify
from brew_assets.errors import StoreError, StoreUnavailable
from brew_assets_tests.fakes import FakeClock, MemoryStore
from brew_assets_tests.worlds import DATE, SYNC_ID, bottle, manifest_of, receipt

OLD, HELD, NEW, LATER, IMPORTED = (bottle(name) for name in ("old", "held", "new", "later", "imported"))
EARLIER = "2026-08-15"
LATER_DATE = "2026-08-29"
LONG_AGO = "2026-08-01"
BACKUP = f"{BACKUP_PREFIX}2026-08-16T030000.000000Z.json"


def content(item: Bottle) -> bytes:
    """The bytes of which the bottle has its digest."""
    return f"{item.formula}/{item.pkg_version}/{item.tag}/{item.rebuild}".encode()


FOREIGN = bytes(manifest_of(IMPORTED, date=LONG_AGO, size=len(content(IMPORTED))))


def put(store: MemoryStore, *items: Bottle, date: str = DATE) -> None:
    for item in items:
        store.put_bottle(item, content(item), date=date)


def sync(store: MemoryStore, *items: Bottle, date: str = DATE) -> None:
    """What a sync does that ends with exit code 0: it stores, records and folds."""
    put(store, *items, date=date)
    journal = Journal(store, FakeClock(), sync_id=SYNC_ID)
    journal.add(receipt(item, date=date, size=len(content(item))) for item in items)
    journal.flush()
    fold(store, FakeClock())


def recorded(store: MemoryStore) -> dict[str, str]:
    """Entry key -> the place that the manifest names."""
    entries = decode_manifest(store.data(MANIFEST_KEY)).entries()
    return {key: entry.s3_key for key, entry in entries}


@pytest.fixture
def store() -> MemoryStore:
    """OLD and HELD are held; a backup names OLD alone."""
    store = MemoryStore()
    sync(store, OLD, date=EARLIER)
    store.put(BACKUP, store.data(MANIFEST_KEY))
    sync(store, HELD)
    store.calls.clear()
    return store


def on_the(store: MemoryStore, number: int, operation: str, act: Callable[[], None]) -> None:
    """Runs the act before that call of the operation, counted from here."""
    store.before(operation, act if number == 1 else lambda: on_the(store, number - 1, operation, act))


COMMANDS: dict[str, Callable[[MemoryStore], object]] = {
    "rebuild": lambda store: rebuild_manifest(store, FakeClock(), workers=2),
    "restore": lambda store: restore_manifest(store, FakeClock(), backup=BACKUP),
    "import": lambda store: import_manifest(store, FakeClock(), FOREIGN, workers=2),
}


def operations_of(command: Callable[[MemoryStore], object], store: MemoryStore) -> list[str]:
    """The calls that the command makes when nobody is beside it."""
    command(store)
    return [operation for operation, _ in store.calls]


@pytest.mark.parametrize("state", ["valid", "damaged", "missing"])
@pytest.mark.parametrize("name", COMMANDS)
def test_whatever_a_sync_finishes_at_any_moment_stays_recorded(name: str, state: str) -> None:
    """The sync comes before each single call that the command makes to the store."""

    def prepared() -> MemoryStore:
        store = MemoryStore()
        sync(store, OLD, date=EARLIER)
        store.put(BACKUP, store.data(MANIFEST_KEY))
        sync(store, HELD)
        put(store, IMPORTED, date=LONG_AGO)
        if state == "damaged":
            store.put(MANIFEST_KEY, b"damaged")
        elif state == "missing":
            store.delete([MANIFEST_KEY])
        store.calls.clear()
        return store

    def finish_a_sync(store: MemoryStore) -> None:
        found = store.read(MANIFEST_KEY)
        if found is not None and found.data == b"damaged":
            return  # No sync goes on with that, so none reports anything.
        if found is None:
            rebuild_missing_manifest(store, FakeClock(), workers=2)
        sync(store, NEW)
        done.append(NEW.entry_key)

    made = operations_of(COMMANDS[name], prepared())
    assert len(made) > 5
    for position, operation in enumerate(made):
        store, done = prepared(), list[str]()
        number = made[: position + 1].count(operation)
        on_the(store, number, operation, lambda store=store: finish_a_sync(store))  # type: ignore[misc]
        COMMANDS[name](store)
        assert set(done) <= recorded(store).keys(), f"before call {position}, {operation}"
        fold(store, FakeClock())
        assert {OLD.entry_key, *done} <= recorded(store).keys()


def test_a_rebuild_takes_the_newer_place_that_a_sync_has_recorded_meanwhile(store: MemoryStore) -> None:
    store.before("write", lambda: sync(store, HELD, date=LATER_DATE))
    rebuild_manifest(store, FakeClock(), workers=2)
    assert recorded(store)[HELD.entry_key] == HELD.key(LATER_DATE)


def test_two_rebuilds_of_a_missing_manifest_keep_what_a_sync_recorded_between_them(
    store: MemoryStore,
) -> None:
    store.delete([MANIFEST_KEY])

    def other() -> None:
        rebuild_missing_manifest(store, FakeClock(), workers=2)
        sync(store, HELD, date=LATER_DATE)

    store.before("write", other)
    rebuild_missing_manifest(store, FakeClock(), workers=2)
    assert recorded(store)[HELD.entry_key] == HELD.key(LATER_DATE)


def test_what_a_rebuild_finds_gone_is_not_brought_back_by_another_writer(store: MemoryStore) -> None:
    store.delete([HELD.key(DATE)])
    at_first = store.data(MANIFEST_KEY)
    store.before("write", lambda: store.put(MANIFEST_KEY, manifest_of(OLD, HELD, LATER)))
    rebuild_manifest(store, FakeClock(), workers=2)
    assert recorded(store).keys() == {OLD.entry_key}
    assert at_first in [store.data(key) for key in store.keys(BACKUP_PREFIX)]


@pytest.mark.parametrize("name", ["rebuild", "restore"])
def test_a_repair_that_others_outrun_for_ever_ends(store: MemoryStore, name: str) -> None:
    def win() -> None:
        store.put(MANIFEST_KEY, manifest_of(OLD, HELD, bottle(f"rival{len(store.calls)}")))
        store.before("write", win)

    store.before("write", win)
    with pytest.raises(StoreError, match=f"lost {MAX_FOLD_RACES} races"):
        COMMANDS[name](store)


# Restore


def test_a_restore_beside_a_valid_manifest_forgets_nothing_that_stands_there(store: MemoryStore) -> None:
    store.put(MANIFEST_KEY, manifest_of(HELD, LATER, size=len(content(HELD))))
    _, restored = restore_manifest(store, FakeClock(), backup=BACKUP)
    assert recorded(store) == {OLD.entry_key: OLD.key(EARLIER), HELD.entry_key: HELD.key(DATE)}
    assert (restored.compared, restored.kept, restored.gone) == (True, 1, (LATER.entry_key,))


def test_a_restore_says_when_it_could_not_compare(store: MemoryStore) -> None:
    store.put(MANIFEST_KEY, b"damaged")
    _, restored = restore_manifest(store, FakeClock(), backup=BACKUP)
    assert (restored.compared, restored.kept, restored.gone) == (False, 0, ())
    assert recorded(store).keys() == {OLD.entry_key}


# Damaged objects


@pytest.mark.parametrize("record", ["manifest", "backup"])
def test_a_rebuild_keeps_the_entry_of_a_damaged_bottle_so_that_it_can_be_mended(
    store: MemoryStore, record: str
) -> None:
    if record == "backup":
        store.put(f"{BACKUP_PREFIX}2026-08-23T030000.000000Z.json", store.data(MANIFEST_KEY))
        store.put(MANIFEST_KEY, b"damaged")
    before = decode_manifest(manifest_of(HELD, size=len(content(HELD)))).get(HELD.entry_key)
    store.put(HELD.key(DATE), b"?" * len(content(HELD)))
    manifest, (stray,), _ = rebuild_manifest(store, FakeClock(), workers=2)
    assert manifest.get(HELD.entry_key) == before
    assert (stray.key, stray.kept) == (HELD.key(DATE), True)
    assert stray.why.endswith("its entry is kept, `brew-mirror verify --repair` fetches the bottle again")
    verdicts = {c.key: c.verdict for c in certify(store, manifest.entries())}
    assert verdicts == {OLD.entry_key: "CURRENT", HELD.entry_key: "MISMATCH"}


def test_damage_behind_the_first_path_of_an_archive_is_not_recorded_as_the_bottle(tmp_path: Path) -> None:
    """Without metadata and plan the archive names the bottle; the manifest knows what its bytes were."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("held/1.25.0/README"))
    whole = packed.getvalue()
    item = bottle("held", content=whole)
    store = DirectoryStore(tmp_path / "mirror")
    store.prepare()
    store.write(item.key(DATE), whole)
    made, strays, _ = rebuild_manifest(store, FakeClock(), workers=2)
    assert (list(made.keys()), strays) == ([item.entry_key], [])
    store.write(item.key(DATE), whole[:-1] + b"?")
    made, (stray,), _ = rebuild_manifest(store, FakeClock(), workers=2)
    entry = made.get(item.entry_key)
    assert entry is not None
    assert (entry.sha256, stray.kept) == (item.digest, True)


def test_an_object_that_does_not_answer_keeps_its_entry(store: MemoryStore) -> None:
    store.refuse("facts", StoreUnavailable("503"), key=HELD.filename)
    with pytest.raises(StoreUnavailable):
        rebuild_manifest(store, FakeClock(), workers=2)
    assert recorded(store).keys() == {OLD.entry_key, HELD.entry_key}


# Backups


class _NoAnswerToWrites(MemoryStore):
    """Every first try of a write is stored and its answer lost: the second one finds its own object."""

    def write(self, key: str, data: bytes, *, create_only: bool = False, replaces: str | None = None) -> str:
        version = super().write(key, data, create_only=create_only, replaces=replaces)
        if create_only or replaces is not None:
            super().write(key, data, create_only=create_only, replaces=replaces)
        return version


@pytest.mark.parametrize("name", ["fold", *COMMANDS])
def test_a_store_that_loses_every_answer_gets_each_object_once(name: str) -> None:
    store = _NoAnswerToWrites()
    put(store, OLD, date=EARLIER)
    put(store, IMPORTED, date=LONG_AGO)
    put(store, HELD, NEW)
    size = len(content(OLD))
    store.put(MANIFEST_KEY, manifest_of(HELD, size=len(content(HELD))))
    store.put(BACKUP, manifest_of(OLD, date=EARLIER, size=size))
    journal = Journal(store, FakeClock(), sync_id=SYNC_ID)
    journal.add([receipt(NEW, size=len(content(NEW)))])
    journal.flush()
    assert len(store.keys(RECEIPT_PREFIX)) == 1
    store.calls.clear()
    (COMMANDS | {"fold": lambda store: fold(store, FakeClock())})[name](store)
    fold(store, FakeClock())
    assert {HELD.entry_key, NEW.entry_key} <= recorded(store).keys()
    assert len(store.called("write")) <= 10
    assert len(backups(store)) <= 3
    assert set(read_held(store).entries) == recorded(store).keys()


def test_a_backup_whose_name_is_taken_by_another_gets_another_name(store: MemoryStore) -> None:
    clock = FakeClock()
    taken = f"{BACKUP_PREFIX}{clock.now().strftime('%Y-%m-%dT%H%M%S.%fZ')}.json"
    store.put(taken, b"of another writer")
    before = store.data(MANIFEST_KEY)
    put(store, NEW)
    fold(store, clock, extra=[receipt(NEW, size=len(content(NEW)))])
    assert store.data(taken) == b"of another writer"
    assert before in [store.data(key) for key in backups(store)]
