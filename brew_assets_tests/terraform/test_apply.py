"""The root really applied: real provider, unpatched moto, and the project on what came of it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from brew_assets.defs.schedules import cron_from_expression
from brew_assets.settings import Settings, read_settings
from brew_assets.simulator import Simulator, World
from brew_assets_tests.docs.reading import ROOT
from brew_assets_tests.terraform.containers import assert_starts
from brew_assets_tests.terraform.program import SOURCES
from brew_assets_tests.terraform.stack import Stack, applied
from brew_assets_tests.terraform.test_policies import NO_RESOURCE

# One process for this account: each test looks at what the one before left.
pytestmark = [pytest.mark.infra, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The example for a development account, as it stands."""
    example = SOURCES / "envs" / "dev.tfvars.example"
    with applied(tmp_path_factory, "dev", region="us-west-2", files=[example]) as stack:
        yield stack


def test_a_second_plan_changes_nothing_but_what_moto_forgets(dev: Stack) -> None:
    assert list(dev.unexpected_changes().items()) == []


def test_the_bucket_keeps_what_is_held(dev: Stack) -> None:
    s3, bucket = dev.client("s3"), dev.outputs["bucket"]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert set(blocked.values()) == {True}
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert {statement["Effect"] for statement in policy["Statement"]} == {"Deny"}
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    expiring = [rule for rule in rules if "Days" in rule.get("Expiration", {})]
    assert [rule["Filter"]["Tag"] for rule in expiring] == [{"Key": "mirror-superseded", "Value": "true"}]
    assert expiring[0]["Expiration"]["Days"] == 30
    # Only date folders move, and only to what can be read at once.
    moving = [rule for rule in rules if rule.get("Transitions")]
    assert all(rule["Filter"]["Prefix"] == "20" for rule in moving)
    classes = {step["StorageClass"] for rule in moving for step in rule["Transitions"]}
    assert classes <= {"STANDARD_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "ONEZONE_IA"}
    assert any("NoncurrentVersionExpiration" in rule for rule in rules)
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)


def test_every_name_in_the_environments_is_a_setting(dev: Stack) -> None:
    known = {field.encode_name for field in msgspec.structs.fields(Settings)}
    lines = (ROOT / "infra" / "README.md").read_text().splitlines()
    documented = {line.split("`")[1] for line in lines if line.startswith("| `")}
    ecs, family = dev.client("ecs"), dev.outputs["run_task_family"]
    definition = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
    (container,) = [c for c in definition["containerDefinitions"] if c["name"] == "run"]
    plain = {pair["name"]: pair["value"] for pair in container["environment"]}
    secret = {pair["name"] for pair in container["secrets"]}
    assert plain.keys() | secret <= known | documented
    assert plain == dev.outputs["environment"]
    assert secret == {"DAGSTER_POSTGRES_PASSWORD"}
    function = dev.client("lambda").get_function_configuration(
        FunctionName=dev.outputs["lambda_function_name"]
    )
    assert function["Environment"]["Variables"].keys() <= known
    assert function["Timeout"] == 900


def test_containers_write_only_where_the_image_has_a_volume(dev: Stack) -> None:
    dockerfile = (ROOT / "infra" / "image" / "Dockerfile").read_text()
    ecs = dev.client("ecs")
    for arn in ecs.list_task_definitions()["taskDefinitionArns"]:
        for container in ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"][
            "containerDefinitions"
        ]:
            for mount in container.get("mountPoints", []):
                assert f"VOLUME {mount['containerPath']}\n" in dockerfile


def test_the_outputs_are_complete_settings_and_dagster_loads_with_them(dev: Stack, tmp_path: Path) -> None:
    settings = read_settings(dev.outputs["environment"])
    assert settings.s3_bucket_name == dev.outputs["bucket"]
    assert settings.lambda_sync_function == dev.outputs["lambda_function_name"]
    assert settings.ecs_cluster_name == dev.outputs["cluster_name"]
    assert settings.ecs_task_definition == dev.outputs["run_task_family"]
    assert settings.trigger_queue_url == dev.outputs["trigger_queue_url"]
    assert (settings.environment, settings.size_threshold_gb) == ("dev", 5)
    assert cron_from_expression(settings.schedule_expression) == "0 0,6,12,18 * * *"
    program = (
        "from brew_assets.definitions import defs;"
        "print(sorted(s.name for s in defs.sensors if s.default_status.value == 'RUNNING'))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        env=dev.environment() | {"DAGSTER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    for sensor in ("announce_syncs", "record_stored_bottles", "route_pending_bottles", "take_sync_events"):
        assert sensor in loaded.stdout


def test_an_event_on_the_bus_reaches_the_queue_that_the_settings_name(dev: Stack) -> None:
    events, sqs = dev.client("events"), dev.client("sqs")
    entries = json.loads((ROOT / "examples" / "selective-sync.json").read_text())
    assert events.put_events(Entries=entries)["FailedEntryCount"] == 0
    found = sqs.receive_message(QueueUrl=dev.outputs["trigger_queue_url"]).get("Messages", [])
    assert [json.loads(message["Body"])["detail-type"] for message in found] == ["Selective Sync"]
    # What others say is not heard; what we do not know comes too, to be refused with a reason.
    unknown = {"Source": "homebrew.sync", "DetailType": "Format Disk", "Detail": "{}"}
    events.put_events(Entries=[unknown | {"Source": "somebody"}, unknown])
    later = sqs.receive_message(QueueUrl=dev.outputs["trigger_queue_url"], MaxNumberOfMessages=10)["Messages"]
    assert [json.loads(message["Body"])["source"] for message in later] == ["homebrew.sync"]


def test_roles_and_rules_are_in_the_account_as_the_outputs_say(dev: Stack) -> None:
    iam, events = dev.client("iam"), dev.client("events")
    assert dev.outputs["role_arns"].keys() == {"webserver", "daemon", "code", "run", "execution", "lambda"}
    for role, arn in dev.outputs["role_arns"].items():
        name = arn.rsplit("/", 1)[1]
        (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
        document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        assert document == json.loads(dev.outputs["policies_json"][role])
        assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    types = set()
    bus = dev.outputs["event_bus_name"]
    for arn in dev.outputs["rule_arns"].values():
        rule = events.describe_rule(Name=arn.rsplit("/", 1)[1], EventBusName=bus)
        pattern = json.loads(rule["EventPattern"])
        assert (rule["State"], pattern["source"]) == ("ENABLED", ["homebrew.sync"])
        types |= {kind for kind in pattern["detail-type"] if isinstance(kind, str)}
        (target,) = events.list_targets_by_rule(Rule=rule["Name"], EventBusName=bus)["Targets"]
        assert target["Arn"].rsplit(":", 1)[1] == dev.outputs["trigger_queue_url"].rsplit("/", 1)[1]
        assert "DeadLetterConfig" in target
    assert types == {"Manual Sync", "Manual Sync Trigger", "Selective Sync"}


def test_services_run_in_private_subnets_and_the_daemon_is_one(dev: Stack) -> None:
    services = {service["name"]: service for service in dev.terraform.resources("aws_ecs_service")}
    names = dev.outputs["service_names"]
    assert services.keys() == set(names.values())
    for service in services.values():
        (network,) = service["network_configuration"]
        assert network["assign_public_ip"] is False
        assert set(network["subnets"]) == set(dev.outputs["private_subnet_ids"])
        assert service["load_balancer"] == []
    daemon = services[names["daemon"]]
    assert (daemon["desired_count"], daemon["deployment_maximum_percent"]) == (1, 100)
    assert daemon["deployment_minimum_healthy_percent"] == 0
    assert dev.terraform.resources("aws_lb") == []


def test_alarms_and_filters_of_the_account_are_those_that_are_wanted(dev: Stack) -> None:
    dev.assert_watched(absent={"run-memory", "charges"})
    alarms = dev.client("cloudwatch").describe_alarms()["MetricAlarms"]
    (age,) = [alarm for alarm in alarms if alarm["AlarmName"].endswith("-no-sync")]
    assert age["Threshold"] == 8 * 86_400


def test_containers_start_what_the_image_knows(dev: Stack) -> None:
    ecs = dev.client("ecs")
    families = (*dev.outputs["service_names"].values(), dev.outputs["run_task_family"])
    containers = {}
    for family in families:
        definition = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
        (container,) = definition["containerDefinitions"]
        containers[container["name"]] = container
    assert_starts(containers)


def test_everything_has_the_tags_that_were_given(dev: Stack) -> None:
    tagging = dev.client("s3").get_bucket_tagging(Bucket=dev.outputs["bucket"])["TagSet"]
    tags = {pair["Key"]: pair["Value"] for pair in tagging}
    assert {"Project": "homebrew-bottles-sync", "Environment": "dev", "ManagedBy": "terraform"}.items() <= (
        tags.items()
    )
    assert (tags["Team"], tags["AutoShutdown"]) == ("devops", "enabled")


def test_a_whole_sync_goes_into_the_applied_bucket(dev: Stack) -> None:
    """Without the bucket's policy: moto takes a denial under a condition for one without."""
    bucket = dev.outputs["bucket"]
    s3 = dev.client("s3")
    policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=bucket)
    world = World.generate(seed=3, formulae=5)
    with Simulator(world) as upstream:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "brew-mirror"), "--quiet", "sync", "--json"],
            env=dev.environment() | upstream.environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert (report["outcome"], report["stored"]) == ("success", report["planned"])
    manifest = json.loads(s3.get_object(Bucket=bucket, Key="bottles_hash.json")["Body"].read())
    assert manifest["total_bottles"] == report["stored"] > 0
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)


def test_no_role_may_do_more_than_it_needs(dev: Stack) -> None:
    for role, statements in dev.policies().items():
        for statement in statements:
            actions = statement["Action"]
            assert not [a for a in actions if "*" in a], f"{role}: {statement['Sid']}"
            if "*" in statement["Resource"]:
                assert set(actions) <= NO_RESOURCE, f"{role}: {statement['Sid']}"
            if "iam:PassRole" in actions:
                condition = statement["Condition"]["StringEquals"]
                assert condition["iam:PassedToService"] == "ecs-tasks.amazonaws.com"
    policies = dev.policies()
    deletes = [r for s in policies["run"] if "s3:DeleteObject" in s["Action"] for r in s["Resource"]]
    arn = f"arn:aws:s3:::{dev.outputs['bucket']}"
    assert sorted(deletes) == [f"{arn}/backups/bottles_hash/*", f"{arn}/state/receipts/*"]
    for role in ("webserver", "daemon", "code"):
        actions = {action for statement in policies[role] for action in statement["Action"]}
        assert not {action for action in actions if action.startswith("s3:Delete")}, role
    webserver = {a for s in policies["webserver"] for a in s["Action"] if a.startswith("s3:")}
    assert webserver <= {"s3:GetObject", "s3:ListBucket"}


def test_no_secret_stands_in_the_state(dev: Stack) -> None:
    state = dev.terraform.run("state", "pull").output
    assert "hooks.slack.com" not in state
    assert "homebrew-bottles-dev" in state


def test_destroy_leaves_nothing(dev: Stack) -> None:
    """The last of this stack: it ends what the others look at."""
    dev.assert_destroyed()
