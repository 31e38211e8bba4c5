"""Whether a store holds a mirror."""

from pathlib import Path

import pytest

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.engine.existence import mirror_exists, require_mirror
from brew_assets.engine.ports import Store
from brew_assets.errors import MirrorMissing, StoreRefused
from brew_assets_tests.fakes import MemoryStore

SIGNS = (
    "bottles_hash.json",
    "state/receipts/20260822T030000Z-00000000/030000000000-00000000.json",
    "2026-08-22/wget-1.0.arm64_sonoma.bottle.tar.gz",
)
FOREIGN = (
    "notes.txt",
    "bottles_hash.json.old",
    "photos/2026-08-22/cat.jpg",
    "2026-08-22/cat.jpg",
    "state/upstream/formula/latest.json",
    "state/plans/20260822T030000Z-00000000.json",
)


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else DirectoryStore(tmp_path / "mirror")


@pytest.mark.parametrize("key", SIGNS)
def test_each_sign_of_a_mirror_is_enough(store: Store, key: str) -> None:
    assert not mirror_exists(store)
    store.write(key, b"x")
    assert mirror_exists(store)


@pytest.mark.parametrize("key", FOREIGN)
def test_what_else_stands_there_is_no_mirror(store: Store, key: str) -> None:
    store.write(key, b"x")
    assert not mirror_exists(store, backup_suffices=True)


def test_a_backup_alone_is_enough_for_what_restores_it(store: Store) -> None:
    store.write("backups/bottles_hash/2026-08-22T030000.000000Z.json", b"x")
    assert mirror_exists(store, backup_suffices=True)
    assert not mirror_exists(store)


def test_a_date_folder_with_nothing_in_it_is_no_mirror(tmp_path: Path) -> None:
    (tmp_path / "2026-08-22").mkdir()
    assert not mirror_exists(DirectoryStore(tmp_path))


def test_to_ask_makes_nothing(tmp_path: Path) -> None:
    assert not mirror_exists(DirectoryStore(tmp_path / "a" / "b"))
    assert list(tmp_path.iterdir()) == []


def test_the_place_is_named_as_it_was_given_and_where_it_leads(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "mirrr")
    with pytest.raises(MirrorMissing) as caught:
        require_mirror(store, place="mirrr")
    assert str(caught.value).startswith(f"there is no mirror at mirrr ({tmp_path}/mirrr/): ")
    with pytest.raises(
        MirrorMissing, match=rf"there is no mirror at {tmp_path}/mirrr: .*MIRROR_URL.*--mirror"
    ):
        require_mirror(store, place=f"{tmp_path}/mirrr")


@pytest.mark.parametrize("operation", ["listing", "date_folders"])
def test_a_store_that_refuses_is_no_missing_mirror_and_is_named(operation: str) -> None:
    store = MemoryStore()
    store.fail(operation, StoreRefused("403 AccessDenied"))
    with pytest.raises(StoreRefused, match="memory:: 403 AccessDenied"):
        mirror_exists(store)
