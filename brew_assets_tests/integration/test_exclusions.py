"""EXCLUDE_FORMULAE through the command line."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from brew_assets.simulator import Simulator, World
from brew_assets_tests.integration.mirrors import DirectoryMirror

PLATFORM = ("--platform", "arm64_sonoma")
LEFT_OUT = "Left out, because EXCLUDE_FORMULAE names them: 2 formulae; first: tool1; tool2"
EXCLUDE = {"EXCLUDE_FORMULAE": "tool1, homebrew/core/TOOL2,no-such", "COLUMNS": "1000"}


@pytest.fixture
def upstream() -> Iterator[Simulator]:
    world = World(seed=3)
    for number in range(4):
        world.publish(f"tool{number}", "1.0", tags=["arm64_sonoma"], size_bytes=900)
    with Simulator(world) as running:
        yield running


@pytest.fixture
def mirror(tmp_path: Path) -> DirectoryMirror:
    return DirectoryMirror(tmp_path / "mirror")


def test_plan_and_sync_leave_them_out_and_say_so_and_what_is_held_stays(
    mirror: DirectoryMirror, upstream: Simulator
) -> None:
    mirror.sync(upstream, "--formula", "tool2", *PLATFORM)
    shown = mirror.run(upstream, "plan", *PLATFORM, **EXCLUDE)
    said = shown.stdout + shown.stderr
    assert (shown.returncode, LEFT_OUT in said) == (0, True), said
    assert "Named in EXCLUDE_FORMULAE, but in no catalogue" in said
    done = mirror.run(upstream, "sync", "--json", *PLATFORM, **EXCLUDE)
    report = json.loads(done.stdout)
    assert (done.returncode, report["stored"], report["held"]) == (0, 2, 3)
    assert report["left_out"]["excluded_formulae"] == ["tool1", "tool2"]
    assert report["left_out"]["unknown_exclusions"] == ["no-such"]
    assert any("first: no-such" in warning for warning in report["warnings"])
    assert set(mirror.entries()) == {f"tool{number}-1.0-arm64_sonoma" for number in (0, 2, 3)}
    again = mirror.run(upstream, "sync", *PLATFORM, **EXCLUDE)
    assert LEFT_OUT in again.stdout + again.stderr


def test_a_plan_that_was_made_before_is_cut(mirror: DirectoryMirror, upstream: Simulator) -> None:
    planned = json.loads(mirror.run(upstream, "plan", "--json", *PLATFORM).stdout)
    report = mirror.sync(upstream, "--plan", planned["sync_id"], EXCLUDE_FORMULAE="tool1")
    assert (report["planned"], report["stored"], report["left_out"]["excluded"]) == (3, 3, 1)
    assert "tool1-1.0-arm64_sonoma" not in mirror.entries()


def test_to_name_what_is_excluded_is_refused(mirror: DirectoryMirror, upstream: Simulator) -> None:
    done = mirror.run(upstream, "sync", "--formula", "tool0", "--formula", "tool1", *PLATFORM, **EXCLUDE)
    assert done.returncode == 2
    assert "formula 'tool1' is excluded by EXCLUDE_FORMULAE" in done.stderr
    assert mirror.entries() == {}
