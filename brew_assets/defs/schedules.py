"""When things start by themselves: the weekly schedule, from five cron fields or AWS's `cron(…)`."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

import dagster as dg

from brew_assets.defs.dagster_internals import schedule_execution_time_iterator
from brew_assets.defs.jobs import weekly_sync
from brew_assets.errors import SettingsInvalid
from brew_assets.settings import Settings

SCHEDULE = "weekly_sync"

_FORM = "five cron fields or AWS's cron(minute hour day month weekday year)"
_CALL = re.compile(r"(?P<name>[a-z]+)\s*\((?P<fields>[^()]*)\)", re.IGNORECASE)
_ITEM = re.compile(r"(?:\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([1-9][0-9]?))?")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
# AWS's minute to day of week: the least and the greatest number, and names for 1, 2 and so on.
_FIELDS: tuple[tuple[int, int, tuple[str, ...]], ...] = (
    *((0, 59, ()), (0, 23, ()), (1, 31, ())),
    *((1, 12, _MONTHS), (1, 7, _DAYS)),
)


def weekly_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """The weekly trigger; it runs as soon as it is deployed unless SCHEDULE_ENABLED says no.

    Raises:
        SettingsInvalid: SCHEDULE_EXPRESSION cannot be read.
    """
    running, stopped = dg.DefaultScheduleStatus.RUNNING, dg.DefaultScheduleStatus.STOPPED
    return dg.ScheduleDefinition(
        name=SCHEDULE,
        job=weekly_sync,
        cron_schedule=cron_from_expression(settings.schedule_expression),
        execution_timezone="UTC",
        default_status=running if settings.schedule_enabled else stopped,
        description="Starts the weekly sync (SCHEDULE_EXPRESSION, in UTC).",
    )


def scheduled_times(settings: Settings, *, after: datetime, ascending: bool = True) -> Iterator[datetime]:
    """The times (UTC) of the schedule from `after` on, or back from it, as Dagster's daemon reckons them.

    Raises:
        SettingsInvalid: SCHEDULE_EXPRESSION cannot be read.
    """
    cron = cron_from_expression(settings.schedule_expression)
    return schedule_execution_time_iterator(after.timestamp(), cron, "UTC", ascending=ascending)


def schedule_is_running(instance: dg.DagsterInstance, settings: Settings) -> bool:
    """Whether the schedule ticks: as somebody set it in the UI, else as SCHEDULE_ENABLED says."""
    # Runs in the process of a test or of the demo have no daemon whose state there could be.
    if instance.schedule_storage is None:
        return settings.schedule_enabled
    # Of schedules and sensors; no sensor has this name.
    found = instance.all_instigator_state()
    statuses = [state.status.name for state in found if state.instigator_name == SCHEDULE]
    if "STOPPED" in statuses:
        return False
    return "RUNNING" in statuses or settings.schedule_enabled


def next_scheduled_sync(instance: dg.DagsterInstance, settings: Settings, *, after: datetime) -> str:
    """When the next sync starts, as "2025-07-28 03:00"; empty when none will."""
    if not schedule_is_running(instance, settings):
        return ""
    return f"{next(scheduled_times(settings, after=after)):%Y-%m-%d %H:%M}"


class _Refused(Exception):
    """What was expected instead."""


def cron_from_expression(text: str) -> str:
    """The five cron fields that SCHEDULE_EXPRESSION means; Dagster's scheduler finds times by them.

    Five fields stay as they are; AWS's `cron(0 3 ? * SUN *)` becomes `0 3 * * 0`. AWS's form has `?`, a field
    for the year, and days of the week that count from 1, Sunday (EventBridge user guide, "Cron-based
    schedules").

    Raises:
        SettingsInvalid: names SCHEDULE_EXPRESSION, what was expected and what was found.
    """
    call = _CALL.fullmatch(text.strip())
    try:
        if call is None:
            cron = _checked(text.split())
        elif call["name"].lower() == "cron":
            cron = _from_aws(call["fields"].split())
        else:
            raise _Refused(f"{_FORM}; {call['name'].lower()}() names no day and time")
        _ask_dagster(cron)
    except _Refused as why:
        found = repr(text[:80])
        raise SettingsInvalid(name="SCHEDULE_EXPRESSION", expected=str(why), found=found) from None
    return cron


def _checked(fields: Sequence[str]) -> str:
    # Dagster reads more than cron has, such as seconds, names for expressions, and numbers at random.
    if len(fields) != len(_FIELDS):
        raise _Refused(_FORM)
    for text, field in zip(fields, _FIELDS, strict=True):
        _numbers(text, *field)
    return " ".join(fields)


def _from_aws(fields: Sequence[str]) -> str:
    if len(fields) != len(_FIELDS) + 1:
        raise _Refused(f"six fields inside cron(…), found {len(fields)}")
    minute, hour, day, month, weekday, year = fields
    if year != "*":
        raise _Refused("* as the year, since a weekly sync has no last year")
    if [day, weekday].count("?") != 1:
        raise _Refused("? in exactly one of day of month and day of week")
    day, weekday = ("*" if text == "?" else text for text in (day, weekday))
    texts = (minute, hour, day, month, weekday)
    numbers = [_numbers(text, *field) for text, field in zip(texts, _FIELDS, strict=True)]
    # To cron, 0 and 7 are both Sunday: what is out of range here would be a day there.
    if not 1 <= min(numbers[4]) <= max(numbers[4]) <= 7:
        raise _Refused("1-7 or SUN-SAT as day of week")
    numbers[4] = {number - 1 for number in numbers[4]}
    return " ".join(
        "*" if text == "*" else ",".join(map(str, sorted(found)))
        for text, found in zip(texts, numbers, strict=True)
    )


def _numbers(text: str, low: int, high: int, names: Sequence[str]) -> set[int]:
    """The numbers that a field means: lists, ranges, steps and names. "5/10" goes on to the field's end."""
    text = text.upper()
    for number, name in enumerate(names, 1):
        text = re.sub(rf"\b{name}\b", str(number), text)
    numbers: set[int] = set()
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise _Refused(f"numbers, names, * and steps, not {item[:20]!r}; L, W and # are not supported")
        first, last, step = match.groups()
        begin = int(first or low)
        end = int(last) if last else begin if first and not step else high
        if begin > end:
            raise _Refused(f"a range that ascends, not {item[:20]!r}")
        numbers.update(range(begin, end + 1, int(step or 1)))
    return numbers


def _ask_dagster(cron: str) -> None:
    try:
        dg.ScheduleDefinition(name=SCHEDULE, job=weekly_sync, cron_schedule=cron)
        # It takes dates that do not exist, and finds no time for them.
        next(schedule_execution_time_iterator(0.0, cron, "UTC"))
    except (dg.DagsterInvalidDefinitionError, ValueError) as exc:
        raise _Refused(f"{_FORM}, with numbers in range and a date that exists") from exc
