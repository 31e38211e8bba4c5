"""Where external hash files come from: S3, an HTTPS address, a local path."""

from pathlib import Path

import httpx

from brew_assets.adapters.aws_credentials import credentials_failure, is_of_credentials
from brew_assets.adapters.origin import split_url
from brew_assets.adapters.s3_store import S3Options, S3Store
from brew_assets.domain.hash_file import MAX_HASH_FILE_BYTES
from brew_assets.engine.ports import HashFile
from brew_assets.errors import HashFileInvalid, StoreError


class PathHashFile:
    """A hash file on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = str(path)

    def load(self) -> HashFile:
        """The file.

        Raises:
            HashFileInvalid: it cannot be read or is too large.
        """
        try:
            size = self._path.stat().st_size
            if size > MAX_HASH_FILE_BYTES:
                raise HashFileInvalid(f"expected at most {MAX_HASH_FILE_BYTES} bytes, found {size}")
            return HashFile(source=self.name, data=self._path.read_bytes())
        except HashFileInvalid:
            raise
        except OSError as exc:
            raise HashFileInvalid(f"cannot be read: {exc.strerror or exc}") from exc
        except Exception as exc:  # a path with a NUL is a ValueError
            raise HashFileInvalid(f"cannot be read: {type(exc).__name__}: {exc}") from exc


class HttpsHashFile:
    """A hash file behind an address; plain http only on this machine."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        # Whatever follows the path may be a secret of a signed address.
        self.name = url.split("?", maxsplit=1)[0].split("#", maxsplit=1)[0]

    def load(self) -> HashFile:
        """The file.

        Raises:
            HashFileInvalid: it cannot be had or is too large.
        """
        try:
            origin, _ = split_url(self._url)
        except ValueError as exc:
            raise HashFileInvalid("is no https address") from exc
        if origin.scheme == "http" and not origin.is_loopback:
            raise HashFileInvalid("plain http is only for this machine, use https")
        body = bytearray()
        try:
            with (
                httpx.Client(timeout=min(60.0, self._timeout_s), trust_env=False) as client,
                client.stream("GET", self._url) as response,
            ):
                if response.status_code != 200:
                    raise HashFileInvalid(f"expected status 200, found {response.status_code}")
                for piece in response.iter_bytes(1024 * 1024):
                    body += piece
                    if len(body) > MAX_HASH_FILE_BYTES:
                        raise HashFileInvalid(f"more than {MAX_HASH_FILE_BYTES} bytes")
        except HashFileInvalid:
            raise
        # Not httpx.HTTPError alone: an address that is none, a TLS context and a stream have classes of their
        # own. The text may have the address, and in it a secret: neither it nor the cause is shown.
        except Exception as exc:
            raise HashFileInvalid(f"cannot be had: {type(exc).__name__}") from None
        return HashFile(source=self.name, data=bytes(body))


class S3HashFile:
    """A hash file in a bucket."""

    def __init__(self, options: S3Options, key: str) -> None:
        self._options = options
        self._key = key
        self.name = f"s3://{options.bucket}/{key}"

    def load(self) -> HashFile:
        """The file.

        Raises:
            HashFileInvalid: it cannot be had or is too large.
        """
        try:
            store = S3Store(self._options)
            facts = store.facts(self._key)
            if facts is not None and facts.size > MAX_HASH_FILE_BYTES:
                raise HashFileInvalid(f"expected at most {MAX_HASH_FILE_BYTES} bytes, found {facts.size}")
            document = store.read(self._key) if facts is not None else None
        except HashFileInvalid:
            raise
        except StoreError as exc:
            raise HashFileInvalid(f"cannot be had: {exc}") from exc
        except Exception as exc:  # whatever a client of S3 lets out while it is made or called
            known = is_of_credentials(exc)
            why = credentials_failure(exc).message if known else f"{type(exc).__name__}: {str(exc)[:500]}"
            raise HashFileInvalid(f"cannot be had: {why}") from exc
        if document is None:
            raise HashFileInvalid("there is no such object")
        return HashFile(source=self.name, data=document.data)
