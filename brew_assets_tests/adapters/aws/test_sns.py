"""SNS and Secrets Manager against a server on loopback: what arrives, and what a failure becomes."""

import json
import os
from collections.abc import Callable
from typing import Any

import botocore.session
import pytest

from brew_assets.adapters.aws.secrets import WebhookSecret
from brew_assets.adapters.aws.sns import SnsSecurityTopic, SnsTopic
from brew_assets.configured import deployment_of
from brew_assets.domain.notifications.security import security_event
from brew_assets.engine.notifier import Notification
from brew_assets.errors import ChannelError, ChannelFailed, ChannelRefused
from brew_assets.settings import Settings
from brew_assets_tests.event_account import REGION
from brew_assets_tests.messages import MISSING
from brew_assets_tests.ports import free_ports

GIVEN = Notification(name="absence", subject=f"[prod] {MISSING.text}", message=MISSING, security="- a digest")

pytestmark = pytest.mark.usefixtures("credentials")


def client(url: str, service: str) -> Any:
    return botocore.session.get_session().create_client(service, region_name=REGION, endpoint_url=url)


@pytest.fixture
def topic(aws_url: str) -> tuple[str, Callable[[], list[dict[str, Any]]]]:
    """A topic, and what came of it in the queue that subscribes to it."""
    sns, sqs = client(aws_url, "sns"), client(aws_url, "sqs")
    name = f"sync-{os.urandom(4).hex()}"
    arn = sns.create_topic(Name=name)["TopicArn"]
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn["QueueArn"])

    def arrived() -> list[dict[str, Any]]:
        found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in found]

    return arn, arrived


def test_a_message_arrives_as_text(aws_url: str, topic: Any) -> None:
    arn, arrived = topic
    channel = SnsTopic(arn, region=REGION, endpoint_url=aws_url)
    assert channel.takes(GIVEN)
    channel.send(GIVEN)
    (message,) = arrived()
    # Subjects of e-mails are ASCII.
    assert message["Subject"] == "[prod] Homebrew Bottles Sync Is Missing"
    assert message["Message"] == MISSING.plain()


def test_a_security_event_goes_to_its_own_topic(aws_url: str, topic: Any) -> None:
    arn, arrived = topic
    channel = SnsSecurityTopic(arn, region=REGION, endpoint_url=aws_url)
    assert not channel.takes(Notification(name="end", subject="x", message=MISSING))
    channel.send(GIVEN)
    (message,) = arrived()
    assert message["Subject"].startswith("Security: [prod]")
    assert message["Message"] == "- a digest"


def test_foreign_words_are_text_in_subject_and_message(aws_url: str, topic: Any) -> None:
    arn, arrived = topic
    hostile = "a\r\nBcc: x\0\x1b[2J\u202e\ud800"
    security = security_event(
        [(hostile, "digest mismatch", hostile)], deployment_of(Settings()), subject="sync 1", run_id=""
    )
    subject = f"{hostile} {'ä' * 50}{'x' * 500}"
    given = Notification(name="end", subject=subject, message=MISSING, security=security)
    SnsSecurityTopic(arn, region=REGION, endpoint_url=aws_url).send(given)
    (message,) = arrived()
    assert message["Subject"].startswith("Security: aBcc: x[2J xxx")
    assert len(message["Subject"]) == 99
    shown = "a\\r\\nBcc: x\\x00\\x1b[2J\\u202e\\ud800"
    assert message["Message"].splitlines()[1:] == [f"- {shown}: digest mismatch: {shown}"]


def test_a_topic_that_is_not_there_refuses(aws_url: str) -> None:
    arn = f"arn:aws:sns:{REGION}:123456789012:nobody"
    with pytest.raises(ChannelRefused, match=arn):
        SnsTopic(arn, region=REGION, endpoint_url=aws_url).send(GIVEN)


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    return f"http://127.0.0.1:{free_ports(1)[0]}"


def test_a_service_that_is_down_may_be_tried_again(nobody: str) -> None:
    with pytest.raises(ChannelFailed):
        SnsTopic("arn:aws:sns:us-east-1:1:t", region=REGION, endpoint_url=nobody).send(GIVEN)
    with pytest.raises(ChannelFailed):
        WebhookSecret("slack", region=REGION, endpoint_url=nobody)()


def new_secret(aws_url: str, text: str) -> str:
    name = f"homebrew-sync/slack-{os.urandom(4).hex()}"
    client(aws_url, "secretsmanager").create_secret(Name=name, SecretString=text)
    return name


@pytest.mark.parametrize(
    "text",
    [
        "https://hooks.slack.com/services/T/B/X",
        " https://hooks.slack.com/services/T/B/X\n",
        '{"webhook_url": "https://hooks.slack.com/services/T/B/X"}',
        '{"url": "https://hooks.slack.com/services/T/B/X", "channel": "#x"}',
        '{"slack_webhook_url": "https://hooks.slack.com/services/T/B/X"}',
    ],
)
def test_a_secret_is_the_address_or_json_with_it(aws_url: str, text: str) -> None:
    webhook = WebhookSecret(new_secret(aws_url, text), region=REGION, endpoint_url=aws_url)
    assert webhook().reveal() == "https://hooks.slack.com/services/T/B/X"


@pytest.mark.parametrize(
    "text", ["PLANTED", '{"webhook": "PLANTED"}', '{"url": 7}', '["PLANTED"]', "{PLANTED"]
)
def test_a_secret_of_another_shape_is_refused_and_not_shown(aws_url: str, text: str) -> None:
    name = new_secret(aws_url, text)
    with pytest.raises(ChannelRefused, match="expected an https address, or JSON") as caught:
        WebhookSecret(name, region=REGION, endpoint_url=aws_url)()
    assert name in str(caught.value)
    assert "PLANTED" not in str(caught.value)


def test_a_secret_that_is_not_there_is_named(aws_url: str) -> None:
    with pytest.raises(ChannelError, match="homebrew-sync/none"):
        WebhookSecret("homebrew-sync/none", region=REGION, endpoint_url=aws_url)()


def test_a_new_webhook_is_used_from_the_next_message(aws_url: str) -> None:
    name = new_secret(aws_url, "https://hooks.slack.com/services/T/B/OLD")
    webhook = WebhookSecret(name, region=REGION, endpoint_url=aws_url)
    assert webhook().reveal().endswith("/OLD")
    new = "https://hooks.slack.com/services/T/B/NEW"
    client(aws_url, "secretsmanager").put_secret_value(SecretId=name, SecretString=new)
    assert webhook().reveal() == new
