"""The formulae API adapter against the simulated upstream."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from brew_assets.adapters.formulae_api import FormulaeApi
from brew_assets.errors import CatalogueUnavailable
from brew_assets.simulator import Simulator, World


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(World.generate(seed=2, formulae=5)) as running:
        yield running


@pytest.fixture
def api(simulator: Simulator) -> FormulaeApi:
    return FormulaeApi(simulator.api_url, timeout_s=20)


def test_the_catalogue_comes_decoded_with_its_validators(simulator: Simulator, api: FormulaeApi) -> None:
    fetched = api.fetch()
    assert fetched is not None
    assert fetched.data == simulator.world.catalogue_json()
    assert fetched.etag
    assert simulator.requests[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("weak", [False, True])
def test_a_known_catalogue_is_not_sent_again(simulator: Simulator, api: FormulaeApi, weak: bool) -> None:
    simulator.weak_etag = weak
    fetched = api.fetch()
    assert fetched is not None
    assert api.fetch(etag=fetched.etag) is None
    simulator.world.publish("new", "1.0", size_bytes=800)
    assert api.fetch(etag=fetched.etag) is not None


def test_an_api_that_is_down_is_unavailable(simulator: Simulator, api: FormulaeApi) -> None:
    simulator.api_down = True
    with pytest.raises(CatalogueUnavailable, match=r"formula\.json"):
        api.fetch()


def test_an_api_that_is_gone_is_unavailable(simulator: Simulator, api: FormulaeApi) -> None:
    simulator.stop()
    with pytest.raises(CatalogueUnavailable):
        api.fetch()


@pytest.mark.parametrize(
    "url", ["http://formulae.example/api", "ftp://127.0.0.1/api", "formulae.brew.sh/api", "http://[x/api", ""]
)
def test_an_address_that_may_not_be_contacted_is_unavailable(url: str) -> None:
    with pytest.raises(CatalogueUnavailable):
        FormulaeApi(url, timeout_s=1).fetch()


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (404, {}, b""),
        (301, {"Location": "https://elsewhere.example/"}, b""),
        (304, {}, b""),
        (200, {"Content-Encoding": "gzip"}, b"this is not gzip"),
        (200, {"Content-Length": "1000"}, b"short"),
        (204, {}, b""),
    ],
)
def test_an_answer_that_is_no_catalogue_is_unavailable(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    with answering(status, headers, body) as url, pytest.raises(CatalogueUnavailable):
        FormulaeApi(url, timeout_s=20).fetch()


def test_an_etag_that_no_header_can_carry_is_sent_back_or_left_out() -> None:
    with answering(200, {"ETag": '"\u00fcber"'}, b"[]") as url:
        api = FormulaeApi(url, timeout_s=20)
        first = api.fetch()
        assert first is not None
        second = api.fetch(etag=first.etag)
        assert second is not None
        assert second.data == b"[]"


class answering:  # noqa: N801
    """A server that gives one answer to everything; its address."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Silence."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}/api"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
