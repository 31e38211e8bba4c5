"""The S3 store against SeaweedFS: the contract of all stores, and what only a bucket has."""

import hashlib
from collections.abc import Iterator

import msgspec
import pytest

from brew_assets.adapters.s3.bucket_client import S3Options
from brew_assets.adapters.s3.store import MOST_BOTTLE_BYTES, S3Store
from brew_assets.domain.bottle import Bottle, Digest, PkgVersion, blob_url
from brew_assets.engine.clock import SystemClock
from brew_assets.errors import ObjectRefused, StoreRefused, StoreUnavailable
from brew_assets_tests.adapters.store_contract import StoreContract
from brew_assets_tests.aws_profiles import NOBODY
from brew_assets_tests.servers import ACCESS_KEY, REGION, SECRET_KEY, S3Server, seaweedfs

DATE = "2026-11-22"


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """One SeaweedFS for this module."""
    with seaweedfs() as running:
        yield running


@pytest.fixture
def options(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Options:
    """A prefix of an empty bucket; the credentials come from the environment, as they do for operators."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    return S3Options(bucket=server.bucket, prefix=server.new_prefix(), region=REGION, endpoint_url=server.url)


@pytest.fixture
def store(options: S3Options) -> Iterator[S3Store]:
    """An empty store."""
    made = S3Store(options, clock=SystemClock())
    made.prepare()
    yield made
    made.close()


class TestS3Store(StoreContract):
    """Every promise of a store."""


def a_bottle(content: bytes, *, formula: str = "libsigc++@2", tag: str = "arm64_sonoma") -> Bottle:
    digest = hashlib.sha256(content).hexdigest()
    return Bottle(
        formula=formula,
        pkg_version=PkgVersion("2.12.1_1"),
        tag=tag,
        rebuild=1,
        digest=Digest(digest),
        url=blob_url(formula, digest),
    )


def put(store: S3Store, bottle: Bottle, content: bytes, *, piece: int = 300_000) -> None:
    sink = store.receive(bottle, date=DATE, size=len(content))
    for start in range(0, len(content), piece):
        sink.write(memoryview(content)[start : start + piece])
    sink.commit()


@pytest.mark.parametrize("sse", ["AES256", "bucket"])
def test_a_bottle_carries_its_encryption_as_the_settings_say(
    server: S3Server, options: S3Options, sse: str
) -> None:
    store = S3Store(msgspec.structs.replace(options, sse=sse), clock=SystemClock())
    content = b"x" * 70_000
    bottle = a_bottle(content)
    put(store, bottle, content)
    head = server.client.head_object(Bucket=options.bucket, Key=f"{options.prefix}/{bottle.key(DATE)}")
    assert head.get("ServerSideEncryption") == (None if sse == "bucket" else sse)
    store.close()


def test_a_bottle_over_the_limit_of_one_put_is_refused_by_name_before_a_byte_moves(
    options: S3Options,
) -> None:
    store = S3Store(msgspec.structs.replace(options, endpoint_url=NOBODY), clock=SystemClock())
    large = a_bottle(b"x", formula="llvm")
    with pytest.raises(ObjectRefused, match=r"llvm-2\.12\.1_1.*5 GiB.*a directory takes it"):
        store.receive(large, date=DATE, size=MOST_BOTTLE_BYTES + 1)
    # No more than that: 5 GiB are one PUT.
    store.receive(large, date=DATE, size=MOST_BOTTLE_BYTES).abort()
    store.close()


def test_a_server_that_is_gone_is_unavailable_and_one_without_credentials_refused(
    server: S3Server, options: S3Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = S3Store(msgspec.structs.replace(options, endpoint_url="http://127.0.0.1:9"), clock=SystemClock())
    sink = gone.receive(a_bottle(b"x"), date=DATE, size=1)
    with pytest.raises(StoreUnavailable):
        sink.write(memoryview(b"x"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    nameless = S3Store(options, clock=SystemClock())
    with pytest.raises(StoreRefused):
        nameless.receive(a_bottle(b"x"), date=DATE, size=1)
    with pytest.raises(StoreRefused):
        nameless.prepare()


def test_acceleration_and_regions_give_the_addresses_that_aws_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    plain = S3Store(S3Options(bucket="my-bottles", region="eu-central-1"), clock=SystemClock())
    assert plain._signing().origin.netloc == "my-bottles.s3.eu-central-1.amazonaws.com"
    fast = S3Store(
        S3Options(bucket="my-bottles", region="eu-central-1", accelerate=True), clock=SystemClock()
    )
    assert fast._signing().origin.netloc == "my-bottles.s3-accelerate.amazonaws.com"


def test_our_canonical_form_is_signed_as_botocore_signs_it() -> None:
    """The signer's shortcuts may not change one character of the authorization."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    from brew_assets.adapters.s3.signing import BulkSigner

    class Known(S3SigV4Auth):
        def payload(self, request: AWSRequest) -> str:
            return "ab" * 32

    credentials = Credentials(ACCESS_KEY, SECRET_KEY, "session-token")
    signer = BulkSigner(credentials, region=REGION, bucket_url="http://127.0.0.1:8333/bucket")
    target = signer.target("2026-11-22/libsigc++@2-2.12.1_1.arm64_sonoma.bottle.1.tar.gz")
    headers = {
        "Content-Type": "application/gzip",
        "x-amz-meta-formula-name": "libsigc++@2",
        "If-None-Match": "*",
    }
    ours = signer.signed_headers("PUT", target, headers, payload_sha256="ab" * 32)
    request = AWSRequest(method="PUT", url=f"http://127.0.0.1:8333{target}", headers=headers)
    request.context["timestamp"] = ours["X-Amz-Date"]
    theirs = Known(credentials, "s3", REGION)
    theirs._modify_request_before_signing(request)  # type: ignore[attr-defined]
    string_to_sign = theirs.string_to_sign(request, theirs.canonical_request(request))
    signature = theirs.signature(string_to_sign, request)
    assert ours["Authorization"].endswith(f"Signature={signature}")
