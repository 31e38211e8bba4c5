"""A root that is really applied, and the account that moto plays for it."""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from brew_assets_tests.terraform.program import Terraform, moto_account
from brew_assets_tests.terraform.watching import Deployment, from_account

# What this moto forgets or rewrites between two reads, by resource type: in place, and nobody's doing.
READ_BACK_GAPS: dict[str, set[str]] = {
    "aws_ecs_service": {
        "availability_zone_rebalancing",
        "enable_ecs_managed_tags",
        "enable_execute_command",
    },
    "aws_db_parameter_group": {"parameter"},
    "aws_db_instance": {
        "performance_insights_enabled",
        "performance_insights_kms_key_id",
        "performance_insights_retention_period",
    },
    "aws_lambda_function": {"image_config"},
    "aws_sqs_queue": {"redrive_policy"},
    "aws_vpc_security_group_ingress_rule": {"description"},
    "aws_vpc_security_group_egress_rule": {"description"},
}


# On a busy machine a connection to moto breaks now and then after the work was done: the provider asks again,
# and what is there already is refused.
_ANSWER_LOST = re.compile(r"Duplicate|AlreadyExists|already exists|\bEOF\b|connection reset")
_TRIES = 3


@contextlib.contextmanager
def applied(
    folders: pytest.TempPathFactory, name: str, *, region: str, files: Sequence[Path]
) -> Iterator["Stack"]:
    """The root with the values of the files, applied to an account of its own that ends with the block.

    Begun anew in another account where moto lost an answer; what is really asked for twice fails there too.
    """
    for left in reversed(range(_TRIES)):
        with moto_account() as url:
            terraform = Terraform(folders.mktemp(name), endpoint=url, region=region)
            terraform.init()
            stack = Stack(terraform, url, region, *(f"-var-file={path}" for path in files))
            done = terraform.run("apply", "-auto-approve", "-no-color", *stack.arguments, check=False)
            if done.code and left and _ANSWER_LOST.search(done.output):
                continue
            assert done.code == 0, done.output[-6000:]
            stack.outputs = terraform.outputs()
            yield stack
            return


class Stack:
    """An applied root."""

    def __init__(self, terraform: Terraform, url: str, region: str, *arguments: str) -> None:
        self.terraform = terraform
        self.url = url
        self.region = region
        self.arguments = arguments
        self.outputs: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        return botocore.session.get_session().create_client(
            service,
            region_name=self.region,
            endpoint_url=self.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def environment(self) -> dict[str, str]:
        """What a task of the stack has, with this machine's way to the account."""
        return {
            "PATH": os.environ["PATH"],
            **self.outputs["environment"],
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def policies(self) -> dict[str, list[dict[str, Any]]]:
        """Role -> the statements of its policy."""
        found = self.outputs["policies_json"].items()
        return {role: json.loads(text)["Statement"] for role, text in found}

    def unexpected_changes(self) -> dict[str, tuple[list[str], set[str]]]:
        """What a second plan would do beside what moto forgets."""
        return {
            address: (actions, names)
            for address, (actions, names) in self.terraform.changes(*self.arguments).items()
            if actions != ["update"] or not names <= READ_BACK_GAPS.get(_type_of(address), set())
        }

    def assert_watched(self, *, absent: set[str]) -> None:
        """The account has every alarm but the absent ones, and filters that make the metrics of log lines."""
        outputs = self.outputs
        deployment = Deployment(
            name=outputs["cluster_name"],
            environment=outputs["environment"]["ENVIRONMENT"],
            alerts=outputs["topic_arns"]["alerts"],
            security=outputs["topic_arns"]["security"],
            function=outputs["lambda_function_name"],
            database=outputs["database_identifier"],
        )
        alarms = self.client("cloudwatch").describe_alarms()["MetricAlarms"]
        wanted = deployment.alarms()
        for name in absent:
            wanted.pop(f"{deployment.name}-{name}")
        assert {alarm["AlarmName"]: from_account(alarm) for alarm in alarms} == wanted
        filters = self.client("logs").describe_metric_filters()["metricFilters"]
        made = [(f["logGroupName"], f["metricTransformations"][0]["metricName"]) for f in filters]
        programs = {key: name for key, name in outputs["log_group_names"].items() if key != "exec"}
        tellers = [programs["run"], programs["lambda"]]
        assert sorted(made) == sorted(
            [(group, f"Errors-{program}") for program, group in programs.items()]
            + [(group, metric) for group in tellers for metric in ("SecurityEvents", "FailedBottleLines")]
        )

    def assert_destroyed(self, *, kept: dict[str, list[str]] | None = None) -> None:
        """Nothing of it is left after a destroy, but what it was told to keep."""
        s3, bucket = self.client("s3"), self.outputs["bucket"]
        # It takes a denial without TLS for one of everything.
        s3.delete_bucket_policy(Bucket=bucket)
        versions = s3.list_object_versions(Bucket=bucket)
        # One by one, markers of deletion first: moto answers 500 to anything else.
        for version in (*versions.get("DeleteMarkers", ()), *versions.get("Versions", ())):
            s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
        self.terraform.destroy(*self.arguments)
        assert self.terraform.addresses() == []
        assert self.left() == (kept or {})

    def left(self) -> dict[str, list[str]]:
        """What the account still has that is not its own, by name."""
        ecs, ec2, events = self.client("ecs"), self.client("ec2"), self.client("events")
        clusters = ecs.describe_clusters(clusters=ecs.list_clusters()["clusterArns"] or ["none"])["clusters"]
        revisions = ecs.list_task_definitions(status="ACTIVE")["taskDefinitionArns"]
        secrets = self.client("secretsmanager").list_secrets(IncludePlannedDeletion=True)["SecretList"]
        roles = self.client("iam").list_roles()["Roles"]
        found = {
            "alarms": [a["AlarmName"] for a in self.client("cloudwatch").describe_alarms()["MetricAlarms"]],
            "buckets": [bucket["Name"] for bucket in self.client("s3").list_buckets()["Buckets"]],
            "clusters": [c["clusterName"] for c in clusters if c["status"] == "ACTIVE"],
            "dashboards": [
                d["DashboardName"] for d in self.client("cloudwatch").list_dashboards()["DashboardEntries"]
            ],
            "databases": [
                d["DBInstanceIdentifier"] for d in self.client("rds").describe_db_instances()["DBInstances"]
            ],
            "functions": [f["FunctionName"] for f in self.client("lambda").list_functions()["Functions"]],
            "log groups": [g["logGroupName"] for g in self.client("logs").describe_log_groups()["logGroups"]],
            "queues": self.client("sqs").list_queues().get("QueueUrls", []),
            "repositories": [
                r["repositoryName"] for r in self.client("ecr").describe_repositories()["repositories"]
            ],
            "roles": [r["RoleName"] for r in roles if r["RoleName"].startswith("homebrew-bottles-sync")],
            "rules": [rule["Name"] for rule in events.list_rules()["Rules"]],
            "secrets": [secret["Name"] for secret in secrets],
            "task definitions": sorted({arn.rsplit("/", 1)[1].rsplit(":", 1)[0] for arn in revisions}),
            "topics": [topic["TopicArn"] for topic in self.client("sns").list_topics()["Topics"]],
            "networks": [vpc["VpcId"] for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]],
        }
        return {kind: names for kind, names in found.items() if names}


def _type_of(address: str) -> str:
    return next((part for part in address.split(".") if part.startswith("aws_")), address)
