"""Whatever a client sends: no 5xx, no answer without an end, and no byte that is not published.

EXAMPLES requests of each kind to a gateway over each store; `make campaigns` sends 5,000 of both
(`GATEWAY_EXAMPLES`).
"""

import http.client
import os
import socket
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brew_assets.compose.gateway import build_served_objects, build_served_records
from brew_assets.compose.store import CLOCK
from brew_assets.settings import read_settings
from brew_assets_tests.integration.mirrors import BucketMirror, DirectoryMirror, MirrorUnderTest
from brew_assets_tests.runtimes.gateway.gateways import (
    Answer,
    Client,
    read_answer,
    request_bytes,
    served_in_thread,
    use_credentials,
)
from brew_assets_tests.runtimes.gateway.publishing import Publisher, bottle_of

IN_CI = 400
EXAMPLES = int(os.environ.get("GATEWAY_EXAMPLES", IN_CI))
hostile = settings(max_examples=EXAMPLES, derandomize=EXAMPLES == IN_CI, deadline=None, database=None)
# Stands in everything that is not published.
SECRET = b"not for clients"
FLAT = "openssl@3-3.5.2.arm64_sonoma.bottle.1.tar.gz"
DATA = bytes(range(256)) * 40
BOTTLE = bottle_of("openssl@3", FLAT, DATA)


class Served(NamedTuple):
    """A gateway, the bodies that are published, and the one path to which it may send a client."""

    client: Client
    bodies: tuple[bytes, ...]
    elsewhere: str


@pytest.fixture(scope="module", params=["directory", "bucket"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder, elsewhere = tmp_path_factory.mktemp("hostile"), ""
    mirror: MirrorUnderTest = DirectoryMirror(folder / "mirror")
    if request.param == "bucket":
        mirror = bucket = BucketMirror(request.getfixturevalue("s3"))
        elsewhere = f"/{bucket.bucket}/{bucket.prefix}{BOTTLE.key}"
    mirror.write(BOTTLE.key, DATA)
    for key in (
        "bottles_hash.json",
        "backups/bottles_hash/x.json",
        "state/plans/x.json",
        ".incoming/x",
        "published/hold.json",
        "2026-11-28/unpublished-1.0.arm64_sonoma.bottle.tar.gz",
    ):
        mirror.write(key, SECRET)
    if isinstance(mirror, DirectoryMirror):
        (folder / "outside").write_bytes(SECRET)
        (mirror.root / "2026-11-28" / "link-1.0.arm64_sonoma.bottle.tar.gz").symlink_to(folder / "outside")
    publisher = Publisher(mirror)
    record = publisher.record([BOTTLE])
    publisher.point(record)
    api = tuple(mirror.read(published.key) for published in record.api)
    with pytest.MonkeyPatch.context() as patch:
        use_credentials(patch, mirror)
        found = read_settings(mirror.settings)
        records = build_served_records(found)
        records.look()
        with served_in_thread(records, build_served_objects(found), CLOCK) as client:
            yield Served(client, (DATA, *api), elsewhere)


PARTS = (
    "", ".", "..", "%2e%2e", "%252e%252e", "v2", "homebrew", "core", "bottles", "api", "internal",
    "published",
    "current.json", "state", "plans", "x.json", "backups", ".incoming", "x", "bottles_hash.json",
    "2026-11-28",
    "openssl", "3", "manifests", "blobs", "3.5.2-1", f"sha256:{BOTTLE.digest}", f"sha256%3A{BOTTLE.digest}",
    FLAT, quote(FLAT, safe=""),
    "unpublished-1.0.arm64_sonoma.bottle.tar.gz", "link-1.0.arm64_sonoma.bottle.tar.gz",
    "packages.arm64_sonoma.jws.json", "packages...jws.json", "formula.jws.json", "healthz", "readyz", "%00",
    "%0a",
    "%ff", "%", "%zz", "\\", "..\\..", "a" * 5000, "*", "?x", "#x", ";", "//", "http:", "@host",
    "%F0%9F%98%80",
)  # fmt: skip
TARGETS = (
    f"/bottles/{FLAT}",
    f"/v2/homebrew/core/openssl/3/blobs/sha256:{BOTTLE.digest}",
    "/api/internal/packages.arm64_sonoma.jws.json",
    "/v2/homebrew/core/openssl/3/manifests/3.5.2-1",
    "/healthz",
    "/readyz",
)
visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF), max_size=60)
short = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=5)


def escaped(target: str, places: set[int]) -> str:
    """The same address, with these characters written as escapes."""
    return "".join(
        f"%{ord(character):02x}" if place in places else character for place, character in enumerate(target)
    )


paths = st.one_of(
    st.lists(st.sampled_from(PARTS), max_size=9).map(lambda parts: "/" + "/".join(parts)),
    visible,
    st.builds(escaped, st.sampled_from(TARGETS), st.sets(st.integers(1, 60), max_size=9)),
    st.builds(
        lambda target, at, text: target[:at] + text + target[at + 1 :],
        st.sampled_from(TARGETS),
        st.integers(1, 90),
        short,
    ),
)
# From a bucket a bottle is given out by sending clients there.
SENT: dict[bool, set[int]] = {False: set(), True: {307}}
METHODS = ("GET", "HEAD", "GET", "HEAD", "GET", "HEAD", "POST", "get", "", "\x00", "CONNECT")
NAMES = (
    "Range", "If-Range", "If-None-Match", "If-Modified-Since", "Accept-Encoding", "Authorization", "Host",
    "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Expect", "Accept", "Cookie", "TE",
    "X-Forwarded-For", "Forwarded", "X-HTTP-Method-Override", "Accept-Language", "User-Agent",
)  # fmt: skip
VALUES = (
    "bytes=0-", "bytes=-1", "bytes=10239-", "bytes=10240-", "bytes=5-2", "bytes=0-0,2-3", "bytes=" + "9" * 50,
    "bytes=0-" + "9" * 50, "Sat, 28 Nov 2026 11:17:46 GMT", "Sat, 28 Nov 99999 11:17:46 GMT", "*", '"*"',
    "W/",
    "gzip;q=x", "gzip, gzip;q=0", "Bearer QQ==", "close", "keep-alive", "chunked", "h2c", "websocket",
    "upgrade",
    "100-continue", "-1", "0", "5", "9" * 30, "", "a" * 9000, "\x80\xff", "\t", "127.0.0.1",
)  # fmt: skip
# A parser lets these through; those of the other kind end there, nearly all of them.
FRAMING = {"Content-Length", "Transfer-Encoding"}
token = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_!#$%&'*+.^`|~", min_size=1, max_size=20)
printed = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60)
readable = st.tuples(
    st.one_of(st.sampled_from([name for name in NAMES if name not in FRAMING]), token),
    st.one_of(st.sampled_from([value for value in VALUES if value.isascii()]), printed),
)
anything = st.tuples(st.one_of(st.sampled_from(NAMES), visible), st.one_of(st.sampled_from(VALUES), visible))
headers_sent = st.one_of(
    st.lists(readable, max_size=8), st.lists(readable, max_size=8), st.lists(anything, max_size=8)
)


# Behind a GET it is the next request, and one that cannot be read ends the connection.
bodies_sent = st.one_of(st.just(b""), st.just(b""), st.binary(max_size=40))


def answered(served: Served, data: bytes, *, is_head: bool) -> Answer | None:
    """The answer; None where the server has closed the connection before one could be read.

    Raises:
        TimeoutError: it does neither.
    """
    with socket.create_connection(("127.0.0.1", served.client.port), timeout=20) as connection:
        try:
            connection.sendall(data)
            return read_answer(connection, is_head=is_head)
        except (http.client.HTTPException, ConnectionError):
            return None


def assert_harmless(served: Served, answer: Answer | None, *, is_head: bool) -> None:
    if answer is None:
        return
    assert answer.status < 500, answer
    assert SECRET not in answer.body
    assert answer.header("Transfer-Encoding") == ""
    if answer.status == 307:
        assert unquote(urlsplit(answer.header("Location")).path) == served.elsewhere
    if answer.status == 304:
        assert answer.body == b""
    elif not is_head:
        assert answer.header("Content-Length") == str(len(answer.body))
    if answer.status in (200, 206) and not is_head and not answer.header("Content-Encoding"):
        assert_published(served, answer)


def assert_published(served: Served, answer: Answer) -> None:
    if answer.header("Content-Type").startswith("text/plain"):
        assert answer.body == b"alive\n"
    elif b'"publication_id"' not in answer.body[:200]:
        assert any(answer.body in body for body in served.bodies)


def test_paths(served: Served) -> None:
    statuses: Counter[int] = Counter()

    @hostile
    @given(
        path=paths,
        method=st.sampled_from(METHODS),
    )
    def each(path: str, method: str) -> None:
        data = f"{method} {path} HTTP/1.1\r\nHost: mirror\r\nConnection: close\r\n\r\n".encode("latin-1")
        answer = answered(served, data, is_head=method == "HEAD")
        assert_harmless(served, answer, is_head=method == "HEAD")
        statuses[answer.status if answer else 0] += 1

    each()
    assert_told(statuses, {200, 400, 404, 405, *SENT[bool(served.elsewhere)]})


def test_headers(served: Served) -> None:
    statuses: Counter[int] = Counter()

    @hostile
    @given(
        target=st.sampled_from(TARGETS),
        method=st.sampled_from(("GET", "HEAD")),
        headers=headers_sent,
        body=bodies_sent,
    )
    def each(target: str, method: str, headers: list[tuple[str, str]], body: bytes) -> None:
        answer = answered(served, request_bytes(method, target, headers) + body, is_head=method == "HEAD")
        assert_harmless(served, answer, is_head=method == "HEAD")
        statuses[answer.status if answer else 0] += 1

    each()
    assert_told(statuses, {200, 206, 400, 404, *SENT[bool(served.elsewhere)]})


def assert_told(statuses: Counter[int], expected: set[int]) -> None:
    """So many requests were sent, and got as far as to be answered in all the ways that there are."""
    assert statuses.total() >= EXAMPLES
    assert expected <= set(statuses), statuses
    assert statuses[0] <= 0.05 * statuses.total(), statuses
    assert statuses[400] <= 0.6 * statuses.total(), statuses


def test_after_all_of_that_it_serves_on(served: Served) -> None:
    answer = served.client.get(TARGETS[0])
    if not served.elsewhere:
        assert (answer.status, answer.body) == (200, DATA)
        return
    to = urlsplit(answer.header("Location"))
    assert (answer.status, to.path) == (307, quote(served.elsewhere))
    assert to.port is not None
    assert Client(to.port).get(f"{to.path}?{to.query}", host=to.netloc).body == DATA
