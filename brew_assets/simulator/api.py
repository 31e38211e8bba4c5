"""The formulae API: one large document, conditional and compressed."""

import gzip
import hashlib
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

from brew_assets.simulator.http_server import Reply, Request
from brew_assets.simulator.traffic import Traffic
from brew_assets.simulator.world import World

CATALOGUE_PATH = "/api/formula.json"
_FIRST_PUBLISHED = datetime(2026, 8, 22, 3, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Edition:
    """One catalogue as it is served; packed is empty when it is never compressed."""

    body: bytes
    packed: bytes
    opaque: str
    modified: datetime


class FormulaeApi:
    """Answers `GET /api/formula.json`. The public attributes are switches and may change at any time."""

    def __init__(self, world: World, traffic: Traffic, *, compress: bool) -> None:
        self._world, self._traffic, self._compress = world, traffic, compress
        self._lock = threading.Lock()
        self._edition: _Edition | None = None
        self.down = False
        self.body_override: bytes | None = None
        self.weak_etag = True  # GitHub Pages sends weak ones

    def answer(self, request: Request) -> Reply:
        """The catalogue, 304, or 503 when it is down."""
        self._traffic.see("api", request)
        if self.down:
            return Reply(503, {"Content-Type": "text/plain"}, b"no server is available\n")
        if request.path != CATALOGUE_PATH:
            return Reply(404, {"Content-Type": "text/plain"}, b"not found\n")
        if request.method not in ("GET", "HEAD"):
            return Reply(405)
        edition = self._current()
        packed = bool(edition.packed) and "gzip" in request.headers.get("accept-encoding", "")
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "ETag": self._etag(edition, packed=packed),
            "Last-Modified": format_datetime(edition.modified, usegmt=True),
            "Cache-Control": "max-age=600",
            "Vary": "Accept-Encoding",
        }
        if _is_known(request, edition):
            return Reply(304, headers)
        if packed:
            headers["Content-Encoding"] = "gzip"
        return Reply(200, headers, edition.packed if packed else edition.body)

    def _etag(self, edition: _Edition, *, packed: bool) -> str:
        # A strong tag names exact bytes, so the compressed form needs its own.
        if self.weak_etag:
            return f'W/"{edition.opaque}"'
        return f'"{edition.opaque}-gz"' if packed else f'"{edition.opaque}"'

    def _current(self) -> _Edition:
        with self._lock:
            revision = self._world.revision
            body = self._world.catalogue_json() if self.body_override is None else self.body_override
            if self._edition is None or self._edition.body is not body:
                packed = gzip.compress(body, 1, mtime=0) if self._compress else b""
                opaque = hashlib.sha256(body).hexdigest()[:16]
                modified = _FIRST_PUBLISHED + timedelta(seconds=revision)
                self._edition = _Edition(body, packed, opaque, modified)
            return self._edition


def _is_known(request: Request, edition: _Edition) -> bool:
    """Whether the client has this edition; If-None-Match wins over If-Modified-Since (RFC 9110, 13.2.2)."""
    tags = request.headers.get("if-none-match")
    if tags is not None:
        known = {tag.strip().removeprefix("W/").strip('"').removesuffix("-gz") for tag in tags.split(",")}
        return edition.opaque in known or "*" in known
    since = request.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        return edition.modified <= parsedate_to_datetime(since)
    except (ValueError, TypeError):
        return False
