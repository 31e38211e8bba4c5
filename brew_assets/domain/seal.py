"""A seal over a JSON document: its last field, `integrity`, is the SHA-256 over all its other bytes.

Every changed byte is seen, one inside a digest too.
"""

import hashlib
import re

import msgspec

from brew_assets.errors import UNREADABLE

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
