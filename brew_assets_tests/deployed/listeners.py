"""Those who hear of syncs: a Slack, topics with queues behind them, metrics; and the queue of events."""

import json
from collections.abc import Mapping
from typing import Any

from brew_assets_tests.local_aws.session import LocalAws
from brew_assets_tests.slack_sink import SlackSink

SECRET = "homebrew-sync/slack-webhook"


class Listeners:
    """Made in an account before anything runs in it."""

    def __init__(self, slack: SlackSink) -> None:
        self.slack = slack
        self.aws: LocalAws
        self.heard: dict[str, list[dict[str, Any]]] = {"messages": [], "security": []}
        self._queues: dict[str, str] = {}
        self._arns: dict[str, str] = {}

    def make(self, aws: LocalAws) -> Mapping[str, str]:
        """They are there; the settings that name them."""
        self.aws = aws
        aws.client("secretsmanager").create_secret(
            Name=SECRET, SecretString=json.dumps({"webhook_url": self.slack.url})
        )
        for name in ("messages", "security", "events", "dead-letters"):
            self._queues[name] = aws.client("sqs").create_queue(QueueName=name)["QueueUrl"]
        for name in self.heard:
            self._arns[name] = aws.client("sns").create_topic(Name=name)["TopicArn"]
            aws.client("sns").subscribe(
                TopicArn=self._arns[name], Protocol="sqs", Endpoint=self._queue_arn(name)
            )
        events = aws.client("events")
        events.put_rule(Name="sync-events", EventPattern=json.dumps({"source": ["homebrew.sync"]}))
        events.put_targets(Rule="sync-events", Targets=[{"Id": "queue", "Arn": self._queue_arn("events")}])
        return {
            "ENVIRONMENT": "dev",
            "SLACK_WEBHOOK_SECRET_NAME": SECRET,
            "SLACK_CHANNEL": "#homebrew-sync-dev",
            "SNS_TOPIC_ARN": self._arns["messages"],
            "SNS_SECURITY_TOPIC_ARN": self._arns["security"],
            "ENABLE_METRICS": "true",
            "DAGSTER_URL": "https://dagster.example",
            "LOG_GROUP_NAME": "/ecs/homebrew-sync",
            "TRIGGER_QUEUE_URL": self._queues["events"],
            "TRIGGER_DEAD_LETTER_QUEUE_URL": self._queues["dead-letters"],
        }

    def _queue_arn(self, name: str) -> str:
        found = self.aws.client("sqs").get_queue_attributes(
            QueueUrl=self._queues[name], AttributeNames=["QueueArn"]
        )
        return str(found["Attributes"]["QueueArn"])

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
