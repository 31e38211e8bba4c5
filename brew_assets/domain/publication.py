"""What clients are served: a publication's record, which never changes, and the pointer to the current one.

A record names what stood in the store, whole and proven, when it was written: API files of one generation,
every bottle that is servable, and every index. Whoever serves reads records, never a listing.
"""

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from brew_assets.domain.bottle import Digest, is_digest, is_index_reference, is_tag
from brew_assets.domain.object_keys import INDEX_PREFIX, parse_key
from brew_assets.domain.proof import is_sync_id, shown, wrong
from brew_assets.domain.seal import seal, why_broken
from brew_assets.errors import UNREADABLE, PublicationInvalid

RECORD_PREFIX = "published/"
POINTER_KEY = f"{RECORD_PREFIX}current.json"
API_PREFIX = "state/upstream/api/"
RECORD_VERSION = 1
_POINTER_REMEDY = "remove it, and `brew-mirror publish` makes another"

# Who is to blame for what lacks: upstream cannot serve it, or this mirror does not hold it.
Fault = Literal["upstream", "mirror"]
# Names of an image: lower-case words, joined by single separators, below each other.
_IMAGE = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")


class PublishedApi(msgspec.Struct, frozen=True, kw_only=True):
    """One `internal/packages.<tag>.jws.json`, kept byte for byte; `generated_at` in seconds since 1970."""

    tag: str
    sha256: Digest
    size: int
    generated_at: int

    @property
    def key(self) -> str:
        """Where its bytes are."""
        return f"{API_PREFIX}{self.sha256}.json"


class PublishedBottle(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One servable bottle; `key` ends in the flat name that brew knows it by."""

    image: str
    digest: Digest
    key: str
    size: int

    @property
    def filename(self) -> str:
        """`jq-1.7.1.arm64_sonoma.bottle.tar.gz`."""
        return self.key.rpartition("/")[2]


class PublishedIndex(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One OCI index, as brew asks for it."""

    image: str
    reference: str
    sha256: Digest

    @property
    def key(self) -> str:
        """Where its bytes are."""
        return f"{INDEX_PREFIX}{self.image}/{self.reference}/{self.sha256}.json"


class Lacking(msgspec.Struct, frozen=True, kw_only=True):
    """A bottle that the API names and that is not servable, and why."""

    name: str
    tag: str
    reason: str
    fault: Fault


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """A record. `publication_id` is time-ordered; `sync_id` is empty where no sync published.

    `created_at` is an ISO 8601 UTC time; `generated_at`, in seconds since 1970, is that of the API files,
    which all have `tap_git_head`.
    """

    record_version: int = RECORD_VERSION
    publication_id: str
    sync_id: str = ""
    created_at: str
    generated_at: int
    tap_git_head: str
    api: tuple[PublishedApi, ...]
    bottles: tuple[PublishedBottle, ...]
    indexes: tuple[PublishedIndex, ...]
    lacking: tuple[Lacking, ...] = ()
    counts: dict[str, int] = {}

    @property
    def key(self) -> str:
        """Where the record is."""
        return record_key(self.publication_id)

    def has_content_of(self, other: "Publication") -> bool:
        """Whether clients would be given the same by both."""
        return (self.api, self.bottles, self.indexes) == (other.api, other.bottles, other.indexes)


class Pointer(msgspec.Struct, frozen=True, kw_only=True):
    """Which record is current: its id, the SHA-256 of its bytes, and since when (ISO 8601, UTC).

    `generated_at` is that of its API files.
    """

    publication_id: str
    sha256: Digest
    current_since: str
    generated_at: int


_record_decoder = msgspec.json.Decoder(Publication)
_pointer_decoder = msgspec.json.Decoder(Pointer)


def record_key(publication_id: str) -> str:
    """Where the record of a publication is."""
    return f"{RECORD_PREFIX}{publication_id}.json"


def counts_of(
    bottles: Iterable[PublishedBottle], indexes: Iterable[PublishedIndex], lacking: Iterable[Lacking]
) -> dict[str, int]:
    """What a record counts: bottles, bytes, indexes, and what lacks by whose fault."""
    sizes, faults = [bottle.size for bottle in bottles], [one.fault for one in lacking]
    return {
        "bottles": len(sizes),
        "bytes": sum(sizes),
        "indexes": sum(1 for _ in indexes),
        "lacking_upstream": faults.count("upstream"),
        "lacking_mirror": faults.count("mirror"),
    }


def encode_publication(publication: Publication) -> bytes:
    """The record as the document that stands in the store, sealed."""
    return bytes(seal(msgspec.json.encode(publication)))


def decode_publication(data: bytes, *, publication_id: str) -> Publication:
    """The record of that id in a document from the store, with every field checked.

    Raises:
        PublicationInvalid: not a record, a changed one, one of another id or version, or one with a field
            that cannot be.
    """
    where = record_key(publication_id)
    broken = why_broken(data)
    try:
        found = _record_decoder.decode(data)
    except UNREADABLE as exc:
        raise PublicationInvalid(f"{where}: expected a publication's record, found: {broken or exc}") from exc
    if found.record_version != RECORD_VERSION:
        why: str | None = wrong("record_version", str(RECORD_VERSION), found.record_version)
    else:
        why = broken or _why_not(found, publication_id)
    if why:
        raise PublicationInvalid(f"{where}: {why}")
    return found


def _why_not(found: Publication, publication_id: str) -> str | None:
    """What is wrong with the first field that cannot be, None when nothing is."""
    if found.publication_id != publication_id or not is_sync_id(publication_id):
        return wrong("publication_id", f"{shown(publication_id)}, that of its key", found.publication_id)
    for api in found.api:
        if not is_tag(api.tag) or not is_digest(api.sha256):
            return wrong("api", "a tag and a SHA-256", f"{api.tag} {api.sha256}")
    for bottle in found.bottles:
        if not is_digest(bottle.digest) or parse_key(bottle.key) is None or not is_image(bottle.image):
            return wrong("bottles", "an image, a SHA-256 and the key of a bottle", bottle.key)
    for index in found.indexes:
        named = f"{index.image}:{index.reference}"
        if not (is_image(index.image) and is_index_reference(index.reference) and is_digest(index.sha256)):
            return wrong("indexes", "an image, a reference and a SHA-256", named)
    return None


def is_image(text: str) -> bool:
    """Whether text is the name of an image of Homebrew's, below `homebrew/core/`."""
    return len(text) <= 255 and _IMAGE.fullmatch(text) is not None


def encode_pointer(pointer: Pointer) -> bytes:
    """The pointer as the document that stands in the store."""
    return msgspec.json.encode(pointer) + b"\n"


def decode_pointer(data: bytes) -> Pointer:
    """The pointer in a document from the store.

    Raises:
        PublicationInvalid: not a pointer, or one that names no record.
    """
    try:
        found = _pointer_decoder.decode(data)
    except UNREADABLE as exc:
        raise PublicationInvalid(
            f"{POINTER_KEY}: expected a pointer to a record, found: {exc}; {_POINTER_REMEDY}"
        ) from exc
    if not is_sync_id(found.publication_id) or not is_digest(found.sha256):
        why = wrong("publication_id", "the id of a record, and its SHA-256", found.publication_id)
        raise PublicationInvalid(f"{POINTER_KEY}: {why}; {_POINTER_REMEDY}")
    return found
