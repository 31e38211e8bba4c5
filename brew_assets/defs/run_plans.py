"""Which plan a run copies by: the one that it names, its backfill's, or one of its own."""

import logging

import dagster as dg

from brew_assets.defs.backfills import PENDING_BOTTLES, Backfill, backfill_of, former_backfill_of
from brew_assets.defs.pages.figures import sync_of_run
from brew_assets.defs.tags import PARTITION_TAG, PLANNED, PLANNED_TAG, SYNC_ID_TAG
from brew_assets.domain.left_out import notes_of
from brew_assets.domain.plan import Plan, Request
from brew_assets.domain.plan_summary import summarize
from brew_assets.engine.kept_plans import load_plan
from brew_assets.engine.planner import make_plan
from brew_assets.engine.shared_plan import SharedPlan
from brew_assets.engine.sync import Mirror
from brew_assets.errors import PlanInvalid, SettingsInvalid

_log = logging.getLogger(__name__)


def platforms_to_plan(context: dg.AssetExecutionContext, engine: Mirror) -> tuple[str, ...]:
    """What a plan of this planning run covers: its backfill's platforms, or else all.

    Executed again after the backfill's end it still covers what somebody has chosen.
    """
    run = _run(context)
    backfill = backfill_of(context.instance, run)
    if backfill is None and (before := former_backfill_of(context.instance, run)):
        backfill = Backfill(context.instance, before)
    return (backfill.platforms if backfill else ()) or engine.options.platforms


def name_plan(context: dg.AssetExecutionContext, engine: Mirror, plan: Plan) -> None:
    """The runs of the backfill that this planning run is part of find its plan, and notifications the run."""
    context.instance.add_run_tags(context.run_id, {PLANNED_TAG: PLANNED})
    backfill = backfill_of(context.instance, _run(context))
    if backfill is not None:
        _shared(context, engine, backfill.id).name(plan)


def log_plan(plan: Plan) -> None:
    """The log, which people read where no UI is, has a line on what has to be copied."""
    found = summarize(plan)
    facts = {"pending": found.objects, "downloads": found.downloads, "bytes": found.bytes}
    _log.info("planned", extra={"sync_id": plan.sync_id, "route": found.route, **facts})


def sync_of_backfill(context: dg.AssetExecutionContext, engine: Mirror) -> str:
    """The sync id of the plan that this run's backfill copies by, empty when there is none."""
    run = _run(context)
    backfill = backfill_of(context.instance, run)
    if backfill is not None:
        sync_id = _shared(context, engine, backfill.id).known() or _sync_before(context, engine, backfill)
    else:
        before = former_backfill_of(context.instance, run)
        sync_id = _shared(context, engine, before).known() if before else ""
    if sync_id and run.tags.get(SYNC_ID_TAG) != sync_id:
        context.instance.add_run_tags(context.run_id, {SYNC_ID_TAG: sync_id})
    return sync_id


def plan_of_run(context: dg.AssetExecutionContext, *, named: str, engine: Mirror) -> tuple[Plan, bool]:
    """The run's plan, which the run's tag names from now on, and whether this run has made it just now.

    `named` is what its run config names. Without one and without a tag it is the plan that the run itself has
    materialized, or that of its backfill, or one of its own.

    Raises:
        SettingsInvalid: this process mirrors for other platforms than the one that launched it.
        PlanInvalid: there is no such plan, or it does not cover the platform.
    """
    # From what is certain to what would be new. A plan that somebody named, or that an earlier try of this
    # run has tagged, is never replaced: a retry goes on with its own sync, whose report and messages then
    # count it. Of the others the nearest counts, and one that does not cover the platform is passed over.
    # Planning comes last: runs that each planned would fetch what they share several times.
    platform, known = context.partition_key, engine.options.platforms
    if platform not in known:
        expected = f"the code server's list, which has {platform}"
        raise SettingsInvalid(name="TARGET_PLATFORMS", expected=expected, found=", ".join(known))
    run = _run(context)
    tagged = run.tags.get(SYNC_ID_TAG, "")
    plan, made = _named_plan(engine, platform, named or tagged), False
    if plan is None:
        plan = _covering(context, engine, sync_of_run(context, PENDING_BOTTLES), "The plan of this run")
    if plan is None:
        plan, made = _plan_of_backfill(context, run, engine)
    if plan is None:
        plan, made = _new_plan(engine, (platform,)), True
    for note in notes_of(plan):
        context.log.warning(note)
    if plan.sync_id != tagged:
        # Before anything is copied: a retry after the backfill's end does not know of the backfill.
        planned = {PLANNED_TAG: PLANNED} if made else {}
        context.instance.add_run_tags(context.run_id, {SYNC_ID_TAG: plan.sync_id} | planned)
    return plan, made


def _named_plan(engine: Mirror, platform: str, sync_id: str) -> Plan | None:
    if not sync_id:
        return None
    plan = load_plan(engine.ports, sync_id)
    if platform not in plan.platforms:
        raise PlanInvalid(f"sync {sync_id} covers {', '.join(plan.platforms)}, not {platform}")
    return plan


def _plan_of_backfill(
    context: dg.AssetExecutionContext, run: dg.DagsterRun, engine: Mirror
) -> tuple[Plan | None, bool]:
    """The plan of the run's backfill and whether this run has made it; None when it is to plan for itself."""
    # One plan for all its runs, whichever comes first: it makes the plan for all their platforms, the others
    # wait for it. A backfill that repeats a failed one goes on with that one's plan where it covers as much:
    # it is the same sync, and what was copied for it stays counted. Such a plan is not new, though this run
    # has just named it: hence the comparison with `before` at the end.
    backfill, platform = backfill_of(context.instance, run), context.partition_key
    made: Plan | None = None
    if backfill is None:
        # What was planned for a backfill that is over is taken; nothing is planned for it any more.
        before = former_backfill_of(context.instance, run)
        sync_id = _shared(context, engine, before).known() if before else ""
    else:
        wanted = _platforms_of(backfill, platform)
        engine.store.prepare()
        shared, before = _shared(context, engine, backfill.id), _sync_before(context, engine, backfill)

        def make() -> Plan:
            return _kept_plan(engine, before, wanted) or _new_plan(engine, wanted)

        sync_id, made = shared.find_or_make(make)
    plan = _covering(context, engine, sync_id, "The backfill's plan", made=made)
    return plan, plan is not None and made is not None and made.sync_id != before


def _sync_before(context: dg.AssetExecutionContext, engine: Mirror, backfill: Backfill) -> str:
    """The sync id of the backfill that was no success and that this one executes again; else empty."""
    known = (_shared(context, engine, found).known() for found in backfill.failed_before)
    return next((sync_id for sync_id in known if sync_id), "")


def _kept_plan(engine: Mirror, sync_id: str, platforms: tuple[str, ...]) -> Plan | None:
    """The plan of that sync, if it can be copied for all of these platforms."""
    try:
        plan = load_plan(engine.ports, sync_id) if sync_id else None
    except PlanInvalid:
        return None
    return plan if plan is not None and set(platforms) <= set(plan.platforms) else None


def _covering(
    context: dg.AssetExecutionContext, engine: Mirror, sync_id: str, what: str, *, made: Plan | None = None
) -> Plan | None:
    """The plan of that sync; None when none is named, or it does not cover the run's platform."""
    if not sync_id:
        return None
    plan, platform = made or load_plan(engine.ports, sync_id), context.partition_key
    if platform in plan.platforms:
        return plan
    covered = ", ".join(plan.platforms)
    context.log.warning(f"{what} (sync {sync_id}) covers {covered}: {platform} is planned by itself.")
    return None


def _platforms_of(backfill: Backfill, own: str) -> tuple[str, ...]:
    """What the backfill's runs store; of one that Dagster knows nothing of, what its runs so far do."""
    if backfill.is_over:
        return (own,)
    names = backfill.platforms
    if not names:
        runs = (record.dagster_run.tags.get(PARTITION_TAG, "") for record in backfill.records())
        names = tuple(dict.fromkeys(name for name in runs if name))
    return names if own in names else (*names, own)


def _new_plan(engine: Mirror, platforms: tuple[str, ...]) -> Plan:
    return make_plan(engine, request_of_mirror(engine, platforms)).plan


def request_of_mirror(engine: Mirror, platforms: tuple[str, ...]) -> Request:
    """What a sync of these platforms covers when nobody asks for anything else."""
    options = engine.options
    return Request(
        platforms=platforms,
        include_dependencies=options.include_dependencies,
        include_disabled=options.include_disabled,
    )


def _shared(context: dg.AssetExecutionContext, engine: Mirror, backfill: str) -> SharedPlan:
    def is_over(run_id: str) -> bool:
        run = context.instance.get_run_by_id(run_id)
        return run is None or run.is_finished

    ports = engine.ports
    return SharedPlan(
        engine.store,
        ports.clock,
        ports.stop,
        backfill=backfill,
        run_id=context.run_id,
        is_over=is_over,
        say=context.log.info,
    )


def _run(context: dg.AssetExecutionContext) -> dg.DagsterRun:
    # Not context.run: a second try of the step goes on with what the first one has planned.
    return context.instance.get_run_by_id(context.run_id) or context.run
