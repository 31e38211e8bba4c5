"""What the command line says of a catalogue that cannot be used, in whole or in part."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brew_assets.simulator import Fault, Simulator, World
from brew_assets_tests.integration.mirrors import DirectoryMirror
from brew_assets_tests.worlds import old_shape

PLATFORM = ("--platform", "arm64_sonoma")
REJECTED = (
    "first: element 31: it cannot be read: Expected 'object', got 'null'; tool7 (x86_64_linux): the digest"
)


@pytest.fixture
def upstream() -> Iterator[Simulator]:
    world = World(seed=8)
    for number in range(30):
        world.publish(f"tool{number}", "1.0", tags=["arm64_sonoma", "x86_64_linux"])
    with Simulator(world) as running:
        yield running


@pytest.fixture
def mirror(tmp_path: Path) -> DirectoryMirror:
    return DirectoryMirror(tmp_path / "mirror")


def entries(upstream: Simulator) -> list[Any]:
    return list(json.loads(upstream.world.catalogue_json()))


def spoil(upstream: Simulator) -> None:
    """One element of the catalogue is null, one tag of `tool7` has no digest, `tool9` is disabled."""
    found = entries(upstream)
    found[7]["bottle"]["stable"]["files"]["x86_64_linux"]["sha256"] = "none"
    found[9]["disabled"] = True
    upstream.api_body_override = json.dumps([*found, None]).encode()


def test_one_bad_element_stops_nothing_and_is_said_before_and_after(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    spoil(upstream)
    done = mirror.run(upstream, "sync", *PLATFORM, COLUMNS="1000", LOG_LEVEL="ERROR")
    assert done.returncode == 0, done.stderr
    assert len(mirror.entries()) == 29
    for before_or_after in (done.stderr, done.stdout):
        assert f"1 of 31 formulae and 1 bottle; {REJECTED}" in before_or_after
    assert "1 formula; first: tool9" in done.stdout
    shown = mirror.run(upstream, "status", COLUMNS="1000").stdout
    assert "30 formulae, 59 bottles, 2 rejected" in shown


@pytest.mark.parametrize(
    "command",
    [("plan",), ("plan", "--dry-run"), ("sync", "--dry-run"), ("sync",)],
    ids=" ".join,
)
def test_every_way_to_plan_says_what_was_rejected_in_words_and_in_json(
    mirror: DirectoryMirror, upstream: Simulator, command: tuple[str, ...]
) -> None:
    spoil(upstream)
    words = mirror.run(upstream, *command, *PLATFORM, COLUMNS="1000")
    assert words.returncode == 0, words.stderr
    assert f"1 of 31 formulae and 1 bottle; {REJECTED}" in words.stderr
    assert "disabled" in words.stdout
    done = mirror.run(upstream, *command, *PLATFORM, "--json")
    assert done.returncode == 0, done.stderr
    assert f"1 of 31 formulae and 1 bottle; {REJECTED}" in done.stderr
    left_out = json.loads(done.stdout)["left_out"]
    assert (left_out["rejected"], left_out["rejected_bottles"], left_out["disabled"]) == (2, 1, 1)
    assert left_out["rejections"][0].startswith("element 31: it cannot be read")
    assert left_out["disabled_formulae"] == ["tool9"]


def test_a_plan_that_is_copied_later_still_says_it(mirror: DirectoryMirror, upstream: Simulator) -> None:
    spoil(upstream)
    planned = json.loads(mirror.run(upstream, "plan", "--json", *PLATFORM).stdout)
    upstream.api_body_override = None
    done = mirror.run(upstream, "sync", "--plan", planned["sync_id"], "--json")
    assert f"1 of 31 formulae and 1 bottle; {REJECTED}" in done.stderr
    assert json.loads(done.stdout)["left_out"] == planned["left_out"]


def test_skipped_bottles_are_named(mirror: DirectoryMirror, upstream: Simulator, tmp_path: Path) -> None:
    bottle = next(b for b in upstream.world.bottles if b.formula == "tool3" and b.tag == "arm64_sonoma")
    listed = {"bottles": {f"tool3-1.0-{bottle.tag}": {"sha256": bottle.digest}}}
    (tmp_path / "hashes.json").write_text(json.dumps(listed))
    skip = {"EXTERNAL_HASH_FILE_PATH": str(tmp_path / "hashes.json")}
    done = mirror.run(upstream, "sync", "--json", *PLATFORM, **skip)
    report = json.loads(done.stdout)
    assert (report["stored"], report["skipped"]) == (29, 1)
    assert report["left_out"]["skipped_bottles"] == [bottle.filename]
    assert f"an external hash file names them: 1 bottle; first: {bottle.filename}" in done.stderr


UNUSED = "Not used of external hash files, so that bottles which they name may be downloaded: "


@pytest.mark.parametrize(
    "command", [("plan",), ("plan", "--dry-run"), ("sync", "--dry-run"), ("sync",)], ids=" ".join
)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "1 file or entry; first: {path}: "),
        (b"{{{", "1 file or entry; first: {path}: expected a manifest or a JSON list"),
        (b'["x", 5, "y"]', "3 files or entries; first: {path}: entry 0: expected 64 lower-case hex digits"),
    ],
)
def test_what_is_wrong_with_a_hash_file_is_said_in_words_and_in_json_and_in_each_once(
    mirror: DirectoryMirror,
    upstream: Simulator,
    tmp_path: Path,
    command: tuple[str, ...],
    content: bytes | None,
    said: str,
) -> None:
    path = tmp_path / "hashes.json"
    if content is not None:
        path.write_bytes(content)
    settings = {"EXTERNAL_HASH_FILE_PATH": str(path), "COLUMNS": "1000", "LOG_LEVEL": "ERROR"}
    expected = UNUSED + said.format(path=path)
    words = mirror.run(upstream, *command, *PLATFORM, **settings)
    assert words.stderr.count(expected) == 1
    assert words.stdout.count(expected) == (1 if command == ("sync",) else 0)
    done = mirror.run(upstream, *command, *PLATFORM, "--json", **settings)
    assert done.stderr.count(expected) == 1
    found = json.loads(done.stdout)
    (warning,) = found["warnings"]
    assert warning.startswith(expected)
    assert f"Warning: {warning}" in done.stderr.splitlines()
    assert found["left_out"]["hash_file_warnings"] == (3 if content and content.startswith(b"[") else 1)


def test_objects_that_are_not_recorded_stand_in_the_json_as_in_the_words(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    mirror.sync(upstream, *PLATFORM)
    folder = mirror.bottle_keys()[0][:10]
    for number in range(25):
        mirror.write(f"{folder}/tool{number}-9.arm64_sonoma.bottle.tar.gz", b"nobody's")
    mirror.remove("bottles_hash.json")
    done = mirror.run(upstream, "plan", "--dry-run", *PLATFORM, "--json", LOG_LEVEL="ERROR")
    warnings = json.loads(done.stdout)["warnings"]
    assert [f"Warning: {warning}" for warning in warnings] == done.stderr.splitlines()
    assert sum("-9.arm64_sonoma.bottle.tar.gz: not recorded: " in warning for warning in warnings) == 20
    assert "5 more objects are not recorded" in warnings


def test_what_is_said_before_and_after_a_sync_stands_once_in_its_json(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    mirror.sync(upstream, *PLATFORM)
    gone = next(key for key in mirror.bottle_keys() if "tool3-" in key)
    mirror.remove(gone)
    upstream.world.remove("tool3")
    upstream.fault(gone.split("/")[1], Fault.not_found())
    spoil(upstream)
    found = json.loads(mirror.run(upstream, "sync", *PLATFORM, "--json").stdout)
    starts = ["Taken off the manifest", "Recorded, but gone", "Rejected, because"]
    assert [w[: len(start)] for w, start in zip(found["warnings"], starts, strict=True)] == starts
    assert json.loads(mirror.run(upstream, "verify", "--json").stdout)["warnings"] == []


def test_a_taps_catalogue_in_an_older_shape_is_refused_and_the_kept_one_stays(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    mirror.sync(upstream, *PLATFORM)
    before = {key: mirror.read(key) for key in mirror.keys()}
    upstream.api_body_override = old_shape()
    for command in (("sync",), ("plan",), ("sync", "--dry-run"), ("sync", "--json", *PLATFORM)):
        done = mirror.run(upstream, *command)
        assert done.returncode == 2, done.stderr
        assert "311 of 318 formulae cannot be used, more than a tenth" in done.stderr
        assert "First: tool7: none of its bottles can be used; sierra: " in done.stderr
        assert "/formula.json: " in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
    assert {key: mirror.read(key) for key in mirror.keys()} == before
    upstream.api_body_override = None
    assert mirror.sync(upstream, *PLATFORM)["outcome"] == "success"


@pytest.mark.parametrize("command", ["sync", "plan"])
@pytest.mark.parametrize("new", [True, False])
def test_a_catalogue_that_cannot_serve_what_is_asked_for_makes_and_changes_nothing(
    mirror: DirectoryMirror, upstream: Simulator, command: str, new: bool
) -> None:
    if not new:
        mirror.sync(upstream, *PLATFORM)
    before = {key: mirror.read(key) for key in mirror.keys()}
    spoilt, bare = entries(upstream), entries(upstream)
    for entry in spoilt[:20]:
        entry["bottle"]["stable"]["files"]["x86_64_linux"]["sha256"] = "none"
    for entry in bare:
        entry["bottle"] = {"renamed": entry["bottle"]["stable"]}
    for body, platform, said in (
        (spoilt, "x86_64_linux", "20 of 30 bottles for x86_64_linux cannot be used"),
        (
            entries(upstream),
            "sonoma",
            "serve sonoma, found bottles for arm64_sonoma, x86_64_linux, so nothing",
        ),
        (bare, "arm64_sonoma", "serve arm64_sonoma, found no bottle at all"),
    ):
        upstream.api_body_override = json.dumps(body).encode()
        # The settings name another platform than is asked for.
        done = mirror.run(upstream, command, "--platform", platform, TARGET_PLATFORMS="arm64_sonoma")
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert {key: mirror.read(key) for key in mirror.keys()} == before
        assert mirror.root.exists() is not new


def test_one_platform_among_several_that_nothing_serves_is_a_warning(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    done = mirror.run(upstream, "sync", *PLATFORM, "--platform", "sonoma", COLUMNS="1000")
    assert done.returncode == 0, done.stderr
    assert "no bottle of the catalogue serves them: 1 platform; first: sonoma" in done.stderr


def test_a_rejected_formula_that_is_asked_for_and_unknown_ones_end_with_exit_code_2(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    found = entries(upstream)
    found[7]["revision"] = -1
    upstream.api_body_override = json.dumps(found).encode()
    asked = ("--formula", "tool7", "--formula", "tool8", "--formula", "toll9", "--formula", "none")
    done = mirror.run(upstream, "sync", *asked)
    assert done.returncode == 2
    error = next(line for line in done.stderr.splitlines() if line.startswith("Error: "))
    assert "formula 'tool7' is in the catalogue, but rejected: tool7: revision or rebuild is out" in error
    assert "; formula 'toll9' is not in the catalogue; did you mean tool9" in error
    assert "; formula 'none' is not in the catalogue" in error
    assert "tool8" not in error


def test_the_lost_tags_of_a_formula_that_is_asked_for_are_named_first(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    spoil(upstream)
    done = mirror.run(upstream, "plan", "--formula", "tool7", "--platform", "x86_64_linux", COLUMNS="1000")
    assert done.returncode == 0, done.stderr
    assert "first: tool7 (x86_64_linux): the digest is not a SHA-256; element 31" in done.stderr
    assert "tool7: it has no bottle for x86_64_linux besides those that cannot be used" in done.stderr


def test_foreign_names_are_no_markup_in_a_terminal(mirror: DirectoryMirror, upstream: Simulator) -> None:
    found = entries(upstream)
    found[7]["name"] = "[red]x[/nosuch]\x1b[31m:smile:"
    upstream.api_body_override = json.dumps(found).encode()
    done = mirror.run(upstream, "sync", "--dry-run", *PLATFORM, COLUMNS="1000")
    assert done.returncode == 0, done.stderr
    assert r"first: [red]x[/nosuch]\x1b[31m:smile:: the name is not one safe path segment" in done.stderr
