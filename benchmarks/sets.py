"""The work sets: blobs, catalogue and indexes, the same bytes on every machine."""

import hashlib
import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

TAG = "arm64_sonoma"
VERSION = "1.0"
GZIP_MAGIC = b"\x1f\x8b"
SET_NAMES = ("mixed", "small", "large")

_MEDIAN_BYTES = 370_000
_SIGMA = 1.817
# With these two the largest 9 % are a little heavier than the log-normal curve: 2.0 GB and 159 MB in all.
_TAIL_FACTOR = 1.099
_LARGEST_BYTES = 159_000_000

_POOL_BYTES = 16 << 20
_WINDOW_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """One bottle of one formula."""

    formula: str
    size: int
    sha256: str

    @property
    def path(self) -> str:
        """Path of the blob below the registry, without a leading slash."""
        return f"v2/homebrew/core/{self.formula}/blobs/sha256:{self.sha256}"

    @property
    def filename(self) -> str:
        return f"{self.formula}-{VERSION}.{TAG}.bottle.tar.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkSet:
    """A document root on disk and what lies in it."""

    name: str
    root: Path
    blobs: tuple[Blob, ...]

    @property
    def total_bytes(self) -> int:
        return sum(blob.size for blob in self.blobs)


def sizes(name: str) -> list[int]:
    """Blob sizes of a set in bytes, in a fixed order."""
    if name == "small":
        return [50_000] * 3000
    if name == "large":
        return [500_000_000] * 4
    if name != "mixed":
        raise ValueError(f"unknown set {name!r}; known: {', '.join(SET_NAMES)}")
    normal = NormalDist()
    curve = [_MEDIAN_BYTES * math.exp(_SIGMA * normal.inv_cdf((i + 0.5) / 1000)) for i in range(1000)]
    found = [int(size) for size in curve[:910]]
    found += [min(_LARGEST_BYTES, int(size * _TAIL_FACTOR)) for size in curve[910:]]
    random.Random(1).shuffle(found)
    return found


def total_bytes(name: str) -> int:
    """Bytes of all blobs of a set."""
    return sum(sizes(name))


def build(name: str, root: Path) -> WorkSet:
    """Write one set below `root`: `api/formula.json` and, per formula, a blob and its index."""
    pool = memoryview(random.Random(name).randbytes(_POOL_BYTES))
    blobs = tuple(
        _write_blob(root, pool, f"{name}{number:04d}", size) for number, size in enumerate(sizes(name))
    )
    for blob in blobs:
        manifest = root / f"v2/homebrew/core/{blob.formula}/manifests/{VERSION}"
        manifest.parent.mkdir(parents=True)
        manifest.write_text(json.dumps(_index(blob)))
    api = root / "api"
    api.mkdir()
    (api / "formula.json").write_text(json.dumps([_formula(blob) for blob in blobs]))
    return WorkSet(name=name, root=root, blobs=blobs)


def _write_blob(root: Path, pool: memoryview, formula: str, size: int) -> Blob:
    folder = root / f"v2/homebrew/core/{formula}/blobs"
    folder.mkdir(parents=True)
    incoming = folder / "incoming"
    digest = hashlib.sha256()
    with incoming.open("wb", buffering=0) as file:
        for piece in _content(pool, formula, size):
            digest.update(piece)
            file.write(piece)
    blob = Blob(formula=formula, size=size, sha256=digest.hexdigest())
    incoming.rename(root / blob.path)
    return blob


def _content(pool: memoryview, formula: str, size: int) -> Iterator[bytes | memoryview]:
    """Incompressible bytes: the gzip magic, the formula's own bytes, then windows of a random pool."""
    where = random.Random(formula)
    head = GZIP_MAGIC + where.randbytes(min(size, 64) - len(GZIP_MAGIC))
    yield head
    left = size - len(head)
    while left:
        count = min(left, _WINDOW_BYTES)
        start = where.randrange(_POOL_BYTES - count + 1)
        yield pool[start : start + count]
        left -= count


def _formula(blob: Blob) -> dict[str, object]:
    registry = "https://ghcr.io/v2/homebrew/core"
    files = {TAG: {"cellar": ":any", "url": f"https://ghcr.io/{blob.path}", "sha256": blob.sha256}}
    return {
        "name": blob.formula,
        "versions": {"stable": VERSION},
        "revision": 0,
        "deprecated": False,
        "disabled": False,
        "bottle": {"stable": {"rebuild": 0, "root_url": registry, "files": files}},
    }


def _index(blob: Blob) -> dict[str, object]:
    child = hashlib.sha256(f"{blob.formula} manifest".encode()).hexdigest()
    entry = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": f"sha256:{child}",
        "size": 1024,
        "platform": {"architecture": "arm64", "os": "darwin", "os.version": "macOS 14"},
        "annotations": {
            "org.opencontainers.image.ref.name": f"{VERSION}.{TAG}",
            "sh.brew.bottle.digest": blob.sha256,
            "sh.brew.bottle.size": str(blob.size),
        },
    }
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    }
