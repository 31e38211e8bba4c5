"""An S3 server with conditions, behind an HTTP proxy: its names resolve nowhere else.

Whoever asks it for `http://s3.test/…` (path) or `http://bottles.s3.test/…` (virtual host) does so through
the proxy, so a test needs no names of its own. What it keeps is in memory, and no signature is checked but
for the region that it names.
"""

import contextlib
import re
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from benchmarks.bucket import Answer, Buckets, Request

ENDPOINT = "http://s3.test"
BUCKET = "bottles"
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([a-z0-9-]+)/s3/")


class StrictS3:
    """What the server insists on, and whom it has seen.

    `host` is the one that requests must name; `acl` what each PUT must carry; `region` the one that requests
    must be signed for, else they are answered as `elsewhere` says: a status, a code.
    """

    def __init__(self, proxy: str) -> None:
        self.proxy = proxy
        self.host = ""
        self.acl = ""
        self.region = ""
        # The header that is not taken, and what is answered: a status, a code, a message.
        self.refuses = ("", 0, "", "")
        self.elsewhere = (400, "AuthorizationHeaderMalformed")
        self.seen: list[tuple[str, str, str]] = []
        self._buckets = Buckets()
        self._lock = threading.Lock()

    def answer(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """The answer to a request for this address."""
        parts = urlsplit(url)
        host, path = str(parts.hostname), unquote(parts.path)
        with self._lock:
            self.seen.append((method, host, path))
            if self.host and host != self.host:
                return _error(403, "AccessDenied")
            if self.acl and method == "PUT" and headers.get("x-amz-acl") != self.acl:
                return _error(403, "AccessDenied")
            scope = _SCOPE.search(headers.get("authorization", ""))
            header, status, code, message = self.refuses
            if header and header in headers:
                return _error(status, code, message=message)
            if self.region and (scope is None or scope[1] != self.region):
                return self._moved()
            if host.startswith(f"{BUCKET}."):
                path = f"/{BUCKET}{path}"
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            request = Request(method=method, path=path, query=query, headers=headers)
            # A date folder's bytes are dropped there; what is read back has to be kept.
            return self._buckets.answer(request, body, len(body))

    def _moved(self) -> Answer:
        status, code = self.elsewhere
        # S3 names the region in the document where the signature is wrong, else in the head; a HEAD has none.
        found = _error(status, code, f"<Region>{self.region}</Region>" if status == 400 else "")
        found.headers["x-amz-bucket-region"] = self.region
        return found


def _error(status: int, code: str, more: str = "", *, message: str = "as scripted") -> Answer:
    text = f"<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"
    return Answer(status, {"content-type": "application/xml"}, text.encode())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Server"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing on the screen."""

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        # A proxy is asked for whole addresses, a server for paths.
        url = f"https://{headers['host']}{self.path}" if self.path.startswith("/") else self.path
        found = self.server.strict.answer(self.command, url, headers, body)
        self.send_response(found.status)
        for name, value in found.headers.items():
            if name != "content-length":
                self.send_header(name, value)
        size = (
            found.headers.get("content-length", len(found.body))
            if self.command == "HEAD"
            else len(found.body)
        )
        self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(found.body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _handle  # noqa: N815


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.strict = StrictS3(f"http://127.0.0.1:{self.server_address[1]}")


@contextlib.contextmanager
def strict_s3(context: ssl.SSLContext | None = None) -> Iterator[StrictS3]:
    """The server and its proxy, on one port; with a context a server that speaks TLS."""
    server = _Server()
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.strict
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
