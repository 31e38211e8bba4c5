"""Whom TLS trusts: the system's certificates and those that the settings name, all of them for everything."""

import binascii
import contextlib
import functools
import os
import re
import ssl
import stat
import tempfile
from collections.abc import Container, Iterable
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path

from brew_assets.errors import SettingsInvalid

# Where systems keep them as one file, after what OpenSSL was built with; an OpenSSL that was built elsewhere
# knows none of them. As https://go.dev/src/crypto/x509/root_linux.go has them, and macOS' and FreeBSD's.
SYSTEM_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/etc/ssl/cert.pem",
)
# The largest one known has 500 KB.
MOST_BYTES = 16 * 1024 * 1024
_CERTIFICATE = re.compile(
    rb"-----BEGIN (X509 )?CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END (X509 )?CERTIFICATE-----"
)
_EXPECTED = "a file of certificates (PEM)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What is trusted besides the system's certificates: pairs of a setting's name and a path."""

    files: tuple[tuple[str, str], ...] = ()
    folders: tuple[tuple[str, str], ...] = ()

    def certificates(self) -> tuple[bytes, ...]:
        """All of them, each once, in PEM.

        Raises:
            SettingsInvalid: a file or folder that is named has none.
        """
        return _certificates(self, self._state())

    def context(self, *, user: str = "") -> ssl.SSLContext:
        """A context of this process that trusts them; of its own for a `user` that changes it.

        Raises:
            SettingsInvalid: a file or folder that is named has none.
        """
        return _context(self, self._state(), user)

    def file(self) -> str:
        """Path of a file that has them all, and is gone when the process ends.

        Raises:
            SettingsInvalid: a file or folder that is named has none.
        """
        return _file(self, self._state())

    def _state(self) -> tuple[object, ...]:
        """What changes when a file of ours is replaced: a CA is renewed while a daemon runs."""
        return tuple(_stamp(path) for _, path in (*self.files, *self.folders))


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=8)
def _certificates(trust: Trust, _: tuple[object, ...]) -> tuple[bytes, ...]:
    found = dict.fromkeys(_of_system())
    for setting, path in trust.files:
        found |= dict.fromkeys(_checked(setting, _of_setting(setting, path), path, known=found))
    for setting, folders in trust.folders:
        # As OpenSSL, which passes over a file of a folder that is none.
        pieces = [
            piece
            for folder in folders.split(os.pathsep)
            for piece in _of_folder(folder)
            if piece in found or not _flaw([piece])
        ]
        if not pieces:
            raise SettingsInvalid(
                name=setting, expected="a folder of certificates (PEM)", found=f"none in {folders!r}"
            )
        found |= dict.fromkeys(pieces)
    return tuple(found)


def _of_system() -> list[bytes]:
    """The system's certificates, certifi's where it has none."""
    paths = ssl.get_default_verify_paths()
    for path in (paths.openssl_cafile, *SYSTEM_FILES):
        with contextlib.suppress(OSError):
            if found := _pieces(_read(path)):
                return [*found, *_of_folder(paths.openssl_capath)]
    if found := _of_folder(paths.openssl_capath):
        return found
    import certifi

    return _pieces(Path(certifi.where()).read_bytes())


def _of_setting(setting: str, path: str) -> list[bytes]:
    if Path(path).is_dir():
        return _of_folder(path)
    try:
        return _pieces(_read(path))
    except OSError as exc:
        found = f"{path}: {exc.strerror or exc}"
        raise SettingsInvalid(name=setting, expected=_EXPECTED, found=found) from exc


def _checked(setting: str, pieces: list[bytes], path: str, *, known: Container[bytes]) -> list[bytes]:
    if not pieces:
        raise SettingsInvalid(name=setting, expected=_EXPECTED, found=f"no certificate in {path}")
    # A company's bundle often has the system's beside its own: to look at each takes as long as to load it.
    if flaw := _flaw([piece for piece in pieces if piece not in known]):
        raise SettingsInvalid(name=setting, expected=_EXPECTED, found=f"{path}: {flaw}")
    return pieces


def _flaw(pieces: list[bytes]) -> str:
    """Why OpenSSL does not take them; "" when it does."""
    if not pieces:
        return ""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=_joined(pieces).decode())
    except (ssl.SSLError, ValueError) as exc:
        return str(exc) or type(exc).__name__
    return ""


def _of_folder(folder: str) -> list[bytes]:
    """What a folder's files have; several names may lead to one."""
    found: dict[bytes, None] = {}
    for path in _files_of(folder):
        with contextlib.suppress(OSError):
            found |= dict.fromkeys(_pieces(_read(path)))
    return list(found)


def _files_of(folder: str) -> list[str]:
    """One path of each file: OpenSSL's own name of a certificate is a link to it."""
    paths: dict[int, str] = {}
    with contextlib.suppress(OSError):
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            with contextlib.suppress(OSError):
                paths.setdefault(entry.stat().st_ino, entry.path)
    return list(paths.values())


def _read(path: str) -> bytes:
    # Without O_NONBLOCK a FIFO is waited for until somebody writes.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("is no file")
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise OSError(f"has more than {MOST_BYTES:,} bytes")
    return data


def _pieces(data: bytes) -> list[bytes]:
    """The certificates of a file, which may have keys and remarks too."""
    return [b"\n".join(match[0].split(b"\r\n")) for match in _CERTIFICATE.finditer(data)]


def _der(piece: bytes) -> bytes:
    return binascii.a2b_base64(b"".join(piece.splitlines()[1:-1]))


def _joined(pieces: Iterable[bytes]) -> bytes:
    return b"\n".join(pieces) + b"\n"


@functools.lru_cache(maxsize=8)
def _context(trust: Trust, state: tuple[object, ...], _: str) -> ssl.SSLContext:
    # With data of its own it leaves the environment's variables alone. OpenSSL takes DER in half the time.
    context = ssl.create_default_context(cadata=b"".join(map(_der, _certificates(trust, state))))
    # As curl and browsers do: the CA in the settings may be one below a root, and companies' CAs lack what
    # Python asks of them since 3.13.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


_written: dict[tuple[object, ...], str] = {}


def _file(trust: Trust, state: tuple[object, ...]) -> str:
    # A child that was forked later uses its parent's.
    path = _written.get((trust, state), "")
    if path and Path(path).is_file():
        return path
    data = _joined(_certificates(trust, state))
    path = _written[trust, state] = _in_memory(data) or _in_temporary_folder(data)
    return path


def _in_memory(data: bytes) -> str:
    """The path of a file that no folder has, which is gone with its processes also when they are killed.

    "" where the system has none: anywhere but on Linux.
    """
    if not hasattr(os, "memfd_create"):
        return ""
    try:
        descriptor = os.memfd_create("brew-mirror.pem")
    except OSError:
        return ""
    path = f"/proc/self/fd/{descriptor}"
    # It stays open: the path leads to it as long as it is.
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    if Path(path).is_file():
        return path
    os.close(descriptor)
    return ""


def _in_temporary_folder(data: bytes) -> str:
    descriptor, path = tempfile.mkstemp(prefix="brew-mirror-", suffix=".pem")
    # In a process that multiprocessing forked nothing else runs at the end, and there only what is its own.
    Finalize(None, _remove, args=(path,), exitpriority=0)
    with open(descriptor, "wb") as file:
        file.write(data)
    return path


def _remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)
