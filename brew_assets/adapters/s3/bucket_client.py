"""boto3's client of a bucket, as the settings say, made to believe no answer unseen."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from brew_assets.adapters.aws.answers import BoundedSession, asked_for, bound_answers
from brew_assets.adapters.aws.client import s3_client
from brew_assets.adapters.http.reach import CONNECT_TIMEOUT_S, Reach
from brew_assets.adapters.s3.client_errors import setting_error
from brew_assets.adapters.s3.documents import check_documents

if TYPE_CHECKING:
    import boto3.session
    from mypy_boto3_s3 import S3Client

_ANY_KEY = "key"


class S3Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to speak to the bucket. `sse` is AES256, aws:kms or bucket (the bucket's own default).

    An empty region, no endpoint and the addressing style "auto" are as the AWS profile has them.
    """

    bucket: str
    prefix: str = ""
    region: str = ""
    endpoint_url: str | None = None
    addressing_style: str = "auto"
    sse: str = "AES256"
    kms_key_id: str = ""
    acl: str = ""
    accelerate: bool = False
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    timeout_s: float = 300.0
    connections: int = 16
    api_base_url: str = "https://formulae.brew.sh/api"


def bucket_client(
    session: "boto3.session.Session",
    options: S3Options,
    reach: Reach,
    *,
    url: str,
    monotonic: Callable[[], float],
) -> "tuple[S3Client, BoundedSession]":
    """The client, and what bounds its answers; `url` is the store's.

    Raises:
        SettingsInvalid, StoreError: a setting fits no bucket, or a provider of credentials has failed.
    """
    try:
        client = s3_client(
            session,
            region=options.region,
            endpoint_url=options.endpoint_url,
            addressing_style=options.addressing_style,
            accelerate=options.accelerate,
            connections=options.connections,
            connect_timeout_s=options.connect_timeout_s,
            timeout_s=options.timeout_s,
        )
    except Exception as exc:  # of providers of credentials, and of settings that are none
        raise setting_error(exc, url=url) from exc
    answers = bound_answers(client, context=reach.aws_context, monotonic=monotonic, is_xml=True)
    check_documents(client)
    return client, answers


def bucket_address(client: "S3Client", bucket: str, *, url: str) -> str:
    """Where the client asks for the bucket's objects, without a slash at its end. Nothing is sent.

    Raises:
        SettingsInvalid, StoreError: as of `bucket_client`.
    """
    try:
        address = asked_for(client, "head_object", Bucket=bucket, Key=_ANY_KEY)
    except Exception as exc:  # as there
        raise setting_error(exc, url=url) from exc
    return address.partition("?")[0].removesuffix(f"/{_ANY_KEY}")
