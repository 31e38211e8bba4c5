"""Targets of the Makefile that depend on what an earlier one left."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from brew_assets_tests.fuzz.fuzzing import IN_CI
from brew_assets_tests.ports import free_ports

ROOT = Path(__file__).parents[2]
DEMO, UI = "brew_assets.demo ", "brew_assets.demo_ui "


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
    steps = [name for line in done.stdout.splitlines() for name in (DEMO, UI) if name in line]
    assert steps == ([UI] if ran_before else [DEMO, UI])


def test_a_campaign_tries_more_documents_than_the_tests_do() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "campaigns"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS")},
        capture_output=True,
        text=True,
        check=True,
    )
    examples = re.findall(r"FUZZ_EXAMPLES=(\d+) .*brew_assets_tests/fuzz", done.stdout)
    assert [int(number) > 10 * IN_CI for number in examples] == [True]
    assert "-m long" in done.stdout


def dry_run(*arguments: str) -> str:
    """What make would do."""
    clean = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS")}
    return subprocess.run(
        ["make", "--dry-run", "--always-make", *arguments],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_targets_are_listed_in_groups() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    groups = [line for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    assert groups == ["Install", "Run", "Test", "Measure and renew", "Clean up"]
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert listed == targets


@pytest.mark.parametrize(
    ("target", "locks"),
    [
        ("install", ["requirements.lock"]),
        ("dev-install", ["requirements.lock", "requirements-dev.lock"]),
        ("test-infra", ["requirements.lock", "requirements-dev.lock", "requirements-infra.lock"]),
    ],
)
def test_what_installs_for_long_says_first_how_much_and_how_long(target: str, locks: list[str]) -> None:
    lines = dry_run(target).splitlines()
    for lock in locks:
        (number,) = [number for number, line in enumerate(lines) if f"-r {lock}" in line]
        said = subprocess.run(["sh", "-c", lines[number - 1]], cwd=ROOT, capture_output=True, text=True)
        packages = re.findall(r"^[A-Za-z0-9][^ ]*==", (ROOT / lock).read_text(), re.MULTILINE)
        assert re.search(rf"\b{len(packages)} packages\b.*minutes?.*…", said.stdout)


def test_the_tests_say_how_long_they_take_as_the_readme_does() -> None:
    said = next(line for line in dry_run("test").splitlines() if line.startswith('echo "Running all tests'))
    (duration,) = re.findall(r"make test\s+# (.*? on two cores)", (ROOT / "README.md").read_text())
    assert duration in said


def test_make_sync_shows_what_the_command_says_and_nothing_of_the_shell(tmp_path: Path) -> None:
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        ["make", "-o", "install", "sync", "FORMULAE=jq", f"VENV={Path(sys.executable).parents[1]}"],
        cwd=ROOT,
        env=clean | {"MIRROR_URL": str(tmp_path), "LOG_LEVEL": "LOUD"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0].startswith("Error: LOG_LEVEL: ")


def test_who_starts_dagster_reads_first_where_and_what_it_does() -> None:
    lines = dry_run("dev").splitlines()
    (start,) = [number for number, line in enumerate(lines) if "/dg dev -w workspace.yaml" in line]
    said = "".join(line for line in lines[:start] if line.startswith("echo "))
    for part in ("http://127.0.0.1:3000", "Ctrl-C", "real bottles", "MIRROR_URL", "SCHEDULE_ENABLED=false"):
        assert part in said


def test_what_a_developer_starts_begins_without_a_warning_of_others() -> None:
    code = "import platformdirs as p; p.user_runtime_dir('x')"
    (line,) = [line for line in dry_run("dev-aws").splitlines() if "PYTHONWARNINGS" in line]
    clean = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
    (quiet,) = re.findall("PYTHONWARNINGS='([^']+)'", line)
    for environment, is_silent in ((clean | {"PYTHONWARNINGS": quiet}, True), (clean, False)):
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert (done.stderr == "") == is_silent, done.stderr


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
    mirror, (port,) = tmp_path / "elsewhere", free_ports(1)
    places = ["--mirror", str(mirror), "--home", str(tmp_path / "home"), "--port", str(port)]
    done = subprocess.run(
        [sys.executable, "-m", DEMO.strip(), *places],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "By the second: 0." in done.stdout
    assert_numbers_agree(done.stdout, mirror, tmp_path / "home")
    for target in ("demo-ui", "demo-clean"):
        assert f"make {target} MIRROR={mirror}, then" in done.stdout
    assert_ends_with_what_brew_asks(done.stdout, port)


def assert_ends_with_what_brew_asks(printed: str, port: int) -> None:
    """One request of each kind was answered with what is published, by a gateway that is gone."""
    title, *lines = printed[printed.index("Served to brew by") :].splitlines()
    assert (
        title
        == f"Served to brew by `brew-mirror serve` at http://127.0.0.1:{port}; one request of each kind:"
    )
    rows = [line.split(maxsplit=3) for line in lines[1:8]]
    assert {status for status, *_ in rows} == {"200"}
    assert [digest for _, _, digest, _ in rows] == ["-"] * 2 + ["equal"] * 5
    assert all(int(size.replace(",", "")) > 0 for _, size, _, _ in rows)
    for place, pattern in enumerate(
        (
            r"text/plain.* GET /healthz",
            r"application/json .*GET /readyz",
            r"application/json, gzip +GET /api/internal/packages\.[a-z0-9_]+\.jws\.json",
            r"application/vnd\.oci\.image\.index\.v1\+json +GET /v2/homebrew/core/\S+/manifests/\S+",
            r"application/gzip +GET /v2/homebrew/core/\S+/blobs/sha256:[0-9a-f]{64}",
            r"application/vnd\.oci\.image\.index\.v1\+json +GET /bottles/\S+/manifests/\S+",
            r"application/gzip +GET /bottles/[^/]+\.bottle\.\S*tar\.gz",
        )
    ):
        assert re.fullmatch(pattern, rows[place][3]), rows[place]
    assert f"serve --port {port}." in lines[8]
    assert lines[9:] == [
        f"export HOMEBREW_API_DOMAIN=http://127.0.0.1:{port}/api",
        f"export HOMEBREW_ARTIFACT_DOMAIN=http://127.0.0.1:{port}",
        "export HOMEBREW_ARTIFACT_DOMAIN_NO_FALLBACK=1",
    ]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def number(pattern: str, text: str) -> int:
    """The number that the one line in question shows."""
    (found,) = re.findall(pattern, text)
    return int(found)


def assert_numbers_agree(printed: str, mirror: Path, home: Path) -> None:
    """What people compare is the same number, or a sentence says why it is not."""
    upstream = number(r"Upstream: (\d+) simulated bottles for all platforms", printed)
    wanted = number(r"; (\d+) of them serve arm64_tahoe, arm64_sequoia, arm64_sonoma", printed)
    downloaded = number(r"Downloaded by the first sync: (\d+)\.", printed)
    assert upstream > wanted == downloaded
    assert number(r"First sync: (\d+) bottles are planned", printed) == wanted
    assert number(r"Second sync: (\d+) bottles are planned", printed) == 0
    assert number(r"Held: (\d+) bottles", printed) == wanted
    assert f"Re-hashed from disk: {wanted} of {wanted} bottles" in printed
    assert len(list(mirror.glob("????-??-??/*"))) == wanted
    shown = last_metadata(home, "hash_manifest")
    assert f"**{wanted} of {wanted}** planned bottles are in the store." in shown["report"]
    assert f"#### Held: {wanted} bottles" in shown["report"]
    assert shown["total_bottles"] == wanted
    plan = last_metadata(home, "pending_bottles", before=1)
    assert (
        plan["pending_bottles"]
        == wanted
        < sum(totals["bottles"] for totals in plan["plan_summary"]["platforms"].values())
    )
    assert f"| all, each bottle once | {wanted} |" in plan["report"]


def last_metadata(home: Path, asset: str, *, before: int = 0) -> dict[str, Any]:
    """What the asset's last materialization shows, or one before it."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        records = instance.fetch_materializations(dg.AssetKey(asset), limit=before + 1).records
    materialization = records[before].asset_materialization
    assert materialization is not None
    return {name: value.value for name, value in materialization.metadata.items()}
