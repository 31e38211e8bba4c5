"""Directories on file systems that lack a call: what is done without it, and what is refused."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from brew_assets.adapters.directory_store.file_calls import FileCalls
from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.engine.ports import Store
from brew_assets.errors import KeyTaken, StoreRefused, StoreUnsupported
from brew_assets_tests.adapters.store_contract import CONTENT, StoreContract, give
from brew_assets_tests.worlds import DATE, bottle

NOT_SUPPORTED = [errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY]
NO_LINKS = [*NOT_SUPPORTED, errno.EPERM, errno.EACCES, errno.EXDEV, errno.EMLINK]
NO_LOCKS = [*NOT_SUPPORTED, errno.ENOLCK]
NO_FOLDER_SYNC = [*NOT_SUPPORTED, errno.EBADF, errno.EACCES, errno.EPERM]
JQ, WGET = bottle("jq", content=CONTENT), bottle("wget", content=CONTENT)


def name_of(number: int) -> str:
    return errno.errorcode[number]


class Lacking(FileCalls):
    """A file system that answers some calls with these error numbers; `seen` are the calls it got."""

    def __init__(self, **numbers: int) -> None:
        self._numbers = numbers
        self.seen: list[str] = []

    def _answer(self, call: str) -> None:
        self.seen.append(call)
        if number := self._numbers.get(call):
            raise OSError(number, os.strerror(number))

    def flock(self, descriptor: int, how: int) -> None:
        self._answer("flock")
        super().flock(descriptor, how)

    def link(self, name: str, target: str, *, folder: int, target_folder: int) -> None:
        # As Linux does: a name that is taken is found first.
        if os.access(target, os.F_OK, dir_fd=target_folder, follow_symlinks=False):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        self._answer("link")
        super().link(name, target, folder=folder, target_folder=target_folder)

    def replace(self, name: str, target: str, *, folder: int, target_folder: int) -> None:
        self._answer("replace")
        super().replace(name, target, folder=folder, target_folder=target_folder)

    def sync(self, descriptor: int) -> None:
        self._answer("sync")
        super().sync(descriptor)

    def sync_folder(self, descriptor: int) -> None:
        self._answer("sync_folder")
        super().sync_folder(descriptor)


class TestWithoutLinksAndSyncs(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        calls = Lacking(link=errno.EPERM, sync=errno.EINVAL, sync_folder=errno.EINVAL)
        made = DirectoryStore(tmp_path / "mirror", calls)
        made.prepare()
        return made


def filled(root: Path, calls: FileCalls) -> DirectoryStore:
    """A store with one bottle under two names, a document, and a second writer refused."""
    store = DirectoryStore(root, calls)
    store.prepare()
    give(store, JQ, CONTENT)
    store.duplicate(JQ.key(DATE), WGET, date=DATE, size=len(CONTENT))
    store.write("state/x", b"first", create_only=True)
    with pytest.raises(KeyTaken):
        store.write("state/x", b"second", create_only=True)
    with pytest.raises(KeyTaken):
        store.duplicate(JQ.key(DATE), WGET, date=DATE, size=len(CONTENT))
    store.write("state/x", b"third")
    return store


def assert_whole(root: Path) -> None:
    for item in (JQ, WGET):
        assert (root / item.key(DATE)).read_bytes() == CONTENT
    assert (root / "state/x").read_bytes() == b"third"
    assert list((root / ".incoming").iterdir()) == []


@pytest.mark.parametrize("number", NO_LINKS, ids=name_of)
def test_without_hard_links_a_second_name_is_a_copy_and_no_name_is_taken_twice(
    tmp_path: Path, number: int
) -> None:
    calls = Lacking(link=number)
    filled(tmp_path, calls)
    assert_whole(tmp_path)
    assert "link" in calls.seen
    assert {(tmp_path / item.key(DATE)).stat().st_nlink for item in (JQ, WGET)} == {1}


@pytest.mark.parametrize("number", NO_FOLDER_SYNC, ids=name_of)
def test_a_folder_that_cannot_be_synced_is_done_without(tmp_path: Path, number: int) -> None:
    calls = Lacking(sync_folder=number)
    filled(tmp_path, calls)
    assert_whole(tmp_path)
    assert "sync_folder" in calls.seen


@pytest.mark.parametrize("number", NOT_SUPPORTED, ids=name_of)
def test_a_file_that_cannot_be_synced_is_done_without(tmp_path: Path, number: int) -> None:
    calls = Lacking(sync=number)
    filled(tmp_path, calls)
    assert_whole(tmp_path)
    assert "sync" in calls.seen


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC], ids=name_of)
@pytest.mark.parametrize("call", ["sync", "sync_folder", "link"])
def test_what_is_no_lack_of_a_call_is_no_success(tmp_path: Path, call: str, number: int) -> None:
    DirectoryStore(tmp_path).prepare()
    (tmp_path / DATE).mkdir()
    with pytest.raises(Exception, match=f"^{JQ.key(DATE)}"):
        give(DirectoryStore(tmp_path, Lacking(**{call: number})), JQ, CONTENT)
    assert list((tmp_path / ".incoming").iterdir()) == []


@pytest.mark.parametrize("number", NO_LOCKS, ids=name_of)
@pytest.mark.parametrize(
    "act",
    [
        lambda store: store.prepare(),
        lambda store: store.write("state/x", b"x"),
        lambda store: store.write("state/x", b"x", create_only=True),
        lambda store: give(store, JQ, CONTENT),
    ],
    ids=["prepare", "write", "create", "bottle"],
)
def test_without_locks_the_place_is_refused_with_the_remedy(
    tmp_path: Path, number: int, act: Callable[[DirectoryStore], object]
) -> None:
    store = DirectoryStore(tmp_path / "mirror", Lacking(flock=number))
    with pytest.raises(StoreRefused) as caught:
        act(store)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path}/mirror/: the file system has no locks (flock: ")
    assert "local disk, on NFS version 4, or in S3 (MIRROR_URL)" in said
    # Nothing stands there but what the mirror keeps for itself.
    assert [p for p in (tmp_path / "mirror").rglob("*") if p.is_file() and p.name != ".lock"] == []


def test_folders_on_different_file_systems_are_named(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path, Lacking(link=errno.EXDEV, replace=errno.EXDEV))
    store.prepare()
    with pytest.raises(StoreUnsupported, match="on different file systems; keep the whole mirror on one"):
        give(store, JQ, CONTENT)
    assert not (tmp_path / JQ.key(DATE)).exists()


def test_of_many_writers_without_links_one_has_the_name(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path, Lacking(link=errno.EPERM))
    store.prepare()
    taken: list[int] = []
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait(10)
        try:
            store.write("state/x", b"%d" % number, create_only=True)
        except KeyTaken:
            taken.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    (winner,) = set(range(8)) - set(taken)
    assert (tmp_path / "state/x").read_bytes() == b"%d" % winner


class Watching(Lacking):
    """Every file that is renamed is whole at that moment, and the lock is held."""

    def __init__(self, root: Path) -> None:
        super().__init__(link=errno.EPERM)
        self._root = root
        self.renamed: list[bytes] = []

    def replace(self, name: str, target: str, *, folder: int, target_folder: int) -> None:
        with open(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as file:
            self.renamed.append(file.read())
        other = os.open(self._root / ".lock", os.O_RDWR)
        try:
            with pytest.raises(BlockingIOError):
                FileCalls().flock(other, 2 | 4)  # LOCK_EX | LOCK_NB
        finally:
            os.close(other)
        super().replace(name, target, folder=folder, target_folder=target_folder)


def test_without_links_nothing_half_written_ever_has_a_name(tmp_path: Path) -> None:
    calls = Watching(tmp_path)
    store = DirectoryStore(tmp_path, calls)
    store.prepare()
    give(store, JQ, CONTENT)
    store.duplicate(JQ.key(DATE), WGET, date=DATE, size=len(CONTENT))
    assert calls.renamed == [CONTENT, CONTENT]
