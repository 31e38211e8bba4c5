"""A network from which only a proxy leads out: everything goes through it, however proxy and CA are named."""

import array
import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from brew_assets.simulator import Simulator, World
from brew_assets_tests.closed_network import (
    NAMES,
    ClosedNetwork,
    closed_network,
    upstream_of,
    ways_to_name_a_ca,
    ways_to_name_a_proxy,
)
from brew_assets_tests.inside_closed_network import PROXY_PORT
from brew_assets_tests.relay import Orders, RecordingProxy, recording_proxy
from brew_assets_tests.servers import S3Server
from brew_assets_tests.slack_sink import SlackSink, slack_sink

_PROXIES = ways_to_name_a_proxy(f"127.0.0.1:{PROXY_PORT}")
# Each way to name a proxy and each way to name a CA, once at least.
_WAYS = [
    ("HTTPS_PROXY", "SSL_CERT_FILE"),
    ("https_proxy", "SSL_CERT_DIR"),
    ("ALL_PROXY", "AWS_CA_BUNDLE"),
    ("without scheme", "AWS_CA_BUNDLE"),
    ("with credentials", "SSL_CERT_FILE"),
]
_TIMEOUT_S = 120


def namespace() -> list[str]:
    """The command before one that is to have a network of its own; skips where there is none, fails in CI."""
    for options in (["-n"], ["-Urn"]):
        command = ["unshare", *options]
        with contextlib.suppress(OSError):
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
                return command
    reason = "no network namespace can be made here (unshare -n, unshare -Urn)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


class Outside:
    """What the closed network's proxy leads to."""

    def __init__(self, upstream: Simulator, network: ClosedNetwork, sink: SlackSink, s3: S3Server) -> None:
        self.upstream = upstream
        self.network = network
        self.sink = sink
        self.s3 = s3


@pytest.fixture(scope="module")
def outside(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(upstream_of(World.generate(seed=5, formulae=6)))
        sink = stack.enter_context(slack_sink())
        root = tmp_path_factory.mktemp("outside")
        network = stack.enter_context(closed_network(root, upstream, s3=s3.url, hooks=sink.url))
        yield Outside(upstream, network, sink, s3)


@contextlib.contextmanager
def inside(environment: Mapping[str, str], orders: Orders) -> Iterator[tuple[RecordingProxy, str, int]]:
    """The proxy, and output and exit code of what ran in the closed network."""
    ours, theirs = socket.socketpair()
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with ours, contextlib.ExitStack() as stack:
        with theirs:
            process = stack.enter_context(
                subprocess.Popen(
                    [
                        *namespace(),
                        sys.executable,
                        "-m",
                        "brew_assets_tests.inside_closed_network",
                        str(theirs.fileno()),
                    ],
                    env={**kept, **environment},
                    pass_fds=[theirs.fileno()],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
        stack.callback(process.kill)
        ours.settimeout(_TIMEOUT_S)
        listener = _handed_out(ours)
        with recording_proxy(orders, listener=listener) as proxy:
            output, _ = process.communicate(timeout=_TIMEOUT_S)
            yield proxy, output, process.returncode


def _handed_out(sock: socket.socket) -> socket.socket:
    descriptors = array.array("i")
    _, ancillary, _, _ = sock.recvmsg(16, socket.CMSG_SPACE(descriptors.itemsize))
    ((_, _, data),) = ancillary
    descriptors.frombytes(data[: descriptors.itemsize])
    return socket.socket(fileno=descriptors[0])


@pytest.mark.parametrize(("proxy_way", "ca_way"), _WAYS)
def test_everything_comes_through_the_proxy(
    proxy_way: str, ca_way: str, outside: Outside, tmp_path: Path
) -> None:
    prefix = outside.s3.new_prefix()
    named = _PROXIES[proxy_way] | ways_to_name_a_ca(outside.network.ca)[ca_way]
    store = outside.s3.environment(prefix) | {"TMPDIR": str(tmp_path)}
    orders = Orders(leads=outside.network.leads)
    if proxy_way == "with credentials":
        orders.credentials = "me:p@ss:ü"
    before = len(outside.sink.taken)

    with inside(store | outside.network.environment | named, orders) as (proxy, output, code):
        assert code == 0, output
        assert proxy.hosts == {f"{name}:443" for name in NAMES if not name.startswith("aws")}
        assert {asked.method for asked in proxy.asked} == {"CONNECT"}

    assert "success" in output.lower()
    assert outside.upstream.violations == []
    assert len(outside.sink.taken) == before + 1
    # The certificates that AWS's clients were given are gone with their process.
    assert list(tmp_path.glob("brew-mirror-*")) == []


def test_without_the_proxy_nothing_leads_out(outside: Outside) -> None:
    store = outside.s3.environment(outside.s3.new_prefix())
    ca = ways_to_name_a_ca(outside.network.ca)["SSL_CERT_FILE"]

    with inside(store | outside.network.environment | ca, Orders()) as (proxy, output, code):
        assert code == 2, output
        assert proxy.asked == []


def test_a_test_of_the_closed_network_is_no_skip_in_ci() -> None:
    if sys.platform == "linux" and os.environ.get("CI"):
        assert shutil.which("unshare") is not None
        assert namespace()
