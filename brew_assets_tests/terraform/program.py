"""Terraform as an operator runs it, in a copy of the sources; an AWS account that moto plays."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from brew_assets_tests.local_aws.session import wait_for
from brew_assets_tests.ports import free_ports

SOURCES = Path(__file__).resolve().parents[2] / "infra" / "terraform"
REGION = "us-west-2"
_LOCK = ".terraform.lock.hcl"
_PROVIDER = Path("registry.terraform.io") / "hashicorp" / "aws"
# Where a mirror of the provider may lie besides the places that Terraform looks at by itself.
_SHARED = ("/opt", "/usr/local/share", "/usr/share", "/srv")
_INSTALLATION = """provider_installation {
  filesystem_mirror {
    path    = "MIRROR"
    include = ["registry.terraform.io/hashicorp/*"]
  }
  direct { exclude = ["registry.terraform.io/hashicorp/*"] }
}
"""
_TIMEOUT_S = 900
# What an operator's own work leaves in the sources: state, values, a backend.
_LEFT_OUT = shutil.ignore_patterns(".terraform", "*.tfstate*", "*.tfvars", "*.tfplan", "backend.tf")
# How this machine reaches the registry. Go asks no proxy for loopback addresses.
_WAY_OUT = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "TF_PLUGIN_CACHE_DIR")
# The provider's 25 tries would turn every call that the server does not know into minutes.
_OVERRIDE = 'provider "aws" {\n  max_retries = 4\n}\n'


def missing(reason: str) -> None:
    """The test is skipped on a person's machine and fails in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def find_terraform() -> str:
    """The program; without it the test ends here."""
    path = shutil.which("terraform")
    if path is None:
        missing("terraform is not installed: https://developer.hashicorp.com/terraform/install")
    return str(path)


def find_mirror() -> Path | None:
    """A folder with an unpacked provider, None when there is none."""
    named = os.environ.get("TF_PLUGIN_MIRROR", "")
    if named:
        return Path(named)
    for shared in map(Path, _SHARED):
        folders: list[Path] = [shared, *(sorted(shared.glob("*")) if shared.is_dir() else ())]
        for folder in folders:
            if (folder / _PROVIDER).is_dir():
                return folder
    return None


def cli_config(folder: Path) -> dict[str, str]:
    """The variable that names Terraform's configuration; one is made where a mirror is found."""
    named = os.environ.get("TF_CLI_CONFIG_FILE", "")
    if named and Path(named).is_file():
        return {"TF_CLI_CONFIG_FILE": named}
    mirror = find_mirror()
    path = folder / "terraform.rc"
    block = ""
    if mirror is not None:
        block = _INSTALLATION.replace("MIRROR", str(mirror))
    path.write_text(block)
    return {"TF_CLI_CONFIG_FILE": str(path)}


def copy_sources(source: Path, target: Path) -> None:
    """The configuration stands in `target` without what an operator's own work left beside it."""
    shutil.copytree(source, target, ignore=_LEFT_OUT)


def way_out(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that say how to reach the registry."""
    return {name: value for name, value in environment.items() if name.upper() in _WAY_OUT}


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a call of Terraform gave."""

    code: int
    output: str


class Terraform:
    """Terraform in a copy of the sources; nothing is left in the project's folder."""

    def __init__(self, folder: Path, *, endpoint: str = "", region: str = REGION) -> None:
        self.program = find_terraform()
        self.root = folder / "terraform"
        copy_sources(SOURCES, self.root)
        # One of each worker of pytest: the provider is unpacked once, and Terraform does not share caches.
        plugins = folder.parent / "terraform-plugins"
        plugins.mkdir(exist_ok=True)
        self.environment = {
            "TF_PLUGIN_CACHE_DIR": str(plugins),
            **way_out(os.environ),
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "CHECKPOINT_DISABLE": "1",
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            **cli_config(folder),
        }
        if endpoint:
            # An IP address, so that the SDK puts the bucket into the path.
            self.environment["AWS_ENDPOINT_URL"] = endpoint
            (self.root / "moto_override.tf").write_text(_OVERRIDE)

    def run(self, *arguments: str, at: Path | None = None, check: bool = True) -> Done:
        """What Terraform said; an exit code other than 0 fails the test unless `check` is false."""
        done = subprocess.run(
            [self.program, *arguments],
            cwd=at or self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        output = f"{done.stdout}\n{done.stderr}"
        if check and done.returncode:
            pytest.fail(f"terraform {' '.join(arguments)} in {at or self.root}:\n{output[-6000:]}")
        return Done(code=done.returncode, output=output)

    def init(self, at: Path | None = None) -> None:
        """Provider and modules are there, the provider being the root's."""
        if at is not None and at != self.root:
            shutil.copy(self.root / _LOCK, at / _LOCK)
        done = self.run("init", "-backend=false", "-no-color", "-lockfile=readonly", at=at, check=False)
        if done.code and "Failed to query available provider packages" in done.output:
            missing(f"the provider hashicorp/aws cannot be had:\n{done.output[-2000:]}")
        if done.code:
            pytest.fail(done.output[-6000:])

    def apply(self, *arguments: str) -> None:
        """The account is as the configuration says."""
        self.run("apply", "-auto-approve", "-no-color", *arguments)

    def changes(self, *arguments: str) -> dict[str, tuple[list[str], set[str]]]:
        """What a new plan would do: address -> its actions and the attributes that differ."""
        self.run("plan", "-no-color", "-out=again.tfplan", *arguments)
        shown = self.run("show", "-json", "again.tfplan").output
        plan = json.loads(shown[: shown.rindex("}") + 1])
        found = {}
        for change in plan.get("resource_changes", ()):
            actions = change["change"]["actions"]
            if actions not in (["no-op"], ["read"]):
                before, after = change["change"].get("before") or {}, change["change"].get("after") or {}
                names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
                found[change["address"]] = (actions, names)
        return found

    def outputs(self) -> dict[str, Any]:
        """The root's outputs."""
        shown = self.run("output", "-json").output
        found = json.loads(shown[: shown.rindex("}") + 1])
        return {name: output["value"] for name, output in found.items()}

    def destroy(self, *arguments: str) -> None:
        """Nothing of it is left.

        Tried twice: moto answers 500 when something is deleted again whose first answer was lost.
        """
        command = ("destroy", "-auto-approve", "-no-color", *arguments)
        if self.run(*command, check=False).code:
            self.run(*command)

    def resources(self, kind: str) -> list[dict[str, Any]]:
        """The attributes of every resource of that type in the state."""
        shown = self.run("show", "-json").output
        root = json.loads(shown[: shown.rindex("}") + 1])["values"]["root_module"]
        found: list[dict[str, Any]] = []
        waiting = [root]
        while waiting:
            module = waiting.pop()
            waiting += module.get("child_modules", [])
            found += [r["values"] for r in module.get("resources", []) if r["type"] == kind]
        return found

    def addresses(self) -> list[str]:
        """What the state still names."""
        return [line for line in self.run("state", "list").output.splitlines() if line.strip()]


@contextlib.contextmanager
def moto_account() -> Iterator[str]:
    """The address of an AWS account without anything in it, played by an unpatched moto."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=_without_settings(os.environ),
        start_new_session=True,
    )
    try:
        wait_for(lambda: _answers(url), what="moto", timeout_s=60)
        # Otherwise it tries Docker when something invokes a function.
        httpx.post(
            f"{url}/moto-api/config", json={"lambda": {"use_docker": False}}, timeout=60
        ).raise_for_status()
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/moto-api/data.json", timeout=2).status_code == httpx.codes.OK
    return False


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(("AWS_", "TF_"))}


def modules() -> Sequence[str]:
    """The names of the root's modules."""
    return sorted(path.name for path in (SOURCES / "modules").iterdir() if path.is_dir())


def names_of_variables() -> set[str]:
    """The variables that the root declares."""
    return set(re.findall(r'^variable "(\w+)"', _root_text(), re.MULTILINE))


def without_effect() -> list[str]:
    """The root's variables that are accepted and change nothing."""
    return re.findall(r'^variable "(\w+)" \{\n  description = "No effect', _root_text(), re.MULTILINE)


def names_of_values(text: str) -> set[str]:
    """The variables that a file of values sets."""
    return set(re.findall(r"^(\w+)\s+=", text, re.MULTILINE))


def _root_text() -> str:
    return "\n".join(path.read_text() for path in SOURCES.glob("*.tf"))
