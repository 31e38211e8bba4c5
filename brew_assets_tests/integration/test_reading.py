"""Commands that read or mend a mirror: one that is not there is no empty one; who reads writes nothing."""

import json
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from brew_assets.domain.manifest import encode_receipts
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.engine.record.rebuild import identify_all
from brew_assets.runtimes.cli import cli
from brew_assets.simulator import Simulator, World
from brew_assets_tests.integration.mirrors import (
    PROGRAM,
    BucketMirror,
    DirectoryMirror,
    MirrorUnderTest,
    assert_complete,
)
from brew_assets_tests.servers import READER, S3Server

# What makes a mirror where there is none, needs none, or waits for one.
MAKERS = {"plan", "sync", "why", "platforms", "serve", "simulate"}
NEED_A_MIRROR = {
    "status": (),
    "status --json": (),
    "publish": (),
    "publish --dry-run --json": (),
    "verify": (),
    "verify --deep --json": (),
    "verify --repair": (),
    "manifest backups": (),
    "manifest rebuild": (),
    "manifest restore": (),
    "manifest restore --backup": ("backups/bottles_hash/x.json",),
    "manifest import": (str(Path(__file__)),),
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Simulator]:
    world = World(seed=31)
    for name in ("jq", "wget", "curl"):
        world.publish(name, "1.0", tags=["arm64_sonoma"])
    with Simulator(world) as running:
        yield running


def state_of(mirror: MirrorUnderTest) -> object:
    """Everything that a write would change: every path with its bytes and times, every object's version."""
    if isinstance(mirror, DirectoryMirror):
        if not mirror.root.exists():
            return None
        paths = [mirror.root, *sorted(mirror.root.rglob("*"))]
        return [
            (path, path.stat().st_mtime_ns, path.stat().st_ctime_ns, path.stat().st_ino) for path in paths
        ]
    assert isinstance(mirror, BucketMirror)
    pages = mirror.server.client.get_paginator("list_objects_v2").paginate(
        Bucket=mirror.bucket, Prefix=mirror.prefix
    )
    return [
        (item["Key"], item["ETag"], item["LastModified"])
        for page in pages
        for item in page.get("Contents", ())
    ]


def run_in(folder: Path, environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command, ended, as typed in that folder."""
    return subprocess.run(
        [PROGRAM, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def reader_of(mirror: MirrorUnderTest) -> dict[str, str]:
    """The environment of somebody who may only read."""
    return READER if isinstance(mirror, BucketMirror) else {}


def _names(group: click.Group, *above: str) -> set[str]:
    found: set[str] = set()
    for name, command in group.commands.items():
        below = (*above, name)
        found |= _names(command, *below) if isinstance(command, click.Group) else {" ".join(below)}
    return found


def test_every_command_is_known_to_need_a_mirror_or_not() -> None:
    needing = {command for command in _names(cli) if any(line.startswith(command) for line in NEED_A_MIRROR)}
    assert needing | MAKERS == _names(cli)
    assert not needing & MAKERS


@pytest.mark.parametrize("command", NEED_A_MIRROR)
def test_a_mirror_that_is_not_there_is_named_and_not_made(
    mirror: MirrorUnderTest, upstream: Simulator, command: str
) -> None:
    before = state_of(mirror)
    done = mirror.run(upstream, *command.split(), *NEED_A_MIRROR[command])
    assert (done.returncode, done.stdout) == (2, "")
    place = mirror.settings["MIRROR_URL"]
    assert done.stderr.startswith(f"Error: there is no mirror at {place}: "), done.stderr
    assert "MIRROR_URL" in done.stderr
    assert "brew-mirror sync" in done.stderr
    assert state_of(mirror) == before


@pytest.mark.parametrize("command", ["status", "verify", "verify --repair", "manifest rebuild"])
def test_files_of_others_are_no_mirror(mirror: MirrorUnderTest, upstream: Simulator, command: str) -> None:
    mirror.write("notes.txt", b"no mirror")
    mirror.write("photos/2026-08-22/cat.jpg", b"no bottle")
    before = state_of(mirror)
    done = mirror.run(upstream, *command.split())
    assert done.returncode == 2
    assert "there is no mirror at" in done.stderr
    assert state_of(mirror) == before


def test_an_empty_directory_is_no_mirror_and_a_relative_place_says_where_it_leads(
    tmp_path: Path, upstream: Simulator
) -> None:
    mirror = DirectoryMirror(tmp_path)
    done = run_in(tmp_path, mirror.environment(upstream), "--mirror", "no-such-mirror", "verify")
    assert done.returncode == 2
    assert f"there is no mirror at no-such-mirror ({tmp_path}/no-such-mirror/): " in done.stderr
    done = mirror.run(upstream, "verify")
    assert done.returncode == 2
    assert f"there is no mirror at {tmp_path}: " in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_backup_alone_can_be_restored(mirror: MirrorUnderTest, upstream: Simulator) -> None:
    mirror.sync(upstream)
    data = mirror.read(MANIFEST_KEY)
    for key in mirror.keys():
        mirror.remove(key)
    mirror.write("backups/bottles_hash/2026-08-22T030000.000000Z.json", data)
    assert mirror.run(upstream, "verify").returncode == 2
    done = mirror.run(upstream, "manifest", "restore")
    assert done.returncode == 0, done.stderr
    assert mirror.run(upstream, "verify").returncode == 1


@pytest.mark.parametrize("command", ["status", "verify", "manifest restore"])
def test_a_bucket_that_is_missing_or_refuses_is_no_missing_mirror(
    s3: S3Server, upstream: Simulator, command: str
) -> None:
    mirror = BucketMirror(s3)
    done = mirror.run(upstream, *command.split(), MIRROR_URL="s3://there-is-no-such-bucket/")
    assert done.returncode == 2
    assert "NoSuchBucket" in done.stderr
    assert "s3://there-is-no-such-bucket/" in done.stderr
    assert "there is no mirror" not in done.stderr
    done = mirror.run(upstream, *command.split(), AWS_SECRET_ACCESS_KEY="wrong")
    assert done.returncode == 2
    assert "SignatureDoesNotMatch" in done.stderr
    assert "there is no mirror" not in done.stderr


def test_verify_and_status_write_nothing_and_need_only_permission_to_read(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    mirror.sync(upstream)
    missing, wrong, _ = mirror.bottle_keys()
    mirror.remove(missing)
    mirror.write(wrong, mirror.read(wrong)[:-1] + b"?")
    if isinstance(mirror, DirectoryMirror):
        # As in a copy, or where they cannot be made.
        (mirror.root / ".incoming").rmdir()
        (mirror.root / ".lock").unlink()
    before = state_of(mirror)
    for arguments in (
        ("status",),
        ("status", "--json"),
        ("verify", "--json"),
        ("verify", "--deep", "--json"),
    ):
        done = mirror.run(upstream, *arguments, **reader_of(mirror))
        assert done.returncode == (0 if arguments[0] == "status" else 1), done.stderr
        if arguments[0] == "verify":
            counts = json.loads(done.stdout)
            assert (counts["current"], counts["missing"], counts["mismatch"]) == (1, 1, 1)
    assert state_of(mirror) == before
    if isinstance(mirror, BucketMirror):
        done = mirror.run(upstream, "verify", "--repair", **READER)
        assert done.returncode == 2
        assert "AccessDenied" in done.stderr


def test_verify_goes_by_receipts_that_nobody_has_folded_and_leaves_them(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    mirror.sync(upstream)
    empty = mirror.read(next(key for key in mirror.keys() if key.startswith("backups/")))
    receipts = _receipts_of(mirror, upstream)
    mirror.write(MANIFEST_KEY, empty)
    mirror.write("state/receipts/20260822T030000Z-00000000/1.json", receipts)
    mirror.remove(mirror.bottle_keys()[0])
    before = state_of(mirror)
    done = mirror.run(upstream, "verify", "--json", **reader_of(mirror))
    assert done.returncode == 1, done.stderr
    counts = json.loads(done.stdout)
    assert (counts["checked"], counts["current"], counts["missing"]) == (3, 2, 1)
    assert json.loads(mirror.run(upstream, "status", "--json", **reader_of(mirror)).stdout)["held"] == 3
    assert state_of(mirror) == before


def _receipts_of(mirror: MirrorUnderTest, upstream: Simulator) -> bytes:
    """A journal object with all that stands in the store."""
    from brew_assets.compose.store import build_store
    from brew_assets.settings import read_settings

    with pytest.MonkeyPatch.context() as patch:
        for name, value in mirror.environment(upstream).items():
            patch.setenv(name, value)
        store = build_store(read_settings())
        try:
            return encode_receipts(identify_all(store, workers=2).receipts)
        finally:
            store.close()


def test_a_mirror_whose_manifest_was_deleted_is_verified_as_a_rebuild_would_record_it(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    mirror.sync(upstream)
    mirror.remove(MANIFEST_KEY)
    notes = f"{mirror.bottle_keys()[0][:10]}/notes.txt"
    mirror.write(notes, b"no bottle")
    before = state_of(mirror)
    done = mirror.run(upstream, "verify", "--json", **reader_of(mirror))
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert (counts["checked"], counts["current"]) == (3, 3)
    assert "bottles_hash.json is missing" in done.stderr
    assert "notes.txt: cannot be recorded" in done.stderr
    assert counts["manifest_missing"] is True
    assert [f"Warning: {warning}" for warning in counts["warnings"]] == done.stderr.splitlines()
    assert "bottles_hash.json is missing" in mirror.run(upstream, "status", **reader_of(mirror)).stdout
    assert state_of(mirror) == before
    # A repair records them first.
    done = mirror.run(upstream, "verify", "--repair", "--json")
    repaired = json.loads(done.stdout)
    assert (done.returncode, repaired["checked"]) == (0, 3)
    assert (repaired["manifest_missing"], repaired["warnings"]) == (False, [])
    mirror.remove(notes)
    assert_complete(mirror, upstream)


def test_a_restore_of_no_backup_names_it_and_lists_the_backups(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    for formula in ("jq", "wget", "curl"):
        mirror.sync(upstream, "--formula", formula)
    existing = sorted((key for key in mirror.keys() if key.startswith("backups/")), reverse=True)
    assert len(existing) >= 2
    before = mirror.read(MANIFEST_KEY)
    done = mirror.run(upstream, "manifest", "restore", "--backup", "backups/nope.json")
    assert done.returncode == 2
    first, *listed = done.stderr.splitlines()
    assert "backups/nope.json" in first
    assert "Invalid hash file format" not in done.stderr
    assert [line.strip() for line in listed] == existing
    plan = next(key for key in mirror.keys() if key.startswith("state/plans/"))
    for key in (plan, MANIFEST_KEY):
        done = mirror.run(upstream, "manifest", "restore", "--backup", key)
        assert done.returncode == 2
        assert f"'{key}': expected a backup of bottles_hash.json, found a key outside backups/" in done.stderr
        assert "Invalid hash file format" not in done.stderr
        assert mirror.read(MANIFEST_KEY) == before
        assert [key for key in mirror.keys() if key.startswith("backups/")] == sorted(existing)
    assert mirror.run(upstream, "manifest", "restore", "--backup", existing[-1]).returncode == 0


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\xfe", b'{"bottles": {}}'])
def test_an_import_of_no_manifest_names_the_file(tmp_path: Path, upstream: Simulator, content: bytes) -> None:
    mirror = DirectoryMirror(tmp_path / "mirror")
    mirror.sync(upstream)
    before = mirror.read(MANIFEST_KEY)
    bad = tmp_path / "bad.json"
    bad.write_bytes(content)
    done = mirror.run(upstream, "manifest", "import", str(bad))
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: {bad} is not valid: ")
    assert "Invalid hash file format" not in done.stderr
    assert mirror.read(MANIFEST_KEY) == before


@pytest.mark.parametrize("command", ["sync", "plan"])
def test_a_sync_that_fails_before_it_has_a_plan_leaves_nothing_behind(
    mirror: MirrorUnderTest, upstream: Simulator, command: str
) -> None:
    before = state_of(mirror)
    assert not before
    down = {"FORMULAE_API_URL": "http://127.0.0.1:1"}
    for arguments, extra, said in (
        (("--formula", "no-such-formula"), {}, "'no-such-formula' is not in the catalogue"),
        (("--platform", "no_such_platform"), {}, "'no_such_platform' is not known"),
        ((), down, "http://127.0.0.1:1"),
    ):
        done = mirror.run(upstream, command, *arguments, **extra)
        assert done.returncode == 2
        assert said in done.stderr
        assert state_of(mirror) == before


def test_a_plan_that_is_not_there_is_looked_for_and_nothing_is_made(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    done = mirror.run(upstream, "sync", "--plan", "20260822T030000Z-00000000")
    assert done.returncode == 2
    assert f"expected a plan under {mirror.settings['MIRROR_URL'].rstrip('/')}/state/plans/" in done.stderr
    assert not state_of(mirror)


def test_in_a_mirror_that_is_there_a_sync_that_has_no_plan_changes_no_record(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    mirror.sync(upstream)
    before = mirror.keys()
    assert mirror.run(upstream, "sync", "--formula", "no-such-formula").returncode == 2
    assert mirror.keys() == before


def test_an_empty_mirror_url_is_never_the_default_directory(tmp_path: Path, upstream: Simulator) -> None:
    mirror = DirectoryMirror(tmp_path / "mirror")
    for arguments, extra, named in (
        (("sync",), {"MIRROR_URL": ""}, "MIRROR_URL"),
        (("sync",), {"MIRROR_URL": " "}, "MIRROR_URL"),
        (("--mirror", "", "sync"), {}, "--mirror"),
    ):
        done = run_in(tmp_path, mirror.environment(upstream, **extra), *arguments)
        assert done.returncode == 2
        assert done.stderr.startswith(f"Error: {named}: expected a directory or s3://bucket/prefix")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "finding"),
    [
        ("/dev/zero", "expected at most 1,073,741,824 bytes, found more"),
        ("/proc/self/mem", "cannot be read: Input/output error"),
    ],
)
def test_an_import_of_what_has_no_end_or_cannot_be_read_ends(tmp_path: Path, file: str, finding: str) -> None:
    (tmp_path / MANIFEST_KEY).write_text("not one")
    # The document, and what Python and its libraries take.
    limit = (resource.RLIMIT_DATA, (2 * 1024**3, 2 * 1024**3))
    done = subprocess.run(
        [PROGRAM, "--mirror", str(tmp_path), "manifest", "import", file],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(*limit),
    )
    said = f"Error: {file} is not valid: {finding}. Nothing was imported.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)
