"""Bottles on their way into a bucket: one signed PUT, or a multipart upload for the very large."""

import base64
import contextlib
import hashlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from brew_assets.adapters.s3_answers import answer_error, persistently
from brew_assets.adapters.wire import NETWORK_ERRORS, Wire
from brew_assets.adapters.wire_response import WireResponse
from brew_assets.domain.addresses import with_shown_urls
from brew_assets.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 64 * 1024 * 1024
_ERROR_BYTES = 8192
# KMS.DisabledException has a dot.
_CODE = re.compile(rb"<(?:\w+:)?Code>\s*(?:<!\[CDATA\[)?\s*([A-Za-z0-9._]{1,100})")
_ERROR = re.compile(rb"<(?:\w+:)?Error[\s>]")
_MESSAGE = re.compile(r"<Message>([^<]{0,500})</Message>")


class PutSink:
    """One bottle as one PUT. The connection is dropped before its last bytes unless they are right."""

    def __init__(self, wire: Wire, *, target: str, headers: dict[str, str], key: str, size: int) -> None:
        self._wire = wire
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
            if response.status != 200:
                raise refusal(self._key, response)
            raise_for_error_inside(self._key, response)
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
            error = refusal(self._key, response)
        except NETWORK_ERRORS:
            error = StoreUnavailable(f"{self._key}: the connection to the store broke: {cause!r}")
        self._wire.close()
        raise error from cause


def refusal(key: str, response: WireResponse) -> StoreError:
    """Our error for an answer that is not the one hoped for."""
    return body_error(key, response.status, response.read(_ERROR_BYTES))


def raise_for_error_inside(key: str, response: WireResponse) -> None:
    """Returns after a success that is one.

    Raises:
        StoreError: its document is that of an error.
    """
    data = response.read(_ERROR_BYTES)
    if is_error(data):
        raise body_error(key, response.status, data)


def is_error(data: bytes) -> bool:
    """Whether the document of an answer names an error."""
    return _ERROR.search(data[:_ERROR_BYTES]) is not None


def body_error(key: str, status: int, data: bytes) -> StoreError:
    """Our error for the first error that an answer's document names."""
    body = data[:_ERROR_BYTES].decode("utf-8", "replace")
    found, message = _CODE.search(data[:_ERROR_BYTES]), _MESSAGE.search(body)
    code = found[1].decode() if found else ""
    return answer_error(key, status, code, message[1] if message else body[:200].strip())


class MultipartSink:
    """One bottle over 5 GiB as a multipart upload, completed only after the whole digest agreed.

    Holds one part of PART_BYTES in memory.
    """

    def __init__(
        self,
        client: "S3Client",
        *,
        bucket: str,
        key: str,
        our_key: str,
        arguments: dict[str, Any],
        create_only: bool,
    ) -> None:
        self._client = client
        self._place: dict[str, Any] = {"Bucket": bucket, "Key": key}
        self._our_key = our_key
        self._arguments = arguments
        self._create_only = create_only
        self._upload_id = ""
        self._part = bytearray()
        self._parts: list[Any] = []

    def write(self, view: memoryview) -> None:
        """Collects the bytes and passes every full part on."""
        self._part += view
        if len(self._part) >= PART_BYTES:
            self._send_part()

    def commit(self) -> None:
        """The object is complete under its key.

        Raises:
            KeyTaken: another object stands there.
            StoreError: one of its classes, see errors.py.
        """
        if self._part:
            self._send_part()
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if self._create_only else {}
        persistently(lambda: self._complete(condition))
        self._upload_id = ""

    def _complete(self, condition: dict[str, Any]) -> None:
        with _our_errors(self._our_key):
            self._client.complete_multipart_upload(
                **self._place,
                UploadId=self._upload_id,
                MultipartUpload={"Parts": self._parts},
                **condition,
            )

    def abort(self) -> None:
        """The upload and its parts are gone, as far as the server answers."""
        if self._upload_id:
            with contextlib.suppress(ClientError, BotoCoreError):
                self._client.abort_multipart_upload(**self._place, UploadId=self._upload_id)
            self._upload_id = ""

    def _send_part(self) -> None:
        persistently(self._try_to_send_part)

    def _try_to_send_part(self) -> None:
        with _our_errors(self._our_key):
            if not self._upload_id:
                upload = self._client.create_multipart_upload(
                    **self._place, ChecksumAlgorithm="SHA256", **self._arguments
                )
                self._upload_id = upload["UploadId"]
            number = len(self._parts) + 1
            checksum = base64.b64encode(hashlib.sha256(self._part).digest()).decode()
            answer = self._client.upload_part(
                **self._place,
                UploadId=self._upload_id,
                PartNumber=number,
                Body=bytes(self._part),
                ChecksumSHA256=checksum,
            )
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum})
        self._part = bytearray()


@contextlib.contextmanager
def _our_errors(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as exc:
        error = exc.response.get("Error", {})
        status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        raise answer_error(key, status, str(error.get("Code", "")), str(exc)) from exc
    except Exception as exc:  # the library's own class, or what its providers of credentials raise
        raise StoreUnavailable(f"{key}: {type(exc).__name__}: {with_shown_urls(str(exc))}") from exc
