"""A database and an AWS account on loopback, for tests of what is deployed."""

from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from brew_assets_tests.postgres import Postgres, postgres


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture(scope="module")
def account() -> Iterator[dict[str, str]]:
    """The environment of an AWS account with the task definition of runs and a bucket for their output."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "ECS_TASK_DEFINITION": "mirror-run",
        "DAGSTER_COMPUTE_LOGS_BUCKET": "output",
    }
    session = boto3.Session("testing", "testing", region_name="us-east-1")
    ecs = session.client("ecs", endpoint_url=environment["AWS_ENDPOINT_URL"])
    ecs.register_task_definition(
        family="mirror-run",
        # moto wants the container's own size; Fargate does not.
        containerDefinitions=[{"name": "run", "image": "mirror", "cpu": 512, "memory": 1024}],
        cpu="512",
        memory="1024",
    )
    session.client("s3", endpoint_url=environment["AWS_ENDPOINT_URL"]).create_bucket(Bucket="output")
    yield environment
    server.stop()
