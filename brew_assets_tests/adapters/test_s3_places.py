"""Where a bucket is and what it demands: addresses, regions, ACLs, by settings and by the AWS profile."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from brew_assets.adapters.aws.answers import asked_for
from brew_assets.adapters.aws.client import aws_client
from brew_assets.adapters.s3 import store as s3_store
from brew_assets.adapters.s3.bucket_client import S3Options
from brew_assets.adapters.s3.store import S3Store
from brew_assets.compose.store import build_store, s3_options
from brew_assets.configured import region_of
from brew_assets.domain.plan import Request
from brew_assets.domain.report import Report
from brew_assets.engine.planner import make_plan
from brew_assets.engine.record.verify import certify
from brew_assets.errors import StoreError, StoreRefused, StoreUnavailable
from brew_assets.settings import Secret, Settings
from brew_assets_tests.adapters.store_contract import give
from brew_assets_tests.aws_profiles import KEYS, NOBODY, Profiles
from brew_assets_tests.engine.test_sync import ARM, Upstream
from brew_assets_tests.fakes import ImpatientClock
from brew_assets_tests.private_ca import PrivateCa
from brew_assets_tests.raw_server import raw_server
from brew_assets_tests.relay import Orders, place_of, recording_proxy
from brew_assets_tests.strict_s3 import BUCKET, ENDPOINT, StrictS3, strict_s3
from brew_assets_tests.worlds import DATE, bottle

PATH, VIRTUAL = "s3.test", f"{BUCKET}.s3.test"
CONTENT = b"the bytes of a bottle"


@pytest.fixture
def strict() -> Iterator[StrictS3]:
    with strict_s3() as running:
        yield running


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profiles:
    """A profile with keys, and nothing in the environment."""
    made = Profiles(tmp_path, monkeypatch)
    monkeypatch.delenv("AWS_REGION")
    made.write(KEYS)
    return made


def settings_for(strict: StrictS3, **more: object) -> Settings:
    made = Settings(
        mirror_url=f"s3://{BUCKET}/brew",
        aws_endpoint_url=ENDPOINT,
        http_proxy=Secret(strict.proxy),
        s3_sse="bucket",
    )
    return msgspec.structs.replace(made, **more)


def synced(settings: Settings) -> tuple[Report, Upstream]:
    """A sync with copies inside the store, its fold and a verification."""
    upstream = Upstream(build_store(settings, clock=ImpatientClock()))
    upstream.publish("wget")
    upstream.publish("shared", tags=dict.fromkeys(ARM, "shared"))
    mirror = upstream.mirror(workers=2)
    report, _ = mirror.sync(make_plan(mirror, Request(platforms=ARM), sizes=False).plan)
    return report, upstream


@pytest.mark.parametrize(
    ("host", "style", "profile"),
    [
        (PATH, "auto", ""),
        (PATH, "path", ""),
        (PATH, "path", "s3 =\n  addressing_style = virtual\n"),
        (VIRTUAL, "virtual", ""),
        (VIRTUAL, "auto", "s3 =\n  addressing_style = virtual\n"),
        (VIRTUAL, "virtual", "s3 =\n  addressing_style = path\n"),
    ],
    ids=["default", "path", "path before the profile", "virtual", "virtual by profile", "virtual before it"],
)
def test_every_request_has_the_form_of_address_that_is_set(
    strict: StrictS3, profiles: Profiles, host: str, style: str, profile: str
) -> None:
    profiles.write(KEYS + profile)
    strict.host = host
    report, upstream = synced(settings_for(strict, s3_addressing_style=style))
    assert (report.outcome, report.stored, report.duplicated) == ("success", 4, 2)
    entries = upstream.mirror().fold().manifest.entries()
    assert {found.verdict for found in certify(upstream.store, entries)} == {"CURRENT"}
    assert {seen[1] for seen in strict.seen} == {host}
    assert {seen[0] for seen in strict.seen} == {"GET", "PUT", "POST", "HEAD"}


def test_a_server_that_wants_the_other_form_is_a_refusal(strict: StrictS3, profiles: Profiles) -> None:
    strict.host = VIRTUAL
    with pytest.raises(StoreRefused, match="403 AccessDenied"):
        build_store(settings_for(strict), clock=ImpatientClock()).prepare()


@pytest.mark.parametrize("acl", ["", "bucket-owner-full-control"])
def test_a_bucket_that_demands_an_acl_gets_it_with_every_object(
    strict: StrictS3, profiles: Profiles, acl: str
) -> None:
    strict.acl = "bucket-owner-full-control"
    if acl:
        report, upstream = synced(settings_for(strict, s3_acl=acl))
        assert (report.outcome, report.duplicated) == ("success", 2)
        upstream.store.write("state/upstream/indexes/wget/1/2.json", b"{}")
    else:
        with pytest.raises(StoreError, match="403 AccessDenied"):
            synced(settings_for(strict))


@pytest.mark.parametrize("call", ["write", "index", "bottle"])
@pytest.mark.parametrize(
    ("refuses", "remedy"),
    [
        (("x-amz-server-side-encryption", 501, "NotImplemented", "no KMS here"), "set S3_SSE=bucket"),
        (("x-amz-server-side-encryption", 501, "", ""), "set S3_SSE=bucket"),
        (
            (
                "x-amz-checksum-sha256",
                400,
                "InvalidArgument",
                "Unsupported header 'x-amz-checksum-sha256' received for this API call.",
            ),
            "this server does not take x-amz-checksum-sha256",
        ),
        (("x-amz-acl", 400, "AccessControlListNotSupported", "owner enforced"), "leave S3_ACL empty"),
    ],
    ids=["SSE", "SSE without a code", "checksum", "ACL"],
)
def test_a_header_that_a_server_does_not_take_is_named_with_its_setting(
    strict: StrictS3, profiles: Profiles, call: str, refuses: tuple[str, int, str, str], remedy: str
) -> None:
    strict.refuses = refuses
    store = build_store(settings_for(strict, s3_sse="AES256", s3_acl="private"), clock=ImpatientClock())
    assert isinstance(store, S3Store)
    with pytest.raises(StoreError, match=remedy):
        CALLS[call](store)


def test_a_call_that_is_not_implemented_and_carries_no_encryption_is_not_told_to_leave_it_out(
    strict: StrictS3, profiles: Profiles
) -> None:
    strict.refuses = ("x-amz-date", 501, "NotImplemented", "no such call")
    with pytest.raises(StoreError) as caught:
        build_store(settings_for(strict), clock=ImpatientClock()).delete(["state/x"])
    assert "S3_SSE" not in str(caught.value)


# -- regions -----------------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[S3Store], object]] = {
    "prepare": lambda store: store.prepare(),
    "listing": lambda store: list(store.listing("state/")),
    "read": lambda store: store.read("state/x"),
    "write": lambda store: store.write("state/x", b"x"),
    "index": lambda store: store.write("state/upstream/indexes/a/1/2.json", b"x"),
    "delete": lambda store: store.delete(["state/x"]),
    "facts": lambda store: store.facts(f"{DATE}/x"),
    "hash": lambda store: store.hash(f"{DATE}/x"),
    "peek": lambda store: store.peek(f"{DATE}/x", 10),
    "bottle": lambda store: give(store, bottle("jq", content=CONTENT), CONTENT),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "elsewhere",
    [
        (301, "PermanentRedirect"),
        (301, ""),
        (307, "TemporaryRedirect"),
        (400, "AuthorizationHeaderMalformed"),
    ],
    ids=lambda answer: f"{answer[0]} {answer[1]}",
)
def test_a_bucket_in_another_region_says_in_which(
    strict: StrictS3, profiles: Profiles, call: str, elsewhere: tuple[int, str]
) -> None:
    strict.region, strict.elsewhere = "eu-west-1", elsewhere
    store = build_store(settings_for(strict), clock=ImpatientClock())
    assert isinstance(store, S3Store)
    with pytest.raises(StoreError, match="the bucket is in eu-west-1: set AWS_REGION=eu-west-1") as caught:
        CALLS[call](store)
    assert type(caught.value) is (StoreUnavailable if elsewhere[0] == 307 else StoreRefused)
    store.close()


def test_a_request_that_is_refused_in_its_own_region_is_not_sent_to_another(
    strict: StrictS3, profiles: Profiles
) -> None:
    strict.host, strict.region = VIRTUAL, "us-east-1"
    with pytest.raises(StoreRefused) as caught:
        build_store(settings_for(strict), clock=ImpatientClock()).prepare()
    assert "region" not in str(caught.value).lower()


@pytest.mark.parametrize(
    ("variables", "profile", "setting", "region"),
    [
        ({}, "", "", "us-east-1"),
        ({}, "region = eu-west-1\n", "", "eu-west-1"),
        ({"AWS_DEFAULT_REGION": ""}, "region = eu-west-1\n", "", "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, "region = eu-west-1\n", "", "eu-west-2"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, "region = eu-west-1\n", "eu-west-3", "eu-west-3"),
    ],
)
def test_the_region_is_that_of_the_setting_of_boto3s_variable_or_of_the_profile(
    strict: StrictS3,
    profiles: Profiles,
    variables: dict[str, str],
    profile: str,
    setting: str,
    region: str,
) -> None:
    profiles.write(KEYS + profile)
    profiles.set(**variables)
    strict.region = region
    settings = settings_for(strict, aws_region=setting)
    assert synced(settings)[0].outcome == "success"
    assert region_of(settings) == region


def test_a_link_has_a_region_though_the_profile_is_missing(profiles: Profiles) -> None:
    profiles.set(AWS_PROFILE="absent")
    assert region_of(Settings()) == "us-east-1"


# -- endpoints ---------------------------------------------------------------------------------------------

SERVICES = "services = mine\n"
SECTION = "[services mine]\ns3 =\n  endpoint_url = https://s3.mine.test\n"
MINE = "https://s3.mine.test/my.bottles"
AWS = "https://s3.eu-west-1.amazonaws.com/my.bottles"


@pytest.mark.parametrize(
    ("profile", "also", "variables", "address"),
    [
        ("", "", {}, AWS),
        ("endpoint_url = https://s3.mine.test/below/\n", "", {}, "https://s3.mine.test/below/my.bottles"),
        (SERVICES, SECTION, {}, MINE),
        (SERVICES, SECTION, {"AWS_ENDPOINT_URL": "https://other.test"}, "https://other.test/my.bottles"),
        (
            SERVICES,
            SECTION,
            {"AWS_ENDPOINT_URL": "https://other.test", "AWS_ENDPOINT_URL_S3": "https://third.test:8443"},
            "https://third.test:8443/my.bottles",
        ),
        (
            SERVICES,
            SECTION,
            {"AWS_ENDPOINT_URL": "https://other.test", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            AWS,
        ),
        (
            "use_dualstack_endpoint = true\n",
            "",
            {},
            "https://s3.dualstack.eu-west-1.amazonaws.com/my.bottles",
        ),
        ("use_fips_endpoint = true\n", "", {}, "https://s3-fips.eu-west-1.amazonaws.com/my.bottles"),
    ],
    ids=["aws", "profile", "services", "variable", "variable of S3", "ignored", "dualstack", "fips"],
)
def test_the_thin_connection_goes_where_boto3_goes(
    profiles: Profiles, profile: str, also: str, variables: dict[str, str], address: str
) -> None:
    profiles.write(f"{KEYS}region = eu-west-1\n{profile}", also=also)
    profiles.set(**variables)
    settings = Settings(
        aws_endpoint_url=variables.get("AWS_ENDPOINT_URL", ""),
        aws_endpoint_url_s3=variables.get("AWS_ENDPOINT_URL_S3", ""),
    )
    # A dot in its name: no certificate would fit it as a host.
    store = S3Store(s3_options(settings, bucket="my.bottles"), clock=ImpatientClock())
    signer = store._signing()
    thin = f"{signer.origin.scheme}://{signer.origin.netloc}{signer.target('k')}"
    asked = asked_for(store._client(), "get_object", Bucket="my.bottles", Key="k")
    assert asked == thin == f"{address}/k"
    assert signer.region == "eu-west-1"


def test_the_certificates_are_not_read_again_for_each_connection(
    profiles: Profiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on macOS, where the library is given a file that one can take away.
    monkeypatch.delattr(os, "memfd_create", raising=False)
    ca = PrivateCa(tmp_path)
    with strict_s3(ca.server_context("127.0.0.1")) as strict:
        strict.host, strict.region = "127.0.0.1", "eu-west-1"
        endpoint = strict.proxy.replace("http:", "https:")
        profiles.write(f"{KEYS}region = eu-west-1\nendpoint_url = {endpoint}\n")
        store = S3Store(S3Options(bucket=BUCKET), ca.reach(), clock=ImpatientClock())
        store._client()
        Path(ca.reach().ca_file()).unlink()
        assert store.read("state/none") is None


def test_a_profile_alone_leads_to_a_server_with_a_companys_certificate(
    profiles: Profiles, tmp_path: Path
) -> None:
    ca = PrivateCa(tmp_path)
    with strict_s3(ca.server_context("127.0.0.1")) as strict:
        strict.host, strict.region = "127.0.0.1", "eu-west-1"
        endpoint = strict.proxy.replace("http:", "https:")
        own = f"{KEYS}region = eu-west-1\nendpoint_url = {endpoint}\n"
        settings = Settings(mirror_url=f"s3://{BUCKET}/brew")
        for bundle in ("", f"ca_bundle = {ca.file}\n"):
            profiles.write(own + bundle)
            # Empty, it is not set, and hides nothing of the profile.
            profiles.set(AWS_CA_BUNDLE="")
            if bundle:
                assert synced(settings)[0].outcome == "success"
                continue
            for call in ("read", "facts"):
                store = build_store(settings, clock=ImpatientClock())
                assert isinstance(store, S3Store)
                with pytest.raises(
                    StoreUnavailable, match=r"certificate is not trusted .*SSL_CERT_FILE or AWS_CA"
                ):
                    CALLS[call](store)


def test_a_server_named_by_its_ipv6_address_is_reached_through_a_proxy(
    profiles: Profiles, tmp_path: Path
) -> None:
    address = "2001:db8::1"
    ca = PrivateCa(tmp_path)
    with strict_s3(ca.server_context(address)) as strict:
        strict.host = address
        orders = Orders(leads={f"[{address}]:8443": place_of(strict.proxy)})
        with recording_proxy(orders) as proxy:
            settings = settings_for(
                strict,
                aws_endpoint_url=f"https://[{address}]:8443",
                https_proxy=Secret(proxy.place),
                ssl_cert_file=str(ca.file),
            )
            assert synced(settings)[0].outcome == "success"
            assert {asked.method for asked in proxy.asked} == {"CONNECT"}


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({}, "https://sns.eu-west-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL": "http://all.test"}, "http://all.test"),
        (
            {"AWS_ENDPOINT_URL": "http://all.test", "AWS_ENDPOINT_URL_SNS": "http://sns.test"},
            "http://sns.test",
        ),
        (
            {"AWS_ENDPOINT_URL": "http://all.test", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            "https://sns.eu-west-1.amazonaws.com",
        ),
    ],
    ids=["aws", "variable", "variable of SNS", "ignored"],
)
def test_the_other_services_have_endpoint_and_region_as_boto3_has_them(
    profiles: Profiles, variables: dict[str, str], address: str
) -> None:
    profiles.write(f"{KEYS}region = eu-west-1\n")
    profiles.set(**variables)
    client = aws_client("sns", region="", endpoint_url=variables.get("AWS_ENDPOINT_URL"))
    assert client.meta.endpoint_url == address


def test_acceleration_is_for_the_mirrors_own_bucket() -> None:
    settings = Settings(mirror_url="s3://ours/brew", s3_accelerate=True)
    assert s3_options(settings, bucket="ours").accelerate
    assert not s3_options(settings, bucket="theirs").accelerate


@pytest.mark.parametrize("call", ["prepare", "read", "facts", "index", "bottle"])
@pytest.mark.parametrize(
    ("endpoint", "why"),
    [(NOBODY, "connection refused"), ("http://no.such.invalid", "the name no.such.invalid is not")],
)
def test_a_server_that_cannot_be_reached_is_named_with_what_names_it(
    profiles: Profiles, call: str, endpoint: str, why: str
) -> None:
    store = S3Store(S3Options(bucket="nope", prefix="brew", endpoint_url=endpoint), clock=ImpatientClock())
    with pytest.raises(StoreUnavailable) as caught:
        CALLS[call](store)
    text = str(caught.value)
    assert text.startswith(f"s3://nope/brew: {endpoint} cannot be reached: {why}")
    assert "AWS_ENDPOINT_URL (or AWS_ENDPOINT_URL_S3, AWS_REGION, the AWS profile)" in text
    assert text.endswith("; no proxy is set (HTTP_PROXY)")


def test_a_setting_that_boto3_does_not_take_is_a_refusal_with_its_name(profiles: Profiles) -> None:
    profiles.write(f"{KEYS}s3 =\n  addressing_style = sideways\n")
    with pytest.raises(StoreRefused, match="sideways"):
        S3Store(S3Options(bucket="b"), clock=ImpatientClock()).read("state/x")


# -- what is waited for ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx"], ids=["head", "body"]
)
def test_an_interruption_ends_what_other_threads_wait_for_and_lets_ones_own_calls_go_on(
    profiles: Profiles, sent: bytes
) -> None:
    begun, errors = threading.Event(), []

    def answer(server: object, connection: object) -> None:
        connection.sendall(sent)  # type: ignore[attr-defined]
        begun.set()
        server.over.wait(60)  # type: ignore[attr-defined]

    with raw_server(answer) as server:
        store = S3Store(S3Options(bucket="b", endpoint_url=server.url), clock=ImpatientClock())

        def read() -> None:
            try:
                store.read("state/x")
            except StoreError as error:
                errors.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        assert begun.wait(30)
        store.interrupt()
        thread.join(30)
        assert not thread.is_alive()
        assert [type(error) for error in errors] == [StoreUnavailable]
        # What the interrupting thread has to write goes out.
        before = len(server.requests)
        server.over.set()
        with pytest.raises(StoreUnavailable):
            store.write("state/report", b"x")
        assert len(server.requests) > before


# -- sizes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False], ids=["known by the plan", "seen at upstream"])
def test_a_bottle_over_the_limit_fails_alone_and_no_byte_of_it_moves(
    strict: StrictS3, profiles: Profiles, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.setattr(s3_store, "MOST_BOTTLE_BYTES", 1000)
    upstream = Upstream(build_store(settings_for(strict), clock=ImpatientClock()))
    for name in ("jq", "wget"):
        upstream.publish(name)
    large = b"x" * 2000
    upstream.publish("llvm", tags={"arm64_sonoma": large.decode()})
    mirror = upstream.mirror(workers=1)
    plan = make_plan(mirror, Request(platforms=("arm64_sonoma",)), sizes=False).plan
    digest = hashlib.sha256(large).hexdigest()
    sizes = {digest: 2000} if known else {}
    objects = tuple(msgspec.structs.replace(p, size=sizes.get(p.bottle.digest)) for p in plan.objects)
    report, _ = mirror.sync(msgspec.structs.replace(plan, objects=objects))
    assert (report.outcome, report.stored) == ("partial", 2)
    (failure,) = report.failed
    assert (failure.name, failure.reason) == ("llvm-1.0.arm64_sonoma.bottle.tar.gz", "object refused")
    assert "2,000" in failure.message
    opened = [name for name, _ in upstream.blobs.opened if name.startswith("llvm")]
    assert len(opened) == (0 if known else 1)
    assert report.bytes_downloaded < 2000
