"""The instance configuration on AWS: what it promises in its comments. test_launch.py has its size."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._utils.tags import TagConcurrencyLimitsCounter
from dagster_aws.ecs import EcsRunLauncher
from dagster_aws.ecs.container_context import ECS_CONTAINER_CONTEXT_SCHEMA
from dagster_shared.serdes import serialize_value
from moto import mock_aws

from brew_assets.defs.tags import ROUTE_TAG, SYNC_ID_TAG
from brew_assets.domain.batch import BATCH_PREFIX
from brew_assets.domain.object_keys import BACKUP_PREFIX, INDEX_PREFIX, MANIFEST_KEY
from brew_assets.domain.report import REPORT_PREFIX
from brew_assets.engine.catalogue_cache import CATALOGUE_PREFIX
from brew_assets.engine.coordination import RUN_PREFIX
from brew_assets.engine.record.identify import PLAN_PREFIX
from brew_assets.engine.record.journal import RECEIPT_PREFIX
from brew_assets.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = ROOT / "infra" / "dagster" / "dagster.yaml"
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
    # Tasks and bills can be told apart by route and sync.
    assert launcher.propagate_tags == {"allow_list": [ROUTE_TAG, SYNC_ID_TAG]}


def test_what_is_lost_is_run_again_by_a_child(configured: dict[str, Any]) -> None:
    monitoring = configured["run_monitoring"]
    assert monitoring["enabled"]
    # Otherwise a run worker that got SIGTERM leaves its run STARTED: "will be resumed".
    assert monitoring["max_resume_run_attempts"] == 0
    assert monitoring["poll_interval_seconds"] <= 60 <= monitoring["start_timeout_seconds"]
    # ECS waits at most 120 s between SIGTERM and SIGKILL.
    assert monitoring["cancel_timeout_seconds"] > 120
    # A first sync may take a day, and nothing may take for ever.
    assert 86_400 <= monitoring["max_runtime_seconds"] <= 7 * 86_400
    assert configured["run_retries"] == {
        "enabled": True,
        "max_retries": 6,
        "retry_on_asset_or_op_failure": False,
    }


def test_limits_hold_per_route(configured: dict[str, Any]) -> None:
    concurrency = configured["concurrency"]
    limits = concurrency["runs"]["tag_concurrency_limits"]
    assert {limit["value"] for limit in limits if limit["key"] == ROUTE_TAG} == {"ecs", "lambda"}
    assert sum(limit["limit"] for limit in limits) < concurrency["runs"]["max_concurrent_runs"]


def test_backfills_together_start_no_more_lambdas_than_plans_do(configured: dict[str, Any]) -> None:
    # Their runs decide by themselves: no tag has their route while they wait.
    limits = configured["concurrency"]["runs"]["tag_concurrency_limits"]
    counter = TagConcurrencyLimitsCounter(limits, [])
    begun = 0
    for number in range(8):
        run = dg.DagsterRun("mirror_platform", tags={"dagster/backfill": f"backfill-{number % 2}"})
        if not counter.is_blocked(run):
            counter.update_counters_with_launched_item(run)
            begun += 1
    assert begun == next(limit["limit"] for limit in limits if limit.get("value") == "lambda") == 3
    assert not counter.is_blocked(dg.DagsterRun("weekly_sync", tags={"mirror/purpose": "plan"}))


def test_a_run_waits_for_a_code_server_that_is_starting(reference: InstanceRef) -> None:
    coordinator = reference.run_coordinator
    assert type(coordinator) is QueuedRunCoordinator
    run_queue = coordinator.get_run_queue_config()
    assert run_queue.max_user_code_failure_retries * run_queue.user_code_failure_retry_delay >= 300


def test_nothing_secret_stands_in_the_file(reference: InstanceRef, configured: dict[str, Any]) -> None:
    database = configured["storage"]["postgres"]["postgres_db"]
    assert database["password"] == {"env": "DAGSTER_POSTGRES_PASSWORD"}
    assert database["scheme"] == "postgresql+psycopg2"
    assert ENVIRONMENT["DAGSTER_POSTGRES_PASSWORD"] not in serialize_value(reference)


def test_the_output_of_runs_stays_away_from_what_the_mirror_keeps(configured: dict[str, Any]) -> None:
    config = configured["compute_logs"]["config"]
    state = (PLAN_PREFIX, RECEIPT_PREFIX, REPORT_PREFIX, RUN_PREFIX, BATCH_PREFIX, INDEX_PREFIX)
    kept = (*state, CATALOGUE_PREFIX, BACKUP_PREFIX, MANIFEST_KEY)
    prefix = f"{config['prefix']}/"
    assert prefix.startswith("state/")
    assert not [key for key in kept if key.startswith(prefix) or prefix.startswith(key)]
    # A long run's output is seen while it goes on.
    assert 0 < config["upload_interval"] <= 60


def test_nothing_is_told_to_anybody(configured: dict[str, Any]) -> None:
    assert configured["telemetry"] == configured["nux"] == {"enabled": False}
    assert configured["freshness"] == {"enabled": True}


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


# Every name in dagster_cloud.yaml has to be set in the agent's environment: only what deployments differ in.
_TUNES = "tunes a transfer; the default fits"
_AWS = "AWS itself is meant"
_GATEWAY = "only the gateway reads it"
NOT_IN_DAGSTER_CLOUD = {
    "S3_BUCKET_NAME": "MIRROR_URL names the bucket",
    "SLACK_WEBHOOK_URL": "a secret; SLACK_WEBHOOK_SECRET_NAME leads to it",
    "ECS_TASK_DEFINITION": "for dagster.yaml; the agent registers task definitions of its own",
    "EXTERNAL_HASH_FILE_PATH": "tasks share no disk",
    "MAX_TRANSFER_PROCESSES": "only the command line reads it",
    "LOG_FORMAT": "auto is JSON in a task",
    "BOTTLE_REGISTRY_USERNAME": "stands with the password in BOTTLE_REGISTRY_SECRET_NAME",
    "BOTTLE_REGISTRY_PASSWORD": "a secret; BOTTLE_REGISTRY_SECRET_NAME leads to it",
    "AWS_ENDPOINT_URL": _AWS,
    "AWS_ENDPOINT_URL_S3": _AWS,
    "MAX_CONCURRENT_DOWNLOADS": _TUNES,
    "DOWNLOAD_CONCURRENCY": _TUNES,
    "RETRY_ATTEMPTS": _TUNES,
    "RETRY_DELAY_SECONDS": _TUNES,
    "DOWNLOAD_TIMEOUT_SECONDS": _TUNES,
    "BATCH_SIZE": _TUNES,
    "S3_ACCELERATE": _TUNES,
    "API_PUBLIC_KEY": "Homebrew's own is shipped; tasks share no disk",
    "API_CONSISTENCY_WAIT_SECONDS": _TUNES,
    "PUBLISH_MAX_UPSTREAM": _TUNES,
    "PUBLISH_MAX_MISSING": _TUNES,
    "PUBLIC_URL": _GATEWAY,
    "RECORDS_SERVED": _GATEWAY,
    "RELOAD_SECONDS": _GATEWAY,
    "PRESIGN_SECONDS": _GATEWAY,
    "PUBLICATION_SETTLE_SECONDS": _GATEWAY,
}


OF_THE_ENTRY_POINT = {"CA_BUNDLE_FILE", "CA_BUNDLE_SECRET_NAME", "HTTPS_PROXY_SECRET_NAME"}


def test_dagster_cloud_hands_on_every_setting_in_which_deployments_differ() -> None:
    cloud = yaml.safe_load((ROOT / "dagster_cloud.yaml").read_text())
    named = [
        variable.partition("=")[0]
        for variable in cloud["locations"][0]["container_context"]["ecs"]["env_vars"]
    ]
    assert len(named) == len(set(named))
    assert not set(named) & set(NOT_IN_DAGSTER_CLOUD)
    settings = {field.upper() for field in read_settings({}).__struct_fields__}
    assert {*named, *NOT_IN_DAGSTER_CLOUD} == settings | OF_THE_ENTRY_POINT
    entrypoint = (INSTANCE.parents[1] / "image" / "entrypoint").read_text()
    assert [name for name in OF_THE_ENTRY_POINT if f"${{{name}:-}}" not in entrypoint] == []


def test_a_sensor_that_waits_for_an_answer_keeps_no_other_waiting(configured: dict[str, Any]) -> None:
    assert configured["sensors"]["use_threads"] is True
    assert configured["sensors"]["num_workers"] >= 4
    laptop = yaml.safe_load((INSTANCE.parent / "laptop" / "dagster.yaml").read_text())
    assert laptop["sensors"] == configured["sensors"]
