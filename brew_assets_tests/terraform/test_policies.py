"""Every policy document of the root, judged by parliament: roles', their trust, and those of resources."""

import json
from typing import Any

import pytest

from brew_assets_tests.terraform.mocked import Mocked, Resource
from brew_assets_tests.terraform.static import parliament

pytestmark = [pytest.mark.infra, pytest.mark.timeout(900)]

# Actions that take no resource (AWS's service authorization reference); each of them is in a comment of iam.
NO_RESOURCE = {
    "cloudwatch:PutMetricData",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ecr:GetAuthorizationToken",
    "ecs:DescribeTaskDefinition",
    "logs:DescribeLogGroups",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
ROLES = {
    *(f"module.iam.aws_iam_role.this[{name!r}]".replace("'", '"') for name in
      ("webserver", "daemon", "code", "run", "execution", "lambda")),
    "module.s3.aws_iam_role.replication[0]",
    "module.network.aws_iam_role.flow[0]",
    "module.database.aws_iam_role.monitoring[0]",
}  # fmt: skip
# Documents that belong to one resource: it need not be named, or "*" means it.
ABOUT_ITSELF = ("aws_iam_role", "aws_ecr_repository_policy", "aws_kms_key")
# What parliament does not know, beside what it finds in the document.
ACCEPTED = {
    # AWS's own example for encrypted log groups has both.
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    "Type mismatch: ArnLike requires a value of type Arn but given String": "aws_kms_key",
    "Unknown condition kms:EncryptionContext:aws:logs:arn for action kms:DescribeKey": "aws_kms_key",
}


def documents(mocked: Mocked) -> list[tuple[Resource, list[dict[str, Any]]]]:
    """The policy documents among all attributes, whatever these are called."""
    found = []
    for resource in mocked.resources.values():
        for value in resource.values.values():
            if isinstance(value, str) and value.startswith("{") and '"Statement"' in value:
                found.append((resource, json.loads(value)["Statement"]))
    return found


def _judged(resource: Resource, statements: list[dict[str, Any]]) -> str:
    """The document as parliament takes it."""
    taken = []
    for statement in statements:
        if resource.kind in ABOUT_ITSELF:
            assert statement.get("Resource", "*") == "*"
            statement = statement | {"Resource": "*"}
        if statement.get("Condition") == {"NumericLessThan": {"s3:TlsVersion": "1.2"}}:
            # It takes whole numbers only; this condition is as AWS writes it.
            assert statement["Effect"] == "Deny"
            continue
        taken.append(statement)
    return json.dumps({"Version": "2012-10-17", "Statement": taken})


@pytest.mark.parametrize("variant", ["everything", "nothing"])
def test_parliament_finds_nothing_in_any_policy(variant: str, request: pytest.FixtureRequest) -> None:
    mocked: Mocked = request.getfixturevalue(variant)
    found = documents(mocked)
    judged = parliament({f"{number}": _judged(*document) for number, document in enumerate(found)})
    wrong = []
    for number, findings in judged.items():
        resource, _ = found[int(number)]
        for finding in findings:
            issue, _, detail = finding.partition(" ")
            if issue == "RESOURCE_STAR" and resource.kind in ABOUT_ITSELF:
                continue
            if ACCEPTED.get(detail) != resource.kind:
                wrong.append(f"{resource.address}: {finding}")
    assert wrong == []


def test_every_kind_of_policy_is_among_the_judged(everything: Mocked, nothing: Mocked) -> None:
    found = documents(everything)
    assert {resource.kind for resource, _ in found} == {
        "aws_ecr_repository_policy",
        "aws_efs_file_system_policy",
        "aws_iam_role",
        "aws_iam_role_policy",
        "aws_kms_key",
        "aws_s3_bucket_policy",
        "aws_sns_topic_policy",
        "aws_sqs_queue_policy",
    }
    trusts = {resource.address for resource, _ in found if resource.kind == "aws_iam_role"}
    assert trusts == ROLES
    policies = [resource for resource, _ in found if resource.kind == "aws_iam_role_policy"]
    assert len(policies) == len(ROLES)
    assert not everything.of_kind("aws_iam_policy", "aws_iam_role_policy_attachment")
    buckets = [resource.address for resource, _ in found if resource.kind == "aws_s3_bucket_policy"]
    assert len(buckets) == len(everything.of_kind("aws_s3_bucket")) == 3
    kinds = {resource.kind for resource, _ in documents(nothing)}
    assert {"aws_iam_role", "aws_iam_role_policy", "aws_sqs_queue_policy"} <= kinds


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize("variant", ["everything", "nothing"])
def test_only_actions_that_take_no_resource_are_allowed_on_all(
    variant: str, request: pytest.FixtureRequest
) -> None:
    mocked: Mocked = request.getfixturevalue(variant)
    for resource, statements in documents(mocked):
        if resource.kind != "aws_iam_role_policy":
            continue
        for statement in statements:
            actions = _listed(statement["Action"])
            assert not [action for action in actions if "*" in action], resource.address
            if "*" in _listed(statement["Resource"]):
                assert set(actions) <= NO_RESOURCE, resource.address


@pytest.mark.parametrize("variant", ["everything", "nothing"])
def test_a_role_is_taken_by_one_service_and_by_nobody_else(
    variant: str, request: pytest.FixtureRequest
) -> None:
    mocked: Mocked = request.getfixturevalue(variant)
    for role in mocked.of_kind("aws_iam_role"):
        (statement,) = json.loads(role.values["assume_role_policy"])["Statement"]
        assert statement["Action"] == "sts:AssumeRole"
        assert statement["Principal"].keys() == {"Service"}, role.address
        assert isinstance(statement["Principal"]["Service"], str)
