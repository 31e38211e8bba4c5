"""One execution environment of a Lambda function: its code, a process under awslambdaric, its Runtime API."""

import io
import json
import math
import queue
import sys
import threading
import time
import uuid
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from brew_assets_tests.local_aws.host import Host
from brew_assets_tests.local_aws.moto_backends import log_stream
from brew_assets_tests.local_aws.output import OutputFile
from brew_assets_tests.local_aws.records import InvocationResult
from brew_assets_tests.local_aws.runtime_api import MOST_RESPONSE_BYTES, RuntimeApi, Work

# Lambda gives initialization 10 s of its own; what takes longer is at the cost of the invocation.
INIT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an invocation ended: its payload, and the log lines that are its own."""

    result: InvocationResult
    payload: bytes
    log: str


class Environment:
    """A process that has a function's code and runs one invocation at a time."""

    def __init__(self, host: Host, function: Any) -> None:
        self.function = function
        self.key = environment_key(function)
        self.identity = uuid.uuid4().hex
        self.dead = False
        self.used = False
        self._created = time.monotonic()
        self._init_s: float | None = None
        self._exited = threading.Event()
        self._exit_code = 0
        root = host.folder("functions", function.function_name, self.identity[:12])
        self._code = root / "task"
        self._code.mkdir()
        if function.package_type == "Zip":
            with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as archive:
                archive.extractall(self._code)
        self.output = OutputFile(root / "output.log")
        (root / "tmp").mkdir()
        self._api = RuntimeApi()
        today = datetime.now(UTC)
        self._stream = log_stream(
            function.account_id,
            function.region,
            function.logs_group_name,
            f"{today:%Y/%m/%d}/[{function.version}]{self.identity}",
            create_group=True,
        )
        environment = host.environment(function.region, home=root) | {"TMPDIR": str(root / "tmp")}
        self._process = host.processes.start(
            self._command(),
            environment=environment | self._variables(),
            folder=self._code,
            output=self.output.path,
        )
        self.pid = self._process.pid
        threading.Thread(target=self._watch, daemon=True).start()

    def invoke(self, request_id: str, payload: bytes, *, timeout_s: float) -> Outcome:
        """The invocation's outcome. The environment is dead after anything but "ok" and "error"."""
        cold, self.used = not self.used, True
        mark = 0 if cold else self.output.size()
        self._wait_for_init()
        started = time.monotonic()
        work = Work(
            request_id=request_id,
            payload=payload,
            function_arn=self.function.function_arn,
            deadline_ms=int((time.time() + timeout_s) * 1000),
        )
        self._api.hand_out(work)
        if self._api.init_error is not None:
            work.outcome.put(("error", self._api.init_error))
        elif self.dead:
            work.outcome.put(("exit", b""))
        try:
            kind, body = work.outcome.get(timeout=timeout_s)
        except queue.Empty:
            kind, body = "timeout", b""
        memory_mb = self._process.peak_memory_mb()
        if kind in ("timeout", "large"):
            self.kill()
        elif kind == "exit":
            self._exited.wait(5)
        duration_ms = (time.monotonic() - started) * 1000
        result, body = self._told(kind, body, request_id, timeout_s)
        log = self._log(
            request_id, result, mark=mark, cold=cold, duration_ms=duration_ms, memory_mb=memory_mb
        )
        return Outcome(result=result, payload=body, log=log)

    def kill(self) -> None:
        """SIGKILL: whatever it was doing ends here."""
        self.dead = True
        self._process.kill()

    def _wait_for_init(self) -> None:
        if self._init_s is None:
            self._api.ready.wait(INIT_TIMEOUT_S)
            self._init_s = time.monotonic() - self._created

    def _watch(self) -> None:
        """In a thread of its own: the end of the process ends the environment."""
        self._exit_code = self._process.wait()
        self.dead = True
        self._exited.set()
        self._api.settle("exit", b"")
        self._api.ready.set()
        self._api.close()

    def _command(self) -> list[str]:
        runtime = [sys.executable, "-m", "awslambdaric"]
        if self.function.package_type == "Zip":
            return [*runtime, self.function.handler]
        image = self.function.image_config
        return [*(image.entry_point or runtime), *image.cmd]

    def _variables(self) -> dict[str, str]:
        function = self.function
        handler = (
            function.handler if function.package_type == "Zip" else (function.image_config.cmd or [""])[0]
        )
        reserved = {
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "AWS_LAMBDA_FUNCTION_VERSION": str(function.version),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_LOG_GROUP_NAME": function.logs_group_name,
            "AWS_LAMBDA_LOG_STREAM_NAME": self._stream.name,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "LAMBDA_TASK_ROOT": str(self._code),
            "_HANDLER": handler,
            "TZ": ":UTC",
        }
        if function.package_type == "Zip":
            reserved["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{function.run_time}"
        return {name: str(value) for name, value in function.environment_vars.items()} | reserved

    def _told(
        self, kind: str, body: bytes, request_id: str, timeout_s: float
    ) -> tuple[InvocationResult, bytes]:
        """The result and the payload that the caller gets, in AWS's words."""
        if kind == "ok":
            return "ok", body
        if kind == "error":
            # An environment whose initialization failed is not used again.
            self.dead = self.dead or self._api.init_error is not None
            return "error", body
        if kind == "timeout":
            message = f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds"
            return "timeout", _error("Sandbox.Timedout", message)
        if kind == "large":
            message = (
                f"Response payload size exceeded maximum allowed payload size ({MOST_RESPONSE_BYTES} bytes)."
            )
            return "error", _error("Function.ResponseSizeTooLarge", message)
        how = "signal: killed" if self._exit_code == 137 else f"exit status {self._exit_code}"
        return "exit", _error(
            "Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited with error: {how}"
        )

    def _log(
        self,
        request_id: str,
        result: InvocationResult,
        *,
        mark: int,
        cold: bool,
        duration_ms: float,
        memory_mb: int,
    ) -> str:
        """The invocation's lines, which now stand in CloudWatch Logs too."""
        report = (
            f"REPORT RequestId: {request_id}\tDuration: {duration_ms:.2f} ms\t"
            f"Billed Duration: {math.ceil(duration_ms)} ms\tMemory Size: {self.function.memory_size} MB\t"
            f"Max Memory Used: {memory_mb} MB\t"
        )
        if cold and self._init_s is not None:
            report += f"Init Duration: {self._init_s * 1000:.2f} ms\t"
        if result in ("timeout", "exit"):
            report += "Status: timeout\t" if result == "timeout" else "Status: error\t"
        lines = [
            f"START RequestId: {request_id} Version: {self.function.version}",
            *self.output.since(mark).splitlines(),
            f"END RequestId: {request_id}",
            report,
        ]
        if result == "timeout":
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
            seconds = f"{self.function.timeout:.2f}"
            lines.append(f"{now}Z {request_id} Task timed out after {seconds} seconds")
        self._stream.put(lines)
        return "\n".join(lines) + "\n"


def environment_key(function: Any) -> tuple[Any, ...]:
    """What an environment is made from: code and configuration."""
    image = function.image_config
    return (
        getattr(function, "code_sha_256", ""),
        function.handler,
        tuple(image.cmd),
        tuple(image.entry_point),
        function.memory_size,
        tuple(sorted(function.environment_vars.items())),
    )


def _error(error_type: str, message: str) -> bytes:
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()
