"""What every small client of AWS makes of credentials that cannot be had, and of settings that are none."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from brew_assets.adapters.aws.cloudwatch import CloudWatchMetrics
from brew_assets.adapters.aws.secrets import WebhookSecret
from brew_assets.adapters.aws.sns import SnsTopic
from brew_assets.adapters.aws.sqs import EventQueue
from brew_assets.domain.metrics import gauges
from brew_assets.engine.notifier import Notification
from brew_assets.errors import ChannelFailed, ChannelRefused, MirrorError, QueueUnavailable
from brew_assets_tests.aws_profiles import NOBODY, Profiles, Sts
from brew_assets_tests.messages import MISSING

REGION = "us-east-1"
Call = Callable[[str], object]


def publish(endpoint: str) -> None:
    topic = SnsTopic(f"arn:aws:sns:{REGION}:123456789012:topic", region=REGION, endpoint_url=endpoint)
    topic.send(Notification(name="absence", subject="x", message=MISSING))


def put_metrics(endpoint: str) -> None:
    metrics = gauges(environment="prod", pending=1, last_good_age_s=None)
    CloudWatchMetrics(region=REGION, endpoint_url=endpoint).publish(metrics, datetime(2026, 1, 1, tzinfo=UTC))


def read_secret(endpoint: str) -> None:
    WebhookSecret("slack", region=REGION, endpoint_url=endpoint)()


CHANNELS: dict[str, tuple[Call, str]] = {
    "sns": (publish, "topic arn:aws:sns"),
    "cloudwatch": (put_metrics, "metrics of HomebrewSync"),
    "secretsmanager": (read_secret, "secret slack"),
}


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profiles:
    return Profiles(tmp_path, monkeypatch)


@pytest.fixture
def service() -> Iterator[Sts]:
    """A service that nothing must reach."""
    with Sts() as running:
        yield running


@pytest.fixture
def sts() -> Iterator[Sts]:
    with Sts() as running:
        yield running


def program_fails(profiles: Profiles, sts: Sts) -> None:
    profiles.process("echo no luck >&2; exit 1")


def program_prints_rubbish(profiles: Profiles, sts: Sts) -> None:
    profiles.process("echo rubbish")


def sts_throttles(profiles: Profiles, sts: Sts) -> None:
    profiles.role(sts.url)
    sts.refuses(400, "Throttling")


def sts_hangs_up(profiles: Profiles, sts: Sts) -> None:
    profiles.role(sts.url)
    sts.answers(None)


def sts_answers_502(profiles: Profiles, sts: Sts) -> None:
    profiles.role(sts.url)
    sts.answers(502)


def sts_is_not_there(profiles: Profiles, sts: Sts) -> None:
    profiles.role(NOBODY)


def program_is_missing(profiles: Profiles, sts: Sts) -> None:
    profiles.write("credential_process = /nonexistent/program")


def sts_refuses(profiles: Profiles, sts: Sts) -> None:
    profiles.role(sts.url)
    sts.refuses(403, "AccessDenied")


def token_is_missing(profiles: Profiles, sts: Sts) -> None:
    profiles.web_identity(sts.url, token=None)


def profile_is_missing(profiles: Profiles, sts: Sts) -> None:
    profiles.set(AWS_PROFILE="absent")


def nothing_is_configured(profiles: Profiles, sts: Sts) -> None:
    profiles.write("")


Trouble = Callable[[Profiles, Sts], None]
PASSING: list[Trouble] = [
    program_fails,
    program_prints_rubbish,
    sts_throttles,
    # Of the service itself these would be uncertain: the message may have arrived.
    sts_hangs_up,
    sts_answers_502,
    sts_is_not_there,
]
REFUSED: list[Trouble] = [
    program_is_missing,
    sts_refuses,
    token_is_missing,
    profile_is_missing,
    nothing_is_configured,
]
TROUBLES = [*((trouble, True) for trouble in PASSING), *((trouble, False) for trouble in REFUSED)]


@pytest.mark.parametrize(("trouble", "passing"), TROUBLES)
@pytest.mark.parametrize("name", CHANNELS)
def test_a_channel_without_credentials_has_taken_nothing(
    name: str, trouble: Trouble, passing: bool, profiles: Profiles, sts: Sts, service: Sts
) -> None:
    call, what = CHANNELS[name]
    trouble(profiles, sts)
    with pytest.raises(MirrorError, match=f"^{what}.*: AWS credentials: ") as caught:
        call(service.url)
    assert type(caught.value) is (ChannelFailed if passing else ChannelRefused)
    assert service.calls == 0


@pytest.mark.parametrize("trouble", PASSING + REFUSED)
def test_a_queue_without_credentials_is_unavailable_and_says_why(
    trouble: Trouble, profiles: Profiles, sts: Sts, service: Sts
) -> None:
    trouble(profiles, sts)
    url = f"{service.url}/123456789012/events"
    queue = EventQueue(url, region=REGION, endpoint_url=service.url)
    with pytest.raises(QueueUnavailable, match=f"^{url}: AWS credentials: "):
        queue.receive(1)
    assert service.calls == 0


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("variable", ["endpoint", "AWS_DEFAULTS_MODE"])
def test_a_channel_whose_client_cannot_be_made_refuses(name: str, variable: str, profiles: Profiles) -> None:
    call, what = CHANNELS[name]
    profiles.write("aws_access_key_id = a\naws_secret_access_key = b")
    if variable != "endpoint":
        profiles.set(**{variable: "no such thing"})
    with pytest.raises(ChannelRefused, match=f"^{what}") as caught:
        call("no address" if variable == "endpoint" else NOBODY)
    assert "credentials" not in str(caught.value)


@pytest.mark.parametrize("name", CHANNELS)
def test_a_channel_that_was_without_credentials_gets_it_when_there_are_some(
    name: str, profiles: Profiles, service: Sts
) -> None:
    call, _ = CHANNELS[name]
    profiles.process("exit 1")
    with pytest.raises(ChannelFailed):
        call(service.url)
    profiles.process('echo \'{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b"}\'')
    service.refuses(403, "AccessDenied")
    with pytest.raises(MirrorError) as caught:
        call(service.url)
    assert "credentials" not in str(caught.value)
    assert service.calls == 1
