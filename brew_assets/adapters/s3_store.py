"""The store in an S3 bucket, or in any server that speaks S3.

boto3's core, botocore, makes the calls that are rare. A bottle is one PUT on the bulk path: signed with
its own digest as payload hash and with `x-amz-checksum-sha256`, so that the server checks the bytes itself
and a HEAD proves them later. Above MULTIPART_BYTES it is a multipart upload, whose checksum proves nothing
by a HEAD.
"""

import functools
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import botocore.loaders
import msgspec
from botocore.config import Config
from botocore.credentials import Credentials

from brew_assets.adapters.aws_answers import bound_answers
from brew_assets.adapters.http.aws_session import ReachSession
from brew_assets.adapters.http.reach import PLAIN, Reach
from brew_assets.adapters.s3_documents import S3Documents, wire_to
from brew_assets.adapters.s3_labels import ObjectLabels
from brew_assets.adapters.s3_listing import Page, pages_to_the_end
from brew_assets.adapters.s3_signing import BulkSigner, credentials_error
from brew_assets.adapters.s3_sinks import MultipartSink, PutSink
from brew_assets.adapters.wires import ThreadWires
from brew_assets.domain.bottle import Bottle, is_object_key
from brew_assets.domain.manifest import MANIFEST_KEY
from brew_assets.domain.object_keys import is_date
from brew_assets.engine.foreign_objects import ForeignObjects
from brew_assets.engine.ports import MAX_DOCUMENT_BYTES, BottleSink, Document, ListedObject, ObjectFacts
from brew_assets.errors import (
    KeyTaken,
    ObjectRefused,
    PreconditionFailed,
    StoreError,
    StoreRefused,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# The largest object that one PUT or one CopyObject makes.
MULTIPART_BYTES = 5 * 1024**3
_MOST_DELETED = 1000


class S3Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to speak to the bucket. `sse` is AES256, aws:kms or bucket (the bucket's own default)."""

    bucket: str
    prefix: str = ""
    region: str = "us-east-1"
    endpoint_url: str | None = None
    sse: str = "AES256"
    kms_key_id: str = ""
    accelerate: bool = False
    timeout_s: float = 300.0
    connections: int = 16
    api_base_url: str = "https://formulae.brew.sh/api"
    multipart_bytes: int = MULTIPART_BYTES


class S3Store:
    """A bucket, or a prefix of one, as the object store. Safe for use by several threads."""

    def __init__(self, options: S3Options, reach: Reach = PLAIN) -> None:
        self._options = options
        self._bucket = options.bucket
        self._prefix = f"{options.prefix.strip('/')}/" if options.prefix.strip("/") else ""
        self.url = f"s3://{self._bucket}/{self._prefix}"
        self._labels = ObjectLabels(
            sse=options.sse, kms_key_id=options.kms_key_id, api_base_url=options.api_base_url
        )
        # boto3's own session adds resources and managed transfers, a fifth of a second and nothing used here.
        # Made when first needed: a process that only copies bottles never needs it.
        self._made_client: S3Client | None = None
        session = ReachSession(reach)
        session.register_component("data_loader", _models())
        # For STS, which a profile with a role asks before there is a client.
        session.set_config_variable("region", options.region)
        self._session = session
        self._signer: BulkSigner | None = None
        self._lock = threading.RLock()
        self._wires = ThreadWires(reach, timeout_s=options.timeout_s)
        # Connections of their own: a listing must not fall into a bottle that is half sent.
        self._document_wires = ThreadWires(reach, timeout_s=options.timeout_s)
        self._documents = S3Documents(self._document_wires, self._signing, bucket=self._bucket)

    @property
    def _client(self) -> "S3Client":
        with self._lock:
            if self._made_client is None:
                # The library would look for credentials while it makes a client, and raise what it likes.
                self._credentials()
                self._made_client = self._make_client()
            return self._made_client

    def _make_client(self) -> "S3Client":
        client: S3Client = self._session.create_client(
            "s3",
            region_name=self._options.region,
            endpoint_url=self._options.endpoint_url,
            config=Config(
                max_pool_connections=self._options.connections,
                connect_timeout=30,
                read_timeout=60,
                # Tried again by us: the library knows of no 409 that passes.
                retries={"total_max_attempts": 1},
                # Our own hash is stricter; the library would raise where the bytes have to be judged.
                response_checksum_validation="when_required",
                s3={
                    "use_accelerate_endpoint": self._options.accelerate,
                    "addressing_style": "path" if self._options.endpoint_url else "auto",
                },
            ),
        )
        bound_answers(client)
        return client

    # -- small objects ---------------------------------------------------------------------------------

    def prepare(self) -> None:
        """The bucket answers.

        Raises:
            StoreRefused: there is no such bucket, or no permission, or no credentials.
        """
        try:
            self._documents.list_page(self._prefix + MANIFEST_KEY, most=1)
        except StoreError as exc:
            raise type(exc)(f"{self.url}: {exc}", status=exc.status, code=exc.code) from exc

    def interrupt(self) -> None:
        """Bottles on their way from any thread break off at once."""
        self._wires.interrupt()
        # Of the documents not the caller's own: receipts, manifest and report have to be written after it.
        self._document_wires.interrupt(but_mine=True)

    def close(self) -> None:
        """The calling thread's bulk connections are closed."""
        self._wires.mine().close()
        self._document_wires.mine().close()

    def read(self, key: str, *, most_bytes: int = MAX_DOCUMENT_BYTES) -> Document | None:
        """The object, None when there is none; one of more than `most_bytes` is refused."""
        return self._documents.get(self._full(key), most_bytes=most_bytes)

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
        """
        headers = self._labels.encryption_headers()
        if create_only:
            headers["If-None-Match"] = "*"
        elif replaces is not None:
            if not replaces:
                raise StoreRefused(
                    f"{key}: the store names no version (ETag) of it, and without one two writers cannot be "
                    "kept apart; let no proxy take it out of the answers"
                )
            headers["If-Match"] = replaces
        try:
            return self._documents.put(self._full(key), data, headers)
        except KeyTaken as exc:
            raise (KeyTaken if create_only else PreconditionFailed)(key) from exc
        except ObjectRefused as exc:
            # A conditional write of an object that is gone.
            if replaces is not None and exc.status == 404:
                raise PreconditionFailed(key) from exc
            raise

    def delete(self, keys: Iterable[str]) -> None:
        """There is no object under any of the keys."""
        full = [self._full(key) for key in keys]
        for start in range(0, len(full), _MOST_DELETED):
            self._documents.delete(full[start : start + _MOST_DELETED])

    def listing(self, prefix: str) -> Iterator[ListedObject]:
        """Every object whose key begins so, all pages or an error.

        What `read` would refuse is no object of the mirror and left out: markers of folders, for example.
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
        """The date folders (YYYY-MM-DD), newest first."""
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
        """What one HEAD proves. The digest is the server's full-object checksum, None without one."""
        head = self._documents.head(self._full(key))
        if head is None:
            return None
        if head.size < 0:
            # The server says nothing of the size: only the bytes tell.
            return self.hash(key)
        return ObjectFacts(
            key=key,
            size=head.size,
            digest=head.digest,
            metadata=head.metadata,
        )

    def hash(self, key: str) -> ObjectFacts | None:
        """The same with the digest of the bytes read back."""
        found = self._documents.hash(self._full(key))
        return None if found is None else msgspec.structs.replace(found, key=key)

    def peek(self, key: str, length: int) -> bytes:
        """The first bytes of an object."""
        return self._documents.peek(self._full(key), length)

    def receive(self, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> BottleSink:
        """A sink for the bottle's bytes: one PUT, or a multipart upload above the limit of one PUT."""
        key = bottle.key(date)
        if size > self._options.multipart_bytes:
            return MultipartSink(
                self._client,
                bucket=self._bucket,
                key=self._full(key),
                our_key=key,
                arguments=self._labels.bottle_arguments(bottle, date),
                create_only=not replace,
            )
        headers = self._labels.bottle_headers(bottle, date)
        headers["Content-Length"] = str(size)
        if not replace:
            headers["If-None-Match"] = "*"
        signer = self._signing()
        target = signer.target(self._full(key))
        headers = signer.signed_headers("PUT", target, headers, payload_sha256=bottle.digest)
        wire = wire_to(self._wires, signer.origin)
        return PutSink(wire, target=target, headers=headers, key=key, size=size)

    def duplicate(self, source: str, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> None:
        """The bottle stands under its own key too, made inside the bucket.

        Raises:
            KeyTaken: another object stands there.
            StoreError: the source is missing or is not the bottle.
        """
        key = bottle.key(date)
        facts = self.facts(source)
        if facts is not None and facts.digest is None:
            facts = self.hash(source)
        if facts is None or facts.digest != bottle.digest or facts.size != size:
            found = "nothing" if facts is None else f"{facts.size} bytes with sha256 {facts.digest}"
            raise StoreError(f"{source}: expected the bytes of {bottle.filename}, found {found}")
        if size > self._options.multipart_bytes:
            raise StoreError(f"{source}: over the limit of one copy; it is fetched again")
        headers = self._labels.copy_headers(bottle, date)
        if not replace:
            headers["If-None-Match"] = "*"
        try:
            self._documents.copy(self._full(source), self._full(key), headers)
        except KeyTaken as exc:
            raise KeyTaken(key) from exc

    def _signing(self) -> BulkSigner:
        with self._lock:
            if self._signer is None:
                credentials = self._credentials()
                self._signer = BulkSigner(
                    credentials, region=self._options.region, bucket_url=self._bucket_url()
                )
            return self._signer

    def _credentials(self) -> Credentials:
        try:
            credentials = self._session.get_credentials()
        except Exception as exc:
            raise credentials_error(exc) from exc
        if credentials is None:
            raise StoreRefused(f"{self.url}: no AWS credentials found")
        return credentials

    def _bucket_url(self) -> str:
        """The address of the bucket: below a given endpoint, else as a host of its own where TLS allows."""
        if self._options.endpoint_url:
            return f"{self._options.endpoint_url.rstrip('/')}/{self._bucket}"
        if self._options.accelerate:
            return f"https://{self._bucket}.s3-accelerate.amazonaws.com"
        scheme, _, host = self._client.meta.endpoint_url.rstrip("/").partition("://")
        if "." in self._bucket:
            return f"{scheme}://{host}/{self._bucket}"
        return f"{scheme}://{self._bucket}.{host}"


@functools.cache
def _models() -> botocore.loaders.Loader:
    """The service models, which take long to read: once per process and its forks."""
    return botocore.loaders.Loader()
