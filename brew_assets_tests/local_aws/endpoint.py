"""The one address: moto's services, the tasks' metadata endpoint, and what tests ask and plan."""

import json
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Request, Response

from brew_assets_tests.local_aws import moto_hooks
from brew_assets_tests.local_aws.ecs_tasks import NotOnSpot, TaskRunner, UnknownTask
from brew_assets_tests.local_aws.host import Host
from brew_assets_tests.local_aws.lambda_invoker import Invoker, NotRunning
from brew_assets_tests.local_aws.records import Interruption, KillNext, Outage, Throttle

WsgiAnswer = Iterable[bytes]


class LocalAwsServer:
    """moto with compute behind it, on one loopback port."""

    def __init__(
        self, state: Path, *, port: int = 0, account_concurrency: int = 1000, async_retry_delay_s: float = 0.2
    ) -> None:
        self._host = Host(state)
        self._tasks = TaskRunner(self._host)
        self._invoker = Invoker(
            self._host,
            reserved_elsewhere=moto_hooks.reserved_elsewhere,
            account_concurrency=account_concurrency,
            async_retry_delay_s=async_retry_delay_s,
        )
        moto_hooks.install(self._tasks, self._invoker)
        self._outages: dict[str, int] = {}
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer = make_server(
            "127.0.0.1", port, self._answer, threaded=True, request_handler=_QuietHandler
        )
        self._host.url = self.url = f"http://127.0.0.1:{self._server.server_port}"

    def serve(self) -> None:
        """Returns after `close`."""
        self._server.serve_forever()

    def close(self) -> None:
        """Every process that it started is ended."""
        self._host.processes.close()
        threading.Thread(target=self._server.shutdown, daemon=True).start()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> WsgiAnswer:
        path = environ.get("PATH_INFO", "")
        if path.startswith("/_ecs/v4/"):
            return self._metadata(path)(environ, start_response)
        if path.startswith("/_local/"):
            return self._local(Request(environ))(environ, start_response)
        if status := self._outages.get(_signed_service(environ)):
            # Without a body: every protocol of AWS takes that for an error of the service.
            return Response(status=status)(environ, start_response)
        answer: WsgiAnswer = self._moto(environ, start_response)
        return answer

    def _metadata(self, path: str) -> Response:
        """The task metadata endpoint, version 4."""
        task_id, _, what = path.removeprefix("/_ecs/v4/").partition("/")
        try:
            running = self._tasks.get(task_id)
        except UnknownTask:
            return Response(status=404)
        document = running.task_metadata() if what == "task" else running.container_metadata()
        return _json(json.dumps(document).encode())

    def _local(self, request: Request) -> Response:
        """What `session.LocalAws` asks for."""
        body = request.get_data()
        try:
            match request.method, request.path.removeprefix("/_local/").split("/"):
                case "GET", ["tasks"]:
                    return _json(msgspec.json.encode(self._tasks.records()))
                case "GET", ["invocations"]:
                    return _json(msgspec.json.encode(self._invoker.records()))
                case "POST", ["tasks", task_id, "interrupt"]:
                    interruption = msgspec.json.decode(body, type=Interruption)
                    self._tasks.interrupt_spot(task_id, notice_s=interruption.notice_s)
                case "POST", ["tasks", task_id, "kill"]:
                    self._tasks.kill(task_id)
                case "POST", ["invocations", request_id, "kill"]:
                    self._invoker.kill(request_id)
                case "POST", ["throttle"]:
                    self._invoker.throttle(msgspec.json.decode(body, type=Throttle))
                case "POST", ["outage"]:
                    outage = msgspec.json.decode(body, type=Outage)
                    self._outages[outage.service] = outage.status
                case "POST", ["kill-next"]:
                    self._invoker.kill_next(msgspec.json.decode(body, type=KillNext))
                case _:
                    return _json(b'{"error": "unknown path"}', status=404)
        except (UnknownTask, NotRunning, NotOnSpot) as exc:
            reason = f"{type(exc).__name__}: {exc}"
            return _json(json.dumps({"error": reason}).encode(), status=409)
        return _json(b"{}")


def _signed_service(environ: dict[str, Any]) -> str:
    """The service in the request's signature: Credential=<key>/<date>/<region>/<service>/aws4_request."""
    _, _, scope = str(environ.get("HTTP_AUTHORIZATION", "")).partition("Credential=")
    parts = scope.split(",")[0].split("/")
    return parts[3] if len(parts) == 5 else ""


class _QuietHandler(MotoRequestHandler):
    """No line per request."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing but errors."""
        if type == "error":
            super().log(type, message, *args)


def _json(body: bytes, *, status: int = 200) -> Response:
    return Response(body, status=status, content_type="application/json")
