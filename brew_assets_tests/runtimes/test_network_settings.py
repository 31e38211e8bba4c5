"""Mistakes in the settings of the network, as the command line says them."""

from pathlib import Path

import pytest

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.domain.manifest import Manifest
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets_tests.ports import free_ports
from brew_assets_tests.runtimes.test_cli import run

SOCKS = "socks5://me:secret@proxy:1080"
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
BUCKET = "s3://bottles/brew"


@pytest.mark.parametrize(
    ("mirror", "environment", "said"),
    [
        ("", {"SSL_CERT_FILE": "/nowhere.pem"}, "SSL_CERT_FILE: expected a file of certificates (PEM)"),
        ("", {"AWS_CA_BUNDLE": "/dev/null"}, "AWS_CA_BUNDLE: expected a file of certificates (PEM)"),
        ("", {"HTTPS_PROXY": SOCKS}, "HTTPS_PROXY: expected http://[user:password@]host:port"),
        ("", {"all_proxy": SOCKS}, "ALL_PROXY: expected http://[user:password@]host:port"),
        ("", {"NO_PROXY": "*"}, "no proxy is set (HTTPS_PROXY)"),
        (BUCKET, {"SSL_CERT_DIR": "/nowhere", **KEYS}, "SSL_CERT_DIR: expected a folder of certificates"),
        (BUCKET, {"HTTPS_PROXY": SOCKS, **KEYS}, "HTTPS_PROXY: expected http://[user:password@]host:port"),
    ],
    ids=["no file", "empty file", "socks", "small letters", "no proxy", "no folder", "socks for a bucket"],
)
def test_a_mistake_is_named_by_its_variable(
    mirror: str, environment: dict[str, str], said: str, tmp_path: Path
) -> None:
    upstream = {"FORMULAE_API_URL": "https://api.invalid"}
    done = run("--mirror", mirror or str(tmp_path / "mirror"), "sync", **upstream, **environment)
    assert done.returncode == 2
    assert said in done.stdout + done.stderr
    assert "secret" not in done.stdout + done.stderr


@pytest.mark.parametrize("mirror", ["", BUCKET])
def test_a_proxy_that_is_not_there_is_named(mirror: str, tmp_path: Path) -> None:
    proxy = f"127.0.0.1:{free_ports(1)[0]}"
    environment = {"HTTPS_PROXY": f"http://me:secret@{proxy}", **KEYS}
    done = run("--mirror", mirror or str(tmp_path / "mirror"), "sync", **environment)
    assert done.returncode == 2
    said = f"the proxy http://{proxy} (HTTPS_PROXY) cannot be reached"
    assert said in " ".join((done.stdout + done.stderr).split())
    assert "secret" not in done.stdout + done.stderr


def test_what_needs_no_network_does_not_ask_how_it_is_reached(tmp_path: Path) -> None:
    DirectoryStore(tmp_path).write(MANIFEST_KEY, Manifest().encode(last_updated="2026-08-22T03:00:00Z"))
    wrong = {"SSL_CERT_FILE": "/nowhere.pem", "HTTPS_PROXY": SOCKS}
    for arguments in (["status"], ["verify"], ["--help"]):
        done = run("--mirror", str(tmp_path), *arguments, **wrong)
        assert done.returncode == 0, done.stdout + done.stderr
