"""The wheel of `make build`, installed alone into an empty environment, is a command line that works."""

import http.client
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from brew_assets_tests.ports import free_ports

ROOT = Path(__file__).parents[2]
BUILD = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
UV = Path(sys.executable).with_name("uv")


def run(*command: "str | Path", env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """brew-mirror of the wheel, in an environment that has nothing besides it and its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    # As `make build`, from a copy: setuptools writes beside what it builds.
    source = folder / "source"
    kept = ("brew_assets", "pyproject.toml", "README.md", "LICENSE")
    source.mkdir()
    for name in kept:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    run(*BUILD, "-w", folder, source)
    (wheel,) = folder.glob("*.whl")
    place = folder / "empty"
    run(UV, "venv", "--quiet", "--python", sys.executable, place)
    # In the versions of the lock; its hashes name what is not wanted here too.
    pinned = folder / "pinned.txt"
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pinned.write_text("".join(f"{line.split()[0]}\n" for line in lines if "==" in line and line[0].isalnum()))
    install = (UV, "pip", "install", "--quiet", "--python", place / "bin" / "python", "-c", pinned, wheel)
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode and not os.environ.get("CI"):
        pytest.skip(f"no registry of packages could be asked: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    return place / "bin" / "brew-mirror"


@pytest.fixture
def upstream(program: Path) -> Iterator[dict[str, str]]:
    """The variables that `brew-mirror simulate` of the wheel prints."""
    command = [str(program), "simulate", "--formulae", "4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            printed = itertools.islice(process.stdout, 4)
            found = dict(line.strip().removeprefix("export ").split("=", 1) for line in printed)
            yield found
        finally:
            process.terminate()


def test_it_has_the_command_line_and_nothing_of_dagster(program: Path) -> None:
    assert "brew-mirror" in run(program, "--help")
    listed = run(UV, "pip", "list", "--python", program.with_name("python"), "--format", "json")
    names = {package["name"] for package in json.loads(listed)}
    assert "brew-assets" in names
    assert not {name for name in names if name.startswith("dagster")}


def test_it_syncs_from_its_own_simulated_upstream(
    program: Path, upstream: dict[str, str], tmp_path: Path
) -> None:
    env = {"PATH": os.environ["PATH"], "MIRROR_URL": str(tmp_path / "mirror"), **upstream}
    report = json.loads(run(program, "sync", "--json", "--platform", "arm64_sonoma", env=env))
    assert report["outcome"] == "success"
    assert report["stored"] > 0
    assert (tmp_path / "mirror" / "bottles_hash.json").is_file()


def test_its_gateway_answers_and_says_that_nothing_is_published_yet(program: Path, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    env = {"PATH": os.environ["PATH"], "MIRROR_URL": str(tmp_path / "mirror")}
    with subprocess.Popen(
        [str(program), "serve", "--port", str(port)], env=env, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            said = next(line for line in process.stderr if line.startswith("Serving "))
            assert f"at http://127.0.0.1:{port}; Ctrl-C ends it." in said
            for path, status in (("/healthz", 200), ("/readyz", 503)):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                connection.request("GET", path)
                assert connection.getresponse().status == status
                connection.close()
        finally:
            process.terminate()
    assert process.returncode == 0


def test_make_build_makes_the_wheel_that_is_tried_here() -> None:
    (recipe,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if "pip wheel" in line]
    assert {*BUILD[3:], "-w", "dist", "."} <= set(recipe.split())
    assert "`make build`, then `pipx install dist/brew_assets-*.whl`" in (ROOT / "README.md").read_text()


def test_the_workflow_calls_what_the_readme_names_on_every_python() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "check.yml").read_text())
    job = workflow["jobs"]["check"]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make check", "make test"]
    project = (ROOT / "pyproject.toml").read_text()
    assert 'requires-python = ">=3.11,<3.15"' in project
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13", "3.14"]


def test_each_commit_is_checked_as_ci_checks_it() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == ["make check"]
