"""Whom TLS trusts: all that is named, besides the system's; and what is named wrongly says so."""

import multiprocessing
import os
import ssl
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from brew_assets.adapters.http import trust
from brew_assets.adapters.http.reach import PLAIN
from brew_assets.compose.store import reach_of
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


def test_a_broken_file_of_a_folder_hides_no_other(tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    broken(ca.folder / "broken.pem")
    (ca.folder / "link.0").symlink_to("own.crt")
    (ca.folder / "dangling.0").symlink_to("nowhere")
    reach = reach_of(read_settings({"SSL_CERT_DIR": str(ca.folder)}))
    assert ders((ca.pem,)) < set(reach.context().get_ca_certs(binary_form=True))


def test_a_key_beside_a_certificate_is_not_copied(tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(b"-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\r\n# ours\r\n" + ca.pem)
    path = Path(PLAIN.trusting("SSL_CERT_FILE", str(both)).ca_file())
    assert ca.pem.strip() in path.read_bytes()
    assert b"PRIVATE" not in path.read_bytes()


@pytest.fixture
def no_memory_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, which has no files that no folder has."""
    monkeypatch.delattr(os, "memfd_create", raising=False)


@pytest.mark.usefixtures("no_memory_files")
def test_the_file_is_nobody_elses(tmp_path: Path) -> None:
    path = Path(PrivateCa(tmp_path).reach().ca_file())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_renewed_is_read_again(tmp_path: Path) -> None:
    first, second = PrivateCa(tmp_path, "first"), PrivateCa(tmp_path, "second")
    reach = first.reach()
    before = reach.context()
    assert reach.context() is before
    first.file.write_bytes(second.pem + b"# renewed\n")
    assert ders((second.pem,)) < set(reach.context().get_ca_certs(binary_form=True))
    assert second.pem.strip() in Path(reach.ca_file()).read_bytes()


@pytest.mark.usefixtures("no_memory_files")
def test_the_file_is_written_once_and_again_when_somebody_took_it_away(tmp_path: Path) -> None:
    reach = PrivateCa(tmp_path).reach()
    path = Path(reach.ca_file())
    assert reach.ca_file() == str(path)
    path.unlink()
    assert Path(reach.ca_file()).is_file()


def forked(act: Callable[[], object]) -> None:
    """A child that was forked has done so and ended well."""
    child = multiprocessing.get_context("fork").Process(target=act)
    child.start()
    child.join()
    assert child.exitcode == 0


def test_a_forked_child_uses_the_file_and_leaves_it(tmp_path: Path) -> None:
    reach = PrivateCa(tmp_path).reach()
    path = reach.ca_file()

    def same() -> None:
        assert reach.ca_file() == path

    forked(same)
    assert Path(path).is_file()


@pytest.mark.usefixtures("no_memory_files")
def test_what_a_forked_child_wrote_is_gone_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reach = PrivateCa(tmp_path).reach()
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def write() -> None:
        assert Path(reach.ca_file()).parent == folder

    forked(write)
    assert list(folder.iterdir()) == []


_WITHOUT = "import os; vars(os).pop('memfd_create', None); "
_KILLED = "; import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
# Only a file in memory is gone with a process that is killed.
_IN_MEMORY = [("", ""), ("", _KILLED)] if hasattr(os, "memfd_create") else []


@pytest.mark.parametrize(("without", "end"), [(_WITHOUT, ""), *_IN_MEMORY])
def test_the_file_is_gone_with_its_process(without: str, end: str, tmp_path: Path) -> None:
    program = (
        f"{without}from brew_assets.adapters.http.reach import PLAIN; print(PLAIN.ca_file(), flush=True){end}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(str(tmp_path) if without else "/proc/self/fd/")
    assert list(tmp_path.iterdir()) == []
