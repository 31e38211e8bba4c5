"""Objects and listings of a bucket by boto3's client: whatever is not asked for by the thousand."""

import base64
import hashlib
import io
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from brew_assets.adapters.aws.answers import AnswerMalformed
from brew_assets.adapters.s3.answers import Sent, about_the_store, answer_error, persistently
from brew_assets.adapters.s3.bodies import first_bytes, hashed_body, whole_body
from brew_assets.adapters.s3.client_errors import client_error
from brew_assets.adapters.s3.listing import NoListing, Page, page_of
from brew_assets.engine.ports import MAX_DOCUMENT_BYTES, Clock, Document, ObjectFacts
from brew_assets.engine.served_objects import OpenedObject, ServedObject
from brew_assets.errors import ObjectRefused, StoreError, StoreUnavailable, StoreUnsupported

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_REFUSED_DELETES = 3
# The first element of a document, behind its declaration and comments.
_ROOT = re.compile(rb"\s*+(?:<\?[^>]*+>\s*+|(?><!--.*?-->)\s*+)*+<(?:[\w.-]+:)?([\w.-]+)", re.DOTALL)
_TRUNCATED = re.compile(rb"(<(?:\w+:)?IsTruncated>)\s*([A-Za-z]+)\s*<")
# The library takes other digits than these, and "1_0", for numbers.
_ODD_SIZE = re.compile(rb"<(?:\w+:)?Size>(?!\s*[0-9]{1,18}\s*<)(.{0,40})")
# What nobody asks a page for; to have it parsed costs three times the rest.
_UNUSED = re.compile(
    rb"<((?:\w+:)?(?:LastModified|ETag|ChecksumAlgorithm|ChecksumType|StorageClass))>[^<]*</\1>"
    rb"|<((?:\w+:)?Owner)>(?:<(?:\w+:)?(?:ID|DisplayName)>[^<]*</(?:\w+:)?(?:ID|DisplayName)>)*+</\2>"
)
# So many elements, each opened in the one before it, are no page: the library would see none of them.
_DEEP = re.compile(rb"(?:<[^/!?<>](?:[^<>]*[^/<>])?>[^<]*+){17}")
_ROOTS = {"ListObjectsV2": b"ListBucketResult", "CopyObject": b"CopyObjectResult"}

_T = TypeVar("_T")


def check_documents(client: "S3Client") -> None:
    """From now on the client takes nothing for a listing or for a copy that was made but what says so.

    It follows no bucket into another region either: the thin connection would not, and whoever is asked to
    pay for each request should know.
    """
    events = client.meta.events
    for operation in _ROOTS:
        events.register(f"before-parse.s3.{operation}", _check_root)
    events.register_first("before-parse.s3.ListObjectsV2", _cut_page)
    events.register("request-created.s3.DeleteObjects", _add_md5)
    events.register_last("before-parameter-build.s3", _follow_no_redirect)


def _cut_page(response_dict: dict[str, Any], **_: Any) -> None:
    if response_dict["status_code"] == 200:
        response_dict["body"] = _UNUSED.sub(b"", response_dict["body"])


def _check_root(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    # An error has been seen by the library, which has changed the status.
    if response_dict["status_code"] != 200:
        return
    body, expected = response_dict["body"], _ROOTS[operation_model.name]
    found = _ROOT.match(body)
    if found is None or found[1] != expected:
        name = found[1][:80].decode("ascii", "replace") if found else body[:80].decode("utf-8", "replace")
        raise AnswerMalformed(expected=f"a document of {expected.decode()}", found=repr(name))
    if _DEEP.search(body):
        raise AnswerMalformed(expected="a flat document", found="elements nested deeper than 16")
    if odd := _ODD_SIZE.search(body):
        raise AnswerMalformed(expected="a size", found=repr(odd[1].decode("utf-8", "replace")))
    # The library knows "true" alone; to take a page for the last one would lose objects.
    response_dict["body"] = _TRUNCATED.sub(lambda m: m[1] + m[2].lower() + b"<", body, count=1)


def _add_md5(request: Any, **_: Any) -> None:
    # Servers from before 2025 know no other checksum of a deletion.
    digest = hashlib.md5(request.data, usedforsecurity=False).digest()
    request.headers["Content-MD5"] = base64.b64encode(digest).decode()


def _follow_no_redirect(context: dict[str, Any], **_: Any) -> None:
    context.setdefault("s3_redirect", {})["redirected"] = True


class S3Documents:
    """Reads and writes whole objects below one bucket. Safe for use by several threads."""

    def __init__(self, client: Callable[[], "S3Client"], *, bucket: str, url: str, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._bucket = bucket
        self._url = url
        # Whether the server deletes many objects with one call; some do not know that call.
        self._deletes_many = True

    def get(self, key: str, *, most_bytes: int = MAX_DOCUMENT_BYTES) -> Document | None:
        """The object and its ETag, None when there is none.

        Raises:
            ObjectRefused: it has more than `most_bytes`, or the store does not give it out.
            StoreError: another of its classes, see errors.py.
        """

        def act(client: "S3Client") -> Document:
            answer = client.get_object(Bucket=self._bucket, Key=key)
            body = whole_body(key, answer, most=most_bytes, monotonic=self._clock.monotonic)
            return Document(body, answer.get("ETag", ""))

        return self._unless_missing(key, act)

    def open(self, key: str, *, most_bytes: int) -> OpenedObject | None:
        """The object as it was read, and when it was stored; None when there is none.

        Raises:
            ObjectRefused: it has more than `most_bytes`, or the store does not give it out.
            StoreError: another of its classes, see errors.py.
        """

        def act(client: "S3Client") -> OpenedObject:
            answer = client.get_object(Bucket=self._bucket, Key=key)
            body = whole_body(key, answer, most=most_bytes, monotonic=self._clock.monotonic)
            return OpenedObject(size=len(body), modified=self._stored_at(answer), body=io.BytesIO(body))

        return self._unless_missing(key, act)

    def head(self, key: str) -> ServedObject | None:
        """Size and time of the object, None when there is none.

        Raises:
            StoreError: one of its classes, see errors.py.
        """

        def act(client: "S3Client") -> ServedObject:
            answer = client.head_object(Bucket=self._bucket, Key=key)
            return ServedObject(size=answer["ContentLength"], modified=self._stored_at(answer))

        return self._unless_missing(key, act)

    def _stored_at(self, answer: Mapping[str, Any]) -> datetime:
        found = answer.get("LastModified")
        return found if isinstance(found, datetime) and found.tzinfo else self._clock.now()

    def hash(self, key: str) -> ObjectFacts | None:
        """Digest and size of the bytes read back, None when there is none.

        Raises:
            StoreError: one of its classes, see errors.py.
        """

        def act(client: "S3Client") -> ObjectFacts:
            answer = client.get_object(Bucket=self._bucket, Key=key)
            found = hashed_body(key, answer)
            return ObjectFacts(key=key, size=found.size, digest=found.digest, metadata=answer["Metadata"])

        return self._unless_missing(key, act)

    def peek(self, key: str, length: int) -> bytes:
        """The first bytes of an object.

        Raises:
            StoreError: one of its classes, see errors.py; an object that is missing is refused.
        """

        def act(client: "S3Client") -> bytes:
            answer = client.get_object(Bucket=self._bucket, Key=key, Range=f"bytes=0-{length - 1}")
            return first_bytes(answer, length)

        return self._persistently(key, act)

    def put(self, key: str, data: bytes, arguments: dict[str, Any]) -> str:
        """The new ETag. Conditions and encryption are among the arguments.

        Raises:
            KeyTaken: a condition did not hold.
            StoreError: one of its classes, see errors.py.
        """
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()

        def act(client: "S3Client") -> str:
            answer = client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=data,
                ContentType="application/json",
                ChecksumSHA256=checksum,
                **arguments,
            )
            return answer.get("ETag", "")

        return self._persistently(key, act, Sent.of(arguments, has_checksum=True))

    def copy(self, source: str, key: str, arguments: dict[str, Any]) -> None:
        """The object at `source`, in the same bucket, stands under the key too, labelled so.

        Raises:
            KeyTaken: a condition did not hold.
            StoreError: one of its classes, see errors.py.
        """
        place = {"Bucket": self._bucket, "Key": source}

        def act(client: "S3Client") -> None:
            client.copy_object(Bucket=self._bucket, Key=key, CopySource=place, **arguments)  # type: ignore[arg-type]

        self._persistently(key, act, Sent.of(arguments, has_checksum=True))

    def list_page(self, prefix: str, *, delimiter: str = "", token: str = "", most: int = 1000) -> Page:
        """One page of a listing.

        Raises:
            StoreError: one of its classes, see errors.py.
        """
        more: dict[str, Any] = {"Delimiter": delimiter} if delimiter else {}
        if token:
            more["ContinuationToken"] = token
        subject = f"listing of {prefix!r}"

        def act(client: "S3Client") -> Page:
            answer = client.list_objects_v2(
                Bucket=self._bucket, Prefix=prefix, MaxKeys=most, EncodingType="url", **more
            )
            try:
                return page_of(answer, prefix=prefix)
            except NoListing as exc:
                raise StoreUnavailable(f"{subject}: expected a listing, found {exc}") from exc

        try:
            return self._persistently(subject, act)
        except ObjectRefused as exc:
            raise about_the_store(exc) from exc

    def delete(self, keys: list[str]) -> None:
        """There is no object under any of the keys, at most 1,000.

        Raises:
            StoreError: one of its classes, see errors.py.
        """
        if self._deletes_many:
            try:
                self._delete_many(keys)
                return
            except (StoreUnsupported, ObjectRefused):
                pass  # perhaps only this way of asking; what is refused for good is refused below too
        self._delete_each(keys)
        self._deletes_many = False

    def _delete_many(self, keys: list[str]) -> None:
        def act(client: "S3Client") -> None:
            answer = client.delete_objects(
                Bucket=self._bucket,
                Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
                ChecksumAlgorithm="SHA256",
            )
            for error in answer.get("Errors", ()):
                code, message = (error.get("Code") or "").strip(), error.get("Message") or ""
                raise answer_error("deletion", 200, code, message[:500])

        self._persistently("deletion", act, Sent(has_checksum=True))

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
        def act(client: "S3Client") -> None:
            client.delete_object(Bucket=self._bucket, Key=key)

        self._unless_missing(f"deletion of {key}", act)

    def _unless_missing(self, subject: str, act: Callable[["S3Client"], _T]) -> _T | None:
        try:
            return self._persistently(subject, act)
        except ObjectRefused as error:
            # Of a bucket that is gone no object is missing.
            if error.status == 404:
                return None
            raise

    def _persistently(self, subject: str, act: Callable[["S3Client"], _T], sent: Sent | None = None) -> _T:
        return persistently(lambda: self._once(subject, act, sent or Sent()), self._clock)

    def _once(self, subject: str, act: Callable[["S3Client"], _T], sent: Sent) -> _T:
        client = self._client()
        try:
            return act(client)
        except StoreError:
            raise
        except Exception as exc:  # of botocore, of urllib3, and whatever providers of credentials raise
            raise client_error(subject, exc, client, url=self._url, sent=sent) from exc
