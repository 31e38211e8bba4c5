"""The store and the hash files that the settings name, and how anything outside is reached."""

import re
from typing import TYPE_CHECKING

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.adapters.http.reach import Reach
from brew_assets.adapters.http.trust import Trust
from brew_assets.adapters.http.url import split_url
from brew_assets.configured import path_of
from brew_assets.domain.addresses import shown_url
from brew_assets.engine.clock import SystemClock
from brew_assets.engine.ports import Clock, HashFileSource, StopSignal, Store
from brew_assets.engine.transfer.state import copy_threads
from brew_assets.errors import SettingsInvalid
from brew_assets.settings import PLACES, Settings

if TYPE_CHECKING:
    from brew_assets.adapters.s3.bucket_client import S3Options

# The clock of this process: whoever measures or waits is given it.
CLOCK = SystemClock()
_S3_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")


def reach_of(settings: Settings) -> Reach:
    """How everything outside is reached. Nothing is contacted yet.

    Where the mirror is a bucket, the certificates that its AWS profile names are trusted for everything too.
    """
    files = (("SSL_CERT_FILE", settings.ssl_cert_file), ("AWS_CA_BUNDLE", settings.aws_ca_bundle))
    folders = (("SSL_CERT_DIR", settings.ssl_cert_dir),)
    reach = Reach(
        https_proxy=settings.https_proxy,
        http_proxy=settings.http_proxy,
        all_proxy=settings.all_proxy,
        no_proxy=settings.no_proxy,
        trust=Trust(
            files=tuple(pair for pair in files if pair[1]),
            folders=tuple(pair for pair in folders if pair[1]),
        ),
    )
    if not settings.mirror_url.startswith("s3:"):
        return reach
    from brew_assets.adapters.aws.client import aws_session, session_reach

    return session_reach(aws_session(reach), reach)


def build_store(settings: Settings, *, clock: Clock = CLOCK) -> Store:
    """The store that MIRROR_URL names. Nothing is contacted yet.

    Raises:
        SettingsInvalid: MIRROR_URL is neither a directory nor s3://bucket/prefix.
    """
    url = settings.mirror_url
    if not url.startswith("s3:"):
        # An empty path would be the current directory.
        if "://" in url or not url.strip():
            raise SettingsInvalid(name="MIRROR_URL", expected=PLACES, found=repr(shown_url(url)[:80]))
        return DirectoryStore(path_of("MIRROR_URL", url))
    # boto3 is a third of the start-up time of the command line: only a bucket needs it.
    from brew_assets.adapters.s3.store import S3Store

    bucket, prefix = bucket_of(settings)
    return S3Store(s3_options(settings, bucket=bucket, prefix=prefix), reach_of(settings), clock=clock)


def bucket_of(settings: Settings) -> tuple[str, str]:
    """The bucket of the mirror, and the prefix in it, without slashes at its ends.

    Raises:
        SettingsInvalid: MIRROR_URL is not s3://bucket/prefix.
    """
    url = settings.mirror_url
    match = _S3_URL.fullmatch(url)
    if match is None:
        of_bucket = bool(settings.s3_bucket_name) and url == f"s3://{settings.s3_bucket_name}"
        name, expected = (
            ("S3_BUCKET_NAME", "the name of a bucket, as in s3://bucket")
            if of_bucket
            else ("MIRROR_URL", "s3://bucket/prefix")
        )
        raise SettingsInvalid(name=name, expected=expected, found=repr(shown_url(url)[:80]))
    prefix = (match[2] or "").strip("/")
    if any(part in (".", "..") for part in prefix.split("/")):
        raise SettingsInvalid(
            name="MIRROR_URL", expected="a prefix without dots", found=repr(shown_url(url)[:80])
        )
    return match[1], prefix


def _own_bucket(settings: Settings) -> str:
    """The bucket of the mirror, "" where that is a directory."""
    own = _S3_URL.fullmatch(settings.mirror_url)
    return own[1] if own else ""


def s3_options(settings: Settings, *, bucket: str, prefix: str = "") -> "S3Options":
    from brew_assets.adapters.s3.bucket_client import S3Options

    return S3Options(
        bucket=bucket,
        prefix=prefix,
        region=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url_s3 or settings.aws_endpoint_url or None,
        addressing_style=settings.s3_addressing_style,
        acl=settings.s3_acl,
        sse=settings.s3_sse,
        kms_key_id=settings.s3_kms_key_id,
        # It is a property of a bucket: that the mirror's has it says nothing of another one.
        accelerate=settings.s3_accelerate and bucket == _own_bucket(settings),
        timeout_s=settings.download_timeout_seconds,
        connections=max(
            copy_threads(max(settings.max_concurrent_downloads, settings.download_concurrency)),
            settings.lambda_concurrency,
            # Of who verifies, identifies and rebuilds, whatever the settings.
            10,
        )
        + 4,
        api_base_url=shown_url(settings.formulae_api_url).rstrip("/"),
    )


def build_hash_files(
    settings: Settings, *, clock: Clock = CLOCK, stop: StopSignal | None = None
) -> tuple[HashFileSource, ...]:
    """The external hash files that the settings name. Nothing is contacted yet.

    Raises:
        SettingsInvalid: a key without a bucket that it could be in, or a path that is none.
    """
    if not (
        settings.external_hash_file_path
        or settings.external_hash_file_url
        or settings.external_hash_file_s3_key
    ):
        return ()
    from brew_assets.adapters.skip_list_sources import HttpsHashFile, PathHashFile, S3HashFile

    sources: list[HashFileSource] = []
    if settings.external_hash_file_s3_key:
        bucket = settings.external_hash_file_s3_bucket or _own_bucket(settings)
        if not bucket:
            raise SettingsInvalid(
                name="EXTERNAL_HASH_FILE_S3_BUCKET",
                expected="a bucket, since the mirror is not in one",
                found="nothing",
            )
        options, key = s3_options(settings, bucket=bucket), settings.external_hash_file_s3_key
        sources.append(S3HashFile(options, key, reach=reach_of(settings), clock=clock, stop=stop))
    if settings.external_hash_file_url:
        timeout_s = settings.download_timeout_seconds
        sources.append(
            HttpsHashFile(
                settings.external_hash_file_url,
                timeout_s=timeout_s,
                reach=reach_of(settings),
                clock=clock,
                stop=stop,
            )
        )
    if settings.external_hash_file_path:
        path = path_of("EXTERNAL_HASH_FILE_PATH", settings.external_hash_file_path)
        sources.append(PathHashFile(path, stop=stop))
    return tuple(sources)


def store_hint(settings: Settings, reach: Reach) -> str:
    """What to look at when a bucket's server does not answer; nothing for a directory."""
    bucket = _S3_URL.fullmatch(settings.mirror_url)
    if bucket is None:
        return ""
    variables = "MIRROR_URL or S3_BUCKET_NAME, AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_S3, AWS_REGION"
    # The AWS profile may name an endpoint too: there the store alone knows which one.
    if not (endpoint := shown_url(settings.aws_endpoint_url_s3 or settings.aws_endpoint_url)):
        return f"check the bucket {bucket[1]}: {variables}, the AWS profile"
    return f"check the bucket {bucket[1]} at {endpoint}: {variables}; {way_to(reach, endpoint)}"


def way_to(reach: Reach, url: str) -> str:
    """In words, how a server is reached: for errors."""
    try:
        return reach.way_to(split_url(url)[0])
    except (SettingsInvalid, ValueError):  # whoever goes that way says so
        return "the proxy is as the settings say"
