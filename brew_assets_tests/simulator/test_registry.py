import hashlib
import http.client
import json
import socket
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from brew_assets.simulator import SimulatedBottle, Simulator, SizeDistribution, World
from brew_assets_tests.simulator.client import BEARER, ask, blob_url, fetch, index_url, locate


def test_without_authorization_the_registry_names_its_token_service(
    simulator: Simulator, wget: SimulatedBottle
) -> None:
    answer = ask(blob_url(simulator, wget))
    assert answer.status == 401
    assert answer["WWW-Authenticate"] == (
        f'Bearer realm="{simulator.registry_url}/token",service="ghcr.io",'
        'scope="repository:homebrew/core/wget:pull"'
    )


def test_any_bearer_is_redirected_to_a_signed_address_at_another_port(
    simulator: Simulator, wget: SimulatedBottle
) -> None:
    location = urlsplit(locate(simulator, wget))
    assert location.netloc == simulator.cdn_host != urlsplit(simulator.registry_url).netloc
    assert "sig=" in location.query


def test_the_cdn_sends_the_bottle_and_everything_is_counted(
    simulator: Simulator, wget: SimulatedBottle
) -> None:
    answer = fetch(simulator, wget)
    assert hashlib.sha256(answer.body).hexdigest() == wget.digest
    assert int(answer["Content-Length"]) == wget.size
    assert simulator.downloads == simulator.completed == {wget.digest: 1}
    assert simulator.bytes_sent == wget.size
    assert simulator.violations == []
    seen = [(request.host, request.method, request.authorized) for request in simulator.requests]
    assert seen == [("registry", "GET", True), ("cdn", "GET", False)]


def test_authorization_sent_to_the_cdn_is_refused_and_noted(
    simulator: Simulator, wget: SimulatedBottle
) -> None:
    assert ask(locate(simulator, wget), BEARER).status == 400
    (violation,) = simulator.violations
    assert "Authorization" in violation


def test_a_signed_address_serves_one_get(simulator: Simulator, wget: SimulatedBottle) -> None:
    location = locate(simulator, wget)
    head = ask(location, method="HEAD")
    assert (head.status, int(head["Content-Length"]), head.body) == (200, wget.size, b"")
    assert [ask(location).status for _ in range(2)] == [200, 403]
    assert simulator.downloads[wget.digest] == 1
    assert len(simulator.violations) == 1


def test_httpx_follows_the_redirect_and_drops_authorization(
    simulator: Simulator, wget: SimulatedBottle
) -> None:
    answer = httpx.get(blob_url(simulator, wget), headers=BEARER, follow_redirects=True, trust_env=False)
    assert hashlib.sha256(answer.content).hexdigest() == wget.digest
    assert simulator.violations == []


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=1000-", 1000, None),
        ("bytes=0-9", 0, 9),
        ("bytes=-100", -100, None),
        ("bytes=2900-999999", 2900, None),
    ],
)
def test_a_range_is_answered_with_206(
    simulator: Simulator, world: World, wget: SimulatedBottle, asked: str, first: int, last: int | None
) -> None:
    whole = world.blob(wget.digest)
    answer = fetch(simulator, wget, {"Range": asked})
    assert answer.status == 206
    assert answer.body == whole[first : None if last is None else last + 1]
    start = first % wget.size
    assert answer["Content-Range"] == f"bytes {start}-{start + len(answer.body) - 1}/{wget.size}"


def test_a_range_beyond_the_end_is_416_with_the_size(simulator: Simulator, wget: SimulatedBottle) -> None:
    answer = fetch(simulator, wget, {"Range": f"bytes={wget.size}-"})
    assert (answer.status, answer["Content-Range"]) == (416, f"bytes */{wget.size}")
    assert simulator.downloads[wget.digest] == 0


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=9-2", "lines=1-2", "bytes=-"])
def test_a_range_that_is_not_understood_is_ignored(
    simulator: Simulator, wget: SimulatedBottle, asked: str
) -> None:
    answer = fetch(simulator, wget, {"Range": asked})
    assert (answer.status, len(answer.body)) == (200, wget.size)


def test_if_range_gives_the_part_only_when_the_blob_is_the_same(
    simulator: Simulator, wget: SimulatedBottle
) -> None:
    etag = fetch(simulator, wget)["ETag"]
    assert fetch(simulator, wget, {"Range": "bytes=9-", "If-Range": etag}).status == 206
    assert fetch(simulator, wget, {"Range": "bytes=9-", "If-Range": '"other"'}).status == 200


def test_a_download_resumed_to_the_end_is_complete_and_a_first_half_is_not(
    simulator: Simulator, wget: SimulatedBottle
) -> None:
    fetch(simulator, wget, {"Range": "bytes=0-999"})
    assert simulator.completed[wget.digest] == 0
    fetch(simulator, wget, {"Range": "bytes=1000-"})
    assert simulator.completed[wget.digest] == 1
    assert simulator.downloads[wget.digest] == 2


def test_unknown_blobs_images_and_references_are_404(simulator: Simulator, wget: SimulatedBottle) -> None:
    base = f"{simulator.registry_url}/v2/homebrew/core"
    for path in (f"wget/blobs/sha256:{'0' * 64}", f"curl/blobs/sha256:{wget.digest}", "wget/manifests/9"):
        assert ask(f"{base}/{path}", BEARER).status == 404, path


def test_index_and_child_manifest_come_with_their_media_types(
    simulator: Simulator, wget: SimulatedBottle
) -> None:
    index = ask(index_url(simulator, wget), BEARER)
    assert index["Content-Type"] == "application/vnd.oci.image.index.v1+json"
    (entry,) = json.loads(index.body)["manifests"]
    child = ask(f"{simulator.registry_url}/v2/homebrew/core/wget/manifests/{entry['digest']}", BEARER)
    assert child["Content-Type"] == "application/vnd.oci.image.manifest.v1+json"
    assert (
        f"sha256:{hashlib.sha256(child.body).hexdigest()}"
        == entry["digest"]
        == child["Docker-Content-Digest"]
    )
    assert json.loads(child.body)["layers"][0]["size"] == wget.size


def test_where_a_token_is_required_only_one_from_the_token_service_works(
    world: World, wget: SimulatedBottle
) -> None:
    with Simulator(world, token_required=True) as simulator:
        assert ask(blob_url(simulator, wget), BEARER).status == 401
        scope = "service=ghcr.io&scope=repository:homebrew/core/wget:pull"
        token = json.loads(ask(f"{simulator.registry_url}/token?{scope}").body)["token"]
        assert ask(blob_url(simulator, wget), {"Authorization": f"Bearer {token}"}).status == 307
        assert ask(f"{simulator.registry_url}/token").status == 400


def test_the_environment_points_at_the_three_hosts(simulator: Simulator) -> None:
    assert simulator.environment() == {
        "FORMULAE_API_URL": simulator.api_url,
        "BOTTLE_REGISTRY_URL": simulator.registry_url,
        "BOTTLE_CDN_HOSTS": simulator.cdn_host,
        "API_PUBLIC_KEY": str(simulator.api_public_key),
    }


def test_one_connection_carries_many_requests(simulator: Simulator, wget: SimulatedBottle) -> None:
    connection = http.client.HTTPConnection(simulator.cdn_host, timeout=20)
    ports = set()
    for _ in range(5):
        connection.request("GET", locate(simulator, wget).split(simulator.cdn_host)[1])
        assert len(connection.getresponse().read()) == wget.size
        ports.add(connection.sock.getsockname()[1])
    connection.close()
    assert len(ports) == 1


def test_eight_clients_get_every_bottle_of_a_world() -> None:
    world = World.generate(seed=9, formulae=60, sizes=SizeDistribution.fixed(3_000))
    digests = {bottle.digest: bottle for bottle in world.bottles}
    with Simulator(world) as simulator, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda bottle: fetch(simulator, bottle), digests.values()))
    assert [hashlib.sha256(answer.body).hexdigest() for answer in answers] == list(digests)
    assert simulator.completed == dict.fromkeys(digests, 1)


def test_both_ends_of_a_bottle_of_4_gib_come_by_range_and_nothing_holds_it(
    simulator: Simulator, world: World
) -> None:
    tracemalloc.start()
    try:
        (bottle,) = world.publish("llvm", "22.1.0", size_bytes=4 * 2**30)
        first = fetch(simulator, bottle, {"Range": "bytes=0-9"})
        last = fetch(simulator, bottle, {"Range": f"bytes={bottle.size - 300_000}-"})
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert abs(bottle.size - 4 * 2**30) < 1_000
    assert first.body.startswith(b"\x1f\x8b\x08")
    assert last.body == world.open_blob(bottle.digest).read(bottle.size - 300_000)
    assert last["Content-Range"].endswith(f"-{bottle.size - 1}/{bottle.size}")
    assert peak_bytes < 16 * 2**20


def test_a_client_of_http_1_0_is_not_kept_waiting(simulator: Simulator) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(simulator.registry_url).port or 0), 20) as old:
        old.sendall(b"GET /v2/ HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: old.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 404 ")


def test_bytes_that_never_left_are_not_counted_when_a_client_hangs_up(world: World) -> None:
    (bottle,) = world.publish("llvm", "22.1.0", size_bytes=40_000_000)
    with Simulator(world) as simulator:
        connection = http.client.HTTPConnection(simulator.cdn_host, timeout=20)
        connection.request("GET", locate(simulator, bottle).split(simulator.cdn_host)[1])
        assert connection.getresponse().read(1_000)
        connection.close()
    assert simulator.bytes_sent < bottle.size
    assert simulator.completed == {}


def test_a_stopped_simulator_refuses_connections_and_ends_open_ones(
    world: World, wget: SimulatedBottle
) -> None:
    simulator = Simulator(world)
    simulator.start()
    port = urlsplit(simulator.registry_url).port
    idle = http.client.HTTPConnection("127.0.0.1", port or 0, timeout=20)
    idle.request("GET", "/v2/")
    idle.getresponse().read()
    simulator.stop()
    assert idle.sock.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", port or 0, timeout=20).connect()
    with pytest.raises(RuntimeError, match="not started"):
        _ = simulator.api_url
    idle.close()


def test_a_stopped_simulator_starts_again(world: World, wget: SimulatedBottle) -> None:
    simulator = Simulator(world)
    for _ in range(2):
        with simulator:
            assert fetch(simulator, wget).status == 200
    assert simulator.completed[wget.digest] == 2
