"""Requests of the S3 bulk path, signed by botocore with the bottle's own digest as payload hash."""

import hmac
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.credentials import Credentials

from brew_assets.adapters.aws.credentials import credentials_failure
from brew_assets.adapters.http.url import split_url
from brew_assets.errors import StoreError, StoreRefused, StoreUnavailable

_CONTENT_HASH = "X-Amz-Content-SHA256"


def credentials_error(exc: Exception) -> StoreError:
    """Our error for credentials that cannot be had, whatever the library raised."""
    found = credentials_failure(exc)
    return (StoreUnavailable if found.passing else StoreRefused)(found.message)


class _Request:
    """What the signer asks of a request: the library's own class keeps headers as an e-mail."""

    __slots__ = ("body", "context", "headers", "method", "params", "url")

    def __init__(self, method: str, url: str, headers: dict[str, str], payload_sha256: str) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.context: dict[str, Any] = {"payload_sha256": payload_sha256}
        self.params: dict[str, str] = {}
        self.body = None


class _Auth(S3SigV4Auth):
    """botocore's signer for headers in a plain dict, each once, with a payload hash known beforehand.

    The canonical form is the one of the S3 API reference ("Signature Calculations for the Authorization
    Header"); keys, string to sign and signature are the library's.
    """

    def __init__(self, credentials: Any, region: str) -> None:
        super().__init__(credentials, "s3", region)
        # Keys of a day, region and service change once a day.
        self._derived = lru_cache(maxsize=16)(super()._sign)  # type: ignore[misc]

    def _sign(self, key: bytes, msg: str, hex: bool = False) -> Any:
        # A digest in one call costs a third of the library's object for it.
        return hmac.digest(key, msg.encode(), "sha256").hex() if hex else self._derived(key, msg)

    def payload(self, request: Any) -> str:
        return str(request.context["payload_sha256"])

    def canonical_request(self, request: Any) -> str:
        headers = self.headers_to_sign(request)
        path, _, query = request.url.split("/", 3)[3].partition("?")
        return "\n".join(
            (
                request.method,
                f"/{path}",
                query,
                f"{self.canonical_headers(headers)}\n",
                self.signed_headers(headers),
                request.headers[_CONTENT_HASH],
            )
        )

    def headers_to_sign(self, request: Any) -> Any:
        # Asked for twice, for the canonical form and for the list of names; nothing changes in between.
        known = request.context.get("signed")
        if known is None:
            named = {name.lower(): value for name, value in request.headers.items()}
            named["host"] = request.url.split("/", 3)[2]
            known = request.context["signed"] = dict(sorted(named.items()))
        return known

    def canonical_headers(self, headers_to_sign: Any) -> str:
        return "\n".join(f"{name}:{' '.join(value.split())}" for name, value in headers_to_sign.items())

    def signed_headers(self, headers_to_sign: Any) -> str:
        return ";".join(headers_to_sign)


class BulkSigner:
    """Signs requests to one bucket with the credentials that are current at that moment."""

    def __init__(self, credentials: Credentials, *, region: str, bucket_url: str) -> None:
        self._credentials = credentials
        self.region = region
        self._auth: _Auth | None = None
        self.origin, path = split_url(bucket_url)
        self._path = path.rstrip("/")

    def target(self, key: str) -> str:
        """The request target of a key, with octets escaped as S3 signs them."""
        return f"{self._path}/{quote(key, safe='/-_.~')}"

    def signed_headers(
        self, method: str, target: str, headers: Mapping[str, str], *, payload_sha256: str
    ) -> dict[str, str]:
        """The headers with date, payload hash (hex) and authorization; the host is part of the signature.

        Raises:
            StoreError: the credentials cannot be had, or cannot sign.
        """
        url = f"{self.origin.scheme}://{self.origin.netloc}{target}"
        request: Any = _Request(method, url, dict(headers), payload_sha256)
        try:
            frozen = self._credentials.get_frozen_credentials()
            auth = self._auth
            if auth is None or auth.credentials != frozen:
                auth = self._auth = _Auth(frozen, self.region)
            auth.add_auth(request)
        except Exception as exc:  # a key that is no text is found out when it signs
            raise credentials_error(exc) from exc
        return dict(request.headers)
