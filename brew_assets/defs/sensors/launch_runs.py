"""From plans to runs."""

from collections.abc import Iterator

import dagster as dg

from brew_assets.compose.store import CLOCK
from brew_assets.configured import task_sizes
from brew_assets.defs.assets import hash_manifest, pending_bottles
from brew_assets.defs.backfills import backfill_of
from brew_assets.defs.jobs import mirror_platform
from brew_assets.defs.pages.metadata import recorded_plan
from brew_assets.defs.publication import publication
from brew_assets.defs.resources import platforms
from brew_assets.defs.tags import PARTITION_TAG, SYNC_ID_TAG, inherited_tags, run_tags
from brew_assets.domain.plan_summary import PlanSummary
from brew_assets.engine.ports import Clock
from brew_assets.settings import Settings, read_settings

# The rest waits for the next tick; a tick has a minute.
MAX_PLANS_PER_TICK = 50
_INTERVAL_S = 30
# A daemon that was down for a night starts what was planned meanwhile. What is older, later plans have
# planned again: all of it at once would be a task for each platform of each week.
_LATE_S = 86_400.0
# The cursor of a sensor that has found no plan at all; storage ids begin with 1.
_BEFORE_ALL = "0"
# Databases count no further than 2^63.
_MOST_DIGITS = 18


def pending_sensor(
    settings: Settings, *, clock: Clock = CLOCK, plans_per_tick: int = MAX_PLANS_PER_TICK
) -> dg.SensorDefinition:
    """The sensor that starts the runs of plans; running from the start unless SCHEDULE_ENABLED says no.

    Raises:
        SettingsInvalid: ECS_TASK_SIZES cannot be read; no tick would come further.
    """
    task_sizes(settings)
    running, stopped = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED
    return dg.SensorDefinition(
        name="route_pending_bottles",
        evaluation_fn=lambda context: route_pending_bottles(context, clock, plans_per_tick=plans_per_tick),
        job=mirror_platform,
        minimum_interval_seconds=_INTERVAL_S,
        default_status=running if settings.schedule_enabled else stopped,
        description="Starts one run per platform with pending bottles, for every plan; a backfill's plan is "
        "left to the backfill.",
    )


def manifest_sensor(settings: Settings) -> dg.AutomationConditionSensorDefinition:
    """The sensor that asks for hash_manifest and publication by their conditions.

    Dagster's own would be stopped at first.
    """
    running, stopped = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED
    return dg.AutomationConditionSensorDefinition(
        name="record_stored_bottles",
        target=dg.AssetSelection.assets(hash_manifest, publication),
        minimum_interval_seconds=_INTERVAL_S,
        run_tags={"mirror/purpose": "record"},
        default_status=running if settings.schedule_enabled else stopped,
        description="Starts a run of publication and its check when hash_manifest has changed, and of "
        "hash_manifest and its checks when bottles were stored without it, as by a backfill of bottles.",
    )


def route_pending_bottles(
    context: dg.SensorEvaluationContext, clock: Clock, *, plans_per_tick: int = MAX_PLANS_PER_TICK
) -> dg.SensorResult:
    """One run request per platform with something pending, for every plan since the cursor.

    The cursor is the storage id of the last plan seen. Dagster's own asset sensor shows only the newest of
    several materializations, and every one of them is a plan. Without a cursor the newest plan is the first.
    """
    plans, cursor = _new_plans(context, plans_per_tick, since=clock.now().timestamp() - _LATE_S)
    if not plans:
        return dg.SensorResult(skip_reason="No new plan.", cursor=cursor)
    requests = [request for plan in plans for request in _requests_of(context, plan)]
    if not requests:
        reason = f"Nothing is pending in {len(plans)} new plan(s) that needs a run of this sensor."
        return dg.SensorResult(skip_reason=reason, cursor=cursor)
    return dg.SensorResult(run_requests=requests, cursor=cursor)


def _new_plans(
    context: dg.SensorEvaluationContext, most: int, *, since: float
) -> tuple[list[dg.EventLogRecord], str]:
    """The plans that this tick looks at, oldest first, and the cursor after them.

    Of at most so many, those from before `since` (seconds since 1970) are passed over, but for the newest.
    """
    instance, after = context.instance, _storage_id(context.cursor)
    newest = instance.fetch_materializations(pending_bottles.key, limit=most if after is None else 1).records
    if after is None:
        # Without any plan every one counts from now on, also when several come before the next tick.
        plans = [next((record for record in newest if _plan_of(record)), newest[0])] if newest else []
        if plans:
            context.log.info("This sensor has no cursor: it begins at the newest plan.")
        return plans, str(newest[0].storage_id) if newest else _BEFORE_ALL
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=pending_bottles.key, after_storage_id=after),
        limit=most,
        ascending=True,
    ).records
    last = newest[0].storage_id if newest else 0
    plans = [record for record in found if record.timestamp >= since or record.storage_id >= last]
    if len(plans) < len(found):
        late = len(found) - len(plans)
        context.log.warning(f"No run is started for {late} plan(s) of more than a day ago: later ones count.")
    return plans, str(found[-1].storage_id if found else after)


def _storage_id(cursor: str | None) -> int | None:
    """The cursor's storage id; None where there is none, as after a reset, or what somebody typed is none."""
    given = cursor or ""
    is_one = given.isascii() and given.isdecimal() and len(given) <= _MOST_DIGITS
    return int(given) if is_one else None


def _plan_of(record: dg.EventLogRecord) -> PlanSummary | None:
    materialization = record.asset_materialization
    return recorded_plan(materialization.metadata) if materialization is not None else None


def _requests_of(context: dg.SensorEvaluationContext, record: dg.EventLogRecord) -> Iterator[dg.RunRequest]:
    """The run requests of one plan: not for what its own backfill stores, or what has its run already."""
    plan = _plan_of(record)
    if plan is None:
        context.log.warning("A materialization of pending_bottles that names no plan was left out.")
        return
    planning = context.instance.get_run_by_id(record.run_id)
    backfill = backfill_of(context.instance, planning)
    left = backfill.stores if backfill is not None else ()
    for request in _requests(context, plan, inherited_tags(planning.tags) if planning else {}):
        platform = str(request.partition_key)
        if platform in left:
            context.log.info(f"sync {plan.sync_id}: {platform} is left to the backfill that planned it.")
        elif _has_run(context.instance, plan.sync_id, platform):
            context.log.info(f"sync {plan.sync_id}: {platform} has its run already.")
        else:
            yield request


def _has_run(instance: dg.DagsterInstance, sync_id: str, platform: str) -> bool:
    """Whether a run copies the plan for the platform. One that was never submitted is none yet.

    Dagster submits such a run when it is requested again with its run key (dagster/_daemon/sensor.py). Run
    keys alone do not say it: they are of one location, and those of another one count anew.
    """
    wanted = dg.RunsFilter(tags={SYNC_ID_TAG: sync_id, PARTITION_TAG: platform})
    return any(r.status != dg.DagsterRunStatus.NOT_STARTED for r in instance.get_runs(wanted))


def _requests(
    context: dg.SensorEvaluationContext, plan: PlanSummary, inherited: dict[str, str]
) -> Iterator[dg.RunRequest]:
    settings, known, sync = read_settings(), platforms.get_partition_keys(), f"sync {plan.sync_id}"
    for platform, totals in plan.platforms.items():
        if platform not in known:
            context.log.warning(
                f"{sync}: {totals.bottles} bottles are pending for {platform}, which is not among "
                f"TARGET_PLATFORMS ({', '.join(known)}); no run is started for it."
            )
        elif not totals.bottles:
            context.log.info(f"{sync}: nothing is pending for {platform}.")
    wanted = [name for name in known if name in plan.platforms and plan.platforms[name].bottles]
    for number, platform in enumerate(wanted):
        yield dg.RunRequest(
            run_key=f"{plan.sync_id}:{platform}",
            partition_key=platform,
            tags=run_tags(
                settings,
                sync_id=plan.sync_id,
                route=plan.route,
                pending_bytes=plan.platforms[platform].estimated_bytes,
                number=number,
            )
            | inherited,
        )
