"""Which channels, stores and hash files the settings give."""

import msgspec
import pytest

from brew_assets.compose.channels import build_channels
from brew_assets.compose.mirror import build_mirror
from brew_assets.compose.store import build_hash_files, build_store, s3_options
from brew_assets.configured import deployment_of
from brew_assets.errors import SettingsInvalid
from brew_assets.settings import Secret, Settings, read_settings

TOLD = Settings(
    slack_webhook_url=Secret("https://hooks.slack.example/services/T/B/X"),
    sns_topic_arn="arn:aws:sns:us-east-1:123456789012:messages",
    sns_security_topic_arn="arn:aws:sns:us-east-1:123456789012:security",
)


def names(settings: Settings) -> list[str]:
    return [channel.name for channel in build_channels(settings)]


def test_all_that_is_set_is_told() -> None:
    assert names(TOLD) == ["slack", "sns", "sns-security"]
    assert names(msgspec.structs.replace(TOLD, enable_metrics=True))[-1] == "cloudwatch"


@pytest.mark.parametrize("secret_name", ["", "homebrew-sync/slack-webhook"])
def test_without_notifications_slack_and_both_topics_are_silent(secret_name: str) -> None:
    silent = msgspec.structs.replace(TOLD, enable_notifications=False, slack_webhook_secret_name=secret_name)
    assert names(silent) == []
    assert names(msgspec.structs.replace(silent, enable_metrics=True)) == ["cloudwatch"]


@pytest.mark.parametrize("url", ["", " ", "ftp://x", "s3://", "s3:bottles"])
def test_a_place_that_is_none_is_never_taken_for_the_current_directory(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="MIRROR_URL"):
        build_store(Settings(mirror_url=url))


def test_the_home_of_a_user_who_is_none_is_a_wrong_setting() -> None:
    with pytest.raises(
        SettingsInvalid, match=r"MIRROR_URL: .*after ~ the name of a user.*'~nobody-at-all/x'"
    ):
        build_store(Settings(mirror_url="~nobody-at-all/x"))
    with pytest.raises(SettingsInvalid, match="EXTERNAL_HASH_FILE_PATH"):
        build_hash_files(Settings(external_hash_file_path="~nobody-at-all/hashes.json"))


@pytest.mark.parametrize("part", ["x" * 256, "ü" * 128])
def test_a_path_whose_parts_are_longer_than_names_of_files_is_a_wrong_setting(part: str) -> None:
    with pytest.raises(SettingsInvalid, match="MIRROR_URL: expected a path whose parts have at most 255"):
        build_store(Settings(mirror_url=f"mirror/{part}/bottles"))
    with pytest.raises(SettingsInvalid, match=r"EXTERNAL_HASH_FILE_PATH: .*255"):
        build_hash_files(Settings(external_hash_file_path=f"/{part}"))


def test_a_bucket_that_cannot_be_one_is_named_by_the_variable_that_names_it() -> None:
    with pytest.raises(SettingsInvalid, match="S3_BUCKET_NAME: expected the name of a bucket"):
        build_store(read_settings({"S3_BUCKET_NAME": "No_Bucket"}))
    with pytest.raises(SettingsInvalid, match="MIRROR_URL"):
        build_store(read_settings({"MIRROR_URL": "s3://No_Bucket"}))


def test_passwords_of_addresses_stand_in_no_metadata_link_or_error() -> None:
    settings = Settings(
        formulae_api_url="https://user:PLANTED@formulae.example/api/",
        dagster_url="https://user:PLANTED@dagster.example/",
    )
    assert s3_options(settings, bucket="b").api_base_url == "https://formulae.example/api"
    links = deployment_of(settings).links
    assert links.run_url("r") == "https://dagster.example/runs/r"
    for url in ("https://user:PLANTED@bucket.example", "s3://user:PLANTED@bucket"):
        with pytest.raises(SettingsInvalid) as caught:
            build_store(Settings(mirror_url=url))
        assert "PLANTED" not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["user:PW@cdn.example", "cdn.example/PW", "cdn.example?PW", "cdn.example:PW"]
)
def test_a_host_that_is_none_is_refused_before_a_redirect_would_show_it(host: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"BOTTLE_CDN_HOSTS: expected hosts as in ") as caught:
        build_mirror(Settings(bottle_cdn_hosts=("cdn.example:8443", "[::1]:80", "127.0.0.1", host)))
    assert "user" not in str(caught.value)


def test_the_signed_api_is_asked_for_the_platforms_and_the_tags_besides() -> None:
    settings = Settings(
        target_platforms=("arm64_sonoma", "arm64_tahoe"),
        api_tags=("x86_64_linux", "arm64_tahoe"),
        api_consistency_wait_seconds=7.0,
    )
    options = build_mirror(settings).options
    assert options.api_tags == ("arm64_sonoma", "arm64_tahoe", "x86_64_linux")
    assert options.api_consistency_wait_s == 7.0


@pytest.mark.parametrize(("publish", "asks"), [("strict", True), ("best_effort", True), ("off", False)])
def test_a_mirror_that_publishes_nothing_asks_for_no_signed_api(publish: str, asks: bool) -> None:
    settings = read_settings({"PUBLISH": publish})
    assert (build_mirror(settings).ports.api is not None) is asks


def test_without_api_public_key_the_key_is_homebrews() -> None:
    api = build_mirror(Settings()).ports.api
    assert api is not None
    assert [key.kid for key in api.keys()] == ["homebrew-1"]
