"""The formulae API adapter against the simulated upstream."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from brew_assets.adapters.formulae_api import FormulaeApi
from brew_assets.errors import CatalogueRefused, CatalogueUnavailable
from brew_assets.simulator import Simulator, World
from brew_assets_tests.fakes import ImpatientClock
from brew_assets_tests.private_ca import PrivateCa
from brew_assets_tests.raw_server import raw_server, whole


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(World.generate(seed=2, formulae=5)) as running:
        yield running


@pytest.fixture
def api(simulator: Simulator) -> FormulaeApi:
    return FormulaeApi(simulator.api_url, timeout_s=20, clock=ImpatientClock())


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
    "url",
    [
        "http://formulae.example/api",
        "ftp://127.0.0.1/api",
        "formulae.brew.sh/api",
        "http://[x/api",
        "",
        "https://127.0.0.1:99999/api",
        # httpx and the socket each have a class of their own for a host that cannot be one.
        "https://xn--a/api",
        f"https://{'a' * 64}.example/api",
    ],
)
def test_an_address_that_cannot_be_contacted_is_refused(url: str) -> None:
    with pytest.raises(CatalogueRefused):
        FormulaeApi(url, timeout_s=1, clock=ImpatientClock()).fetch()


def test_a_machine_that_can_make_no_tls_is_refused_by_name(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", "/nonexistent/keys")
    with pytest.raises(CatalogueRefused, match=r"formula\.json: no TLS.*/nonexistent/keys"):
        FormulaeApi(
            simulator.api_url, timeout_s=1, reach=PrivateCa(tmp_path).reach(), clock=ImpatientClock()
        ).fetch()


@pytest.mark.parametrize("status", [408, 421, 425, 429, 500, 502, 503, 504, 507, 509, 520, 529, 599])
def test_a_status_that_may_pass_is_tried_again(status: int) -> None:
    answers = answering(status, {}, b"")
    with answers as url, pytest.raises(CatalogueUnavailable, match=f"found {status}"):
        FormulaeApi(url, timeout_s=20, clock=ImpatientClock()).fetch()
    assert answers.count == 3


@pytest.mark.parametrize(
    "status", [204, 301, 302, 304, 307, 400, 401, 403, 404, 405, 410, 418, 451, 501, 505]
)
def test_any_other_status_is_final(status: int) -> None:
    answers = answering(status, {"Location": "https://elsewhere.example/"}, b"")
    with answers as url, pytest.raises(CatalogueRefused, match=f"found {status}"):
        FormulaeApi(url, timeout_s=20, clock=ImpatientClock()).fetch()
    assert answers.count == 1


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Encoding": "gzip"}, b"this is not gzip"),
        ({"Content-Length": "1000"}, b"short"),
        ({"Transfer-Encoding": "chunked", "Content-Length": ""}, b"zz\r\n"),
    ],
)
def test_an_answer_that_breaks_off_is_tried_again(headers: dict[str, str], body: bytes) -> None:
    answers = answering(200, headers, body)
    with answers as url, pytest.raises(CatalogueUnavailable, match=r"formula\.json"):
        FormulaeApi(url, timeout_s=20, clock=ImpatientClock()).fetch()
    assert answers.count == 3


def test_an_etag_that_no_header_can_carry_is_sent_back_or_left_out() -> None:
    with answering(200, {"ETag": '"\u00fcber"'}, b"[]") as url:
        api = FormulaeApi(url, timeout_s=20, clock=ImpatientClock())
        first = api.fetch()
        assert first is not None
        second = api.fetch(etag=first.etag)
        assert second is not None
        assert second.data == b"[]"


@pytest.mark.parametrize(
    "etag", ["*", '"a", "b"', "a", '""', f'"{"x" * 2_000}"', '"a" "b"', " *"], ids=lambda etag: str(etag)[:12]
)
def test_what_is_no_entity_tag_is_never_a_condition(etag: str) -> None:
    """A server that takes the condition at its word would answer 304 for ever, or refuse it for ever."""
    with raw_server(whole(b"[]", f"ETag: {etag}")) as server:
        api = FormulaeApi(server.url, timeout_s=20, clock=ImpatientClock())
        first = api.fetch()
        assert first is not None
        assert api.fetch(etag=first.etag) is not None
    assert len(server.requests) == 2
    assert all(b"if-none-match" not in request.lower() for request in server.requests)


class answering:  # noqa: N801
    """A server that gives one answer to everything, and counts them; its address."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.count = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.count += 1
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
