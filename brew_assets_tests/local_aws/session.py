"""Local AWS as a test has it: a process of its own, clients of it, and a view of what it runs."""

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import botocore.session
import msgspec
from botocore.config import Config

from brew_assets_tests.local_aws.records import (
    ACCESS_KEY,
    REGION,
    SECRET_KEY,
    Interruption,
    InvocationRecord,
    KillNext,
    Outage,
    Ready,
    TaskRecord,
    Throttle,
)

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 10.0
_POLL_S = 0.03

_T = TypeVar("_T")


class NotInTime(AssertionError):
    """What was waited for has not come true."""


class Refused(AssertionError):
    """Local AWS does not do what the test asked of it."""


def wait_for(
    condition: Callable[[], _T | None], *, what: str | Callable[[], str], timeout_s: float = 30.0
) -> _T:
    """The condition's first answer that is true; `what` may be asked for when there was none.

    Raises:
        NotInTime: none was until then.
    """
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise NotInTime(f"{what if isinstance(what, str) else what()}: not within {timeout_s} s")
        time.sleep(_POLL_S)
    return answer


class LocalAws:
    """A running Local AWS; a context manager. Its state is a temporary folder of its own."""

    def __init__(
        self, *, account_concurrency: int = 1000, async_retry_delay_s: float = 0.2, state: Path | None = None
    ) -> None:
        self._options = [
            f"--account-concurrency={account_concurrency}",
            f"--async-retry-delay-s={async_retry_delay_s}",
        ]
        self._given_state = state
        self._session = botocore.session.Session()
        self.url = ""
        self.pid = 0

    def __enter__(self) -> Self:
        self.state = self._given_state or Path(tempfile.mkdtemp(prefix="local-aws-"))
        self._errors = self.state / "local-aws.log"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "brew_assets_tests.local_aws"),
                    *("--port=0", f"--state={self.state}", "--until-stdin-closes"),
                    *self._options,
                ],
                # Its end is ours: the kernel closes the pipe even when this process is killed.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=Path(__file__).parents[2],
                env=_server_environment(),
                start_new_session=True,
            )
        assert self._process.stdout is not None
        answered, _, _ = select.select([self._process.stdout], [], [], _START_TIMEOUT_S)
        line = self._process.stdout.readline() if answered else b""
        if not line:
            errors_told = self.errors()[-3000:]
            self.__exit__(None, None, None)
            raise RuntimeError(f"Local AWS did not start:\n{errors_told}")
        ready = msgspec.json.decode(line, type=Ready)
        self.url, self.pid = ready.url, ready.pid
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            # Its reaper ends what it had started.
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if self._given_state is None:
            shutil.rmtree(self.state, ignore_errors=True)

    def errors(self) -> str:
        """What the server itself has complained of."""
        return self._errors.read_text(errors="replace")

    def environment(self) -> dict[str, str]:
        """The variables by which any AWS client finds it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str, *, config: Config | None = None) -> Any:
        """A client of one service."""
        return self._session.create_client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(s3={"addressing_style": "path"}).merge(config or Config()),
        )

    # -- ECS -------------------------------------------------------------------------------------------

    def tasks(self) -> list[TaskRecord]:
        """All tasks in the order of their start, the stopped ones too."""
        return msgspec.json.decode(self._ask("tasks"), type=list[TaskRecord])

    def task(self, task_id: str) -> TaskRecord:
        """The task of this id or ARN."""
        return next(task for task in self.tasks() if task.id == task_id.rsplit("/", maxsplit=1)[-1])

    def interrupt_spot(self, task_id: str, notice_s: float = 120.0) -> None:
        """Spot takes its capacity back: SIGTERM now, SIGKILL after the stop timeout or the notice.

        Raises:
            Refused: there is no such task, or it is not on FARGATE_SPOT.
        """
        self._tell(f"tasks/{_last(task_id)}/interrupt", Interruption(notice_s=notice_s))

    def kill_task(self, task_id: str) -> None:
        """SIGKILL to all processes of the task, as when it takes too much memory.

        Raises:
            Refused: there is no such task.
        """
        self._tell(f"tasks/{_last(task_id)}/kill")

    def wait_for_task(self, task_id: str, status: str = "STOPPED", *, timeout_s: float = 30.0) -> TaskRecord:
        """The task, once it has that status.

        Raises:
            NotInTime: it has not until then.
        """

        def reached() -> TaskRecord | None:
            task = self.task(task_id)
            return task if task.status == status else None

        return wait_for(reached, what=f"task {task_id} {status}", timeout_s=timeout_s)

    def wait_for_output(self, task_id: str, text: str, *, timeout_s: float = 30.0) -> TaskRecord:
        """The task, once it has written the text.

        Raises:
            NotInTime: it has not until then.
        """

        def written() -> TaskRecord | None:
            task = self.task(task_id)
            return task if text in task.log else None

        return wait_for(written, what=f"{text!r} from task {task_id}", timeout_s=timeout_s)

    # -- Lambda ----------------------------------------------------------------------------------------

    def invocations(self, function: str | None = None) -> list[InvocationRecord]:
        """All invocations in the order of their start, those of one function if it is named."""
        records = msgspec.json.decode(self._ask("invocations"), type=list[InvocationRecord])
        return [record for record in records if function in (None, record.function)]

    def wait_for_invocations(
        self, count: int, *, function: str | None = None, ended: bool = True, timeout_s: float = 30.0
    ) -> list[InvocationRecord]:
        """The invocations, once there are that many (that have ended).

        Raises:
            NotInTime: there are not until then.
        """

        def reached() -> list[InvocationRecord] | None:
            records = self.invocations(function)
            counted = [record for record in records if record.ended is not None or not ended]
            return records if len(counted) >= count else None

        return wait_for(reached, what=f"{count} invocations of {function or 'all'}", timeout_s=timeout_s)

    def throttle_invokes(self, count: int, *, retry_after_s: int = 1) -> None:
        """The next `count` Invoke calls are answered with 429 TooManyRequestsException."""
        self._tell("throttle", Throttle(count=count, retry_after_s=retry_after_s))

    def take_down(self, service: str, *, status: int = 503) -> None:
        """Calls of the service ("sns", "monitoring", …) are answered with that status from now on."""
        self._tell("outage", Outage(service=service, status=status))

    def bring_back(self, service: str) -> None:
        """The service answers as usual."""
        self._tell("outage", Outage(service=service, status=0))

    def kill_invocation(self, request_id: str) -> None:
        """SIGKILL to the environment that runs it.

        Raises:
            Refused: it does not run.
        """
        self._tell(f"invocations/{request_id}/kill")

    def kill_next_invocation(
        self, *, after_s: float | None = None, on_output: str | None = None, function: str | None = None
    ) -> None:
        """SIGKILL to the environment of the next invocation, after a time or once it has written a text."""
        if after_s is None and on_output is None:
            raise ValueError("expected after_s or on_output")
        self._tell("kill-next", KillNext(after_s=after_s, on_output=on_output, function=function))

    # -- its own paths ---------------------------------------------------------------------------------

    def _ask(self, path: str) -> bytes:
        return self._request(path, None)

    def _tell(self, path: str, document: msgspec.Struct | None = None) -> None:
        self._request(path, msgspec.json.encode(document) if document is not None else b"{}")

    def _request(self, path: str, body: bytes | None) -> bytes:
        request = urllib.request.Request(f"{self.url}/_local/{path}", data=body)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as response:
                data: bytes = response.read()
                return data
        except urllib.error.HTTPError as exc:
            raise Refused(json.loads(exc.read()).get("error", "")) from exc


def _server_environment() -> Mapping[str, str]:
    """Ours without what would send the server's own clients elsewhere or change how moto answers."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "MOTO_", "WERKZEUG_"))
    }


def _last(task_id: str) -> str:
    return task_id.rsplit("/", maxsplit=1)[-1]
