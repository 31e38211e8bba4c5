"""What Dagster loads, as a list.

`dg.load_from_defs_folder` would find these by itself, but only those that stand in a module as they are: the
schedule and the sensors are made from settings, which say whether they run. A list also shows what there is.
"""

import dagster as dg

from brew_assets.defs.assets import ASSETS
from brew_assets.defs.checks import CHECKS
from brew_assets.defs.dagster_internals import loggers_of_all_runs
from brew_assets.defs.jobs import JOBS
from brew_assets.defs.notifications.sensor import notifying_sensor
from brew_assets.defs.publication import publication, published_objects_present
from brew_assets.defs.resources import LOADED_SETTINGS, MirrorResource
from brew_assets.defs.schedules import weekly_schedule
from brew_assets.defs.sensors.launch_runs import manifest_sensor, pending_sensor
from brew_assets.defs.sensors.sync_events import trigger_sensor

defs = dg.Definitions(
    assets=[*ASSETS, publication],
    asset_checks=[*CHECKS, published_objects_present],
    jobs=JOBS,
    schedules=[weekly_schedule(LOADED_SETTINGS)],
    sensors=[
        pending_sensor(LOADED_SETTINGS),
        manifest_sensor(LOADED_SETTINGS),
        trigger_sensor(LOADED_SETTINGS),
        notifying_sensor(LOADED_SETTINGS),
    ],
    resources={"mirror": MirrorResource()},
    loggers=loggers_of_all_runs(),
    # One process a run: steps share nothing but the store, a second process would cost seconds and memory,
    # and SIGTERM reaches the step that copies (defs/resources.py) without anybody's handing it on.
    executor=dg.in_process_executor,
)
