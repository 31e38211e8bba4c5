"""Targets of the Makefile that depend on what an earlier one left."""

import os
import subprocess
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
