"""SCHEDULE_EXPRESSION: what is accepted, what it becomes, and what is refused."""

from datetime import UTC, datetime
from itertools import islice

import pytest

from brew_assets.defs.schedules import cron_from_expression, scheduled_times
from brew_assets.errors import SettingsInvalid
from brew_assets.settings import Settings


def times_of(expression: str) -> list[datetime]:
    """The first hundred by Dagster's scheduler."""
    settings = Settings(schedule_expression=expression)
    return list(islice(scheduled_times(settings, after=datetime(2026, 1, 1, tzinfo=UTC)), 100))


@pytest.mark.parametrize(
    ("text", "cron"),
    [
        ("0 3 * * 0", "0 3 * * 0"),
        ("  0   3 * * SUN ", "0 3 * * SUN"),
        ("*/15 0-6 1,15 jan-mar 5-7", "*/15 0-6 1,15 jan-mar 5-7"),
        ("cron(0 3 ? * SUN *)", "0 3 * * 0"),
        ("cron(0 3 ? * 1 *)", "0 3 * * 0"),
        ("cron(0 3 ? * 7 *)", "0 3 * * 6"),
        ("cron(0 3 ? * sat *)", "0 3 * * 6"),
        ("CRON( 0 3 ? * MON-FRI * )", "0 3 * * 1-5"),
        ("cron(0 3 ? * 2-6 *)", "0 3 * * 1-5"),
        ("cron(0 3 ? * 2,4,SAT *)", "0 3 * * 1,3,6"),
        ("cron(0 3 ? * 1/2 *)", "0 3 * * 0,2,4,6"),
        ("cron(0 3 ? * * *)", "0 3 * * *"),
        ("cron(0 3 * * ? *)", "0 3 * * *"),
        ("cron(0 3 1 * ? *)", "0 3 1 * *"),
        ("cron(30 3 1,15 JAN-MAR,12 ? *)", "30 3 1,15 1-3,12 *"),
        ("cron(0/15 3 ? * SUN *)", "0,15,30,45 3 * * 0"),
        ("cron(*/20 0-23/12 ? * SUN *)", "0,20,40 0,12 * * 0"),
        ("cron(5/10 3 ? * SUN *)", "5,15,25,35,45,55 3 * * 0"),
    ],
)
def test_an_expression_becomes_five_cron_fields_that_dagster_accepts(text: str, cron: str) -> None:
    assert len(cron_from_expression(text).split()) == 5
    assert times_of(text) == times_of(cron)


@pytest.mark.parametrize("cron", ["0 3 * * 0", "0 3 * * SUN", "*/15 0-6 1,15 jan-mar 5-7"])
def test_five_fields_stay_as_they_are(cron: str) -> None:
    assert cron_from_expression(f" {cron}  ") == cron


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "five cron fields or AWS's cron("),
        ("weekly", "five cron fields or AWS's cron("),
        ("@weekly", "five cron fields or AWS's cron("),
        ("0 0 3 * * 0", "five cron fields or AWS's cron("),
        ("0 3 ? * SUN *", "five cron fields or AWS's cron("),
        ("rate(7 days)", "rate() names no day and time"),
        ("at(2026-11-22T03:00:00)", "at() names no day and time"),
        ("cron(0 3 ? * SUN)", "six fields inside cron(…), found 5"),
        ("cron(0 3 ? * SUN 2026)", "* as the year"),
        ("cron(0 3 * * SUN *)", "? in exactly one of day of month and day of week"),
        ("cron(0 3 ? * ? *)", "? in exactly one of day of month and day of week"),
        ("cron(0 3 L * ? *)", "L, W and # are not supported"),
        ("cron(0 3 15W * ? *)", "L, W and # are not supported"),
        ("cron(0 3 ? * 6#3 *)", "L, W and # are not supported"),
        ("cron(0 3 ? * 6L *)", "L, W and # are not supported"),
        ("cron(0 3 ? * 0 *)", "1-7 or SUN-SAT as day of week"),
        ("cron(0 3 ? * 8 *)", "1-7 or SUN-SAT as day of week"),
        ("cron(0 3 ? * SUNDAY *)", "numbers, names, * and steps, not 'SUNDAY'"),
        ("cron(? 3 ? * SUN *)", "numbers, names, * and steps, not '?'"),
        ("cron(0 3 ? * SAT-MON *)", "a range that ascends"),
        ("cron(0/0 3 ? * SUN *)", "numbers, names, * and steps, not '0/0'"),
        ("0 3 ? * 0", "numbers, names, * and steps, not '?'"),
        ("60 3 * * 0", "numbers in range"),
        ("0 24 * * 0", "numbers in range"),
        ("0 3 * * 8", "numbers in range"),
        ("0 3 * * 1#2", "L, W and # are not supported"),
        ("0 3 * 13 0", "numbers in range"),
        ("0 3 , * 0", "numbers, names, * and steps, not ''"),
        ("0 3 31 2 *", "a date that exists"),
        ("cron(0 3 31 FEB,APR ? *)", "a date that exists"),
        ("0 3 31 4 SUN", "a date that exists"),
        ("٣ 3 * * 0", "numbers, names, * and steps, not '٣'"),
    ],
)
def test_what_is_refused_says_what_was_expected_and_found(text: str, expected: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        cron_from_expression(text)
    message = str(refused.value)
    assert message.startswith("SCHEDULE_EXPRESSION: expected ")
    assert expected in message
    assert message.endswith(f"found {text!r}")
