"""Settings -> wired engine: the one place where adapters are chosen."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.adapters.formulae_api import FormulaeApi
from brew_assets.adapters.ghcr.login import CredentialsSource, given_credentials
from brew_assets.adapters.ghcr.registry import Ghcr
from brew_assets.adapters.http.reach import Reach
from brew_assets.adapters.http.trust import Trust
from brew_assets.adapters.http.url import AddressInvalid, split_url
from brew_assets.configured import configured_platforms, path_of, routing_rules
from brew_assets.domain.addresses import shown_url
from brew_assets.engine.clock import GracefulStop, SystemClock
from brew_assets.engine.noticed_ports import (
    NoticedCatalogue,
    NoticedHashFile,
    NoticedRegistry,
    NoticedStore,
)
from brew_assets.engine.notifier import Channel
from brew_assets.engine.options import Options
from brew_assets.engine.ports import Clock, HashFileSource, Ports, StopSignal, Store
from brew_assets.engine.retry import RetryPolicy
from brew_assets.engine.sync import Mirror
from brew_assets.engine.transfer.local_copier import Copier
from brew_assets.engine.transfer.state import copy_threads
from brew_assets.errors import SettingsInvalid
from brew_assets.setting_values import shown_value
from brew_assets.settings import PLACES, Secret, Settings

if TYPE_CHECKING:
    from brew_assets.adapters.aws.cloudwatch import CloudWatchMetrics
    from brew_assets.adapters.aws.sqs import EventQueue
    from brew_assets.adapters.s3.store import S3Options

# The clock of this process: whoever measures or waits is given it.
CLOCK = SystemClock()
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]\\]+)(:[0-9]{1,5})?")
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
    options = _s3_options(settings, bucket=match[1], prefix=prefix)
    return S3Store(options, reach_of(settings), clock=clock)


def _own_bucket(settings: Settings) -> str:
    """The bucket of the mirror, "" where that is a directory."""
    own = _S3_URL.fullmatch(settings.mirror_url)
    return own[1] if own else ""


def _s3_options(settings: Settings, *, bucket: str, prefix: str = "") -> "S3Options":
    from brew_assets.adapters.s3.store import S3Options

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
        options = _s3_options(settings, bucket=bucket)
        sources.append(
            S3HashFile(
                options,
                settings.external_hash_file_s3_key,
                reach=reach_of(settings),
                clock=clock,
                stop=stop,
            )
        )
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


def build_event_queue(settings: Settings) -> "EventQueue | None":
    """The queue of TRIGGER_QUEUE_URL, None where that is empty. Nothing is contacted yet."""
    if not settings.trigger_queue_url:
        return None
    from brew_assets.adapters.aws.sqs import EventQueue

    return EventQueue(
        settings.trigger_queue_url,
        dead_letter_url=settings.trigger_dead_letter_queue_url,
        region=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url or None,
        reach=reach_of(settings),
    )


def build_metrics(settings: Settings) -> "CloudWatchMetrics | None":
    """Where metrics go, None unless ENABLE_METRICS. Nothing is contacted yet."""
    if not settings.enable_metrics:
        return None
    from brew_assets.adapters.aws.cloudwatch import CloudWatchMetrics

    return CloudWatchMetrics(
        region=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url or None,
        reach=reach_of(settings),
    )


def build_channels(settings: Settings, *, clock: Clock = CLOCK) -> tuple[Channel, ...]:
    """The ways to people and other systems that the settings name. Nothing is contacted yet."""
    channels: list[Channel] = []
    region, endpoint_url = settings.aws_region, settings.aws_endpoint_url or None
    reach = reach_of(settings)
    if settings.enable_notifications and settings.slack_webhook_secret_name:
        from brew_assets.adapters.aws.secrets import WebhookSecret

        secret = settings.slack_webhook_secret_name
        webhook = WebhookSecret(secret, region=region, endpoint_url=endpoint_url, reach=reach)
        channels.append(_slack(settings, webhook, clock))
    elif settings.enable_notifications and settings.slack_webhook_url:
        channels.append(_slack(settings, lambda: settings.slack_webhook_url, clock))
    if settings.enable_notifications and (settings.sns_topic_arn or settings.sns_security_topic_arn):
        from brew_assets.adapters.aws.sns import SnsSecurityTopic, SnsTopic

        if settings.sns_topic_arn:
            channels.append(
                SnsTopic(settings.sns_topic_arn, region=region, endpoint_url=endpoint_url, reach=reach)
            )
        if settings.sns_security_topic_arn:
            channels.append(
                SnsSecurityTopic(
                    settings.sns_security_topic_arn, region=region, endpoint_url=endpoint_url, reach=reach
                )
            )
    metrics = build_metrics(settings)
    if metrics is not None:
        from brew_assets.adapters.aws.cloudwatch import MetricsChannel

        channels.append(MetricsChannel(metrics, clock))
    return tuple(channels)


def _slack(settings: Settings, webhook: Callable[[], Secret], clock: Clock) -> Channel:
    from brew_assets.adapters.slack import SlackWebhook

    return SlackWebhook(
        webhook,
        channel=settings.slack_channel,
        username=settings.slack_username,
        reach=reach_of(settings),
        clock=clock,
    )


def build_mirror(settings: Settings, *, clock: Clock = CLOCK, stop: StopSignal | None = None) -> Mirror:
    """The engine, wired. Nothing is contacted yet.

    Raises:
        SettingsInvalid: a setting has a value that is not accepted.
    """
    options = Options(
        platforms=configured_platforms(settings),
        workers=settings.max_concurrent_downloads,
        workers_in_ecs=settings.download_concurrency or settings.max_concurrent_downloads,
        batch_size=settings.batch_size,
        retry=RetryPolicy(attempts=settings.retry_attempts, delay_s=settings.retry_delay_seconds),
        include_disabled=settings.include_disabled,
        exclude_formulae=settings.exclude_formulae,
        routing=routing_rules(settings),
        max_download_gb=settings.max_download_size_gb,
    )
    return Mirror(_build_ports(settings, clock, stop or GracefulStop()), options)


def build_process_copier(settings: Settings, mirror: Mirror) -> Copier:
    """What copies for the command line: in several processes where that is safe and worth it."""
    from brew_assets.engine.process_copier import ProcessCopier

    return ProcessCopier(
        mirror.ports,
        mirror.options,
        most=settings.max_transfer_processes,
        make_ports=lambda stop: _build_ports(settings, mirror.ports.clock, stop),
    )


def _cdn_hosts(settings: Settings) -> tuple[str, ...]:
    for host in settings.bottle_cdn_hosts:
        if not _HOST.fullmatch(host.strip()):
            expected = "hosts as in example.org or example.org:8443"
            raise SettingsInvalid(name="BOTTLE_CDN_HOSTS", expected=expected, found=shown_value(host))
    return settings.bottle_cdn_hosts


def _build_registry(settings: Settings, reach: Reach, clock: Clock) -> Ghcr:
    try:
        return Ghcr(
            settings.bottle_registry_url,
            cdn_hosts=_cdn_hosts(settings),
            timeout_s=settings.download_timeout_seconds,
            credentials=_registry_credentials(settings, reach),
            reach=reach,
            clock=clock,
        )
    except AddressInvalid as exc:
        raise SettingsInvalid(name="BOTTLE_REGISTRY_URL", expected=exc.expected, found=exc.found) from exc


def _registry_credentials(settings: Settings, reach: Reach) -> CredentialsSource | None:
    """Where the registry's user and password come from, None where none are set. Nothing is contacted yet."""
    username = settings.bottle_registry_username
    if username or not settings.bottle_registry_secret_name:
        return given_credentials(username, settings.bottle_registry_password)
    from brew_assets.adapters.aws.secrets import RegistrySecret

    return RegistrySecret(
        settings.bottle_registry_secret_name,
        region=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url or None,
        reach=reach,
    )


def _way_to(reach: Reach, url: str) -> str:
    """In words, how a server is reached: for errors."""
    try:
        return reach.way_to(split_url(url)[0])
    except (SettingsInvalid, ValueError):  # whoever goes that way says so
        return "the proxy is as the settings say"


def _store_hint(settings: Settings, reach: Reach) -> str:
    """What to look at when a bucket's server does not answer; nothing for a directory."""
    bucket = _S3_URL.fullmatch(settings.mirror_url)
    if bucket is None:
        return ""
    variables = "MIRROR_URL or S3_BUCKET_NAME, AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_S3, AWS_REGION"
    # The AWS profile may name an endpoint too: there the store alone knows which one.
    if not (endpoint := shown_url(settings.aws_endpoint_url_s3 or settings.aws_endpoint_url)):
        return f"check the bucket {bucket[1]}: {variables}, the AWS profile"
    return f"check the bucket {bucket[1]} at {endpoint}: {variables}; {_way_to(reach, endpoint)}"


def _build_ports(settings: Settings, clock: Clock, stop: StopSignal) -> Ports:
    api_url, hash_url = settings.formulae_api_url, settings.external_hash_file_url
    reach = reach_of(settings)
    timeout_s = settings.download_timeout_seconds
    api = FormulaeApi(api_url, timeout_s=timeout_s, reach=reach, clock=clock, stop=stop)
    found = _build_registry(settings, reach, clock)
    hash_files = build_hash_files(settings, clock=clock, stop=stop)
    hint = f"check BOTTLE_REGISTRY_URL and the network; {_way_to(reach, found.url)}"
    registry = NoticedRegistry(found, found, hint=hint)
    hint = f"check EXTERNAL_HASH_FILE_URL and the network; {_way_to(reach, hash_url)}"
    return Ports(
        catalogue=NoticedCatalogue(
            api, hint=f"check FORMULAE_API_URL and the network; {_way_to(reach, api_url)}"
        ),
        blobs=registry,
        indexes=registry,
        store=NoticedStore(build_store(settings, clock=clock), hint=_store_hint(settings, reach)),
        hash_files=tuple(NoticedHashFile(file, hint=hint) for file in hash_files),
        clock=clock,
        stop=stop,
    )
