"""boto3's client of a bucket, as the settings say, made to believe no answer unseen."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from brew_assets.adapters.aws.answers import BoundedSession, bound_answers
from brew_assets.adapters.aws.client import s3_client
from brew_assets.adapters.http.reach import Reach
from brew_assets.adapters.s3.documents import check_documents

if TYPE_CHECKING:
    import boto3.session
    from mypy_boto3_s3 import S3Client

    from brew_assets.adapters.s3.store import S3Options


def bucket_client(
    session: "boto3.session.Session", options: "S3Options", reach: Reach, *, monotonic: Callable[[], float]
) -> "tuple[S3Client, BoundedSession]":
    """The client, and what bounds its answers.

    Raises:
        Exception: whatever providers of credentials raise, or botocore for a setting that is none.
    """
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
    answers = bound_answers(client, context=reach.aws_context, monotonic=monotonic, is_xml=True)
    check_documents(client)
    return client, answers
