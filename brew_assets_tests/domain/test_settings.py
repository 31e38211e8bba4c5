"""Settings: every value that is not accepted names its variable, what was expected and what was found."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.errors import SettingsInvalid
from brew_assets.settings import Settings, read_settings

NAMES = [field.encode_name for field in msgspec.structs.fields(Settings)]


def test_an_empty_environment_is_a_complete_configuration() -> None:
    assert read_settings({}) == Settings()


@pytest.mark.parametrize("name", sorted({*NAMES} - {"MIRROR_URL", "S3_BUCKET_NAME"}))
@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_variable_counts_as_not_set(name: str, value: str) -> None:
    assert read_settings({name: value}) == Settings()


@pytest.mark.parametrize("value", ["", "  ", "\t\n"])
@pytest.mark.parametrize("name", ["MIRROR_URL", "S3_BUCKET_NAME"])
def test_an_empty_place_of_the_mirror_is_never_the_default_one(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=rf"^{name}: expected .*mirror/.*found nothing") as caught:
        read_settings({name: value})
    assert caught.value.name == name


def test_one_name_of_the_place_is_enough() -> None:
    assert read_settings({"MIRROR_URL": "", "S3_BUCKET_NAME": "bottles"}).mirror_url == "s3://bottles"
    assert read_settings({"MIRROR_URL": "s3://bottles/brew", "S3_BUCKET_NAME": " "}).mirror_url == (
        "s3://bottles/brew"
    )
    with pytest.raises(SettingsInvalid, match="MIRROR_URL"):
        read_settings({"MIRROR_URL": " ", "S3_BUCKET_NAME": ""})


def test_a_given_place_takes_the_place_of_both_names() -> None:
    for environment in ({}, {"MIRROR_URL": ""}, {"MIRROR_URL": "a"}, {"S3_BUCKET_NAME": "bottles"}):
        assert read_settings(environment, mirror_url="here").mirror_url == "here"
    with pytest.raises(SettingsInvalid, match="MIRROR_URL"):
        read_settings({"S3_BUCKET_NAME": "bottles"}, mirror_url=" ")


def test_values_are_read_with_their_types() -> None:
    settings = read_settings(
        {
            "MIRROR_URL": "s3://bucket/prefix",
            "TARGET_PLATFORMS": " sonoma, arm64_sonoma ,,",
            "MAX_CONCURRENT_DOWNLOADS": "20",
            "RETRY_ATTEMPTS": "0",
            "RETRY_DELAY_SECONDS": "1.5",
            "INCLUDE_DISABLED": "YES",
            "S3_SSE": "aws:kms",
            "LOG_LEVEL": "DEBUG",
            "PATH": "/bin",
        }
    )
    assert settings.mirror_url == "s3://bucket/prefix"
    assert settings.target_platforms == ("sonoma", "arm64_sonoma")
    assert (settings.max_concurrent_downloads, settings.retry_attempts) == (20, 0)
    assert settings.retry_delay_seconds == 1.5
    assert settings.include_disabled
    assert (settings.s3_sse, settings.log_level) == ("aws:kms", "DEBUG")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MAX_CONCURRENT_DOWNLOADS", "0", "an integer from 1 to"),
        ("MAX_CONCURRENT_DOWNLOADS", "257", "from 1 to 256"),
        ("MAX_CONCURRENT_DOWNLOADS", "many", "int"),
        ("MAX_CONCURRENT_DOWNLOADS", "1.5", "int"),
        ("MAX_CONCURRENT_DOWNLOADS", "9" * 5_000, "256"),
        ("RETRY_ATTEMPTS", "-1", "from 0 to"),
        ("RETRY_ATTEMPTS", "101", "from 0 to 100"),
        ("RETRY_DELAY_SECONDS", "-0.1", "from 0 to"),
        ("RETRY_DELAY_SECONDS", "30s", "a number"),
        ("RETRY_DELAY_SECONDS", "nan", "a number"),
        ("RETRY_DELAY_SECONDS", "inf", "3600"),
        ("RETRY_DELAY_SECONDS", "1e999", "3600"),
        ("DOWNLOAD_TIMEOUT_SECONDS", "0", "above 0 to"),
        ("DOWNLOAD_TIMEOUT_SECONDS", "nan", "a number"),
        ("BATCH_SIZE", "0", "an integer from 1 to"),
        ("BATCH_SIZE", "10001", "from 1 to 10000"),
        ("INCLUDE_DISABLED", "maybe", "true or false"),
        ("S3_ACCELERATE", "2", "true or false"),
        ("SCHEDULE_ENABLED", "nope", "true or false"),
        ("S3_SSE", "none", "AES256.*aws:kms.*bucket"),
        ("LOG_LEVEL", "LOUD", "DEBUG.*INFO.*WARNING.*ERROR"),
        ("MAX_CONCURRENT_DOWNLOADS", "1_0", "an integer from 1"),
        ("MAX_CONCURRENT_DOWNLOADS", "\u0663", "an integer from 1"),
        ("SIZE_THRESHOLD_GB", "nan", "a number from 0"),
        ("SIZE_THRESHOLD_GB", "1e400", "a number from 0"),
        ("SIZE_THRESHOLD_GB", "1_000", "a number from 0"),
        ("AWS_REGION", "eu west 1", "text that matches"),
        ("AWS_ENDPOINT_URL", "localhost:9000", "an http.s. address with its scheme"),
        ("AWS_ENDPOINT_URL_S3", "http://[::1", "an http.s. address"),
        ("AWS_ENDPOINT_URL_S3", "http://s3.example:99999", "an http.s. address"),
        ("AWS_ENDPOINT_URL", "http://s3.example:0", "an http.s. address"),
        ("AWS_ENDPOINT_URL", "http://", "an http.s. address"),
        ("AWS_ENDPOINT_URL", "http://s3 .example", "an http.s. address"),
        ("DAGSTER_URL", "dagster.internal:3000", "an http.s. address with its scheme"),
        ("DAGSTER_URL", "//dagster.internal:3000", "an http.s. address"),
        ("DAGSTER_URL", "javascript:alert(1)", "an http.s. address"),
    ],
)
def test_a_bad_value_names_variable_expectation_and_finding(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read_settings({name: value})
    message = str(caught.value)
    assert caught.value.name == name
    assert message.startswith(f"{name}: expected ")
    said, _, found = message.partition(", found ")
    assert value[:40] in found

    assert re.search(expected, said), said


# Of a byte that is no UTF-8 Python makes half of a pair; the others steer terminals or end a C string.
NO_TEXT = ["\udcff", "\ud800", "1\udcff0", "s3://bucket/\udcff", "a\x1b[31mb", "a\x00b", "a\x85b"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [*NO_TEXT, "x" * 1_000_000], ids=lambda value: ascii(value[:10]))
def test_what_is_no_text_of_a_sensible_length_names_its_variable_and_no_secret(name: str, value: str) -> None:
    secret = f"hook{value}"
    with pytest.raises(SettingsInvalid) as caught:
        read_settings({name: secret})
    assert caught.value.name == name
    message = str(caught.value)
    assert message.startswith(f"{name}: expected ")
    assert message.isprintable()
    assert len(message) < 300
    if name == "SLACK_WEBHOOK_URL":
        assert "hook" not in message


ADDRESSES = (
    "htp://user:PW@host.example",
    "https://user:PW@host.example:99999",
    "https://user:P/PW@[host/?token=PW",
    "user:PW@host.example",
    "ftp://host.example/x?token=PW",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ADDRESSES)
def test_no_refusal_of_a_setting_shows_a_password(name: str, value: str) -> None:
    for environment in ({name: value}, {name: value, "S3_BUCKET_NAME": "bottles"}):
        refused = ""
        try:
            read_settings(environment)
        except SettingsInvalid as error:
            refused = str(error)
        assert "PW" not in refused


@pytest.mark.parametrize(
    "name", ["EXTERNAL_HASH_FILE_PATH", "EXTERNAL_HASH_FILE_S3_KEY", "BOTTLE_CDN_HOSTS", "LOG_GROUP_NAME"]
)
def test_an_address_where_none_belongs_is_refused(name: str) -> None:
    with pytest.raises(SettingsInvalid, match=rf"^{name}: expected no address, found '…@host/x\?…'"):
        read_settings({name: "https://user:PW@host/x?token=PW"})


def test_lists_and_expressions_may_have_white_space_of_every_kind() -> None:
    settings = read_settings(
        {"TARGET_PLATFORMS": "sonoma,\n\tventura\n", "SCHEDULE_EXPRESSION": "0\t3 * * 0"}
    )
    assert settings.target_platforms == ("sonoma", "ventura")
    assert settings.schedule_expression == "0\t3 * * 0"


@pytest.mark.parametrize(
    "value", ["http://127.0.0.1:3000", "https://dagster.example/", "http://[::1]:3000/prefix"]
)
def test_addresses_of_dagster_and_aws(value: str) -> None:
    settings = read_settings({"DAGSTER_URL": value, "AWS_ENDPOINT_URL": value, "AWS_ENDPOINT_URL_S3": value})
    assert settings.dagster_url == settings.aws_endpoint_url == settings.aws_endpoint_url_s3 == value


ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)


@given(st.dictionaries(st.sampled_from(NAMES), ANY_TEXT, max_size=4))
def test_whatever_stands_in_the_environment_only_our_error_comes_out(environment: dict[str, str]) -> None:
    name = ""
    try:
        assert isinstance(read_settings(environment), Settings)
    except SettingsInvalid as error:
        name = error.name
    assert name in ("", *environment)
