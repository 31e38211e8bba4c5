"""A deployment in one process: the real definitions, a store in a directory, a simulated upstream."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from moto.server import ThreadedMotoServer

from brew_assets.adapters.aws.client import aws_client
from brew_assets_tests.defs.announced import Announced
from brew_assets_tests.defs.deployment import Deployment
from brew_assets_tests.slack_sink import SlackSink, slack_sink


@pytest.fixture
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    # Otherwise it leaves folders behind where programs keep temporary files.
    folder = tmp_path_factory.mktemp("instance")
    with dg.DagsterInstance.ephemeral(tempdir=str(folder)) as running:
        yield running


@pytest.fixture
def deployment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path / "mirror", instance)
    with deployment.simulator:
        for name, value in deployment.environment().items():
            monkeypatch.setenv(name, value)
        yield deployment


@pytest.fixture
def slack() -> Iterator[SlackSink]:
    with slack_sink() as sink:
        yield sink
        assert sink.problems == []


@pytest.fixture
def announced(deployment: Deployment, slack: SlackSink, monkeypatch: pytest.MonkeyPatch) -> Announced:
    """The deployment, which tells its syncs to `slack`."""
    monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
    monkeypatch.setenv("ENVIRONMENT", "staging")
    monkeypatch.setenv("RETRY_ATTEMPTS", "0")
    monkeypatch.setenv("DAGSTER_URL", "https://dagster.example")
    return Announced(deployment, slack)


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a CloudWatch that keeps what it is given."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "ENABLE_METRICS": "true",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def mails(cloudwatch: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the topics of messages and of security events have delivered so far."""
    sns = aws_client("sns", region="us-east-1", endpoint_url=cloudwatch)
    sqs = aws_client("sqs", region="us-east-1", endpoint_url=cloudwatch)
    queues = {}
    for name, variable in (("messages", "SNS_TOPIC_ARN"), ("security", "SNS_SECURITY_TOPIC_ARN")):
        arn = sns.create_topic(Name=name)["TopicArn"]
        queue = queues[name] = sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=attributes["QueueArn"])
        monkeypatch.setenv(variable, arn)

    def arrived(name: str) -> list[str]:
        answer = sqs.receive_message(QueueUrl=queues[name], MaxNumberOfMessages=10)
        return [json.loads(found["Body"])["Message"] for found in answer.get("Messages", [])]

    return arrived
