"""What Terraform would make of an account, as far as the runtime needs it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from brew_assets_tests.local_aws.session import LocalAws

BUCKET = "homebrew-bottles-dev"
CLUSTER = "homebrew-sync"
FUNCTION = "homebrew-sync-worker"
HANDLER = "brew_assets.runtimes.lambda_handler.handler"
LOG_GROUP = "/ecs/homebrew-sync"
_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/homebrew-sync:dev"
_ROLE = "arn:aws:iam::123456789012:role/homebrew-sync"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account with a bucket, a network, a cluster and the Lambda; task definitions come with services."""

    aws: LocalAws
    network: dict[str, Any]

    @property
    def subnet(self) -> str:
        """The one subnet."""
        return str(self.network["awsvpcConfiguration"]["subnets"][0])

    def register(self, family: str, command: list[str], environment: Mapping[str, str], **more: Any) -> str:
        """The family of a task definition with one container, named `run`."""
        container = {
            "name": "run",
            "image": _IMAGE,
            "essential": True,
            "command": command,
            "environment": [{"name": k, "value": v} for k, v in sorted(environment.items())],
            "stopTimeout": 60,
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": LOG_GROUP,
                    "awslogs-region": "us-east-1",
                    "awslogs-stream-prefix": family,
                },
            },
        }
        self.aws.client("ecs").register_task_definition(
            family=family,
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="512",
            memory="1024",
            taskRoleArn=_ROLE,
            executionRoleArn=_ROLE,
            containerDefinitions=[container | more],
        )
        return family

    def run(self, family: str, **more: Any) -> str:
        """The id of a new task of the family."""
        started = self.aws.client("ecs").run_task(
            cluster=CLUSTER,
            taskDefinition=family,
            launchType="FARGATE",
            networkConfiguration=self.network,
            **more,
        )
        return str(started["tasks"][0]["taskArn"]).rsplit("/", 1)[1]

    def set_function(
        self, *, environment: Mapping[str, str] | None = None, timeout_s: int | None = None
    ) -> None:
        """Changes the Lambda."""
        changes: dict[str, Any] = {}
        if environment is not None:
            changes["Environment"] = {"Variables": dict(environment)}
        if timeout_s is not None:
            changes["Timeout"] = timeout_s
        self.aws.client("lambda").update_function_configuration(FunctionName=FUNCTION, **changes)

    def invoke(self, event: object) -> dict[str, Any]:
        """What the Lambda answers, as an operator at a terminal would see it."""
        answer = self.aws.client("lambda").invoke(FunctionName=FUNCTION, Payload=json.dumps(event))
        return {"error": answer.get("FunctionError"), "answer": json.loads(answer["Payload"].read())}


def new_account(aws: LocalAws, environment: Mapping[str, str]) -> Account:
    """An account whose Lambda has the environment."""
    aws.client("s3").create_bucket(Bucket=BUCKET)
    aws.client("iam").create_role(RoleName="homebrew-sync", AssumeRolePolicyDocument="{}")
    ec2, ecs = aws.client("ec2"), aws.client("ecs")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="tasks", Description="tasks", VpcId=vpc)["GroupId"]
    aws.client("logs").create_log_group(logGroupName=LOG_GROUP)
    ecs.create_cluster(clusterName=CLUSTER, capacityProviders=["FARGATE", "FARGATE_SPOT"])
    aws.client("lambda").create_function(
        FunctionName=FUNCTION,
        PackageType="Image",
        Role=_ROLE,
        Code={"ImageUri": _IMAGE},
        ImageConfig={"Command": [HANDLER]},
        Timeout=900,
        MemorySize=1024,
        Environment={"Variables": dict(environment)},
    )
    network = {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [group]}}
    return Account(aws=aws, network=network)


def instance_home(folder: Path, source: Path, *, quick: bool) -> Path:
    """A DAGSTER_HOME with the instance configuration of AWS; `quick` looks and gives up sooner, for tests."""
    import yaml

    configured = yaml.safe_load((source / "dagster.yaml").read_text())
    if quick:
        configured["run_monitoring"] |= {
            "poll_interval_seconds": 2,
            "start_timeout_seconds": 45,
            "cancel_timeout_seconds": 60,
        }
        configured["run_coordinator"]["config"]["dequeue_interval_seconds"] = 1
    # A container's /tmp ends with it; here it would stay.
    configured["compute_logs"]["config"]["local_dir"] = str(folder / "compute-logs")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dagster.yaml").write_text(yaml.safe_dump(configured, sort_keys=False))
    (folder / "workspace.yaml").write_text((source / "workspace.yaml").read_text())
    folder.chmod(0o755)
    return folder
