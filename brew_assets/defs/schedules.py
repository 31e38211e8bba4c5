"""When things start by themselves."""

from collections.abc import Iterator
from datetime import datetime

import dagster as dg

from brew_assets.defs.dagster_internals import schedule_execution_time_iterator
from brew_assets.defs.jobs import weekly_sync
from brew_assets.domain.schedule import cron_from_expression
from brew_assets.settings import Settings

SCHEDULE = "weekly_sync"


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
