"""Under which conditions a set is copied: with TLS, and at which distance."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.certificates import make_trust
from benchmarks.nginx import Nginx
from benchmarks.relay import Relay
from benchmarks.sets import WorkSet
from benchmarks.sink import Sink
from benchmarks.upstream import Redirecting, SinkFront, Upstream

UPSTREAM_MS = 30.0
SINK_MS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A set and what lies between the client and both servers; milliseconds are there and back."""

    set_name: str
    title: str
    tls: bool = True
    upstream_ms: float = 0.0
    sink_ms: float = 0.0
    hops: int = 1


_FAR = {"upstream_ms": UPSTREAM_MS, "sink_ms": SINK_MS}
CONDITIONS = {
    "mixed": Condition(set_name="mixed", title="mixed, TLS"),
    "small": Condition(set_name="small", title="small, TLS"),
    "large": Condition(set_name="large", title="large, TLS"),
    # Without TLS, as its goals were measured; the next one is the same with it.
    "distance": Condition(set_name="small", title="small, at a distance", tls=False, **_FAR),  # type: ignore[arg-type]
    "distance-tls": Condition(set_name="small", title="small, TLS, at a distance", **_FAR),  # type: ignore[arg-type]
    "redirect": Condition(
        set_name="small",
        title="small, TLS, at a distance, each blob behind a redirect",
        hops=2,
        **_FAR,  # type: ignore[arg-type]
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the clients of a condition go. Planning, which is not measured, takes the direct addresses."""

    registry_url: str
    cdn_host: str
    sink_url: str
    direct_registry_url: str
    direct_sink_url: str
    authority: Path | None
    servers: tuple[Nginx, ...]
    sink: Sink

    def server_cpu_s(self) -> float:
        """CPU seconds of all servers so far; a relay is none of them."""
        times = psutil.Process(self.sink.pid).cpu_times()
        return sum(server.cpu_s() for server in self.servers) + times.user + times.system


@contextmanager
def arranged(condition: Condition, nginx: str, work_set: WorkSet, scratch: Path) -> Iterator[Place]:
    """Servers and relays of a condition are running inside."""
    trust = make_trust(scratch / "trust") if condition.tls else None
    scheme = "https" if condition.tls else "http"
    with ExitStack() as running:

        def address(port: int, milliseconds: float) -> str:
            if milliseconds:
                port = running.enter_context(Relay(port, round_trip_ms=milliseconds)).port
            return f"{scheme}://127.0.0.1:{port}"

        sink = running.enter_context(Sink())
        upstream = running.enter_context(Upstream(nginx, work_set, scratch / "upstream-nginx", trust=trust))
        servers: list[Nginx] = [upstream]
        cdn = registry = address(upstream.port, condition.upstream_ms)
        if condition.hops == 2:
            redirecting = Redirecting(nginx, cdn, scratch / "registry-nginx", trust=trust)
            servers.append(running.enter_context(redirecting))
            registry = address(redirecting.port, condition.upstream_ms)
        sink_port = sink.port
        if trust is not None:
            front = running.enter_context(SinkFront(nginx, sink.port, scratch / "front-nginx", trust=trust))
            servers.append(front)
            sink_port = front.port
        yield Place(
            registry_url=registry,
            cdn_host=cdn.partition("://")[2],
            sink_url=address(sink_port, condition.sink_ms),
            direct_registry_url=f"http://127.0.0.1:{upstream.plain_port}",
            direct_sink_url=sink.url,
            authority=trust.authority if trust is not None else None,
            servers=tuple(servers),
            sink=sink,
        )
