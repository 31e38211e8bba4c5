"""Every client goes through the proxy and trusts the private CA, however either is named."""

import contextlib
import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from botocore.exceptions import BotoCoreError

from brew_assets.adapters.http.aws_session import ReachSession
from brew_assets.adapters.http.reach import Reach
from brew_assets.compose import channels, mirror
from brew_assets.compose.store import build_hash_files, build_store, reach_of
from brew_assets.defs.lambda_route import lambda_client
from brew_assets.domain.bottle import Bottle, Digest, PkgVersion, blob_url
from brew_assets.engine.notifier import Notification
from brew_assets.errors import MirrorError
from brew_assets.settings import Secret, Settings, read_settings
from brew_assets.simulator import Simulator, World
from brew_assets_tests.aws_profiles import KEYS, ROLE
from brew_assets_tests.closed_network import (
    API,
    AWS,
    CDN,
    HOOKS,
    REGISTRY,
    S3,
    ClosedNetwork,
    closed_network,
    upstream_of,
    ways_to_name_a_ca,
    ways_to_name_a_proxy,
)
from brew_assets_tests.event_account import CREDENTIALS, EventAccount, aws
from brew_assets_tests.messages import MISSING
from brew_assets_tests.ports import free_ports
from brew_assets_tests.raw_server import raw_server, whole
from brew_assets_tests.relay import Asked, Orders, RecordingProxy, recording_proxy
from brew_assets_tests.slack_sink import slack_sink

OUR_PAIR = "me:p@ss:ü"
PROXIES = tuple(ways_to_name_a_proxy(""))
AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE")


class Behind:
    """Upstream, AWS and Slack behind their names, and the settings of a mirror that uses all of them."""

    def __init__(self, upstream: Simulator, network: ClosedNetwork, aws_url: str) -> None:
        self.network = network
        account = EventAccount(aws_url)
        account.client("s3").create_bucket(Bucket="bottles")
        topic = account.client("sns").create_topic(Name="syncs")["TopicArn"]
        self.environment = {
            **network.environment,
            "MIRROR_URL": "s3://bottles/brew",
            "TRIGGER_QUEUE_URL": account.queue_url.replace(aws_url, f"https://{AWS}"),
            "SNS_TOPIC_ARN": topic,
            "ENABLE_METRICS": "true",
            "EXTERNAL_HASH_FILE_URL": f"https://{API}/api/formula.json",
        }
        made = upstream.world.bottles[0]
        self.bottle = Bottle(
            formula=made.formula,
            pkg_version=PkgVersion(made.pkg_version),
            tag=made.tag,
            rebuild=made.rebuild,
            digest=Digest(made.digest),
            url=blob_url(made.formula, Digest(made.digest)),
        )


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(upstream_of(World.generate(seed=3, formulae=2)))
        url, sink = stack.enter_context(aws()), stack.enter_context(slack_sink())
        root = tmp_path_factory.mktemp("network")
        network = stack.enter_context(closed_network(root, upstream, s3=url, aws=url, hooks=sink.url))
        yield Behind(upstream, network, url)


@pytest.fixture
def proxy(behind: Behind) -> Iterator[RecordingProxy]:
    with recording_proxy(Orders(leads=behind.network.leads)) as running:
        yield running


@pytest.fixture(autouse=True)
def only_what_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore, which looks there itself, finds nothing in the environment of whoever runs the tests."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("AWS_", "SSL_CERT_")):
            monkeypatch.delenv(name)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def fetch_catalogue(settings: Settings, _: Behind) -> None:
    assert mirror.build_mirror(settings).ports.catalogue.fetch() is not None


def fetch_api_file(settings: Settings, _: Behind) -> None:
    api = mirror.build_mirror(settings).ports.api
    assert api is not None
    assert api.fetch("arm64_sonoma") is not None


def read_hash_file(settings: Settings, behind: Behind) -> None:
    (source,) = build_hash_files(settings)
    assert source.load().data


def download_bottle(settings: Settings, behind: Behind) -> None:
    blob = mirror.build_mirror(settings).ports.blobs.open(behind.bottle)
    assert blob.readinto(memoryview(bytearray(1 << 20)))
    blob.close()


def store_bottle(settings: Settings, behind: Behind) -> None:
    store = build_store(settings)
    content = os.urandom(100)
    digest = Digest(hashlib.sha256(content).hexdigest())
    # A key of its own each time.
    version = PkgVersion(f"1.{int.from_bytes(content[:4])}")
    bottle = msgspec.structs.replace(behind.bottle, digest=digest, pkg_version=version)
    sink = store.receive(bottle, date="2026-08-22", size=100)
    sink.write(memoryview(content))
    sink.commit()


def list_by_boto3(settings: Settings, _: Behind) -> None:
    list(build_store(settings).listing("state/"))


def receive_events(settings: Settings, _: Behind) -> None:
    queue = channels.build_event_queue(settings)
    assert queue is not None
    assert queue.receive(1) == []


def publish_metrics(settings: Settings, _: Behind) -> None:
    metrics = channels.build_metrics(settings)
    assert metrics is not None
    metrics._put([{"MetricName": "SyncsFailed", "Value": 1.0}])


def publish_to_topic(settings: Settings, _: Behind) -> None:
    _send(settings, "sns")


def post_to_slack(settings: Settings, _: Behind) -> None:
    _send(settings, "slack")


def _send(settings: Settings, name: str) -> None:
    (channel,) = (channel for channel in channels.build_channels(settings) if channel.name == name)
    channel.send(Notification(name="absence", subject="x", message=MISSING))


def list_functions(settings: Settings, _: Behind) -> None:
    lambda_client(settings).list_functions()


def ask_sts(settings: Settings, _: Behind) -> None:
    session = ReachSession(reach_of(settings))
    client = session.create_client("sts", region_name="us-east-1", endpoint_url=settings.aws_endpoint_url)
    client.get_caller_identity()


CLIENTS: dict[str, tuple[Callable[[Settings, Behind], None], tuple[str, ...]]] = {
    "catalogue": (fetch_catalogue, (API,)),
    "signed API": (fetch_api_file, (API,)),
    "hash file": (read_hash_file, (API,)),
    "bottle": (download_bottle, (REGISTRY, CDN)),
    "thin connection": (store_bottle, (S3,)),
    "boto3": (list_by_boto3, (S3,)),
    "queue": (receive_events, (AWS,)),
    "metrics": (publish_metrics, (AWS,)),
    "topic": (publish_to_topic, (AWS,)),
    "lambda": (list_functions, (AWS,)),
    "sts": (ask_sts, (AWS,)),
    "slack": (post_to_slack, (HOOKS,)),
}


def settings_of(behind: Behind, *more: dict[str, str]) -> Settings:
    environment = dict(behind.environment)
    for part in more:
        environment |= part
    return read_settings(environment)


# What a client of ours raises, and what botocore's own, which two of these tests use.
REFUSALS = (MirrorError, BotoCoreError)
# One of each kind of client: httpx, its transport alone, the thin connection, boto3.
KINDS = ("catalogue", "slack", "bottle", "boto3")


@pytest.mark.parametrize("way", PROXIES)
@pytest.mark.parametrize("client", KINDS)
def test_each_kind_of_client_finds_the_proxy_however_it_is_named(
    client: str, way: str, behind: Behind, proxy: RecordingProxy
) -> None:
    named = ways_to_name_a_proxy(proxy.place)[way]
    if way == "with credentials":
        proxy.orders.credentials = OUR_PAIR
    use, hosts = CLIENTS[client]

    use(settings_of(behind, named, ways_to_name_a_ca(behind.network.ca)["SSL_CERT_FILE"]), behind)

    assert {f"{host}:443" for host in hosts} <= proxy.hosts
    assert {asked.method for asked in proxy.asked} == {"CONNECT"}


@pytest.mark.parametrize("way", AUTHORITIES[1:])
@pytest.mark.parametrize("client", KINDS)
def test_each_kind_of_client_trusts_the_companys_ca_however_it_is_named(
    client: str, way: str, behind: Behind, proxy: RecordingProxy
) -> None:
    use, _ = CLIENTS[client]
    use(settings_of(behind, {"HTTPS_PROXY": proxy.place}, ways_to_name_a_ca(behind.network.ca)[way]), behind)


@pytest.mark.parametrize("client", CLIENTS)
def test_each_client_goes_through_the_proxy_and_trusts_the_companys_ca(
    client: str, behind: Behind, proxy: RecordingProxy
) -> None:
    proxy.orders.credentials = OUR_PAIR
    named = ways_to_name_a_proxy(proxy.place)["with credentials"]
    use, hosts = CLIENTS[client]

    use(settings_of(behind, named, ways_to_name_a_ca(behind.network.ca)["AWS_CA_BUNDLE"]), behind)

    assert {f"{host}:443" for host in hosts} <= proxy.hosts


@pytest.mark.parametrize("client", KINDS)
def test_without_the_ca_nothing_is_read(client: str, behind: Behind, proxy: RecordingProxy) -> None:
    use, _ = CLIENTS[client]
    with pytest.raises(MirrorError, match=r"certificate.*SSL_CERT_FILE"):
        use(settings_of(behind, {"HTTPS_PROXY": proxy.place}), behind)


def test_credentials_of_a_role_are_asked_for_through_the_proxy(
    behind: Behind, proxy: RecordingProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "config"
    # The CA stands in the profile alone.
    profile.write_text(
        f"[profile mirror]\n{ROLE}source_profile = keys\nca_bundle = {behind.network.ca.file}\n"
        f"[profile keys]\n{KEYS}"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(profile))
    monkeypatch.setenv("AWS_PROFILE", "mirror")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"https://{AWS}")

    store = build_store(settings_of(behind, {"HTTPS_PROXY": proxy.place}))
    assert list(store.listing("state/")) == []
    store_bottle(settings_of(behind, {"HTTPS_PROXY": proxy.place}), behind)

    assert proxy.hosts == {f"{AWS}:443", f"{S3}:443"}
    # It is trusted for what is no matter of AWS too.
    fetch_catalogue(settings_of(behind, {"HTTPS_PROXY": proxy.place}), behind)


def test_an_instances_own_credentials_are_no_matter_of_the_environments_proxy(
    proxy: RecordingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.place}")
    with raw_server(whole(b"not an instance")) as server:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url)
        reach = Reach(http_proxy=Secret(proxy.place), no_proxy=("127.0.0.1",))
        ReachSession(reach).get_credentials()
        assert server.requests
    assert proxy.asked == []


def refuses_by(status: str) -> Callable[[Asked, socket.socket], bool]:
    def answer(_: Asked, connection: socket.socket) -> bool:
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        return True

    return answer


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("407 Proxy Authentication Required", "other credentials (407)"),
        ("403 Forbidden", "NO_PROXY"),
        ("502 Bad Gateway", "answered 502"),
    ],
    ids=["407", "403", "502"],
)
def test_a_proxy_that_refuses_is_named_without_its_password(
    status: str, said: str, client: str, behind: Behind, proxy: RecordingProxy
) -> None:
    proxy.orders.answer = refuses_by(status)
    use, _ = CLIENTS[client]

    with pytest.raises(REFUSALS) as refused:
        use(settings_of(behind, {"HTTPS_PROXY": f"http://me:verysecret@{proxy.place}"}), behind)

    text = str(refused.value)
    assert f"the proxy http://{proxy.place} (HTTPS_PROXY)" in text
    assert said in text
    assert "verysecret" not in f"{text}{refused.value!r}{refused.value.__cause__!r}"
    if not status.startswith("502"):
        assert len(proxy.asked) == 1


@pytest.mark.parametrize("client", KINDS)
def test_a_proxy_that_is_not_there_is_named(client: str, behind: Behind) -> None:
    use, _ = CLIENTS[client]
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(REFUSALS) as refused:
        use(settings_of(behind, {"HTTPS_PROXY": nobody}), behind)
    assert f"the proxy {nobody} (HTTPS_PROXY) cannot be reached" in str(refused.value)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_that_no_proxy_names_goes_past_and_says_so(
    client: str, behind: Behind, proxy: RecordingProxy
) -> None:
    # The names resolve nowhere: going past the proxy is seen by the failure.
    use, _ = CLIENTS[client]
    with pytest.raises(REFUSALS, match=r"past the proxy of HTTPS_PROXY \(NO_PROXY\)"):
        use(settings_of(behind, {"HTTPS_PROXY": proxy.place, "NO_PROXY": f".example,{S3}"}), behind)
    assert proxy.asked == []


@pytest.mark.parametrize("client", CLIENTS)
def test_an_empty_variable_neither_ends_the_checks_nor_the_systems_trust(
    client: str, behind: Behind, proxy: RecordingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    use, _ = CLIENTS[client]
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, "")
    empty = {"HTTPS_PROXY": proxy.place, "AWS_CA_BUNDLE": "", "SSL_CERT_FILE": ""}
    with pytest.raises(REFUSALS, match=r"(?i)certificate"):
        use(settings_of(behind, empty), behind)
    named = ways_to_name_a_ca(behind.network.ca)
    for way, other in (("SSL_CERT_FILE", "AWS_CA_BUNDLE"), ("AWS_CA_BUNDLE", "SSL_CERT_FILE")):
        use(settings_of(behind, empty, named[way], {other: ""}), behind)
