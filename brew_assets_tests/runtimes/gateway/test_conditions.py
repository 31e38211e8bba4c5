"""Dates, ranges, ETags and codings of requests, and what an address asks for."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.runtimes.gateway.conditions import (
    Part,
    accepts_gzip,
    http_date,
    is_settled_since,
    is_unchanged,
    may_take_part,
    names_etag,
    only,
    read_date,
    read_range,
)
from brew_assets.runtimes.gateway.paths import (
    ApiPath,
    BlobPath,
    FlatPath,
    HealthPath,
    IndexPath,
    OldApiPath,
    Path,
    read_path,
)

MOVED = datetime(2026, 11, 28, 11, 17, 46, 250_000, tzinfo=UTC)
HEX = "0a" * 32


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v2/homebrew/core/openssl/3/manifests/3.5.2-1", IndexPath("openssl/3", "3.5.2-1")),
        ("/v2/v2/homebrew/core/jq/manifests/1.8", IndexPath("jq", "1.8")),
        ("/bottles/libsigcxx/2/manifests/2.12.1_2", IndexPath("libsigcxx/2", "2.12.1_2")),
        (f"/v2/homebrew/core/aflxx/blobs/sha256:{HEX}", BlobPath("aflxx", HEX)),
        ("/bottles/afl++-4.33c.all.bottle.3.tar.gz", FlatPath("afl++-4.33c.all.bottle.3.tar.gz")),
        ("/api/internal/packages.arm64_sonoma.jws.json", ApiPath("arm64_sonoma")),
        ("/api/formula.jws.json", OldApiPath("formula.jws.json")),
        ("/api/cask_tap_migrations.jws.json", OldApiPath("cask_tap_migrations.jws.json")),
        ("/healthz", HealthPath("healthz")),
        ("/readyz", HealthPath("readyz")),
        ("/", None),
        ("", None),
        ("*", None),
        ("/bottles/", None),
        (f"/bottles/jq/blobs/sha256:{HEX}", None),
        (f"/v2/homebrew/core/jq/blobs/sha256:{HEX.upper()}", None),
        (f"/v2/homebrew/core/../jq/blobs/sha256:{HEX}", None),
        (f"/v2/homebrew/core//blobs/sha256:{HEX}", None),
        ("/v2/homebrew/core/jq/manifests/..", None),
        ("/v2/homebrew/core/jq/tags/list", None),
        ("/v2/", None),
        ("/bottles/../state/plans/x.json", None),
        ("/published/current.json", None),
        ("/api/internal/packages..jws.json", None),
        ("/api/internal/packages.ARM.jws.json", None),
        ("/bottles/jq-1.0.all.bottle.tar.gz\n", None),
        ("/bottles/jq-1.0.all.bottle.tar.gz\0", None),
        (f"/bottles/{'a' * 2000}-1.0.all.bottle.tar.gz", None),
    ],
)
def test_a_path_is_an_address_or_nothing(path: str, found: Path | None) -> None:
    assert read_path(path) == found


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bytes=0-", Part(0, 100)),
        ("bytes=10-19", Part(10, 20)),
        ("bytes=10-500", Part(10, 100)),
        ("bytes=-30", Part(70, 100)),
        ("bytes=-500", Part(0, 100)),
        ("Bytes=99-99", Part(99, 100)),
        # None of these is one range of bytes: all is sent.
        ("", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("bytes=20-10", None),
        ("bytes=a-b", None),
        ("bytes=+1-2", None),
        ("bytes=٣-٤", None),
        ("lines=0-1", None),
        (f"bytes={'9' * 40}-", None),
    ],
)
def test_a_range_is_read(text: str, part: Part | None) -> None:
    assert read_range(text, 100) == part


@pytest.mark.parametrize("text", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=999999999999999999-"])
def test_a_range_behind_the_end_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="100 bytes"):
        read_range(text, 100)


@pytest.mark.parametrize(
    ("later_s", "settled"), [(-1, False), (0, False), (1, False), (600, False), (602, True)]
)
def test_only_who_checked_long_after_the_pointer_moved_has_what_is_current(
    later_s: int, settled: bool
) -> None:
    asked = http_date(MOVED + timedelta(seconds=later_s))
    assert is_settled_since(asked, MOVED, 600) == settled


def test_an_object_is_unchanged_since_its_own_second() -> None:
    assert is_unchanged(http_date(MOVED), MOVED)
    assert not is_unchanged(http_date(MOVED - timedelta(seconds=1)), MOVED)
    assert not is_unchanged("yesterday", MOVED)


def test_what_is_no_date_is_none() -> None:
    for text in (
        "",
        "0",
        "Sat, 99 Nov 2026 11:17:46 GMT",
        "x" * 1000,
        "Sat, 28 Nov 99999 11:17:46 GMT",
        "\0",
    ):
        assert read_date(text) is None
    for text in ("Sat, 28 Nov 2026 11:17:46 GMT", "Saturday, 28-Nov-26 11:17:46 GMT"):
        assert read_date(text) == MOVED.replace(microsecond=0)


@given(st.text(max_size=80))
def test_no_header_is_more_than_unreadable(text: str) -> None:
    read_date(text)
    accepts_gzip(text)
    names_etag(text, '"a"')
    may_take_part(text, etag='"a"', modified=MOVED)
    is_settled_since(text, MOVED, 600)


@pytest.mark.parametrize(
    ("text", "accepts"),
    [
        ("deflate, gzip, br, zstd", True),
        ("GZIP;q=0.5", True),
        ("*", True),
        ("identity, *;q=0.1", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("gzipped", False),
    ],
)
def test_gzip_is_for_who_accepts_it(text: str, accepts: bool) -> None:
    assert accepts_gzip(text) == accepts


def test_an_etag_is_found_among_others() -> None:
    assert names_etag('"x", W/"sha256:ab", "y"', '"sha256:ab"')
    assert names_etag(" * ", '"sha256:ab"')
    assert not names_etag("sha256:ab", '"sha256:ab"')


def test_a_part_goes_on_only_with_the_same_body() -> None:
    for if_range in ("", '"a"', http_date(MOVED)):
        assert may_take_part(if_range, etag='"a"', modified=MOVED)
    for if_range in ('W/"a"', '"b"', http_date(MOVED + timedelta(seconds=1)), "x"):
        assert not may_take_part(if_range, etag='"a"', modified=MOVED)


def test_a_header_that_contradicts_itself_is_as_good_as_none() -> None:
    assert (only([]), only(["a"]), only(["a", "a"]), only(["a", "b"])) == ("", "a", "a", "")
