"""Which keys are the mirror's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.domain.bottle import Bottle
from brew_assets.domain.object_keys import (
    MOST_KEY_BYTES,
    is_backup_name,
    is_date,
    is_journal_name,
    is_object_key,
    is_plan_name,
)
from brew_assets_tests.domain.strategies import BOTTLES
from brew_assets_tests.worlds import DATE, SYNC_ID


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/x",
        "a//b",
        "state/receipts/",
        "state//receipts/x",
        "2026-11-22//x.tar.gz",
        "a/./b",
        "a/../b",
        "..",
        "a\nb",
        "a\x00b",
        "a\x1b[2Jb",
        "a\x7fb",
        "a\x85b",
        "a\u2028b",
        "a\u202eb",
        "a\udcffb",
        "\ud800",
        "a" * (MOST_KEY_BYTES + 1),
        "ü" * (MOST_KEY_BYTES // 2 + 1),
    ],
)
def test_what_can_be_no_key_of_ours(key: str) -> None:
    assert not is_object_key(key)


@pytest.mark.parametrize(
    "key", ["a", "bottles_hash.json", "a b", "größe/ü.txt", "a" * MOST_KEY_BYTES, ".DS_Store"]
)
def test_what_can_be_one(key: str) -> None:
    assert is_object_key(key)


@given(BOTTLES)
def test_every_bottle_has_a_key(item: Bottle) -> None:
    assert is_object_key(item.key(DATE))


@given(st.text())
def test_any_text_is_a_key_or_none(text: str) -> None:
    if is_object_key(text):
        assert 0 < len(text.encode()) <= MOST_KEY_BYTES
    for judge in (is_date, is_journal_name, is_plan_name, is_backup_name):
        assert judge(text) in (True, False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22", True),
        ("2024-02-29", True),
        ("2026-02-29", False),
        ("2026-13-45", False),
        ("0000-01-01", False),
        ("20261122", False),
        ("2026-W47-7", False),
        ("٢٠٢٦-١١-٢٢", False),
        ("2026-11-22\n", False),
    ],
)
def test_days_of_the_calendar(text: str, expected: bool) -> None:
    assert is_date(text) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"{SYNC_ID}/030000000000-00000000.json", True),
        ("adopted/030000000000-0badcafe.json", True),
        ("repair/030000000000-0badcafe.json", True),
        # In a folder of ours every document is to be believed, and so must be true.
        (f"{SYNC_ID}/1.json", True),
        ("readme.txt", False),
        ("x.json", False),
        ("x/y.json", False),
        (f"{SYNC_ID}/readme.txt", False),
        (f"{SYNC_ID}/.hidden.json", False),
        (f"{SYNC_ID}/a/030000000000-00000000.json", False),
        (f"{SYNC_ID}/030000000000-00000000.json\n", False),
    ],
)
def test_objects_of_the_journal(name: str, expected: bool) -> None:
    assert is_journal_name(name) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2026-08-22T030000.000000Z.json", True),
        ("2026-08-22T030000.000000Z.invalid.json", True),
        ("2026-08-22T030000.000000Z-0badca.json", True),
        ("2026-08-22T030000.000000Z-0badca.invalid.json", True),
        ("old.json", False),
        ("2026-08-22.json", False),
        ("2026-08-22T030000.000000Z.json.bak", False),
        ("2026/2026-08-22T030000.000000Z.json", False),
    ],
)
def test_backups(name: str, expected: bool) -> None:
    assert is_backup_name(name) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"{SYNC_ID}.json", True),
        ("readme.txt", False),
        ("a/b.json", False),
        (".json", False),
        ("a b.json", False),
    ],
)
def test_plans(name: str, expected: bool) -> None:
    assert is_plan_name(name) is expected
