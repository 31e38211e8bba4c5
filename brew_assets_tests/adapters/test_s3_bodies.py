"""Bodies of a store's answers have an end: a server on a socket that answers as no server should."""

import contextlib
import hashlib
import itertools
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator

import pytest

from brew_assets.adapters.http.body_limits import LEAST_BYTES_PER_S, PACE_WINDOW_S, SlowBody
from brew_assets.adapters.s3 import bodies
from brew_assets.adapters.s3.bodies import ANSWER_BYTES, BOTTLE_BYTES
from brew_assets.adapters.s3.bucket_client import S3Options
from brew_assets.adapters.s3.store import S3Store
from brew_assets.engine.ports import MAX_DOCUMENT_BYTES
from brew_assets.errors import ObjectRefused, StoreError, StoreRefused, StoreUnavailable
from brew_assets_tests.fakes import ImpatientClock
from brew_assets_tests.servers import ACCESS_KEY, REGION, SECRET_KEY
from brew_assets_tests.worlds import DATE, bottle

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
KEY = f"{DATE}/a.tar.gz"


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    answer: Iterable[bytes] = ()
    sent = 0
    requests = 0


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.server.requests += 1
        with contextlib.suppress(OSError):
            for piece in self.server.answer:
                self.request.sendall(piece)
                self.server.sent += len(piece)


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def store(server: _Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    made = S3Store(
        S3Options(bucket="b", region=REGION, endpoint_url=url, sse="bucket"), clock=ImpatientClock()
    )
    yield made
    made.close()


def chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield OK + b"Transfer-Encoding: chunked\r\n\r\n"
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def until_closed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield OK + b"\r\n"
    yield from pieces


def sized(size: object, pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield OK + f"Content-Length: {size}\r\n\r\n".encode()
    yield from pieces


def for_ever() -> Iterator[bytes]:
    return itertools.repeat(b"x" * 65536)


CALLS: dict[str, Callable[[S3Store], object]] = {
    "listing": lambda store: list(store.listing("state/")),
    "date folders": lambda store: store.date_folders(),
    "deletion": lambda store: store._documents._delete_many(["a"]),
    "document": lambda store: store.read(KEY),
    "bytes read back": lambda store: store.hash(KEY),
}


@pytest.mark.parametrize("framed", [chunked, until_closed])
@pytest.mark.parametrize("call", CALLS)
def test_a_body_without_end_is_given_up_at_its_limit(
    store: S3Store,
    server: _Server,
    monkeypatch: pytest.MonkeyPatch,
    framed: Callable[[Iterable[bytes]], Iterator[bytes]],
    call: str,
) -> None:
    monkeypatch.setattr(bodies, "BOTTLE_BYTES", 2**22)
    server.answer = framed(for_ever())
    with pytest.raises(StoreError, match=r"expected at most .* bytes, found more than"):
        store.read(KEY, most_bytes=2**22) if call == "document" else CALLS[call](store)
    # What the sockets took is little beside it.
    assert server.requests == 1
    assert server.sent < 2 * ANSWER_BYTES


@pytest.mark.parametrize(
    ("call", "size", "kind"),
    [
        ("listing", ANSWER_BYTES + 1, StoreRefused),
        ("deletion", ANSWER_BYTES + 1, ObjectRefused),
        ("document", MAX_DOCUMENT_BYTES + 1, ObjectRefused),
        ("document", 10**17, ObjectRefused),
        ("bytes read back", BOTTLE_BYTES + 1, ObjectRefused),
    ],
)
def test_what_says_that_it_is_too_large_is_not_read(
    store: S3Store, server: _Server, call: str, size: int, kind: type[StoreError]
) -> None:
    server.answer = sized(size, for_ever())
    with pytest.raises(kind, match=f"found {size:,}"):
        CALLS[call](store)
    assert server.requests == 1
    assert server.sent < ANSWER_BYTES


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("size", ["-1", "abc", "1e3", "9" * 40, "5, 5", "\u00b2"])
def test_a_content_length_that_is_none_is_no_answer(
    store: S3Store, server: _Server, call: str, size: str
) -> None:
    server.answer = [OK + f"Content-Length: {size}\r\n\r\nhello".encode("latin-1")]
    with pytest.raises(StoreUnavailable):
        CALLS[call](store)
    assert server.requests == 5


def test_a_body_that_breaks_off_is_never_taken_for_a_whole_one(store: S3Store, server: _Server) -> None:
    for answer in (list(sized(10, [b"hello"])), list(chunked([b"hello"]))[:-1]):
        server.answer = answer
        for call in ("document", "bytes read back"):
            with pytest.raises(StoreUnavailable):
                CALLS[call](store)


def test_whole_bodies_of_every_framing_are_read(store: S3Store, server: _Server) -> None:
    data = bytes(range(256)) * 1000
    for answer in (list(sized(len(data), [data])), list(chunked([data, data])), list(until_closed([data]))):
        server.answer = answer
        document, facts = store.read(KEY), store.hash(KEY)
        assert document is not None
        assert facts is not None
        assert document.data in (data, data * 2)
        assert facts.digest == hashlib.sha256(document.data).hexdigest()
        assert facts.size == len(document.data)


def test_the_first_bytes_come_alone_though_the_server_sends_all(store: S3Store, server: _Server) -> None:
    server.answer = until_closed(for_ever())
    assert store.peek(KEY, 100) == b"x" * 100
    assert server.sent < ANSWER_BYTES


def test_a_document_that_trickles_counts_as_silent(store: S3Store, server: _Server) -> None:
    """A byte every two seconds by a clock of its own, which goes on whenever it is looked at."""
    times = itertools.count(step=2)
    server.answer = until_closed(itertools.repeat(b"x"))
    answer = store._client().get_object(Bucket="b", Key=KEY)
    with pytest.raises(SlowBody, match=f"expected at least {LEAST_BYTES_PER_S} bytes/s"):
        bodies.whole_body(KEY, answer, most=MAX_DOCUMENT_BYTES, monotonic=lambda: next(times))
    assert PACE_WINDOW_S / 2 <= next(times) < 10 * PACE_WINDOW_S


@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip", "br", "x-nonsense", "aws-chunked,gzip"])
def test_a_document_that_comes_compressed_is_refused_by_name(
    store: S3Store, server: _Server, coding: str
) -> None:
    server.answer = [OK + f"Content-Encoding: {coding}\r\nContent-Length: 2\r\n\r\n{{}}".encode()]
    with pytest.raises(ObjectRefused, match=rf"{KEY}: .* Content-Encoding '{coding}'.*no proxy"):
        store.read(KEY)
    with pytest.raises(StoreRefused, match=r"listing of 'state/': .*Content-Encoding"):
        list(store.listing("state/"))
    # A bottle's digest tells what it is.
    facts = store.hash(KEY)
    assert facts is not None
    assert facts.digest == hashlib.sha256(b"{}").hexdigest()


@pytest.mark.parametrize("coding", ["", "identity", "aws-chunked", "AWS-Chunked"])
def test_codings_that_change_nothing_are_none(store: S3Store, server: _Server, coding: str) -> None:
    server.answer = [OK + f"Content-Encoding: {coding}\r\nContent-Length: 2\r\n\r\n{{}}".encode()]
    document = store.read(KEY)
    assert document is not None
    assert document.data == b"{}"


@pytest.mark.parametrize(
    "fields",
    [
        "Content-Length: abc",
        "Content-Length: -5",
        "Content-Length: 1_0",
        "Content-Length: " + "9" * 40,
        "X-Nothing: 1",
    ],
)
def test_a_head_whose_size_is_none_is_answered_by_the_bytes(
    store: S3Store, server: _Server, fields: str
) -> None:
    server.answer = [OK + fields.encode() + b"\r\n\r\n"]
    head = store._thin.head(KEY)
    assert head is not None
    assert head.size == -1


@pytest.mark.parametrize(
    "checksum", ["", "not base64", "AAAA", "A" * 5000, "é", "=?UTF-8?B?AAAA?=", "y" * 43 + "=-3"]
)
def test_a_checksum_that_is_none_proves_nothing(store: S3Store, server: _Server, checksum: str) -> None:
    fields = f"Content-Length: 5\r\nx-amz-checksum-sha256: {checksum}\r\n"
    server.answer = [OK + fields.encode() + b"x-amz-meta-sha256: \xff\xfe=?UTF-8?Q?=E2?=\r\n\r\n"]
    facts = store.facts(KEY)
    assert facts is not None
    assert (facts.size, facts.digest) == (5, None)
    assert "=?UTF-8" in facts.metadata["sha256"]


def test_an_object_without_a_version_is_not_written_over(store: S3Store, server: _Server) -> None:
    server.answer = list(sized(2, [b"{}"]))
    document = store.read("bottles_hash.json")
    assert document is not None
    with pytest.raises(StoreRefused, match="no version"):
        store.write("bottles_hash.json", b"{}", replaces=document.version)
    assert server.requests == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   \n" * 100,
        b"<html/>",
        b"<Error><Code>SlowDown</Code></Error>",
        b" " * 9000 + b"<Error><Code>InternalError</Code></Error>",
    ],
)
def test_a_copy_is_made_only_when_the_answer_says_so(store: S3Store, server: _Server, body: bytes) -> None:
    server.answer = list(sized(len(body), [body]))
    with pytest.raises(StoreUnavailable):
        store._documents.copy(KEY, bottle().key(DATE), {})
    assert server.requests == 5


def test_a_deletion_that_was_refused_after_a_thousand_successes_is_seen(
    store: S3Store, server: _Server
) -> None:
    done = b"<Deleted><Key>abcdefgh</Key></Deleted>" * 999
    body = b"<DeleteResult>" + done + b"<Error><Code>AccessDenied</Code></Error></DeleteResult>"
    server.answer = list(sized(len(body), [body]))
    with pytest.raises(ObjectRefused, match="AccessDenied"):
        store._documents._delete_many(["a"])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(store: S3Store, server: _Server, status: int) -> None:
    place = f"http://127.0.0.1:{server.server_address[1]}/"
    head = f"HTTP/1.1 {status} Moved\r\nConnection: close\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n"
    server.answer = [head.encode()]
    others: list[Callable[[S3Store], object]] = [lambda s: s.facts(KEY), lambda s: s.peek(KEY, 5)]
    for call in [*CALLS.values(), *others]:
        server.requests = 0
        with pytest.raises(StoreError):
            call(store)
        assert server.requests <= 5
