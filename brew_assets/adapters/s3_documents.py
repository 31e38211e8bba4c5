"""Objects and listings of a bucket on the bulk path's connections.

botocore's own calls cost ten times the processor time, which a journal of many receipts would feel, and they
read whatever a server answers to its end.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeVar
from urllib.parse import quote
from xml.sax.saxutils import escape

from brew_assets.adapters.origin import Origin
from brew_assets.adapters.s3_answers import about_the_store, answer_error, persistently
from brew_assets.adapters.s3_bodies import ANSWER_BYTES, first_bytes, hashed_body, whole_body
from brew_assets.adapters.s3_listing import Page, decode_page
from brew_assets.adapters.s3_signing import BulkSigner
from brew_assets.adapters.s3_sinks import body_error, raise_for_error_inside, refusal
from brew_assets.adapters.wire import NETWORK_ERRORS, Wire
from brew_assets.adapters.wire_response import WireResponse
from brew_assets.adapters.wires import ThreadWires
from brew_assets.engine.ports import MAX_DOCUMENT_BYTES, Document, ObjectFacts
from brew_assets.errors import ObjectRefused, StoreError, StoreRefused, StoreUnavailable, StoreUnsupported

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_REFUSED_DELETES = 3
_SIZE_DIGITS = 18

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_META = "x-amz-meta-"
_COPIED = re.compile(rb"<(?:\w+:)?CopyObjectResult[\s/>]")
_ERROR = re.compile(rb"<(?:\w+:)?Error[\s>]")

_T = TypeVar("_T")


class Head(NamedTuple):
    """What a server says of an object; `checksum` is its x-amz-checksum-sha256, "" without one.

    `size` is -1 where it says none that could be one.
    """

    size: int
    checksum: str
    metadata: dict[str, str]

    @property
    def digest(self) -> str | None:
        """The hex digest of a full-object checksum; None for a composite one ("…-3") or none at all."""
        try:
            raw = base64.b64decode(self.checksum, validate=True)
        except ValueError:
            return None
        return raw.hex() if len(raw) == 32 else None


class S3Documents:
    """Reads and writes whole objects below one bucket. Safe for use by several threads."""

    def __init__(
        self,
        wires: ThreadWires,
        signer: Callable[[], BulkSigner],
        *,
        bucket: str,
    ) -> None:
        self._wires = wires
        self._signer = signer
        self._bucket = bucket
        # Whether the server deletes many objects with one call; some do not know that call.
        self._deletes_many = True

    def get(self, key: str, *, most_bytes: int = MAX_DOCUMENT_BYTES) -> Document | None:
        """The object and its ETag, None when there is none.

        Raises:
            ObjectRefused: it has more than `most_bytes`, or the store does not give it out.
            StoreError: another of its classes, see errors.py.
        """
        return persistently(lambda: self._get(key, most_bytes))

    def head(self, key: str) -> Head | None:
        """What the server tells of an object, None when there is none.

        Raises:
            StoreError: one of its classes, see errors.py.
        """
        return persistently(lambda: self._head(key))

    def hash(self, key: str) -> ObjectFacts | None:
        """Digest and size of the bytes read back, None when there is none.

        Raises:
            StoreError: one of its classes, see errors.py.
        """
        return persistently(lambda: self._hash(key))

    def peek(self, key: str, length: int) -> bytes:
        """The first bytes of an object.

        Raises:
            StoreError: one of its classes, see errors.py; an object that is missing is refused.
        """
        return persistently(lambda: self._peek(key, length))

    def copy(self, source: str, key: str, headers: dict[str, str]) -> None:
        """The object at `source`, in the same bucket, stands under the key too, with these headers.

        Raises:
            KeyTaken: a condition did not hold.
            StoreError: one of its classes, see errors.py.
        """
        persistently(lambda: self._copy(source, key, headers))

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
        return persistently(lambda: self._put(key, memoryview(data), all_headers, digest.hexdigest()))

    def list_page(self, prefix: str, *, delimiter: str = "", token: str = "", most: int = 1000) -> Page:
        """One page of a listing, in the order of keys.

        Raises:
            StoreError: one of its classes, see errors.py.
        """
        parameters = {"list-type": "2", "max-keys": str(most), "prefix": prefix, "encoding-type": "url"}
        if delimiter:
            parameters["delimiter"] = delimiter
        if token:
            parameters["continuation-token"] = token
        return persistently(lambda: self._list(parameters))

    def delete(self, keys: list[str]) -> None:
        """There is no object under any of the keys, at most 1,000.

        Raises:
            StoreError: one of its classes, see errors.py.
        """
        if self._deletes_many:
            try:
                persistently(lambda: self._delete_many(keys))
                return
            except (StoreUnsupported, ObjectRefused):
                pass  # perhaps only this way of asking; what is refused for good is refused below too
        self._delete_each(keys)
        self._deletes_many = False

    def _delete_each(self, keys: list[str]) -> None:
        """What can be deleted is; the first refusal is raised afterwards."""
        refusals: list[StoreError] = []
        for number, key in enumerate(keys, 1):
            try:
                self._delete_one(key)
            except (StoreUnsupported, ObjectRefused) as error:
                refusals.append(error)
            # Where nothing may be deleted, a thousand more questions will not change that.
            if len(refusals) == number == _REFUSED_DELETES:
                break
        if refusals:
            raise refusals[0]

    def _delete_one(self, key: str) -> None:
        def take(response: WireResponse) -> None:
            if response.status in (200, 204):
                return
            error = refusal(f"deletion of {key}", response)
            if response.status != 404 or not isinstance(error, ObjectRefused):
                raise error

        persistently(lambda: self._exchange("DELETE", key, _Sent({}, None, _EMPTY_SHA256), take))

    def _delete_many(self, keys: list[str]) -> None:
        objects = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
        body = f'<Delete xmlns="{_NAMESPACE}">{objects}<Quiet>true</Quiet></Delete>'.encode()
        self._post_deletion(body)

    def _list(self, parameters: dict[str, str]) -> Page:
        def take(response: WireResponse) -> Page:
            if response.status != 200:
                raise about_the_store(refusal(subject, response))
            try:
                return decode_page(self._whole(subject, response), prefix=parameters["prefix"])
            except ObjectRefused as exc:
                raise about_the_store(exc) from exc

        subject = f"listing of {parameters['prefix']!r}"

        return self._exchange("GET", "", _Sent({}, None, _EMPTY_SHA256, parameters), take)

    def _post_deletion(self, body: bytes) -> None:
        def take(response: WireResponse) -> None:
            if response.status != 200:
                raise refusal("deletion", response)
            answer = self._whole("deletion", response)
            # A server that names what it has deleted may name a thousand before the first error.
            if found := _ERROR.search(answer):
                raise body_error("deletion", 200, answer[found.start() :])

        digest = hashlib.sha256(body)
        headers = {
            "Content-Type": "application/xml",
            "Content-Length": str(len(body)),
            "Content-MD5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode(),
            "x-amz-checksum-sha256": base64.b64encode(digest.digest()).decode(),
        }
        sent = _Sent(headers, memoryview(body), digest.hexdigest(), {"delete": ""})
        self._exchange("POST", "", sent, take)

    def _head(self, key: str) -> Head | None:
        def take(response: WireResponse) -> Head | None:
            if response.status == 404:
                return None
            if response.status != 200:
                raise answer_error(f"HEAD of {key}", response.status, "", "", of_head=True)
            size = response.fields.get("content-length", "")
            is_size = size.isascii() and size.isdigit() and len(size) <= _SIZE_DIGITS
            return Head(
                int(size) if is_size else -1,
                response.fields.get("x-amz-checksum-sha256", ""),
                _metadata(response),
            )

        headers = {"x-amz-checksum-mode": "ENABLED"}
        return self._exchange("HEAD", key, _Sent(headers, None, _EMPTY_SHA256), take)

    def _get(self, key: str, most_bytes: int) -> Document | None:
        def take(response: WireResponse) -> Document | None:
            if response.status == 200:
                data = whole_body(key, response, most=most_bytes)
                return Document(data, response.fields.get("etag", ""))
            _raise_unless_missing(key, response)
            return None

        return self._exchange("GET", key, _Sent({}, None, _EMPTY_SHA256), take)

    def _whole(self, subject: str, response: WireResponse) -> bytes:
        return whole_body(subject, response, most=ANSWER_BYTES)

    def _hash(self, key: str) -> ObjectFacts | None:
        def take(response: WireResponse) -> ObjectFacts | None:
            if response.status != 200:
                _raise_unless_missing(key, response)
                return None
            found = hashed_body(key, response)
            return ObjectFacts(key=key, size=found.size, digest=found.digest, metadata=_metadata(response))

        return self._exchange("GET", key, _Sent({}, None, _EMPTY_SHA256), take)

    def _peek(self, key: str, length: int) -> bytes:
        def take(response: WireResponse) -> bytes:
            if response.status not in (200, 206):
                raise refusal(key, response)
            return first_bytes(response, length)

        sent = _Sent({"Range": f"bytes=0-{length - 1}"}, None, _EMPTY_SHA256)
        return self._exchange("GET", key, sent, take)

    def _copy(self, source: str, key: str, headers: dict[str, str]) -> None:
        def take(response: WireResponse) -> None:
            if response.status != 200:
                raise refusal(key, response)
            answer = self._whole(key, response)
            # The head of an answer is sent before the copy is made: only its document says that it was.
            if _COPIED.search(answer) is None:
                raise body_error(key, 200, answer)

        sent = headers | {
            "Content-Length": "0",
            "x-amz-copy-source": quote(f"{self._bucket}/{source}", safe="/-_.~"),
        }
        self._exchange("PUT", key, _Sent(sent, None, _EMPTY_SHA256), take)

    def _put(self, key: str, body: memoryview, headers: dict[str, str], sha256: str) -> str:
        def take(response: WireResponse) -> str:
            if response.status != 200:
                raise refusal(key, response)
            raise_for_error_inside(key, response)
            return response.fields.get("etag", "")

        return self._exchange("PUT", key, _Sent(headers, body, sha256), take)

    def _exchange(self, method: str, key: str, sent: "_Sent", take: Callable[[WireResponse], _T]) -> _T:
        signer = self._signer()
        target = signer.target(key, sent.parameters)
        signed = signer.signed_headers(method, target, sent.headers, payload_sha256=sent.sha256)
        wire = wire_to(self._wires, signer.origin)
        try:
            wire.send(method, target, signed, sent.body)
            return take(wire.receive(method))
        except NETWORK_ERRORS as exc:
            wire.close()
            what = f"{method} of {key}" if key else f"{method} of the bucket"
            where = f"{signer.origin.netloc} (AWS_ENDPOINT_URL, AWS_REGION)"
            raise StoreUnavailable(f"{what}: {where}: {type(exc).__name__}: {exc}") from exc
        finally:
            wire.finish()


class _Sent(NamedTuple):
    """What a request carries."""

    headers: dict[str, str]
    body: memoryview | None
    sha256: str
    parameters: Mapping[str, str] = MappingProxyType({})


def _metadata(response: WireResponse) -> dict[str, str]:
    fields = response.fields
    return {name[len(_META) :]: value for name, value in fields.items() if name.startswith(_META)}


def _raise_unless_missing(key: str, response: WireResponse) -> None:
    """Returns when the answer says that there is no such object.

    Raises:
        StoreError: the answer says something else.
    """
    error = refusal(key, response)
    # Of a bucket that is gone no object is missing.
    if response.status != 404 or not isinstance(error, ObjectRefused):
        raise error


def wire_to(wires: ThreadWires, origin: Origin) -> Wire:
    """The calling thread's connection to the store.

    Raises:
        StoreRefused: there can be none, for example for a file of certificates that cannot be read.
    """
    try:
        return wires.mine().to(origin)
    except NETWORK_ERRORS as exc:
        raise StoreRefused(f"{origin.netloc}: {type(exc).__name__}: {exc}") from exc
