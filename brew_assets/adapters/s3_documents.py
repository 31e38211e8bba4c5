"""Small objects of a bucket on the bulk path's connections: receipts, plans, the manifest.

botocore's own calls cost ten times the processor time, which a journal of many receipts would feel.
"""

import base64
import hashlib
import random
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from brew_assets.adapters.s3_signing import BulkSigner
from brew_assets.adapters.s3_sinks import refusal
from brew_assets.adapters.wire import NETWORK_ERRORS, ThreadWires, WireResponse
from brew_assets.engine.ports import Document
from brew_assets.errors import StoreUnavailable

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_ATTEMPTS = 5
_RETRY_DELAY_S = 0.2

_T = TypeVar("_T")


class S3Documents:
    """Reads and writes whole objects below one bucket. Safe for use by several threads."""

    def __init__(self, wires: ThreadWires, signer: Callable[[], BulkSigner]) -> None:
        self._wires = wires
        self._signer = signer

    def get(self, key: str) -> Document | None:
        """The object and its ETag, None when there is none.

        Raises:
            StoreError: one of its classes, see errors.py.
        """
        return _persistently(lambda: self._get(key))

    def put(self, key: str, data: bytes, headers: dict[str, str]) -> str:
        """The new ETag. Conditions and encryption are among the headers.

        Raises:
            KeyTaken: a condition did not hold.
            StoreError: one of its classes, see errors.py.
        """
        digest = hashlib.sha256(data)
        all_headers = headers | {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            "x-amz-checksum-sha256": base64.b64encode(digest.digest()).decode(),
        }
        return _persistently(lambda: self._put(key, memoryview(data), all_headers, digest.hexdigest()))

    def _get(self, key: str) -> Document | None:
        def take(response: WireResponse) -> Document | None:
            if response.status == 200:
                return Document(response.read(), response.fields.get("etag", ""))
            error = refusal(key, response)
            if response.status == 404 and "NoSuchBucket" not in str(error):
                return None
            raise error

        return self._exchange("GET", key, _Sent({}, None, _EMPTY_SHA256), take)

    def _put(self, key: str, body: memoryview, headers: dict[str, str], sha256: str) -> str:
        def take(response: WireResponse) -> str:
            if response.status != 200:
                raise refusal(key, response)
            response.read()
            return response.fields.get("etag", "")

        return self._exchange("PUT", key, _Sent(headers, body, sha256), take)

    def _exchange(self, method: str, key: str, sent: "_Sent", take: Callable[[WireResponse], _T]) -> _T:
        signer = self._signer()
        target = signer.target(key)
        signed = signer.signed_headers(method, target, sent.headers, payload_sha256=sent.sha256)
        wire = self._wires.mine().to(signer.origin)
        try:
            wire.send(method, target, signed, sent.body)
            return take(wire.receive(method))
        except NETWORK_ERRORS as exc:
            wire.close()
            raise StoreUnavailable(f"{key}: {type(exc).__name__}: {exc}") from exc
        finally:
            wire.finish()


class _Sent(NamedTuple):
    """What a request carries."""

    headers: dict[str, str]
    body: memoryview | None
    sha256: str


def _persistently(act: Callable[[], _T]) -> _T:
    """What the act gives, tried again with growing waits while the store is unavailable."""
    for attempt in range(1, _ATTEMPTS):
        try:
            return act()
        except StoreUnavailable:
            time.sleep(random.uniform(0.0, _RETRY_DELAY_S * 2.0**attempt))
    return act()
