"""Signatures as Homebrew's `sign-json.rb` makes them: PS512 over the payload as it stands (RFC 7797).

Made with the primitives alone, so that whoever verifies them with a library is checked by another hand.
"""

import base64
import functools
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

KID = "simulated-1"
# Upstream's has 4,096; one of that size takes seconds to make.
_BITS = 2048
_HEADER = {"alg": "PS512", "b64": False, "crit": ["b64"]}


class SigningKey:
    """A private key; `kid` is what signatures call it."""

    def __init__(self, private: "RSAPrivateKey", kid: str) -> None:
        self._private = private
        self.kid = kid

    @classmethod
    def make(cls, kid: str = KID, *, bits: int = _BITS) -> "SigningKey":
        """A new key, of nobody else."""
        from cryptography.hazmat.primitives.asymmetric import rsa

        return cls(rsa.generate_private_key(public_exponent=65537, key_size=bits), kid)

    def public_pem(self) -> bytes:
        """The public key, as a PEM file has it."""
        from cryptography.hazmat.primitives import serialization

        return self._private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, payload: str) -> dict[str, Any]:
        """One signature of the document."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        protected = _base64url(json.dumps(_HEADER, separators=(",", ":")).encode())
        digest = hashes.SHA512()
        signature = self._private.sign(
            f"{protected}.{payload}".encode(),
            padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size),
            digest,
        )
        return {
            "protected": protected,
            "header": {"kid": self.kid},
            "signature": _base64url(signature),
        }


@functools.cache
def key_of_this_run() -> SigningKey:
    """The key of this process's simulators: made when it is first needed, and gone with the process."""
    return SigningKey.make()


def signed(payload: str, *keys: SigningKey) -> bytes:
    """The document with a signature of each key."""
    document = {"payload": payload, "signatures": [key.sign(payload) for key in keys]}
    return json.dumps(document, separators=(",", ":")).encode()


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
