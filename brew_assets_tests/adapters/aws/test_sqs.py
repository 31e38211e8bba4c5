"""The queue of events against a server that speaks SQS."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import botocore.session
import pytest

from brew_assets.adapters.aws.sqs import MAX_MESSAGE_BYTES, EventQueue
from brew_assets.compose.channels import build_event_queue
from brew_assets.errors import QueueUnavailable
from brew_assets.settings import Settings, read_settings
from brew_assets_tests.event_account import REGION, EventAccount
from brew_assets_tests.ports import free_ports


@pytest.fixture
def account(aws_url: str, credentials: None) -> EventAccount:
    return EventAccount(aws_url)


@pytest.fixture
def queue(account: EventAccount) -> Iterator[EventQueue]:
    made = build_event_queue(read_settings(account.environment()))
    assert made is not None
    yield made
    made.close()


def test_an_empty_queue_is_empty(queue: EventQueue) -> None:
    assert queue.receive(10) == []


def test_a_message_is_received_whole_and_by_nobody_else_meanwhile(
    account: EventAccount, queue: EventQueue
) -> None:
    message_id = account.send('{"source": "manual", "note": "ü"}')
    (event,) = queue.receive(10)
    assert event.body == '{"source": "manual", "note": "ü"}'
    assert (event.message_id, event.received_count) == (message_id, 1)
    assert queue.receive(10) == []


def test_a_message_that_nobody_deletes_comes_again(account: EventAccount, queue: EventQueue) -> None:
    account.send("{}")
    (first,) = queue.receive(10)
    account.let_time_pass(first.handle)
    (second,) = queue.receive(10)
    assert (second.message_id, second.received_count) == (first.message_id, 2)
    assert second.handle != first.handle


def test_the_caller_says_for_how_long_nobody_else_gets_it(account: EventAccount, queue: EventQueue) -> None:
    account.send("{}")
    assert len(queue.receive(10, visibility_s=0)) == 1
    assert len(queue.receive(10, visibility_s=60)) == 1
    assert queue.receive(10) == []


def test_more_than_a_queue_gives_at_once_are_not_asked_for(account: EventAccount, queue: EventQueue) -> None:
    for _ in range(12):
        account.send("{}")
    assert len(queue.receive(3)) == 3
    assert len(queue.receive(100)) == 9


def test_a_deleted_message_is_gone_and_deleting_it_again_harms_nobody(
    account: EventAccount, queue: EventQueue
) -> None:
    account.send("{}")
    (event,) = queue.receive(10)
    assert queue.delete(event.handle)
    assert account.left() == 0
    queue.delete(event.handle)


def test_a_handle_that_is_none_deletes_nothing(account: EventAccount, queue: EventQueue) -> None:
    account.send("{}")
    assert queue.delete("no-handle") is False
    assert account.left() == 1


def test_a_buried_event_lies_in_the_dead_letter_queue_with_its_reason(
    account: EventAccount, queue: EventQueue
) -> None:
    account.send("no JSON\n")
    (event,) = queue.receive(10)
    assert queue.bury(event, "event: expected JSON")
    (letter,) = account.dead_letters()
    assert letter["Body"] == "no JSON\n"
    assert letter["MessageAttributes"]["reason"]["StringValue"] == "event: expected JSON"
    assert account.left() == 0


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("", "not said"), ("x" * 5000, "x" * 1000), ("a\x00b\nc\ud800\uffff", "a?b?c??")],
    ids=["empty", "long", "unprintable"],
)
def test_any_reason_becomes_one_that_a_queue_takes(
    account: EventAccount, queue: EventQueue, reason: str, kept: str
) -> None:
    account.send("{}")
    queue.bury(queue.receive(1)[0], reason)
    (letter,) = account.dead_letters()
    assert letter["MessageAttributes"]["reason"]["StringValue"] == kept


@pytest.mark.parametrize(
    ("body", "kept"),
    [("", "(empty)"), ("a\x00\x1b[31m\ud800\uffff\tb", "a??[31m??\tb"), ("ü🍺", "ü🍺")],
    ids=ascii,
)
def test_any_body_becomes_one_that_a_queue_takes(
    account: EventAccount, queue: EventQueue, body: str, kept: str
) -> None:
    account.send("{}")
    (event,) = queue.receive(1)
    queue.bury(event._replace(body=body), "event: expected JSON")
    (letter,) = account.dead_letters()
    assert letter["Body"] == kept
    assert account.left() == 0


@pytest.mark.parametrize("handle", ["", "\ud800", "x" * 5_000, "\x00"], ids=lambda handle: ascii(handle[:9]))
def test_what_cannot_be_a_handle_deletes_nothing_and_ends_nothing(
    account: EventAccount, queue: EventQueue, handle: str
) -> None:
    account.send("{}")
    assert queue.delete(handle) is False
    assert account.left() == 1


def test_a_handle_that_the_queue_does_not_count_as_one_deletes_nothing(account: EventAccount) -> None:
    with somebody_else(400, '{"__type": "com.amazonaws.sqs#MissingParameter", "message": "x"}') as url:
        queue = EventQueue(account.queue_url, region=REGION, endpoint_url=url)
        assert queue.delete("") is False
        queue.close()


def test_a_message_without_a_handle_is_left_and_those_beside_it_are_received(account: EventAccount) -> None:
    messages = (
        '{"Body": "a"}, {"ReceiptHandle": "h", "Attributes": {"ApproximateReceiveCount": "\\u0663"},'
        ' "MessageAttributes": {"x": {"DataType": 1}}, "MessageId": "\\ud800\\u001b[31m"}'
    )
    with somebody_else(200, f'{{"Messages": [{messages}]}}') as url:
        queue = EventQueue(account.queue_url, region=REGION, endpoint_url=url)
        (event,) = queue.receive(10)
        queue.close()
    assert (event.body, event.handle) == ("", "h")
    assert event.message_id.isprintable()


def test_a_body_that_leaves_no_room_for_the_reason_loses_its_end(
    account: EventAccount, queue: EventQueue
) -> None:
    body = "ü" * (MAX_MESSAGE_BYTES // 2)
    account.send(body)
    queue.bury(queue.receive(1)[0], "too large")
    (letter,) = account.dead_letters()
    assert body.startswith(letter["Body"])
    assert MAX_MESSAGE_BYTES - 30 < len(letter["Body"].encode()) + len("too large") < MAX_MESSAGE_BYTES
    assert account.left() == 0


def test_without_a_dead_letter_queue_the_event_stays(account: EventAccount) -> None:
    queue = EventQueue(account.queue_url, region=REGION, endpoint_url=account.url)
    account.send("no JSON")
    (event,) = queue.receive(1)
    assert queue.bury(event, "event: expected JSON") is False
    assert account.left() == 1
    assert account.dead_letters() == []


def test_an_event_that_cannot_be_buried_stays(account: EventAccount) -> None:
    queue = EventQueue(
        account.queue_url,
        dead_letter_url=f"{account.dead_letter_url}-of-nobody",
        region=REGION,
        endpoint_url=account.url,
    )
    account.send("no JSON")
    (event,) = queue.receive(1)
    with pytest.raises(QueueUnavailable, match="of-nobody"):
        queue.bury(event, "event: expected JSON")
    assert account.left() == 1


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:{port}", "no address"])
def test_a_queue_that_cannot_be_reached_is_unavailable(account: EventAccount, endpoint: str) -> None:
    (port,) = free_ports(1)
    queue = EventQueue(account.queue_url, region=REGION, endpoint_url=endpoint.format(port=port))
    with pytest.raises(QueueUnavailable, match=account.name):
        queue.receive(1)
    with pytest.raises(QueueUnavailable):
        queue.delete("handle")
    queue.close()


def test_a_queue_that_cannot_be_reached_shows_no_password(account: EventAccount) -> None:
    (port,) = free_ports(1)
    address = f"http://user:PW@127.0.0.1:{port}"
    queue = EventQueue(f"{address}/1/events", region=REGION, endpoint_url=address)
    with pytest.raises(QueueUnavailable, match=rf"http://127.0.0.1:{port}/1/events: ") as caught:
        queue.receive(1)
    queue.close()
    assert "PW" not in str(caught.value)


def test_a_queue_that_is_none_is_unavailable(account: EventAccount) -> None:
    queue = EventQueue(f"{account.queue_url}-gone", region=REGION, endpoint_url=account.url)
    with pytest.raises(QueueUnavailable, match="-gone"):
        queue.receive(1)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "[1]"),
        (200, '{"Messages": [1]}'),
        (200, '{"Messages": {"Body": 1}}'),
        (403, ""),
        (403, "<html>Please log in</html>"),
        (503, "{}"),
    ],
)
def test_an_answer_that_is_not_of_a_queue_is_no_event(account: EventAccount, status: int, body: str) -> None:
    with somebody_else(status, body) as url:
        queue = EventQueue(account.queue_url, region=REGION, endpoint_url=url)
        with pytest.raises(QueueUnavailable, match=account.name):
            queue.receive(1)
        queue.close()


@contextmanager
def somebody_else(status: int, body: str) -> Iterator[str]:
    """The address of a server that gives this answer to everything, as a proxy does that wants a login."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_without_credentials_the_queue_is_unavailable(
    account: EventAccount, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{tmp_path}/none")
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{tmp_path}/none")
    assert botocore.session.get_session().get_credentials() is None
    queue = EventQueue(account.queue_url, region=REGION, endpoint_url=account.url)
    with pytest.raises(QueueUnavailable, match="credentials"):
        queue.receive(1)


def test_no_queue_is_configured_by_default() -> None:
    assert build_event_queue(Settings()) is None
