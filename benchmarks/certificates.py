"""A certificate authority of one run and a certificate of its for the loopback address."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_LIFETIME = timedelta(days=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Files in PEM: what the clients trust, and what the servers show."""

    authority: Path
    certificate: Path
    key: Path


def make_trust(folder: Path) -> Trust:
    """A new authority, whose key is forgotten, and a certificate for 127.0.0.1 with its key."""
    folder.mkdir(parents=True, exist_ok=True)
    trust = Trust(
        authority=folder / "authority.pem", certificate=folder / "server.pem", key=folder / "server.key"
    )
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _name("Benchmark authority")
    signs = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    own = (
        _unsigned(authority, authority, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(signs, critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    server = (
        _unsigned(_name("127.0.0.1"), authority, server_key)
        .add_extension(loopback, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    trust.authority.write_bytes(own.public_bytes(serialization.Encoding.PEM))
    trust.certificate.write_bytes(server.public_bytes(serialization.Encoding.PEM))
    trust.key.touch(mode=0o600)
    trust.key.write_bytes(
        server_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return trust


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
    )
