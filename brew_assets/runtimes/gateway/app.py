"""The gateway as an ASGI application: one request, one answer, one line in the log.

Nothing of a request is logged but method, path, status and sizes: `Authorization` is neither read nor shown,
and an address that a client is sent to, with its signature, is not shown either.
"""

import logging
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from brew_assets.engine.ports import Clock
from brew_assets.engine.served import Served, ServedRecords
from brew_assets.engine.served_objects import ServedObjects
from brew_assets.errors import ObjectRefused, StoreError
from brew_assets.runtimes.gateway.answers import Pieces, Threads, sentence
from brew_assets.runtimes.gateway.kinds import Asked, Kinds
from brew_assets.runtimes.gateway.paths import (
    ApiPath,
    BlobPath,
    FlatPath,
    HealthPath,
    IndexPath,
    OldApiPath,
    Path,
    read_path,
)

_NOWHERE = "This mirror serves bottles, their indexes and Homebrew's signed API, and nothing else."
_NOT_READY = "This mirror has no publication that could be served yet; a sync makes one."
_NO_BOTTLE = "No bottle of this name or digest is in this mirror's newest publications."
_NO_INDEX = "No index of this image and version is in this mirror's newest publications."
_DAMAGED = "This mirror should have this file and does not have it whole; its log says what was found."
_BUSY = "This mirror's store does not answer just now; its log says why."
_FAILED = "This mirror has made a mistake; its log says which."
_METHODS = "This mirror is only read from: GET and HEAD."

_log = logging.getLogger(__name__)


class Gateway:
    """The ASGI application."""

    def __init__(
        self, records: ServedRecords, objects: ServedObjects, clock: Clock, *, prefix: str = ""
    ) -> None:
        """`prefix` is the path of the public address, which a proxy may leave on or take off."""
        self._records = records
        self._clock = clock
        self._prefix = prefix
        self._threads = Threads()
        self._kinds = Kinds(objects, clock, self._threads, settle_s=records.settle_s)

    def close(self) -> None:
        """No request is begun any more."""
        self._threads.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The request is answered, and one line of the log says how."""
        if scope["type"] != "http":
            return
        begun_s = self._clock.monotonic()
        response = await self._answer_safely(scope)
        try:
            await response(scope, receive, send)
        except Exception:  # uvicorn closes the connection of an answer that is not whole
            _log.exception("an answer could not be sent")
        finally:
            self._log_request(scope, response, begun_s)

    def _log_request(self, scope: Scope, response: Response, begun_s: float) -> None:
        if not _log.isEnabledFor(logging.INFO):
            return
        pieces = response if isinstance(response, Pieces) else None
        sent = pieces.sent if pieces else 0 if scope["method"] == "HEAD" else len(response.body)
        facts: dict[str, Any] = {
            "method": scope["method"],
            # Behind a "?" or in user information, which are not in it, people write secrets.
            "path": scope["path"][:1024],
            "status": response.status_code,
            "bytes": sent,
            "seconds": round(self._clock.monotonic() - begun_s, 4),
            "client": scope["client"][0] if scope.get("client") else None,
        }
        if pieces and pieces.broken:
            facts["broken"] = pieces.broken
        _log.info("answered", extra=facts)

    async def _answer_safely(self, scope: Scope) -> Response:
        try:
            return await self._answer(scope)
        except ObjectRefused as error:
            _log.error("a published object cannot be given out", extra={"error": str(error)})
            return sentence(_DAMAGED, 404)
        except StoreError as error:
            _log.error("the store does not answer", extra={"error": str(error)})
            return sentence(_BUSY, 503, retry_after="5")
        except Exception:
            _log.exception("a request could not be answered")
            return sentence(_FAILED, 500)

    async def _answer(self, scope: Scope) -> Response:
        method = scope["method"]
        if method not in ("GET", "HEAD"):
            return sentence(_METHODS, 405, allow="GET, HEAD")
        path = self._path(scope["path"])
        if path is None:
            return sentence(_NOWHERE, 404)
        if isinstance(path, HealthPath):
            return await self._health(path)
        if isinstance(path, OldApiPath):
            return _old_api(path)
        served = self._records.now
        if served is None:
            return sentence(_NOT_READY, 503, retry_after="5")
        return await self._published(Asked.of(scope), served, path)

    def _path(self, text: str) -> Path | None:
        if self._prefix and text.startswith(f"{self._prefix}/"):
            # The path may be one of ours as well: a base address that ends in /v2 is asked for /v2/homebrew/…
            return read_path(text[len(self._prefix) :]) or read_path(text)
        return read_path(text)

    async def _published(self, asked: Asked, served: Served, path: Path) -> Response:
        match path:
            case IndexPath(image, reference):
                index = served.indexes.get((image, reference))
                if index is None:
                    return sentence(_NO_INDEX, 404)
                return await self._threads.call(self._kinds.index, asked, index)
            case ApiPath(tag):
                file = served.api.get(tag)
                if file is None:
                    return sentence(_no_tag(tag, served), 404)
                return await self._threads.call(self._kinds.api_file, asked, served, file)
            case BlobPath(image, digest):
                bottle, named = served.blobs.get((image, digest)), False
            case FlatPath(filename):
                bottle, named = served.flat.get(filename), True
            case _:
                return sentence(_NOWHERE, 404)
        if bottle is None:
            return sentence(_NO_BOTTLE, 404)
        kept = self._kinds.kept_redirect(asked, bottle, named=named)
        if kept is not None:
            return kept
        return await self._threads.call(lambda: self._kinds.bottle(asked, bottle, named=named))

    async def _health(self, path: HealthPath) -> Response:
        if path.kind == "healthz":
            return sentence("alive", 200, cache_control="no-store")
        fault = await self._threads.call(self._records.fault_now)
        served = self._records.now
        found = {
            "ready": not fault,
            "fault": fault,
            "publication_id": served.pointer.publication_id if served else None,
            "current_since": served.pointer.current_since if served else None,
        }
        return JSONResponse(found, 503 if fault else 200, {"cache-control": "no-store"})


def _old_api(path: OldApiPath) -> Response:
    text = (
        f"{path.name} is what versions of Homebrew before 6.0 ask for. This mirror has what later ones ask "
        "for, internal/packages.<tag>.jws.json: it needs Homebrew 6.0 or later, which `brew update` brings."
    )
    return sentence(text, 404)


def _no_tag(tag: str, served: Served) -> str:
    tags = ", ".join(sorted(served.api)) or "none"
    return (
        f"This mirror has no API file for {tag}, only for: {tags}. Its settings TARGET_PLATFORMS and "
        "API_TAGS name the tags."
    )
