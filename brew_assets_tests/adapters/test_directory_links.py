"""A directory store never leaves its root and waits for nothing that stands there, whatever that is."""

import logging
import os
import re
import shutil
import socket
import stat
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from brew_assets.adapters.directory_store.rooted_files import MOST_NESTED
from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.domain.foreign_text import printable_name
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.engine.record.journal import move_to_rejected
from brew_assets.errors import MirrorError, ObjectRefused, StoreError, StoreRefused
from brew_assets_tests.adapters.store_contract import CONTENT, content_of, give, keys_of
from brew_assets_tests.worlds import DATE, bottle

FOLDERS = [
    DATE,
    "state",
    "state/receipts",
    "state/upstream/indexes/openssl/3",
    "backups",
    "backups/bottles_hash",
    ".incoming",
]
KEYS = [
    f"{DATE}/foreign.tar.gz",
    "state/receipts/s/a.json",
    "state/upstream/indexes/openssl/3/3.5/a.json",
    "backups/bottles_hash/a.json",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "mirror"


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    store = DirectoryStore(root)
    store.prepare()
    return store


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of somebody else, with files where a mirror would have its own."""
    folder = tmp_path / "outside"
    for name in ("foreign.tar.gz", "s/a.json", "a.json", "receipts/s/a.json", "3.5/a.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"somebody else's")
    return folder


def picture(folder: Path) -> dict[str, tuple[int, bytes]]:
    """What is in the folder, and when each entry was changed."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }


def attempts(store: DirectoryStore) -> list[Callable[[], object]]:
    """Everything that a store is asked for, below every folder."""
    item = bottle("foreign", content=CONTENT)
    acts: list[Callable[[], object]] = [
        store.prepare,
        store.date_folders,
        lambda: give(store, item, CONTENT),
        lambda: give(store, item, CONTENT, replace=True),
        lambda: store.duplicate(
            item.key(DATE), bottle("foreign", tag="all", content=CONTENT), date=DATE, size=1
        ),
        lambda: keys_of(store),
    ]
    for key in KEYS:
        acts += [
            lambda key=key: store.read(key),  # type: ignore[misc]
            lambda key=key: store.hash(key),  # type: ignore[misc]
            lambda key=key: store.peek(key, 5),  # type: ignore[misc]
            lambda key=key: store.write(key, b"ours"),  # type: ignore[misc]
            lambda key=key: store.write(key, b"ours", create_only=True),  # type: ignore[misc]
            lambda key=key: store.write(key, b"ours", replaces="x"),  # type: ignore[misc]
            lambda key=key: store.delete([key]),  # type: ignore[misc]
            lambda key=key: keys_of(store, key.rpartition("/")[0] + "/"),  # type: ignore[misc]
        ]
    return acts


def put_link(place: Path, target: Path) -> None:
    """A link in the place of whatever stands there."""
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


@pytest.mark.parametrize("leads_to", ["outside", "nothing"])
@pytest.mark.parametrize("linked", FOLDERS)
def test_nothing_is_read_or_changed_through_a_linked_folder(
    store: DirectoryStore, root: Path, outside: Path, linked: str, leads_to: str
) -> None:
    put_link(root / linked, outside.parent / leads_to)
    before = picture(outside)
    given = []
    for act in attempts(store):
        with suppress(MirrorError):
            given.append(act())
    assert picture(outside) == before
    assert not (outside.parent / "nothing").exists()
    assert not any(found and b"somebody else's" in repr(found).encode() for found in given)
    assert (root / linked).is_symlink()


@pytest.mark.parametrize("linked", FOLDERS)
def test_a_linked_folder_is_named_with_what_to_do(
    store: DirectoryStore, root: Path, outside: Path, linked: str
) -> None:
    put_link(root / linked, outside)
    key = "state/a.json" if linked == ".incoming" else f"{linked}/a.json"
    with pytest.raises(StoreRefused) as caught:
        store.write(key, b"x")
    message = str(caught.value)
    assert f"{root}/{linked}/: expected a folder of the mirror, found a symbolic link" in message
    assert "move the real folder there, or make the whole mirror a link" in message


@pytest.mark.parametrize("linked", [DATE, "1999-12-31", "state", "backups", ".incoming", ".lock"])
def test_a_link_in_the_root_is_seen_by_every_first_look(
    store: DirectoryStore, root: Path, outside: Path, linked: str
) -> None:
    put_link(root / linked, outside)
    for look in (
        store.prepare,
        store.date_folders,
        lambda: keys_of(store),
        lambda: keys_of(store, MANIFEST_KEY),
    ):
        with pytest.raises(StoreRefused, match=linked):
            look()


@pytest.mark.parametrize("target", ["nothing", "outside/a.json"])
def test_a_linked_lock_is_neither_made_nor_taken(
    store: DirectoryStore, root: Path, outside: Path, target: str
) -> None:
    put_link(root / ".lock", outside.parent / target)
    before = picture(outside)
    for act in (store.prepare, lambda: store.write("a", b"x"), lambda: give(store, bottle(), CONTENT)):
        with pytest.raises(StoreRefused, match=r"\.lock: expected a regular file, found a symbolic link"):
            act()
    assert picture(outside) == before
    assert not (outside.parent / "nothing").exists()


def test_links_that_are_not_the_mirrors_own_stop_nobody(
    store: DirectoryStore, root: Path, outside: Path
) -> None:
    for name in ("loop", "state/receipts/loop", "state/receipts/s"):
        put_link(root / name, outside if name.endswith("s") else Path("loop"))
    store.write("state/receipts/t/b.json", b"x")
    assert keys_of(store, "state/receipts/") == ["state/receipts/t/b.json"]
    assert keys_of(store) == ["state/receipts/t/b.json"]


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "mirror").symlink_to(tmp_path / "disk")
    store = DirectoryStore(tmp_path / "mirror")
    store.prepare()
    give(store, bottle(content=CONTENT), CONTENT)
    store.write(MANIFEST_KEY, b"{}")
    assert keys_of(store) == [bottle().key(DATE), MANIFEST_KEY]
    assert (tmp_path / "disk" / MANIFEST_KEY).read_bytes() == b"{}"


def test_a_root_that_leads_nowhere_is_named_and_not_made(tmp_path: Path) -> None:
    (tmp_path / "mirror").symlink_to(tmp_path / "disk")
    with pytest.raises(StoreRefused, match="expected a directory, found a link that leads to no folder"):
        DirectoryStore(tmp_path / "mirror").prepare()
    assert not (tmp_path / "disk").exists()


def test_a_folder_that_becomes_a_link_while_a_bottle_arrives_is_not_followed(
    store: DirectoryStore, root: Path, outside: Path
) -> None:
    before = picture(outside)
    for linked in (DATE, ".incoming"):
        sink = store.receive(bottle(content=CONTENT), date=DATE, size=len(CONTENT))
        sink.write(memoryview(CONTENT))
        put_link(root / linked, outside)
        with pytest.raises(StoreRefused, match=linked):
            sink.commit()
        sink.abort()
        assert picture(outside) == before
        (root / linked).unlink()


def test_a_folder_that_becomes_a_link_and_back_is_never_followed(
    store: DirectoryStore, root: Path, outside: Path
) -> None:
    before = picture(outside)
    folder, aside = root / "state/receipts/s", root / "aside"
    folder.parent.mkdir(parents=True)
    aside.mkdir()
    done = threading.Event()

    def change() -> None:
        number = 0
        while not done.is_set():
            # In between the store makes the folder anew.
            with suppress(FileExistsError):
                folder.symlink_to(outside)
            with suppress(FileNotFoundError):
                os.rename(folder, aside / str(number))
            number += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for number in range(150):
            for act in (
                lambda number=number: store.write(f"state/receipts/s/{number}.json", b"x"),
                lambda: store.delete(["state/receipts/s/a.json"]),
                lambda: keys_of(store, "state/receipts/s/"),
            ):
                with suppress(StoreError):
                    act()
    finally:
        done.set()
        thread.join(30)
    assert picture(outside) == before


# -- what is no file ---------------------------------------------------------------------------------------


def _socket(place: Path) -> None:
    # The address of a socket is short: it is made in the folder itself.
    folder = os.open(".", os.O_RDONLY)
    try:
        os.chdir(place.parent)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(place.name)
    finally:
        os.fchdir(folder)
        os.close(folder)


ODD: dict[str, Callable[[Path], None]] = {
    "a FIFO": os.mkfifo,
    "a socket": _socket,
    "a symbolic link": lambda place: place.symlink_to("/dev/zero"),
}


@pytest.fixture(params=ODD)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def put_odd(place: Path, kind: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    ODD[kind](place)


@pytest.mark.parametrize("key", [MANIFEST_KEY, "state/receipts/s/a.json", bottle().key(DATE)])
def test_what_is_no_file_is_neither_read_nor_replaced(
    store: DirectoryStore, root: Path, kind: str, key: str
) -> None:
    put_odd(root / key, kind)
    before = (root / key).lstat()
    item = bottle(content=CONTENT)
    for act in (
        lambda: store.read(key),
        lambda: store.facts(key),
        lambda: store.hash(key),
        lambda: store.peek(key, 1),
        lambda: store.write(key, b"x"),
        lambda: store.write(key, b"x", replaces="x"),
    ):
        with pytest.raises(ObjectRefused, match=f"{key}: expected a regular file, found {kind}"):
            act()
    with pytest.raises(StoreError):
        store.write(key, b"x", create_only=True)
    if key.startswith(DATE):
        for replace in (False, True):
            with pytest.raises(StoreError):
                give(store, item, CONTENT, replace=replace)
        with pytest.raises(ObjectRefused):
            store.duplicate(key, bottle(tag="all", content=CONTENT), date=DATE, size=len(CONTENT))
    assert os.path.samestat((root / key).lstat(), before)
    assert list((root / ".incoming").iterdir()) == []


def test_a_listing_leaves_what_is_no_file_and_names_it_once(
    store: DirectoryStore, root: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    put_odd(root / "state/receipts/s/a.json", kind)
    store.write("state/receipts/s/b.json", b"x")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert keys_of(store, "state/receipts/") == ["state/receipts/s/b.json"]
    (record,) = caplog.records
    assert (record.__dict__["key"], record.__dict__["found"]) == ("state/receipts/s/a.json", kind)


def test_what_is_no_bottle_in_a_date_folder_is_listed_for_whoever_says_what_it_is(
    store: DirectoryStore, root: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    put_odd(root / bottle("odd").key(DATE), kind)
    (root / bottle("folder").key(DATE)).mkdir()
    (root / DATE / "lost+found").mkdir()
    assert keys_of(store, f"{DATE}/") == [bottle("odd").key(DATE)]
    assert [record.__dict__["key"] for record in caplog.records] == [bottle("folder").key(DATE)]


def test_incoming_files_of_other_kinds_are_left_and_named(
    store: DirectoryStore, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in ODD:
        put_odd(root / ".incoming" / kind.rpartition(" ")[2], kind)
    (root / ".incoming/folder").mkdir()
    (root / ".incoming/folder/kept").write_bytes(b"x")
    (root / ".incoming/half\udcff").write_bytes(b"x")
    (root / ".incoming" / ("0123456789ab" * 2)).write_bytes(b"of a killed writer")
    store.prepare()
    left = ["FIFO", "folder", "half\udcff", "link", "socket"]
    assert sorted(path.name for path in (root / ".incoming").iterdir()) == left
    assert (root / ".incoming/folder/kept").exists()
    assert {record.__dict__["key"] for record in caplog.records} == {
        f".incoming/{printable_name(name)}" for name in left
    }


@pytest.mark.parametrize("name", [".lock", ".incoming", "state"])
def test_a_fifo_where_the_mirror_has_its_own_is_named(store: DirectoryStore, root: Path, name: str) -> None:
    shutil.rmtree(root)
    root.mkdir()
    os.mkfifo(root / name)
    with pytest.raises(StoreError, match=rf"{name}.*a FIFO"):
        store.write("state/a.json", b"x")


def test_a_folder_in_the_manifests_place_is_named_and_no_missing_manifest(
    store: DirectoryStore, root: Path
) -> None:
    (root / MANIFEST_KEY).mkdir()
    with pytest.raises(ObjectRefused, match="expected a file or nothing, found a folder"):
        store.read(MANIFEST_KEY)


def test_a_file_where_a_date_folder_should_be_is_found_before_a_byte_is_taken(
    store: DirectoryStore, root: Path
) -> None:
    (root / DATE).write_bytes(b"x")
    remedy = "; move it away, the mirror makes its own"
    with pytest.raises(
        ObjectRefused, match=f"something else stands where the folder .* {re.escape('(a file)')}{remedy}"
    ):
        store.receive(bottle(), date=DATE, size=1)
    assert list((root / ".incoming").iterdir()) == []


def test_a_folder_under_a_bottles_name_is_named_and_no_object(store: DirectoryStore, root: Path) -> None:
    item, other = bottle(content=CONTENT), bottle(tag="all", content=CONTENT)
    give(store, other, CONTENT)
    sink = store.receive(item, date=DATE, size=len(CONTENT))
    sink.write(memoryview(CONTENT))
    (root / item.key(DATE)).mkdir()
    for act in (
        sink.commit,
        lambda: store.receive(item, date=DATE, size=len(CONTENT)),
        lambda: store.duplicate(other.key(DATE), item, date=DATE, size=len(CONTENT)),
        lambda: store.write(item.key(DATE), b"x", create_only=True),
    ):
        with pytest.raises(ObjectRefused, match=r"expected a regular file, found a folder; .*move it away"):
            act()
    sink.abort()
    assert list((root / item.key(DATE)).iterdir()) == []
    assert list((root / ".incoming").iterdir()) == []


def test_a_file_in_the_place_of_the_incoming_files_is_named(store: DirectoryStore, root: Path) -> None:
    (root / ".incoming").rmdir()
    (root / ".incoming").write_bytes(b"x")
    with pytest.raises(StoreRefused, match=r"^\.incoming/: something else stands .*\(a file\); move it away"):
        store.prepare()


@pytest.mark.parametrize("stands", ["a folder", "a FIFO"])
def test_rejected_receipts_stand_beside_what_stands_in_their_place(
    store: DirectoryStore, root: Path, stands: str
) -> None:
    key, place = "state/receipts/s/a.json", root / "state/rejected/receipts/s/a.json"
    store.write(key, b"not true")
    place.parent.mkdir(parents=True)
    if stands == "a folder":
        place.mkdir()
    else:
        os.mkfifo(place)
    found = store.read(move_to_rejected(store, key))
    assert found is not None
    assert found.data == b"not true"
    assert store.read(key) is None


# -- depth and names ---------------------------------------------------------------------------------------


def nest(folder: Path, levels: int) -> None:
    """So many folders in each other, deeper than a path can name them."""
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(os.open("deep.json", os.O_WRONLY | os.O_CREAT, dir_fd=descriptor))
    os.close(descriptor)


def test_folders_nested_without_end_are_left(
    store: DirectoryStore, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.write("state/receipts/z.json", b"x")
    nest(root / "state/receipts", 1_500)
    try:
        assert keys_of(store, "state/receipts/") == ["state/receipts/z.json"]
        assert [record.__dict__["found"] for record in caplog.records] == [
            f"folders nested deeper than {MOST_NESTED}"
        ]
    finally:  # what removes the test's folder does not get so deep
        subprocess.run(["rm", "-rf", str(root)], check=True)


def test_every_key_of_a_mirror_is_deep_enough_to_be_listed(store: DirectoryStore) -> None:
    key = "/".join(f"d{number}" for number in range(MOST_NESTED)) + "/a.json"
    store.write(key, b"x")
    assert keys_of(store) == [key]


NAMES = ["not\udcffutf8", "new\nline", "\x1b[31mred", "bell\x07"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_no_key_has_is_left_and_named_in_what_can_be_shown(
    store: DirectoryStore, root: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    for folder in ("state/receipts/s", DATE):
        (root / folder).mkdir(parents=True)
        (root / folder / name).write_bytes(b"x")
    (root / "state/receipts" / name).mkdir()
    (root / name).mkdir()
    store.write("state/receipts/s/zz.json", b"x")
    # In a date folder it is listed under a name that is nothing's, so that it is seen.
    assert keys_of(store) == [f"{DATE}/{printable_name(name)}", "state/receipts/s/zz.json"]
    assert store.facts(f"{DATE}/{printable_name(name)}") is None
    named = [record.__dict__["key"] for record in caplog.records]
    assert f"state/receipts/s/{printable_name(name)}" in named
    for text in named:
        assert text.isprintable()
    with pytest.raises(StoreError, match="expected a relative key"):
        store.read(f"state/receipts/s/{name}")
    with pytest.raises(StoreError, match="expected a relative key"):
        store.write(f"{name}\ud800", b"x")


def test_a_root_with_bytes_that_are_no_text_has_a_name_that_can_be_printed(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "mirror\udcff")
    store.prepare()
    store.write("a", b"x")
    assert content_of(store, "a") == b"x"
    assert store.url.encode().endswith(b"mirror\\xff/")


def test_names_that_are_left_are_counted_at_a_hundred(
    store: DirectoryStore, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "state").mkdir()
    for number in range(300):
        os.mkfifo(root / f"state/{number}")
    keys_of(store)
    assert len(caplog.records) == 101
    assert "more is left alone" in caplog.records[-1].message


# -- descriptors -------------------------------------------------------------------------------------------


def test_no_descriptor_stays_open(store: DirectoryStore, root: Path, outside: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    for number, linked in enumerate([*FOLDERS, ".lock", "none"]):
        for act in attempts(store):
            with suppress(MirrorError):
                act()
        give(store, bottle(f"b{number}", content=CONTENT), CONTENT)
        next(iter(store.listing("")), None)
        put_odd(root / f"{DATE}/odd", "a FIFO")
        put_link(root / linked, outside)
        for act in attempts(store):
            with suppress(MirrorError):
                act()
        (root / linked).unlink()
    assert len(os.listdir("/dev/fd")) == before


def test_files_have_the_modes_that_the_umask_leaves(store: DirectoryStore, root: Path) -> None:
    umask = os.umask(0o027)
    try:
        give(store, bottle(content=CONTENT), CONTENT)
    finally:
        os.umask(umask)
    assert stat.S_IMODE((root / bottle().key(DATE)).stat().st_mode) == 0o640
    assert stat.S_IMODE((root / DATE).stat().st_mode) == 0o750
