"""The image's entry point: whom its programs trust, what it takes out of secrets; real programs, real TLS."""

import datetime as dt
import http.server
import ipaddress
import json
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from moto.server import ThreadedMotoServer

from brew_assets_tests.infra.image import ROOT

# By the variable that OpenSSL reads, and by that of AWS's clients.
BOTH = """
import urllib.request, boto3, sys
print(urllib.request.urlopen(sys.argv[1]).status)
print(boto3.client("s3", endpoint_url=sys.argv[1]).list_buckets()["Buckets"])
"""
AWS_ONLY = 'import boto3, sys; boto3.client("s3", endpoint_url=sys.argv[1]).list_buckets()'
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_MAX_ATTEMPTS": "1",
}


class Answers(http.server.BaseHTTPRequestHandler):
    """No bucket, to whoever asks."""

    def do_GET(self) -> None:
        body = b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody else has signed, and its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A company of its own")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=7))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("certificate")
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes((folder / "ca.pem").read_bytes() + private)
    return folder / "ca.pem"


@pytest.fixture(scope="module")
def server(certificate: Path) -> Iterator[str]:
    """The address of a server with that certificate."""
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.parent / "both.pem")
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{listening.server_address[1]}"
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.fixture(scope="module")
def account() -> Iterator[str]:
    """The address of an AWS account."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


class Image:
    """The entry point where the image has it, with this machine's programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "image").mkdir()
        shutil.copy(ROOT / "infra" / "image" / "entrypoint", folder / "image")
        (folder / "image" / "venv").symlink_to(Path(sys.executable).parents[1])

    def run(self, *command: str, **more: str) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), **CREDENTIALS, **more}
        return subprocess.run(
            [str(self.folder / "image" / "entrypoint"), *command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def environment(self, **more: str) -> Mapping[str, str]:
        """What a program finds."""
        code = "import json, os; print(json.dumps(dict(os.environ)))"
        done = self.run("python", "-c", code, **more)
        assert done.returncode == 0, done.stderr
        found: dict[str, str] = json.loads(done.stdout)
        return found


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


def test_without_a_ca_of_ones_own_the_system_decides(image: Image, server: str) -> None:
    assert not {"SSL_CERT_FILE", "AWS_CA_BUNDLE"} & image.environment().keys()
    done = image.run("python", "-c", BOTH, server)
    assert done.returncode != 0
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr


@pytest.mark.parametrize("way", ["text", "file", "secret"])
def test_every_program_trusts_a_ca_of_ones_own(
    image: Image, server: str, certificate: Path, account: str, way: str
) -> None:
    text = certificate.read_text()
    given = {"CA_BUNDLE_PEM": text} if way == "text" else {"CA_BUNDLE_FILE": str(certificate)}
    if way == "secret":
        arn = secret(account, f"ca-{image.folder.name}", text)
        given = {"CA_BUNDLE_SECRET_NAME": arn, "AWS_ENDPOINT_URL_SECRETS_MANAGER": account}
    done = image.run("python", "-c", BOTH, server, **given)
    assert (done.returncode, done.stdout.split()) == (0, ["200", "[]"]), done.stderr
    # Besides the system's, not in their place; and the text goes no further.
    found = image.environment(**given)
    assert found["SSL_CERT_FILE"] == found["AWS_CA_BUNDLE"]
    whole = Path(found["SSL_CERT_FILE"]).read_text()
    assert text.strip() in whole
    assert whole.count("BEGIN CERTIFICATE") > 50
    assert "CA_BUNDLE_PEM" not in found
    assert [path.name for path in image.folder.iterdir()].count(Path(found["SSL_CERT_FILE"]).name) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"CA_BUNDLE_PEM": "-----BEGIN CERTIFICATE-----"}, "CA_BUNDLE_PEM: expected certificates (PEM)"),
        ({"CA_BUNDLE_FILE": "/nowhere/ca.pem"}, "CA_BUNDLE_FILE: expected a file of certificates (PEM)"),
        ({"CA_BUNDLE_FILE": __file__}, "CA_BUNDLE_FILE: expected certificates (PEM)"),
    ],
    ids=["text", "missing", "other"],
)
def test_what_is_no_certificate_starts_nothing(image: Image, given: dict[str, str], said: str) -> None:
    done = image.run("echo", "started", **given)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(said)


def test_a_proxy_with_a_password_comes_out_of_its_secret(image: Image, account: str) -> None:
    proxy = "http://user:pass%20word@proxy.example:3128"
    arn = secret(account, f"proxy-{image.folder.name}", f"{proxy}\n")
    given = {"HTTPS_PROXY_SECRET_NAME": arn, "AWS_ENDPOINT_URL_SECRETS_MANAGER": account}
    assert image.environment(**given)["HTTPS_PROXY"] == proxy
    missing = image.run("echo", "started", **given | {"HTTPS_PROXY_SECRET_NAME": "no-such-secret"})
    assert (missing.returncode != 0, missing.stdout) == (True, "")
    assert "ResourceNotFoundException" in missing.stderr


def test_an_empty_variable_counts_as_not_set(image: Image, server: str) -> None:
    empty = dict.fromkeys(("SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"), "")
    assert not empty.keys() & image.environment(**empty).keys()
    # botocore takes an empty AWS_CA_BUNDLE for "check nothing".
    done = image.run("python", "-c", AWS_ONLY, server, **empty)
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr


def secret(account: str, name: str, text: str) -> str:
    """The ARN of a new secret."""
    client: Any = botocore.session.get_session().create_client(
        "secretsmanager",
        region_name="us-east-1",
        endpoint_url=account,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    return str(client.create_secret(Name=name, SecretString=text)["ARN"])
