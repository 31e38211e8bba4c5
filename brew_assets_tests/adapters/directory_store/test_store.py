"""The store in a directory: the contract, and what only a directory can get wrong."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.engine.ports import Store
from brew_assets.errors import MirrorError, ObjectRefused, StoreError, StoreRefused
from brew_assets_tests.adapters.store_contract import CONTENT, StoreContract, content_of, give, keys_of
from brew_assets_tests.worlds import DATE, bottle


class TestDirectoryStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        store = DirectoryStore(tmp_path / "mirror")
        store.prepare()
        return store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "mirror"


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    store = DirectoryStore(root)
    store.prepare()
    return store


def together(*acts: Callable[[], None]) -> list[BaseException]:
    """Runs the acts at the same time; what they raised."""
    raised: list[BaseException] = []

    def run(act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


def test_a_store_that_was_never_prepared_is_empty_and_makes_itself(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "not" / "there")
    assert store.read("bottles_hash.json") is None
    assert keys_of(store) == []
    assert store.date_folders() == []
    give(store, bottle(content=CONTENT), CONTENT)
    assert content_of(store, bottle().key(DATE)) == CONTENT


def test_incoming_files_never_show(store: DirectoryStore, root: Path) -> None:
    sink = store.receive(bottle(content=CONTENT), date=DATE, size=len(CONTENT))
    sink.write(memoryview(CONTENT))
    assert [path.name for path in root.iterdir() if path.name != ".lock"] == [".incoming"]
    assert keys_of(store) == []
    sink.abort()
    assert list((root / ".incoming").iterdir()) == []


def test_leftovers_of_killed_runs_go_and_files_under_way_stay(store: DirectoryStore, root: Path) -> None:
    (root / ".incoming" / ("0" * 24)).write_bytes(b"half a bottle")
    sink = store.receive(bottle(content=CONTENT), date=DATE, size=len(CONTENT))
    sink.write(memoryview(CONTENT))
    store.prepare()
    assert len(list((root / ".incoming").iterdir())) == 1
    sink.commit()
    assert list((root / ".incoming").iterdir()) == []


def test_other_names_of_a_digest_are_links(store: DirectoryStore, root: Path) -> None:
    first, second = bottle(content=CONTENT), bottle(tag="arm64_tahoe", content=CONTENT)
    give(store, first, CONTENT)
    store.duplicate(first.key(DATE), second, date=DATE, size=len(CONTENT))
    assert (root / first.key(DATE)).stat().st_ino == (root / second.key(DATE)).stat().st_ino


def test_a_mirror_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StoreRefused):
        DirectoryStore(tmp_path / "file" / "mirror").prepare()


def test_one_bottle_with_too_long_a_name_does_not_speak_for_the_whole_store(store: DirectoryStore) -> None:
    item = bottle("n" * 128, "1" * 128, content=CONTENT)
    with pytest.raises(StoreError) as caught:
        give(store, item, CONTENT)
    # StoreRefused ends a whole transfer: this name is the only one that will not fit.
    assert not isinstance(caught.value, StoreRefused)


def test_a_lock_that_cannot_be_had_is_our_error(store: DirectoryStore, root: Path) -> None:
    store.write("a", b"x", create_only=True)
    (root / ".lock").unlink(missing_ok=True)
    (root / ".lock").mkdir()
    with pytest.raises(MirrorError):
        store.write("a", b"y")


def test_a_key_with_a_character_that_no_file_name_holds_is_our_error(store: DirectoryStore) -> None:
    with pytest.raises(MirrorError):
        store.read("state/a\0b")


def test_receipts_can_be_written_while_others_are_folded_away(store: DirectoryStore) -> None:
    def write() -> None:
        for number in range(300):
            store.write(f"state/receipts/sync/w{number:03}.json", b"x", create_only=True)

    def fold() -> None:
        for number in range(300):
            store.write(f"state/receipts/sync/f{number:03}.json", b"x")
            store.delete([listed.key for listed in store.listing("state/receipts/sync/")])

    assert together(write, fold) == []


def test_a_run_that_prepares_disturbs_no_run_that_writes(store: DirectoryStore) -> None:
    writing = threading.Event()

    def write() -> None:
        try:
            for number in range(800):
                store.write(f"state/plans/{number:03}.json", b"x", create_only=True)
        finally:
            writing.set()

    def prepare() -> None:
        while not writing.is_set():
            store.prepare()

    assert together(write, prepare, prepare) == []
    assert len(keys_of(store, "state/plans/")) == 800


def test_a_listing_that_cannot_be_read_is_an_error_and_never_empty(store: DirectoryStore, root: Path) -> None:
    (root / "state").symlink_to(root / "state")
    with pytest.raises(OSError, match="symbolic links") as caught:
        os.scandir(root / "state")
    assert caught.value.errno == errno.ELOOP
    with pytest.raises(StoreError):
        list(store.listing("state/receipts/"))


def test_a_file_where_a_date_folder_should_be_is_named_and_no_passing_trouble(
    store: DirectoryStore, root: Path
) -> None:
    (root / DATE).write_bytes(b"x")
    with pytest.raises(ObjectRefused, match=f"something else stands where the folder {DATE}/ should be"):
        give(store, bottle(content=CONTENT), CONTENT)


def test_files_of_others_among_the_incoming_ones_stay(root: Path) -> None:
    theirs = root / ".incoming" / "notes.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("of somebody")
    DirectoryStore(root).prepare()
    assert theirs.read_text() == "of somebody"


def test_a_document_larger_than_any_is_refused_without_being_read(store: DirectoryStore, root: Path) -> None:
    with (root / "bottles_hash.json").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(ObjectRefused, match=r"bottles_hash\.json: expected at most"):
        store.read("bottles_hash.json")
