"""External hash files: digests of bottles that somebody has already, which a sync skips.

Two shapes are read: our manifest's, and a plain JSON list of digests. Every entry is checked by itself; a
bad one is named and left out, it never spoils the others.
"""

from typing import Any

import msgspec

from brew_assets.domain.bottle import is_digest
from brew_assets.errors import UNREADABLE, HashFileInvalid

MAX_HASH_FILE_BYTES = 256 * 1024 * 1024
_NAMED_AT_MOST = 20


class HashList(msgspec.Struct, frozen=True, kw_only=True):
    """The digests of one external hash file. `rejected` counts bad entries, `examples` names some."""

    digests: frozenset[str]
    rejected: int = 0
    examples: tuple[str, ...] = ()


class _ManifestShape(msgspec.Struct):
    bottles: dict[str, Any]


_decoder = msgspec.json.Decoder(list[Any] | _ManifestShape)


def decode_hash_file(data: bytes) -> HashList:
    """The digests in a hash file.

    Raises:
        HashFileInvalid: it is neither a manifest nor a JSON list, or too large.
    """
    if len(data) > MAX_HASH_FILE_BYTES:
        raise HashFileInvalid(f"expected at most {MAX_HASH_FILE_BYTES} bytes, found {len(data)}")
    try:
        document = _decoder.decode(data)
    except UNREADABLE as exc:
        raise HashFileInvalid(f"expected a manifest or a JSON list of digests, found: {exc}") from exc
    if isinstance(document, _ManifestShape):
        named = [(key, _digest_of_entry(entry)) for key, entry in document.bottles.items()]
    else:
        named = [(f"entry {number}", value) for number, value in enumerate(document)]
    digests: set[str] = set()
    bad: list[str] = []
    for name, value in named:
        digest = value.removeprefix("sha256:") if isinstance(value, str) else ""
        if is_digest(digest):
            digests.add(digest)
        else:
            bad.append(f"{name[:120]}: expected 64 lower-case hex digits, found {str(value)[:40]!r}")
    return HashList(digests=frozenset(digests), rejected=len(bad), examples=tuple(bad[:_NAMED_AT_MOST]))


def _digest_of_entry(entry: Any) -> Any:
    return entry.get("sha256") if isinstance(entry, dict) else entry
