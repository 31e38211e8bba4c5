"""The host that blobs come from: signed addresses, ranges, and no patience for Authorization."""

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from brew_assets.simulator.faults import BODY_KINDS, RANGE_KINDS, Fault, FaultScript, Kind
from brew_assets.simulator.http_server import Ending, Reply, Request
from brew_assets.simulator.traffic import Traffic
from brew_assets.simulator.world import CACHED_BLOB_BYTES, World

LAST_MODIFIED = "Sat, 22 Aug 2026 03:00:00 GMT"
_PATH = re.compile(r"/ghcr1/blobs/sha256:([0-9a-f]{64})")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_REFUSED_SCHEME = (
    b"<Error><Code>InvalidArgument</Code><Message>Unsupported Authorization Type</Message></Error>"
)
_EXPIRED = b"<Error><Code>AuthenticationFailed</Code><Message>Signature not valid</Message></Error>"
_PIECE_BYTES = 256 * 1024
_PACE_PER_SECOND = 20


@dataclass(frozen=True, slots=True)
class Span:
    """The part of a blob that one answer carries: from start up to stop, of size bytes."""

    start: int
    stop: int
    size: int
    partial: bool

    @property
    def length(self) -> int:
        return self.stop - self.start


class Cdn:
    """Answers `GET /ghcr1/blobs/sha256:<hex>?se=…&sig=…`. A signature serves one GET, then it is spent."""

    role = "cdn"

    def __init__(self, world: World, script: FaultScript, traffic: Traffic, stopped: threading.Event) -> None:
        self._world, self._script, self._traffic, self._stopped = world, script, traffic, stopped
        self._signed: dict[str, str] = {}
        self._numbers = count()

    def sign(self, digest: str) -> str:
        """Path and query that fetch the blob once."""
        secret = f"{self._world.seed}/{next(self._numbers)}/{digest}"
        signature = hashlib.sha256(secret.encode()).hexdigest()
        query = f"se=2026-08-22T04%3A00%3A00Z&sp=r&spr=https&sv=2024-11-04&sig={signature}"
        self._signed[query] = digest
        return f"/ghcr1/blobs/sha256:{digest}?{query}"

    def answer(self, request: Request) -> Reply:
        """The blob, a part of it, or why not."""
        self._traffic.see("cdn", request)
        if "authorization" in request.headers:
            self._traffic.violation(f"Authorization was sent to the CDN: {request.method} {request.path}")
            return Reply(400, {"Content-Type": "application/xml"}, _REFUSED_SCHEME)
        matched = _PATH.fullmatch(request.path)
        if matched is None or request.method not in ("GET", "HEAD"):
            return Reply(404 if matched is None else 405)
        digest = matched[1]
        if not self._admits(request, digest):
            self._traffic.violation(
                f"a spent or unsigned CDN address was asked: {request.method} {request.path}"
            )
            return Reply(403, {"Content-Type": "application/xml"}, _EXPIRED)
        bottles = self._world.named(digest)
        size = bottles[0].size
        span = _span(request, digest, size)
        names = (bottle.filename for bottle in bottles)
        fault = self._script.take(names, "cdn", without=_excluded(request, span))
        if fault is not None and fault.kind == "answer":
            return Reply(fault.status, dict(fault.headers), fault.body)
        if fault is not None and fault.kind == "ignore_range":
            span = Span(0, size, size, partial=False)
        if span is None or (fault is not None and fault.kind == "no_range"):
            return Reply(416, {"Content-Range": f"bytes */{size}"})
        return self._body(request, digest, span, fault)

    def _admits(self, request: Request, digest: str) -> bool:
        """Whether the signature is this blob's and unspent."""
        if request.method == "HEAD":
            return self._signed.get(request.query) == digest
        return self._signed.pop(request.query, None) == digest

    def _body(self, request: Request, digest: str, span: Span, fault: Fault | None) -> Reply:
        headers = {
            "Content-Type": "application/octet-stream",
            "ETag": _etag(digest),
            "Last-Modified": LAST_MODIFIED,
            "Accept-Ranges": "bytes",
        }
        if span.partial:
            headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{span.size}"
        # Head and body are made apart, since most faults are a head that promises what the body does not
        # keep: a cut ("break", "stall") announces all and sends less, and only "truncated" announces the
        # less, so that nothing but the size gives it away. Of a wrong body every byte is counted and the
        # download is not, or no test could see that it was thrown away.
        kind = fault.kind if fault else None
        limit = min(fault.n_bytes, span.length) if fault and kind in _CUTS else span.length
        reply = Reply(
            206 if span.partial else 200, headers, length=limit if kind == "truncated" else span.length
        )
        reply.ending = _ENDINGS.get(kind, "keep")
        if request.method == "HEAD":
            reply.stream = iter(())
            return reply
        self._traffic.begin(digest)
        pieces = self._pieces(digest, span, limit)
        if kind == "wrong":
            pieces = _flipped(pieces, span.length // 2)
        if fault is not None and kind == "slow":
            pieces = self._paced(pieces, fault.n_bytes)
        whole = kind != "wrong" and span.start + limit == span.size
        reply.stream = self._counted(pieces, digest, limit, whole=whole)
        return reply

    def _pieces(self, digest: str, span: Span, limit: int) -> Iterator[bytes]:
        """The span's first bytes, up to the limit."""
        start, stop = span.start, span.start + limit
        if span.size > CACHED_BLOB_BYTES:
            yield from self._world.open_blob(digest).chunks(start, stop)
            return
        content = self._world.blob(digest)
        for at in range(start, stop, _PIECE_BYTES):
            yield content[at : min(at + _PIECE_BYTES, stop)]

    def _paced(self, pieces: Iterator[bytes], bytes_per_second: int) -> Iterator[bytes]:
        """The same bytes in small pieces, one every twentieth of a second."""
        step = max(1, bytes_per_second // _PACE_PER_SECOND)
        for piece in pieces:
            for at in range(0, len(piece), step):
                part = piece[at : at + step]
                yield part
                if self._stopped.wait(len(part) / bytes_per_second):
                    return

    def _counted(self, pieces: Iterator[bytes], digest: str, length: int, *, whole: bool) -> Iterator[bytes]:
        """The same bytes, counted before each piece leaves and taken back if it could not."""
        left = length
        self._traffic.body_begins()
        try:
            for piece in pieces:
                left -= len(piece)
                last = whole and left == 0
                self._traffic.sent(len(piece))
                if last:
                    self._traffic.complete(digest)
                if left == 0:
                    # Before the client has it, and may ask for the next.
                    self._traffic.body_ends()
                try:
                    yield piece
                except GeneratorExit:
                    self._traffic.sent(-len(piece))
                    if last:
                        self._traffic.complete(digest, -1)
                    raise
        finally:
            if left:
                self._traffic.body_ends()


_CUTS: frozenset[Kind] = frozenset({"break", "stall", "truncated"})
_ENDINGS: dict[Kind | None, Ending] = {"break": "close", "stall": "stall"}


def _etag(digest: str) -> str:
    return f'"0x{digest[:15].upper()}"'


def _excluded(request: Request, span: Span | None) -> frozenset[Kind]:
    """Kinds of fault that this request cannot show: they wait for one that can."""
    excluded: frozenset[Kind] = frozenset()
    if "range" not in request.headers:
        excluded |= RANGE_KINDS
    return excluded | BODY_KINDS if request.method == "HEAD" or span is None else excluded


def _span(request: Request, digest: str, size: int) -> Span | None:
    """What the Range header asks for; None when it lies outside (RFC 9110, 14.1.2)."""
    whole = Span(0, size, size, partial=False)
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked is None or asked[0] == "bytes=-":
        return whole
    if request.headers.get("if-range", _etag(digest)) not in (_etag(digest), LAST_MODIFIED):
        return whole
    if not asked[1]:
        length = min(int(asked[2]), size)
        return Span(size - length, size, size, partial=True) if length else None
    start = int(asked[1])
    stop = min(int(asked[2]) + 1, size) if asked[2] else size
    if asked[2] and int(asked[2]) < start:
        return whole
    return Span(start, stop, size, partial=True) if start < size else None


def _flipped(pieces: Iterator[bytes], position: int) -> Iterator[bytes]:
    """The same bytes with every bit of one byte turned."""
    at = 0
    for piece in pieces:
        if at <= position < at + len(piece):
            spoiled = bytearray(piece)
            spoiled[position - at] ^= 0xFF
            yield bytes(spoiled)
        else:
            yield piece
        at += len(piece)
