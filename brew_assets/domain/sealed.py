"""Sealed documents of a sync, its plan and its batches: read back as they were written, or not at all."""

from typing import TypeVar

import msgspec

from brew_assets.domain.foreign_text import printable
from brew_assets.domain.proof import shown
from brew_assets.domain.seal import NO_SEAL, seal, why_broken
from brew_assets.errors import UNREADABLE, PlanInvalid

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
