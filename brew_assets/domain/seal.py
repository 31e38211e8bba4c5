"""A seal over a JSON document: its last field, `integrity`, is the SHA-256 over all its other bytes.

Every changed byte is seen, one inside a digest too. The sealed documents of a sync, its plan and its
batches, are read back as they were written, or not at all.
"""

import hashlib
import re
from typing import TypeVar

import msgspec

from brew_assets.domain.foreign_text import printable
from brew_assets.domain.proof import shown
from brew_assets.errors import UNREADABLE, PlanInvalid

_INTEGRITY_TAIL = re.compile(rb'"integrity"\s*:\s*"([0-9a-f]{64})"\s*\}\s*\Z')
_TAIL_BYTES = 256

NO_SEAL = "it has no `integrity` field"


def seal(document: bytearray | bytes) -> bytearray:
    """The JSON object, with `integrity` as its last field.

    The digest covers every byte of the result but its own 64 digits. A bytearray is changed in place: the
    manifest of a large mirror has 100 MB.
    """
    if isinstance(document, bytes):
        document = bytearray(document)
    tail = b'"}\n'
    document[-1:] = b',"integrity":"'
    digest = hashlib.sha256(document)
    digest.update(tail)
    document += digest.hexdigest().encode() + tail
    return document


def why_broken(data: bytes) -> str | None:
    """What is wrong with the seal: empty, truncated, changed, or NO_SEAL; None when nothing is."""
    # No operation here may copy the document: it can have more than 100 MB.
    tail = data[-_TAIL_BYTES:]
    if not tail.strip():
        return "expected a JSON document, found an empty file"
    match = _INTEGRITY_TAIL.search(tail)
    if match is None:
        if b'"integrity"' in tail or not _is_json_object(data):
            return "its end is damaged or missing (no readable `integrity` field closes it)"
        return NO_SEAL
    start = len(data) - len(tail) + match.start(1)
    view = memoryview(data)
    digest = hashlib.sha256(view[:start])
    digest.update(view[start + 64 :])
    if digest.hexdigest() != match[1].decode():
        return (
            f"its bytes changed after it was written: `integrity` says {match[1].decode()}, "
            f"the bytes give {digest.hexdigest()}"
        )
    return None


# Made at import: a first decode in a thread would race (msgspec).
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _is_json_object(data: bytes) -> bool:
    try:
        _object_decoder.decode(data)
    except UNREADABLE:
        return False
    return True


# The first version had no seal.
_FINDING_CHARACTERS = 300
_UNSEALED_VERSION = 1

Document = TypeVar("Document", bound=msgspec.Struct)


class SealedKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of document: `name` is `plan` or `batch`, and `<name>_version` the field with its version."""

    name: str
    version: int
    remedy: str

    def invalid(self, where: str, finding: str) -> PlanInvalid:
        """The error about the document at `where`, with what to do."""
        return PlanInvalid(f"{where}: {finding}. {self.remedy}")

    def encode(self, document: msgspec.Struct) -> bytes:
        """The document, sealed."""
        return bytes(seal(msgspec.json.encode(document)))

    def decode(
        self, data: bytes, decoder: "msgspec.json.Decoder[Document]", *, where: str, sealed: bool
    ) -> Document:
        """The document in `data`, whose bytes are those that were sealed.

        `sealed=False` accepts one of the first version too, which had no seal.

        Raises:
            PlanInvalid: no such document, a changed one, or one of another version.
        """
        broken = why_broken(data)
        try:
            document = decoder.decode(data)
        except UNREADABLE as exc:
            # The decoder quotes a value that is none of a few, whatever its length.
            found = broken or printable(str(exc), _FINDING_CHARACTERS)
            raise self.invalid(where, f"expected a {self.name}, found: {found}") from exc
        field = f"{self.name}_version"
        version: int = getattr(document, field)
        if not sealed and broken is NO_SEAL and version == _UNSEALED_VERSION:
            return document
        if version != self.version:
            # Another version may be sealed in another way.
            raise self.invalid(where, f"expected {field} {self.version}, found {shown(version)}")
        if broken is not None:
            raise self.invalid(where, f"expected a {self.name} as it was sealed, found that {broken}")
        return document
