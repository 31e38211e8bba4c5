"""Channels that nobody can reach, and channels that answer nothing."""

import socketserver
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from brew_assets.adapters.aws.client import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, REPEATED
from brew_assets.adapters.aws.cloudwatch import CloudWatchMetrics, MetricsChannel
from brew_assets.adapters.aws.secrets import WebhookSecret
from brew_assets.adapters.aws.sns import SnsTopic
from brew_assets.adapters.slack import SlackWebhook
from brew_assets.domain.metrics import gauges
from brew_assets.engine.clock import SystemClock
from brew_assets.engine.notifier import Channel, Delivery, Notification, Notifier, Wait
from brew_assets.errors import ChannelError
from brew_assets.settings import Secret
from brew_assets_tests.event_account import REGION
from brew_assets_tests.fakes import FakeClock
from brew_assets_tests.messages import MISSING
from brew_assets_tests.ports import free_ports
from brew_assets_tests.slack_sink import Answer, SlackSink

DUE = [
    Notification(
        name="absence",
        subject=f"[prod] {MISSING.text}",
        message=MISSING,
        metrics=tuple(gauges(environment="prod", pending=1, last_good_age_s=None)),
    )
]
# Time-outs, each as often as it may be met, and room for a busy machine.
_LONGEST_S = REPEATED * (CONNECT_TIMEOUT_S + READ_TIMEOUT_S) + 10

pytestmark = pytest.mark.usefixtures("credentials")


class Record:
    """The deliveries of one sync in memory."""

    subject = "sync"

    def __init__(self) -> None:
        self.states: dict[str, str] = {}

    def read(self, name: str, channel: str) -> Delivery | None:
        return Delivery(state="sent", at=0.0) if self.states.get(channel) == "sent" else None

    def write(self, name: str, channel: str, state: str, outcome: str) -> None:
        self.states[channel] = state


class Silent:
    """A server that reads what it is sent and never answers; `connections` are those it has met."""

    def __init__(self) -> None:
        self.connections = 0
        silent, over = self, threading.Event()

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                silent.connections += 1
                over.wait(120)

        self._over = over
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Silent":
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()


def slack_of(url: str) -> Channel:
    return SlackWebhook(lambda: Secret(f"{url}/services/x"), timeout_s=1.0, clock=SystemClock())


def slack_by_secret_of(url: str) -> Channel:
    return SlackWebhook(WebhookSecret("slack", region=REGION, endpoint_url=url), clock=SystemClock())


def sns_of(url: str) -> Channel:
    return SnsTopic(f"arn:aws:sns:{REGION}:123456789012:t", region=REGION, endpoint_url=url)


def cloudwatch_of(url: str) -> Channel:
    return MetricsChannel(CloudWatchMetrics(region=REGION, endpoint_url=url), SystemClock())


CHANNELS: dict[str, Callable[[str], Channel]] = {
    "slack": slack_of,
    "secretsmanager": slack_by_secret_of,
    "sns": sns_of,
    "cloudwatch": cloudwatch_of,
}


def told(channel: Channel) -> tuple[bool, str, float]:
    """Whether all was settled, the state of the delivery, and how many seconds that took."""
    record, begun = Record(), time.monotonic()
    settled = Notifier([channel], {}, SystemClock()).notify(record, DUE)
    return settled, record.states[channel.name], time.monotonic() - begun


@pytest.mark.parametrize("name", CHANNELS)
def test_a_channel_that_nobody_can_reach_is_tried_again_later(name: str) -> None:
    (port,) = free_ports(1)
    settled, state, took_s = told(CHANNELS[name](f"http://127.0.0.1:{port}"))
    assert (settled, state) == (False, "waiting")
    assert took_s < _LONGEST_S


@pytest.mark.parametrize("name", ["secretsmanager", "sns", "cloudwatch"])
def test_an_address_that_nobody_answers_at_is_named_without_its_password(name: str) -> None:
    (port,) = free_ports(1)
    channel = CHANNELS[name](f"http://user:PW@127.0.0.1:{port}/?token=PW")
    with pytest.raises(ChannelError, match=f"http://127.0.0.1:{port}/") as caught:
        channel.send(DUE[0])
    assert "PW" not in str(caught.value)


def test_a_channel_that_answers_nothing_ends_in_time_and_gets_it_once() -> None:
    with ExitStack() as stack, ThreadPoolExecutor(len(CHANNELS)) as pool:
        silence = {name: stack.enter_context(Silent()) for name in CHANNELS}
        waiting = {name: pool.submit(told, CHANNELS[name](silence[name].url)) for name in CHANNELS}
        found = {name: future.result(timeout=120) for name, future in waiting.items()}
    # What was asked for by a secret that could not be read was not sent at all.
    assert {name: (settled, state) for name, (settled, state, _) in found.items()} == {
        "slack": (True, "dropped"),
        "secretsmanager": (False, "waiting"),
        "sns": (True, "dropped"),
        "cloudwatch": (True, "dropped"),
    }
    assert max(took_s for _, _, took_s in found.values()) < _LONGEST_S
    assert {name: server.connections for name, server in silence.items()} == {
        "slack": 1,
        "secretsmanager": REPEATED,
        "sns": 1,
        "cloudwatch": 1,
    }


def test_what_a_channel_refused_comes_when_it_is_back(slack: SlackSink) -> None:
    clock, record, waits = FakeClock(), Record(), dict[str, Wait]()
    channel = SlackWebhook(lambda: Secret(slack.url), clock=SystemClock())
    slack.answer_always(Answer(status=503))
    for _ in range(3):
        assert not Notifier([channel], waits, clock).notify(record, DUE)
        clock.advance(601)
    assert slack.texts == []
    slack.answer_always(None)
    assert Notifier([channel], waits, clock).notify(record, DUE)
    assert Notifier([channel], waits, clock).notify(record, DUE)
    assert slack.texts == [MISSING.text]
