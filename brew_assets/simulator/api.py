"""The formulae API: one large document and a signed file per tag, conditional and compressed."""

import gzip
import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from brew_assets.simulator.faults import Fault, FaultScript
from brew_assets.simulator.http_server import Reply, Request
from brew_assets.simulator.model import Edition
from brew_assets.simulator.packages import PACKAGES_FILE, TAGS, packages_json
from brew_assets.simulator.signing import SigningKey, key_of_this_run, signed
from brew_assets.simulator.traffic import Traffic
from brew_assets.simulator.world import World

ROOT = "/api/"
CATALOGUE_PATH = f"{ROOT}formula.json"
_KEPT_FILES = 16
_HEX = str.maketrans("0123456789abcdef", "123456789abcdef0")


@dataclass(frozen=True, slots=True)
class _Document:
    """One document as it is served; packed is empty when it is never compressed."""

    body: bytes
    packed: bytes
    opaque: str
    modified: datetime


class FormulaeApi:
    """Answers `GET /api/formula.json` and `GET /api/internal/packages.<tag>.jws.json`.

    The public attributes are switches and may change at any time; faults are scripted for the files' paths.
    """

    def __init__(self, world: World, script: FaultScript, traffic: Traffic, *, compress: bool) -> None:
        self._world, self._script, self._traffic, self._compress = world, script, traffic, compress
        self._lock = threading.Lock()
        self._catalogue: _Document | None = None
        self._files: OrderedDict[tuple[int, str, str], _Document] = OrderedDict()
        self.down = False
        self.body_override: bytes | None = None
        self.weak_etag = True  # GitHub Pages sends weak ones

    def answer(self, request: Request) -> Reply:
        """The document, 304, 503 when the API is down, or what was scripted."""
        self._traffic.see("api", request)
        if self.down:
            return Reply(503, {"Content-Type": "text/plain"}, b"no server is available\n")
        file = PACKAGES_FILE.fullmatch(request.path.removeprefix(ROOT))
        known = request.path == CATALOGUE_PATH or (file is not None and file["tag"] in TAGS)
        if not known or not request.path.startswith(ROOT):
            return Reply(404, {"Content-Type": "text/plain"}, b"not found\n")
        if request.method not in ("GET", "HEAD"):
            return Reply(405)
        if file is None:
            return self._sent(request, self._current())
        fault = self._script.take((file[0],), "api", without=())
        if fault is not None and fault.kind == "answer":
            return Reply(fault.status, dict(fault.headers), fault.body)
        return self._sent(request, self._file(file["tag"], fault))

    def _sent(self, request: Request, document: _Document) -> Reply:
        packed = bool(document.packed) and "gzip" in request.headers.get("accept-encoding", "")
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "ETag": self._etag(document, packed=packed),
            "Last-Modified": format_datetime(document.modified, usegmt=True),
            "Cache-Control": "max-age=600",
            "Vary": "Accept-Encoding",
        }
        if _is_known(request, document):
            return Reply(304, headers)
        if packed:
            headers["Content-Encoding"] = "gzip"
        return Reply(200, headers, document.packed if packed else document.body)

    def _etag(self, document: _Document, *, packed: bool) -> str:
        # A strong tag names exact bytes, so the compressed form needs its own.
        if self.weak_etag:
            return f'W/"{document.opaque}"'
        return f'"{document.opaque}-gz"' if packed else f'"{document.opaque}"'

    def _current(self) -> _Document:
        with self._lock:
            made_at = self._world.edition().generated_at
            body = self._world.catalogue_json() if self.body_override is None else self.body_override
            if self._catalogue is None or self._catalogue.body is not body:
                self._catalogue = self._document(body, made_at)
            return self._catalogue

    def _file(self, tag: str, fault: Fault | None) -> _Document:
        """The tag's file of the current edition, or what the fault makes of it."""
        edition = self._world.edition(fault.editions_back if fault else 0)
        spoilt = fault.kind if fault and fault.kind != "edition" else ""
        key = (edition.number, tag, spoilt)
        with self._lock:
            if key not in self._files:
                file = _signed_file(edition, tag, spoilt)
                self._files[key] = self._document(file, edition.generated_at)
                while len(self._files) > _KEPT_FILES:
                    self._files.popitem(last=False)
            return self._files[key]

    def _document(self, body: bytes, made_at: int) -> _Document:
        packed = gzip.compress(body, 1, mtime=0) if self._compress else b""
        opaque = hashlib.sha256(body).hexdigest()[:16]
        return _Document(body, packed, opaque, datetime.fromtimestamp(made_at, tz=UTC))


def _signed_file(edition: Edition, tag: str, spoilt: str) -> bytes:
    if spoilt == "other_tag":
        tag = next(other for other in TAGS if other != tag)
    key = key_of_this_run()
    document = signed(packages_json(edition, tag), SigningKey.make(key.kid) if spoilt == "wrong_key" else key)
    if spoilt != "changed_byte":
        return document
    # Of a digest if there is one: what a thief would change.
    mark = b'bottle_checksum\\":\\"'
    at = document.index(mark) + len(mark) if mark in document else document.index(b"generated_at") + 15
    return document[:at] + document[at : at + 1].decode().translate(_HEX).encode() + document[at + 1 :]


def _is_known(request: Request, document: _Document) -> bool:
    """Whether the client has this document; If-None-Match wins over If-Modified-Since (RFC 9110, 13.2.2)."""
    tags = request.headers.get("if-none-match")
    if tags is not None:
        known = {tag.strip().removeprefix("W/").strip('"').removesuffix("-gz") for tag in tags.split(",")}
        return document.opaque in known or "*" in known
    since = request.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        return document.modified <= parsedate_to_datetime(since)
    except (ValueError, TypeError):
        return False
