"""Where external hash files come from: S3, an HTTPS address, a local path."""

import io
import os
import stat
from pathlib import Path

import httpx

from brew_assets.adapters.aws.credentials import credentials_failure, is_of_credentials
from brew_assets.adapters.http import body as http_body
from brew_assets.adapters.http.body_limits import BodyBroken, BodyLimits, BodyRefused, SlowBody
from brew_assets.adapters.http.reach import PLAIN, Reach
from brew_assets.adapters.http.transport import ReachTransport
from brew_assets.adapters.http.url import split_url
from brew_assets.adapters.s3.bucket_client import S3Options
from brew_assets.adapters.s3.store import S3Store
from brew_assets.domain.addresses import shown_url, with_shown_urls
from brew_assets.domain.skip_list import MAX_HASH_FILE_BYTES
from brew_assets.engine.clock import until_stopped
from brew_assets.engine.ports import Clock, Document, HashFile, StopSignal
from brew_assets.errors import (
    HashFileInvalid,
    HashFileUnreachable,
    PlanningStopped,
    ProxyRefused,
    SettingsInvalid,
    StoreError,
)

_PIECE_BYTES = 1024 * 1024
_OPENED = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class PathHashFile:
    """A hash file on this machine: a regular file, or a link to one."""

    def __init__(self, path: Path, *, stop: StopSignal | None = None) -> None:
        self._path = path
        self._stop = stop
        self.name = str(path)

    def load(self) -> HashFile:
        """The file's bytes under its name, at most MAX_HASH_FILE_BYTES of them.

        Raises:
            HashFileInvalid: it cannot be read, is no file, or is too large.
            PlanningStopped: the stop signal came meanwhile.
        """
        try:
            # A network disk may be gone: then nothing ends a read.
            return HashFile(source=self.name, data=until_stopped(self._read, self._stop))
        except (HashFileInvalid, PlanningStopped):
            raise
        except OSError as exc:
            raise HashFileInvalid(f"cannot be read: {exc.strerror or exc}") from exc
        except Exception as exc:  # a path with a NUL is a ValueError
            raise HashFileInvalid(f"cannot be read: {type(exc).__name__}: {exc}") from exc

    def _read(self) -> bytes:
        # Without O_NONBLOCK a FIFO is waited for until somebody writes.
        with open(self._path, "rb", buffering=0, opener=_open_regular) as file:
            # It may be growing: what it was when it was opened says nothing.
            data = io.BytesIO()
            while piece := file.read(_PIECE_BYTES):
                if data.write(piece) and data.tell() > MAX_HASH_FILE_BYTES:
                    raise _too_large()
        return data.getvalue()


def _open_regular(path: str, _: int) -> int:
    descriptor = os.open(path, _OPENED)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise HashFileInvalid(f"cannot be read: expected a file, found {_kind(mode)}")
    return descriptor


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _too_large() -> HashFileInvalid:
    return HashFileInvalid(f"expected at most {MAX_HASH_FILE_BYTES} bytes, found more")


class HttpsHashFile:
    """A hash file behind an address; plain http only on this machine."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        reach: Reach = PLAIN,
        clock: Clock,
        stop: StopSignal | None = None,
    ) -> None:
        self._reach = reach
        self._url = url
        self._timeout_s = min(60.0, timeout_s)
        self._clock = clock
        self._stop = stop
        self.name = shown_url(url)

    def load(self) -> HashFile:
        """The file's bytes under its name, at most MAX_HASH_FILE_BYTES of them.

        Raises:
            HashFileInvalid: it cannot be had or is too large.
            HashFileUnreachable: the server was not reached.
            PlanningStopped: the stop signal came meanwhile.
        """
        try:
            origin, _ = split_url(self._url)
        except ValueError:
            raise HashFileInvalid("is no https address") from None
        if origin.scheme == "http" and not origin.is_loopback:
            raise HashFileInvalid("plain http is only for this machine, use https")
        try:
            answer = http_body.get(
                httpx.Client(
                    timeout=self._timeout_s,
                    follow_redirects=False,
                    trust_env=False,
                    transport=ReachTransport(self._reach),
                ),
                self._url,
                {"Accept-Encoding": "gzip", "User-Agent": "brew-mirror"},
                limits=BodyLimits(received=MAX_HASH_FILE_BYTES, decoded=MAX_HASH_FILE_BYTES),
                silence_s=self._timeout_s,
                clock=self._clock,
                stop=self._stop,
            )
        except (PlanningStopped, SettingsInvalid):
            raise
        except (BodyRefused, BodyBroken, SlowBody, ProxyRefused) as exc:
            raise HashFileInvalid(str(exc)) from None
        except httpx.ProxyError as exc:
            raise HashFileInvalid(f"cannot be had: {exc}") from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            # Of the address these name the host at most.
            raise HashFileUnreachable(f"cannot be had: {exc}") from None
        # Not httpx.HTTPError alone: an address that is none, a TLS context and a stream have classes of their
        # own. The text may have the address, and in it a secret: neither it nor the cause is shown.
        except Exception as exc:
            raise HashFileUnreachable(f"cannot be had: {type(exc).__name__}") from None
        if answer.status != httpx.codes.OK:
            raise HashFileInvalid(f"expected status 200, found {answer.status}")
        return HashFile(source=self.name, data=answer.body)


class S3HashFile:
    """A hash file in a bucket."""

    def __init__(
        self,
        options: S3Options,
        key: str,
        *,
        reach: Reach = PLAIN,
        clock: Clock,
        stop: StopSignal | None = None,
    ) -> None:
        self._options = options
        self._clock = clock
        self._reach = reach
        self._key = key
        self._stop = stop
        self.name = f"s3://{options.bucket}/{key}"

    def load(self) -> HashFile:
        """The file's bytes under its name, at most MAX_HASH_FILE_BYTES of them.

        Raises:
            HashFileInvalid: it cannot be had or is too large.
            PlanningStopped: the stop signal came meanwhile.
        """
        try:
            document = until_stopped(self._read, self._stop)
        except (HashFileInvalid, PlanningStopped):
            raise
        except StoreError as exc:
            raise HashFileInvalid(f"cannot be had: {exc}") from exc
        except Exception as exc:  # whatever a client of S3 lets out while it is made or called
            known = is_of_credentials(exc)
            why = (
                credentials_failure(exc).message
                if known
                else f"{type(exc).__name__}: {with_shown_urls(str(exc))[:500]}"
            )
            raise HashFileInvalid(f"cannot be had: {why}") from exc
        if document is None:
            raise HashFileInvalid("there is no such object")
        return HashFile(source=self.name, data=document.data)

    def _read(self) -> Document | None:
        return S3Store(self._options, self._reach, clock=self._clock).read(
            self._key, most_bytes=MAX_HASH_FILE_BYTES
        )
