"""When things start by themselves."""

import dagster as dg

from brew_assets.defs.jobs import weekly_sync
from brew_assets.domain.schedule import cron_from_expression
from brew_assets.settings import Settings


def weekly_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """The weekly trigger; it runs as soon as it is deployed unless SCHEDULE_ENABLED says no.

    Raises:
        SettingsInvalid: SCHEDULE_EXPRESSION cannot be read.
    """
    running, stopped = dg.DefaultScheduleStatus.RUNNING, dg.DefaultScheduleStatus.STOPPED
    return dg.ScheduleDefinition(
        name="weekly_sync",
        job=weekly_sync,
        cron_schedule=cron_from_expression(settings.schedule_expression),
        execution_timezone="UTC",
        default_status=running if settings.schedule_enabled else stopped,
        description="Starts the weekly sync (SCHEDULE_EXPRESSION, in UTC).",
    )
