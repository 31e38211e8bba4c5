"""A stop signal while the store does not answer: every command ends, with its exit code and a word."""

import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

from brew_assets.simulator import Simulator, World
from brew_assets_tests.integration.mirrors import PROGRAM
from brew_assets_tests.local_aws.session import wait_for


class SilentStore:
    """A server that takes connections and says nothing."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.taken: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        while True:
            try:
                self.taken.append(self._listener.accept()[0])
            except OSError:
                return  # closed

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for connection in self.taken:
            connection.close()


@pytest.fixture
def silent() -> Iterator[SilentStore]:
    store = SilentStore()
    yield store
    store.close()


def _stopped(silent: SilentStore, upstream: Simulator, *command: str) -> "tuple[int, str]":
    """Exit code and words of a command that a signal reaches while it waits for the store."""
    settings = {
        "MIRROR_URL": "s3://bottles/mirror",
        "AWS_ENDPOINT_URL": silent.url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    process = subprocess.Popen(
        [PROGRAM, *command],
        env=settings | upstream.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: bool(silent.taken), what="a connection to the store", timeout_s=120)
        process.terminate()
        _, errors = process.communicate(timeout=45)
    finally:
        process.kill()
        process.wait()
    return process.returncode, errors


@pytest.mark.parametrize(
    "command",
    [("status",), ("verify",), ("verify", "--deep"), ("manifest", "rebuild"), ("manifest", "restore")],
)
def test_a_command_that_reads_ends_at_once(silent: SilentStore, command: tuple[str, ...]) -> None:
    with Simulator(World(seed=91)) as upstream:
        code, errors = _stopped(silent, upstream, *command)
    assert (code, errors.splitlines()[-1]) == (1, "Stopped.")


def test_a_sync_whose_store_does_not_answer_ends_before_it_would_be_killed(silent: SilentStore) -> None:
    world = World(seed=92)
    world.publish("jq", "1.8.1", size_bytes=900)
    with Simulator(world) as upstream:
        code, errors = _stopped(silent, upstream, "sync")
    assert code == 1, errors
    assert "could not be finished within the grace" in errors
