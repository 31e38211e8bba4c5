"""The store in an S3 bucket, or in any server that speaks S3.

boto3 is the client. What a sync asks for by the thousand, PUTs of bottles and indexes and HEADs of bottles,
goes over the thin connection, to the place that boto3 resolved: a bottle is one PUT, signed with its own
digest as payload hash and with `x-amz-checksum-sha256`, so that the server checks the bytes itself and a HEAD
proves them later.
"""

import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from brew_assets.adapters.aws.answers import BoundedSession
from brew_assets.adapters.aws.client import aws_session, resolved_region, session_reach
from brew_assets.adapters.http.pool import ThreadWires
from brew_assets.adapters.http.reach import PLAIN, Reach
from brew_assets.adapters.s3.bucket_client import S3Options, bucket_address, bucket_client
from brew_assets.adapters.s3.documents import S3Documents
from brew_assets.adapters.s3.listing import Page, pages_to_the_end
from brew_assets.adapters.s3.object_headers import ObjectHeaders
from brew_assets.adapters.s3.signing import BulkSigner, credentials_error
from brew_assets.adapters.s3.uploads import ThinObjects
from brew_assets.domain.bottle import Bottle
from brew_assets.domain.object_keys import INDEX_PREFIX, MANIFEST_KEY, is_date, is_object_key
from brew_assets.engine.ports import (
    MAX_DOCUMENT_BYTES,
    BottleSink,
    Clock,
    Document,
    ListedObject,
    ObjectFacts,
)
from brew_assets.engine.record.foreign_objects import ForeignObjects
from brew_assets.errors import (
    KeyTaken,
    ObjectRefused,
    PreconditionFailed,
    StoreError,
    StoreRefused,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# The largest object that one PUT or one CopyObject makes; a multipart upload's checksum would prove nothing.
MOST_BOTTLE_BYTES = 5 * 1024**3
_MOST_DELETED = 1000


class S3Store:
    """A bucket, or a prefix of one, as the object store. Safe for use by several threads."""

    def __init__(self, options: S3Options, reach: Reach = PLAIN, *, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._bucket = options.bucket
        self._prefix = f"{options.prefix.strip('/')}/" if options.prefix.strip("/") else ""
        self.url = f"s3://{self._bucket}/{self._prefix}"
        self._headers = ObjectHeaders(
            sse=options.sse, kms_key_id=options.kms_key_id, acl=options.acl, api_base_url=options.api_base_url
        )
        self._session = aws_session(reach)
        self._reach = reach = session_reach(self._session, reach)
        self._made_client: S3Client | None = None
        self._answers: BoundedSession | None = None
        self._bucket_url = ""
        self._signer: BulkSigner | None = None
        self._lock = threading.RLock()
        self._wires = ThreadWires(reach, timeout_s=options.timeout_s, monotonic=clock.monotonic)
        # Connections of their own: a HEAD must not fall into a bottle that is half sent.
        self._small_wires = ThreadWires(reach, timeout_s=options.timeout_s, monotonic=clock.monotonic)
        self._bottles = ThinObjects(self._wires, self._signing, url=self.url, clock=clock)
        self._thin = ThinObjects(self._small_wires, self._signing, url=self.url, clock=clock)
        self._documents = S3Documents(self._client, bucket=self._bucket, url=self.url, clock=clock)

    def _client(self) -> "S3Client":
        with self._lock:
            if self._made_client is None:
                # The library would look for credentials while it makes a client, and raise what it likes.
                self._check_credentials()
                self._made_client = self._make_client()
            return self._made_client

    def _make_client(self) -> "S3Client":
        client, self._answers = bucket_client(
            self._session, self._options, self._reach, url=self.url, monotonic=self._clock.monotonic
        )
        # Endpoint and addressing are boto3's business, for the thin connection too.
        self._bucket_url = bucket_address(client, self._bucket, url=self.url)
        return client

    # -- small objects ---------------------------------------------------------------------------------

    def prepare(self) -> None:
        """The bucket answers.

        Raises:
            StoreRefused: there is no such bucket, or no permission, or no credentials.
            StoreUnavailable: it does not answer.
        """
        try:
            self._documents.list_page(self._prefix + MANIFEST_KEY, most=1)
        except StoreError as exc:
            # So that the bucket is named once: that much may be asked of a text, it decides nothing else.
            if str(exc).startswith(self.url.rstrip("/")):
                raise
            raise type(exc)(f"{self.url}: {exc}", status=exc.status, code=exc.code) from exc

    def interrupt(self) -> None:
        """Bottles on their way from any thread break off at once."""
        self._wires.interrupt()
        # Of the others not the caller's own: receipts, manifest and report have to be written after it.
        self._small_wires.interrupt(but_mine=True)
        # Not under the lock: whoever has it may wait for credentials.
        answers = self._answers
        if answers is not None:
            answers.interrupt(but_mine=True)

    def close(self) -> None:
        """The calling thread's bulk connections are closed."""
        self._wires.mine().close()
        self._small_wires.mine().close()

    def read(self, key: str, *, most_bytes: int = MAX_DOCUMENT_BYTES) -> Document | None:
        """The object, None when there is none; its version is the ETag.

        Raises:
            ObjectRefused: it has more than `most_bytes`, or the store does not give it out.
            StoreError: another of its classes, see errors.py.
        """
        return self._documents.get(self._full(key), most_bytes=most_bytes)

    def exists(self, key: str) -> bool:
        """Whether one HEAD finds the object."""
        return self._thin.head(self._full(key)) is not None

    def version(self, key: str) -> str | None:
        """The ETag that one HEAD shows, None when there is no object."""
        head = self._thin.head(self._full(key))
        return head.etag if head is not None else None

    def write(
        self,
        key: str,
        data: bytes,
        *,
        create_only: bool = False,
        replaces: str | None = None,
    ) -> str:
        """The new version (its ETag).

        Raises:
            KeyTaken: create_only, and there is an object.
            PreconditionFailed: another version stands there than `replaces`, or none.
            StoreRefused: `replaces` is empty: the store has named no version.
            StoreError: another of its classes, see errors.py.
        """
        if replaces == "":
            raise StoreRefused(
                f"{key}: the store names no version (ETag) of it, and without one two writers cannot be "
                "kept apart; let no proxy take it out of the answers"
            )
        full = self._full(key)
        try:
            if key.startswith(INDEX_PREFIX):
                return self._thin.put(full, data, self._headers.headers() | _condition(create_only, replaces))
            arguments = self._headers.arguments()
            if create_only:
                arguments["IfNoneMatch"] = "*"
            elif replaces is not None:
                arguments["IfMatch"] = replaces
            return self._documents.put(full, data, arguments)
        except KeyTaken as exc:
            raise (KeyTaken if create_only else PreconditionFailed)(key) from exc
        except ObjectRefused as exc:
            # A conditional write of an object that is gone.
            if replaces is not None and exc.status == 404:
                raise PreconditionFailed(key) from exc
            raise

    def delete(self, keys: Iterable[str]) -> None:
        """There is no object under any of the keys.

        Raises:
            StoreError: one of its classes, see errors.py.
        """
        full = [self._full(key) for key in keys]
        for start in range(0, len(full), _MOST_DELETED):
            self._documents.delete(full[start : start + _MOST_DELETED])

    def listing(self, prefix: str) -> Iterator[ListedObject]:
        """Every object whose key begins so, all pages or an error. Sizes are in bytes.

        What `read` would refuse is no object of the mirror and left out: markers of folders, for example.

        Raises:
            StoreError: one of its classes, see errors.py.
        """
        ignored = ForeignObjects(self, prefix, why="objects whose keys are none that the mirror makes")
        for page in self._pages(prefix):
            for listed in page.objects:
                key = listed.key[len(self._prefix) :]
                if is_object_key(key):
                    yield ListedObject(key, listed.size)
                else:
                    ignored.add(key)
        ignored.log()

    def date_folders(self) -> list[str]:
        """The date folders (YYYY-MM-DD), newest first.

        Raises:
            StoreError: one of its classes, see errors.py.
        """
        below = len(self._prefix)
        names: set[str] = set()
        for page in self._pages("", delimiter="/"):
            names.update(folder[below:].removesuffix("/") for folder in page.folders)
            # A server that knows no delimiter lists the objects themselves.
            keys = (listed.key[below:] for listed in page.objects)
            names.update(key.partition("/")[0] for key in keys if "/" in key)
        return sorted(filter(is_date, names), reverse=True)

    def _pages(self, prefix: str, *, delimiter: str = "") -> Iterator[Page]:
        if not prefix.isprintable():
            raise StoreError(f"expected the beginning of a key, found {prefix[:200]!r}")
        full = self._prefix + prefix
        return pages_to_the_end(
            full, lambda token: self._documents.list_page(full, delimiter=delimiter, token=token)
        )

    def _full(self, key: str) -> str:
        if not is_object_key(key):
            raise StoreError(f"expected a relative key, found {key[:200]!r}")
        return self._prefix + key

    # -- bottles ---------------------------------------------------------------------------------------

    def facts(self, key: str) -> ObjectFacts | None:
        """What one HEAD proves, None if there is no object.

        The digest is the server's full-object checksum (hex), None without one.

        Raises:
            StoreError: one of its classes, see errors.py.
        """
        head = self._thin.head(self._full(key))
        if head is None:
            return None
        if head.size < 0:
            # The server says nothing of the size: only the bytes show it.
            return self.hash(key)
        return ObjectFacts(
            key=key,
            size=head.size,
            digest=head.digest,
            metadata=head.metadata,
        )

    def hash(self, key: str) -> ObjectFacts | None:
        """The same with the digest of the bytes read back.

        Raises:
            StoreError: one of its classes, see errors.py.
        """
        found = self._documents.hash(self._full(key))
        return None if found is None else msgspec.structs.replace(found, key=key)

    def peek(self, key: str, length: int) -> bytes:
        """The first `length` bytes of an object, fewer where it is shorter.

        Raises:
            StoreError: one of its classes, see errors.py; an object that is missing is refused.
        """
        return self._documents.peek(self._full(key), length)

    def check_size(self, bottle: Bottle, size: int) -> None:
        """Returns for a bottle that one PUT takes.

        Raises:
            ObjectRefused: it is larger.
        """
        if size > MOST_BOTTLE_BYTES:
            raise ObjectRefused(
                f"{bottle.filename}: a bucket takes at most 5 GiB ({MOST_BOTTLE_BYTES:,} bytes) as one PUT, "
                f"whose checksum proves them, and this one has {size:,}; a directory takes it, "
                "EXCLUDE_FORMULAE leaves it out"
            )

    def receive(self, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> BottleSink:
        """A sink for the bottle's `size` bytes: one PUT.

        Raises:
            ObjectRefused: the bottle is larger than one PUT takes.
            StoreError: there are no credentials to sign with, or a setting fits no bucket.
        """
        self.check_size(bottle, size)
        key = bottle.key(date)
        headers = self._headers.bottle_headers(bottle, date) | _condition(not replace, None)
        headers["Content-Length"] = str(size)
        return self._bottles.sink(self._full(key), headers, sha256=bottle.digest, size=size, our_key=key)

    def duplicate(self, source: str, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> None:
        """The bottle stands under its own key too, made inside the bucket.

        Raises:
            KeyTaken: another object stands there.
            ObjectRefused: the bottle is larger than one PUT takes.
            StoreError: the source is missing, or has not the bottle's size and digest; or another class.
        """
        key = bottle.key(date)
        facts = self.facts(source)
        if facts is not None and facts.digest is None:
            facts = self.hash(source)
        if facts is None or facts.digest != bottle.digest or facts.size != size:
            found = "nothing" if facts is None else f"{facts.size} bytes with sha256 {facts.digest}"
            raise StoreError(f"{source}: expected the bytes of {bottle.filename}, found {found}")
        self.check_size(bottle, size)
        arguments = self._headers.copy_arguments(bottle, date)
        if not replace:
            arguments["IfNoneMatch"] = "*"
        try:
            self._documents.copy(self._full(source), self._full(key), arguments)
        except KeyTaken as exc:
            raise KeyTaken(key) from exc

    def _signing(self) -> BulkSigner:
        # Asked for with every request.
        if self._signer is not None:
            return self._signer
        with self._lock:
            if self._signer is None:
                client = self._client()
                self._signer = BulkSigner(
                    self._check_credentials(), region=client.meta.region_name, bucket_url=self._bucket_url
                )
            return self._signer

    def _check_credentials(self) -> Any:
        try:
            # For STS, which a profile with a role asks before there is a client.
            core = self._session._session
            core.set_config_variable("region", resolved_region(self._session, self._options.region))
            credentials = self._session.get_credentials()
        except Exception as exc:
            raise credentials_error(exc) from exc
        if credentials is None:
            raise StoreRefused(f"{self.url}: no AWS credentials found")
        return credentials


def _condition(create_only: bool, replaces: str | None) -> dict[str, str]:
    """The header that makes a write conditional."""
    if create_only:
        return {"If-None-Match": "*"}
    return {} if replaces is None else {"If-Match": replaces}
