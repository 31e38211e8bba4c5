"""Gateways to talk to: the real command in a process of its own, or the same server in a thread; and a client
that sends exactly the bytes that it is told to."""

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from brew_assets.engine.ports import Clock
from brew_assets.engine.served import ServedRecords
from brew_assets.engine.served_objects import ServedObjects
from brew_assets.runtimes.gateway.app import Gateway
from brew_assets.runtimes.gateway.listening import Listening, open_socket
from brew_assets.runtimes.gateway.server import server_of
from brew_assets_tests.integration.mirrors import PROGRAM, MirrorUnderTest

_TIMEOUT_S = 30


class Answer(NamedTuple):
    """Status, headers as they came, and the body to the end that Content-Length names."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The one header of that name, "" where there is none."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(found) <= 1, found
        return found[0] if found else ""


class Client:
    """Requests to one gateway, each over a connection of its own."""

    def __init__(self, port: int) -> None:
        self.port = port

    def send(self, data: bytes, *, is_head: bool = False) -> Answer:
        """The answer to these bytes; an answer without Content-Length is read to the end of the connection.

        Raises:
            OSError, http.client.HTTPException: none that could be read.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=_TIMEOUT_S) as connection:
            connection.sendall(data)
            return read_answer(connection, is_head=is_head)

    def get(
        self, target: str, *headers: tuple[str, str], method: str = "GET", host: str = "mirror"
    ) -> Answer:
        """The answer to a request with these headers, in this order."""
        return self.send(request_bytes(method, target, [("Host", host), *headers]), is_head=method == "HEAD")


def request_bytes(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def read_answer(connection: socket.socket, *, is_head: bool = False) -> Answer:
    """The next answer of the connection."""
    response = http.client.HTTPResponse(connection, method="HEAD" if is_head else "GET")
    try:
        response.begin()
        return Answer(response.status, response.getheaders(), response.read())
    finally:
        response.close()


class ServeProcess:
    """`brew-mirror serve` on a free port; its log lines are kept in a file."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, port: int) -> None:
        self.process = process
        self._log = log
        self.client = Client(port)

    def lines(self) -> list[dict[str, object]]:
        """The log lines that were written so far."""
        found = [line for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [json.loads(line) for line in found]

    def text(self) -> str:
        """All that was written so far."""
        return self._log.read_text()


@contextlib.contextmanager
def serve_process(
    mirror: MirrorUnderTest, folder: Path, *arguments: str, **extra: str
) -> Iterator[ServeProcess]:
    """The command, listening while the block lasts; it is killed if it did not end by itself."""
    basics = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = basics | {"RELOAD_SECONDS": "0.1"} | mirror.settings | extra
    log = folder / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PROGRAM, "serve", "--port", "0", *arguments], env=environment, stdout=output, stderr=output
        )
    try:
        yield ServeProcess(process, log, _port_of(process, log))
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _port_of(process: "subprocess.Popen[bytes]", log: Path) -> int:
    for _ in range(600):
        if found := re.search(r"at https?://[^ ]*:(\d+)[^ ]*; Ctrl-C", log.read_text()):
            return int(found[1])
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            break
    raise AssertionError(f"the gateway did not start: {log.read_text()[-3000:]}")


def use_credentials(monkeypatch: pytest.MonkeyPatch, mirror: MirrorUnderTest) -> None:
    """This process has the keys of the mirror's bucket, as a process of its own would be given them."""
    for name, value in mirror.settings.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)


@contextlib.contextmanager
def served_in_thread(
    records: ServedRecords, objects: ServedObjects, clock: Clock, *, prefix: str = ""
) -> Iterator[Client]:
    """The same server in a thread; who looks at the pointer, and when, is the test's business."""
    made = open_socket(Listening(port=0))
    app = Gateway(records, objects, clock, prefix=prefix)
    server = server_of(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [made]}, daemon=True)
    thread.start()
    try:
        yield Client(made.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(30)
        app.close()
        assert not thread.is_alive()
