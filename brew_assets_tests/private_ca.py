"""A company's own certificate authority, which no machine trusts by itself."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from brew_assets.adapters.http.reach import PLAIN, Reach

_NOW = datetime.now(UTC)
_PEM = serialization.Encoding.PEM


class PrivateCa:
    """Makes certificates; its own is in `file`, and, as OpenSSL would look for it, in `folder`."""

    def __init__(self, root: Path, name: str = "company") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"The {name}'s own CA")])
        # Without the extensions that Python 3.13 asks of a strict CA: companies' own often lack them.
        basic = x509.BasicConstraints(ca=True, path_length=None)
        self._certificate = (
            _builder(self._name, self._name, self._key.public_key())
            .add_extension(basic, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._root = root
        self.pem = self._certificate.public_bytes(_PEM)
        self.file = root / f"{name}-ca.pem"
        self.file.write_bytes(self.pem)
        self.folder = root / f"{name}-certs"
        self.folder.mkdir()
        (self.folder / "own.crt").write_bytes(self.pem)

    def reach(self) -> Reach:
        """A reach that trusts it."""
        return PLAIN.trusting("SSL_CERT_FILE", str(self.file))

    def server_context(self, *names: str) -> ssl.SSLContext:
        """The context of a server that has these names or addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        certificate = (
            _builder(subject, self._name, key.public_key())
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        chain = self._root / f"server-{certificate.serial_number}.pem"
        chain.write_bytes(private + certificate.public_bytes(_PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOW - timedelta(days=1))
        .not_valid_after(_NOW + timedelta(days=30))
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
