"""Every environment variable of the project: its type, default, unit and meaning.

The only reader of the environment. AWS credentials alone are left to boto3's own chain.
"""

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from brew_assets.errors import SettingsInvalid

_LISTS = ("TARGET_PLATFORMS", "BOTTLE_CDN_HOSTS")
_BOOLEANS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """All settings with their defaults; `Settings()` is a complete configuration."""

    mirror_url: Annotated[
        str,
        Meta(description="Where the bottles are kept: a directory, or `s3://bucket/prefix`."),
    ] = "mirror/"
    target_platforms: Annotated[
        tuple[str, ...],
        Meta(description="Platforms to mirror for, comma-separated tags."),
    ] = ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma")
    formulae_api_url: Annotated[str, Meta(description="Base address of the formulae API.")] = (
        "https://formulae.brew.sh/api"
    )
    bottle_registry_url: Annotated[
        str,
        Meta(
            description="Registry that serves the bottles; replaces https://ghcr.io in the catalogue's addresses."
        ),
    ] = "https://ghcr.io"
    bottle_cdn_hosts: Annotated[
        tuple[str, ...],
        Meta(description="Hosts (`host[:port]`, comma-separated) to which the registry may redirect."),
    ] = ("pkg-containers.githubusercontent.com",)
    max_concurrent_downloads: Annotated[
        int, Meta(ge=1, le=256, description="Bottles copied at the same time by one run.")
    ] = 10
    max_transfer_processes: Annotated[
        int,
        Meta(
            ge=1,
            le=64,
            description="Processes that share a large transfer of the command line (Linux; never more than cores).",
        ),
    ] = 4
    retry_attempts: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="Tries of one bottle after the first; bytes gained start the count anew.",
        ),
    ] = 3
    retry_delay_seconds: Annotated[
        float,
        Meta(
            ge=0, le=3600, description="Longest wait before the first retry, in seconds; doubles with each."
        ),
    ] = 30.0
    download_timeout_seconds: Annotated[
        float,
        Meta(
            gt=0, le=86400, description="Longest silence of upstream or store before a try fails, in seconds."
        ),
    ] = 300.0
    batch_size: Annotated[
        int,
        Meta(
            ge=1,
            le=10000,
            description="Bottles after which their receipts are written (at the latest after 5 s).",
        ),
    ] = 50
    include_disabled: Annotated[bool, Meta(description="Mirror the bottles of disabled formulae too.")] = (
        False
    )
    s3_sse: Annotated[
        Literal["AES256", "aws:kms", "bucket"],
        Meta(
            description="Server-side encryption of new objects; `bucket` leaves it to the bucket's default."
        ),
    ] = "AES256"
    s3_kms_key_id: Annotated[
        str, Meta(description="KMS key for `S3_SSE=aws:kms`; empty means the account's own key for S3.")
    ] = ""
    s3_accelerate: Annotated[
        bool, Meta(description="Use S3 Transfer Acceleration (the bucket must have it enabled).")
    ] = False
    aws_region: Annotated[str, Meta(description="Region of the bucket.")] = "us-east-1"
    aws_endpoint_url: Annotated[
        str, Meta(description="Address of an S3-compatible server; empty means AWS.")
    ] = ""
    external_hash_file_s3_bucket: Annotated[
        str, Meta(description="Bucket of an external hash file; empty means the mirror's own bucket.")
    ] = ""
    external_hash_file_s3_key: Annotated[str, Meta(description="Key of an external hash file in S3.")] = ""
    external_hash_file_url: Annotated[str, Meta(description="HTTPS address of an external hash file.")] = ""
    external_hash_file_path: Annotated[str, Meta(description="Local path of an external hash file.")] = ""
    schedule_expression: Annotated[
        str,
        Meta(
            description="When the weekly sync starts (UTC): five cron fields, or AWS's `cron(0 3 ? * SUN *)`."
        ),
    ] = "0 3 * * 0"
    schedule_enabled: Annotated[
        bool, Meta(description="Whether schedule and sensors run as soon as the project is deployed.")
    ] = True
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Meta(description="Least severity that is logged.")
    ] = "INFO"


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings from the environment; an empty variable counts as not set.

    Raises:
        SettingsInvalid: names the variable, what was expected and what was found.
    """
    source = os.environ if environment is None else environment
    given: dict[str, Any] = {}
    for name in (field.encode_name for field in msgspec.structs.fields(Settings)):
        text = source.get(name, "").strip()
        if text:
            given[name] = _split(text) if name in _LISTS else text
    for field in msgspec.structs.fields(Settings):
        if field.default in (True, False) and isinstance(field.default, bool) and field.encode_name in given:
            given[field.encode_name] = _boolean(field.encode_name, given[field.encode_name])
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as exc:
        raise _named(exc, given) from exc


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _boolean(name: str, text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise SettingsInvalid(name=name, expected="true or false", found=repr(text[:80]))
    return _BOOLEANS[text.lower()]


def _named(exc: msgspec.ValidationError, given: Mapping[str, Any]) -> SettingsInvalid:
    """Our error for one of msgspec, whose text ends in the path "`$.NAME`"."""
    match = re.search(r"`\$\.([A-Z0-9_]+)", str(exc))
    name = match[1] if match else "environment"
    types = {field.encode_name: field.type for field in msgspec.structs.fields(Settings)}
    found = repr(str(given.get(name, ""))[:80])
    return SettingsInvalid(name=name, expected=_expected(types.get(name, str)), found=found)


def _expected(annotated: Any) -> str:
    """What a variable may be, in words: "an integer from 1 to 256", "one of AES256, aws:kms, bucket"."""
    kind, *metas = get_args(annotated)
    if choices := get_args(kind) if get_origin(kind) is Literal else ():
        return f"one of {', '.join(choices)}"
    words = {int: "an integer", float: "a number"}.get(kind, "text")
    for meta in metas:
        low = meta.ge if meta.ge is not None else meta.gt
        if low is not None and meta.le is not None:
            words += f" {'from' if meta.ge is not None else 'above'} {low} to {meta.le}"
    return words


def settings_table() -> str:
    """The settings as a Markdown table: name, default, meaning. The README shows it."""
    lines = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for field in msgspec.structs.fields(Settings):
        default = field.default
        if isinstance(default, tuple):
            shown = ",".join(default)
        elif isinstance(default, bool):
            shown = str(default).lower()
        elif isinstance(default, float):
            shown = f"{default:g}"
        else:
            shown = str(default)
        meta = next(m for m in field.type.__metadata__ if isinstance(m, Meta))
        lines.append(
            f"| `{field.encode_name}` | {f'`{shown}`' if shown else '(empty)'} | {meta.description} |"
        )
    return "\n".join(lines) + "\n"
