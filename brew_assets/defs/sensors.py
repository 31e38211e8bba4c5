"""From plans to runs."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from brew_assets.compose import task_sizes
from brew_assets.defs.assets import pending_bottles
from brew_assets.defs.jobs import mirror_platform
from brew_assets.defs.metadata import PENDING, PENDING_BYTES, ROUTE, SYNC_ID
from brew_assets.defs.partitions import platforms
from brew_assets.defs.route_tags import inherited_tags, run_tags
from brew_assets.domain.proof import is_sync_id
from brew_assets.settings import Settings, read_settings

# The rest waits for the next tick; a tick has a minute.
MAX_PLANS_PER_TICK = 50
_INTERVAL_S = 30


def pending_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor that has plans carried out; running from the start unless SCHEDULE_ENABLED says no.

    Raises:
        SettingsInvalid: ECS_TASK_SIZES cannot be read; no tick would come further.
    """
    task_sizes(settings)
    running, stopped = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED
    return dg.SensorDefinition(
        name="route_pending_bottles",
        evaluation_fn=route_pending_bottles,
        job=mirror_platform,
        minimum_interval_seconds=_INTERVAL_S,
        default_status=running if settings.schedule_enabled else stopped,
        description="Starts one run per platform with pending bottles, for every plan.",
    )


def route_pending_bottles(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """One run request per platform with something pending, for every plan since the cursor.

    The cursor is the storage id of the last plan seen. Dagster's own asset sensor shows only the newest of
    several materializations, and every one of them is a plan.
    """
    plans = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(
            asset_key=pending_bottles.key, after_storage_id=int(context.cursor) if context.cursor else None
        ),
        limit=MAX_PLANS_PER_TICK,
        ascending=True,
    ).records
    if not plans:
        return dg.SensorResult(skip_reason="No new plan.")
    requests: list[dg.RunRequest] = []
    for plan in plans:
        materialization = plan.asset_materialization
        metadata = materialization.metadata if materialization else {}
        planning = context.instance.get_run_by_id(plan.run_id)
        inherited = inherited_tags(planning.tags) if planning else {}
        requests.extend(_requests(context, metadata, inherited))
    cursor = str(plans[-1].storage_id)
    if not requests:
        reason = f"Nothing is pending in {len(plans)} new plan(s)."
        return dg.SensorResult(skip_reason=reason, cursor=cursor)
    return dg.SensorResult(run_requests=requests, cursor=cursor)


def _requests(
    context: dg.SensorEvaluationContext,
    metadata: Mapping[str, dg.MetadataValue[Any]],
    inherited: dict[str, str],
) -> Iterator[dg.RunRequest]:
    sync_id, pending, route, sizes = (
        metadata[name].value if name in metadata else None
        for name in (SYNC_ID, PENDING, ROUTE, PENDING_BYTES)
    )
    if not isinstance(sync_id, str) or not is_sync_id(sync_id) or not isinstance(pending, dict):
        context.log.warning("A materialization of pending_bottles that names no plan was left out.")
        return
    settings = read_settings()
    known = platforms.get_partition_keys()
    for platform in (name for name in pending if name not in known):
        context.log.warning(
            f"sync {sync_id}: {pending[platform]} bottles are pending for {platform}, which is not among "
            f"TARGET_PLATFORMS ({', '.join(known)}); no run is started for it."
        )
    for platform in (name for name in known if name in pending and not pending[name]):
        context.log.info(f"sync {sync_id}: nothing is pending for {platform}.")
    for number, platform in enumerate(name for name in known if pending.get(name)):
        size = sizes.get(platform) if isinstance(sizes, dict) else None
        yield dg.RunRequest(
            run_key=f"{sync_id}:{platform}",
            partition_key=platform,
            tags=run_tags(
                settings,
                sync_id=sync_id,
                route=route if isinstance(route, str) else "",
                pending_bytes=size if isinstance(size, int) else 0,
                number=number,
            )
            | inherited,
        )
