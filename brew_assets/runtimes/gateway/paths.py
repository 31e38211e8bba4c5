"""What an address of the gateway asks for.

Paths come decoded: `@`, `+` and `:` are one name however a client wrote them. A path that names nothing is
no mistake of ours, whatever it is made of: it leads to None.
"""

import re
from typing import Literal

import msgspec

from brew_assets.domain.bottle import is_digest, is_index_reference, is_tag, parse_filename
from brew_assets.domain.publication import is_image

# Of a base address that ends in /v2, clients before 2026-08-10 made /v2/v2/.
_CORE = ("/v2/homebrew/core/", "/v2/v2/homebrew/core/")
_FLAT = "/bottles/"
_API = "/api/"
_PACKAGES = re.compile(r"internal/packages\.([a-z0-9_]{1,64})\.jws\.json")
# What brew asks the API for before 6.0.
_OLD_API = frozenset(
    {
        "formula.jws.json",
        "cask.jws.json",
        "formula_tap_migrations.jws.json",
        "cask_tap_migrations.jws.json",
    }
)
LONGEST = 1024


class IndexPath(msgspec.Struct, frozen=True):
    """An OCI index."""

    image: str
    reference: str


class BlobPath(msgspec.Struct, frozen=True):
    """A bottle by its digest."""

    image: str
    digest: str


class FlatPath(msgspec.Struct, frozen=True):
    """A bottle by its flat name."""

    filename: str


class ApiPath(msgspec.Struct, frozen=True):
    """The signed packages file of a tag."""

    tag: str


class OldApiPath(msgspec.Struct, frozen=True):
    """A file of the API that only earlier versions of brew ask for."""

    name: str


class HealthPath(msgspec.Struct, frozen=True):
    """Whether the process is alive, or ready."""

    kind: Literal["healthz", "readyz"]


Path = IndexPath | BlobPath | FlatPath | ApiPath | OldApiPath | HealthPath


def read_path(path: str) -> Path | None:
    """What the path asks for, None when it is no address of the gateway."""
    if len(path) > LONGEST:
        return None
    for prefix in _CORE:
        if path.startswith(prefix):
            below = path[len(prefix) :]
            return _index_path(below) or _blob_path(below)
    if path.startswith(_FLAT):
        below = path[len(_FLAT) :]
        # A flat name has no slash.
        return _index_path(below) if "/" in below else _flat_path(below)
    if path.startswith(_API):
        return _api_path(path[len(_API) :])
    if path == "/healthz":
        return HealthPath("healthz")
    return HealthPath("readyz") if path == "/readyz" else None


def _index_path(below: str) -> IndexPath | None:
    image, found, reference = below.rpartition("/manifests/")
    if found and is_image(image) and is_index_reference(reference):
        return IndexPath(image, reference)
    return None


def _blob_path(below: str) -> BlobPath | None:
    image, found, digest = below.rpartition("/blobs/sha256:")
    return BlobPath(image, digest) if found and is_image(image) and is_digest(digest) else None


def _flat_path(below: str) -> FlatPath | None:
    return FlatPath(below) if parse_filename(below) is not None else None


def _api_path(below: str) -> ApiPath | OldApiPath | None:
    match = _PACKAGES.fullmatch(below)
    if match is not None and is_tag(match[1]):
        return ApiPath(match[1])
    return OldApiPath(below) if below in _OLD_API else None
