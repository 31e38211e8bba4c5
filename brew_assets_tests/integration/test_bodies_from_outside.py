"""Catalogues and hash files that mean no good, through the command line: memory, time, signals, secrets."""

import gzip
import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks import measure
from brew_assets.simulator import Simulator, World
from brew_assets_tests.integration.mirrors import PROGRAM, DirectoryMirror
from brew_assets_tests.local_aws.session import wait_for
from brew_assets_tests.raw_server import head, raw_server, stalls, whole

MIB = 1024 * 1024
EMOJI = "\U0001f37a".encode()
# The figures of docs/limits.md: of the process as a whole, whatever comes.
MOST_MIB_FOR_A_CATALOGUE = 1024
MOST_MIB_BESIDE_A_HASH_FILE = 96
_CPU_S = 120
_TIMEOUT_S = 240
# A net: whatever is not bounded ends there and not with the machine.
_LIMITS = f"ulimit -d {2048 * 1024} -t {_CPU_S}"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    said: str
    peak_mib: float


class Commands:
    """`brew-mirror` on a directory, with limits of the kernel around it."""

    def __init__(self, folder: Path) -> None:
        self.mirror = DirectoryMirror(folder / "mirror")
        self._folder = folder

    def environment(self, environment: dict[str, str]) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], **self.mirror.settings, **environment}

    def run(self, environment: dict[str, str], *arguments: str) -> Ended:
        """Started by a small process: a child's peak is never less than what its parent had."""
        log = self._folder / "log"
        log.unlink(missing_ok=True)
        order = {
            "stages": [["/bin/sh", "-c", f'{_LIMITS}; exec "$@"', "sh", PROGRAM, *arguments]],
            "env": self.environment(environment),
            "log": str(log),
            "folder": str(self._folder),
        }
        done = subprocess.run(
            [sys.executable, "-I", "-S", measure.__file__],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        stage = json.loads(done.stdout)["stages"][0]
        return Ended(stage["code"], log.read_text(errors="replace"), stage["peak_kib"] / 1024)


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Simulator]:
    world = World(seed=83)
    world.publish("jq", "1.8.1", tags=["arm64_sonoma"])
    with Simulator(world) as running:
        yield running


@cache
def blanks(mib: int, *, times: int = 1) -> bytes:
    """So many MiB of blanks, compressed so many times."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = b"".join([compressor.compress(b" " * MIB) for _ in range(mib)]) + compressor.flush()
    for _ in range(times - 1):
        body = gzip.compress(body)
    return body


def minimal_formulae(count: int) -> bytes:
    each = b'{"name":"a%d","versions":{"stable":"1"},"bottle":{}}'
    return b"[" + b",".join(each % number for number in range(count)) + b"]"


def formulae_with(members: Callable[[int], bytes], count: int) -> bytes:
    each = b'{"name":"a%d","versions":{"stable":"1"},"bottle":{},%s}'
    return b"[" + b",".join(each % (number, members(number)) for number in range(count)) + b"]"


def aliases(number: int) -> bytes:
    return b'"aliases":[' + b",".join(b'"%x%x"' % (number, other) for other in range(95)) + b"]"


CATALOGUES: dict[str, tuple[Callable[[], bytes], str]] = {
    "two gzips": (lambda: blanks(512, times=2), "gzip, gzip"),
    "one gzip": (lambda: blanks(512), "gzip"),
    "minimal formulae": (lambda: minimal_formulae(1_000_000), "identity"),
    "numbers": (lambda: b"[" + b"1," * 3_900_000 + b"1]", "identity"),
    # A text with one emoji takes four bytes for each of its characters.
    "one text": (
        lambda: formulae_with(lambda _: b'"oldnames":["' + b"x" * 125 * MIB + EMOJI + b'"]', 1),
        "identity",
    ),
    "texts": (
        lambda: formulae_with(lambda _: b'"oldnames":["' + b"x" * 2_500 + EMOJI + b'"]', 49_000),
        "identity",
    ),
    "aliases": (lambda: formulae_with(aliases, 38_000), "identity"),
}


@pytest.mark.parametrize("name", CATALOGUES)
def test_a_catalogue_takes_bounded_memory_and_leaves_the_kept_one(commands: Commands, name: str) -> None:
    make, encoding = CATALOGUES[name]
    kept = commands.mirror.root / "state/upstream/formula/latest.json"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b'{"kept": "before"}')
    (commands.mirror.root / "bottles_hash.json").write_bytes(b"")
    with raw_server(whole(make(), f"Content-Encoding: {encoding}")) as server:
        ended = commands.run({"FORMULAE_API_URL": server.url}, "plan", "--no-sizes", "--dry-run")
    assert ended.code == 2, ended.said
    assert "Traceback" not in ended.said
    assert "MemoryError" not in ended.said
    assert ended.peak_mib < MOST_MIB_FOR_A_CATALOGUE
    assert kept.read_bytes() == b'{"kept": "before"}'


HASH_FILES: dict[str, Callable[[], bytes]] = {
    "8 MiB of numbers": lambda: b"[" + b"1," * (4 * MIB) + b"1]",
    "32 MiB of numbers": lambda: b"[" + b"1," * (16 * MIB) + b"1]",
    "entries": lambda: b'{"bottles":{' + b'"a":{"sha256":1},' * 500_000 + b'"a":1}}',
    "digests": lambda: b"[" + b",".join(b'"%064x"' % number for number in range(1_000_000)) + b"]",
}


@pytest.mark.parametrize("name", HASH_FILES)
def test_a_hash_file_takes_bounded_memory_and_stops_nothing(
    commands: Commands, upstream: Simulator, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "hashes.json"
    file.write_bytes(HASH_FILES[name]())
    environment = upstream.environment() | {"EXTERNAL_HASH_FILE_PATH": str(file)}
    ended = commands.run(environment, "plan", "--json", "--no-sizes", "--platform", "arm64_sonoma")
    assert ended.code == 0, ended.said
    assert "Traceback" not in ended.said
    assert "hashes.json" in ended.said or name == "digests"
    assert ended.peak_mib < MOST_MIB_BESIDE_A_HASH_FILE + 2 * file.stat().st_size / MIB


def test_a_hash_file_packed_twice_or_a_device_stops_nothing(commands: Commands, upstream: Simulator) -> None:
    with raw_server(whole(blanks(512, times=2), "Content-Encoding: gzip, gzip")) as server:
        for extra in (
            {"EXTERNAL_HASH_FILE_URL": server.url},
            {"EXTERNAL_HASH_FILE_PATH": "/dev/zero"},
        ):
            ended = commands.run(upstream.environment() | extra, "plan", "--no-sizes", "--dry-run")
            assert ended.code == 0, ended.said
            assert "the sync goes on without it" in " ".join(ended.said.split())
            assert ended.peak_mib < MOST_MIB_BESIDE_A_HASH_FILE


@pytest.mark.parametrize("what", ["FORMULAE_API_URL", "EXTERNAL_HASH_FILE_URL"])
@pytest.mark.parametrize("sent", [b"", head(100) + b"["], ids=["head", "body"])
def test_a_stop_signal_is_heard_while_something_is_fetched(
    commands: Commands, upstream: Simulator, what: str, sent: bytes
) -> None:
    with raw_server(stalls(sent)) as server:
        environment = commands.environment(upstream.environment() | {what: server.url})
        process = subprocess.Popen(
            [PROGRAM, "sync", "--platform", "arm64_sonoma"],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_for(lambda: len(server.requests) == 1, what="a request", timeout_s=60)
            process.send_signal(signal.SIGTERM)
            # The answer never comes: only the signal can end this.
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 1, said
    assert "Stopped before there was a plan; nothing was copied" in said
    assert "Traceback" not in said
    assert commands.mirror.bottle_keys() == []


def test_passwords_of_addresses_stand_nowhere(
    commands: Commands, upstream: Simulator, tmp_path: Path
) -> None:
    """Not in the store, not in what is said, whether all goes well or nothing."""

    def planted(url: str) -> str:
        return url.replace("://", "://user:PLANTED@")

    (tmp_path / "hashes.json").write_bytes(b"[]")
    with raw_server(whole(b"[1]")) as server:
        environment = upstream.environment()
        environment |= {
            "FORMULAE_API_URL": planted(environment["FORMULAE_API_URL"]),
            "EXTERNAL_HASH_FILE_URL": f"{planted(server.url)}/hashes.json?token=PLANTED",
            "DAGSTER_URL": "https://user:PLANTED@dagster.example",
        }
        good = commands.run(environment, "sync", "--json", "--platform", "arm64_sonoma")
    assert good.code == 0, good.said
    latest = json.loads((commands.mirror.root / "state/upstream/formula/latest.json").read_bytes())
    assert latest["url"] == f"{upstream.environment()['FORMULAE_API_URL']}/formula.json"
    said = good.said
    for name, value in (
        ("FORMULAE_API_URL", "https://user:PLANTED@127.0.0.1:1/api"),
        ("BOTTLE_REGISTRY_URL", "ftp://user:PLANTED@127.0.0.1:1"),
        ("BOTTLE_REGISTRY_URL", "https://user:PLANTED@127.0.0.1:1"),
    ):
        extra = {name: value, "RETRY_ATTEMPTS": "0", "DOWNLOAD_TIMEOUT_SECONDS": "2"}
        said += commands.run(environment | extra, "plan", "--json", "--platform", "arm64_sonoma").said
    endpoint = {"MIRROR_URL": "s3://bucket/x", "AWS_ENDPOINT_URL": "http://user:PLANTED@127.0.0.1:1"}
    credentials = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    said += commands.run(environment | endpoint | credentials, "status").said
    assert "PLANTED" not in said
    for file in commands.mirror.root.rglob("*"):
        assert not file.is_file() or b"PLANTED" not in file.read_bytes(), file
