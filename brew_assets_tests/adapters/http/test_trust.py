"""Whom TLS trusts: all that is named, besides the system's; and what is named wrongly says so."""

import multiprocessing
import os
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from brew_assets.adapters.http import trust
from brew_assets.adapters.http.reach import PLAIN
from brew_assets.adapters.http.trust import Trust
from brew_assets.compose import reach_of
from brew_assets.errors import SettingsInvalid
from brew_assets.settings import read_settings
from brew_assets_tests.private_ca import PrivateCa


def ders(pems: tuple[bytes, ...]) -> set[bytes]:
    return {ssl.PEM_cert_to_DER_cert(pem.decode()) for pem in pems}


@pytest.fixture
def authorities(tmp_path: Path) -> tuple[PrivateCa, ...]:
    return tuple(PrivateCa(tmp_path, name) for name in ("one", "two", "three"))


def test_all_that_is_named_is_trusted_besides_the_systems(authorities: tuple[PrivateCa, ...]) -> None:
    one, two, three = authorities
    environment = {"SSL_CERT_FILE": str(one.file), "AWS_CA_BUNDLE": str(two.file)}
    reach = reach_of(read_settings(environment | {"SSL_CERT_DIR": f"/nonexistent:{three.folder}"}))

    trusted = set(reach.context().get_ca_certs(binary_form=True))
    in_file = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    in_file.load_verify_locations(reach.ca_file())

    ours = ders((one.pem, two.pem, three.pem))
    system = ders(PLAIN.trust.certificates())
    assert len(system) > 10
    assert trusted == system | ours
    assert set(in_file.get_ca_certs(binary_form=True)) == trusted


def test_the_systems_certificates_are_found_by_whatever_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    # As a Python that was built elsewhere, with the variable set for other programs.
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    nowhere = ssl.DefaultVerifyPaths("", "", "SSL_CERT_FILE", "/no/cert.pem", "SSL_CERT_DIR", "/no/certs")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nowhere)
    if any(Path(path).is_file() for path in trust.SYSTEM_FILES):
        assert len(trust._of_system()) > 10
    monkeypatch.setattr(trust, "SYSTEM_FILES", ())
    import certifi

    assert trust._of_system() == trust._pieces(Path(certifi.where()).read_bytes())


def missing(path: Path) -> None:
    """Nothing is there."""


def fifo(path: Path) -> None:
    os.mkfifo(path)


def broken(path: Path) -> None:
    path.write_text("-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n")


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "AWS_CA_BUNDLE", "SSL_CERT_DIR"])
@pytest.mark.parametrize(
    "make",
    [missing, Path.touch, fifo, broken, Path.mkdir, lambda path: path.write_bytes(b"\x30\x82" * 100)],
    ids=["missing", "empty", "fifo", "broken", "empty folder", "no PEM"],
)
def test_what_has_no_certificate_is_named(
    make: Callable[[Path], object], variable: str, tmp_path: Path
) -> None:
    path = tmp_path / "named.pem"
    make(path)
    reach = reach_of(read_settings({variable: str(path)}))
    for use in (reach.context, reach.ca_file):
        with pytest.raises(SettingsInvalid) as refused:
            use()
        assert refused.value.name == variable
        assert "certificates (PEM)" in str(refused.value)
        assert str(path) in str(refused.value)


def test_a_key_beside_a_certificate_is_not_copied(tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(b"-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\r\n# ours\r\n" + ca.pem)
    path = Path(PLAIN.trusting("SSL_CERT_FILE", str(both)).ca_file())
    assert ca.pem.strip() in path.read_bytes()
    assert b"PRIVATE" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_renewed_is_read_again(tmp_path: Path) -> None:
    first, second = PrivateCa(tmp_path, "first"), PrivateCa(tmp_path, "second")
    reach = first.reach()
    before = reach.context()
    assert reach.context() is before
    first.file.write_bytes(second.pem + b"# renewed\n")
    assert ders((second.pem,)) < set(reach.context().get_ca_certs(binary_form=True))
    assert second.pem.strip() in Path(reach.ca_file()).read_bytes()


def test_the_file_is_written_once_and_again_when_somebody_took_it_away(tmp_path: Path) -> None:
    reach = PrivateCa(tmp_path).reach()
    path = Path(reach.ca_file())
    assert reach.ca_file() == str(path)
    path.unlink()
    assert Path(reach.ca_file()).is_file()


def test_a_forked_child_uses_the_file_and_leaves_it(tmp_path: Path) -> None:
    reach = PrivateCa(tmp_path).reach()
    path = reach.ca_file()
    child = multiprocessing.get_context("fork").Process(target=lambda: sys.exit(reach.ca_file() != path))
    child.start()
    child.join()
    pid = os.fork()
    if not pid:  # a child that ends as a program does, with what was registered for its end
        try:
            trust._remove(path, os.getppid())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert child.exitcode == 0
    assert Path(path).is_file()


def test_the_file_is_gone_with_its_process(tmp_path: Path) -> None:
    program = "from brew_assets.adapters.http.reach import PLAIN; print(PLAIN.ca_file())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_trust_is_known_again() -> None:
    assert Trust() == PLAIN.trust
    assert PLAIN.context() is PLAIN.context()
