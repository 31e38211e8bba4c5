"""Every environment variable of the project: its type, default, unit and meaning.

The only reader of the environment. AWS credentials alone are left to boto3's own chain.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from brew_assets.errors import SettingsInvalid
from brew_assets.publication_settings import PublicationSettings
from brew_assets.setting_values import (
    DEFAULT_PLATFORMS,
    PROXIES,
    Group,
    Secret,
    in_group,
    read_value,
    refusal,
    shown_value,
)

__all__ = ["PLACES", "REPLACED", "Secret", "Settings", "read_settings"]

# What the mirror's place may be, in words.
PLACES = "a directory or s3://bucket/prefix"


_store = in_group(Group.STORE)
_selection = in_group(Group.SELECTION)
_network = in_group(Group.NETWORK)
_aws = in_group(Group.AWS)
_messages = in_group(Group.MESSAGES)


class Settings(PublicationSettings, frozen=True, kw_only=True, rename="upper"):
    """All settings with their defaults; `Settings()` is a complete configuration.

    Those of what is published and served stand in publication_settings.py.
    """

    mirror_url: Annotated[
        str, _store("Where the bottles are kept: a directory, or `s3://bucket/prefix`.")
    ] = "mirror/"
    s3_bucket_name: Annotated[
        str, _store("Bucket of the mirror; short for `MIRROR_URL=s3://<name>` where that is not set.")
    ] = ""
    s3_sse: Annotated[
        Literal["AES256", "aws:kms", "bucket"],
        _store("Server-side encryption of new objects; `bucket` leaves it to the bucket's default."),
    ] = "AES256"
    s3_kms_key_id: Annotated[
        str, _store("KMS key for `S3_SSE=aws:kms`; empty means the account's own key for S3.")
    ] = ""
    s3_accelerate: Annotated[
        bool, _store("Use S3 Transfer Acceleration (the bucket must have it enabled).")
    ] = False
    s3_addressing_style: Annotated[
        Literal["auto", "path", "virtual"],
        _store(
            "How the bucket stands in addresses: `path` or `virtual` (a host of its own); `auto` means as the AWS profile says, else `path` below an endpoint of its own and `virtual` on AWS."
        ),
    ] = "auto"
    s3_acl: Annotated[
        Literal["", "private", "bucket-owner-full-control", "bucket-owner-read"],
        _store(
            "Canned ACL that new objects carry, for buckets that demand one, such as `bucket-owner-full-control`; empty means none."
        ),
    ] = ""

    target_platforms: Annotated[
        tuple[str, ...], _selection("Platforms to mirror for, comma-separated tags.")
    ] = DEFAULT_PLATFORMS
    mirror_formulae: Annotated[
        tuple[str, ...],
        _selection(
            "Formulae that this mirror is meant to hold, comma-separated names; what they need comes with them; empty means all."
        ),
    ] = ()
    include_dependencies: Annotated[
        bool, _selection("Whether formulae that are named bring what they need at run time.")
    ] = True
    exclude_formulae: Annotated[
        tuple[str, ...],
        _selection(
            "Formulae to leave out, comma-separated names (aliases and old names count); what is held of them already stays."
        ),
    ] = ()
    include_disabled: Annotated[bool, _selection("Mirror the bottles of disabled formulae too.")] = False
    external_hash_file_s3_bucket: Annotated[
        str, _selection("Bucket of an external hash file; empty means the mirror's own bucket.")
    ] = ""
    external_hash_file_s3_key: Annotated[str, _selection("Key of an external hash file in S3.")] = ""
    external_hash_file_url: Annotated[str, _selection("HTTPS address of an external hash file.")] = ""
    external_hash_file_path: Annotated[str, _selection("Local path of an external hash file.")] = ""
    schedule_expression: Annotated[
        str,
        _selection("When the weekly sync starts (UTC): five cron fields, or AWS's `cron(0 3 ? * SUN *)`."),
    ] = "0 3 * * 0"
    schedule_enabled: Annotated[
        bool, _selection("Whether schedule and sensors run as soon as the project is deployed.")
    ] = True

    formulae_api_url: Annotated[str, _network("Base address of the formulae API.")] = (
        "https://formulae.brew.sh/api"
    )
    bottle_registry_url: Annotated[
        str,
        _network(
            "Registry that serves the bottles, in the place of https://ghcr.io in the catalogue's addresses; a cache may stand behind a path, such as `https://harbor.example/v2/ghcr-cache` (docs/registries.md)."
        ),
    ] = "https://ghcr.io"
    bottle_registry_username: Annotated[
        str, _network("User of the registry, where it wants Basic credentials.")
    ] = ""
    bottle_registry_password: Annotated[Secret, _network("The password or access token of that user.")] = (
        Secret("")
    )
    bottle_registry_secret_name: Annotated[
        str,
        _network(
            "Secret in Secrets Manager with both, as JSON with `username` and `password`; used where `BOTTLE_REGISTRY_USERNAME` is empty."
        ),
    ] = ""
    bottle_cdn_hosts: Annotated[
        tuple[str, ...],
        _network("Hosts (`host[:port]`, comma-separated) to which the registry may redirect."),
    ] = ("pkg-containers.githubusercontent.com",)
    https_proxy: Annotated[
        Secret,
        _network("Proxy for https addresses, `http://[user:password@]host:port`; also as `https_proxy`."),
    ] = Secret("")
    http_proxy: Annotated[Secret, _network("Proxy for plain http addresses; also as `http_proxy`.")] = Secret(
        ""
    )
    all_proxy: Annotated[Secret, _network("Proxy where neither of the two is set; also as `all_proxy`.")] = (
        Secret("")
    )
    no_proxy: Annotated[
        tuple[str, ...],
        _network(
            "Hosts, domains (`.example.org`), addresses and networks (`10.0.0.0/8`) that are reached without the proxy, comma-separated; `*` means all; also as `no_proxy`."
        ),
    ] = ()
    ssl_cert_file: Annotated[
        str, _network("File of certificates (PEM) to trust besides the system's, for everything.")
    ] = ""
    ssl_cert_dir: Annotated[str, _network("Folder of such certificates.")] = ""
    aws_ca_bundle: Annotated[
        str, _network("The same as `SSL_CERT_FILE`, under the name that AWS's tools read.")
    ] = ""
    max_concurrent_downloads: Annotated[
        int, _network("Bottles downloaded at the same time by one run.", ge=1, le=256)
    ] = 10
    max_transfer_processes: Annotated[
        int,
        _network(
            "Processes that share a large transfer of the command line (Linux; never more than cores).",
            ge=1,
            le=64,
        ),
    ] = 4
    retry_attempts: Annotated[
        int, _network("Tries of one bottle after the first; bytes gained start the count anew.", ge=0, le=100)
    ] = 3
    retry_delay_seconds: Annotated[
        float, _network("Longest wait before the first retry, in seconds; doubles with each.", ge=0, le=3600)
    ] = 30.0
    download_timeout_seconds: Annotated[
        float,
        _network("Longest silence of upstream or store before a try fails, in seconds.", gt=0, le=86400),
    ] = 300.0
    batch_size: Annotated[
        int,
        _network("Bottles after which their receipts are written (at the latest after 5 s).", ge=1, le=10000),
    ] = 50

    aws_region: Annotated[
        str,
        _aws(
            "Region of the bucket and of the other AWS services; empty means as `AWS_DEFAULT_REGION` or the AWS profile has it, else us-east-1.",
            pattern="^[A-Za-z0-9-]{0,63}$",
        ),
    ] = ""
    aws_endpoint_url: Annotated[
        str, _aws("Address of an S3-compatible server, or of a local AWS; empty means AWS.")
    ] = ""
    aws_endpoint_url_s3: Annotated[str, _aws("The same for S3 alone; empty means `AWS_ENDPOINT_URL`.")] = ""
    size_threshold_gb: Annotated[
        float,
        _aws(
            "Plans that download less than so many GB (10^9 bytes) go through Lambda, others through ECS.",
            ge=0,
            le=1_000_000,
        ),
    ] = 20.0
    max_download_size_gb: Annotated[
        float,
        _aws(
            "A run that would download more GB (10^9 bytes) is refused before a byte moves; 0 means no limit.",
            ge=0,
            le=1_000_000,
        ),
    ] = 0.0
    lambda_sync_function: Annotated[
        str, _aws("Lambda function that copies batches; empty means that nothing goes through Lambda.")
    ] = ""
    lambda_concurrency: Annotated[int, _aws("Invocations of one run at the same time.", ge=1, le=1000)] = 10
    ecs_cluster_name: Annotated[
        str, _aws("ECS cluster in which Dagster's launcher starts runs; empty means that runs are local.")
    ] = ""
    ecs_task_definition: Annotated[
        str, _aws("Task definition of runs; `infra/dagster/dagster.yaml` hands it to the launcher.")
    ] = ""
    ecs_subnets: Annotated[
        tuple[str, ...],
        _aws("Subnets of the transfer tasks, comma-separated; empty means those of the daemon's task."),
    ] = ()
    ecs_security_groups: Annotated[
        tuple[str, ...],
        _aws("Security groups of the transfer tasks, comma-separated; used with `ECS_SUBNETS`."),
    ] = ()
    ecs_task_sizes: Annotated[
        str,
        _aws(
            "Size of a transfer task by the GB pending for its platform: `up-to-GB:CPU units:memory MiB:storage GiB`, comma-separated, `*` for the rest."
        ),
    ] = "25:1024:2048:21,100:2048:4096:21,*:4096:8192:21"
    ecs_spot_percent: Annotated[
        int,
        _aws(
            "Share of the transfer tasks that go to Fargate Spot; the others are on demand. The cluster needs both capacity providers.",
            ge=0,
            le=100,
        ),
    ] = 0
    download_concurrency: Annotated[
        int,
        _aws(
            "Bottles downloaded at the same time by a run in ECS; 0 means `MAX_CONCURRENT_DOWNLOADS`.",
            ge=0,
            le=256,
        ),
    ] = 0
    trigger_queue_url: Annotated[
        str, _aws("SQS queue with the events that start syncs; empty means none.")
    ] = ""
    trigger_dead_letter_queue_url: Annotated[str, _aws("SQS queue for events that cannot be understood.")] = (
        ""
    )

    environment: Annotated[
        str,
        _messages(
            "Name of this deployment in messages and metrics, such as dev, staging or prod.",
            pattern="^[A-Za-z0-9_.-]{1,32}$",
        ),
    ] = "prod"
    enable_notifications: Annotated[
        bool, _messages("Whether messages are sent; `false` silences Slack and SNS.")
    ] = True
    slack_webhook_secret_name: Annotated[
        str,
        _messages(
            "Secret in Secrets Manager with Slack's webhook: the address itself, or JSON with it under `webhook_url` or `url`."
        ),
    ] = ""
    slack_webhook_url: Annotated[
        Secret, _messages("Slack's webhook itself; used where `SLACK_WEBHOOK_SECRET_NAME` is empty.")
    ] = Secret("")
    slack_channel: Annotated[
        str, _messages("Slack channel of the messages; empty means the webhook's own.")
    ] = ""
    slack_username: Annotated[
        str, _messages("Name under which messages appear in Slack; empty means the webhook's own.")
    ] = ""
    sns_topic_arn: Annotated[str, _messages("SNS topic that gets the messages as text.")] = ""
    sns_security_topic_arn: Annotated[
        str,
        _messages(
            "SNS topic for security events: a digest, size, host, manifest or signed API file that is not what it must be."
        ),
    ] = ""
    dagster_url: Annotated[
        str, _messages("Address of Dagster's webserver, for the links in messages and reports.")
    ] = ""
    log_group_name: Annotated[
        str, _messages("CloudWatch log group of the runs, for the links in messages.")
    ] = ""
    enable_metrics: Annotated[
        bool, _messages("Whether CloudWatch metrics are published, in the namespace HomebrewSync.")
    ] = False
    progress_update_interval: Annotated[
        float,
        _messages(
            "Seconds between two progress records of a transfer in Dagster, and between two progress messages.",
            gt=0,
            le=86400,
        ),
    ] = 300.0
    sync_window_hours: Annotated[
        float,
        _messages(
            "Hours after its scheduled time in which a sync must have ended; otherwise a message says so.",
            gt=0,
            le=168,
        ),
    ] = 12.0
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        _messages(
            "Least severity that is logged; the command line writes lines on single bottles that went well only at DEBUG."
        ),
    ] = "INFO"
    log_format: Annotated[
        Literal["auto", "json", "text"],
        _messages("Log lines as JSON objects or as text; `auto` means text in a terminal, JSON elsewhere."),
    ] = "auto"


# Variables that systems of this kind often have and this one does not need: what took their place.
REPLACED = {
    "TEMP_DIR": "Nothing: bottles are streamed and hashed on the way; no temporary file is written.",
    "TEMP_STORAGE_PATH": "Nothing, for the same reason; `ECS_TASK_SIZES` can still give tasks more storage.",
    "EFS_MOUNT_PATH": "Nothing, for the same reason: tasks share the store and no disk.",
}


def read_settings(environment: Mapping[str, str] | None = None, *, mirror_url: str | None = None) -> Settings:
    """The settings from the environment; an empty variable counts as not set.

    Only the mirror's place has to be one where it is set: an empty MIRROR_URL or S3_BUCKET_NAME is a variable
    that somebody forgot, and the bottles would go where nobody looks for them. `mirror_url`, where it is
    given, takes the place of both.

    Raises:
        SettingsInvalid: names the variable, what was expected and what was found.
    """
    source = os.environ if environment is None else environment
    if mirror_url is not None:
        source = {**source, "MIRROR_URL": mirror_url, "S3_BUCKET_NAME": ""}
    given: dict[str, Any] = {}
    types = {field.encode_name: field.type for field in msgspec.structs.fields(Settings)}
    for name, kind in types.items():
        if text := _text(source, name):
            given[name] = read_value(name, kind, text)
    _refuse_empty_place(source, given)
    for name, value in given.items():  # each by itself: no error's text has to say which one it is about
        try:
            _settings_of({name: value})
        except msgspec.ValidationError as exc:
            raise refusal(name, types[name], value) from exc
    settings = _settings_of(given)
    return _with_bucket(settings) if settings.s3_bucket_name else settings


def _text(source: Mapping[str, str], name: str) -> str:
    """What a variable says. Proxies are set in small letters as often as in large ones, and those count first:
    https://curl.se/docs/manpage.html, "Environment".
    """
    # A web server hands the header "Proxy:" of a request on as HTTP_PROXY.
    large = "" if name == "HTTP_PROXY" and "REQUEST_METHOD" in source else source.get(name, "")
    small = source.get(name.lower(), "") if name in PROXIES else ""
    return small.strip() or large.strip()


def _refuse_empty_place(source: Mapping[str, str], given: Mapping[str, Any]) -> None:
    for name, place in (("MIRROR_URL", PLACES), ("S3_BUCKET_NAME", "the name of a bucket")):
        if name in source and "MIRROR_URL" not in given and "S3_BUCKET_NAME" not in given:
            expected = f"{place} (not set at all, the mirror is {Settings().mirror_url})"
            raise SettingsInvalid(name=name, expected=expected, found="nothing: it is set, and empty")


def _with_bucket(settings: Settings) -> Settings:
    """The settings with the mirror in S3_BUCKET_NAME, which must agree with a MIRROR_URL that is set."""
    bucket = settings.s3_bucket_name
    if settings.mirror_url == Settings().mirror_url:
        return msgspec.structs.replace(settings, mirror_url=f"s3://{bucket}")
    if settings.mirror_url.removeprefix("s3://").split("/")[0] != bucket:
        expected = f"the bucket of MIRROR_URL ({shown_value(settings.mirror_url)}), or nothing"
        raise SettingsInvalid(name="S3_BUCKET_NAME", expected=expected, found=shown_value(bucket))
    return settings


def _settings_of(given: Mapping[str, Any]) -> Settings:
    return msgspec.convert(given, Settings, strict=False, dec_hook=_secret)


def _secret(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise NotImplementedError(kind)


_decoder = msgspec.json.Decoder(Settings, dec_hook=_secret)  # see domain/sync_event.py
