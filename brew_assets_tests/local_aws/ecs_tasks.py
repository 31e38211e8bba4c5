"""ECS tasks as processes: started, observed, stopped, interrupted and killed."""

import contextlib
import threading
import time
from datetime import UTC, datetime
from typing import Any

from brew_assets_tests.local_aws import fargate
from brew_assets_tests.local_aws.host import Host
from brew_assets_tests.local_aws.moto_backends import (
    ResourceMissing,
    log_stream,
    release_network,
    secret_text,
)
from brew_assets_tests.local_aws.output import LogForwarder, OutputFile
from brew_assets_tests.local_aws.processes import Process
from brew_assets_tests.local_aws.records import MOST_LOG_BYTES, TaskRecord


class UnknownTask(Exception):
    """There is no task of this id."""


class NotOnSpot(Exception):
    """Only tasks of FARGATE_SPOT are interrupted."""


class RunningTask:
    """A task of moto's and the process that it is."""

    def __init__(self, host: Host, task: Any, definition: Any) -> None:
        self.task = task
        self.definition = definition
        self.container = fargate.only_container(definition.container_definitions)
        overrides = task.overrides or {}
        self.override: dict[str, Any] = next(iter(overrides.get("containerOverrides") or []), {})
        self.command = fargate.command_of(self.container, self.override)
        self.folder = host.folder("tasks", task.id)
        self.output = OutputFile(self.folder / "output.log")
        self.created = time.time()
        self.started: float | None = None
        self.ended: float | None = None
        self.exit_code: int | None = None
        self.process: Process | None = None
        self.stop_grace_s: float | None = None
        self.lock = threading.Lock()

    def record(self) -> TaskRecord:
        """What is known of it now: one moment of it, for what is told belongs together."""
        # Without the lock, a process that has just begun is told with its output and without its id.
        with self.lock:
            return self._record()

    def _record(self) -> TaskRecord:
        task = self.task
        return TaskRecord(
            id=task.id,
            arn=task.task_arn,
            cluster_arn=task.cluster_arn,
            family=self.definition.family,
            revision=self.definition.revision,
            command=self.command,
            cpu=str(task.cpu),
            memory=str(task.memory),
            ephemeral_storage_gib=task.ephemeral_storage["sizeInGiB"],
            capacity_provider=task.capacity_provider_name,
            tags={tag["key"]: tag.get("value", "") for tag in task.tags},
            pid=self.process.pid if self.process else None,
            status=task.last_status,
            stop_code=task.stop_code,
            stopped_reason=task.stopped_reason or None,
            exit_code=self.exit_code,
            created=self.created,
            started=self.started,
            ended=self.ended,
            log=self.output.since(0, most=MOST_LOG_BYTES),
        )

    def container_metadata(self) -> dict[str, Any]:
        """The container's document of the task metadata endpoint, version 4."""
        task = self.task
        return {
            "DockerId": f"{task.id.replace('-', '')}-1",
            "Name": self.container["name"],
            "DockerName": self.container["name"],
            "Image": self.container.get("image", ""),
            "Labels": {
                "com.amazonaws.ecs.cluster": task.cluster_arn,
                "com.amazonaws.ecs.container-name": self.container["name"],
                "com.amazonaws.ecs.task-arn": task.task_arn,
                "com.amazonaws.ecs.task-definition-family": self.definition.family,
                "com.amazonaws.ecs.task-definition-version": str(self.definition.revision),
            },
            "DesiredStatus": task.desired_status,
            "KnownStatus": task.last_status,
            "Limits": {"CPU": self.container.get("cpu", 0)},
            "Type": "NORMAL",
            "ContainerARN": task.containers[0].container_arn,
        }

    def task_metadata(self) -> dict[str, Any]:
        """The task's document of the task metadata endpoint, version 4."""
        task = self.task
        return {
            "Cluster": task.cluster_arn,
            "TaskARN": task.task_arn,
            "Family": self.definition.family,
            "Revision": str(self.definition.revision),
            "DesiredStatus": task.desired_status,
            "KnownStatus": task.last_status,
            "Limits": {
                "CPU": (fargate.units(task.cpu, per_whole=1024) or 0) / 1024,
                "Memory": fargate.units(task.memory, per_whole=1024),
            },
            "LaunchType": "FARGATE",
            "Containers": [self.container_metadata()],
        }


class TaskRunner:
    """Runs the tasks of all clusters."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._tasks: dict[str, RunningTask] = {}

    def launch(self, task: Any, definition: Any) -> None:
        """The task is on its way; its process starts right after."""
        running = RunningTask(self._host, task, definition)
        self._tasks[task.id] = running
        threading.Thread(target=self._run, args=[running], daemon=True).start()

    def get(self, task_id: str) -> RunningTask:
        """The task of this id, whether it runs or not.

        Raises:
            UnknownTask: there is none.
        """
        try:
            return self._tasks[task_id.rsplit("/", maxsplit=1)[-1]]
        except KeyError as exc:
            raise UnknownTask(task_id) from exc

    def records(self) -> list[TaskRecord]:
        """All tasks in the order of their start."""
        return [running.record() for running in list(self._tasks.values())]

    def stop(self, task_id: str, *, reason: str) -> Any:
        """StopTask: SIGTERM now, SIGKILL after the container's stop timeout. moto's task.

        Raises:
            UnknownTask: there is none.
        """
        running = self.get(task_id)
        self._end(running, "UserInitiated", reason, fargate.stop_timeout_s(running.container))
        return running.task

    def interrupt_spot(self, task_id: str, *, notice_s: float) -> None:
        """Spot takes its capacity back: SIGTERM now, SIGKILL after the stop timeout or the notice.

        Raises:
            UnknownTask: there is none.
            NotOnSpot: it runs on demand.
        """
        running = self.get(task_id)
        if running.task.capacity_provider_name != "FARGATE_SPOT":
            raise NotOnSpot(f"task {task_id} runs on {running.task.capacity_provider_name or 'FARGATE'}")
        grace_s = min(fargate.stop_timeout_s(running.container), notice_s)
        self._end(running, "SpotInterruption", "Your Spot Task was interrupted.", grace_s)

    def kill(self, task_id: str) -> None:
        """The container is killed at once, as it is when it takes too much memory.

        Raises:
            UnknownTask: there is none.
        """
        running = self.get(task_id)
        with running.lock:
            if running.process is not None and running.ended is None:
                running.task.containers[0].reason = "OutOfMemoryError: Container killed due to memory usage"
                running.process.kill()

    def _end(self, running: RunningTask, code: str, reason: str, grace_s: float) -> None:
        task = running.task
        with running.lock:
            if running.ended is not None or running.stop_grace_s is not None:
                return
            task.stop_code, task.stopped_reason = code, reason
            task.desired_status, task.last_status = "STOPPED", "DEACTIVATING"
            task.stopping_at = datetime.now(UTC)
            running.stop_grace_s = grace_s
            if running.process is not None:
                _terminate(running.process, grace_s)

    def _run(self, running: RunningTask) -> None:
        """The life of one task, in a thread of its own."""
        try:
            environment = self._environment(running)
            forwarder = self._forwarder(running)
        except ResourceMissing as exc:
            self._failed_to_start(running, str(exc))
            return
        try:
            process = self._start(running, environment)
        except OSError as exc:
            forwarder.finish()
            # This is how an image that cannot be pulled or started looks.
            reason = f"CannotStartContainerError: failed to create containerd task: {exc}"
            self._failed_to_start(running, reason)
            return
        code = process.wait() if process is not None else None
        forwarder.finish()
        with running.lock:
            if running.task.stop_code is None:
                running.task.stop_code = "EssentialContainerExited"
                running.task.stopped_reason = "Essential container in task exited"
            self._ended(running, code)

    def _start(self, running: RunningTask, environment: dict[str, str]) -> Process | None:
        """The process; None when the task was stopped before it came to that."""
        task = running.task
        with running.lock:
            if running.stop_grace_s is not None:
                return None
            running.process = self._host.processes.start(
                running.command, environment=environment, folder=running.folder, output=running.output.path
            )
            running.started = time.time()
            task.started_at = datetime.now(UTC)
            task.last_status = task.containers[0].last_status = "RUNNING"
            return running.process

    def _failed_to_start(self, running: RunningTask, reason: str) -> None:
        with running.lock:
            running.task.stop_code, running.task.stopped_reason = "TaskFailedToStart", reason
            running.task.containers[0].reason = reason
            self._ended(running, None)

    def _ended(self, running: RunningTask, code: int | None) -> None:
        """The task is told to have stopped. Under the task's lock."""
        task = running.task
        running.exit_code = task.containers[0].exitCode = code
        running.ended = time.time()
        task.stopped_at = datetime.now(UTC)
        task.containers[0].last_status = "STOPPED"
        release_network(task)
        task.desired_status = task.last_status = "STOPPED"

    def _environment(self, running: RunningTask) -> dict[str, str]:
        task = running.task
        secrets = {
            secret["name"]: secret_text(task._account_id, task.region_name, secret["valueFrom"])
            for secret in running.container.get("secrets") or []
        }
        return {
            **self._host.environment(task.region_name, home=running.folder),
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            "ECS_CONTAINER_METADATA_URI_V4": f"{self._host.url}/_ecs/v4/{task.id}",
            **fargate.environment_of(running.container, running.override),
            **secrets,
        }

    def _forwarder(self, running: RunningTask) -> LogForwarder:
        """What passes the output on to CloudWatch Logs, or nowhere without the driver awslogs."""
        configuration = running.container.get("logConfiguration") or {}
        options = configuration.get("options") or {}
        if configuration.get("logDriver") != "awslogs":
            return LogForwarder(running.output, lambda lines: None)
        task = running.task
        stream = log_stream(
            task._account_id,
            options.get("awslogs-region") or task.region_name,
            options["awslogs-group"],
            f"{options.get('awslogs-stream-prefix', 'ecs')}/{running.container['name']}/{task.id}",
            create_group=options.get("awslogs-create-group") == "true",
        )
        return LogForwarder(running.output, stream.put)


def _terminate(process: Process, grace_s: float) -> None:
    """SIGTERM now, SIGKILL to what is left after the time."""
    process.terminate()

    def kill_late() -> None:
        if not process.wait_at_most(grace_s):
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    threading.Thread(target=kill_late, daemon=True).start()
