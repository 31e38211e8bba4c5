"""The Runtime API of one Lambda environment: what awslambdaric asks for work and answers to.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. awslambdaric takes an address without a path,
so each environment has a port of its own.
"""

import queue
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What a response may have at most; the request's limit is 100 bytes less.
MOST_RESPONSE_BYTES = 6 * 1024 * 1024 + 100


@dataclass(slots=True, kw_only=True)
class Work:
    """One invocation as the runtime sees it, and its outcome: ("ok" | "error" | "exit" | "large", body)."""

    request_id: str
    payload: bytes
    function_arn: str
    deadline_ms: int
    trace_id: str = "Root=1-00000000-000000000000000000000000;Sampled=0"
    outcome: "queue.Queue[tuple[str, bytes]]" = field(default_factory=queue.Queue)


class RuntimeApi:
    """A loopback server that hands out work, one piece at a time."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.init_error: bytes | None = None
        self._work: queue.Queue[Work | None] = queue.Queue()
        self._current: Work | None = None
        api = self

        class Handler(_Handler):
            runtime = api

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        ).start()

    def hand_out(self, work: Work) -> None:
        """The runtime gets it when it next asks."""
        self._current = work
        self._work.put(work)

    def next(self) -> Work | None:
        """The next piece of work, None when the environment has ended."""
        self.ready.set()
        return self._work.get()

    def settle(self, kind: str, body: bytes, request_id: str | None = None) -> None:
        """The current work has this outcome; later ones are ignored."""
        work = self._current
        if work is not None and request_id in (None, work.request_id):
            work.outcome.put((kind, body))

    def close(self) -> None:
        """No work any more."""
        self._work.put(None)
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a runtime that is killed drops its connections."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    runtime: RuntimeApi

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the runtime's requests are no news."""

    def do_GET(self) -> None:
        work = self.runtime.next() if self.path.endswith("/runtime/invocation/next") else None
        if work is None:
            self._answer(404, b"{}", {})
            return
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": work.request_id,
            "Lambda-Runtime-Deadline-Ms": str(work.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": work.function_arn,
            "Lambda-Runtime-Trace-Id": work.trace_id,
        }
        self._answer(200, work.payload, headers)

    def do_POST(self) -> None:
        body = self._body()
        *_, subject, what = self.path.split("/")
        if what == "response" and len(body) > MOST_RESPONSE_BYTES:
            self.runtime.settle("large", b"", subject)
            self._answer(413, b'{"errorType": "RequestEntityTooLarge"}', {})
            return
        if what == "response":
            self.runtime.settle("ok", body, subject)
        elif subject == "init":
            self.runtime.init_error = body
            self.runtime.ready.set()
            self.runtime.settle("error", body)
        else:
            self.runtime.settle("error", body, subject)
        self._answer(202, b'{"status": "OK"}', {})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0].strip() or b"0", 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
