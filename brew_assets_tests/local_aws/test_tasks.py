"""ECS tasks really run: their command, environment, secrets, log, identity and end."""

import json
import os
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from brew_assets_tests.local_aws.conftest import Cluster
from brew_assets_tests.local_aws.session import LocalAws, Refused, wait_for

READY_AND_WAIT = "echo ready; while true; do sleep 0.05; done"
POLITE = f"trap 'echo bye; exit 0' TERM; {READY_AND_WAIT}"
DEAF = f"trap '' TERM; {READY_AND_WAIT}"
ASK_METADATA = """
import json, os, urllib.request
address = os.environ["ECS_CONTAINER_METADATA_URI_V4"]
for path in ("", "/task"):
    print(urllib.request.urlopen(address + path).read().decode())
"""


def test_a_task_ends_with_the_exit_code_of_its_command(cluster: Cluster) -> None:
    task_id = cluster.run_shell("echo hello; echo there >&2; exit 3")
    task = cluster.aws.wait_for_task(task_id)
    assert (task.exit_code, task.stop_code) == (3, "EssentialContainerExited")
    assert task.log == "hello\nthere\n"
    told = cluster.described(task_id)
    assert told["containers"][0]["exitCode"] == 3
    assert told["stoppedReason"] == "Essential container in task exited"
    assert told["startedAt"] <= told["stoppedAt"]


def test_a_running_task_has_no_exit_code_and_is_listed(cluster: Cluster) -> None:
    task_id = cluster.run_shell(READY_AND_WAIT)
    cluster.aws.wait_for_output(task_id, "ready")
    told = cluster.described(task_id)
    assert told["lastStatus"] == told["containers"][0]["lastStatus"] == "RUNNING"
    assert "exitCode" not in told["containers"][0]
    assert "stoppedReason" not in told
    assert told["taskArn"] in cluster.ecs.list_tasks(cluster=cluster.name)["taskArns"]
    cluster.aws.kill_task(task_id)
    cluster.aws.wait_for_task(task_id)
    assert told["taskArn"] not in cluster.ecs.list_tasks(cluster=cluster.name)["taskArns"]


def test_a_task_that_has_written_something_is_told_with_its_process(cluster: Cluster) -> None:
    definition = cluster.register("echo", "ready")
    torn = []
    with ThreadPoolExecutor(1) as starter:
        starting = starter.submit(lambda: [cluster.run(definition) for _ in range(40)])
        # Asked without a pause, to meet the moment between a process's first line and its id.
        while not starting.done():
            torn += [task.id for task in cluster.aws.tasks() if task.log and task.pid is None]
    for task_id in starting.result():
        assert cluster.aws.wait_for_task(task_id).log == "ready\n"
    assert torn == []


def test_the_command_is_the_entry_point_with_the_override_or_else_the_containers(cluster: Cluster) -> None:
    definition = cluster.register("from", "definition", entryPoint=["echo"])
    override = {"containerOverrides": [{"name": "run", "command": ["from", "override"]}]}
    plain, overridden = cluster.run(definition), cluster.run(definition, overrides=override)
    assert cluster.aws.wait_for_task(plain).log == "from definition\n"
    assert cluster.aws.wait_for_task(overridden).log == "from override\n"


def test_a_task_sees_the_environment_of_its_definition_and_override_and_nothing_of_ours(
    cluster: Cluster,
) -> None:
    values = [{"name": "KEPT", "value": "definition"}, {"name": "CHANGED", "value": "definition"}]
    definition = cluster.register("env", environment=values)
    override = {"name": "run", "environment": [{"name": "CHANGED", "value": "override"}]}
    task = cluster.aws.wait_for_task(cluster.run(definition, overrides={"containerOverrides": [override]}))
    seen = dict(line.split("=", 1) for line in task.log.splitlines())
    assert (seen["KEPT"], seen["CHANGED"]) == ("definition", "override")
    assert seen["AWS_ENDPOINT_URL"] == cluster.aws.url
    assert seen["AWS_REGION"] == "us-east-1"
    foreign = {name for name in os.environ if name not in seen}
    assert "PYTEST_CURRENT_TEST" in foreign
    given = {"KEPT", "CHANGED", "PATH", "HOME", "LANG"}
    assert all(name in given or name.startswith(("AWS_", "ECS_")) for name in seen)


def test_secrets_of_a_container_are_resolved_whole_or_by_key(cluster: Cluster) -> None:
    name = f"secret-{uuid.uuid4().hex[:8]}"
    document = json.dumps({"password": "hidden", "user": "dagster"})
    arn = cluster.aws.client("secretsmanager").create_secret(Name=name, SecretString=document)["ARN"]
    secrets = [{"name": "WHOLE", "valueFrom": arn}, {"name": "ONE", "valueFrom": f"{arn}:password::"}]
    definition = cluster.register("sh", "-c", 'echo "$ONE"; echo "$WHOLE"', secrets=secrets)
    task = cluster.aws.wait_for_task(cluster.run(definition))
    assert task.log == f"hidden\n{document}\n"


@pytest.mark.parametrize("suffix", ["-none", ":absent::"])
def test_a_task_whose_secret_is_missing_does_not_start(cluster: Cluster, suffix: str) -> None:
    name = f"secret-{uuid.uuid4().hex[:8]}"
    arn = cluster.aws.client("secretsmanager").create_secret(Name=name, SecretString="{}")["ARN"]
    secrets = [{"name": "ONE", "valueFrom": arn + suffix}]
    task = cluster.aws.wait_for_task(cluster.run(cluster.register("env", secrets=secrets)))
    assert (task.stop_code, task.exit_code, task.pid) == ("TaskFailedToStart", None, None)
    assert task.stopped_reason is not None
    assert "unable to pull secrets" in task.stopped_reason


def test_a_command_that_cannot_start_fails_the_task_without_an_exit_code(cluster: Cluster) -> None:
    task_id = cluster.run(cluster.register("no-such-program"))
    task = cluster.aws.wait_for_task(task_id)
    assert task.stop_code == "TaskFailedToStart"
    told = cluster.described(task_id)
    assert "CannotStartContainerError" in told["stoppedReason"]
    assert "no-such-program" in told["stoppedReason"]
    assert "exitCode" not in told["containers"][0]


def test_the_output_goes_to_cloudwatch_logs_while_the_task_runs(cluster: Cluster) -> None:
    logs = cluster.aws.client("logs")
    group = f"/ecs/{uuid.uuid4().hex[:8]}"
    logs.create_log_group(logGroupName=group)
    options = {"awslogs-group": group, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "mirror"}
    configuration = {"logDriver": "awslogs", "options": options}
    task_id = cluster.run_shell(f"echo one; {POLITE}", logConfiguration=configuration)

    def messages() -> list[str]:
        streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
        if not streams:
            return []
        assert [stream["logStreamName"] for stream in streams] == [f"mirror/run/{task_id}"]
        events = logs.get_log_events(logGroupName=group, logStreamName=f"mirror/run/{task_id}")["events"]
        return [event["message"] for event in events]

    wait_for(lambda: messages() == ["one", "ready"], what="the first lines")
    cluster.ecs.stop_task(cluster=cluster.name, task=task_id)
    cluster.aws.wait_for_task(task_id)
    assert messages() == ["one", "ready", "bye"]


def test_a_log_group_that_does_not_exist_fails_the_task(cluster: Cluster) -> None:
    options = {"awslogs-group": "/none", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "mirror"}
    configuration = {"logDriver": "awslogs", "options": options}
    task = cluster.aws.wait_for_task(cluster.run_shell("true", logConfiguration=configuration))
    assert task.stop_code == "TaskFailedToStart"
    assert "log group does not exist" in (task.stopped_reason or "")


def test_a_task_knows_itself_by_the_metadata_endpoint(cluster: Cluster) -> None:
    task_id = cluster.run(cluster.register("python", "-c", ASK_METADATA))
    container, task = map(json.loads, cluster.aws.wait_for_task(task_id).log.splitlines())
    assert container["Name"] == "run"
    assert task["TaskARN"] == cluster.described(task_id)["taskArn"]
    assert task["Cluster"] == cluster.arn
    assert task["Limits"] == {"CPU": 0.25, "Memory": 512}


def test_a_task_has_a_network_interface_until_it_stops(cluster: Cluster) -> None:
    definition = cluster.register("sh", "-c", READY_AND_WAIT)
    task_id = cluster.run(definition, networkConfiguration=cluster.network(assignPublicIp="ENABLED"))
    (attachment,) = cluster.described(task_id)["attachments"]
    details = {detail["name"]: detail["value"] for detail in attachment["details"]}
    assert details["subnetId"] == cluster.subnet
    ec2 = cluster.aws.client("ec2")
    identity = details["networkInterfaceId"]
    (interface,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[identity])["NetworkInterfaces"]
    assert [group["GroupId"] for group in interface["Groups"]] == [cluster.group]
    assert interface["Association"]["PublicIp"]
    cluster.aws.kill_task(task_id)
    cluster.aws.wait_for_task(task_id)
    with pytest.raises(ClientError, match="InvalidNetworkInterfaceID"):
        ec2.describe_network_interfaces(NetworkInterfaceIds=[identity])


def test_stop_task_is_sigterm_and_gives_the_callers_reason(cluster: Cluster) -> None:
    task_id = cluster.run_shell(POLITE)
    cluster.aws.wait_for_output(task_id, "ready")
    answer = cluster.ecs.stop_task(cluster=cluster.name, task=task_id, reason="enough")["task"]
    assert answer["desiredStatus"] == "STOPPED"
    task = cluster.aws.wait_for_task(task_id, timeout_s=25)
    assert (task.exit_code, task.stop_code, task.stopped_reason) == (0, "UserInitiated", "enough")
    assert task.log.endswith("bye\n")


def test_who_ignores_sigterm_is_killed_after_the_stop_timeout(cluster: Cluster) -> None:
    task_id = cluster.run_shell(DEAF, stopTimeout=5)
    cluster.aws.wait_for_output(task_id, "ready")
    cluster.ecs.stop_task(cluster=cluster.name, task=task_id)
    assert cluster.described(task_id)["lastStatus"] == "DEACTIVATING"
    task = cluster.aws.wait_for_task(task_id, timeout_s=25)
    assert task.exit_code == 137


def test_sigterm_and_sigint_have_their_default_meaning_in_a_task(cluster: Cluster) -> None:
    script = "import signal; print([signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)])"
    task = cluster.aws.wait_for_task(cluster.run(cluster.register("python", "-c", script)))
    assert "SIG_IGN" not in task.log
    assert "Handlers.SIG_DFL" in task.log


def test_a_spot_interruption_is_sigterm_with_its_own_stop_code(cluster: Cluster) -> None:
    task_id = cluster.run_shell(POLITE, on="FARGATE_SPOT")
    cluster.aws.wait_for_output(task_id, "ready")
    cluster.aws.interrupt_spot(task_id)
    task = cluster.aws.wait_for_task(task_id, timeout_s=25)
    assert (task.exit_code, task.stop_code) == (0, "SpotInterruption")
    assert task.stopped_reason == "Your Spot Task was interrupted."
    assert cluster.described(task_id)["stopCode"] == "SpotInterruption"


def test_who_ignores_a_spot_interruption_is_killed_when_the_notice_is_over(cluster: Cluster) -> None:
    task_id = cluster.run_shell(DEAF, on="FARGATE_SPOT")
    cluster.aws.wait_for_output(task_id, "ready")
    cluster.aws.interrupt_spot(task_id, notice_s=0.2)
    assert cluster.aws.wait_for_task(task_id, timeout_s=25).exit_code == 137


def test_what_runs_on_demand_is_not_interrupted(cluster: Cluster) -> None:
    task_id = cluster.run_shell(READY_AND_WAIT, on="FARGATE")
    with pytest.raises(Refused, match="NotOnSpot"):
        cluster.aws.interrupt_spot(task_id)
    cluster.aws.kill_task(task_id)


def test_a_killed_task_loses_all_its_processes(cluster: Cluster) -> None:
    task_id = cluster.run_shell(f"sleep 300 & echo child $!; {READY_AND_WAIT}")
    log = cluster.aws.wait_for_output(task_id, "ready").log
    child = int(log.split()[1])
    cluster.aws.kill_task(task_id)
    task = cluster.aws.wait_for_task(task_id)
    assert (task.exit_code, task.stop_code) == (137, "EssentialContainerExited")
    assert "OutOfMemory" in cluster.described(task_id)["containers"][0]["reason"]
    wait_for(lambda: not _alive(child), what="the end of the child")


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_provider_size_and_tags_are_told(aws: LocalAws, cluster: Cluster) -> None:
    task_id = cluster.run(
        cluster.register("true"),
        capacityProviderStrategy=[
            {"capacityProvider": "FARGATE", "weight": 0},
            {"capacityProvider": "FARGATE_SPOT", "weight": 1},
        ],
        overrides={"cpu": "1024", "memory": "2048", "ephemeralStorage": {"sizeInGiB": 100}},
        tags=[{"key": "dagster/run_id", "value": "abc"}],
    )
    task = aws.wait_for_task(task_id)
    assert (task.cpu, task.memory, task.ephemeral_storage_gib) == ("1024", "2048", 100)
    assert (task.capacity_provider, task.tags) == ("FARGATE_SPOT", {"dagster/run_id": "abc"})
    told = cluster.described(task_id, include=["TAGS"])
    assert (told["capacityProviderName"], told["launchType"]) == ("FARGATE_SPOT", "FARGATE")
    assert (told["cpu"], told["memory"]) == ("1024", "2048")
    assert told["ephemeralStorage"] == {"sizeInGiB": 100}
    assert told["tags"] == [{"key": "dagster/run_id", "value": "abc"}]
