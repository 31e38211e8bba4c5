"""`brew-mirror serve` as its operator sees it: how it begins, ends, and what it says."""

import contextlib
import hashlib
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from brew_assets_tests.integration.mirrors import PROGRAM, DirectoryMirror
from brew_assets_tests.ports import free_ports
from brew_assets_tests.runtimes.gateway.gateways import (
    ServeProcess,
    read_answer,
    request_bytes,
    serve_process,
)
from brew_assets_tests.runtimes.gateway.publishing import Publisher, bottle_of

LARGE = bytes(64 * 1024 * 1024)
FLAT = "jq-1.0.arm64_sonoma.bottle.tar.gz"


@pytest.fixture
def mirror(tmp_path: Path) -> DirectoryMirror:
    """A mirror with one large bottle, published."""
    made = DirectoryMirror(tmp_path / "mirror")
    bottle = bottle_of("jq", FLAT, LARGE)
    made.write(bottle.key, LARGE)
    publisher = Publisher(made)
    publisher.point(publisher.record([bottle]))
    return made


def waited_for(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """What the condition gives once it is true; it fails after so long."""
    event = socket.socketpair()
    deadline = time.monotonic() + seconds
    with event[0], event[1]:
        event[0].settimeout(0.02)
        while not (found := condition()):
            assert time.monotonic() < deadline
            with contextlib.suppress(TimeoutError):
                event[0].recv(1)
    return found


def test_a_signal_lets_requests_under_way_end_and_nobody_else_begin(
    mirror: DirectoryMirror, folder: Path
) -> None:
    with serve_process(mirror, folder) as serving:
        port = serving.client.port
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            connection.sendall(request_bytes("GET", f"/bottles/{FLAT}", [("Host", "mirror")]))
            begun = connection.recv(65_536)
            serving.process.terminate()

            def is_closed() -> bool:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=5).close()
                except ConnectionError:
                    return True
                return False

            waited_for(is_closed)
            assert serving.process.poll() is None
            head, _, body = begun.partition(b"\r\n\r\n")
            assert b" 200 " in head
            received = len(body)
            while piece := connection.recv(1024 * 1024):
                received += len(piece)
        assert received == len(LARGE)
        assert serving.process.wait(30) == 0
        (line,) = [line for line in serving.lines() if line["message"] == "answered"]
        assert (line["status"], line["bytes"], line.get("broken")) == (200, len(LARGE), None)


def test_a_client_that_goes_away_is_noticed(mirror: DirectoryMirror, folder: Path) -> None:
    with serve_process(mirror, folder) as serving:
        with socket.create_connection(("127.0.0.1", serving.client.port), timeout=30) as connection:
            connection.sendall(request_bytes("GET", f"/bottles/{FLAT}", [("Host", "mirror")]))
            connection.recv(1000)
        (line,) = waited_for(lambda: [one for one in serving.lines() if one["message"] == "answered"])
        assert line["broken"] == "the client is gone"
        assert int(str(line["bytes"])) < len(LARGE)
        assert serving.client.get("/readyz").status == 200


def test_no_descriptor_stays_open_after_a_request(mirror: DirectoryMirror, folder: Path) -> None:
    with serve_process(mirror, folder) as serving:
        process = psutil.Process(serving.process.pid)

        def ask_all() -> None:
            for method in ("GET", "HEAD"):
                for header in (("Range", "bytes=0-9"), ("Range", "bytes=99999999-"), ("If-None-Match", "*")):
                    serving.client.get(f"/bottles/{FLAT}", header, method=method)
            for target in ("/api/internal/packages.arm64_sonoma.jws.json", "/readyz", "/nowhere"):
                serving.client.get(target)

        ask_all()
        before = process.num_fds()
        for _ in range(20):
            ask_all()
        # Connections that a client has just closed may still be counted.
        waited_for(lambda: process.num_fds() <= before)


def test_several_requests_of_one_connection_are_answered_in_order(
    mirror: DirectoryMirror, folder: Path
) -> None:
    with (
        serve_process(mirror, folder) as serving,
        socket.create_connection(("127.0.0.1", serving.client.port), timeout=30) as connection,
    ):
        part = [("Host", "mirror"), ("Range", "bytes=0-99")]
        requests = [
            request_bytes("HEAD", f"/bottles/{FLAT}", [("Host", "mirror")]),
            request_bytes("GET", f"/bottles/{FLAT}", part),
            request_bytes("GET", "/nowhere", [("Host", "mirror")]),
        ]
        connection.sendall(requests[0])
        assert read_answer(connection, is_head=True).header("Content-Length") == str(len(LARGE))
        connection.sendall(requests[1])
        answer = read_answer(connection)
        assert (answer.status, len(answer.body)) == (206, 100)
        connection.sendall(requests[2])
        assert read_answer(connection).status == 404


def test_a_head_that_does_not_end_is_given_up(mirror: DirectoryMirror, folder: Path) -> None:
    with (
        serve_process(mirror, folder) as serving,
        socket.create_connection(("127.0.0.1", serving.client.port), timeout=30) as connection,
    ):
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                connection.sendall(b"a" * 65_536)
        with contextlib.suppress(ConnectionError):
            answer = read_answer(connection)
            assert answer.status == 400
        assert serving.client.get("/healthz").status == 200


def test_https_is_served_with_a_certificate(mirror: DirectoryMirror, folder: Path) -> None:
    from benchmarks.certificates import make_trust

    trust = make_trust(folder / "trust")
    arguments = ("--tls-cert", str(trust.certificate), "--tls-key", str(trust.key))
    context = ssl.create_default_context(cafile=str(trust.authority))
    with serve_process(mirror, folder, *arguments) as serving:
        assert "at https://127.0.0.1:" in serving.text()
        plain = socket.create_connection(("127.0.0.1", serving.client.port), timeout=30)
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            connection.sendall(request_bytes("GET", f"/bottles/{FLAT}", [("Host", "mirror")]))
            answer = read_answer(connection)
        assert (answer.status, answer.body) == (200, LARGE)


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PROGRAM, "serve", *arguments],
        env={"MIRROR_URL": "mirror", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tls-cert", "nowhere.pem"], "--tls-key: expected two PEM files that belong together"),
        (
            ["--tls-cert", "nowhere.pem", "--tls-key", "nowhere.key"],
            "found nowhere.pem, nowhere.key: No such file or directory",
        ),
        (["--host", "host.invalid"], "--host: expected an address of this machine and a free port"),
        (["--host", "192.0.2.1"], "--port: expected an address of this machine and a free port"),
        (["--port", "99999"], "Invalid value for '--port'"),
    ],
)
def test_what_cannot_be_listened_at_is_named(arguments: list[str], said: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_port_that_is_taken_is_named() -> None:
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)):
        done = run("--port", str(port))
    assert done.returncode == 2
    assert f"found 127.0.0.1:{port}: Address already in use" in done.stderr


@pytest.mark.parametrize(
    "url", ["mirror.example", "ftp://mirror.example", "https://user:hush@mirror.example", "https://m/?x=1"]
)
def test_a_public_address_that_is_none_is_named(url: str) -> None:
    done = run("--print-client-settings", PUBLIC_URL=url)
    assert (done.returncode, done.stdout) == (2, "")
    assert "PUBLIC_URL: expected an http(s) address such as https://mirror.example" in done.stderr
    assert "hush" not in done.stderr


def test_the_settings_of_clients_are_printed() -> None:
    done = run("--print-client-settings", "--port", "8123")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "export HOMEBREW_API_DOMAIN=http://127.0.0.1:8123/api",
        "export HOMEBREW_ARTIFACT_DOMAIN=http://127.0.0.1:8123",
        "export HOMEBREW_ARTIFACT_DOMAIN_NO_FALLBACK=1",
    ]
    done = run("--json", PUBLIC_URL="https://mirror.example/brew/")
    assert json.loads(done.stdout) == {
        "HOMEBREW_API_DOMAIN": "https://mirror.example/brew/api",
        "HOMEBREW_ARTIFACT_DOMAIN": "https://mirror.example/brew",
        "HOMEBREW_ARTIFACT_DOMAIN_NO_FALLBACK": "1",
    }


def test_the_path_of_the_public_address_may_be_left_on_or_taken_off(
    mirror: DirectoryMirror, folder: Path
) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/brew"
    with serve_process(mirror, folder, "--port", str(port), PUBLIC_URL=url) as serving:
        for target in ("/brew/bottles/", "/bottles/"):
            answer = serving.client.get(f"{target}{FLAT}", ("Range", "bytes=0-9"))
            assert (answer.status, len(answer.body)) == (206, 10)
        assert serving.client.get(f"/brewery/bottles/{FLAT}").status == 404


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/bottles", "/our%20brew"])
def test_the_path_of_the_public_address_may_be_any(mirror: DirectoryMirror, folder: Path, path: str) -> None:
    """`/v2` and `/bottles` begin the gateway's own addresses, too; brew does not double `/v2`."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}{path}"
    blob = f"/v2/homebrew/core/jq/blobs/sha256:{hashlib.sha256(LARGE).hexdigest()}"
    with serve_process(mirror, folder, "--port", str(port), PUBLIC_URL=url) as serving:
        for target in (blob, f"/bottles/{FLAT}", "/api/internal/packages.arm64_sonoma.jws.json"):
            for before in ("", path.rstrip("/")):
                answer = serving.client.get(f"{before}{target}", ("Range", "bytes=0-9"))
                assert (answer.status, len(answer.body)) == (206, 10), f"{before}{target}"


def test_other_commands_do_not_wait_for_the_server_to_be_imported() -> None:
    code = (
        "import sys; from brew_assets.runtimes import cli; "
        "print([name for name in ('starlette', 'uvicorn', 'asyncio', 'ssl') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_it_is_quiet_when_told_to(mirror: DirectoryMirror, folder: Path) -> None:
    (port,) = free_ports(1)
    log = folder / "quiet.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PROGRAM, "--quiet", "serve", "--port", str(port)],
            env=mirror.settings,
            stdout=output,
            stderr=output,
        )

    def status() -> int:
        with contextlib.suppress(ConnectionError):
            return ServeProcess(process, log, port).client.get("/readyz").status
        return 0

    try:
        assert waited_for(status) == 200
    finally:
        process.terminate()
        assert process.wait(30) == 0
    assert log.read_text() == ""
