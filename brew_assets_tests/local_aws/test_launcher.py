"""Dagster's own EcsRunLauncher, unconfigured, works from a process that runs as a task here."""

from pathlib import Path

import pytest

from brew_assets_tests.local_aws.conftest import Cluster

DEFINITIONS = """
import dagster as dg

@dg.op
def speak():
    print("spoken in a task of its own")

@dg.job(executor_def=dg.in_process_executor)
def control():
    speak()

defs = dg.Definitions(jobs=[control])
"""
INSTANCE = """
run_launcher:
  module: dagster_aws.ecs
  class: EcsRunLauncher
  config:
    secrets_tag: null
    run_resources: {cpu: "512", memory: "1024"}
telemetry: {enabled: false}
"""
# What Dagster's daemon does with a queued run, in as few words as Dagster allows.
LAUNCH = """
import sys
import dagster as dg
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget

home = sys.argv[1]
target = PythonFileTarget(f"{home}/jobs.py", attribute=None, working_directory=None, location_name=None)
with dg.DagsterInstance.from_config(home) as instance:
    with WorkspaceProcessContext(instance, target) as process:
        workspace = process.create_request_context()
        (location,) = workspace.code_locations
        job = location.get_repository("__repository__").get_full_job("control")
        plan = workspace.get_execution_plan(job, {}, step_keys_to_execute=None, known_state=None)
        repository = location.get_repository("__repository__")
        run = instance.create_run(
            job_name="control",
            run_id=None,
            run_config={},
            status=dg.DagsterRunStatus.NOT_STARTED,
            tags={},
            root_run_id=None,
            parent_run_id=None,
            step_keys_to_execute=None,
            execution_plan_snapshot=plan.execution_plan_snapshot,
            job_snapshot=job.job_snapshot,
            parent_job_snapshot=job.parent_job_snapshot,
            asset_selection=None,
            asset_check_selection=None,
            resolved_op_selection=None,
            op_selection=None,
            remote_job_origin=job.get_remote_origin(),
            job_code_origin=job.get_python_origin(),
            asset_graph=repository.asset_graph,
        )
        instance.launch_run(run.run_id, workspace)
"""


@pytest.mark.timeout(600)
def test_the_stock_launcher_takes_its_network_and_definition_from_the_task_it_runs_in(
    cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "jobs.py").write_text(DEFINITIONS)
    (tmp_path / "dagster.yaml").write_text(INSTANCE)
    definition = cluster.register(
        *("python", "-c", LAUNCH, str(tmp_path)),
        cpu="1024",
        memory="2048",
        environment=[
            {"name": "DAGSTER_CURRENT_IMAGE", "value": "mirror:1"},
            # Without it Dagster may end what copies a step's output to the task's before its first line.
            {"name": "DAGSTER_COMPUTE_LOG_TAIL_WAIT_AFTER_FINISH", "value": "5"},
        ],
    )
    daemon = cluster.aws.wait_for_task(cluster.run(definition), timeout_s=200)
    assert daemon.exit_code == 0, daemon.log
    (launched,) = [task for task in cluster.aws.tasks() if task.tags.get("dagster/job_name") == "control"]
    told = cluster.described(launched.id)
    details = {detail["name"]: detail["value"] for detail in told["attachments"][0]["details"]}
    assert details["subnetId"] == cluster.subnet
    assert (launched.cpu, launched.memory) == ("512", "1024")
    assert launched.family.startswith("run_")
    ended = cluster.aws.wait_for_task(launched.id, timeout_s=200)
    assert ended.exit_code == 0, ended.log
    assert "spoken in a task of its own" in ended.log
    assert "RUN_SUCCESS" in ended.log
