"""A Slack that takes messages on loopback, checks them by Slack's rules, and fails when it is told to."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from brew_assets_tests.slack_rules import problems_of

PATH = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody posted, and what was answered."""

    body: dict[str, Any]
    problems: list[str]
    status: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer other than "ok".

    `arrived` is set when the post is there; `after` is awaited before the answer is given.
    """

    status: int
    text: str = ""
    headers: Mapping[str, str] = {}
    arrived: threading.Event | None = None
    after: threading.Event | None = None


class SlackSink:
    """The sink; `url` is its webhook."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_address[1]}{PATH}"
        self.posted: list[Posted] = []
        self.arrived = threading.Condition()
        self._answers: list[Answer] = []
        self._always: Answer | None = None

    def answer_next(self, *answers: Answer) -> None:
        """The next posts get these answers, one each."""
        self._answers.extend(answers)

    def answer_always(self, answer: Answer | None) -> None:
        """Every post gets this answer; None ends that."""
        self._always = answer

    @property
    def taken(self) -> list[dict[str, Any]]:
        """The messages that were accepted, in order."""
        return [posted.body for posted in self.posted if posted.status == 200]

    @property
    def texts(self) -> list[str]:
        """Their texts."""
        return [body["text"] for body in self.taken]

    @property
    def problems(self) -> list[str]:
        """What Slack would have refused of all that was posted."""
        return [problem for posted in self.posted for problem in posted.problems]

    def wait_for(self, count: int, *, timeout_s: float = 30.0) -> list[dict[str, Any]]:
        """The messages, once so many were accepted.

        Raises:
            TimeoutError: they are fewer.
        """
        with self.arrived:
            if not self.arrived.wait_for(lambda: len(self.taken) >= count, timeout_s):
                raise TimeoutError(f"expected {count} messages, found {self.texts}")
        return self.taken

    def receive(self, path: str, data: bytes) -> Answer:
        """What a post is answered; it is recorded before."""
        try:
            body = json.loads(data)
        except ValueError:
            body = {}
        problems = problems_of(body)
        answer = self._always or (self._answers.pop(0) if self._answers else None)
        if answer is None and path != PATH:
            answer = Answer(status=404, text="no_service")
        if answer is None and problems:
            answer = Answer(status=400, text="invalid_blocks")
        answer = answer or Answer(status=200, text="ok")
        if answer.arrived is not None:
            answer.arrived.set()
        if answer.after is not None:
            answer.after.wait(60)
        with self.arrived:
            self.posted.append(Posted(body=body, problems=problems, status=answer.status))
            self.arrived.notify_all()
        return answer


@contextmanager
def slack_sink() -> Iterator[SlackSink]:
    """A sink on a free port; it is gone when the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = sink.receive(self.path, data)
            text = answer.text.encode()
            try:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
            except OSError:  # whoever posted did not wait
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        sink = SlackSink(server)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield sink
        finally:
            server.shutdown()
            thread.join(10)
