"""Slack's webhook against a sink on loopback: what is posted, and what every failure becomes."""

import gzip
import logging
import resource
import socket
import socketserver
import threading
import traceback
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from brew_assets.adapters.http.reach import PLAIN
from brew_assets.adapters.slack import SlackWebhook
from brew_assets.domain.notifications.blocks import Message
from brew_assets.engine.clock import SystemClock
from brew_assets.engine.notifier import Notification
from brew_assets.errors import ChannelBusy, ChannelError, ChannelFailed, ChannelRefused, ChannelUncertain
from brew_assets.settings import Secret
from brew_assets_tests.fakes import FakeClock
from brew_assets_tests.messages import MISSING
from brew_assets_tests.ports import free_ports
from brew_assets_tests.raw_server import RawServer, trickles
from brew_assets_tests.raw_server import raw_server as endless
from brew_assets_tests.raw_server import raw_server as trickling_server
from brew_assets_tests.slack_sink import Answer, SlackSink


def notification(*, channel: str = "", message: Message | None = MISSING) -> Notification:
    return Notification(name="absence", subject="x", message=message, channel=channel)


def webhook(address: str, *, timeout_s: float = 10.0, **options: Any) -> SlackWebhook:
    return SlackWebhook(lambda: Secret(address), timeout_s=timeout_s, **options, clock=SystemClock())


def refused(address: str, *, timeout_s: float = 10.0) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        webhook(address, timeout_s=timeout_s).send(notification())
    return caught.value


@contextmanager
def raw_server(answer: bytes) -> Iterator[str]:
    """The address of a server that reads one request, answers so and hangs up."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = 0
            while line := self.rfile.readline().strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self.rfile.read(length)
            self.wfile.write(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/services/x"
        thread.join(10)


def test_a_message_arrives_as_it_is(slack: SlackSink) -> None:
    webhook(slack.url).send(notification())
    (body,) = slack.taken
    assert body["text"] == MISSING.text
    assert body["blocks"] == list(MISSING.blocks)
    assert body.keys() == {"text", "blocks"}


def test_channel_and_name_are_the_settings_or_what_a_trigger_asked_for(slack: SlackSink) -> None:
    channel = webhook(slack.url, channel="#homebrew-sync", username="Homebrew Sync Bot")
    channel.send(notification())
    channel.send(notification(channel="#homebrew-sync-manual"))
    assert [(body["channel"], body["username"]) for body in slack.taken] == [
        ("#homebrew-sync", "Homebrew Sync Bot"),
        ("#homebrew-sync-manual", "Homebrew Sync Bot"),
    ]


@pytest.mark.parametrize(
    ("named", "wait_s"),
    [("30", 30.0), ("3600", 3600.0), ("999999", 86_400.0), ("", None), ("soon", None)],
    ids=["seconds", "hour", "days", "none", "unreadable"],
)
def test_a_busy_slack_says_how_long_to_wait(slack: SlackSink, named: str, wait_s: float | None) -> None:
    headers = {"Retry-After": named} if named else {}
    slack.answer_next(Answer(status=429, text="rate_limited", headers=headers))
    error = refused(slack.url)
    assert isinstance(error, ChannelBusy)
    assert error.wait_s == wait_s


@pytest.mark.parametrize("status", [500, 503])
def test_a_broken_slack_may_be_tried_again(slack: SlackSink, status: int) -> None:
    slack.answer_next(Answer(status=status, text="fatal_error"))
    error = refused(slack.url)
    assert isinstance(error, ChannelFailed)
    assert "Slack answered: fatal_error" in str(error)


@pytest.mark.parametrize("status", [302, 400, 403, 404, 410])
def test_what_slack_refuses_it_refuses(slack: SlackSink, status: int) -> None:
    slack.answer_next(Answer(status=status, text="no_service", headers={"Location": slack.url}))
    assert isinstance(refused(slack.url), ChannelRefused)
    assert len(slack.posted) == 1


def test_a_slack_that_answers_too_late_may_have_taken_it(slack: SlackSink) -> None:
    answered = threading.Event()
    slack.answer_next(Answer(status=200, after=answered))
    try:
        error = refused(slack.url, timeout_s=1.0)
    finally:
        answered.set()
    assert isinstance(error, ChannelUncertain)
    assert "ReadTimeout" in str(error)


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateway_does_not_know_whether_slack_has_taken_it(slack: SlackSink, status: int) -> None:
    slack.answer_next(Answer(status=status, text="no answer from upstream"))
    assert isinstance(refused(slack.url), ChannelUncertain)


def test_a_slack_that_hangs_up_may_have_taken_it() -> None:
    with raw_server(b"") as address:
        assert isinstance(refused(address), ChannelUncertain)


def test_an_answer_that_breaks_off_counts_by_its_status() -> None:
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no") as address:
        webhook(address).send(notification())
    with raw_server(b"HTTP/1.1 503 Busy\r\nContent-Length: 20\r\n\r\nno") as address:
        assert isinstance(refused(address), ChannelFailed)


def test_a_compressed_answer_is_never_unpacked() -> None:
    bomb = b"".join(zlib_of_blanks(3_000))
    head = b"HTTP/1.1 %d X\r\nContent-Encoding: gzip, gzip\r\nContent-Length: %d\r\n\r\n"
    limit = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (2 * 1024**3, limit[1]))
    try:
        with raw_server(head % (200, len(bomb)) + bomb) as address:
            webhook(address).send(notification())
        with raw_server(head % (403, len(bomb)) + bomb) as address:
            assert isinstance(refused(address), ChannelRefused)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limit)


def zlib_of_blanks(mib: int) -> Iterator[bytes]:
    """So many MiB of blanks, compressed twice."""
    inner, outer = (zlib.compressobj(9, zlib.DEFLATED, 31) for _ in range(2))
    for _ in range(mib):
        yield outer.compress(inner.compress(b" " * 1024**2))
    yield outer.compress(inner.flush()) + outer.flush()


@pytest.mark.parametrize("each", [b"HTTP/1.1 100 Continue\r\n\r\n", b"H"], ids=["1xx", "head"])
def test_a_slack_whose_answer_has_no_end_may_have_taken_it(each: bytes) -> None:
    clock = FakeClock()
    with endless(trickles(b"", each, clock.advance)) as server:
        channel = SlackWebhook(lambda: Secret(server.url), clock=clock)
        with pytest.raises(ChannelUncertain):
            channel.send(notification())


def test_a_flood_of_1xx_is_given_up() -> None:
    def flood(server: RawServer, connection: socket.socket) -> None:
        while not server.over.is_set():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000)

    with endless(flood) as server:
        assert isinstance(refused(server.url), ChannelUncertain)


def test_a_slack_whose_words_have_no_end_counts_by_its_status() -> None:
    clock = FakeClock()
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"
    with endless(trickles(chunked, b"x", clock.advance)) as server:
        SlackWebhook(lambda: Secret(server.url), clock=clock).send(notification())


def test_a_slack_that_is_not_reached_has_taken_nothing() -> None:
    (port,) = free_ports(1)
    assert isinstance(refused(f"http://127.0.0.1:{port}/services/x"), ChannelFailed)


@pytest.mark.parametrize(
    "address",
    ["", "hooks.slack.com/services/SECRET", "http://hooks.slack.com/services/SECRET", "ftp://x/SECRET"],
)
def test_only_https_is_posted_to(address: str) -> None:
    error = refused(address)
    assert isinstance(error, ChannelRefused)
    assert "SECRET" not in str(error)


def test_the_address_stands_in_no_error_and_no_log(
    slack: SlackSink, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}/services/PLANTED"
    slack.answer_next(Answer(status=404, text=f"no such hook: {slack.url}"))
    for address in (nobody, slack.url, f"{slack.url}/\x00PLANTED", f"http://127.0.0.1:99999/{'PLANTED'}"):
        error = refused(address)
        finding = "".join(traceback.format_exception(error))
        assert "PLANTED" not in finding
        assert "XXXXXXXX" not in finding
    webhook(slack.url).send(notification())
    assert "PLANTED" not in caplog.text
    assert "XXXXXXXX" not in caplog.text
    assert "XXXXXXXX" not in repr(webhook(slack.url).__dict__)


def test_without_trusted_authorities_nothing_is_sent_and_it_is_tried_again(
    slack: SlackSink,
) -> None:
    reach = PLAIN.trusting("SSL_CERT_FILE", "/nonexistent/authorities.pem")
    with pytest.raises(ChannelFailed, match="SSL_CERT_FILE"):
        webhook(slack.url, reach=reach).send(notification())
    assert slack.taken == []


def test_a_name_that_is_not_utf_8_is_refused_before_anything_is_sent(slack: SlackSink) -> None:
    with pytest.raises(ChannelRefused, match="UTF-8"):
        webhook(slack.url, username=b"\xff".decode(errors="surrogateescape")).send(notification())
    assert slack.taken == []


def test_an_announcement_without_a_message_is_not_for_slack(slack: SlackSink) -> None:
    assert not webhook(slack.url).takes(notification(message=None))


def test_an_answer_packed_into_gigabytes_is_not_unpacked() -> None:
    bomb = gzip.compress(gzip.compress(b" " * 50_000_000))
    head = b"HTTP/1.1 500 Failed\r\nContent-Encoding: gzip, gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    with raw_server(head + bomb) as address:
        error = refused(address)
    assert isinstance(error, ChannelFailed)
    assert str(error).startswith(
        "Failed to send Slack notification: 500 Internal Server Error. Slack answered: "
    )
    assert len(str(error)) < 200


@pytest.mark.parametrize("each", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_head_without_end_is_an_answer_of_which_nobody_knows(each: bytes) -> None:
    clock = FakeClock()
    with trickling_server(trickles(b"", each, clock.advance)) as server:
        channel = SlackWebhook(lambda: Secret(server.url), clock=clock)
        with pytest.raises(ChannelUncertain, match="SlowBody"):
            channel.send(notification())
