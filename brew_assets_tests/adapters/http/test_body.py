"""Small answers from servers that mean no good: the catalogue's and hash files', bounded in every way."""

import gzip
import socket
import threading
import zlib
from collections.abc import Callable

import pytest

from brew_assets.adapters import formulae_api
from brew_assets.adapters import skip_list_sources as hash_file_sources
from brew_assets.adapters.formulae_api import FormulaeApi, SignedFiles
from brew_assets.adapters.http import body as http_body
from brew_assets.adapters.http.body_limits import BodyBroken, BodyDecoder, BodyLimits, BodyRefused
from brew_assets.adapters.skip_list_sources import HttpsHashFile
from brew_assets.errors import CatalogueRefused, CatalogueUnavailable, HashFileInvalid, PlanningStopped
from brew_assets_tests.fakes import FakeClock, FakeStop
from brew_assets_tests.raw_server import RawServer, head, raw_server, trickles, whole

LIMITS = BodyLimits(received=1_000_000, decoded=2_000_000)
BODY = b"[]" + b" " * 10_000


def decoded(body: bytes, *encodings: str, limits: BodyLimits = LIMITS, piece: int = 1_000) -> bytes:
    decoder = BodyDecoder(encodings, limits)
    for start in range(0, len(body), piece):
        decoder.add(body[start : start + piece])
    return decoder.finish()


@pytest.mark.parametrize("piece", [1, 7, 1_000, 1_000_000])
def test_a_body_comes_plain_or_with_one_gzip_of_any_number_of_members(piece: int) -> None:
    assert decoded(BODY, piece=piece) == decoded(BODY, "Identity", piece=piece) == BODY
    for name in ("gzip", "x-gzip", " GZIP "):
        assert decoded(gzip.compress(BODY), name, piece=piece) == BODY
    assert (
        decoded(gzip.compress(b"a") + gzip.compress(b"") + gzip.compress(b"b"), "gzip", piece=piece) == b"ab"
    )
    assert decoded(b"", "gzip") == b""


@pytest.mark.parametrize(
    "encodings", [("gzip", "gzip"), ("deflate",), ("br",), ("zstd",), ("gzip", "br"), ("x",)]
)
def test_any_other_encoding_is_refused_by_name(encodings: tuple[str, ...]) -> None:
    with pytest.raises(BodyRefused, match=", ".join(encodings)):
        BodyDecoder(encodings, LIMITS)


@pytest.mark.parametrize("piece", [1, 1_000_000])
@pytest.mark.parametrize(
    "body",
    [gzip.compress(BODY)[:-1], gzip.compress(BODY)[:5], gzip.compress(BODY) + b"rubbish", b"rubbish"],
    ids=["without its end", "a head", "more behind it", "none"],
)
def test_gzip_that_is_not_whole_is_broken(body: bytes, piece: int) -> None:
    with pytest.raises(BodyBroken, match="gzip"):
        decoded(body, "gzip", piece=piece)


def test_bytes_are_counted_as_they_come_and_as_they_are_decoded() -> None:
    assert len(decoded(b"x" * LIMITS.received)) == LIMITS.received
    with pytest.raises(BodyRefused, match="at most 1000000 bytes"):
        decoded(b"x" * (LIMITS.received + 1))
    assert len(decoded(gzip.compress(b"x" * LIMITS.decoded), "gzip")) == LIMITS.decoded
    with pytest.raises(BodyRefused, match="once decoded"):
        decoded(gzip.compress(b"x" * (LIMITS.decoded + 1)), "gzip")


def test_a_bomb_is_never_inflated_beyond_its_limit() -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(compressor.compress(bytes(1_000_000)) for _ in range(100)) + compressor.flush()
    decoder = BodyDecoder(["gzip"], LIMITS)
    with pytest.raises(BodyRefused, match="once decoded"):
        decoder.add(bomb)
    with pytest.raises(BodyRefused, match="gzip members"):
        decoded(gzip.compress(b"") * 2_000, "gzip", piece=LIMITS.received)


# Both sources, over a real connection.

Load = Callable[[str, FakeClock, FakeStop], object]


def catalogue(url: str, clock: FakeClock, stop: FakeStop) -> object:
    return FormulaeApi(url, timeout_s=60, clock=clock, stop=stop).fetch()


def packages_file(url: str, clock: FakeClock, stop: FakeStop) -> object:
    return SignedFiles(url, timeout_s=60, clock=clock, stop=stop).fetch("arm64_sonoma")


def hash_file(url: str, clock: FakeClock, stop: FakeStop) -> object:
    return HttpsHashFile(f"{url}/hashes.json", timeout_s=60, clock=clock, stop=stop).load()


SOURCES = pytest.mark.parametrize("load", [catalogue, packages_file, hash_file])


@SOURCES
@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip\r\nContent-Encoding: gzip", "deflate", "br"])
def test_an_encoding_that_was_not_asked_for_is_refused_at_once(load: Load, encoding: str) -> None:
    with (
        raw_server(whole(gzip.compress(gzip.compress(BODY)), f"Content-Encoding: {encoding}")) as server,
        pytest.raises(
            (CatalogueRefused, HashFileInvalid), match="expected Content-Encoding gzip, once, or none"
        ),
    ):
        load(server.url, FakeClock(), FakeStop())
    assert len(server.requests) == 1


@SOURCES
def test_a_body_over_the_limit_is_refused_at_once(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formulae_api, "MAX_CATALOGUE_BYTES", LIMITS.received)
    monkeypatch.setattr(formulae_api, "MAX_FILE_BYTES", LIMITS.received)
    monkeypatch.setattr(hash_file_sources, "MAX_HASH_FILE_BYTES", LIMITS.received)
    for body, encoding in (
        (bytes(LIMITS.received + 1), "identity"),
        (gzip.compress(bytes(3_000_000)), "gzip"),
    ):
        with (
            raw_server(whole(body, f"Content-Encoding: {encoding}")) as server,
            pytest.raises((CatalogueRefused, HashFileInvalid), match="expected at most"),
        ):
            load(server.url, FakeClock(), FakeStop())
        assert len(server.requests) == 1


@SOURCES
@pytest.mark.parametrize(
    "sent",
    [gzip.compress(BODY)[:-9], gzip.compress(BODY) + b"rubbish"],
    ids=["without its end", "more behind it"],
)
def test_a_gzip_that_is_not_whole_may_be_so_another_time(load: Load, sent: bytes) -> None:
    with (
        raw_server(whole(sent, "Content-Encoding: gzip")) as server,
        pytest.raises((CatalogueUnavailable, HashFileInvalid), match="gzip"),
    ):
        load(server.url, FakeClock(), FakeStop())


@SOURCES
@pytest.mark.parametrize(
    ("sent", "each"),
    [
        (head(100_000), b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", b"a"),
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
    ],
    ids=["body", "chunks", "trailer", "status line", "header", "100", "103"],
)
def test_an_answer_that_trickles_is_given_up(load: Load, sent: bytes, each: bytes) -> None:
    clock = FakeClock()
    with (
        raw_server(trickles(sent, each, clock.advance)) as server,
        pytest.raises((CatalogueUnavailable, HashFileInvalid), match=r"expected|cannot be had"),
    ):
        load(server.url, clock, FakeStop())


@SOURCES
def test_a_flood_of_1xx_is_a_head_that_is_too_large(load: Load) -> None:
    def flood(server: RawServer, connection: socket.socket) -> None:
        while not server.over.is_set():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000)

    with (
        raw_server(flood) as server,
        pytest.raises(
            (CatalogueRefused, HashFileInvalid), match=f"at most {http_body.MOST_HEAD_BYTES} bytes"
        ),
    ):
        load(server.url, FakeClock(), FakeStop())


@SOURCES
@pytest.mark.parametrize(
    "chunk", [b"1;" + b"x" * 60_000 + b"\r\n \r\n", b"1\r\n \r\n" * 10_000], ids=["extended", "tiny"]
)
def test_a_body_of_which_most_is_framing_is_refused(load: Load, chunk: bytes) -> None:
    def answer(server: RawServer, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not server.over.is_set():
            connection.sendall(chunk)

    with (
        raw_server(answer) as server,
        pytest.raises((CatalogueRefused, HashFileInvalid), match="more around them than in"),
    ):
        load(server.url, FakeClock(), FakeStop())


def test_a_body_in_small_chunks_is_read() -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (16, b" " * 16) for _ in range(20_000)) + b"2\r\n[]\r\n0\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    with raw_server(lambda _, connection: connection.sendall(answer)) as server:
        fetched = FormulaeApi(server.url, timeout_s=60, clock=FakeClock(), stop=FakeStop()).fetch()
    assert fetched is not None
    assert fetched.data == b" " * 320_000 + b"[]"


@SOURCES
def test_a_redirect_is_not_followed(load: Load) -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: /formula.json\r\nContent-Length: 0\r\n\r\n"
    with (
        raw_server(lambda _, connection: connection.sendall(answer)) as server,
        pytest.raises((CatalogueRefused, HashFileInvalid), match="found 302"),
    ):
        load(server.url, FakeClock(), FakeStop())
    assert len(server.requests) == 1


@SOURCES
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200", head(100) + b"x"], ids=["nothing", "head", "body"])
def test_a_stop_signal_is_heard_while_an_answer_stalls(load: Load, sent: bytes) -> None:
    stop = FakeStop()

    def answer(server: RawServer, connection: socket.socket) -> None:
        connection.sendall(sent)
        stop.set()
        server.over.wait(60)

    before = threading.active_count()
    with raw_server(answer) as server, pytest.raises(PlanningStopped):
        load(server.url, FakeClock(), stop)
    for thread in threading.enumerate():
        if thread.name == "until-stopped":
            thread.join(10)  # its connection was shut down
            assert not thread.is_alive()
    assert threading.active_count() <= before


def test_a_stop_signal_is_heard_between_two_tries() -> None:
    stop = FakeStop()

    def answer(_: RawServer, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n")
        stop.set()

    with raw_server(answer) as server, pytest.raises(PlanningStopped):
        catalogue(server.url, FakeClock(), stop)
    assert len(server.requests) == 1


def test_a_handshake_that_stalls_ends_with_the_stop_signal() -> None:
    stop = FakeStop()
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(10)
            stop.set()
            connection.recv(65536)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    with listener, pytest.raises(PlanningStopped):
        catalogue(f"https://127.0.0.1:{listener.getsockname()[1]}", FakeClock(), stop)
    thread.join(10)
