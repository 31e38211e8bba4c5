"""The example for production, with what an unpatched moto lacks switched off by a file of the test."""

from collections.abc import Iterator

import pytest

from brew_assets_tests.terraform.program import SOURCES
from brew_assets_tests.terraform.stack import Stack, applied

pytestmark = [pytest.mark.infra, pytest.mark.timeout(1500)]

# What moto does not know, or fails at; the modules' own tests with a mocked provider cover it.
WITHOUT = """
enable_audit                 = false
enable_autoscaling           = false
enable_budget                = false
enable_composite_alarm       = false
enable_efs_backup            = false
enable_efs_storage           = false
enable_query_definitions     = false
enable_xray_tracing          = false
# So that it can be destroyed again.
database_deletion_protection = false
database_skip_final_snapshot = true
s3_force_destroy             = true
secret_recovery_days         = 0
"""


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The production example, applied."""
    without = tmp_path_factory.mktemp("values") / "without.tfvars"
    without.write_text(WITHOUT)
    files = (SOURCES / "envs" / "prod.tfvars.example", without)
    with applied(tmp_path_factory, "prod", region="us-east-1", files=files) as stack:
        yield stack


def test_production_applies_and_stays(prod: Stack) -> None:
    assert list(prod.unexpected_changes().items()) == []


def test_all_seventeen_alarms_are_in_the_account(prod: Stack) -> None:
    prod.assert_watched(absent=set())


def test_the_webhook_is_in_its_secret_and_in_no_state(prod: Stack) -> None:
    secret = prod.client("secretsmanager").get_secret_value(SecretId=prod.outputs["slack_secret_name"])
    assert secret["SecretString"].startswith("https://hooks.slack.com/services/T00000000")
    assert "hooks.slack.com" not in prod.terraform.run("state", "pull").output
    environment = prod.outputs["environment"]
    assert environment["SLACK_WEBHOOK_SECRET_NAME"] == prod.outputs["slack_secret_name"]
    assert "hooks.slack.com" not in str(environment)


def test_the_spec_values_reach_the_settings(prod: Stack) -> None:
    environment = prod.outputs["environment"]
    assert environment["TARGET_PLATFORMS"] == "arm64_sonoma,arm64_ventura,monterey"
    assert environment["SIZE_THRESHOLD_GB"] == "20"
    assert environment["MAX_CONCURRENT_DOWNLOADS"] == "10"
    assert environment["DOWNLOAD_TIMEOUT_SECONDS"] == "300"
    assert environment["RETRY_ATTEMPTS"] == "3"
    assert environment["SLACK_CHANNEL"] == "#homebrew-sync"
    assert environment["SNS_TOPIC_ARN"] == prod.outputs["topic_arns"]["messages"]
    function = prod.client("lambda").get_function_configuration(
        FunctionName=prod.outputs["lambda_function_name"]
    )
    assert (function["MemorySize"], function["Timeout"]) == (3008, 900)
    subscriptions = prod.client("sns").list_subscriptions()["Subscriptions"]
    assert {s["Endpoint"] for s in subscriptions} == {"devops@company.com", "alerts@company.com"}


def test_a_daemon_that_is_rolled_back_finds_the_definition_of_its_runs(prod: Stack) -> None:
    """The circuit breaker goes back to the revision before; its environment names the runs' of that time."""
    ecs = prod.client("ecs")
    where = {"cluster": prod.outputs["cluster_name"], "services": [prod.outputs["service_names"]["daemon"]]}
    (before,) = ecs.describe_services(**where)["services"]
    image = f"{prod.outputs['image'].rsplit(':', 1)[0]}:next"
    asked = (*prod.arguments, f"-var=ecs_container_image={image}")
    prod.terraform.apply("-target=module.dagster", "-refresh=false", *asked)
    (after,) = ecs.describe_services(**where)["services"]
    assert after["taskDefinition"] != before["taskDefinition"]
    rolled_back = ecs.describe_task_definition(taskDefinition=before["taskDefinition"])["taskDefinition"]
    (container,) = rolled_back["containerDefinitions"]
    named = {pair["name"]: pair["value"] for pair in container["environment"]}["ECS_TASK_DEFINITION"]
    of_runs = ecs.describe_task_definition(taskDefinition=named)["taskDefinition"]
    assert (rolled_back["status"], of_runs["status"]) == ("ACTIVE", "ACTIVE")
    newest = ecs.describe_task_definition(taskDefinition=prod.outputs["run_task_family"])["taskDefinition"]
    assert of_runs["taskDefinitionArn"] != newest["taskDefinitionArn"]


def test_destroy_leaves_nothing_but_the_revisions_that_are_kept(prod: Stack) -> None:
    """The last of this stack."""
    families = sorted([prod.outputs["run_task_family"], *prod.outputs["service_names"].values()])
    prod.assert_destroyed(kept={"task definitions": families})
    # As modules/dagster/README.md says.
    ecs = prod.client("ecs")
    for arn in ecs.list_task_definitions(status="ACTIVE")["taskDefinitionArns"]:
        ecs.deregister_task_definition(taskDefinition=arn)
    assert prod.left() == {}
