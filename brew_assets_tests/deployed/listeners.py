"""Those who hear of syncs: a Slack, topics with queues behind them, metrics; and the queue of events."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from brew_assets_tests.local_aws.session import LocalAws
from brew_assets_tests.slack_sink import SlackSink

SECRET = "homebrew-sync/slack-webhook"


TOPICS = ("messages", "security")


class Channels(msgspec.Struct, frozen=True, kw_only=True):
    """Queue name -> its address, and the settings that name queues and topics."""

    queues: dict[str, str]
    settings: dict[str, str]


def make_channels(aws: LocalAws) -> Channels:
    """The account has a queue of events with its rule, one of dead letters, and a queue behind each topic."""
    sqs, sns, events = aws.client("sqs"), aws.client("sns"), aws.client("events")
    queues = {
        name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in (*TOPICS, "events", "dead-letters")
    }
    arns = {name: _queue_arn(sqs, url) for name, url in queues.items()}
    topics = {name: sns.create_topic(Name=name)["TopicArn"] for name in TOPICS}
    for name, topic in topics.items():
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arns[name])
    events.put_rule(Name="sync-events", EventPattern=json.dumps({"source": ["homebrew.sync"]}))
    events.put_targets(Rule="sync-events", Targets=[{"Id": "queue", "Arn": arns["events"]}])
    settings = {
        "SNS_TOPIC_ARN": topics["messages"],
        "SNS_SECURITY_TOPIC_ARN": topics["security"],
        "ENABLE_METRICS": "true",
        "LOG_GROUP_NAME": "/ecs/homebrew-sync",
        "TRIGGER_QUEUE_URL": queues["events"],
        "TRIGGER_DEAD_LETTER_QUEUE_URL": queues["dead-letters"],
    }
    return Channels(queues=queues, settings=settings)


def _queue_arn(sqs: Any, url: str) -> str:
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(found["Attributes"]["QueueArn"])


class Listeners:
    """Made in an account before anything runs in it."""

    def __init__(self, slack: SlackSink) -> None:
        self.slack = slack
        self.aws: LocalAws
        self.heard: dict[str, list[dict[str, Any]]] = {name: [] for name in TOPICS}
        self._queues: dict[str, str] = {}

    def make(self, aws: LocalAws) -> Mapping[str, str]:
        """They are there; the settings that name them."""
        self.aws = aws
        aws.client("secretsmanager").create_secret(
            Name=SECRET, SecretString=json.dumps({"webhook_url": self.slack.url})
        )
        channels = make_channels(aws)
        self._queues = dict(channels.queues)
        return {
            "ENVIRONMENT": "dev",
            "SLACK_WEBHOOK_SECRET_NAME": SECRET,
            "SLACK_CHANNEL": "#homebrew-sync-dev",
            "DAGSTER_URL": "https://dagster.example",
            **channels.settings,
        }

    def texts(self, topic: str) -> list[str]:
        """All that a topic has delivered, in order."""
        sqs = self.aws.client("sqs")
        while messages := sqs.receive_message(QueueUrl=self._queues[topic], MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                self.heard[topic].append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self._queues[topic], ReceiptHandle=message["ReceiptHandle"])
        return [message["Message"] for message in self.heard[topic]]

    def dead_letters(self) -> list[dict[str, Any]]:
        """What lies in the dead-letter queue."""
        found: list[dict[str, Any]] = []
        while (
            messages := self.aws.client("sqs")
            .receive_message(
                QueueUrl=self._queues["dead-letters"],
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
                VisibilityTimeout=600,
            )
            .get("Messages")
        ):
            found += messages
        return found

    def put_event(self, kind: str, detail: Mapping[str, Any]) -> None:
        """What `aws events put-events` does."""
        entry = {"Source": "homebrew.sync", "DetailType": kind, "Detail": json.dumps(detail)}
        assert self.aws.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0

    def send(self, body: str) -> None:
        """A message straight into the queue of events."""
        self.aws.client("sqs").send_message(QueueUrl=self._queues["events"], MessageBody=body)

    def waiting_events(self) -> int:
        """How many are in the queue of events, those that somebody looks at too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.aws.client("sqs").get_queue_attributes(
            QueueUrl=self._queues["events"], AttributeNames=names
        )
        return sum(int(found["Attributes"][name]) for name in names)

    def metrics(self) -> dict[str, set[tuple[str, str]]]:
        """The names of the metrics that were published, and their dimensions."""
        found: dict[str, set[tuple[str, str]]] = {}
        for metric in self.aws.client("cloudwatch").list_metrics(Namespace="HomebrewSync")["Metrics"]:
            dimensions = {(d["Name"], d["Value"]) for d in metric["Dimensions"]}
            found.setdefault(metric["MetricName"], set()).update(dimensions)
        return found
