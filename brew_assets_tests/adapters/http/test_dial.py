"""Connections to hosts whose addresses do not all lead somewhere."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from brew_assets.adapters.http.dial import Dialer
from brew_assets.adapters.s3.bucket_client import S3Options
from brew_assets.adapters.s3.store import S3Store
from brew_assets.engine.clock import SystemClock
from brew_assets_tests.event_account import CREDENTIALS
from brew_assets_tests.ports import free_ports
from brew_assets_tests.raw_server import raw_server, whole


def info(address: str, port: int) -> tuple[int, int, int, str, tuple[object, ...]]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    place = (address, port, 0, 0) if ":" in address else (address, port)
    return (family, socket.SOCK_STREAM, 0, "", place)


@contextlib.contextmanager
def black_hole(address: str) -> Iterator[int]:
    """The port of a listener that takes nobody: its queue is full, and what comes is dropped."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family))
        listener.bind((address, 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        while True:
            waiting = stack.enter_context(socket.socket(family))
            waiting.settimeout(0.2)
            try:
                waiting.connect((address, port))
            except TimeoutError:
                break
        yield port


def has_ipv6() -> bool:
    """Whether loopback has IPv6; in CI nobody may say that it has not."""
    if os.environ.get("CI"):
        return True
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    "dead",
    [
        pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on loopback here")),
        "127.0.0.2",
    ],
)
def test_an_address_that_swallows_connections_costs_no_time_out(dead: str) -> None:
    with black_hole(dead) as swallowing, socket.create_server(("127.0.0.1", 0)) as listener:
        alive = listener.getsockname()[1]
        dialer = Dialer(lambda host, port: [info(dead, swallowing), info("127.0.0.1", alive)])

        # One after the other the first address would take all of this time.
        with dialer.connect("broken.example", 443, timeout_s=60.0) as sock:
            assert sock.getpeername()[:2] == ("127.0.0.1", alive)
            assert sock.gettimeout() == 60.0


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on loopback here")
def test_the_family_that_answered_comes_first_until_it_does_not_answer() -> None:
    with black_hole("::1") as swallowing, socket.create_server(("127.0.0.1", 0)) as listener:
        addresses = [info("::1", swallowing), info("127.0.0.1", listener.getsockname()[1])]
        # Nobody starts a second address while the first is waited for.
        dialer = Dialer(lambda host, port: addresses, stagger_s=0.0)
        dialer.connect("broken.example", 443, timeout_s=30.0).close()
        patient = Dialer(lambda host, port: addresses, stagger_s=600.0)
        patient._families = dialer._families

        patient.connect("broken.example", 443, timeout_s=30.0).close()
        with pytest.raises(TimeoutError):
            patient.connect("another.example", 443, timeout_s=0.3)

        listener.close()
        addresses[0] = info("::1", free_ports(1)[0])
        with pytest.raises(ConnectionRefusedError):
            patient.connect("broken.example", 443, timeout_s=30.0)
        assert "broken.example" not in dialer._families


def test_an_address_that_refuses_is_passed_over_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = free_ports(1)[0]
        addresses = [info("127.0.0.1", closed), info("127.0.0.1", listener.getsockname()[1])]
        dialer = Dialer(lambda host, port: addresses, stagger_s=600.0)
        dialer.connect("half.example", 443, timeout_s=30.0).close()


def test_where_nobody_answers_the_first_finding_is_the_error() -> None:
    closed = free_ports(1)[0]
    dialer = Dialer(lambda host, port: [info("127.0.0.1", closed), info("127.0.0.2", closed)])
    with pytest.raises(ConnectionRefusedError):
        dialer.connect("none.example", 443, timeout_s=30.0)
    with pytest.raises(socket.gaierror):
        Dialer().connect("name.invalid", 443, timeout_s=30.0)
    with pytest.raises(OSError, match="no address"):
        Dialer(lambda host, port: []).connect("empty.example", 443, timeout_s=30.0)


def test_an_interruption_ends_the_wait_and_leaves_no_socket() -> None:
    with black_hole("127.0.0.2") as swallowing:
        stopped = threading.Event()
        dialer = Dialer(lambda host, port: [info("127.0.0.2", swallowing)])

        def interrupted() -> bool:
            # Set by what is asked: the first look finds nothing yet.
            was = stopped.is_set()
            stopped.set()
            return was

        with pytest.raises(ConnectionAbortedError):
            dialer.connect("hole.example", 443, timeout_s=600.0, interrupted=interrupted)


def test_boto3s_clients_try_the_other_address_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    listing = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    with black_hole("127.0.0.2") as swallowing, raw_server(whole(listing)) as server:
        alive = int(server.url.rpartition(":")[2])
        addresses = [info("127.0.0.2", swallowing), info("127.0.0.1", alive)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, type: addresses)
        # One after the other the first address would take all of this time.
        options = S3Options(
            bucket="b", endpoint_url="http://broken.example", connect_timeout_s=3600.0, timeout_s=3600.0
        )
        store = S3Store(options, clock=SystemClock())
        thread = threading.Thread(target=store.prepare, daemon=True)
        thread.start()
        thread.join(60.0)
        assert not thread.is_alive()
        assert len(server.requests) == 1
