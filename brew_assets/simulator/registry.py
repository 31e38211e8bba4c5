"""The registry: bearer tokens, OCI documents, and blobs that are always somewhere else."""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from itertools import count
from urllib.parse import parse_qs

from brew_assets.simulator import oci
from brew_assets.simulator.access import Access
from brew_assets.simulator.faults import ANNOTATIONS, INDEX_KINDS, Fault, FaultScript, Kind
from brew_assets.simulator.http_server import Reply, Request
from brew_assets.simulator.model import SimulatedBottle
from brew_assets.simulator.traffic import Traffic
from brew_assets.simulator.world import World

_BLOB = re.compile(r"/v2/homebrew/core/(.+)/blobs/sha256:([0-9a-f]{64})")
_MANIFEST = re.compile(r"/v2/homebrew/core/(.+)/manifests/([^/]+)")
PACE_PER_SECOND = 20
_JSON = {"Content-Type": "application/json"}


class Registry:
    """Answers `/v2/homebrew/core/<image>/…` and `/token` as ghcr.io does, or as its `access` says."""

    def __init__(
        self,
        world: World,
        script: FaultScript,
        traffic: Traffic,
        *,
        access: Access,
        locate: Callable[[str], str],
        stopped: threading.Event,
    ) -> None:
        self._world, self._script, self._traffic = world, script, traffic
        self._access = access
        self._locate = locate
        self._stopped = stopped
        self._tokens: set[str] = set()
        self._numbers = count()
        self.url = ""

    def answer(self, request: Request) -> Reply:
        """A redirect, a document, a token, or why not."""
        self._traffic.see("registry", request)
        if request.method not in ("GET", "HEAD"):
            return Reply(405)
        if request.path == self._access.realm:
            return self._token(request)
        path = self._access.inside(request.path) or ""
        blob = _BLOB.fullmatch(path)
        manifest = None if blob else _MANIFEST.fullmatch(path)
        found = blob or manifest
        if found is None:
            return _missing("NAME_UNKNOWN")
        if not self._admits(request):
            return self._refuse(found[1])
        if self._access.cookie and request.headers.get("cookie") != self._access.cookie:
            kept = {"Set-Cookie": f"{self._access.cookie}; Path=/; HttpOnly", "Location": request.path}
            return Reply(307, kept)
        return self._blob(request, *blob.groups()) if blob else self._manifest(request, found[1], found[2])

    def _blob(self, request: Request, image: str, digest: str) -> Reply:
        bottles = [bottle for bottle in self._world.named(digest) if bottle.image == image]
        fault = self._script.take((bottle.filename for bottle in bottles), "registry", without=INDEX_KINDS)
        if fault is not None:
            return self._faulty(request, fault, image)
        if not bottles:
            return _missing("BLOB_UNKNOWN")
        return Reply(
            307, {"Location": self._locate(digest), "Docker-Distribution-Api-Version": "registry/2.0"}
        )

    def _manifest(self, request: Request, image: str, reference: str) -> Reply:
        fault = self._script.take((f"{image}:{reference}",), "registry", without=INDEX_KINDS)
        if fault is not None and fault.kind not in ("slow", "stall"):
            return self._faulty(request, fault, image)
        if reference.startswith("sha256:"):
            document = self._world.manifest_json(image, reference.removeprefix("sha256:"))
            media_type = oci.MANIFEST_TYPE
        else:
            document, media_type = self._index(image, reference), oci.INDEX_TYPE
        if document is None:
            return _missing("MANIFEST_UNKNOWN")
        digest = f"sha256:{hashlib.sha256(document).hexdigest()}"
        reply = Reply(
            200,
            {"Content-Type": media_type, "Docker-Content-Digest": digest, "ETag": f'"{digest}"'},
            document,
        )
        if fault is not None:
            reply.length, reply.ending = len(document), "stall"
            reply.stream = self._held_up(document, fault)
        return reply

    def _held_up(self, document: bytes, fault: Fault) -> Iterator[bytes]:
        """The document's first bytes, or all of them at the fault's pace."""
        if fault.kind == "stall":
            yield document[: fault.n_bytes]
            return
        step = max(1, fault.n_bytes // PACE_PER_SECOND)
        for at in range(0, len(document), step):
            yield document[at : at + step]
            if self._stopped.wait(step / fault.n_bytes):
                return

    def _index(self, image: str, reference: str) -> bytes | None:
        bottles = self._world.indexed(image, reference)
        without: dict[str, set[str]] = {}
        for kind, annotation in ANNOTATIONS.items():
            for filename in self._struck(bottles, kind):
                without.setdefault(filename, set()).add(annotation)
        return self._world.index_json(
            image, reference, lacking=self._struck(bottles, "no_entry"), without=without
        )

    def _struck(self, bottles: tuple[SimulatedBottle, ...], kind: Kind) -> set[str]:
        """Filenames for which a fault of this kind plays on this request."""
        return {bottle.filename for bottle in bottles if self._script.strikes(bottle.filename, kind)}

    def _faulty(self, request: Request, fault: Fault, image: str) -> Reply:
        if fault.kind == "unauthorized":
            self._tokens.discard(_bearer(request))
            return self._refuse(image)
        if fault.kind == "silent":
            return Reply(0, ending="stall")
        return Reply(fault.status, dict(fault.headers), fault.body)

    def _admits(self, request: Request) -> bool:
        if self._access.scheme == "basic":
            return self._knows(request)
        bearer = _bearer(request)
        return bool(bearer) if self._access.scheme == "any" else bearer in self._tokens

    def _knows(self, request: Request) -> bool:
        """Whether the request carries the credentials; of wrong ones there is a count."""
        known = self._access.knows(request)
        if not known and request.headers.get("authorization", "").lower().startswith("basic "):
            self._traffic.refuse_login()
        return known

    def _refuse(self, image: str) -> Reply:
        access = self._access
        name = "/".join(filter(None, (access.project, "homebrew/core", image)))
        challenge = (
            f'Bearer realm="{self.url}{access.realm}",service="ghcr.io",scope="repository:{name}:pull"'
            if access.scheme != "basic"
            else 'Basic realm="Repository Manager"'
        )
        challenge = access.challenge.format(url=self.url, name=name) or challenge
        body = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}\n'
        return Reply(401, {"WWW-Authenticate": challenge, **_JSON}, body)

    def _token(self, request: Request) -> Reply:
        if self._access.scheme == "token for credentials" and not self._knows(request):
            return Reply(401, dict(_JSON), b'{"errors":[{"code":"UNAUTHORIZED","message":"who?"}]}\n')
        asked = parse_qs(request.query)
        if "service" not in asked or "scope" not in asked:
            return Reply(400, dict(_JSON), b'{"errors":[{"code":"INVALID","message":"service and scope"}]}\n')
        secret = f"token/{self._world.seed}/{next(self._numbers)}"
        token = hashlib.sha256(secret.encode()).hexdigest()
        self._tokens.add(token)
        return Reply(200, dict(_JSON), json.dumps({"token": token}).encode())


def _bearer(request: Request) -> str:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def _missing(code: str) -> Reply:
    return Reply(404, dict(_JSON), json.dumps({"errors": [{"code": code, "message": "not known"}]}).encode())
