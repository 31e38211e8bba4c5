"""A mirror as its operator sees it: the command line in processes of its own, and the store's objects."""

import hashlib
import json
import os
import re
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brew_assets.domain.manifest import Entry, decode_manifest
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.simulator import Simulator
from brew_assets_tests.servers import S3Server

PROGRAM = str(Path(sys.executable).parent / "brew-mirror")
PLATFORMS = ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma")
_DATE_FOLDER = re.compile(r"\d{4}-\d{2}-\d{2}/")
_TIMEOUT_S = 240


class MirrorUnderTest(ABC):
    """A store, and `brew-mirror` run against it."""

    settings: dict[str, str]

    @abstractmethod
    def keys(self) -> list[str]:
        """All keys."""

    @abstractmethod
    def read(self, key: str) -> bytes:
        """An object's bytes."""

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Puts an object there, as an operator or an accident would."""

    @abstractmethod
    def remove(self, key: str) -> None:
        """Deletes an object behind the mirror's back."""

    def environment(self, upstream: Simulator, **extra: str) -> dict[str, str]:
        """What a process of this mirror finds in its environment."""
        basics = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        quick = {"RETRY_DELAY_SECONDS": "0.02", "DOWNLOAD_TIMEOUT_SECONDS": "5"}
        return basics | quick | upstream.environment() | self.settings | extra

    def run(self, upstream: Simulator, *arguments: str, **extra: str) -> "subprocess.CompletedProcess[str]":
        """The ended process."""
        return subprocess.run(
            [PROGRAM, *arguments],
            env=self.environment(upstream, **extra),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )

    def start(self, upstream: Simulator, *arguments: str, **extra: str) -> "subprocess.Popen[str]":
        """A running process."""
        return subprocess.Popen(
            [PROGRAM, *arguments],
            env=self.environment(upstream, **extra),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def sync(self, upstream: Simulator, *arguments: str, **extra: str) -> dict[str, Any]:
        """The report of a sync that ends with exit code 0."""
        done = self.run(upstream, "sync", "--json", *arguments, **extra)
        assert done.returncode == 0, done.stderr + done.stdout
        return dict(json.loads(done.stdout))

    def bottle_keys(self) -> list[str]:
        """The keys in date folders."""
        return [key for key in self.keys() if _DATE_FOLDER.match(key)]

    def digests(self) -> dict[str, str]:
        """Bottle key -> SHA-256 of the bytes that stand there."""
        return {key: hashlib.sha256(self.read(key)).hexdigest() for key in self.bottle_keys()}

    def entries(self) -> dict[str, Entry]:
        """The manifest's entries, fully checked; none when there is no manifest."""
        if MANIFEST_KEY not in self.keys():
            return {}
        return dict(decode_manifest(self.read(MANIFEST_KEY)).entries())


class DirectoryMirror(MirrorUnderTest):
    """A mirror in a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = {"MIRROR_URL": str(root)}

    def keys(self) -> list[str]:
        return sorted(
            path.relative_to(self.root).as_posix()
            for path in self.root.rglob("*")
            if path.is_file() and not path.relative_to(self.root).as_posix().startswith(".")
        )

    def read(self, key: str) -> bytes:
        return (self.root / key).read_bytes()

    def write(self, key: str, data: bytes) -> None:
        (self.root / key).parent.mkdir(parents=True, exist_ok=True)
        (self.root / key).unlink(missing_ok=True)
        (self.root / key).write_bytes(data)

    def remove(self, key: str) -> None:
        (self.root / key).unlink()


class BucketMirror(MirrorUnderTest):
    """A mirror below a prefix of a bucket."""

    def __init__(self, server: S3Server) -> None:
        self.server = server
        self.bucket = server.bucket
        self.prefix = f"{server.new_prefix()}/"
        self.settings = server.environment(self.prefix)

    def keys(self) -> list[str]:
        pages = self.server.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix
        )
        return sorted(item["Key"][len(self.prefix) :] for page in pages for item in page.get("Contents", ()))

    def read(self, key: str) -> bytes:
        answer = self.server.client.get_object(Bucket=self.bucket, Key=self.prefix + key)
        return bytes(answer["Body"].read())

    def write(self, key: str, data: bytes) -> None:
        self.server.client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=data)

    def remove(self, key: str) -> None:
        self.server.client.delete_object(Bucket=self.bucket, Key=self.prefix + key)


def wanted(upstream: Simulator, platforms: tuple[str, ...] = PLATFORMS) -> Mapping[str, str]:
    """File name -> digest of every bottle that serves the platforms, by the product's own choice."""
    from brew_assets.domain.catalogue import choose_bottles, decode_catalogue

    data = upstream.world.catalogue_json()
    catalogue = decode_catalogue(data, sha256=hashlib.sha256(data).hexdigest())
    return {bottle.filename: bottle.digest for bottle, _ in choose_bottles(catalogue, platforms)}


def assert_consistent(mirror: MirrorUnderTest, upstream: Simulator) -> None:
    """No partial or foreign object stands in a date folder, and every manifest entry has its object."""
    found = mirror.digests()
    for key, digest in found.items():
        names = {bottle.filename for bottle in upstream.world.named(digest)}
        assert key.split("/")[1] in names, f"{key} is not a whole bottle"
    for entry in mirror.entries().values():
        assert found.get(entry.s3_key) == entry.sha256, f"{entry.s3_key} is recorded and not there"


def assert_complete(mirror: MirrorUnderTest, upstream: Simulator) -> None:
    """Everything that the platforms need is recorded, and stands there whole."""
    assert_consistent(mirror, upstream)
    recorded = {entry.s3_key.split("/")[1]: entry.sha256 for entry in mirror.entries().values()}
    for filename, digest in wanted(upstream).items():
        assert recorded.get(filename) == digest, f"{filename} is not recorded"
