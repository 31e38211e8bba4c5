"""Everything that Local AWS changes in moto, each with its reason. moto 5.2."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaBackend, LambdaFunction, lambda_backends
from moto.awslambda.responses import LambdaResponse
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ecs.exceptions import (
    EcsClientException,
    InvalidParameterException,
    TaskDefinitionNotFoundException,
)
from moto.ecs.models import EC2ContainerServiceBackend, Task
from moto.s3.responses import S3Response

from brew_assets_tests.local_aws import fargate, s3_promises
from brew_assets_tests.local_aws.ecs_tasks import TaskRunner, UnknownTask
from brew_assets_tests.local_aws.lambda_invoker import Invoker, PayloadTooLarge, TooManyRequests
from brew_assets_tests.local_aws.moto_backends import ResourceMissing, assign_public_address, check_network


def install(tasks: TaskRunner, invoker: Invoker) -> None:
    """moto runs what it is asked to run, and keeps S3's promises."""
    _hook_ecs(tasks)
    _hook_lambda(invoker)
    _hook_s3()


def reserved_elsewhere(function: Any) -> int:
    """The concurrency that the other functions of the account have reserved."""
    backend = lambda_backends[function.account_id][function.region]
    others = (one for one in backend.list_functions() if one.function_name != function.function_name)
    return sum(int(one.reserved_concurrency or 0) for one in others)


def _replace(owner: type, name: str, function: Callable[..., Any]) -> None:
    """The method is ours from now on. It has to exist: a renamed one is noticed here."""
    if not hasattr(owner, name):
        raise RuntimeError(f"moto has no {owner.__name__}.{name} any more")
    setattr(owner, name, function)


# -- ECS -----------------------------------------------------------------------------------------------


def _hook_ecs(tasks: TaskRunner) -> None:
    backend = EC2ContainerServiceBackend
    # Tasks read the DNS name of their interface, which moto sets only in a VPC with DNS host names.
    NetworkInterface.private_dns_name = ""
    # moto lets a task pass through its states by the number of DescribeTasks; ours has states of its own.
    _replace(Task, "advance", lambda task: None)
    # moto places tasks on container instances by the memory of their containers. Fargate's have none.
    no_requirements = {"CPU": 0, "MEMORY": 0, "PORTS": [], "PORTS_UDP": []}
    _replace(backend, "_calculate_task_resource_requirements", staticmethod(lambda _: dict(no_requirements)))
    _replace(backend, "register_task_definition", _checked_registration(backend.register_task_definition))
    _replace(backend, "run_task", _real_run_task(backend.run_task, tasks))
    _replace(backend, "stop_task", _real_stop_task(tasks))
    _replace(backend, "start_task", _no_start_task)
    _replace(backend, "list_tasks", _running_by_default(backend.list_tasks))


def _checked_registration(original: Callable[..., Any]) -> Callable[..., Any]:
    """moto accepts sizes that Fargate has not."""

    def register_task_definition(self: Any, *arguments: Any, **named: Any) -> Any:
        if "FARGATE" in (named.get("requires_compatibilities") or []):
            try:
                fargate.check_size(named.get("cpu"), named.get("memory"))
                fargate.storage_gib(named.get("ephemeral_storage"))
            except fargate.Refused as exc:
                raise EcsClientException(str(exc)) from exc
        return original(self, *arguments, **named)

    return register_task_definition


def _real_run_task(original: Callable[..., Any], tasks: TaskRunner) -> Callable[..., Any]:
    """moto's tasks are rows in a table. Ours run, and what Fargate would refuse is refused."""

    def run_task(
        self: Any,
        cluster_str: str,
        task_definition_str: str,
        count: int,
        overrides: dict[str, Any] | None,
        started_by: str,
        tags: list[dict[str, str]] | None,
        launch_type: str | None,
        networking_configuration: dict[str, Any] | None = None,
        group: str | None = None,
        platform_version: str | None = None,
        capacity_provider_strategy: list[dict[str, Any]] | None = None,
    ) -> list[Any]:
        try:
            definition = self.describe_task_definition(task_definition_str)
        except TaskDefinitionNotFoundException as exc:
            raise EcsClientException("TaskDefinition not found.") from exc
        if definition.status != "ACTIVE":
            raise EcsClientException("TaskDefinition is inactive")
        cluster = self._get_cluster(cluster_str)
        try:
            chosen = _providers(cluster, launch_type, capacity_provider_strategy, count)
            size = _size(definition, overrides)
            network = _network(self, networking_configuration)
        except (fargate.Refused, ResourceMissing) as exc:
            raise InvalidParameterException(str(exc)) from exc
        started = []
        for provider in chosen:
            (task,) = original(
                self,
                cluster_str,
                definition.arn,
                1,
                overrides,
                started_by,
                tags,
                "FARGATE",
                network,
                group,
                platform_version,
                None,
            )
            task.capacity_provider_name = provider
            _complete(task, size, public=_wants_public_address(network))
            tasks.launch(task, definition)
            started.append(task)
        return started

    return run_task


def _providers(
    cluster: Any, launch_type: str | None, strategy: list[dict[str, Any]] | None, count: int
) -> list[str | None]:
    """The capacity provider of each task; None for one of launch type FARGATE."""
    if not 1 <= count <= 10:
        raise fargate.Refused("count should be between 1 and 10")
    if launch_type and strategy:
        raise fargate.Refused("Specify either Launch Type or Capacity Provider Strategy, but not both.")
    if launch_type == "FARGATE":
        return [None] * count
    strategy = strategy or cluster.default_capacity_provider_strategy
    if launch_type or not strategy:
        # Without either AWS takes launch type EC2, and there are no instances here.
        raise fargate.Refused("No Container Instances were found in your cluster.")
    return [*fargate.providers(strategy, known=cluster.capacity_providers or [], count=count)]


def _size(definition: Any, overrides: dict[str, Any] | None) -> tuple[str, str, int]:
    """CPU, memory and disk of a task, its overrides applied."""
    if definition.network_mode != "awsvpc":
        raise fargate.Refused("Task definition does not support launch_type FARGATE.")
    fargate.only_container(definition.container_definitions)
    fargate.check_overrides(overrides, definition.container_definitions)
    given = overrides or {}
    cpu, memory = given.get("cpu") or definition.cpu, given.get("memory") or definition.memory
    fargate.check_size(cpu, memory)
    storage = fargate.storage_gib(given.get("ephemeralStorage") or definition.ephemeral_storage)
    return str(cpu), str(memory), storage


def _network(backend: Any, configuration: dict[str, Any] | None) -> dict[str, Any]:
    """The network configuration with the security groups that moto takes for granted."""
    if not configuration or "awsvpcConfiguration" not in configuration:
        raise fargate.Refused(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        )
    network = {"securityGroups": [], **configuration["awsvpcConfiguration"]}
    check_network(backend.account_id, backend.region_name, network)
    return {"awsvpcConfiguration": network}


def _wants_public_address(network: dict[str, Any]) -> bool:
    return bool(network["awsvpcConfiguration"].get("assignPublicIp") == "ENABLED")


def _complete(task: Any, size: tuple[str, str, int], *, public: bool) -> None:
    """The task has the attributes that moto leaves out and DescribeTasks tells."""
    task.cpu, task.memory, storage = size
    task.ephemeral_storage = {"sizeInGiB": storage}
    task.stop_code = None
    # moto: "". The launcher takes None for "has not stopped".
    task.stopped_reason = None
    task.last_status = "PROVISIONING"
    # moto: the definition's ARN, and exit code 0 while it runs.
    task.containers[0].task_arn = task.task_arn
    task.containers[0].exitCode = None
    if public:
        assign_public_address(task)


def _real_stop_task(tasks: TaskRunner) -> Callable[..., Any]:
    """moto's StopTask changes the row only."""

    def stop_task(self: Any, cluster_str: str, task_str: str, reason: str | None) -> Any:
        self._get_cluster(cluster_str)
        try:
            return tasks.stop(task_str, reason=reason or "Task stopped by user")
        except UnknownTask as exc:
            raise InvalidParameterException("The referenced task was not found.") from exc

    return stop_task


def _no_start_task(self: Any, *arguments: Any, **named: Any) -> Any:
    raise InvalidParameterException("Local AWS has no container instances; use RunTask on Fargate.")


def _running_by_default(original: Callable[..., Any]) -> Callable[..., Any]:
    """moto's ListTasks lists stopped tasks too when no status is asked for."""

    def list_tasks(self: Any, *arguments: Any, **named: Any) -> Any:
        found = original(self, *arguments, **named)
        asked = arguments[5] if len(arguments) > 5 else named.get("desiredStatus")
        return found if asked else [task for task in found if task.desired_status == "RUNNING"]

    return list_tasks


# -- Lambda --------------------------------------------------------------------------------------------


class _RequestTooLarge(LambdaClientError):
    code = 413

    def __init__(self, message: str) -> None:
        super().__init__("RequestTooLargeException", message)


def _hook_lambda(invoker: Invoker) -> None:
    # moto runs functions in Docker, answers in one way to all types of invocation, and has a limit of
    # 6,000,000 bytes on the response where AWS has 6,291,556.
    _replace(LambdaResponse, "invoke", _real_invoke(invoker))
    # The way in for moto's other services: EventBridge, SNS, SQS, subscription filters.
    _replace(LambdaFunction, "invoke", _invoke_from_within(invoker))
    _replace(LambdaBackend, "delete_function", _retiring(LambdaBackend.delete_function, invoker))
    # moto forgets the ImageConfig of an update.
    _replace(LambdaFunction, "update_configuration", _with_image(LambdaFunction.update_configuration))


def _real_invoke(invoker: Invoker) -> Callable[..., Any]:
    def invoke(self: Any) -> tuple[int, dict[str, str], str | bytes]:
        name = unquote(self.path.rsplit("/", 2)[-2])
        function = self.backend.get_function(name, self._get_param("Qualifier"))
        kind = self.headers.get("X-Amz-Invocation-Type") or "RequestResponse"
        payload = self.body.encode() if isinstance(self.body, str) else (self.body or b"")
        headers = {"x-amz-executed-version": str(function.version)}
        try:
            json.loads(payload or b"{}")
        except ValueError as exc:
            message = f"Could not parse request body into json: {exc}"
            raise LambdaClientError("InvalidRequestContentException", message) from exc
        try:
            if kind == "DryRun":
                return 204, headers | {"status": "204"}, ""
            if kind == "Event":
                invoker.asynchronous(function, payload or b"{}", retries=_most_retries(function))
                return 202, headers | {"status": "202"}, ""
            answer = invoker.synchronous(function, payload or b"{}")
        except PayloadTooLarge as exc:
            raise _RequestTooLarge(str(exc)) from exc
        except TooManyRequests as exc:
            return _throttled(exc)
        headers["Content-Type"] = "application/json"
        if answer.failed:
            headers["x-amz-function-error"] = "Unhandled"
        if self.headers.get("X-Amz-Log-Type") == "Tail":
            headers["x-amz-log-result"] = answer.log_tail
        return 200, headers, answer.payload

    return invoke


def _throttled(exc: TooManyRequests) -> tuple[int, dict[str, str], str]:
    headers = {
        # moto takes the status from here.
        "status": "429",
        "Content-Type": "application/json",
        "x-amzn-ErrorType": "TooManyRequestsException",
        "Retry-After": str(exc.retry_after_s),
    }
    return 429, headers, json.dumps({"Reason": exc.reason, "Type": "User", "message": "Rate Exceeded."})


def _most_retries(function: Any) -> int:
    """How often a failed event is tried again: twice, or what its event invoke configuration says."""
    for configuration in reversed(function.event_invoke_config):
        most = configuration.config.get("MaximumRetryAttempts")
        if most is not None:
            return int(most)
    return 2


def _invoke_from_within(invoker: Invoker) -> Callable[..., Any]:
    def invoke(self: Any, body: Any, request_headers: Any, response_headers: Any) -> bytes:
        payload = body.encode() if isinstance(body, str) else (body or b"{}")
        invoker.asynchronous(self, payload, retries=_most_retries(self))
        return b""

    return invoke


def _retiring(original: Callable[..., Any], invoker: Invoker) -> Callable[..., Any]:
    def delete_function(self: Any, function_name: str, qualifier: str | None = None) -> Any:
        function = self.get_function(function_name, None)
        answer = original(self, function_name, qualifier)
        invoker.retire(function.function_arn)
        return answer

    return delete_function


def _with_image(original: Callable[..., Any]) -> Callable[..., Any]:
    def update_configuration(self: Any, config_updates: dict[str, Any]) -> Any:
        if image := config_updates.get("ImageConfig"):
            self.image_config = type(self.image_config)(image)
        return original(self, config_updates)

    return update_configuration


# -- S3 ------------------------------------------------------------------------------------------------


def _hook_s3() -> None:
    put = s3_promises.remembering_put(S3Response.put_object)
    _replace(S3Response, "put_object", s3_promises.checked_put(put))
    _replace(S3Response, "upload_part", s3_promises.checked_put(S3Response.upload_part))
    _replace(S3Response, "copy_object", s3_promises.conditional_copy(S3Response.copy_object))
    head = s3_promises.honest_head(S3Response.head_object)
    _replace(S3Response, "head_object", head)
    # The first completes multipart uploads, among other things.
    for name in ("_key_response_post", "delete_object"):
        _replace(S3Response, name, s3_promises.one_at_a_time(getattr(S3Response, name)))
