"""A client that does what brew does and nothing more: no retries, no automatic redirects."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from brew_assets.simulator import SimulatedBottle, Simulator

BEARER = {"Authorization": "Bearer QQ=="}


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    broke_off: bool = False

    def __getitem__(self, header: str) -> str:
        return self.headers[header] or ""


def ask(url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET") -> Answer:
    """One request on a connection of its own; a body that breaks off is returned as far as it came."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, target, headers=dict(headers or {}))
        response = connection.getresponse()
        try:
            return Answer(response.status, response.headers, response.read())
        except http.client.IncompleteRead as error:
            return Answer(response.status, response.headers, error.partial, broke_off=True)
    finally:
        connection.close()


def blob_url(simulator: Simulator, bottle: SimulatedBottle) -> str:
    """The bottle's address with the host replaced, as settings do it."""
    return bottle.url.replace("https://ghcr.io", simulator.registry_url)


def index_url(simulator: Simulator, bottle: SimulatedBottle) -> str:
    return f"{simulator.registry_url}/v2/homebrew/core/{bottle.image}/manifests/{bottle.reference}"


def locate(simulator: Simulator, bottle: SimulatedBottle) -> str:
    """The signed address to which the registry redirects."""
    redirect = ask(blob_url(simulator, bottle), BEARER)
    assert redirect.status == 307, redirect
    return redirect["Location"]


def fetch(simulator: Simulator, bottle: SimulatedBottle, headers: Mapping[str, str] | None = None) -> Answer:
    """The CDN's answer, by way of the registry; the bearer stays at the registry."""
    return ask(locate(simulator, bottle), headers)
