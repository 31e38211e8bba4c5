"""A directory in which others have put links, FIFOs and names of their own, as its operator sees it."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from brew_assets.simulator import Simulator, SizeDistribution, World
from brew_assets_tests.integration.mirrors import PROGRAM, DirectoryMirror, assert_consistent

BOTTLES = 6
COMMANDS = [
    ("sync", "--platform", "arm64_sonoma"),
    ("plan", "--platform", "arm64_sonoma", "--dry-run"),
    ("status",),
    ("verify",),
    ("manifest", "rebuild"),
]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Simulator]:
    """An upstream with one bottle more than the filled mirror has."""
    world = World(
        seed=12, sizes=SizeDistribution.lognormal(median_bytes=3_000, p90_bytes=20_000, max_bytes=60_000)
    )
    for number in range(BOTTLES):
        world.publish(f"formula-{number}", "1.0", tags=["arm64_sonoma"])
    with Simulator(world) as running:
        yield running


@pytest.fixture(scope="module")
def filled(upstream: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    mirror = DirectoryMirror(tmp_path_factory.mktemp("filled") / "mirror")
    mirror.sync(upstream, "--platform", "arm64_sonoma")
    upstream.world.publish("later", "1.0", tags=["arm64_sonoma"])
    return mirror.root


@pytest.fixture
def mirror(filled: Path, tmp_path: Path) -> DirectoryMirror:
    shutil.copytree(filled, tmp_path / "mirror")
    return DirectoryMirror(tmp_path / "mirror")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("letter", "0123456789abcdef01234567", "a.json"):
        (folder / name).write_text("somebody else's")
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


def date_of(mirror: DirectoryMirror) -> str:
    return mirror.bottle_keys()[0].split("/")[0]


def ended(
    mirror: DirectoryMirror, upstream: Simulator, *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """The ended command, which has not died of a mistake."""
    done = mirror.run(upstream, *arguments, COLUMNS="1000")
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1, 2)
    return done


@pytest.mark.parametrize("linked", ["date", "state", "backups", ".incoming", ".lock"])
def test_a_link_in_the_mirrors_own_place_ends_every_command_and_nothing_outside_changes(
    mirror: DirectoryMirror, upstream: Simulator, outside: Path, linked: str
) -> None:
    place = mirror.root / (date_of(mirror) if linked == "date" else linked)
    if place.exists():  # as somebody does who needs room: moved away, with a link left behind
        shutil.move(place, outside / "moved")
        place.symlink_to(outside / "moved")
    else:
        place.symlink_to(outside)
    before = picture(outside)
    for command in COMMANDS if linked == "date" else COMMANDS[:3:2]:
        done = ended(mirror, upstream, *command)
        assert done.returncode == 2, command
        assert f"{place.name}" in done.stderr
        assert "found a symbolic link; move" in done.stderr
    assert picture(outside) == before


@pytest.mark.parametrize("linked", [".lock", ".incoming", "state/upstream", "state/plans"])
def test_a_link_that_leads_nowhere_makes_nothing(
    mirror: DirectoryMirror, upstream: Simulator, tmp_path: Path, linked: str
) -> None:
    place = mirror.root / linked
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.symlink_to(tmp_path / "nothing")
    done = ended(mirror, upstream, *COMMANDS[0])
    assert done.returncode == 2
    assert f"{mirror.root}/{linked}" in done.stderr
    assert not (tmp_path / "nothing").exists()


def test_the_mirror_itself_may_be_a_link(upstream: Simulator, filled: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "mirror").symlink_to(tmp_path / "disk")
    mirror = DirectoryMirror(tmp_path / "mirror")
    assert mirror.sync(upstream, "--platform", "arm64_sonoma")["stored"] == BOTTLES + 1
    assert ended(mirror, upstream, "verify").returncode == 0
    assert_consistent(DirectoryMirror(tmp_path / "disk"), upstream)


@pytest.mark.parametrize("kind", ["FIFO", "link", "folder"])
def test_a_manifest_that_is_no_file_ends_every_command_at_once(
    mirror: DirectoryMirror, upstream: Simulator, tmp_path: Path, kind: str
) -> None:
    place = mirror.root / "bottles_hash.json"
    place.rename(tmp_path / "manifest")
    if kind == "FIFO":
        os.mkfifo(place)
    elif kind == "link":
        place.symlink_to(tmp_path / "manifest")
    else:
        place.mkdir()
    before = place.lstat()
    for command in COMMANDS if kind == "FIFO" else COMMANDS[:3:2]:
        done = ended(mirror, upstream, *command)
        assert done.returncode == 2, command
        assert "bottles_hash.json: expected a" in done.stderr
        assert kind in done.stderr
    assert os.path.samestat(place.lstat(), before)


def nest(folder: Path, levels: int) -> None:
    """So many folders in each other."""
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)


def put_odd_entries(mirror: DirectoryMirror, outside: Path) -> list[Path]:
    """FIFOs, links and folders in every folder of a mirror that a sync reads."""
    date, odd = date_of(mirror), []
    for key in (
        f"{date}/fifo-1.0.arm64_sonoma.bottle.tar.gz",
        "state/receipts/fifo.json",
        "state/receipts/20260101T000000Z-0badcafe/fifo.json",
        "state/plans/20990101T000000Z-0badcafe.json",
        "state/plans/fifo.json",
        "state/canary",
        "backups/bottles_hash/2099-01-01T000000.000000Z.json",
        "state/upstream/formula/latest.json",
        "state/upstream/indexes/later/1.0/fifo.json",
        ".incoming/fifo",
        "2001-01-01",
        "fifo",
    ):
        place = mirror.root / key
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        os.mkfifo(place)
        odd.append(place)
        link, folder = place.with_name("a-link"), place.with_name("a-folder-1.0.all.bottle.tar.gz")
        if not link.is_symlink():
            link.symlink_to(outside)
            folder.mkdir()
            (folder / "kept.json").symlink_to(outside / "letter")
            odd += [link, folder / "kept.json"]
    return odd


def test_odd_entries_are_named_and_left_and_stop_no_command(
    mirror: DirectoryMirror, upstream: Simulator, outside: Path
) -> None:
    date, odd = date_of(mirror), put_odd_entries(mirror, outside)
    before, kinds = picture(outside), [place.lstat().st_ino for place in odd]
    said = ""
    for command in (*COMMANDS, ("manifest", "restore")):
        done = ended(mirror, upstream, *command)
        assert done.returncode == 0, done.stderr
        said += done.stderr + done.stdout
    for name in (
        f"{date}/fifo-1.0.arm64_sonoma.bottle.tar.gz",
        f"{date}/a-link",
        f"{date}/a-folder-1.0.all.bottle.tar.gz",
        "state/receipts/fifo.json",
        "state/receipts/a-link",
        ".incoming/fifo",
        ".incoming/a-link",
        ".incoming/a-folder-1.0.all.bottle.tar.gz",
        "state/plans/fifo.json",
        "backups/bottles_hash/2099-01-01T000000.000000Z.json",
        "state/upstream/formula/latest.json",
        "2001-01-01",
    ):
        assert name in said, name
    assert picture(outside) == before
    assert [place.lstat().st_ino for place in odd] == kinds


def test_folders_nested_deeper_than_paths_go_stop_no_sync(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    receipts = mirror.root / "state/receipts"
    receipts.mkdir(parents=True, exist_ok=True)
    nest(receipts, 1_500)
    try:
        done = ended(mirror, upstream, *COMMANDS[0])
        assert done.returncode == 0, done.stderr
        assert "folders nested deeper than" in done.stderr
    finally:  # what removes the test's folder does not get so deep
        subprocess.run(["rm", "-rf", str(receipts)], check=True)


def test_a_recorded_bottle_that_became_a_fifo_is_named_and_not_replaced(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    key = mirror.bottle_keys()[0]
    mirror.remove(key)
    os.mkfifo(mirror.root / key)
    assert ended(mirror, upstream, *COMMANDS[0]).returncode == 0
    done = ended(mirror, upstream, "verify", "--deep", "--repair", "--json")
    (found,) = json.loads(done.stdout)["found"]
    assert (done.returncode, found["key"], found["verdict"]) == (1, key, "UNREADABLE")
    assert "expected a regular file, found a FIFO" in found["finding"]
    assert (mirror.root / key).is_fifo()


def test_names_that_are_no_text_end_no_command(mirror: DirectoryMirror, upstream: Simulator) -> None:
    date = date_of(mirror)
    for name in ("not\udcffutf8", "new\nline\x1b[31m"):
        for key in (
            f"{date}/{name}-1.0.arm64_sonoma.bottle.tar.gz",
            f"state/{name}",
            f"state/receipts/{name}.json",
            f"state/receipts/{name}/a.json",
            f"state/plans/{name}.json",
            f"backups/bottles_hash/{name}.json",
            f".incoming/{name}",
            name,
        ):
            (mirror.root / key).parent.mkdir(parents=True, exist_ok=True)
            (mirror.root / key).write_bytes(b"x")
    for command in COMMANDS:
        done = ended(mirror, upstream, *command, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)
        assert "\x1b" not in done.stdout + done.stderr
    left_out = str(json.loads(done.stdout)["left_out"]).replace("\\\\", "\\")
    for shown in ("not\\xffutf8", "new\\nline\\x1b[31m"):
        assert f"{date}/{shown}-1.0.arm64_sonoma.bottle.tar.gz" in left_out
    assert (mirror.root / date / "not\udcffutf8-1.0.arm64_sonoma.bottle.tar.gz").read_bytes() == b"x"


def test_a_sync_needs_few_descriptors(upstream: Simulator, filled: Path, tmp_path: Path) -> None:
    mirror = DirectoryMirror(tmp_path / "mirror")
    for _ in range(2):
        done = subprocess.run(
            ["bash", "-c", f"ulimit -n 80; exec {PROGRAM} sync --json --platform arm64_sonoma"],
            env=mirror.environment(upstream),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert len(mirror.entries()) == BOTTLES + 1
