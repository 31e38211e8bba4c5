"""That the definitions load, wherever they are loaded from."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import dagster as dg
import pytest
import yaml

from brew_assets.definitions import defs
from brew_assets.defs.resources import platform_partitions
from brew_assets.defs.schedules import weekly_schedule
from brew_assets.defs.sensors.launch_runs import manifest_sensor, pending_sensor
from brew_assets.defs.sensors.sync_events import trigger_sensor
from brew_assets.errors import SettingsInvalid
from brew_assets.settings import read_settings

ROOT = Path(__file__).parents[2]

OFFLINE = """
import socket
import sys

def refuse(*arguments, **named):
    raise AssertionError(f"contacted {arguments}")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.create_connection = socket.getaddrinfo = refuse
from brew_assets.definitions import defs
import dagster as dg

dg.Definitions.validate_loadable(defs)
print(sorted(key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()))
print(defs.resolve_schedule_def("weekly_sync").cron_schedule)
# Half of the processor time that a code server's start would take.
late = {"boto3", "botocore", "dagster_aws", "httpx"}
print(sorted(late & {name.partition(".")[0] for name in sys.modules}))
"""


def load(**environment: str) -> subprocess.CompletedProcess[str]:
    """The definitions loaded in a process with this environment and no network."""
    return subprocess.run(
        [sys.executable, "-c", OFFLINE], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )


def test_the_definitions_load_with_an_empty_environment_and_no_network() -> None:
    loaded = load()
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.splitlines() == [
        "['bottles', 'formula_catalog', 'hash_manifest', 'pending_bottles', 'publication']",
        "0 3 * * 0",
        "[]",
    ]
    assert "Warning" not in loaded.stderr


def test_the_definitions_load_where_nothing_is_published() -> None:
    loaded = load(PUBLISH="off")
    assert loaded.returncode == 0, loaded.stderr
    assert "'publication'" in loaded.stdout
    assert "Warning" not in loaded.stderr


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SCHEDULE_EXPRESSION", "rate(7 days)", "five cron fields"),
        ("BATCH_SIZE", "\udcff", "UTF-8 without control characters"),
        ("DAGSTER_URL", "dagster.internal:3000", "an http(s) address with its scheme"),
    ],
)
def test_an_invalid_setting_is_named_when_the_definitions_load(name: str, value: str, expected: str) -> None:
    loaded = load(**{name: value})
    assert loaded.returncode != 0
    assert f"{name}: expected {expected}" in loaded.stderr


@pytest.mark.parametrize("name", ["MIRROR_URL", "S3_BUCKET_NAME"])
def test_an_empty_place_of_the_mirror_is_named_when_the_definitions_load(name: str) -> None:
    loaded = load(**{name: ""})
    assert loaded.returncode != 0
    assert f"{name}: expected " in loaded.stderr


def test_task_sizes_that_no_run_could_have_are_named_when_the_definitions_load() -> None:
    loaded = load(ECS_CLUSTER_NAME="sync", ECS_TASK_SIZES="nonsense")
    assert loaded.returncode != 0
    assert "ECS_TASK_SIZES: expected rows of Fargate's sizes" in loaded.stderr


def test_unknown_platforms_are_named() -> None:
    with pytest.raises(SettingsInvalid, match=r"TARGET_PLATFORMS: .*arm64_sanoma.*did you mean"):
        platform_partitions(read_settings({"TARGET_PLATFORMS": "arm64_sanoma"}))


def test_the_partitions_are_the_platforms_of_the_settings() -> None:
    found = platform_partitions(
        read_settings({"TARGET_PLATFORMS": "arm64_sonoma, x86_64_linux,arm64_sonoma"})
    )
    assert found.get_partition_keys() == ["arm64_sonoma", "x86_64_linux"]


@pytest.mark.parametrize(("value", "running"), [("", True), ("true", True), ("false", False), ("off", False)])
def test_schedule_and_sensor_run_from_the_start_unless_told_otherwise(value: str, running: bool) -> None:
    settings = read_settings({"SCHEDULE_ENABLED": value})
    assert (weekly_schedule(settings).default_status == dg.DefaultScheduleStatus.RUNNING) is running
    for sensor in (pending_sensor(settings), manifest_sensor(settings)):
        assert (sensor.default_status == dg.DefaultSensorStatus.RUNNING) is running


def test_the_sensor_of_manifest_and_publication_is_the_only_one_that_evaluates_conditions() -> None:
    repository = defs.get_repository_def()
    found = [s for s in repository.sensor_defs if isinstance(s, dg.AutomationConditionSensorDefinition)]
    assert [sensor.name for sensor in found] == ["record_stored_bottles"]


def test_events_are_taken_by_a_sensor_that_plans_and_does_not_run_without_a_queue() -> None:
    sensor = defs.resolve_sensor_def("take_sync_events")
    assert sensor.job_name == "selective_sync"
    assert trigger_sensor(read_settings({})).default_status == dg.DefaultSensorStatus.STOPPED


def test_the_schedule_asks_for_one_weekly_sync_in_utc() -> None:
    schedule = weekly_schedule(read_settings({"SCHEDULE_EXPRESSION": "cron(30 4 ? * 2 *)"}))
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 4 * * 1", "UTC")
    assert defs.resolve_schedule_def("weekly_sync").job_name == "weekly_sync"


def test_assets_and_jobs_say_what_they_are() -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description
        # One group: the graph opens with all five.
        assert node.group_name == "mirror"
        assert node.owners == ["team:mirror"]
        assert node.kinds
        assert node.backfill_policy is None
    # Compare-and-swap guards the manifest: no step waits for a place.
    assert not [key for key in graph.get_all_asset_keys() if graph.get(key).pools]
    for job in ("weekly_sync", "selective_sync", "mirror_platform", "repair"):
        assert defs.resolve_job_def(job).description
        assert defs.resolve_job_def(job).executor_def is dg.in_process_executor
    # Runs that no job was named for: backfills, the button "Materialize".
    assert defs.resolve_implicit_global_asset_job_def().executor_def is dg.in_process_executor


def test_dagster_cloud_yaml_names_these_definitions() -> None:
    document = yaml.safe_load((ROOT / "dagster_cloud.yaml").read_text())
    (location,) = document["locations"]
    assert set(location) >= {"location_name", "code_source"}
    _assert_definitions(location["code_source"]["module_name"])


def test_the_code_location_has_one_name_wherever_it_is_loaded_from() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    (on_plus,) = yaml.safe_load((ROOT / "dagster_cloud.yaml").read_text())["locations"]
    targets = [
        target
        for file in ("workspace.yaml", "infra/dagster/workspace.yaml")
        for entry in yaml.safe_load((ROOT / file).read_text())["load_from"]
        for target in entry.values()
    ]
    names = [project["code_location_name"], *(found["location_name"] for found in (on_plus, *targets))]
    assert names == ["brew_assets"] * 4
    _assert_definitions(project["code_location_target_module"])


def test_workspace_yaml_names_these_definitions() -> None:
    document = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    (target,) = document["load_from"]
    assert target["python_module"]["working_directory"] == "."
    _assert_definitions(target["python_module"]["module_name"])


def _assert_definitions(module: str) -> None:
    from importlib import import_module

    found = [value for value in vars(import_module(module)).values() if isinstance(value, dg.Definitions)]
    assert found == [defs]


@pytest.mark.timeout(120)
def test_dg_check_defs_passes(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "DAGSTER_DISABLE_TELEMETRY": "yes"}
    checked = subprocess.run(
        [str(Path(sys.executable).with_name("dg")), "check", "defs"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "All definitions loaded successfully" in checked.stdout + checked.stderr
