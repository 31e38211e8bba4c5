"""OCI indexes and child manifests of bottles: which digest has which size.

Annotations: Homebrew/brew `github_packages.rb`; `sh.brew.bottle.size` exists since 2023-04 and is optional.
"""

from collections.abc import Iterable, Mapping

import msgspec

from brew_assets.domain.bottle import is_digest
from brew_assets.errors import UNREADABLE

INDEX_MEDIA_TYPE = "application/vnd.oci.image.index.v1+json"
CHILD_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
# brew refuses to upload an index of 4 MiB or more.
MAX_INDEX_BYTES = 4 * 1024 * 1024
MAX_BOTTLE_BYTES = 5 * 1024**4  # the largest object S3 holds; a larger annotation is nonsense

_DIGEST_ANNOTATION = "sh.brew.bottle.digest"
_SIZE_ANNOTATION = "sh.brew.bottle.size"


# Ten times what 4 MiB of real entries have, with all the objects that their annotations quote.
MAX_OBJECTS = 100_000


class _Descriptor(msgspec.Struct):
    digest: str = ""
    size: int = 0
    annotations: dict[str, str] = {}


class _Index(msgspec.Struct):
    manifests: list[_Descriptor]


class _Child(msgspec.Struct):
    layers: list[_Descriptor]


# Made here: sizes are looked up by several threads, and a first decode of nested structs is not safe in one.
_index_decoder = msgspec.json.Decoder(_Index)
_child_decoder = msgspec.json.Decoder(_Child)


class IndexedBottle(msgspec.Struct, frozen=True):
    """What an index says of one bottle. `child` is the digest of its child manifest, "" if unreadable."""

    digest: str
    size: int | None
    child: str


def decode_index(data: bytes) -> dict[str, IndexedBottle]:
    """Bottle digest -> what the index says of it. Entries without a bottle digest are left out.

    Raises:
        ValueError: the bytes are no OCI index.
    """
    bottles = {}
    for entry in _decoded(data).manifests:
        digest = entry.annotations.get(_DIGEST_ANNOTATION, "").removeprefix("sha256:")
        if is_digest(digest):
            bottles[digest] = IndexedBottle(digest, _size(entry.annotations), _child(entry.digest))
    return bottles


def entries_of_index(data: bytes) -> list[Mapping[str, str]]:
    """The annotations of every entry of an index.

    Raises:
        ValueError: the bytes are no OCI index.
    """
    return [entry.annotations for entry in _decoded(data).manifests]


def _decoded(data: bytes) -> _Index:
    try:
        _check_objects(data)
        return _index_decoder.decode(data)
    except UNREADABLE as exc:
        raise ValueError(f"expected an OCI index, found: {exc}") from exc


def _check_objects(data: bytes) -> None:
    """Counted before they are made: an empty object has 3 bytes here and a hundred in memory.

    Raises:
        msgspec.ValidationError: there are too many.
    """
    if data.count(b"{") > MAX_OBJECTS:
        raise msgspec.ValidationError(f"expected at most {MAX_OBJECTS} objects, found more")


def _size(annotations: dict[str, str]) -> int | None:
    text = annotations.get(_SIZE_ANNOTATION, "")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        return None
    size = int(text)
    return size if 0 < size <= MAX_BOTTLE_BYTES else None


def _child(digest: str) -> str:
    hexadecimal = digest.removeprefix("sha256:")
    return hexadecimal if is_digest(hexadecimal) else ""


def decode_child_size(data: bytes, *, digest: str) -> int | None:
    """The size of the layer with the bottle's digest in a child manifest, None if it names none.

    Raises:
        ValueError: the bytes are no OCI image manifest.
    """
    try:
        _check_objects(data)
        child = _child_decoder.decode(data)
    except UNREADABLE as exc:
        raise ValueError(f"expected an OCI image manifest, found: {exc}") from exc
    sizes = (layer.size for layer in child.layers if layer.digest == f"sha256:{digest}")
    return next((size for size in sizes if 0 < size <= MAX_BOTTLE_BYTES), None)


def covers(bottles: dict[str, IndexedBottle], digests: Iterable[str]) -> bool:
    """Whether an index names every one of the digests; an index may gain platforms after its release."""
    return all(digest in bottles for digest in digests)
