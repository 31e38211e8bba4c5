"""What goes over the thin connection by the thousand: PUTs of bottles and indexes, HEADs of bottles."""

import base64
import hashlib
import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from brew_assets.adapters.http.connection import NETWORK_ERRORS, Wire
from brew_assets.adapters.http.pool import ThreadWires
from brew_assets.adapters.http.response import WireResponse
from brew_assets.adapters.s3.answers import Sent, answer_error, persistently
from brew_assets.adapters.s3.client_errors import connection_error
from brew_assets.adapters.s3.signing import BulkSigner
from brew_assets.engine.ports import Clock
from brew_assets.errors import StoreError, StoreRefused, StoreUnavailable

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_ERROR_BYTES = 8192
_SIZE_DIGITS = 18
_META = "x-amz-meta-"
# KMS.DisabledException has a dot.
_CODE = re.compile(rb"<(?:\w+:)?Code>\s*(?:<!\[CDATA\[)?\s*([A-Za-z0-9._]{1,100})")
_ERROR = re.compile(rb"<(?:\w+:)?Error[\s>]")
_MESSAGE = re.compile(r"<Message>([^<]{0,500})</Message>")
_REGION = re.compile(r"<Region>\s*([a-z0-9-]{1,63})\s*</Region>")

_T = TypeVar("_T")


class Asked(NamedTuple):
    """What of a request its error may have to name."""

    sent: Sent = Sent()
    region: str = ""


class Head(NamedTuple):
    """What a server says of an object; `checksum` is its x-amz-checksum-sha256, "" without one.

    `size` is -1 where it says none that could be one.
    """

    size: int
    checksum: str
    metadata: dict[str, str]
    etag: str

    @property
    def digest(self) -> str | None:
        """The hex digest of a full-object checksum; None for a composite one ("…-3") or none at all."""
        try:
            raw = base64.b64decode(self.checksum, validate=True)
        except ValueError:
            return None
        return raw.hex() if len(raw) == 32 else None


class ThinObjects:
    """Writes objects of a bucket and asks for them. Safe for use by several threads."""

    def __init__(
        self, wires: ThreadWires, signer: Callable[[], BulkSigner], *, url: str, clock: Clock
    ) -> None:
        self._wires = wires
        self._clock = clock
        self._signer = signer
        self._url = url

    def head(self, key: str) -> Head | None:
        """What the server says of an object, None when there is none.

        Raises:
            StoreError: one of its classes, see errors.py.
        """

        own_region = self._signer().region

        def take(response: WireResponse) -> Head | None:
            if response.status == 404:
                return None
            if response.status == 200:
                return _head(response)
            region = response.fields.get("x-amz-bucket-region", "")
            raise answer_error(
                f"HEAD of {key}", response.status, "", "", of_head=True, region=region, own_region=own_region
            )

        headers = {"x-amz-checksum-mode": "ENABLED"}
        return persistently(lambda: self._exchange("HEAD", key, headers, take), self._clock)

    def put(self, key: str, data: bytes, headers: dict[str, str]) -> str:
        """The new ETag. Conditions and encryption are among the headers.

        Raises:
            KeyTaken: a condition did not hold.
            StoreError: one of its classes, see errors.py.
        """
        digest = hashlib.sha256(data)
        sent = headers | {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            "x-amz-checksum-sha256": base64.b64encode(digest.digest()).decode(),
        }

        asked = Asked(Sent.with_headers(sent), self._signer().region)

        def take(response: WireResponse) -> str:
            raise_unless_taken(key, response, asked)
            return response.fields.get("etag", "")

        body = memoryview(data)
        return persistently(
            lambda: self._exchange("PUT", key, sent, take, body=body, sha256=digest.hexdigest()), self._clock
        )

    def sink(self, key: str, headers: dict[str, str], *, sha256: str, size: int, our_key: str) -> "PutSink":
        """A sink for the `size` bytes of a bottle with this digest (hex). Nothing is sent yet.

        Raises:
            StoreError: there are no credentials to sign with, or a setting fits no bucket.
        """
        signer = self._signer()
        target = signer.target(key)
        signed = signer.signed_headers("PUT", target, headers, payload_sha256=sha256)
        asked = Asked(Sent.with_headers(headers), signer.region)
        return PutSink(
            self._wire_to(signer),
            target=target,
            headers=signed,
            key=our_key,
            size=size,
            asked=asked,
            url=self._url,
        )

    def _exchange(
        self,
        method: str,
        key: str,
        headers: dict[str, str],
        take: Callable[[WireResponse], _T],
        *,
        body: memoryview | None = None,
        sha256: str = _EMPTY_SHA256,
    ) -> _T:
        signer = self._signer()
        target = signer.target(key)
        signed = signer.signed_headers(method, target, headers, payload_sha256=sha256)
        wire = self._wire_to(signer)
        try:
            wire.send(method, target, signed, body)
            return take(wire.receive(method))
        except NETWORK_ERRORS as exc:
            wire.close()
            raise connection_error(
                f"{method} of {key}", exc, url=self._url, endpoint=_address(wire), way=wire.way
            ) from exc
        finally:
            wire.finish()

    def _wire_to(self, signer: BulkSigner) -> Wire:
        """The calling thread's connection to the store.

        Raises:
            StoreRefused: there can be none, for example for a file of certificates that cannot be read.
        """
        try:
            return self._wires.mine().to(signer.origin)
        except NETWORK_ERRORS as exc:
            raise StoreRefused(f"{signer.origin.netloc}: {exc} ({type(exc).__name__})") from exc


def _head(response: WireResponse) -> Head:
    fields = response.fields
    size = fields.get("content-length", "")
    is_size = size.isascii() and size.isdigit() and len(size) <= _SIZE_DIGITS
    return Head(
        int(size) if is_size else -1,
        fields.get("x-amz-checksum-sha256", ""),
        {name[len(_META) :]: value for name, value in fields.items() if name.startswith(_META)},
        fields.get("etag", ""),
    )


def _address(wire: Wire) -> str:
    return f"{wire.origin.scheme}://{wire.origin.netloc}"


class PutSink:
    """One bottle as one PUT. The connection is dropped before its last bytes unless they are right."""

    def __init__(
        self,
        wire: Wire,
        *,
        target: str,
        headers: dict[str, str],
        key: str,
        size: int,
        asked: Asked = Asked(),  # noqa: B008  it is immutable
        url: str = "",
    ) -> None:
        self._wire = wire
        self._url = url
        self._asked = asked
        self._target = target
        self._headers = headers
        self._key = key
        self._size = size
        self._sent = 0
        self._begun = False

    def write(self, view: memoryview) -> None:
        """Passes the bytes on; the first piece takes the request's head with it.

        Raises:
            KeyTaken, ChecksumRefused, StoreError: what the server answered instead of reading on.
        """
        try:
            if self._begun:
                self._wire.send_more(view)
            else:
                self._begun = True
                self._wire.send("PUT", self._target, self._headers, view)
        except NETWORK_ERRORS as exc:
            self._raise_early_answer(exc)
        self._sent += len(view)

    def commit(self) -> None:
        """The server has the whole bottle and has checked it.

        Raises:
            KeyTaken: another object stands there.
            ChecksumRefused: the server found other bytes than the digest promised.
            StoreError: one of its classes, see errors.py.
        """
        if self._sent != self._size:
            self._wire.close()
            raise StoreError(f"{self._key}: {self._sent} of {self._size} bytes were passed on")
        try:
            response = self._wire.receive("PUT")
            raise_unless_taken(self._key, response, self._asked)
        except NETWORK_ERRORS as exc:
            self._wire.close()
            raise StoreUnavailable(f"{self._key}: the store's answer broke off: {exc!r}") from exc
        finally:
            self._wire.finish()

    def abort(self) -> None:
        """The connection is closed in the middle of the body, so that the server keeps nothing."""
        self._wire.close()

    def _raise_early_answer(self, cause: BaseException) -> None:
        """Servers may answer and close before they have read a body that they refuse."""
        try:
            response = self._wire.receive("PUT")
            error = refusal(self._key, response, self._asked)
        except NETWORK_ERRORS:
            error = connection_error(
                self._key, cause, url=self._url, endpoint=_address(self._wire), way=self._wire.way
            )
        self._wire.close()
        raise error from cause


def refusal(key: str, response: WireResponse, asked: Asked) -> StoreError:
    """Our error for an answer that is not the one hoped for."""
    return _document_error(key, response, response.read(_ERROR_BYTES), asked)


def raise_unless_taken(key: str, response: WireResponse, asked: Asked) -> None:
    """Returns after a success that is one.

    Raises:
        StoreError: it is none, or its document is that of an error.
    """
    data = response.read(_ERROR_BYTES)
    if response.status != 200 or _ERROR.search(data):
        raise _document_error(key, response, data, asked)


def _document_error(key: str, response: WireResponse, data: bytes, asked: Asked) -> StoreError:
    """Our error for the first error that an answer's document names."""
    body = data.decode("utf-8", "replace")
    found, message, region = _CODE.search(data), _MESSAGE.search(body), _REGION.search(body)
    return answer_error(
        key,
        response.status,
        found[1].decode() if found else "",
        message[1] if message else body[:200].strip(),
        region=response.fields.get("x-amz-bucket-region", "") or (region[1] if region else ""),
        own_region=asked.region,
        sent=asked.sent,
    )
