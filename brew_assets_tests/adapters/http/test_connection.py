"""Answers without end: whatever a server goes on sending, the client ends the response itself."""

import gzip
import http.client
import resource
import socket
import sys
import threading

import pytest

from brew_assets.adapters.ghcr.answers import GhcrBlob
from brew_assets.adapters.ghcr.registry import Ghcr
from brew_assets.adapters.http.body_limits import PACE_WINDOW_S
from brew_assets.adapters.http.connection import NETWORK_ERRORS, Wire
from brew_assets.adapters.http.reach import PLAIN
from brew_assets.adapters.http.reader import HEAD_TIME_S
from brew_assets.adapters.http.url import Origin, split_url
from brew_assets.adapters.s3.uploads import PutSink
from brew_assets.domain.oci import MAX_INDEX_BYTES
from brew_assets.engine.clock import SystemClock
from brew_assets.engine.retry import parse_retry_after
from brew_assets.errors import StoreUnavailable, UpstreamError, UpstreamInterrupted, UpstreamRefused
from brew_assets.simulator import Fault, Simulator, World
from brew_assets_tests.adapters.pouring import TickingClock, pouring
from brew_assets_tests.worlds import bottle

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ITEM = bottle("wget", "1.25.0")

# What is poured, and a word of the error that ends it.
HEADS = {
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "informational"),
    "102 Processing": (b"", b"HTTP/1.1 102 Processing\r\n\r\n", "informational"),
    "103 Early Hints with fields": (b"", b"HTTP/1.1 103 x\r\n" + b"Link: </a>\r\n" * 90 + b"\r\n", "inform"),
    "fields of a 100": (b"HTTP/1.1 100 Continue\r\n", b"a: b\r\n", "headers"),
    "fields of the answer": (OK, b"a: b\r\n", "headers"),
    "long fields": (OK, b"a: " + b"b" * 60_000 + b"\r\n", "head"),
    "one long field": (OK + b"a: ", b"b" * 1_000, "head"),
    "a long status line": (b"HTTP/1.1 200 ", b"OK" * 1_000, "head"),
}
BODIES = {
    "tiny chunks": (CHUNKED, b"1\r\nx\r\n" * 10_000, "head"),
    "extensions of chunks": (CHUNKED, b"1;" + b"e" * 900 + b"\r\nx\r\n", "head"),
    "one extension": (CHUNKED + b"5;", b"e" * 1_000, "head"),
    "zeros before a size": (CHUNKED, b"0" * 1_000, "head"),
    "a trailer": (CHUNKED + b"1\r\nx\r\n0\r\n", b"a: b\r\n", "trailer"),
    "a trailer of long lines": (CHUNKED + b"1\r\nx\r\n0\r\n", b"a" * 1_000 + b": b\r\n", "head"),
}


def wire_to(url: str, clock: TickingClock | None = None) -> Wire:
    return Wire(split_url(url)[0], PLAIN, timeout_s=90.0, monotonic=(clock or SystemClock()).monotonic)


def _read_all(stream: GhcrBlob) -> int:
    """How many bytes the body had."""
    got, view = 0, memoryview(bytearray(4096))
    while count := stream.readinto(view):
        got += count
    return got


def registry(url: str, clock: TickingClock | None = None) -> Ghcr:
    return Ghcr(url, cdn_hosts=[], timeout_s=90.0, clock=clock or SystemClock())


def _packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize("poured", HEADS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_a_head_without_end_is_ended(poured: str, method: str) -> None:
    begin, again, word = HEADS[poured]
    with pouring(begin, again) as url:
        wire = wire_to(url)
        wire.send(method, "/", {"Content-Length": "1"}, memoryview(b"x"))
        with pytest.raises(http.client.HTTPException, match=word):
            wire.receive(method)
        wire.close()


@pytest.mark.parametrize("poured", HEADS | BODIES)
def test_an_index_without_end_is_an_interruption(poured: str) -> None:
    begin, again, word = (HEADS | BODIES)[poured]
    with pouring(begin, again) as url, pytest.raises(UpstreamInterrupted, match=word):
        registry(url).fetch_index("wget", "1.25.0")


@pytest.mark.parametrize("poured", HEADS | BODIES)
def test_a_bottle_without_end_is_an_interruption(poured: str) -> None:
    begin, again, word = (HEADS | BODIES)[poured]
    with pouring(begin, again) as url, pytest.raises(UpstreamInterrupted, match=word):
        _read_all(registry(url).open(ITEM))


@pytest.mark.parametrize("poured", HEADS)
def test_a_stores_answer_to_a_bottle_without_end_may_pass(poured: str) -> None:
    begin, again, word = HEADS[poured]
    with pouring(begin, again) as url:
        headers = {"Content-Length": "1"}
        sink = PutSink(wire_to(url), target="/b/key", headers=headers, key="key", size=1)
        sink.write(memoryview(b"x"))
        with pytest.raises(StoreUnavailable, match=word):
            sink.commit()


@pytest.mark.parametrize("status", [b"200", b"404", b"500", b"307"])
def test_a_body_without_end_ends_at_its_limit(status: bytes) -> None:
    begin = b"HTTP/1.1 " + status + b" x\r\nLocation: /v2/\r\n\r\n"
    with pouring(begin, b"x" * 65_536) as url:
        if status == b"404":
            assert registry(url).fetch_index("wget", "1.25.0") is None
            return
        with pytest.raises(UpstreamError, match="wget"):
            registry(url).fetch_index("wget", "1.25.0")


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        (b"H", b"T"),
        (OK, b"a"),
        (OK + b"a: ", b"b"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"H"),
    ],
)
def test_a_head_that_trickles_counts_as_silence(begin: bytes, again: bytes) -> None:
    clock = TickingClock()
    with (
        pouring(begin, again, clock=clock) as url,
        pytest.raises(UpstreamInterrupted, match="not whole 60 s"),
    ):
        registry(url, clock).open(ITEM)
    assert clock.seconds <= HEAD_TIME_S + 3


@pytest.mark.parametrize(
    "begin",
    [
        OK + b"Content-Length: 4000\r\n\r\n",
        OK + b"\r\n",
        CHUNKED + b"FFFF\r\n",
        b"HTTP/1.1 500 x\r\nContent-Length: 4000\r\n\r\n",
    ],
)
def test_a_document_that_trickles_counts_as_silence(begin: bytes) -> None:
    clock = TickingClock()
    with pouring(begin, b"x", clock=clock) as url:
        with pytest.raises(UpstreamError, match="wget") as caught:
            registry(url, clock).fetch_index("wget", "1.25.0")
        if b"500" not in begin:
            assert isinstance(caught.value, UpstreamInterrupted)
            assert "count as silence" in str(caught.value)
    assert clock.seconds <= PACE_WINDOW_S + 5


@pytest.mark.parametrize(
    ("begin", "again"),
    [(CHUNKED + b"1\r\nx\r\n0\r\n", b"t"), (CHUNKED + b"1\r\nx\r\n", b"0"), (CHUNKED + b"1;", b"e")],
)
def test_what_frames_a_bottle_may_not_trickle(begin: bytes, again: bytes) -> None:
    clock = TickingClock()
    with pouring(begin, again, clock=clock) as url:
        stream = registry(url, clock).open(ITEM)
        with pytest.raises(UpstreamInterrupted, match="not whole"):
            _read_all(stream)


def test_the_rest_of_a_redirect_that_trickles_costs_the_connection_and_no_more() -> None:
    clock = TickingClock()
    begin = b"HTTP/1.1 307 x\r\nLocation: /v2/next\r\nContent-Length: 4000\r\n\r\n"
    with (
        pouring(begin, b"x", clock=clock) as url,
        pytest.raises(UpstreamRefused, match="more than 3 redirects"),
    ):
        registry(url, clock).open(ITEM)
    assert clock.seconds <= 4 * (HEAD_TIME_S + 5)


def test_a_bottle_may_trickle_as_long_as_it_comes() -> None:
    clock = TickingClock()
    with pouring(OK + b"Content-Length: 300\r\n\r\n", b"x", clock=clock) as url:
        stream = registry(url, clock).open(ITEM)
        for _ in range(300):
            clock.monotonic()
        assert _read_all(stream) == 300


def test_eight_informational_answers_are_taken() -> None:
    answer = b"HTTP/1.1 103 x\r\n\r\n" * 8 + OK + b"Content-Length: 2\r\n\r\n{}"
    with pouring(answer, b"") as url:
        assert registry(url).fetch_index("wget", "1.25.0") == b"{}"


def test_a_size_that_is_only_announced_takes_no_memory() -> None:
    begin = OK + b"Content-Length: 999999999999999999\r\n\r\n" + b"x" * 1000
    with pouring(begin, b"") as url:
        wire = wire_to(url)
        wire.send("GET", "/", {"Accept": "*/*"})
        response = wire.receive("GET")
        wire.interrupt()
        with pytest.raises(NETWORK_ERRORS):
            response.read()


@pytest.mark.parametrize(
    ("encoding", "body", "finding"),
    [
        ("gzip, gzip", _packed(_packed(b"{}")), "one gzip"),
        ("br", b"{}", "one gzip"),
        ("deflate", b"{}", "one gzip"),
        ("gzip", _packed(b" " * (MAX_INDEX_BYTES + 1)), "at most"),
        ("gzip", _packed(b"{}")[:-9], "whole gzip"),
        ("gzip", b"\x1f\x8bnothing", "expected a gzip"),
    ],
)
def test_a_document_has_at_most_one_gzip_around_it_and_a_limit_inside(
    encoding: str, body: bytes, finding: str
) -> None:
    with _Documents(encoding, body) as ghcr, pytest.raises(UpstreamRefused, match=finding):
        ghcr.fetch_index("wget", "1.0")


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", _packed(b"{}")), ("x-gzip", _packed(b"{}")), ("gzip", b"{}"), ("identity", b"{}")],
)
def test_a_document_out_of_one_gzip_or_only_marked_is_taken(encoding: str, body: bytes) -> None:
    with _Documents(encoding, body) as ghcr:
        assert ghcr.fetch_index("wget", "1.0") == b"{}"


class _Documents:
    """A registry whose index of wget is that body under that Content-Encoding."""

    def __init__(self, encoding: str, body: bytes) -> None:
        world = World(seed=3)
        world.publish("wget", "1.0", size_bytes=900)
        self._simulator = Simulator(world)
        headers = (("Content-Encoding", encoding),)
        self._fault = Fault(kind="answer", at="registry", times=None, headers=headers, body=body)

    def __enter__(self) -> Ghcr:
        self._simulator.start()
        self._simulator.fault("wget:1.0", self._fault)
        return registry(self._simulator.registry_url)

    def __exit__(self, *_: object) -> None:
        self._simulator.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="processor time as Linux counts it")
def test_a_wait_of_many_digits_costs_no_time() -> None:
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_utime
    text = "9" * 60_000
    now = SystemClock().now()
    assert parse_retry_after(text, now=now, body=f"retry-after: {text}") is None
    assert resource.getrusage(resource.RUSAGE_THREAD).ru_utime - before < 1


def test_a_wait_of_a_thousand_years_is_a_quarter_of_an_hour() -> None:
    now = SystemClock().now()
    for text in ("999999999", "Fri, 31 Dec 3025 23:59:59 GMT", "8760000h"):
        assert parse_retry_after(text, now=now) == 900.0


def test_an_interruption_ends_a_handshake_that_stalls() -> None:
    errors: list[OSError] = []

    def send() -> None:
        try:
            wire.send("GET", "/", {"Accept": "*/*"})
        except OSError as error:
            errors.append(error)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        origin = Origin("https", "127.0.0.1", listener.getsockname()[1])
        wire = Wire(origin, PLAIN, timeout_s=90.0, monotonic=SystemClock().monotonic)
        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        listener.settimeout(10)
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(1)  # its hello: the handshake has begun
            wire.interrupt()
            thread.join(10)
            assert not thread.is_alive()
    assert len(errors) == 1
