"""Proxies for plain http, proxies that speak TLS, and proxies that answer what no proxy should."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from brew_assets.adapters.aws.sns import SnsTopic
from brew_assets.adapters.http.aws_session import ReachSession
from brew_assets.adapters.http.connection import Wire
from brew_assets.adapters.http.proxies import read_proxy
from brew_assets.adapters.http.reach import Reach
from brew_assets.adapters.http.transport import ReachTransport
from brew_assets.adapters.http.tunnel import MOST_HEAD_BYTES, ProxyFailure, open_tunnel
from brew_assets.adapters.http.url import split_url
from brew_assets.adapters.s3.bucket_client import S3Options
from brew_assets.adapters.s3.store import S3Store
from brew_assets.engine.notifier import Notification
from brew_assets.errors import ChannelUncertain, ProxyRefused, StoreUnavailable
from brew_assets.settings import Secret
from brew_assets_tests.event_account import CREDENTIALS
from brew_assets_tests.fakes import ImpatientClock
from brew_assets_tests.messages import MISSING
from brew_assets_tests.private_ca import PrivateCa
from brew_assets_tests.raw_server import RawServer, raw_server, whole
from brew_assets_tests.relay import Asked, Orders, RecordingProxy, place_of, recording_proxy, tls_front

TOPIC = "arn:aws:sns:us-east-1:123456789012:syncs"
BODY = b"<ListAllMyBucketsResult></ListAllMyBucketsResult>"


def by_wire(url: str, reach: Reach) -> bytes:
    wire = Wire(split_url(url)[0], reach, timeout_s=30.0, monotonic=ImpatientClock().monotonic)
    try:
        response = wire.exchange("GET", "/a?b=c", {"Accept": "*/*"})
        body = response.read(1000)
        wire.finish()
        return body
    finally:
        wire.close()


def by_httpx(url: str, reach: Reach) -> bytes:
    with httpx.Client(transport=ReachTransport(reach), trust_env=False) as client:
        return client.get(f"{url}/a?b=c").content


def by_botocore(url: str, reach: Reach) -> bytes:
    client = ReachSession(reach).create_client(
        "s3", region_name="us-east-1", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b"
    )
    assert client.list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200
    return BODY


CLIENTS = {"wire": by_wire, "httpx": by_httpx, "botocore": by_botocore}
Use = Callable[[str, Reach], bytes]


@pytest.fixture
def origin() -> Iterator[RawServer]:
    with raw_server(whole(BODY, "Connection: close", "Content-Type: application/xml")) as server:
        yield server


@pytest.fixture(params=CLIENTS)
def use(request: pytest.FixtureRequest) -> Use:
    return CLIENTS[request.param]


def test_plain_http_is_asked_of_its_proxy_by_the_whole_address(origin: RawServer, use: Use) -> None:
    orders = Orders(leads={"plain.example:8000": place_of(origin.url)}, credentials="me:word")
    with recording_proxy(orders) as proxy:
        reach = Reach(http_proxy=Secret(f"http://me:word@{proxy.place}"), https_proxy=Secret("unused:1"))
        assert use("http://plain.example:8000", reach) == BODY

    assert {asked.method for asked in proxy.asked} == {"GET"}
    assert all(asked.target.startswith("http://plain.example:8000/") for asked in proxy.asked)
    # What lets us through to the proxy is no matter of the server behind it.
    assert b"proxy-authorization" not in b"".join(origin.requests).lower()


@pytest.mark.parametrize("name", ["wire", "httpx"])
def test_a_proxy_for_plain_http_that_asks_for_credentials_is_named(name: str) -> None:
    with recording_proxy(Orders(credentials="me:word")) as proxy:
        reach = Reach(http_proxy=Secret(proxy.place))
        with pytest.raises(ProxyRefused, match=r"HTTP_PROXY\) asks for credentials \(407\); set HTTP_PROXY="):
            CLIENTS[name]("http://plain.example:8000", reach)


def test_a_proxy_may_speak_tls_itself(origin: RawServer, use: Use, tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    with contextlib.ExitStack() as stack:
        front = tls_front(ca.server_context("far.example"), {"far.example": place_of(origin.url)})
        orders = Orders(
            leads={"far.example:443": ("127.0.0.1", stack.enter_context(front))}, credentials="me:w"
        )
        context = ca.server_context("localhost", "127.0.0.1")
        proxy = stack.enter_context(recording_proxy(orders, context=context))
        reach = replace(ca.reach(), https_proxy=Secret(f"https://me:w@localhost:{proxy.place.split(':')[1]}"))
        assert use("https://far.example", reach) == BODY
        assert proxy.hosts == {"far.example:443"}


def test_the_proxy_that_speaks_tls_needs_a_certificate_too(tmp_path: Path) -> None:
    stranger = PrivateCa(tmp_path)
    with recording_proxy(Orders(), context=stranger.server_context("localhost")) as proxy:
        reach = Reach(https_proxy=Secret(f"https://localhost:{proxy.place.split(':')[1]}"))
        with pytest.raises(ProxyFailure, match=r"HTTPS_PROXY.*SSL_CERT_FILE"):
            by_wire("https://far.example", reach)


def says(*pieces: bytes) -> Callable[[Asked, socket.socket], bool]:
    """The proxy says this; a piece without end is said for ever."""

    def answer(_: Asked, connection: socket.socket) -> bool:
        for piece in pieces:
            connection.sendall(piece)
        return True

    return answer


def for_ever(piece: bytes) -> Callable[[Asked, socket.socket], bool]:
    def answer(_: Asked, connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(piece)
        return True

    return answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (says(), "closed the connection after 0 bytes"),
        (says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), r"answered what is no HTTP: 'SSH-2.0"),
        (says(b"HTTP/1.1 2oo OK\r\n\r\n"), "no HTTP"),
        (says(b"HTTP/1.1 100 Continue\r\n\r\n"), "answered 100"),
        (says(b"HTTP/1.1 200 OK\r\nVia: x\r\n"), "closed the connection after"),
        (for_ever(b"Via: x\r\n"), f"more than {MOST_HEAD_BYTES} bytes"),
        (for_ever(b"x"), f"more than {MOST_HEAD_BYTES} bytes"),
        (says(b"HTTP/1.1 503 Busy\r\n\r\n"), "answered 503: it does not lead to far.example:443 now"),
        (says(b"HTTP/1.1 429 Slowly\r\n\r\n"), "answered 429"),
    ],
    ids=["nothing", "ssh", "no status", "100", "half", "fields", "line", "503", "429"],
)
def test_what_a_proxy_answers_is_bounded_and_named(
    answer: Callable[[Asked, socket.socket], bool], said: str
) -> None:
    with recording_proxy(Orders(answer=answer)) as proxy:
        reach = Reach(https_proxy=Secret(proxy.place))
        with pytest.raises(ProxyFailure, match=rf"the proxy http://127.0.0.1:\d+ \(HTTPS_PROXY\).*{said}"):
            by_wire("https://far.example", reach)


def test_a_head_that_trickles_comes_to_an_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\nVia: " + b"x" * 1000)
        seconds = itertools.count()
        proxy = read_proxy("HTTPS_PROXY", Secret("proxy:1"))
        with pytest.raises(ProxyFailure, match="did not answer within 30 s"):
            open_tunnel(ours, proxy, "far:443", timeout_s=30.0, monotonic=lambda: float(next(seconds)))


def test_what_comes_behind_the_proxys_head_is_the_origins() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\nhello")
        open_tunnel(ours, read_proxy("HTTPS_PROXY", Secret("proxy:1")), "far:443", timeout_s=30.0)
        assert ours.recv(100) == b"hello"


def test_an_interruption_ends_the_wait_for_a_proxy() -> None:
    asked, over = threading.Event(), threading.Event()

    def hang(_: Asked, __: socket.socket) -> bool:
        asked.set()
        return over.wait(60)

    with recording_proxy(Orders(answer=hang)) as proxy:
        origin = split_url("https://far.example")[0]
        wire = Wire(origin, _through(proxy), timeout_s=600.0, monotonic=ImpatientClock().monotonic)

        def interrupt() -> None:
            asked.wait(30)
            wire.interrupt()

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(ProxyFailure, match="closed the connection"):
            wire.exchange("GET", "/", {"Accept": "*/*"})
        thread.join()
        over.set()


def _through(proxy: RecordingProxy) -> Reach:
    return Reach(https_proxy=Secret(proxy.place))


def test_an_unreachable_host_says_that_no_proxy_is_set() -> None:
    with pytest.raises(OSError, match=r"no proxy is set \(HTTPS_PROXY\)"):
        by_wire("https://name.invalid", Reach())
    with pytest.raises(httpx.ConnectError, match=r"past the proxy of HTTPS_PROXY \(NO_PROXY\)"):
        by_httpx("https://name.invalid", Reach(https_proxy=Secret("p:1"), no_proxy=("*",)))


def test_a_server_that_breaks_off_behind_a_proxy_is_no_failure_of_the_proxys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    ca, name = PrivateCa(tmp_path), "aws.example"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(raw_server(lambda *_: None))
        port = stack.enter_context(tls_front(ca.server_context(name), {name: place_of(server.url)}))
        proxy = stack.enter_context(recording_proxy(Orders(leads={f"{name}:443": ("127.0.0.1", port)})))
        reach = replace(ca.reach(), https_proxy=Secret(proxy.place))
        topic = SnsTopic(TOPIC, region="us-east-1", endpoint_url=f"https://{name}", reach=reach)
        # It may have arrived, and is not sent again.
        with pytest.raises(ChannelUncertain):
            topic.send(Notification(name="absence", subject="x", message=MISSING))
        store = S3Store(S3Options(bucket="b", endpoint_url=f"https://{name}"), reach, clock=ImpatientClock())
        with pytest.raises(StoreUnavailable, match=r"the connection broke off \(RemoteDisconnected"):
            store.read("state/x")
