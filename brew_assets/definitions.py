"""What Dagster loads."""

import dagster as dg

from brew_assets.defs.assets import ASSETS
from brew_assets.defs.checks import CHECKS
from brew_assets.defs.executor import interruptible_executor
from brew_assets.defs.jobs import JOBS
from brew_assets.defs.notifications.missing_syncs import absence_sensor
from brew_assets.defs.notifications.sensor import notifying_sensor
from brew_assets.defs.resources import MirrorResource
from brew_assets.defs.run_lines import loggers_of_all_runs
from brew_assets.defs.schedules import weekly_schedule
from brew_assets.defs.sensors.launch_runs import manifest_sensor, pending_sensor
from brew_assets.defs.sensors.sync_events import trigger_sensor
from brew_assets.settings import read_settings

settings = read_settings()

defs = dg.Definitions(
    assets=ASSETS,
    asset_checks=CHECKS,
    jobs=JOBS,
    schedules=[weekly_schedule(settings)],
    sensors=[
        pending_sensor(settings),
        manifest_sensor(settings),
        trigger_sensor(settings),
        notifying_sensor(settings),
        absence_sensor(settings),
    ],
    resources={"mirror": MirrorResource()},
    loggers=loggers_of_all_runs(),
    executor=interruptible_executor,
)
