"""An AWS account on loopback with an event bus and the two queues of events, each test with its own."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import botocore.session
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


class EventAccount:
    """One queue, its dead-letter queue, and what an operator does to them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sqs = self.client("sqs")
        self.name = f"sync-events-{os.urandom(4).hex()}"
        self.queue_url = self.sqs.create_queue(QueueName=self.name)["QueueUrl"]
        self.dead_letter_url = self.sqs.create_queue(QueueName=f"{self.name}-dead")["QueueUrl"]

    def client(self, service: str) -> Any:
        return botocore.session.get_session().create_client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def environment(self) -> dict[str, str]:
        """The settings of a deployment that takes its events from the queue."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "TRIGGER_QUEUE_URL": self.queue_url,
            "TRIGGER_DEAD_LETTER_QUEUE_URL": self.dead_letter_url,
            **CREDENTIALS,
        }

    def add_rule(self) -> None:
        """What comes to the bus with our source goes to the queue."""
        arn = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["QueueArn"])
        events = self.client("events")
        events.put_rule(Name=self.name, EventPattern=json.dumps({"source": ["homebrew.sync"]}))
        targets = [{"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}]
        events.put_targets(Rule=self.name, Targets=targets)

    def put_events(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """What `aws events put-events --entries` does."""
        assert self.client("events").put_events(Entries=list(entries))["FailedEntryCount"] == 0

    def send(self, body: str) -> str:
        """The id of a new message in the queue."""
        sent: str = self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)["MessageId"]
        return sent

    def let_time_pass(self, handle: str) -> None:
        """The message of that delivery is visible again."""
        self.sqs.change_message_visibility(QueueUrl=self.queue_url, ReceiptHandle=handle, VisibilityTimeout=0)

    def left(self) -> int:
        """How many messages are in the queue, those that somebody is looking at too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)
        return sum(int(found["Attributes"][name]) for name in names)

    def dead_letters(self) -> list[dict[str, Any]]:
        """What lies in the dead-letter queue, taken out of it."""
        found: list[dict[str, Any]] = []
        while True:
            answer = self.sqs.receive_message(
                QueueUrl=self.dead_letter_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            )
            if not (messages := answer.get("Messages", [])):
                return found
            found.extend(messages)


def envelope(
    detail: object = None,
    changes: Mapping[str, object] | None = None,
    *,
    kind: str = "Manual Sync",
    event_id: str = "5f5f6a3e-1c2b-4a58-9d0e-7f6b1c2d3e4f",
) -> str:
    """An event as EventBridge puts it into a queue, with changes to it; `...` takes a field away."""
    event = {
        "version": "0",
        "id": event_id,
        "detail-type": kind,
        "source": "homebrew.sync",
        "account": "123456789012",
        "time": "2026-11-22T09:00:00Z",
        "region": REGION,
        "resources": [],
        "detail": {} if detail is None else detail,
    }
    changed = event | dict(changes or {})
    return json.dumps({name: value for name, value in changed.items() if value is not ...})


@contextmanager
def aws() -> Iterator[str]:
    """The address of a server that speaks SQS and EventBridge."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()
