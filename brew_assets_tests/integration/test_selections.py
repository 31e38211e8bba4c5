"""Formulae by name, with what they need, through the command line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brew_assets.simulator import Simulator, World
from brew_assets_tests.integration.mirrors import DirectoryMirror

SONOMA, LINUX = "arm64_sonoma", "x86_64_linux"
BOTH = ("--platform", SONOMA, "--platform", LINUX)
NEEDS = {"git": ["pcre2"], "pcre2": ["zlib"], "zlib": [], "curl": ["zlib"], "mesa": ["wayland"], "jq": []}
WIDE = {"COLUMNS": "1000"}


@pytest.fixture
def upstream() -> Iterator[Simulator]:
    """git uses curl of macOS, which Linux does not bring along; wayland has a bottle for Linux alone."""
    world = World(seed=15)
    for name, dependencies in NEEDS.items():
        world.publish(name, "1.0", tags=[SONOMA, LINUX], size_bytes=900, dependencies=dependencies)
    world.publish("wayland", "1.0", tags=[LINUX], size_bytes=900)
    with Simulator(world) as running:
        entries = json.loads(world.catalogue_json())
        entries[0] |= {"uses_from_macos": ["curl"], "uses_from_macos_bounds": [{}]}
        running.api_body_override = json.dumps(entries).encode()
        yield running


@pytest.fixture
def mirror(tmp_path: Path) -> DirectoryMirror:
    return DirectoryMirror(tmp_path / "mirror")


def held(mirror: DirectoryMirror, tag: str) -> list[str]:
    """The formulae of which a bottle with the tag is held."""
    return sorted(entry.formula_name for entry in mirror.entries().values() if entry.platform == tag)


def plan(mirror: DirectoryMirror, upstream: Simulator, *arguments: str, **extra: str) -> dict[str, Any]:
    done = mirror.run(upstream, "plan", "--json", *BOTH, *arguments, **extra)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_selection_brings_what_each_platform_needs_and_says_both_numbers(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    shown = mirror.run(upstream, "plan", "--formula", "git", *BOTH, **WIDE)
    assert shown.returncode == 0, shown.stderr
    assert "1 formula asked for, 4 with what it needs.\n" in shown.stdout
    planned = plan(mirror, upstream, "--formula", "git", "--formula", "jq")
    assert (planned["asked_for"], planned["with_needed"], planned["closed"]) == (2, 5, True)
    assert (planned["formulae"], planned["needed"]) == (["git", "jq"], ["curl", "pcre2", "zlib"])
    report = mirror.sync(upstream, "--plan", planned["sync_id"])
    assert (report["stored"], report["outcome"]) == (9, "success")
    assert held(mirror, SONOMA) == ["git", "jq", "pcre2", "zlib"]
    assert held(mirror, LINUX) == ["curl", "git", "jq", "pcre2", "zlib"]


def test_no_dependencies_copies_just_what_is_named(mirror: DirectoryMirror, upstream: Simulator) -> None:
    shown = mirror.run(upstream, "sync", "--dry-run", "--formula", "git", "--no-dependencies", *BOTH, **WIDE)
    assert "1 formula asked for, without what it needs.\n" in shown.stdout
    alone = plan(mirror, upstream, "--formula", "git", INCLUDE_DEPENDENCIES="false")
    assert (alone["asked_for"], alone["with_needed"], alone["closed"]) == (1, 1, False)
    mirror.sync(upstream, "--formula", "git", "--no-dependencies", *BOTH)
    assert held(mirror, SONOMA) == held(mirror, LINUX) == ["git"]
    refused = mirror.run(upstream, "sync", "--plan", alone["sync_id"], "--no-dependencies")
    assert refused.returncode == 2
    assert "it goes with no --platform, --formula, --no-dependencies" in refused.stderr


def test_a_sync_without_formulae_is_for_those_that_the_mirror_is_meant_to_hold(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    meant = {"MIRROR_FORMULAE": "git, no-such", **WIDE}
    done = mirror.run(upstream, "sync", "--json", *BOTH, **meant)
    assert done.returncode == 0, done.stderr
    assert "Named in MIRROR_FORMULAE, but in no catalogue" in done.stderr
    assert json.loads(done.stdout)["left_out"]["unknown_meant"] == ["no-such"]
    assert held(mirror, SONOMA) == ["git", "pcre2", "zlib"]
    planned = plan(mirror, upstream, "--formula", "jq", **meant)
    assert (planned["formulae"], planned["meant"], planned["objects"]) == (["jq"], [], 2)
    none = mirror.run(upstream, "sync", *BOTH, MIRROR_FORMULAE="gti")
    assert none.returncode == 2
    assert "MIRROR_FORMULAE: formula 'gti' is not in the catalogue; did you mean git?" in none.stderr


def test_what_is_needed_and_not_there_is_named(mirror: DirectoryMirror, upstream: Simulator) -> None:
    excluded = {"EXCLUDE_FORMULAE": "zlib", **WIDE}
    done = mirror.run(upstream, "sync", "--formula", "mesa", "--formula", "curl", *BOTH, **excluded)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert (
        "Needed by what was asked for, but not to be had from this mirror: 1 formula; first: "
        "wayland: it has no bottle for arm64_sonoma (needed by mesa)"
    ) in said
    assert (
        "Needed by what was asked for, but left out, because EXCLUDE_FORMULAE names them: 1 formula; first: "
        "zlib (needed by curl)"
    ) in said
    assert held(mirror, LINUX) == ["curl", "mesa", "wayland"]


def test_why_prints_the_path_on_each_platform(mirror: DirectoryMirror, upstream: Simulator) -> None:
    done = mirror.run(upstream, "why", "zlib", "--formula", "git", *BOTH)
    assert done.returncode == 0, done.stderr
    rows = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert [SONOMA, "git -> pcre2 -> zlib"] in rows
    assert mirror.keys() == []  # nothing is written, and the catalogue was upstream's
    meant = {"MIRROR_FORMULAE": "git"}
    shown = mirror.run(upstream, "why", "curl", *BOTH, **meant).stdout
    assert f"{SONOMA}  not needed" in shown
    assert f"{LINUX}  git -> curl" in shown
    asked = mirror.run(upstream, "why", "wayland", "--json", *BOTH, MIRROR_FORMULAE="mesa")
    found = json.loads(asked.stdout)
    assert (found["name"], found["asked_for"]) == ("wayland", ["mesa"])
    assert found["platforms"][SONOMA] == {
        "path": ["mesa", "wayland"],
        "mirrored": False,
        "lack": "it has no bottle for arm64_sonoma",
    }
    assert found["platforms"][LINUX] == {"path": ["mesa", "wayland"], "mirrored": True, "lack": ""}


def test_why_goes_by_the_kept_catalogue_and_refuses_what_is_no_formula(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    mirror.sync(upstream, "--formula", "jq", *BOTH)
    down = {"FORMULAE_API_URL": "http://127.0.0.1:1/api"}
    there = mirror.run(upstream, "why", "jq", *BOTH)
    assert "No formula is asked for by name: all are mirrored, and jq is one of them." in there.stdout
    # Another upstream's catalogue is none of that one.
    assert mirror.run(upstream, "why", "jq", *BOTH, RETRY_ATTEMPTS="0", **down).returncode == 2
    unknown = mirror.run(upstream, "why", "zlibb", "--formula", "git", *BOTH)
    assert unknown.returncode == 2
    assert "formula 'zlibb' is not in the catalogue; did you mean zlib?" in unknown.stderr
    hostile = mirror.run(upstream, "why", "\x1b[31m../x", *BOTH)
    assert (hostile.returncode, "\x1b[31m" in hostile.stderr) == (2, False)
