"""The registry adapter against the simulated upstream: real HTTP on loopback."""

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from brew_assets.adapters.ghcr.registry import Ghcr
from brew_assets.adapters.http.reach import PLAIN, Reach
from brew_assets.domain.bottle import Bottle, Digest, PkgVersion
from brew_assets.domain.downloads import CopyJob
from brew_assets.domain.object_keys import INDEX_PREFIX
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.bottle_sizes import SizeLookUp
from brew_assets.engine.clock import GracefulStop, SystemClock
from brew_assets.engine.options import Options
from brew_assets.engine.ports import Store
from brew_assets.engine.read_only_store import ReadOnlyStore
from brew_assets.engine.retry import RetryPolicy
from brew_assets.engine.transfer.local_copier import LocalCopier
from brew_assets.errors import (
    BlobNotFound,
    ContentMismatch,
    HostRefused,
    MirrorError,
    UpstreamBusy,
    UpstreamError,
    UpstreamFailed,
    UpstreamInterrupted,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnauthorized,
)
from brew_assets.simulator import Fault, SimulatedBottle, Simulator, World
from brew_assets_tests.fakes import FakeClock, FakeStop, MemoryStore, fake_ports
from brew_assets_tests.ports import free_ports
from brew_assets_tests.private_ca import PrivateCa
from brew_assets_tests.worlds import DATE, SYNC_ID, fetch

TIMEOUT_S = 5.0


@pytest.fixture
def world() -> World:
    return World(seed=11)


@pytest.fixture
def simulator(world: World) -> Iterator[Simulator]:
    with Simulator(world) as running:
        yield running


@pytest.fixture
def wget(world: World) -> SimulatedBottle:
    return world.publish("wget", "1.25.0", size_bytes=3_000)[0]


@pytest.fixture
def ghcr(simulator: Simulator) -> Ghcr:
    return registry(simulator)


def registry(simulator: Simulator, *, timeout_s: float = TIMEOUT_S) -> Ghcr:
    return Ghcr(
        simulator.registry_url, cdn_hosts=[simulator.cdn_host], timeout_s=timeout_s, clock=SystemClock()
    )


def ours(item: SimulatedBottle, *, url: str | None = None) -> Bottle:
    return Bottle(
        formula=item.formula,
        pkg_version=PkgVersion(item.pkg_version),
        tag=item.tag,
        rebuild=item.rebuild,
        digest=Digest(item.digest),
        url=url or item.url,
    )


def download(ghcr: Ghcr, item: Bottle, *, offset: int = 0) -> bytes:
    """The body from the offset on."""
    stream = ghcr.open(item, offset=offset)
    buffer, body = memoryview(bytearray(65_536)), bytearray()
    try:
        while count := stream.readinto(buffer):
            body += buffer[:count]
    finally:
        stream.close()
    return bytes(body)


def copy(
    simulator: Simulator,
    *items: SimulatedBottle,
    stop: GracefulStop | FakeStop | None = None,
    timeout_s: float = TIMEOUT_S,
    store: MemoryStore | None = None,
    clock: FakeClock | SystemClock | None = None,
) -> TransferResult:
    """One worker copies the bottles through the engine."""
    store, clock = store or MemoryStore(), clock or FakeClock()
    ports = fake_ports(
        blobs=registry(simulator, timeout_s=timeout_s), store=store, clock=clock, stop=stop or FakeStop()
    )
    job = CopyJob(sync_id=SYNC_ID, sync_date=DATE, fetches=[fetch(ours(item)) for item in items])
    options = Options(platforms=(), retry=RetryPolicy(attempts=2))
    return LocalCopier(ports, options, threads=1).copy(job)


def test_a_blob_comes_whole_and_without_a_violation(
    simulator: Simulator, ghcr: Ghcr, wget: SimulatedBottle
) -> None:
    assert hashlib.sha256(download(ghcr, ours(wget))).hexdigest() == wget.digest
    assert simulator.violations == []
    assert [(seen.host, seen.authorized) for seen in simulator.requests] == [
        ("registry", True),
        ("cdn", False),
    ]


def test_a_blob_comes_from_an_offset(simulator: Simulator, ghcr: Ghcr, wget: SimulatedBottle) -> None:
    stream = ghcr.open(ours(wget), offset=1_000)
    assert (stream.start, stream.total) == (1_000, wget.size)
    stream.close()
    assert download(ghcr, ours(wget), offset=1_000) == simulator.world.blob(wget.digest)[1_000:]


@pytest.mark.parametrize("name", ["openssl@3", "libsigc++@2", "llama.cpp", "a_b"])
def test_every_kind_of_name_is_found(world: World, simulator: Simulator, ghcr: Ghcr, name: str) -> None:
    (item,) = world.publish(name, "1.0", revision=1, rebuild=2, size_bytes=900)
    assert hashlib.sha256(download(ghcr, ours(item))).hexdigest() == item.digest
    assert ghcr.fetch_index(item.image, item.reference) is not None


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.not_found(), BlobNotFound),
        (Fault.not_found(at="cdn"), BlobNotFound),
        (Fault.too_many_requests("7"), UpstreamBusy),
        (Fault.too_many_requests(None, at="cdn"), UpstreamBusy),
        (Fault.server_error(500), UpstreamFailed),
        (Fault.server_error(503, at="cdn"), UpstreamFailed),
        (Fault.server_error(408), UpstreamFailed),
        (Fault.server_error(403), UpstreamRefused),
        (Fault.server_error(403, at="cdn"), UpstreamFailed),
        (Fault.server_error(418), UpstreamRefused),
        (Fault.html_page(), ContentMismatch),
        (Fault.html_page(at="registry"), ContentMismatch),
        (Fault.unauthorized(times=2), UpstreamUnauthorized),
        (Fault.redirects_to("https://elsewhere.example/blob"), HostRefused),
        (Fault.redirects_to("http://pkg-containers.githubusercontent.com/blob"), HostRefused),
        (Fault.redirects_to("ftp://127.0.0.1/blob"), HostRefused),
        (Fault.redirects_to("http://[bad"), UpstreamError),
        (Fault.redirects_to("http://127.0.0.1:99999999/"), UpstreamError),
        (Fault.redirects_to("http://127.0.0.1:x/"), UpstreamError),
        (Fault.redirects_to(""), UpstreamError),
    ],
)
def test_each_fault_has_its_class_of_error(
    simulator: Simulator, ghcr: Ghcr, wget: SimulatedBottle, fault: Fault, error: type[MirrorError]
) -> None:
    simulator.fault(wget.filename, fault)
    with pytest.raises(error, match="wget"):
        download(ghcr, ours(wget))
    assert simulator.violations == []
    simulator.clear_faults()
    assert hashlib.sha256(download(ghcr, ours(wget))).hexdigest() == wget.digest


@pytest.mark.parametrize(
    ("header", "body", "wait_s"),
    [
        ("7", None, 7.0),
        ("1m2.5s", None, 62.5),
        ("880.092µs", None, 1.0),
        (None, "880.092µs", 1.0),
        (None, "3s", 3.0),
        ("rubbish", "2s", 2.0),
        (None, None, None),
        ("99999", None, 900.0),
    ],
)
def test_a_429_carries_its_wait(
    simulator: Simulator,
    ghcr: Ghcr,
    wget: SimulatedBottle,
    header: str | None,
    body: str | None,
    wait_s: float | None,
) -> None:
    simulator.fault(wget.filename, Fault.too_many_requests(header, body))
    with pytest.raises(UpstreamBusy) as caught:
        ghcr.open(ours(wget))
    assert caught.value.wait_s == wait_s


def test_a_body_that_breaks_off_is_an_interruption(
    simulator: Simulator, ghcr: Ghcr, wget: SimulatedBottle
) -> None:
    simulator.fault(wget.filename, Fault.break_after(500))
    assert len(download(ghcr, ours(wget))) == 500


def test_silence_is_an_interruption_after_the_time_out_and_costs_it_once(
    simulator: Simulator, wget: SimulatedBottle
) -> None:
    simulator.fault(wget.filename, Fault.stalls_after(500))
    begin = time.monotonic()
    with pytest.raises(UpstreamTimeout):
        download(registry(simulator, timeout_s=2.0), ours(wget))
    assert 1.9 <= time.monotonic() - begin < 3.4


def test_a_416_heals(simulator: Simulator, ghcr: Ghcr, wget: SimulatedBottle) -> None:
    simulator.fault(wget.filename, Fault.range_not_satisfiable())
    stream = ghcr.open(ours(wget), offset=1_000)
    assert (stream.start, stream.total) == (0, wget.size)
    stream.close()


def test_a_server_without_ranges_starts_from_zero(
    simulator: Simulator, ghcr: Ghcr, wget: SimulatedBottle
) -> None:
    simulator.fault(wget.filename, Fault.ignores_range())
    stream = ghcr.open(ours(wget), offset=1_000)
    assert (stream.start, stream.total) == (0, wget.size)
    stream.close()


@pytest.mark.parametrize(
    "faults",
    [
        [Fault.break_after(700)],
        [Fault.break_after(0), Fault.break_after(10)],
        [Fault.break_after(700), Fault.range_not_satisfiable()],
        [Fault.break_after(700), Fault.ignores_range()],
        [Fault.wrong_bytes()],
        [Fault.truncated(700)],
        [Fault.html_page()],
        [Fault.server_error(502, times=2)],
        [Fault.server_error(403, times=1, at="cdn")],
        [Fault.too_many_requests("30")],
        [Fault.unauthorized()],
        [Fault.stalls_after(100)],
        [Fault.slow(30_000)],
        [Fault.break_after(700), Fault.server_error(500, times=1), Fault.wrong_bytes()],
    ],
)
@pytest.mark.parametrize("size", [3_000, 2_500_000])
def test_each_passing_fault_heals(world: World, simulator: Simulator, faults: list[Fault], size: int) -> None:
    (item,) = world.publish("healing", "1.0", size_bytes=size)
    if faults[0].kind == "slow" and size > 10_000:
        faults = [Fault.slow(5_000_000)]
    simulator.fault(item.filename, *faults)
    store = MemoryStore()
    timeout_s = 0.5 if any(fault.kind == "stall" for fault in faults) else TIMEOUT_S
    done = copy(simulator, item, timeout_s=timeout_s, store=store)
    assert (done.stored, done.failed) == (1, [])
    assert store.data(ours(item).key(DATE)) == world.blob(item.digest)
    assert simulator.violations == []


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.wrong_bytes(times=None), "digest mismatch"),
        (Fault.html_page(times=None), "content mismatch"),
        (Fault.not_found(), "not found"),
        (Fault.server_error(500, times=None), "upstream failed"),
        (Fault.unauthorized(times=None), "unauthorized"),
        (Fault.redirects_to("https://elsewhere.example/", times=None), "host refused"),
        (Fault.break_after(0, times=None), "network"),
    ],
)
def test_each_lasting_fault_fails_the_bottle_and_no_other(
    world: World, simulator: Simulator, wget: SimulatedBottle, fault: Fault, reason: str
) -> None:
    (good,) = world.publish("curl", "8.0", size_bytes=2_000)
    simulator.fault(wget.filename, fault)
    done = copy(simulator, wget, good)
    assert [(failure.name, failure.reason) for failure in done.failed] == [(wget.filename, reason)]
    assert done.stored == 1
    assert simulator.violations == []


def test_a_redirect_that_is_no_address_fails_the_bottle_and_no_other(
    world: World, simulator: Simulator, wget: SimulatedBottle
) -> None:
    (good,) = world.publish("curl", "8.0", size_bytes=2_000)
    simulator.fault(wget.filename, Fault.redirects_to("http://[bad", times=None))
    done = copy(simulator, wget, good)
    assert [failure.name for failure in done.failed] == [wget.filename]
    assert done.stored == 1


@pytest.mark.parametrize("stalled_after", [0, 1_000])
def test_a_stop_ends_a_silent_bottle_within_the_grace(
    simulator: Simulator, wget: SimulatedBottle, stalled_after: int
) -> None:
    simulator.fault(wget.filename, Fault.stalls_after(stalled_after, times=None))
    stop = GracefulStop(grace_s=0.3)
    timer = threading.Timer(0.2, stop.set)
    timer.start()
    begin = time.monotonic()
    done = copy(simulator, wget, stop=stop, timeout_s=30.0, clock=SystemClock())
    took = time.monotonic() - begin
    timer.join()
    assert (done.stored, done.left) == (0, 1)
    assert took < 1.5


def test_tokens_are_fetched_when_the_registry_wants_them(world: World, wget: SimulatedBottle) -> None:
    with Simulator(world, token_required=True) as simulator:
        ghcr = registry(simulator)
        for _ in range(3):
            assert hashlib.sha256(download(ghcr, ours(wget))).hexdigest() == wget.digest
        assert ghcr.fetch_index(wget.image, wget.reference) is not None
        assert [seen.path for seen in simulator.requests].count("/token") == 1
        simulator.fault(wget.filename, Fault.unauthorized())
        assert hashlib.sha256(download(ghcr, ours(wget))).hexdigest() == wget.digest
        assert [seen.path for seen in simulator.requests].count("/token") == 2
        assert simulator.violations == []


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/v2/homebrew/core/wget/blobs/sha256:{digest}",
        "http://ghcr.io/v2/homebrew/core/wget/blobs/sha256:{digest}",
        "https://ghcr.io.elsewhere.example/v2/homebrew/core/wget/blobs/sha256:{digest}",
        "https://ghcr.io@elsewhere.example/v2/homebrew/core/wget/blobs/sha256:{digest}",
        "https://ghcr.io/v2/homebrew/core/ wget/blobs/sha256:{digest}",
        "https://ghcr.io/v2/x HTTP/1.1\r\nHost: evil\r\n\r\n/wget/blobs/sha256:{digest}",
        "file:///v2/homebrew/core/wget/blobs/sha256:{digest}",
        "/v2/homebrew/core/wget/blobs/sha256:{digest}",
        "https://ghcr.io/v2/é/wget/blobs/sha256:{digest}",
    ],
)
def test_only_configured_hosts_are_contacted(
    simulator: Simulator, ghcr: Ghcr, wget: SimulatedBottle, url: str
) -> None:
    with pytest.raises(HostRefused, match="wget"):
        ghcr.open(ours(wget, url=url.format(digest=wget.digest)))
    assert simulator.requests == []


def test_a_host_that_was_once_refused_stays_refused(
    simulator: Simulator, ghcr: Ghcr, wget: SimulatedBottle
) -> None:
    download(ghcr, ours(wget))
    other = f"http://127.0.0.1:{free_ports(1)[0]}/blob"
    simulator.fault(wget.filename, Fault.redirects_to(other, times=2))
    for _ in range(2):
        with pytest.raises(HostRefused, match="127"):
            ghcr.open(ours(wget))


def test_plain_http_is_only_for_this_machine() -> None:
    with pytest.raises(HostRefused, match="BOTTLE_REGISTRY_URL"):
        Ghcr("http://registry.example", cdn_hosts=[], timeout_s=1, clock=SystemClock())
    with pytest.raises(ValueError, match="address"):
        Ghcr("registry.example", cdn_hosts=[], timeout_s=1, clock=SystemClock())
    Ghcr("http://localhost:5000", cdn_hosts=[], timeout_s=1, clock=SystemClock())
    Ghcr("http://[::1]:5000", cdn_hosts=[], timeout_s=1, clock=SystemClock())


def test_a_cdn_host_may_be_named_with_its_schemes_own_port(wget: SimulatedBottle) -> None:
    ghcr = Ghcr("https://ghcr.io", cdn_hosts=["cdn.example:443"], timeout_s=1, clock=SystemClock())
    origin, _ = ghcr._hosts.check("https://cdn.example/blob", subject="wget")
    assert origin.host == "cdn.example"


def test_a_registry_that_is_gone_is_an_interruption(world: World, wget: SimulatedBottle) -> None:
    with Simulator(world) as simulator:
        ghcr = registry(simulator)
    with pytest.raises(UpstreamInterrupted, match="wget"):
        ghcr.open(ours(wget))


def test_a_machine_that_can_make_no_tls_interrupts_the_bottle(
    wget: SimulatedBottle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reach = PrivateCa(tmp_path).reach()
    # The trusted authorities are read with the first connection, and with them the file of this variable.
    monkeypatch.setenv("SSLKEYLOGFILE", "/nonexistent/keys")
    url = "https://127.0.0.1:1"
    with pytest.raises(UpstreamInterrupted, match=r"wget.*no TLS.*/nonexistent/keys"):
        Ghcr(url, cdn_hosts=[], timeout_s=1, reach=reach, clock=SystemClock()).open(ours(wget))
    challenge = f'HTTP/1.1 401 x\r\nWWW-Authenticate: Bearer realm="{url}/token"\r\nContent-Length: 0\r\n\r\n'
    with (
        speaking(challenge.encode(), cdn_hosts=["127.0.0.1:1"], reach=reach) as ghcr,
        pytest.raises(UpstreamInterrupted, match=r"wget.*no TLS"),
    ):
        ghcr.open(ours(wget))


def test_connections_are_kept(world: World, simulator: Simulator, ghcr: Ghcr) -> None:
    items = [world.publish(f"f{n}", "1.0", size_bytes=1_000)[0] for n in range(20)]
    for item in items:
        download(ghcr, ours(item))
    # One to the registry, one to the host that has the bodies.
    assert simulator.connections == 2
    ghcr.close()
    download(ghcr, ours(items[0]))
    assert simulator.connections == 4


# A server that speaks whatever it is told


@contextmanager
def speaking(*answers: bytes, cdn_hosts: Sequence[str] = (), reach: Reach = PLAIN) -> Iterator[Ghcr]:
    """A registry that gives one raw answer per connection, then hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.02)
    ended = threading.Event()

    def serve() -> None:
        waiting = list(answers)
        while waiting and not ended.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(5)
                connection.recv(65_536)
                connection.sendall(waiting.pop(0))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield Ghcr(url, cdn_hosts=cdn_hosts, timeout_s=1, reach=reach, clock=SystemClock())
    finally:
        ended.set()
        thread.join(6)
        listener.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\nabcde",
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 9-1/0\r\nContent-Length: 5\r\n\r\nabcde",
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: //[\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
        b'HTTP/1.1 401 x\r\nWWW-Authenticate: Bearer realm="http://[x"\r\nContent-Length: 0\r\n\r\n',
        b'HTTP/1.1 401 x\r\nWWW-Authenticate: Bearer realm="",scope="\xff"\r\nContent-Length: 0\r\n\r\n',
        b"HTTP/1.1 429 x\r\nRetry-After: \xff\xfe, , ;\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 x\r\nRetry-After: 1 2 3 4 5 6 7\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 199 x\r\n\r\n",
        b"HTTP/1.1 304 x\r\n\r\n",
        b"HTTP/1.1 204 x\r\n\r\n",
    ],
)
def test_whatever_a_server_answers_only_our_errors_come_out(answer: bytes) -> None:
    item = ours(World(seed=1).publish("wget", "1.25.0", size_bytes=800)[0])
    asks: list[Callable[[Ghcr], object]] = [
        lambda ghcr: download(ghcr, item),
        lambda ghcr: ghcr.fetch_index("wget", "1.25.0"),
    ]
    for ask in asks:
        with speaking(answer, answer, answer, answer, answer) as ghcr:
            message = "wget"
            try:
                ask(ghcr)
            except MirrorError as error:
                message = str(error)
            assert "wget" in message


# Sizes


def look_up(simulator: Simulator, store: Store) -> SizeLookUp:
    ports = fake_ports(indexes=registry(simulator), store=store)
    return SizeLookUp(ports, Options(platforms=(), workers=3, retry=RetryPolicy(attempts=2)))


def test_sizes_come_from_indexes_which_are_kept_and_not_fetched_again(
    world: World, simulator: Simulator
) -> None:
    items = [
        item
        for name in ("wget", "openssl@3", "gtk+")
        for item in world.publish(name, "1.0", tags=("arm64_tahoe", "arm64_sonoma"), size_bytes=900)
    ]
    store = MemoryStore()
    found = look_up(simulator, store).look_up([ours(item) for item in items])
    assert found.sizes == {item.digest: item.size for item in items}
    assert (found.indexes_fetched, found.indexes_kept, found.problems) == (3, 0, [])
    before = len(simulator.requests)
    found = look_up(simulator, store).look_up([ours(item) for item in items])
    assert found.sizes == {item.digest: item.size for item in items}
    assert (found.indexes_fetched, found.indexes_kept) == (0, 3)
    assert len(simulator.requests) == before


def test_a_kept_index_that_was_damaged_is_fetched_again(world: World, simulator: Simulator) -> None:
    (item,) = world.publish("wget", "1.0", size_bytes=900)
    store = MemoryStore()
    look_up(simulator, store).look_up([ours(item)])
    (key,) = store.keys(INDEX_PREFIX)
    store.put(key, b"damaged")
    found = look_up(simulator, store).look_up([ours(item)])
    assert (found.indexes_fetched, found.sizes) == (1, {item.digest: item.size})


def test_an_index_that_gained_a_platform_is_fetched_again(world: World, simulator: Simulator) -> None:
    (first,) = world.publish("wget", "1.0", size_bytes=900)
    store = MemoryStore()
    look_up(simulator, store).look_up([ours(first)])
    items = world.publish("wget", "1.0", tags=("arm64_sonoma", "arm64_tahoe"), size_bytes=900)
    found = look_up(simulator, store).look_up([ours(item) for item in items])
    assert (found.indexes_fetched, len(found.sizes)) == (1, 2)
    assert len(store.keys(INDEX_PREFIX)) == 2


def test_a_size_that_the_index_lacks_comes_from_the_child_manifest(
    world: World, simulator: Simulator
) -> None:
    (item,) = world.publish("wget", "1.0", size_bytes=900)
    simulator.fault(item.filename, Fault.index_lacks_size())
    found = look_up(simulator, MemoryStore()).look_up([ours(item)])
    assert (found.sizes, found.problems) == ({item.digest: item.size}, [])


def test_a_size_that_nothing_tells_is_unknown_and_named(world: World, simulator: Simulator) -> None:
    (lacking,) = world.publish("wget", "1.0", size_bytes=900)
    (good,) = world.publish("curl", "1.0", size_bytes=900)
    simulator.fault(lacking.filename, Fault.index_lacks_digest())
    found = look_up(simulator, MemoryStore()).look_up([ours(lacking), ours(good)])
    assert found.sizes == {good.digest: good.size}
    assert lacking.digest in found.problems[0]


@pytest.mark.parametrize(
    "fault",
    [
        Fault.not_found(),
        Fault.server_error(500, times=None),
        Fault.html_page(times=None, at="registry"),
        Fault.redirects_to("https://elsewhere.example/", times=None),
        Fault.redirects_to("http://[bad", times=None),
        Fault(kind="answer", at="registry", times=None, status=200, body=b"[" * 100_000),
        Fault(kind="answer", at="registry", times=None, body=b'{"manifests":[{"x":' + b"[" * 100_000),
        Fault(
            kind="answer", at="registry", times=None, status=200, body=b'{"manifests":[{"digest":"\xff"}]}'
        ),
        Fault(kind="answer", at="registry", times=None, status=200, body=b"x" * (5 * 1024 * 1024)),
    ],
)
def test_an_index_that_cannot_be_had_leaves_the_size_unknown(
    world: World, simulator: Simulator, fault: Fault
) -> None:
    (item,) = world.publish("wget", "1.0", size_bytes=900)
    (good,) = world.publish("curl", "1.0", size_bytes=900)
    simulator.fault("wget:1.0", fault)
    found = look_up(simulator, MemoryStore()).look_up([ours(item), ours(good)])
    assert found.sizes == {good.digest: good.size}
    assert "wget" in found.problems[0]


def test_an_index_that_is_busy_is_asked_again(world: World, simulator: Simulator) -> None:
    (item,) = world.publish("wget", "1.0", size_bytes=900)
    simulator.fault("wget:1.0", Fault.too_many_requests("20"))
    found = look_up(simulator, MemoryStore()).look_up([ours(item)])
    assert found.sizes == {item.digest: item.size}


def test_indexes_are_not_kept_by_a_look_without_recording(world: World, simulator: Simulator) -> None:
    (item,) = world.publish("wget", "1.0", size_bytes=900)
    store = MemoryStore()
    found = look_up(simulator, ReadOnlyStore(store)).look_up([ours(item)])
    assert found.sizes == {item.digest: item.size}
    assert store.keys() == []
