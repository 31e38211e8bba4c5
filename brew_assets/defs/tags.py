"""What the tags of a run say: its plan, its route, who asked for it, and for the launcher its task's size."""

import json
from collections.abc import Mapping
from typing import Any

from brew_assets.configured import task_sizes
from brew_assets.domain.routing import CONTROL_TASK, goes_to_spot, task_size
from brew_assets.settings import Settings

SYNC_ID_TAG = "mirror/sync_id"
ROUTE_TAG = "mirror/route"
# Of the run that wrote a plan, however it was started. The value is always the same: a filter asks for it.
PLANNED_TAG, PLANNED = "mirror/planned", "yes"
# Who asked for the plan. The planning run has them, and the runs that copy by its plan.
TRIGGER_TAG = "mirror/trigger"
REQUESTED_BY_TAG = "mirror/requested_by"
EVENT_ID_TAG = "mirror/event_id"
CHANNEL_TAG = "mirror/notification_channel"
# Dagster's own.
PRIORITY_TAG = "dagster/priority"
RUN_KEY_TAG = "dagster/run_key"
SENSOR_TAG = "dagster/sensor_name"
SCHEDULE_TAG = "dagster/schedule_name"
PARTITION_TAG = "dagster/partition"
BACKFILL_TAG = "dagster/backfill"
PARENT_BACKFILL_TAG = "dagster/parent_backfill_id"
PARENT_RUN_TAG = "dagster/parent_run_id"
ROOT_RUN_TAG = "dagster/root_run_id"
WILL_RETRY_TAG = "dagster/will_retry"
_INHERITED = (TRIGGER_TAG, REQUESTED_BY_TAG, EVENT_ID_TAG, CHANNEL_TAG, PRIORITY_TAG)
# Read by EcsRunLauncher (dagster_aws/ecs/launcher.py).
CPU_TAG = "ecs/cpu"
MEMORY_TAG = "ecs/memory"
STORAGE_TAG = "ecs/ephemeral_storage"
RUN_TASK_TAG = "ecs/run_task_kwargs"


def run_tags(
    settings: Settings, *, sync_id: str, route: str, pending_bytes: int, number: int
) -> dict[str, str]:
    """The tags of a run with so many bytes pending, the `number`th (0, 1, …) of its plan.

    Raises:
        SettingsInvalid: ECS_TASK_SIZES cannot be read.
    """
    tags = {SYNC_ID_TAG: sync_id} | ({ROUTE_TAG: route} if route else {})
    if not settings.ecs_cluster_name:
        return tags
    # A run on the Lambda route only watches: a small task, on demand, so that nobody interrupts it.
    size = task_size(task_sizes(settings), pending_bytes) if route == "ecs" else CONTROL_TASK
    tags |= {CPU_TAG: str(size.cpu), MEMORY_TAG: str(size.memory_mib)}
    spot = route == "ecs" and goes_to_spot(sync_id, number, settings.ecs_spot_percent)
    if route == "ecs":
        tags[STORAGE_TAG] = str(size.storage_gib)
    if asked := _run_task_arguments(settings, spot=spot):
        tags[RUN_TASK_TAG] = json.dumps(asked, separators=(",", ":"))
    return tags


def inherited_tags(planning: Mapping[str, str]) -> dict[str, str]:
    """What the runs of a plan take over from the tags of the planning run: who asked, and how urgently."""
    by = "Scheduled" if SCHEDULE_TAG in planning else "Manual"
    return {TRIGGER_TAG: by} | {name: planning[name] for name in _INHERITED if name in planning}


def _run_task_arguments(settings: Settings, *, spot: bool) -> dict[str, Any]:
    """What RunTask is asked beside the size."""
    asked: dict[str, Any] = {}
    if settings.ecs_spot_percent:
        provider = "FARGATE_SPOT" if spot else "FARGATE"
        asked["capacityProviderStrategy"] = [{"capacityProvider": provider, "weight": 1}]
    if settings.ecs_subnets:
        network: dict[str, Any] = {"subnets": list(settings.ecs_subnets)}
        if settings.ecs_security_groups:
            network["securityGroups"] = list(settings.ecs_security_groups)
        asked["networkConfiguration"] = {"awsvpcConfiguration": network}
    return asked
