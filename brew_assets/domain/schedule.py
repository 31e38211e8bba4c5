"""When the weekly sync starts: five cron fields, or AWS's `cron(…)` translated into them.

The AWS form: EventBridge user guide, "Cron-based schedules". It differs from cron in `?`, a field for the
year, and days of the week that count from 1 (Sunday).
"""

import re
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from brew_assets.errors import SettingsInvalid

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

_CRON_FORM = "five cron fields or AWS's cron(minute hour day month weekday year)"
_CALL = re.compile(r"(?P<name>[a-z]+)\s*\((?P<fields>[^()]*)\)", re.IGNORECASE)


class _Field(NamedTuple):
    """One field: its numbers, and names that stand for them from `low` on."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def accepts(self) -> str:
        """What may stand there, for messages."""
        names = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return f"{self.low}-{self.high}{names}"


_COMMON = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
)
_CRON_FIELDS = (*_COMMON, _Field("day of week", 0, 7, _DAYS))
_AWS_FIELDS = (*_COMMON, _Field("day of week", 1, 7, _DAYS))


class _Refused(Exception):
    """What was expected instead, and where."""


def cron_from_expression(text: str) -> str:
    """The five cron fields that SCHEDULE_EXPRESSION means.

    Five fields are checked and stay as they are; AWS's `cron(0 3 ? * SUN *)` becomes `0 3 * * 0`.

    Raises:
        SettingsInvalid: names SCHEDULE_EXPRESSION, what was expected and what was found.
    """
    try:
        call = _CALL.fullmatch(text.strip())
        if call is None:
            return _from_cron(text.split())
        if call["name"].lower() != "cron":
            _refuse(f"{_CRON_FORM}; {call['name'].lower()}() names no day and time")
        return _from_aws(call["fields"].split())
    except _Refused as why:
        found = repr(text[:80])
        raise SettingsInvalid(name="SCHEDULE_EXPRESSION", expected=str(why), found=found) from None


def _from_cron(fields: Sequence[str]) -> str:
    if len(fields) != len(_CRON_FIELDS):
        _refuse(_CRON_FORM)
    values = [_values(text, field) for text, field in zip(fields, _CRON_FIELDS, strict=True)]
    if fields[4].startswith("*"):
        _check_dates(values[2], values[3])
    return " ".join(fields)


def _from_aws(fields: Sequence[str]) -> str:
    if len(fields) != len(_AWS_FIELDS) + 1:
        _refuse(f"six fields inside cron(…), found {len(fields)}")
    *fields, year = fields
    if year != "*":
        _refuse("* as the year, since a weekly sync has no last year")
    if [fields[2], fields[4]].count("?") != 1:
        _refuse("? in exactly one of day of month and day of week")
    fields = [text if position not in (2, 4) or text != "?" else "*" for position, text in enumerate(fields)]
    values = [_values(text, field) for text, field in zip(fields, _AWS_FIELDS, strict=True)]
    if fields[4] == "*":
        _check_dates(values[2], values[3])
    shown = [_show(found, field) for found, field in zip(values, _AWS_FIELDS, strict=True)]
    if shown[4] != "*":
        # AWS counts the days of the week from 1, cron from 0.
        shown[4] = _runs(sorted(value - 1 for value in values[4]))
    return " ".join(shown)


def _values(text: str, field: _Field) -> set[int]:
    """The numbers that a field means: lists, ranges, steps and names."""
    values: set[int] = set()
    for item in text.split(","):
        span, slash, step_text = item.partition("/")
        step = 1
        if slash:
            step = _number(step_text, field, what="step", low=1, high=field.high)
        if span == "*":
            first, last = field.low, field.high
        else:
            first_text, dash, last_text = span.partition("-")
            first = _number(first_text, field)
            # "5/10" begins at 5 and goes on to the end of the field.
            last = _number(last_text, field) if dash else (field.high if slash else first)
        if first > last:
            _refuse(f"a range in {field.name} that ascends, not {item[:20]}")
        values.update(range(first, last + 1, step))
    return values


def _number(
    text: str, field: _Field, *, what: str = "", low: int | None = None, high: int | None = None
) -> int:
    low = field.low if low is None else low
    high = field.high if high is None else high
    if not what and text.upper() in field.names:
        return field.low + field.names.index(text.upper())
    if re.fullmatch("[0-9]{1,4}", text) and low <= int(text) <= high:
        return int(text)
    if re.search("[LW#]", text.upper()) and text.upper() not in (*_MONTHS, *_DAYS):
        _refuse(f"plain days in {field.name}: L, W and # are not supported")
    if text == "?":
        _refuse(f"{field.accepts} or * as {field.name}; ? is for a day field of AWS's form")
    accepts = f"{low}-{high}" if what else field.accepts
    _refuse(f"{accepts} as {what + ' of ' if what else ''}{field.name}, not {text[:20]!r}")


def _check_dates(days: set[int], months: set[int]) -> None:
    if min(days) > max(_LONGEST[month - 1] for month in months):
        _refuse("a date that exists")


def _show(values: set[int], field: _Field) -> str:
    if values == set(range(field.low, field.high + 1)):
        return "*"
    return _runs(sorted(values))


def _runs(values: Sequence[int]) -> str:
    """The numbers as a list in which three or more in a row are a range."""
    parts: list[str] = []
    begin = 0
    for end in range(1, len(values) + 1):
        if end < len(values) and values[end] == values[end - 1] + 1:
            continue
        run = values[begin:end]
        parts.extend([f"{run[0]}-{run[-1]}"] if len(run) > 2 else [str(value) for value in run])
        begin = end
    return ",".join(parts)


def _refuse(expected: str) -> NoReturn:
    raise _Refused(expected)
