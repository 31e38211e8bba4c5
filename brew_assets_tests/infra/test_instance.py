"""The instance configuration on AWS: what it promises in its comments, and that it is small enough."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.config import dagster_instance_config
from dagster._core.instance.ref import InstanceRef
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._grpc.types import ExecuteRunArgs, ResumeRunArgs
from dagster_aws.ecs import EcsRunLauncher
from dagster_aws.ecs.container_context import ECS_CONTAINER_CONTEXT_SCHEMA
from dagster_shared.serdes import serialize_value
from moto import mock_aws

from brew_assets.defs.assets import MANIFEST_POOL
from brew_assets.defs.route_tags import ROUTE_TAG, run_tags
from brew_assets.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = ROOT / "infra" / "dagster" / "dagster.yaml"
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskOverride.html
MAX_OVERRIDES = 8192

ENVIRONMENT = {
    "ECS_TASK_DEFINITION": "homebrew-sync-run",
    "DAGSTER_POSTGRES_HOST": "homebrew-sync-prod.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com",
    "DAGSTER_POSTGRES_PORT": "5432",
    "DAGSTER_POSTGRES_DB": "dagster",
    "DAGSTER_POSTGRES_USER": "dagster",
    "DAGSTER_POSTGRES_PASSWORD": "never-in-an-override",
    "DAGSTER_COMPUTE_LOGS_BUCKET": "homebrew-bottles-prod",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture
def configured() -> dict[str, Any]:
    """The file as it stands."""
    loaded: dict[str, Any] = yaml.safe_load(INSTANCE.read_text())
    return loaded


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> Iterator[InstanceRef]:
    """What Dagster makes of the file, in an account that has the task definition."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        import boto3

        boto3.client("ecs").register_task_definition(
            family=ENVIRONMENT["ECS_TASK_DEFINITION"],
            containerDefinitions=[{"name": "run", "image": "mirror"}],
            cpu="512",
            memory="1024",
        )
        yield InstanceRef.from_dir(str(INSTANCE.parent))


def test_the_file_is_what_dagster_expects(reference: InstanceRef) -> None:
    values, custom = dagster_instance_config(str(INSTANCE.parent))
    assert custom is None
    assert set(values) >= {"storage", "run_launcher", "run_monitoring", "run_retries", "concurrency"}


def test_the_launcher_is_the_stock_one_with_small_control_tasks(reference: InstanceRef) -> None:
    launcher = reference.run_launcher
    assert type(launcher) is EcsRunLauncher
    assert launcher.run_resources == {"cpu": "512", "memory": "1024"}
    assert launcher.task_definition is not None
    assert launcher.task_definition.endswith("task-definition/homebrew-sync-run:1")
    assert launcher.container_name == "run"
    # Otherwise every launch lists the account's secrets.
    assert launcher.secrets_tags == []
    assert launcher.use_current_ecs_task_config
    assert not launcher.include_sidecars
    assert launcher.supports_resume_run


def test_what_is_lost_is_resumed_or_run_again(configured: dict[str, Any]) -> None:
    assert configured["run_monitoring"]["enabled"]
    assert configured["run_monitoring"]["max_resume_run_attempts"] >= 1
    assert configured["run_retries"] == {
        "enabled": True,
        "max_retries": 3,
        "retry_on_asset_or_op_failure": False,
    }


def test_limits_hold_per_route_and_for_the_manifest(configured: dict[str, Any]) -> None:
    concurrency = configured["concurrency"]
    assert concurrency["pools"] == {"default_limit": 1}
    assert MANIFEST_POOL == "manifest_writer"
    limits = concurrency["runs"]["tag_concurrency_limits"]
    assert {limit["key"] for limit in limits} == {ROUTE_TAG}
    assert {limit["value"] for limit in limits} == {"ecs", "lambda"}


def test_nothing_secret_stands_in_the_file(reference: InstanceRef, configured: dict[str, Any]) -> None:
    database = configured["storage"]["postgres"]["postgres_db"]
    assert database["password"] == {"env": "DAGSTER_POSTGRES_PASSWORD"}
    assert database["scheme"] == "postgresql+psycopg2"
    assert ENVIRONMENT["DAGSTER_POSTGRES_PASSWORD"] not in serialize_value(reference)


def test_compute_logs_stay_away_from_the_bottles(configured: dict[str, Any]) -> None:
    assert configured["compute_logs"]["config"]["prefix"].startswith("state/")


@pytest.mark.parametrize("resumed", [False, True])
def test_the_overrides_of_a_run_are_well_below_the_limit(reference: InstanceRef, *, resumed: bool) -> None:
    job = JobPythonOrigin(
        job_name="mirror_platform",
        repository_origin=RepositoryPythonOrigin(
            executable_path="/opt/mirror/bin/python",
            code_pointer=ModuleCodePointer(
                module="brew_assets.definitions", fn_name="defs", working_directory="/opt/mirror"
            ),
            entry_point=["dagster"],
        ),
    )
    arguments = (ResumeRunArgs if resumed else ExecuteRunArgs)(
        job_origin=job, run_id=str(uuid.uuid4()), instance_ref=reference
    )
    settings = read_settings({"ECS_CLUSTER_NAME": "sync", "S3_BUCKET_NAME": "homebrew-bottles-prod"})
    tags = run_tags(settings, sync_id="s" * 25, route="ecs", pending_bytes=10**12, number=0)
    overrides = {
        "containerOverrides": [
            {
                "name": "run",
                "command": list(arguments.get_command_args()),
                "cpu": int(tags["ecs/cpu"]),
                "memory": int(tags["ecs/memory"]),
            }
        ],
        "cpu": tags["ecs/cpu"],
        "memory": tags["ecs/memory"],
        "ephemeralStorage": {"sizeInGiB": int(tags["ecs/ephemeral_storage"])},
    }
    assert len(json.dumps(overrides)) < 0.9 * MAX_OVERRIDES


def test_the_workspace_names_the_code_server(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._core.workspace.load import location_origins_from_yaml_paths

    monkeypatch.setenv("DAGSTER_CODE_SERVER_HOST", "code-server.homebrew-sync.local")
    monkeypatch.setenv("DAGSTER_CODE_SERVER_PORT", "4000")
    (origin,) = location_origins_from_yaml_paths([str(INSTANCE.parent / "workspace.yaml")])
    assert isinstance(origin, GrpcServerCodeLocationOrigin)
    assert (origin.host, origin.port) == ("code-server.homebrew-sync.local", 4000)
    assert origin.location_name == "brew_assets"


def test_dagster_cloud_has_an_ecs_context_that_dagster_aws_accepts() -> None:
    from dagster._config import process_config

    cloud = yaml.safe_load((ROOT / "dagster_cloud.yaml").read_text())
    (location,) = cloud["locations"]
    context = location["container_context"]["ecs"]
    found = process_config(ECS_CONTAINER_CONTEXT_SCHEMA, context)
    assert found.success, found.errors
    assert (context["run_resources"]["cpu"], context["run_resources"]["memory"]) == ("512", "1024")
    named = [variable.partition("=")[0] for variable in context["env_vars"]]
    settings = {field.upper() for field in read_settings({}).__struct_fields__}
    assert set(named) <= settings
