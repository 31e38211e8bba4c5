"""Targets of the Makefile that depend on what an earlier one left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO, WEBSERVER = "brew_assets.demo", "dagster-webserver"


@pytest.mark.parametrize("ran_before", [False, True])
def test_the_demos_ui_has_runs_to_show(tmp_path: Path, ran_before: bool) -> None:
    if ran_before:
        (tmp_path / ".simulated").touch()
    done = subprocess.run(
        ["make", "--dry-run", "demo-ui", f"MIRROR={tmp_path}"],
        cwd=ROOT,
        # The tests themselves are a target of make's.
        env={name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS")},
        capture_output=True,
        text=True,
        check=True,
    )
    steps = [name for line in done.stdout.splitlines() for name in (DEMO, WEBSERVER) if name in line]
    assert steps == ([WEBSERVER] if ran_before else [DEMO, WEBSERVER])


def test_a_demo_elsewhere_names_its_place_in_what_it_tells_to_do_next(tmp_path: Path) -> None:
    mirror = tmp_path / "elsewhere"
    done = subprocess.run(
        [sys.executable, "-m", DEMO, "--mirror", str(mirror), "--home", str(tmp_path / "home")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "By the second: 0." in done.stdout
    for target in ("demo-ui", "demo-clean"):
        assert f"make {target} MIRROR={mirror}, then" in done.stdout
