"""S3 as Local AWS serves it keeps what the mirror's store relies on."""

import hashlib
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from brew_assets.adapters.s3.bucket_client import S3Options
from brew_assets.adapters.s3.store import S3Store
from brew_assets.engine.clock import SystemClock
from brew_assets_tests.adapters.store_contract import StoreContract
from brew_assets_tests.local_aws.session import LocalAws


@pytest.fixture(scope="module")
def bucket(aws: LocalAws) -> str:
    """A bucket."""
    aws.client("s3").create_bucket(Bucket="bottles")
    return "bottles"


@pytest.fixture
def options(aws: LocalAws, bucket: str, monkeypatch: pytest.MonkeyPatch) -> S3Options:
    """A prefix that nobody else uses."""
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    return S3Options(bucket=bucket, prefix=f"team/{uuid.uuid4().hex[:8]}", endpoint_url=aws.url)


@pytest.fixture
def store(options: S3Options) -> Iterator[S3Store]:
    """An empty store."""
    made = S3Store(options, clock=SystemClock())
    made.prepare()
    yield made
    made.close()


class TestLocalS3(StoreContract):
    """Every promise of a store."""


@pytest.fixture
def s3(aws: LocalAws, bucket: str) -> Any:
    """A plain client."""
    return aws.client("s3")


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return str(caught.value.response["Error"]["Code"])


def test_a_wrong_checksum_is_refused_and_leaves_nothing(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="wrong", Body=b"x", ChecksumSHA256="A" * 43 + "=")
    assert code_of(caught) == "BadDigest"
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="wrong")


def test_a_wrong_part_is_refused(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", ChecksumAlgorithm="SHA256")["UploadId"]
    with pytest.raises(ClientError) as caught:
        s3.upload_part(
            Bucket=bucket,
            Key="parts",
            UploadId=upload,
            PartNumber=1,
            Body=b"x",
            ChecksumSHA256="A" * 43 + "=",
        )
    assert code_of(caught) == "BadDigest"
    s3.abort_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload)


def test_a_head_tells_the_checksum_of_a_put_and_of_a_copy(s3: Any, bucket: str) -> None:
    import base64

    checksum = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
    s3.put_object(Bucket=bucket, Key="original", Body=b"x", ChecksumSHA256=checksum)
    s3.copy_object(
        Bucket=bucket,
        Key="copy",
        CopySource={"Bucket": bucket, "Key": "original"},
        ChecksumAlgorithm="SHA256",
    )
    for key in ("original", "copy"):
        assert s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")["ChecksumSHA256"] == checksum
        assert "ChecksumSHA256" not in s3.head_object(Bucket=bucket, Key=key)


def test_a_copy_can_be_create_only(s3: Any, bucket: str) -> None:
    for key in ("from", "to"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    with pytest.raises(ClientError) as caught:
        s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "from"}, IfNoneMatch="*")
    assert code_of(caught) == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="to")["Body"].read() == b"to"


def test_of_many_conditional_writes_one_wins(s3: Any, bucket: str) -> None:
    def create(number: int) -> bool:
        try:
            s3.put_object(Bucket=bucket, Key="race", Body=b"%d" % number, IfNoneMatch="*")
        except ClientError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(create, range(40))).count(True) == 1
