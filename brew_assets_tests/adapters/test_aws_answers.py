"""Answers of AWS's services that have no end, through the channels and the store that ask."""

import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from brew_assets.adapters.aws import answers as aws_answers
from brew_assets.adapters.aws.client import aws_client
from brew_assets.adapters.aws.secrets import WebhookSecret
from brew_assets.adapters.s3.bucket_client import S3Options
from brew_assets.adapters.s3.store import S3Store
from brew_assets.errors import ChannelFailed, ObjectRefused
from brew_assets_tests.fakes import FakeClock, ImpatientClock
from brew_assets_tests.raw_server import RawServer, head, raw_server, trickles, whole

REGION = "us-east-1"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def pours(server: RawServer, connection: socket.socket) -> None:
    connection.sendall(head(10**12))
    while not server.over.is_set():
        connection.sendall(b" " * 65_536)


def pours_chunks(server: RawServer, connection: socket.socket) -> None:
    connection.sendall(CHUNKED)
    while not server.over.is_set():
        connection.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")


@pytest.mark.parametrize("answer", [pours, pours_chunks])
def test_a_secret_without_end_is_given_up(answer: Callable[[RawServer, socket.socket], None]) -> None:
    with raw_server(answer) as server, pytest.raises(ChannelFailed, match="at most"):
        WebhookSecret("slack", region=REGION, endpoint_url=server.url)()


@pytest.mark.parametrize("status", [200, 403, 500])
@pytest.mark.parametrize("call", ["copy", "read"])
def test_an_answer_of_a_bucket_without_end_is_given_up(status: int, call: str) -> None:

    def answer(server: RawServer, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 %d Whatever\r\n\r\n" % status)
        while not server.over.is_set():
            connection.sendall(b" " * 65_536)

    with raw_server(answer) as server:
        store = S3Store(S3Options(bucket="bucket", endpoint_url=server.url), clock=ImpatientClock())
        calls: dict[str, Callable[[], object]] = {
            "copy": lambda: store._documents.copy("from", "to", {}),
            "read": lambda: store.read("state/x", most_bytes=2**22),
        }
        with pytest.raises(ObjectRefused, match="at most"):
            calls[call]()


@pytest.mark.parametrize("sent", [head(10**6), CHUNKED + b"fffff\r\n"], ids=["plain", "chunk"])
def test_an_answer_that_trickles_is_given_up(sent: bytes) -> None:
    clock = FakeClock()
    with raw_server(trickles(sent, b" ", clock.advance)) as server:
        client = aws_client("secretsmanager", region=REGION, endpoint_url=server.url)
        aws_answers.bound_answers(client, monotonic=clock.monotonic)
        with pytest.raises(Exception, match="within 60 s"):
            client.get_secret_value(SecretId="slack")


def test_whole_answers_are_as_they_were() -> None:
    body = b'{"SecretString": "https://example.com/x"}'
    chunks = CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    for answer in (whole(body), lambda _, connection: connection.sendall(chunks)):
        with raw_server(answer) as server:
            secret = WebhookSecret("slack", region=REGION, endpoint_url=server.url)
            assert secret().reveal() == secret().reveal() == "https://example.com/x"


@pytest.mark.parametrize("service", ["s3", "secretsmanager"])
def test_servers_see_who_asks_and_not_on_what_machine(service: str) -> None:
    sent: list[bytes] = []
    with raw_server(whole(b"{}")) as server:
        client: Any = (
            S3Store(S3Options(bucket="bucket", endpoint_url=server.url), clock=ImpatientClock())._client()
            if service == "s3"
            else aws_client(service, region=REGION, endpoint_url=server.url)
        )
        client.meta.events.register(
            "before-send", lambda request, **_: sent.append(request.headers["User-Agent"])
        )
        if service == "s3":
            client.get_object(Bucket="bucket", Key="key")["Body"].read()
        else:
            client.get_secret_value(SecretId="slack")
    assert len(sent) == 1
    # And the library with its version.
    assert re.fullmatch(rb"brew-mirror Botocore/[0-9.]+", sent[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sun, 29 Nov 2026 01:02:03 GMT", datetime(2026, 11, 29, 1, 2, 3, tzinfo=UTC)),
        ("2026-11-29T01:02:03Z", datetime(2026, 11, 29, 1, 2, 3, tzinfo=UTC)),
        ("whenever GMT", None),
    ],
)
def test_dates_of_answers_are_read_as_the_library_reads_them(text: str, expected: datetime | None) -> None:
    def answer(_: RawServer, connection: socket.socket) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nLast-Modified: %b\r\n\r\n" % text.encode()
        )

    with raw_server(answer) as server:
        client = S3Store(
            S3Options(bucket="bucket", endpoint_url=server.url), clock=ImpatientClock()
        )._client()
        if expected is None:
            with pytest.raises(ValueError, match="whenever"):
                client.head_object(Bucket="bucket", Key="key")
        else:
            assert client.head_object(Bucket="bucket", Key="key")["LastModified"] == expected
