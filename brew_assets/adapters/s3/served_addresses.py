"""Objects of a bucket for the gateway: addresses that botocore has signed for a GET, and small objects.

A signed address dies with the credentials that signed it, whatever it says of itself. So one is given out
again only until half of the shorter of both lives is over: whoever gets it has the other half to begin.
Signing costs a quarter of a millisecond of processor time; the client is this module's own, with Signature
Version 4, as the older one is refused for objects under KMS.
"""

import threading
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from brew_assets.adapters.aws.client import aws_session, session_reach
from brew_assets.adapters.http.reach import Reach
from brew_assets.adapters.s3.bucket_client import S3Options, bucket_client
from brew_assets.adapters.s3.client_errors import setting_error
from brew_assets.adapters.s3.documents import S3Documents
from brew_assets.adapters.s3.signing import credentials_error
from brew_assets.domain.object_keys import is_object_key
from brew_assets.engine.ports import Clock
from brew_assets.engine.served_objects import OpenedObject, ServedObject
from brew_assets.errors import StoreError, StoreRefused

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# An address has half a kilobyte.
MOST_KEPT = 10_000


class _Kept(msgspec.Struct, frozen=True):
    address: str
    until: datetime


class ServedAddresses:
    """A bucket's objects: `presign_s` seconds are the longest life of an address."""

    redirects = True

    def __init__(
        self, options: S3Options, reach: Reach, *, prefix: str, presign_s: int, clock: Clock
    ) -> None:
        """`prefix` is empty or ends in a slash."""
        self._options = options
        self._session = aws_session(reach)
        self._reach = session_reach(self._session, reach)
        self._prefix = prefix
        self._presign_s = presign_s
        self._clock = clock
        self._url = f"s3://{options.bucket}/{prefix}"
        self._made_client: S3Client | None = None
        self._credentials: Any = None
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._lock = threading.RLock()
        self._documents = S3Documents(self._client, bucket=options.bucket, url=self._url, clock=clock)

    def open(self, key: str, *, most_bytes: int) -> OpenedObject | None:
        """The object, whole, None when there is none.

        Raises:
            ObjectRefused: it has more than `most_bytes`, or the store does not give it out.
            StoreError: another of its classes, see errors.py.
        """
        return self._documents.open(self._full(key), most_bytes=most_bytes)

    def facts(self, key: str) -> ServedObject | None:
        """Size and time by one HEAD, None when there is no object.

        Raises:
            StoreError: one of its classes, see errors.py.
        """
        return self._documents.head(self._full(key))

    def kept_address(self, key: str, *, filename: str = "") -> str | None:
        """An address that was signed before, while at least half of its life is left."""
        with self._lock:
            kept = self._kept.get((key, filename))
            if kept is None or kept.until <= self._clock.now():
                return None
            self._kept.move_to_end((key, filename))
            return kept.address

    def address(self, key: str, *, filename: str = "") -> str:
        """Where the object is fetched with a GET; its answer names the file if `filename` is given.

        Raises:
            StoreError: there are no credentials to sign with.
        """
        given: dict[str, Any] = {"Bucket": self._options.bucket, "Key": self._full(key)}
        if filename:
            given["ResponseContentDisposition"] = f'attachment; filename="{filename}"'
        client = self._client()
        before = self._life_s()
        try:
            address = client.generate_presigned_url("get_object", Params=given, ExpiresIn=self._presign_s)
        except Exception as exc:  # credentials are refreshed here
            raise credentials_error(exc) from exc
        # If they were refreshed meanwhile, the shorter life is that of those before them: signed once more.
        good_s = min(self._presign_s, before, self._life_s()) / 2
        until = self._clock.now() + timedelta(seconds=good_s)
        with self._lock:
            self._kept[key, filename] = _Kept(address, until)
            self._kept.move_to_end((key, filename))
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return address

    def _life_s(self) -> float:
        """Seconds that the credentials still live; without end for those of a person or a machine."""
        # botocore shows it to nobody. What it refreshes by itself has a time; other credentials have none.
        expiry: datetime | None = getattr(self._credentials, "_expiry_time", None)
        return float("inf") if expiry is None else max(0.0, (expiry - self._clock.now()).total_seconds())

    def _full(self, key: str) -> str:
        if not is_object_key(key):
            raise StoreError(f"expected a relative key, found {key[:200]!r}")
        return self._prefix + key

    def _client(self) -> "S3Client":
        with self._lock:
            if self._made_client is None:
                self._made_client = self._make_client()
            return self._made_client

    def _make_client(self) -> "S3Client":
        try:
            self._credentials = self._session.get_credentials()
        except Exception as exc:  # of providers of credentials
            raise setting_error(exc, url=self._url) from exc
        if self._credentials is None:
            raise StoreRefused(f"{self._url}: no AWS credentials found")
        client, _ = bucket_client(
            self._session, self._options, self._reach, url=self._url, monotonic=self._clock.monotonic
        )
        return client
