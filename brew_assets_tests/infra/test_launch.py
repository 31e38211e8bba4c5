"""What the launcher asks of AWS for a run, from inside a task of the daemon's service."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT, JobPythonOrigin, RepositoryPythonOrigin
from dagster_aws.ecs import EcsRunLauncher

from brew_assets.definitions import defs
from brew_assets.defs.tags import run_tags
from brew_assets.settings import read_settings
from brew_assets_tests.infra.image import ROOT
from brew_assets_tests.postgres import Postgres

# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskOverride.html
MAX_OVERRIDES = 8192
CLUSTER = "mirror"


@contextlib.contextmanager
def task_metadata(cluster: str, task: str) -> Iterator[str]:
    """The address that ECS gives to a container for looking at its own task."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            own = {"Cluster": cluster, "TaskARN": task} if self.path.endswith("/task") else {"Name": "daemon"}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(own).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v4/daemon"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def network(account: Mapping[str, str]) -> dict[str, Any]:
    """Where the daemon's task stands."""
    ec2 = boto3.client("ec2", endpoint_url=account["AWS_ENDPOINT_URL"])
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="tasks", Description="tasks", VpcId=vpc)["GroupId"]
    return {"subnets": [subnet], "securityGroups": [group], "assignPublicIp": "DISABLED"}


@pytest.fixture
def daemon(
    account: Mapping[str, str], database: Postgres, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """The environment of the daemon's task."""
    for name, value in {
        **account,
        **database.environment(),
        "AWS_DEFAULT_REGION": account["AWS_REGION"],
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return monkeypatch


@pytest.fixture
def asked(daemon: pytest.MonkeyPatch, network: dict[str, Any]) -> list[dict[str, Any]]:
    """Every call of RunTask that the launcher made for a large transfer."""
    ecs = boto3.client("ecs")
    ecs.create_cluster(clusterName=CLUSTER)
    ecs.register_task_definition(
        family="mirror-daemon",
        networkMode="awsvpc",
        containerDefinitions=[{"name": "daemon", "image": "mirror", "cpu": 512, "memory": 1024}],
        cpu="512",
        memory="1024",
    )
    task = ecs.run_task(
        cluster=CLUSTER,
        taskDefinition="mirror-daemon",
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": network},
    )["tasks"][0]
    calls: list[dict[str, Any]] = []
    with task_metadata(CLUSTER, task["taskArn"]) as address:
        daemon.setenv("ECS_CONTAINER_METADATA_URI_V4", address)
        with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(ROOT / "infra" / "dagster"))) as instance:
            launcher = instance.run_launcher
            assert type(launcher) is EcsRunLauncher
            launcher.ecs.meta.events.register(
                "provide-client-params.ecs.RunTask", lambda params, **_: calls.append(dict(params))
            )
            run = instance.create_run_for_job(
                defs.resolve_job_def("weekly_sync"), job_code_origin=_origin(), tags=_tags()
            )
            launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
            started = instance.get_run_by_id(run.run_id)
            assert started is not None
            assert started.tags["ecs/cluster"].endswith(f"cluster/{CLUSTER}")
    return calls


def _origin() -> JobPythonOrigin:
    """Where the code lies in the image."""
    repository = RepositoryPythonOrigin(
        executable_path="/opt/brew-assets/venv/bin/python3.13",
        code_pointer=ModuleCodePointer("brew_assets.definitions", "defs", working_directory="/tmp"),
        entry_point=DEFAULT_DAGSTER_ENTRY_POINT,
    )
    return JobPythonOrigin(job_name="weekly_sync", repository_origin=repository)


def _tags() -> dict[str, str]:
    """The tags of the largest transfer, in an account that settles everything that can be settled."""
    settings = read_settings(
        {
            "ECS_CLUSTER_NAME": CLUSTER,
            "ECS_SPOT_PERCENT": "100",
            "ECS_SUBNETS": ",".join(f"subnet-{number:017x}" for number in range(6)),
            "ECS_SECURITY_GROUPS": ",".join(f"sg-{number:017x}" for number in range(5)),
        }
    )
    tags = run_tags(
        settings, sync_id="20261122t030000-0123456789", route="ecs", pending_bytes=10**12, number=0
    )
    own = {"dagster/partition": "arm64_sonoma", "dagster/sensor_name": "route_pending_bottles"}
    # The network is the daemon's in this test; the tag does not travel in the overrides.
    return tags | own | {"ecs/run_task_kwargs": json.dumps(_without_network(tags["ecs/run_task_kwargs"]))}


def _without_network(text: str) -> dict[str, Any]:
    return {name: value for name, value in json.loads(text).items() if name != "networkConfiguration"}


def test_what_a_run_asks_for_is_well_below_the_limit_of_ecs(asked: list[dict[str, Any]]) -> None:
    (call,) = asked
    (container,) = call["overrides"]["containerOverrides"]
    assert container["command"][:3] == ["dagster", "api", "execute_run"]
    assert len(json.dumps(call["overrides"])) < 0.75 * MAX_OVERRIDES


def test_a_run_has_the_size_of_its_tags_the_daemons_network_and_spot(
    asked: list[dict[str, Any]], network: dict[str, Any]
) -> None:
    for call in asked:
        overrides = call["overrides"]
        (container,) = overrides["containerOverrides"]
        assert (container["name"], container["cpu"], container["memory"]) == ("run", 4096, 8192)
        assert (overrides["cpu"], overrides["memory"]) == ("4096", "8192")
        assert overrides["ephemeralStorage"] == {"sizeInGiB": 21}
        assert call["taskDefinition"].endswith("task-definition/mirror-run:1")
        assert call["cluster"] == CLUSTER
        assert call["networkConfiguration"]["awsvpcConfiguration"] == network
        assert call["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
        assert "launchType" not in call
        assert {"mirror/route", "mirror/sync_id", "dagster/run_id"} <= {tag["key"] for tag in call["tags"]}


def test_nothing_secret_and_no_environment_travels_with_a_run(
    asked: list[dict[str, Any]], database: Postgres
) -> None:
    for call in asked:
        assert database.password not in json.dumps(call)
        assert "environment" not in call["overrides"]["containerOverrides"][0]
