"""The command line as its users meet it: help, mistakes, exit codes. Whole syncs: ../integration."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from brew_assets.runtimes.cli import cli

PROGRAM = str(Path(sys.executable).parent / "brew-mirror")


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    basics = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    return subprocess.run(
        [PROGRAM, *arguments],
        env=basics | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def commands(group: click.Group, *names: str) -> list[tuple[str, ...]]:
    found = []
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found += commands(command, *names, name)
        else:
            found.append((*names, name))
    return found


@pytest.mark.parametrize("names", commands(cli), ids=" ".join)
def test_every_command_explains_itself_with_an_example(names: tuple[str, ...]) -> None:
    done = run(*names, "--help")
    assert done.returncode == 0
    assert "Example" in done.stdout
    assert f"brew-mirror {' '.join(names)}" in done.stdout


def test_help_and_version_need_no_environment_and_no_network() -> None:
    assert "verify" in run("--help").stdout
    assert run("--version").stdout.startswith("brew-mirror, version ")


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("plan", "--no-such-option"), {}, "No such option"),
        (("sync", "--plan", "x", "--force"), {}, "--plan names everything"),
        (("sync", "--run-of", "arm64_sonoma"), {}, "--run-of goes with --plan"),
        (("sync", "--plan", "../x"), {}, "expected a plan"),
        (("plan",), {"BATCH_SIZE": "many"}, "BATCH_SIZE: expected an integer from 1 to 10000, found 'many'"),
        (("plan",), {"MIRROR_URL": "ftp://x"}, "MIRROR_URL: expected a directory or s3://"),
        (("plan",), {"MIRROR_URL": "s3://a/../b"}, "MIRROR_URL"),
        (("plan",), {"TARGET_PLATFORMS": "all"}, "TARGET_PLATFORMS"),
        (("plan",), {"BOTTLE_REGISTRY_URL": "http://registry.example"}, "http://registry.example"),
        (("plan",), {"BOTTLE_REGISTRY_URL": "nonsense"}, "BOTTLE_REGISTRY_URL"),
        (("plan",), {"FORMULAE_API_URL": "http://api.example"}, "use https"),
        (("manifest", "import", "no-such-file"), {}, "no-such-file"),
        (("plan",), {"MIRROR_URL": ""}, "MIRROR_URL: expected a directory or s3://bucket/prefix"),
        (("plan",), {"MIRROR_URL": " "}, "MIRROR_URL: expected a directory or s3://bucket/prefix"),
        (("--mirror", "", "plan"), {}, "--mirror: expected a directory or s3://bucket/prefix, found nothing"),
        (("--mirror", " ", "plan"), {"S3_BUCKET_NAME": "bottles"}, "--mirror: expected"),
        (("sync", "--plan", ""), {}, "expected a plan"),
        (("sync", "--plan", "", "--force"), {}, "--plan names everything"),
        (("sync", "--run-of", ""), {}, "--run-of goes with --plan"),
        (("plan",), {"BATCH_SIZE": "\udcff"}, r"BATCH_SIZE: expected UTF-8 without control characters"),
        (("plan",), {"LOG_FORMAT": "\udcff"}, r"LOG_FORMAT: expected UTF-8"),
        (("plan",), {"SLACK_CHANNEL": "\udcff"}, r"SLACK_CHANNEL: expected UTF-8"),
        (("status",), {"MIRROR_URL": "mirror\udcff"}, r"MIRROR_URL: expected UTF-8"),
        (("--mirror", "mirror\udcff", "sync"), {}, r"MIRROR_URL: expected UTF-8"),
        (("--mirror", "x" * 5_000, "sync"), {}, "MIRROR_URL: expected a path whose parts"),
        (("--mirror", "x/" * 5_000, "sync"), {}, "MIRROR_URL: expected at most 8,192 characters"),
        (("sync",), {"MIRROR_URL": "~nobody-at-all/x"}, "MIRROR_URL: expected a path, after ~"),
        (("plan",), {"EXTERNAL_HASH_FILE_PATH": "~nobody-at-all/x"}, "EXTERNAL_HASH_FILE_PATH: expected"),
        (
            ("status",),
            {"MIRROR_URL": "s3://bottles", "AWS_ENDPOINT_URL": "http://[::1"},
            "AWS_ENDPOINT_URL: ",
        ),
        (("sync", "--plan", "a\udcff"), {}, "expected a plan"),
        (("sync", "--plan", "x" * 5_000), {}, "expected a plan"),
        (("sync", "--plan", "x", "--run-of", "\udcff"), {}, "expected a plan"),
    ],
)
def test_a_mistake_is_named_and_ends_with_exit_code_2(
    arguments: tuple[str, ...], environment: dict[str, str], said: str, tmp_path: Path
) -> None:
    done = run(*arguments, **({"MIRROR_URL": str(tmp_path / "mirror")} | environment))
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_relative_place_without_a_current_directory_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    lines = f"cd {gone} && rmdir {gone} && exec {PROGRAM} --mirror bottles sync"
    done = subprocess.run(["sh", "-c", lines], capture_output=True, text=True, check=False, env={"HOME": "/"})
    assert done.returncode == 2
    assert done.stderr.startswith("Error: MIRROR_URL: expected an absolute path")
    assert len(done.stderr.splitlines()) == 1


def test_the_engine_the_command_line_and_the_simulator_import_no_dagster() -> None:
    code = (
        "import brew_assets.runtimes.cli, brew_assets.runtimes.status, brew_assets.compose.mirror, sys;"
        "import brew_assets.adapters.s3.store, brew_assets.engine.repair, brew_assets.simulator.server;"
        "sys.exit(any(name.split('.')[0].startswith('dagster') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_mirror_in_a_directory_loads_no_aws_library(tmp_path: Path) -> None:
    code = (
        "import atexit, sys; from brew_assets.runtimes.cli import main;"
        "atexit.register(lambda: print([n for n in sys.modules if n.startswith(('boto', 's3transfer'))]));"
        f"sys.argv = ['brew-mirror', '--mirror', {str(tmp_path)!r}, 'status']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


def test_the_simulator_serves_what_it_prints() -> None:
    process = subprocess.Popen(
        [PROGRAM, "simulate", "--formulae", "3", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        printed = ""
        while not printed.rstrip().endswith("}"):
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            printed += line
        environment = json.loads(printed)
        import httpx

        answer = httpx.get(f"{environment['FORMULAE_API_URL']}/formula.json", trust_env=False)
        assert len(answer.json()) >= 3
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0


@pytest.mark.parametrize("upstream", ["https://formulae.brew.sh/api", "nowhere"])
@pytest.mark.parametrize("arguments", [("sync",), ("verify", "--repair")], ids=" ".join)
def test_nothing_real_is_stored_among_the_demos_bottles(
    tmp_path: Path, arguments: tuple[str, ...], upstream: str
) -> None:
    (tmp_path / ".simulated").touch()
    done = run("--mirror", str(tmp_path), *arguments, FORMULAE_API_URL=upstream)
    assert done.returncode == 2
    assert "make demo-clean" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".simulated"]
