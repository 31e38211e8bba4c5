"""What ECS refuses, Local AWS refuses with the same error."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from brew_assets_tests.local_aws import fargate
from brew_assets_tests.local_aws.conftest import Cluster

SPOT = {"capacityProvider": "FARGATE_SPOT", "weight": 1}
ON_DEMAND = {"capacityProvider": "FARGATE", "weight": 1}


def refusal(cluster: Cluster, definition: str, **more: Any) -> tuple[str, str]:
    """The code and message of the error that RunTask answers."""
    with pytest.raises(ClientError) as caught:
        cluster.run(definition, **more)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"overrides": {"cpu": "256", "memory": "8192"}}, "No Fargate configuration exists"),
        ({"overrides": {"cpu": "300", "memory": "512"}}, "No Fargate configuration exists"),
        ({"overrides": {"ephemeralStorage": {"sizeInGiB": 20}}}, "between 21 and 200"),
        ({"overrides": {"ephemeralStorage": {"sizeInGiB": 201}}}, "between 21 and 200"),
        ({"overrides": {"containerOverrides": [{"name": "other"}]}}, "container named other"),
        ({"capacityProviderStrategy": [{"capacityProvider": "MINE"}]}, "MINE was not found"),
        ({"networkConfiguration": {}}, "Network Configuration must be provided"),
        ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-0"]}}}, "subnet-0"),
        ({"launchType": "EC2"}, "No Container Instances"),
        ({"count": 11}, "between 1 and 10"),
    ],
)
def test_what_fargate_does_not_have_is_an_invalid_parameter(
    cluster: Cluster, more: dict[str, Any], message: str
) -> None:
    code, told = refusal(cluster, cluster.register("true"), **more)
    assert code == "InvalidParameterException"
    assert message in told


def test_a_security_group_that_does_not_exist_is_refused(cluster: Cluster) -> None:
    network = cluster.network(securityGroups=["sg-none"])
    code, told = refusal(cluster, cluster.register("true"), networkConfiguration=network)
    assert code == "InvalidParameterException"
    assert "sg-none" in told


def test_overrides_have_8192_characters_at_most(cluster: Cluster) -> None:
    definition = cluster.register("true")

    def overrides(length: int) -> dict[str, Any]:
        frame = len('{"containerOverrides":[{"name":"run","command":["true",""]}]}')
        command = ["true", "x" * (length - frame)]
        return {"containerOverrides": [{"name": "run", "command": command}]}

    cluster.aws.wait_for_task(cluster.run(definition, overrides=overrides(8192)))
    code, told = refusal(cluster, definition, overrides=overrides(8193))
    assert code == "InvalidParameterException"
    assert "at most 8192" in told


def test_unknown_and_inactive_definitions_do_not_run(cluster: Cluster) -> None:
    assert refusal(cluster, "nobody") == ("ClientException", "TaskDefinition not found.")
    family = cluster.register("true")
    cluster.ecs.deregister_task_definition(taskDefinition=f"{family}:1")
    assert refusal(cluster, f"{family}:1") == ("ClientException", "TaskDefinition is inactive")


def test_several_containers_are_refused_rather_than_left_out(cluster: Cluster) -> None:
    containers = [{"name": name, "image": "mirror:1", "command": ["true"]} for name in ("run", "sidecar")]
    cluster.ecs.register_task_definition(
        family="several",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=containers,
    )
    code, told = refusal(cluster, "several")
    assert code == "InvalidParameterException"
    assert "exactly one container" in told


@pytest.mark.parametrize(
    "more", [{"cpu": "256", "memory": "8192"}, {"cpu": "512"}, {"memory": "512"}, {"ephemeral": 500}]
)
def test_a_definition_that_fargate_cannot_place_is_not_registered(
    cluster: Cluster, more: dict[str, Any]
) -> None:
    size = {"cpu": "256", "memory": "512"} if "ephemeral" in more else more
    if "ephemeral" in more:
        size["ephemeralStorage"] = {"sizeInGiB": more["ephemeral"]}  # type: ignore[assignment]
    with pytest.raises(ClientError) as caught:
        cluster.ecs.register_task_definition(
            family="impossible",
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            containerDefinitions=[{"name": "run", "image": "mirror:1", "memory": 128}],
            **size,
        )
    assert caught.value.response["Error"]["Code"] == "ClientException"


def test_a_provider_that_the_cluster_does_not_have_is_refused(cluster: Cluster) -> None:
    cluster.ecs.create_cluster(clusterName="without-providers")
    with pytest.raises(ClientError, match="not associated with the cluster"):
        cluster.ecs.run_task(
            cluster="without-providers",
            taskDefinition=cluster.register("true"),
            capacityProviderStrategy=[SPOT],
            networkConfiguration=cluster.network(),
        )


def test_a_task_that_is_not_there_is_not_stopped(cluster: Cluster) -> None:
    with pytest.raises(ClientError, match="referenced task was not found"):
        cluster.ecs.stop_task(cluster=cluster.name, task="0" * 32)


def test_tasks_are_shared_out_by_base_and_weight() -> None:
    known = ["FARGATE", "FARGATE_SPOT"]
    strategy = [{**ON_DEMAND, "base": 1}, {**SPOT, "weight": 3}]
    assert fargate.providers(strategy, known=known, count=1) == ["FARGATE"]
    shared = fargate.providers(strategy, known=known, count=5)
    assert (shared.count("FARGATE"), shared.count("FARGATE_SPOT")) == (2, 3)
    assert fargate.providers([{"capacityProvider": "FARGATE_SPOT"}], known=known, count=1) == ["FARGATE_SPOT"]
    with pytest.raises(fargate.Refused):
        fargate.providers([{**SPOT, "weight": 0}, {**ON_DEMAND, "weight": 0}], known=known, count=1)


@pytest.mark.parametrize(
    ("text", "units"), [("256", 256), (".25 vCPU", 256), ("2 vcpu", 2048), ("x", None), (None, None)]
)
def test_sizes_are_written_in_units_or_whole_ones(text: str | None, units: int | None) -> None:
    assert fargate.units(text, per_whole=1024) == units


def test_a_stop_timeout_is_30_seconds_and_at_most_120() -> None:
    assert fargate.stop_timeout_s({}) == 30
    assert fargate.stop_timeout_s({"stopTimeout": 5}) == 5
    assert fargate.stop_timeout_s({"stopTimeout": 600}) == 120
