"""What each kind of address is answered with: index, bottle, API file. All of it may wait: see Threads."""

import hashlib
import io
import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import BinaryIO, Self

import msgspec
from starlette.responses import Response
from starlette.types import Scope

from brew_assets.domain.oci import INDEX_MEDIA_TYPE, MAX_INDEX_BYTES
from brew_assets.domain.publication import PublishedBottle, PublishedIndex
from brew_assets.engine.ports import Clock
from brew_assets.engine.served import ApiFile, Served
from brew_assets.engine.served_objects import OpenedObject, ServedObjects
from brew_assets.errors import ObjectRefused
from brew_assets.runtimes.gateway.answers import Pieces, Threads, sentence, without_body
from brew_assets.runtimes.gateway.conditions import (
    Part,
    accepts_gzip,
    http_date,
    is_settled_since,
    is_unchanged,
    may_take_part,
    names_etag,
    only,
    read_range,
)

_BOTTLE_TYPE = "application/gzip"
_API_TYPE = "application/json"
# The popular ones, so that a bucket is not asked for each of them by each client.
KEPT_INDEX_BYTES = 16 * 1024 * 1024
_ANY_SIZE = 2**63
_HEADERS = frozenset((b"accept-encoding", b"if-modified-since", b"if-none-match", b"if-range", b"range"))

_log = logging.getLogger(__name__)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A GET or HEAD and those of its headers that change an answer: `Authorization` is none of them."""

    is_head: bool
    headers: Mapping[bytes, list[str]]

    @classmethod
    def of(cls, scope: Scope) -> Self:
        """The request of an ASGI scope."""
        found: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            if name in _HEADERS:
                found.setdefault(name, []).append(value.decode("latin-1"))
        return cls(is_head=scope["method"] == "HEAD", headers=found)

    def header(self, name: bytes) -> str:
        """A header that may come once; "" where it is absent or contradicts itself."""
        return only(self.headers.get(name, []))

    def listed(self, name: bytes) -> str:
        """A header whose values may stand in one line or in several."""
        return ", ".join(self.headers.get(name, []))


class _Entity(msgspec.Struct, frozen=True, kw_only=True):
    """A body with what is said of it."""

    body: BinaryIO
    size: int
    modified: datetime
    etag: str
    headers: dict[str, str]


class Kinds:
    """Answers from what is published, and from the objects that it names."""

    def __init__(self, objects: ServedObjects, clock: Clock, threads: Threads, *, settle_s: int) -> None:
        self._objects = objects
        self._clock = clock
        self._threads = threads
        self._settle_s = settle_s
        self._indexes = _KeptIndexes()

    def kept_redirect(self, asked: Asked, bottle: PublishedBottle, *, named: bool) -> Response | None:
        """The redirect of a GET where nobody has to wait for it, None otherwise."""
        if asked.is_head or not self._objects.redirects:
            return None
        address = self._objects.kept_address(bottle.key, filename=bottle.filename if named else "")
        return None if address is None else _redirect(address)

    def bottle(self, asked: Asked, bottle: PublishedBottle, *, named: bool) -> Response:
        """The bottle, under its flat name where it is `named`; from a bucket, a GET is sent elsewhere.

        Raises:
            StoreError: the store does not give it out.
        """
        if self._objects.redirects and not asked.is_head:
            filename = bottle.filename if named else ""
            return _redirect(self._objects.address(bottle.key, filename=filename))
        opened = self._opened(bottle)
        if opened is None or opened.size != bottle.size:
            if opened is not None:
                opened.body.close()
            found = "nothing" if opened is None else f"{opened.size:,} bytes"
            raise ObjectRefused(f"{bottle.key}: expected {bottle.size:,} bytes, found {found}")
        headers = {
            "content-type": _BOTTLE_TYPE,
            "docker-content-digest": f"sha256:{bottle.digest}",
        }
        if named:
            # Without it brew fetches a bottle twice: once for the name, which it reads in no HEAD then.
            headers["content-disposition"] = f'attachment; filename="{bottle.filename}"'
        return self._unless_unchanged(asked, self._entity(opened, bottle.digest, headers))

    def _opened(self, bottle: PublishedBottle) -> OpenedObject | None:
        if not self._objects.redirects:
            return self._objects.open(bottle.key, most_bytes=_ANY_SIZE)
        # Of a bucket only the head is wanted here.
        facts = self._objects.facts(bottle.key)
        if facts is None:
            return None
        return OpenedObject(size=facts.size, modified=facts.modified, body=io.BytesIO())

    def index(self, asked: Asked, index: PublishedIndex) -> Response:
        """The index, byte for byte the one that was published.

        Raises:
            ObjectRefused: what stands there is not that.
            StoreError: the store does not give it out.
        """
        data, modified = self._index(index)
        opened = OpenedObject(size=len(data), modified=modified, body=io.BytesIO(data))
        headers = {
            "content-type": INDEX_MEDIA_TYPE,
            "docker-content-digest": f"sha256:{index.sha256}",
        }
        return self._unless_unchanged(asked, self._entity(opened, index.sha256, headers))

    def _index(self, index: PublishedIndex) -> tuple[bytes, datetime]:
        kept = self._indexes.get(index.sha256)
        if kept is not None:
            return kept
        opened = self._objects.open(index.key, most_bytes=MAX_INDEX_BYTES)
        if opened is None:
            raise ObjectRefused(f"{index.key}: expected an index, found nothing")
        with opened.body:
            data = opened.body.read()
        found = hashlib.sha256(data).hexdigest()
        if found != index.sha256:
            raise ObjectRefused(f"{index.key}: expected sha256 {index.sha256}, found {found}")
        self._indexes.put(index.sha256, data, opened.modified)
        return data, opened.modified

    def _entity(self, opened: OpenedObject, digest: str, headers: dict[str, str]) -> _Entity:
        # A time ahead of the client's would make brew drop what it has.
        modified = min(opened.modified, self._clock.now())
        etag = f'"sha256:{digest}"'
        return _Entity(body=opened.body, size=opened.size, modified=modified, etag=etag, headers=headers)

    def _unless_unchanged(self, asked: Asked, entity: _Entity) -> Response:
        if_none_match = asked.listed(b"if-none-match")
        if if_none_match:
            unchanged = names_etag(if_none_match, entity.etag)
        else:
            unchanged = is_unchanged(asked.header(b"if-modified-since"), entity.modified)
        return self._answer(asked, entity, unchanged=unchanged)

    def api_file(self, asked: Asked, served: Served, file: ApiFile) -> Response:
        """The API file; 304 only for who has checked long enough after it was published."""
        is_packed = accepts_gzip(asked.listed(b"accept-encoding"))
        headers = {"content-type": _API_TYPE, "vary": "Accept-Encoding", "cache-control": "no-cache"}
        if is_packed:
            packed, sha256 = file.packed()
            headers["content-encoding"] = "gzip"
            body: BinaryIO = io.BytesIO(packed)
            size = len(packed)
        else:
            sha256, body, size = file.published.sha256, file.open(), file.published.size
        # Not upstream's time: whoever has checked after that would never see the file.
        modified = min(served.current_since, self._clock.now())
        entity = _Entity(body=body, size=size, modified=modified, etag=f'"sha256:{sha256}"', headers=headers)
        return self._answer(asked, entity, unchanged=self._has_current(asked, served, entity.etag))

    def _has_current(self, asked: Asked, served: Served, etag: str) -> bool:
        if if_none_match := asked.listed(b"if-none-match"):
            settled = (self._clock.now() - served.changed_at).total_seconds() > self._settle_s
            return settled and names_etag(if_none_match, etag)
        since = asked.header(b"if-modified-since")
        return bool(since) and is_settled_since(since, served.changed_at, self._settle_s)

    def _answer(self, asked: Asked, entity: _Entity, *, unchanged: bool) -> Response:
        headers = {
            **entity.headers,
            "etag": entity.etag,
            "last-modified": http_date(entity.modified),
            "accept-ranges": "bytes",
        }
        if unchanged or asked.is_head:
            entity.body.close()
            return without_body(304, headers) if unchanged else without_body(200, headers, length=entity.size)
        part, status = Part(0, entity.size), 200
        if may_take_part(asked.header(b"if-range"), etag=entity.etag, modified=entity.modified):
            try:
                found = read_range(asked.header(b"range"), entity.size)
            except ValueError:
                entity.body.close()
                return sentence(
                    f"This file has {entity.size} bytes, none of them in that range.",
                    416,
                    content_range=f"bytes */{entity.size}",
                    accept_ranges="bytes",
                )
            if found is not None:
                part, status = found, 206
                headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{entity.size}"
        return Pieces(entity.body, part, status=status, headers=headers, threads=self._threads)


def _redirect(address: str) -> Response:
    # The address has a signature in it, and ends.
    return Response(status_code=307, headers={"location": address, "cache-control": "no-store"})


class _KeptIndexes:
    """Indexes that were asked for lately, by their SHA-256, verified."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[bytes, datetime]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, sha256: str) -> tuple[bytes, datetime] | None:
        with self._lock:
            if sha256 in self._kept:
                self._kept.move_to_end(sha256)
            return self._kept.get(sha256)

    def put(self, sha256: str, data: bytes, modified: datetime) -> None:
        with self._lock:
            if sha256 not in self._kept:
                self._bytes += len(data)
            self._kept[sha256] = (data, modified)
            while self._bytes > KEPT_INDEX_BYTES:
                _, (dropped, _) = self._kept.popitem(last=False)
                self._bytes -= len(dropped)
