"""What Local AWS tells of the work that it ran: the server writes these documents, the session reads them."""

from typing import Literal

import msgspec

# The account that tests and tasks act as. Nothing is checked against it.
REGION = "us-east-1"
ACCESS_KEY, SECRET_KEY = "local-access-key", "local-secret-key"
# Longer logs and payloads are told by their ends.
MOST_LOG_BYTES = 1024 * 1024
MOST_PAYLOAD_BYTES = 1024 * 1024

InvocationResult = Literal["running", "ok", "error", "timeout", "exit"]


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One ECS task. Times are seconds since the epoch, None while it has not come to that."""

    id: str
    arn: str
    cluster_arn: str
    family: str
    revision: int
    command: list[str]
    cpu: str
    memory: str
    ephemeral_storage_gib: int
    capacity_provider: str | None
    tags: dict[str, str]
    pid: int | None
    status: str
    stop_code: str | None
    stopped_reason: str | None
    exit_code: int | None
    created: float
    started: float | None
    ended: float | None
    log: str


class InvocationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a Lambda function; the retries of an asynchronous one share its request id."""

    function: str
    request_id: str
    environment_pid: int | None
    cold: bool
    payload: str
    type: Literal["RequestResponse", "Event"]
    result: InvocationResult
    started: float
    ended: float | None
    log: str


class Throttle(msgspec.Struct, frozen=True, kw_only=True):
    """The next `count` Invoke calls are refused."""

    count: int
    retry_after_s: int = 1


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """Every call of a service, by the name that it is signed for, is answered so; 0 ends that."""

    service: str
    status: int


class KillNext(msgspec.Struct, frozen=True, kw_only=True):
    """The environment of the next invocation is killed after a time, or once its output has a text."""

    after_s: float | None = None
    on_output: str | None = None
    function: str | None = None


class Interruption(msgspec.Struct, frozen=True, kw_only=True):
    """Spot takes its capacity back: SIGTERM now, SIGKILL after the stop timeout or the notice."""

    notice_s: float = 120.0


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The line that the server prints once it answers."""

    url: str
    pid: int
