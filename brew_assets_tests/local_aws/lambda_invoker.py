"""Invoke: warm environments, concurrency, payload limits, asynchronous retries, and planned faults."""

import base64
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from brew_assets_tests.local_aws.host import Host
from brew_assets_tests.local_aws.lambda_environment import Environment, Outcome, environment_key
from brew_assets_tests.local_aws.output import OutputFile
from brew_assets_tests.local_aws.records import (
    MOST_PAYLOAD_BYTES,
    InvocationRecord,
    KillNext,
    Throttle,
)

MOST_SYNCHRONOUS_BYTES = 6 * 1024 * 1024
MOST_ASYNCHRONOUS_BYTES = 1024 * 1024
_TAIL_BYTES = 4096
_WATCH_EVERY_S = 0.02

InvocationType = Literal["RequestResponse", "Event"]


class TooManyRequests(Exception):
    """429: no environment may be added. `reason` is AWS's word for why."""

    def __init__(self, reason: str, *, retry_after_s: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class PayloadTooLarge(Exception):
    """413: the request's payload is over the limit of its type."""


class NotRunning(Exception):
    """There is no running invocation of this id."""


class Invocation:
    """One execution, from its start on."""

    def __init__(self, function: str, request_id: str, payload: bytes, kind: InvocationType) -> None:
        self.function = function
        self.request_id = request_id
        self.payload = payload
        self.kind = kind
        self.cold = False
        self.environment: Environment | None = None
        self.mark = 0
        self.outcome: Outcome | None = None
        self.started = time.time()
        self.ended: float | None = None

    def record(self) -> InvocationRecord:
        """What is known of it now."""
        # In the other order than they are set: what is told to have ended has a result too.
        ended = self.ended
        outcome = self.outcome
        log = outcome.log if outcome else ""
        if outcome is None and self.environment is not None:
            log = self.environment.output.since(self.mark)
        return InvocationRecord(
            function=self.function,
            request_id=self.request_id,
            environment_pid=self.environment.pid if self.environment else None,
            cold=self.cold,
            payload=self.payload[:MOST_PAYLOAD_BYTES].decode("utf-8", "replace"),
            type=self.kind,
            result=outcome.result if outcome else "running",
            started=self.started,
            ended=ended,
            log=log,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the caller of a synchronous Invoke gets."""

    payload: bytes
    failed: bool
    log_tail: str


class Invoker:
    """Runs the functions of all regions."""

    def __init__(
        self,
        host: Host,
        *,
        reserved_elsewhere: Callable[[Any], int],
        account_concurrency: int,
        async_retry_delay_s: float,
    ) -> None:
        self._host = host
        # Concurrency that other functions have reserved for themselves.
        self._reserved_elsewhere = reserved_elsewhere
        self._account_concurrency = account_concurrency
        self._async_retry_delay_s = async_retry_delay_s
        self._lock = threading.Lock()
        self._idle: dict[str, list[Environment]] = {}
        self._busy: dict[str, int] = {}
        self._unreserved_busy = 0
        self._invocations: list[Invocation] = []
        self._throttle = Throttle(count=0)
        self._kills: list[KillNext] = []

    # -- Invoke ----------------------------------------------------------------------------------------

    def synchronous(self, function: Any, payload: bytes) -> Answer:
        """The answer to a caller who waits.

        Raises:
            PayloadTooLarge: over 6 MB.
            TooManyRequests: no environment may be added, or a planned throttle.
        """
        _check_size(payload, "RequestResponse", MOST_SYNCHRONOUS_BYTES)
        self._check_throttle()
        outcome = self._execute(function, str(uuid.uuid4()), payload, "RequestResponse")
        tail = base64.b64encode(outcome.log.encode()[-_TAIL_BYTES:]).decode()
        return Answer(payload=outcome.payload, failed=outcome.result != "ok", log_tail=tail)

    def asynchronous(self, function: Any, payload: bytes, *, retries: int = 2) -> None:
        """The event is accepted; it runs from a thread of its own, again when it fails.

        Raises:
            PayloadTooLarge: over 1 MB.
            TooManyRequests: a planned throttle.
        """
        _check_size(payload, "Event", MOST_ASYNCHRONOUS_BYTES)
        self._check_throttle()
        request_id = str(uuid.uuid4())

        def deliver() -> None:
            left = retries + 1
            while left:
                try:
                    if self._execute(function, request_id, payload, "Event").result == "ok":
                        return
                    left -= 1
                except TooManyRequests:
                    # Waits in the queue (for hours, at AWS) without being counted as a try.
                    pass
                time.sleep(self._async_retry_delay_s)

        threading.Thread(target=deliver, daemon=True).start()

    def _execute(self, function: Any, request_id: str, payload: bytes, kind: InvocationType) -> Outcome:
        invocation = Invocation(function.function_name, request_id, payload, kind)
        reserved = function.reserved_concurrency is not None
        environment = self._acquire(function, reserved=reserved)
        try:
            if environment is None:
                environment = Environment(self._host, function)
            invocation.environment = environment
            invocation.cold = not environment.used
            invocation.mark = 0 if invocation.cold else environment.output.size()
            with self._lock:
                self._invocations.append(invocation)
                kill = self._next_kill(function.function_name)
            if kill is not None:
                threading.Thread(target=_carry_out, args=[kill, invocation], daemon=True).start()
            invocation.outcome = environment.invoke(request_id, payload, timeout_s=float(function.timeout))
            invocation.ended = time.time()
            return invocation.outcome
        finally:
            self._release(function, environment, reserved=reserved)

    def _acquire(self, function: Any, *, reserved: bool) -> Environment | None:
        """A warm environment, None when one has to be made."""
        key = environment_key(function)
        with self._lock:
            busy = self._busy.get(function.function_arn, 0)
            if reserved and busy >= int(function.reserved_concurrency):
                raise TooManyRequests("ReservedFunctionConcurrentInvocationLimitExceeded", retry_after_s=1)
            if not reserved:
                left = self._account_concurrency - self._reserved_elsewhere(function)
                if self._unreserved_busy >= left:
                    raise TooManyRequests("ConcurrentInvocationLimitExceeded", retry_after_s=1)
                self._unreserved_busy += 1
            self._busy[function.function_arn] = busy + 1
            idle = self._idle.setdefault(function.function_arn, [])
            # Environments of an older code or configuration are not used again.
            outdated = [one for one in idle if one.dead or one.key != key]
            idle[:] = [one for one in idle if one not in outdated]
            chosen = idle.pop() if idle else None
        for one in outdated:
            one.kill()
        return chosen

    def _release(self, function: Any, environment: Environment | None, *, reserved: bool) -> None:
        with self._lock:
            self._busy[function.function_arn] -= 1
            if not reserved:
                self._unreserved_busy -= 1
            if environment is not None and not environment.dead:
                self._idle[function.function_arn].append(environment)

    def retire(self, function_arn: str) -> None:
        """The function is deleted: its idle environments end."""
        with self._lock:
            idle = self._idle.pop(function_arn, [])
            self._idle[function_arn] = []
        for one in idle:
            one.kill()

    # -- what tests see and plan -----------------------------------------------------------------------

    def records(self) -> list[InvocationRecord]:
        """All invocations in the order of their start."""
        with self._lock:
            invocations = list(self._invocations)
        return [invocation.record() for invocation in invocations]

    def throttle(self, throttle: Throttle) -> None:
        """The next Invoke calls are refused."""
        with self._lock:
            self._throttle = throttle

    def kill_next(self, kill: KillNext) -> None:
        """The environment of the next invocation will be killed."""
        with self._lock:
            self._kills.append(kill)

    def kill(self, request_id: str) -> None:
        """The environment that runs this invocation is killed.

        Raises:
            NotRunning: none does.
        """
        with self._lock:
            running = [one for one in self._invocations if one.request_id == request_id and one.ended is None]
        if not running or running[-1].environment is None:
            raise NotRunning(request_id)
        running[-1].environment.kill()

    def _check_throttle(self) -> None:
        with self._lock:
            left = self._throttle
            if left.count > 0:
                self._throttle = Throttle(count=left.count - 1, retry_after_s=left.retry_after_s)
                raise TooManyRequests("CallerRateLimitExceeded", retry_after_s=left.retry_after_s)

    def _next_kill(self, function: str) -> KillNext | None:
        """The plan for this invocation, which is thereby used up. Under the lock."""
        for kill in self._kills:
            if kill.function in (None, function):
                self._kills.remove(kill)
                return kill
        return None


def _check_size(payload: bytes, kind: str, limit: int) -> None:
    if len(payload) > limit:
        raise PayloadTooLarge(
            f"{len(payload)} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
        )


def _carry_out(kill: KillNext, invocation: Invocation) -> None:
    """The invocation's environment is killed as planned, if the invocation lasts that long."""
    environment = invocation.environment
    if environment is None:
        return
    begun = time.monotonic()
    output: OutputFile = environment.output
    while invocation.ended is None:
        late = kill.after_s is not None and time.monotonic() - begun >= kill.after_s
        said = kill.on_output is not None and kill.on_output in output.since(invocation.mark)
        if late or said:
            environment.kill()
            return
        time.sleep(_WATCH_EVERY_S)
