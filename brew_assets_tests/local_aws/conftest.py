"""One Local AWS for the tests of this folder, with a role, a network and a cluster."""

import io
import json
import uuid
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from brew_assets_tests.local_aws.session import LocalAws

_ROLE = "arn:aws:iam::123456789012:role/lambda"


@pytest.fixture(scope="session")
def aws() -> Iterator[LocalAws]:
    """A running Local AWS."""
    with LocalAws() as running:
        running.client("iam").create_role(RoleName="lambda", AssumeRolePolicyDocument="{}")
        yield running


class Cluster:
    """A cluster of Fargate in a network of its own, and tasks of one container in it."""

    name = "tests"

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.ecs = aws.client("ecs")
        ec2 = aws.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
        self.group = ec2.create_security_group(GroupName="tasks", Description="tasks", VpcId=vpc)["GroupId"]
        self.arn = self.ecs.create_cluster(
            clusterName=self.name, capacityProviders=["FARGATE", "FARGATE_SPOT"]
        )["cluster"]["clusterArn"]

    def network(self, **more: Any) -> dict[str, Any]:
        """The network configuration of RunTask."""
        return {"awsvpcConfiguration": {"subnets": [self.subnet], "securityGroups": [self.group], **more}}

    def register(self, *command: str, cpu: str = "256", memory: str = "512", **container: Any) -> str:
        """The name of a new task definition with that command."""
        family = f"family-{uuid.uuid4().hex[:8]}"
        self.ecs.register_task_definition(
            family=family,
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu=cpu,
            memory=memory,
            containerDefinitions=[{"name": "run", "image": "mirror:1", "command": [*command], **container}],
        )
        return family

    def run(self, definition: str, **more: Any) -> str:
        """The id of a new task."""
        asked: dict[str, Any] = {"launchType": "FARGATE", "networkConfiguration": self.network()} | more
        if "capacityProviderStrategy" in more:
            del asked["launchType"]
        answer = self.ecs.run_task(cluster=self.name, taskDefinition=definition, **asked)
        return str(answer["tasks"][0]["taskArn"]).split("/")[-1]

    def run_shell(self, script: str, *, on: str = "FARGATE", **container: Any) -> str:
        """The id of a task that runs the script."""
        definition = self.register("sh", "-c", script, **container)
        return self.run(definition, capacityProviderStrategy=[{"capacityProvider": on, "weight": 1}])

    def described(self, task_id: str, **more: Any) -> dict[str, Any]:
        """What DescribeTasks tells."""
        (task,) = self.ecs.describe_tasks(cluster=self.name, tasks=[task_id], **more)["tasks"]
        return dict(task)


@pytest.fixture(scope="session")
def cluster(aws: LocalAws) -> Cluster:
    """A cluster with a network."""
    return Cluster(aws)


class Functions:
    """Functions of a few lines."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.client = aws.client("lambda")

    def create(self, source: str, *, timeout_s: int = 10, **more: Any) -> str:
        """The name of a new Zip function whose module is `app` and whose handler is `handler`."""
        name = f"function-{uuid.uuid4().hex[:8]}"
        self.client.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=_ROLE,
            Handler="app.handler",
            Code={"ZipFile": zipped(source)},
            Timeout=timeout_s,
            **more,
        )
        return name

    def create_image(self, command: list[str], **more: Any) -> str:
        """The name of a new image function."""
        name = f"function-{uuid.uuid4().hex[:8]}"
        self.client.create_function(
            FunctionName=name,
            PackageType="Image",
            Role=_ROLE,
            Code={"ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/mirror:1"},
            ImageConfig={"Command": command},
            Timeout=10,
            **more,
        )
        return name

    def invoke(self, name: str, event: object = None, **more: Any) -> tuple[Any, dict[str, Any]]:
        """The decoded payload, and the whole answer."""
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps(event), **more)
        payload = answer["Payload"].read()
        return (json.loads(payload) if payload else None), answer


def zipped(source: str) -> bytes:
    """A package with one module, `app`."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as package:
        package.writestr("app.py", source)
    return archive.getvalue()


@pytest.fixture(scope="session")
def functions(aws: LocalAws) -> Functions:
    """Functions of a few lines."""
    return Functions(aws)
