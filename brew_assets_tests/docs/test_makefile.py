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


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"MIRROR_URL": ""}, "Error: MIRROR_URL: expected a directory or s3://bucket/prefix"),
        ({"MIRROR_URL": "ftp://x"}, "found 'ftp://x'"),
        ({"MIRROR_URL": "", "S3_BUCKET_NAME": "No_Bucket"}, "found 's3://No_Bucket'"),
        ({"FORMULAE_API_URL": "http://127.0.0.1:1"}, "Error: http://127.0.0.1:1"),
    ],
)
def test_make_sync_goes_where_mirror_url_says_and_by_itself_into_mirror(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    venv = Path(sys.executable).parents[1]
    dry = subprocess.run(
        ["make", "--dry-run", "sync", f"VENV={venv}"],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    )
    recipe = dry.stdout[dry.stdout.index("MIRROR_URL=") :]
    done = subprocess.run(
        ["sh", "-c", recipe],
        cwd=tmp_path,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


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
