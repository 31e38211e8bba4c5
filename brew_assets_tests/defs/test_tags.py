"""What the sensor tags runs with, and the client that invokes Lambdas."""

import json

import msgspec
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from brew_assets.defs import lambda_route
from brew_assets.defs.lambda_route import lambda_client
from brew_assets.defs.tags import ROUTE_TAG, SYNC_ID_TAG, run_tags
from brew_assets.domain.routing import GB
from brew_assets.engine.kept_plans import load_plan
from brew_assets.errors import InvocationFailed, InvocationRefused, InvocationThrottled
from brew_assets.settings import Settings, read_settings
from brew_assets_tests.defs.deployment import Deployment, figures_of, metadata_of, plan_of
from brew_assets_tests.servers import seaweedfs

IN_ECS = read_settings({"ECS_CLUSTER_NAME": "sync", "S3_BUCKET_NAME": "bottles-prod"})
SYNC = "20261122T030000Z-0badcafe"


def tags(settings: Settings, route: str, gb: float, number: int = 0) -> dict[str, str]:
    return run_tags(settings, sync_id=SYNC, route=route, pending_bytes=int(gb * GB), number=number)


def test_runs_on_this_machine_have_a_plan_and_a_route() -> None:
    assert tags(Settings(), "local", 3) == {SYNC_ID_TAG: SYNC, ROUTE_TAG: "local"}


def test_a_transfer_task_is_as_large_as_its_pending_bytes_ask_for() -> None:
    assert tags(IN_ECS, "ecs", 60) == {
        SYNC_ID_TAG: SYNC,
        ROUTE_TAG: "ecs",
        "ecs/cpu": "2048",
        "ecs/memory": "4096",
        "ecs/ephemeral_storage": "21",
    }


def test_a_run_that_watches_over_lambdas_is_a_small_task() -> None:
    found = tags(IN_ECS, "lambda", 19)
    assert (found["ecs/cpu"], found["ecs/memory"]) == ("512", "1024")
    assert "ecs/ephemeral_storage" not in found


def test_spot_has_an_on_demand_share() -> None:
    settings = msgspec.structs.replace(IN_ECS, ecs_spot_percent=67)
    providers = []
    for number in range(3):
        asked = json.loads(tags(settings, "ecs", 60, number)["ecs/run_task_kwargs"])
        providers.append(asked["capacityProviderStrategy"][0]["capacityProvider"])
    assert sorted(providers) == ["FARGATE", "FARGATE_SPOT", "FARGATE_SPOT"]
    watching = json.loads(tags(settings, "lambda", 1, number=1)["ecs/run_task_kwargs"])
    assert watching["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE", "weight": 1}]


def test_tasks_go_into_the_configured_subnets() -> None:
    settings = msgspec.structs.replace(
        IN_ECS, ecs_subnets=("subnet-1", "subnet-2"), ecs_security_groups=("sg-1",)
    )
    asked = json.loads(tags(settings, "ecs", 60)["ecs/run_task_kwargs"])
    assert asked == {
        "networkConfiguration": {
            "awsvpcConfiguration": {"subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"]}
        }
    }


def test_the_sensor_decides_once_per_plan_on_its_total(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECS_CLUSTER_NAME", "sync")
    monkeypatch.setenv("ECS_TASK_SIZES", "0.000001:512:1024:21,*:1024:2048:21")
    plan = plan_of(deployment.run("weekly_sync"))
    assert plan.route == "ecs"
    assert "no Lambda function is configured" in plan.route_reason
    requests = deployment.tick().run_requests
    assert len(requests) == 3
    for request in requests:
        assert request.tags[ROUTE_TAG] == "ecs"
        assert request.tags[SYNC_ID_TAG] == plan.sync_id
        assert (request.tags["ecs/cpu"], request.tags["ecs/memory"]) == ("1024", "2048")
        assert plan.platforms[str(request.partition_key)].estimated_bytes > 1000
    assert load_plan(deployment.mirror().ports, plan.sync_id).route == "ecs"


def test_a_run_without_tags_decides_by_itself(deployment: Deployment) -> None:
    result = deployment.run("mirror_platform", platform="arm64_sonoma")
    assert figures_of(metadata_of(result, "bottles")["figures"])["route"] == "local"


def test_a_run_without_tags_goes_by_its_platforms_bytes(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with seaweedfs() as bucket:
        # A Lambda could reach this mirror; what is pending is too much for it.
        asked = {
            "ECS_CLUSTER_NAME": "sync",
            "LAMBDA_SYNC_FUNCTION": "worker",
            "SIZE_THRESHOLD_GB": "0.000001",
        }
        for name, value in (bucket.environment(bucket.new_prefix()) | asked).items():
            monkeypatch.setenv(name, value)
        result = deployment.run("mirror_platform", platform="arm64_sonoma")
    found = metadata_of(result, "bottles")
    assert (figures_of(found["figures"])["route"], found["outcome"]) == ("ecs", "success")
    # It is decided inside the task: whoever wants a larger one names it by tags.
    assert "ecs/cpu" not in result.dagster_run.tags
    told = [entry.user_message for entry in deployment.instance.all_logs(result.run_id)]
    assert any("not under the threshold of 1e-06 GB" in message for message in told)


def test_a_tag_that_names_no_route_fails_the_run(deployment: Deployment) -> None:
    result = deployment.run("mirror_platform", platform="arm64_sonoma", tags={ROUTE_TAG: "pigeon"})
    assert "expected one of local, ecs, lambda, found 'pigeon'" in str(
        deployment.failure(result, "bottles").description
    )


def test_a_lambda_route_without_a_function_fails_with_the_remedy(deployment: Deployment) -> None:
    result = deployment.run("mirror_platform", platform="arm64_sonoma", tags={ROUTE_TAG: "lambda"})
    assert "LAMBDA_SYNC_FUNCTION" in str(deployment.failure(result, "bottles").description)


def test_a_plan_larger_than_allowed_is_refused_before_a_byte_moves(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_DOWNLOAD_SIZE_GB", "0.000001")
    deployment.run("weekly_sync")
    results = deployment.copy_plan(deployment.tick().run_requests)
    for result in results:
        assert "MAX_DOWNLOAD_SIZE_GB" in str(deployment.failure(result, "bottles").description)
    assert deployment.simulator.downloads.total() == 0


def test_the_client_of_invocations_tries_once_and_outlasts_a_lambda() -> None:
    client = lambda_client(Settings(lambda_concurrency=37))
    config = client.meta.config
    assert config.read_timeout == 960
    assert config.read_timeout > 15 * 60
    assert config.connect_timeout == 5
    assert config.retries["total_max_attempts"] == 1
    assert config.tcp_keepalive is True
    assert config.max_pool_connections == 37


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (429, "TooManyRequestsException", InvocationThrottled),
        (409, "ResourceConflictException", InvocationThrottled),
        (502, "EC2ThrottledException", InvocationFailed),
        (500, "ServiceException", InvocationFailed),
        (404, "ResourceNotFoundException", InvocationRefused),
        (403, "AccessDeniedException", InvocationRefused),
        (400, "InvalidParameterValueException", InvocationRefused),
    ],
)
def test_refusals_of_invoke_have_a_class_each(status: int, code: str, expected: type[Exception]) -> None:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error = ClientError(answer, "Invoke")  # type: ignore[arg-type]
    assert type(lambda_route._invocation_error("key", error)) is expected


def test_a_lambda_that_is_not_reached_shows_no_password_of_the_address() -> None:
    error = EndpointConnectionError(endpoint_url="https://user:PW@lambda.example/?token=PW")
    shown = str(lambda_route._invocation_error("key", error))
    assert "https://lambda.example/" in shown
    assert "PW" not in shown
