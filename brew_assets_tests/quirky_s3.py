"""A real S3 server behind a front that refuses, spoils or loses what a test names."""

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from brew_assets_tests.servers import S3Server

# What belongs to one connection only (RFC 9110, 7.6.1).
_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")


@dataclass(kw_only=True)
class Quirk:
    """What happens to the requests of a method whose key ends so: an answer, other bytes, or none.

    `body` replaces the document that has the `code`; `drops` are headers that the server's answer loses,
    `adds` are those that it gains; `answers` is the status that is answered after the server has done what
    was asked.
    """

    method: str
    key: str = ""
    matches: Callable[["Seen"], bool] = lambda _: True
    status: int = 0
    code: str = ""
    spoils: Callable[[bytes], bytes] | None = None
    loses_answer: bool = False
    answers: int = 0
    drops: tuple[str, ...] = ()
    adds: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    times: int | None = None


@dataclass(kw_only=True)
class Seen:
    """A request that came."""

    method: str
    key: str
    query: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_copy(self) -> bool:
        """Whether it asks for a copy inside the store."""
        return "x-amz-copy-source" in self.headers


class QuirkyS3(S3Server):
    """The front. Requests that no quirk names reach the server as they are, signature and all."""

    def __init__(self, behind: S3Server, url: str) -> None:
        self.url = url
        self.client: Any = behind.client
        self._lock = threading.Lock()
        self._quirks: list[Quirk] = []
        self.seen: list[Seen] = []

    def add(self, *quirks: Quirk) -> None:
        """These hold from now on; of several for a request the first."""
        with self._lock:
            self._quirks.extend(quirks)

    def clear(self) -> None:
        """The server is as it is."""
        with self._lock:
            self._quirks.clear()

    def find(self, request: Seen) -> Quirk | None:
        """The quirk for a request; it is used up by one."""
        with self._lock:
            self.seen.append(request)
            for quirk in self._quirks:
                if quirk.method != request.method or not request.key.endswith(quirk.key):
                    continue
                if quirk.times == 0 or not quirk.matches(request):
                    continue
                if quirk.times is not None:
                    quirk.times -= 1
                return quirk
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, behind: S3Server) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        place = urlsplit(behind.url)
        self.behind = (str(place.hostname), place.port)
        self.front = QuirkyS3(behind, f"http://127.0.0.1:{self.server_address[1]}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._behind = http.client.HTTPConnection(*self.server.behind, timeout=30)

    def finish(self) -> None:
        self._behind.close()
        super().finish()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing on the screen."""

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(method=self.command, key=unquote(path), query=query, headers=headers)
        quirk = self.server.front.find(seen)
        if quirk is not None and quirk.status:
            self._refuse(quirk, quirk.status)
            return
        self._behind.request(self.command, self.path, body, dict(self.headers.items()))
        answer = self._behind.getresponse()
        data = answer.read()
        if quirk is not None and quirk.loses_answer:
            self.close_connection = True
            self.connection.close()
            return
        if quirk is not None and quirk.answers:
            self._refuse(quirk, quirk.answers)
            return
        if quirk is not None and quirk.spoils is not None:
            data = quirk.spoils(data)
        self._answer(answer, data, quirk or Quirk(method=self.command))

    def _answer(self, answer: http.client.HTTPResponse, data: bytes, quirk: Quirk) -> None:
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in (*_HOP, *quirk.drops):
                self.send_header(name, value)
        for name, value in quirk.adds.items():
            self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        if "content-length" not in quirk.drops:
            self.send_header("Content-Length", length or str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, quirk: Quirk, status: int) -> None:
        text = f"<Error><Code>{quirk.code}</Code><Message>as scripted</Message></Error>"
        data = text.encode() if quirk.code and self.command != "HEAD" else b""
        if quirk.body is not None:
            data = quirk.body
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _handle  # noqa: N815


@contextlib.contextmanager
def quirky_s3(behind: S3Server) -> Iterator[QuirkyS3]:
    """A front before the server, on a port of its own."""
    server = _Server(behind)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.front
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
