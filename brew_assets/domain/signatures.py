"""Who signed a file of Homebrew's API: PS512 over the payload as it stands (RFC 7515 and RFC 7797).

The file is a JWS in JSON form: `payload`, a JSON text, and `signatures`, each with the id of its key (`kid`)
in its header. When a key rolls, a file carries signatures of two.
"""

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec

from brew_assets.errors import UNREADABLE, PublicationInvalid

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

ALGORITHM = "PS512"
# The real ones have 16 MB with all casks (September 2026).
MAX_FILE_BYTES = 64 * 1024 * 1024
# One, or two while a key rolls.
MAX_SIGNATURES = 16
_MAX_SIGNATURE_CHARACTERS = 4096
_REMEDY = (
    "Nothing of it is kept. Look where FORMULAE_API_URL leads; API_PUBLIC_KEY names the keys of another "
    "publisher"
)


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that may sign; `kid` is what signatures call it, `pem` the text of its file."""

    kid: str
    pem: bytes


class _Header(msgspec.Struct):
    kid: str = ""


class _Signature(msgspec.Struct):
    protected: str
    signature: Annotated[str, msgspec.Meta(max_length=_MAX_SIGNATURE_CHARACTERS)]
    header: _Header = msgspec.field(default_factory=_Header)


class _Document(msgspec.Struct):
    payload: str
    signatures: Annotated[list[_Signature], msgspec.Meta(max_length=MAX_SIGNATURES)]


class _Protected(msgspec.Struct):
    alg: str = ""
    b64: bool = True
    crit: list[str] = []


_document_decoder = msgspec.json.Decoder(_Document)
_protected_decoder = msgspec.json.Decoder(_Protected)


def why_no_key(key: PublicKey) -> str | None:
    """What the PEM file is instead of an RSA key's public half; None when it is one."""
    from joserfc.jwk import RSAKey

    try:
        found = RSAKey.import_key(key.pem)
    except Exception as exc:  # several libraries' errors: whatever it is, it is no key
        return f"something else ({type(exc).__name__})"
    return "a private key, which nobody needs here and everybody would want" if found.is_private else None


def verified_payload(data: bytes, keys: Sequence[PublicKey], *, where: str) -> str:
    """The text that one of the keys' owners signed; `where` is what an error calls the file.

    All signatures of keys that are known must be right, of others nothing is known.

    Raises:
        PublicationInvalid: no such file, nobody of the keys has signed it, or a signature is wrong.
    """
    if len(data) > MAX_FILE_BYTES:
        raise _refused(where, f"at most {MAX_FILE_BYTES:,} bytes", f"{len(data):,}")
    try:
        document = _document_decoder.decode(data)
    except UNREADABLE as exc:
        raise _refused(where, "a signed file (a JWS in JSON form)", str(exc)) from exc
    known = {key.kid for key in keys}
    signatures = [signature for signature in document.signatures if signature.header.kid in known]
    if not signatures:
        found = ", ".join(sorted(ascii(signature.header.kid[:80]) for signature in document.signatures))
        raise _refused(where, f"a signature of {', '.join(sorted(known))}", found or "none")
    for signature in signatures:
        if not _is_homebrews(signature.protected):
            raise _refused(where, f"signatures with {ALGORITHM}, b64 false and crit b64", "another form")
    if not _verified(document.payload, signatures, _key_set(keys)):
        raise _refused(where, f"bytes that {signatures[0].header.kid} signed", "others")
    return document.payload


def _is_homebrews(protected: str) -> bool:
    """Whether the signature is made as Homebrew's are, which is all that brew itself accepts."""
    try:
        found = _protected_decoder.decode(base64.urlsafe_b64decode(protected + "=" * (-len(protected) % 4)))
    except (*UNREADABLE, ValueError):
        return False
    return (found.alg, found.b64, found.crit) == (ALGORITHM, False, ["b64"])


def _verified(payload: str, signatures: Sequence[_Signature], keys: "KeySet") -> bool:
    # A tenth of a second that runs without an API file do not pay.
    from joserfc import jws

    registry = jws.JWSRegistry(algorithms=[ALGORITHM])
    # The library's own limit is 128,000 bytes; the file was measured before.
    registry.max_payload_length = MAX_FILE_BYTES
    registry.max_signature_length = _MAX_SIGNATURE_CHARACTERS
    document: jws.GeneralJSONSerialization = {
        "payload": payload,
        "signatures": [
            {"protected": one.protected, "header": {"kid": one.header.kid}, "signature": one.signature}
            for one in signatures
        ],
    }
    try:
        found = jws.deserialize_json(document, keys, algorithms=[ALGORITHM], registry=registry)
    except Exception:  # whatever it meets in bytes from outside, they are not what was signed
        return False
    return found.payload == payload.encode()


def _key_set(keys: Sequence[PublicKey]) -> "KeySet":
    from joserfc.jwk import KeySet, RSAKey

    return KeySet([RSAKey.import_key(key.pem, {"kid": key.kid}) for key in keys])


def _refused(where: str, expected: str, found: str) -> PublicationInvalid:
    return PublicationInvalid(f"{where}: expected {expected}, found {found}. {_REMEDY}.")
