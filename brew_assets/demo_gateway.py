"""What `make demo` ends with: `brew-mirror serve` on its mirror, and one request of each kind, as brew asks.

What comes is held against the record that is current: every body has the SHA-256 that the record names.
"""

import contextlib
import gzip
import hashlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec

from brew_assets.compose.mirror import build_mirror
from brew_assets.demo_processes import CLOCK, CannotStart, Reaper, Service, end_all, port_to_listen_on
from brew_assets.domain.api import packages_path
from brew_assets.domain.oci import decode_index
from brew_assets.domain.publication import Publication, PublishedApi, PublishedBottle, PublishedIndex
from brew_assets.engine.ports import Store
from brew_assets.engine.publish import publish
from brew_assets.engine.published import read_pointer, read_record
from brew_assets.errors import PublicationInvalid
from brew_assets.runtimes.printing import print_line, print_table
from brew_assets.runtimes.publish_command import show_published
from brew_assets.runtimes.serve_command import show_client_settings
from brew_assets.settings import read_settings

_START_TIMEOUT_S = 60.0
_POLL_S = 0.1
# What brew accepts; of these the gateway has gzip.
_API_ENCODINGS = {"Accept-Encoding": "deflate, gzip, br, zstd"}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One request and what came; `digest` is "equal" or "other" where the record has one of the body."""

    request: str
    status: int
    kind: str
    size: int
    digest: str

    @property
    def is_right(self) -> bool:
        """Whether it is what a client needs."""
        return self.status == 200 and self.digest in ("equal", "")


def publish_held() -> bool:
    """Whether clients are served what is held, as this process's settings say; the outcome is printed.

    An older generation than is served too: `make demo-ui` may have seen a later one.

    Raises:
        MirrorError: upstream or store could not do their part.
    """
    mirror = build_mirror(read_settings())
    result = publish(mirror, mirror.fold().manifest, allow_older=True)
    show_published(result)
    return result.outcome in ("published", "unchanged")


def show_gateway(store: Store, home: Path, environment: dict[str, str], *, place: str, port: int) -> bool:
    """Whether each request was answered with what is published; answers and clients' settings are printed.

    `environment` is that of the gateway, which has ended when this returns; its log is in `home`. Where the
    port is taken, it listens at another one. `place` is the mirror, as a person names it.

    Raises:
        CannotStart: the gateway has ended, or does not become ready.
        PublicationInvalid: nothing is published.
        StoreError: the store cannot be read.
    """
    record = _current(store)
    free = port_to_listen_on(port)
    url = f"http://127.0.0.1:{free}"
    with _serving(environment, home, free) as service, _client(url) as client:
        _wait_until_ready(client, service)
        shown = _ask_each_kind(client, store, record)
    print_table(
        f"Served to brew by `brew-mirror serve` at {url}; one request of each kind:",
        ("Status", "Bytes", "Digest", "Type", "Request"),
        [(str(one.status), f"{one.size:,}", one.digest or "-", one.kind, one.request) for one in shown],
        copied=True,
    )
    serve = f".venv/bin/brew-mirror --mirror {shlex.quote(place)} serve --port {free}"
    print_line(f"The gateway has ended; start it again with {serve}. For brew, in a shell profile:")
    show_client_settings(url)
    return all(one.is_right for one in shown)


def _current(store: Store) -> Publication:
    pointer = read_pointer(store).pointer
    if pointer is None:
        raise PublicationInvalid("expected a publication of the demo's bottles, found none")
    return read_record(store, pointer.publication_id, sha256=pointer.sha256)


@contextlib.contextmanager
def _serving(environment: dict[str, str], home: Path, port: int) -> Iterator[Service]:
    """The gateway listens while the block lasts; then nothing of it is left, however the block ends."""
    # Beside this Python, which may be no other program's.
    program = (sys.executable, str(Path(sys.executable).with_name("brew-mirror")), "serve", "--port")
    with contextlib.closing(Reaper()) as reaper:
        log = home / "serve.log"
        service = Service("gateway", (*program, str(port)), environment, log, reaper=reaper)
        try:
            yield service
        finally:
            end_all([service])


def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=30, trust_env=False)


def _wait_until_ready(client: httpx.Client, service: Service) -> None:
    deadline = CLOCK.monotonic() + _START_TIMEOUT_S
    while CLOCK.monotonic() < deadline:
        if service.has_ended:
            raise CannotStart(service.how_it_ended())
        with contextlib.suppress(httpx.TransportError):
            if client.get("/readyz").status_code == 200:
                return
        CLOCK.wait(_POLL_S)
    raise CannotStart(f"The gateway was not ready within {_START_TIMEOUT_S:.0f} s; see {service.log}")


def _ask_each_kind(client: httpx.Client, store: Store, record: Publication) -> list[Shown]:
    index, bottle = _one_of_each(store, record)
    api: PublishedApi = record.api[0]
    manifest = f"{index.image}/manifests/{index.reference}"
    return [
        _asked(client, "/healthz"),
        _asked(client, "/readyz"),
        _asked(client, f"/api/{packages_path(api.tag)}", sha256=api.sha256),
        _asked(client, f"/v2/homebrew/core/{manifest}", sha256=index.sha256),
        _asked(
            client, f"/v2/homebrew/core/{bottle.image}/blobs/sha256:{bottle.digest}", sha256=bottle.digest
        ),
        _asked(client, f"/bottles/{manifest}", sha256=index.sha256),
        _asked(client, f"/bottles/{bottle.filename}", sha256=bottle.digest),
    ]


def _one_of_each(store: Store, record: Publication) -> tuple[PublishedIndex, PublishedBottle]:
    """An index and a bottle that it names."""
    bottles = {(bottle.image, str(bottle.digest)): bottle for bottle in record.bottles}
    for index in record.indexes:
        document = store.read(index.key)
        for digest in decode_index(document.data) if document is not None else ():
            if (index.image, digest) in bottles:
                return index, bottles[index.image, digest]
    raise PublicationInvalid(f"{record.key}: expected bottles with their indexes, found none")


def _asked(client: httpx.Client, path: str, *, sha256: str = "") -> Shown:
    """What came of the request, its bytes as they came over the wire."""
    is_api = path.startswith("/api/")
    headers = _API_ENCODINGS if is_api else {"Accept-Encoding": "identity"}
    with client.stream("GET", path, headers=headers) as answer:
        sent = b"".join(answer.iter_raw())
    packed = answer.headers.get("Content-Encoding", "")
    body = gzip.decompress(sent) if packed == "gzip" else sent
    kind = answer.headers.get("Content-Type", "")
    found = "equal" if hashlib.sha256(body).hexdigest() == sha256 else "other" if sha256 else ""
    return Shown(
        request=f"GET {path}",
        status=answer.status_code,
        kind=f"{kind}, {packed}" if packed else kind,
        size=len(sent),
        digest=found,
    )
