"""What exists: the catalogue, the plan, the bottles of each platform, and the record of what is held.

No value passes between assets in memory: the store carries the data, and runs share nothing else.
"""

import logging
from datetime import timedelta

import dagster as dg
from pydantic import Field

from brew_assets.defs.lambda_route import lambda_copier
from brew_assets.defs.pages import descriptions
from brew_assets.defs.pages.figures import metadata_of_manifest, metadata_of_run, newest_sync, sync_of_run
from brew_assets.defs.pages.markdown import MAX_ROWS
from brew_assets.defs.pages.metadata import (
    Metadata,
    catalogue_metadata,
    own_plan_metadata,
    plan_metadata,
)
from brew_assets.defs.pages.store_links import Places
from brew_assets.defs.progress import log_indexes, log_sizes, observe_progress
from brew_assets.defs.resources import LOADED_SETTINGS, MirrorResource, end_step, platforms
from brew_assets.defs.run_plans import (
    name_plan,
    plan_of_run,
    platforms_to_plan,
    sync_of_backfill,
)
from brew_assets.defs.tags import ROUTE_TAG
from brew_assets.domain.foreign_text import printable
from brew_assets.domain.left_out import LISTED, first_names, notes_of
from brew_assets.domain.links import Links
from brew_assets.domain.manifest import MANIFEST_KEY
from brew_assets.domain.plan import Plan, Request
from brew_assets.domain.plan_summary import summarize
from brew_assets.domain.report import Report, failures_by_reason
from brew_assets.domain.routing import ROUTES
from brew_assets.engine.planner import make_plan, refresh_catalogue, route_of
from brew_assets.engine.record.fold import FoldResult
from brew_assets.engine.record.rebuild import rebuild_manifest
from brew_assets.engine.sync import Mirror
from brew_assets.engine.transfer.local_copier import Copier, LocalCopier
from brew_assets.errors import PlanInvalid, is_retryable
from brew_assets.settings import Settings

_log = logging.getLogger(__name__)

OWNERS = ["team:mirror"]
# A week, and a day for a sync that takes long.
FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=8))
# For bottles that were stored without it, as by a backfill of bottles alone. In a run of mirror_platform it
# follows by itself, so it is asked for only when nobody is at work on either.
FOLLOWS_BOTTLES = (
    dg.AutomationCondition.any_deps_updated().since_last_handled()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
)
# The UI has an icon for both.
STORE_KIND = "s3" if LOADED_SETTINGS.mirror_url.startswith("s3:") else "file"


class PlanToCopy(dg.Config):
    """Which plan a run copies by."""

    sync_id: str = Field(
        default="",
        description="A plan's sync id; none means the run's tag mirror/sync_id, else its backfill's plan, or "
        "else a plan of its own.",
    )


class SyncRequest(dg.Config):
    """What a plan is asked to cover; the defaults cover everything that is configured."""

    formula_names: list[str] = Field(
        default=[], description="Formulae by name, alias or old name; none means all."
    )
    platforms: list[str] = Field(default=[], description="Platforms; none means TARGET_PLATFORMS.")
    force_download: bool = Field(default=False, description="Download also what is held already.")
    look_up_sizes: bool = Field(default=True, description="Ask upstream how large the bottles are.")
    rebuild_manifest: bool = Field(
        default=False, description="Make bottles_hash.json anew from the stored bottles first."
    )


@dg.asset(
    group_name="mirror",
    kinds={"json", STORE_KIND},
    owners=OWNERS,
    tags={"homebrew": "catalogue"},
    description=descriptions.FORMULA_CATALOG,
)
def formula_catalog(context: dg.AssetExecutionContext, mirror: MirrorResource) -> dg.MaterializeResult[None]:
    with mirror.engine(context) as engine:
        # Of one that a whole sync could not be planned from, the plans of this deployment can make nothing.
        now = refresh_catalogue(engine, Request(platforms=engine.options.platforms))
    return dg.MaterializeResult(
        metadata=catalogue_metadata(now), data_version=dg.DataVersion(now.kept.sha256)
    )


@dg.asset(
    deps=[formula_catalog],
    group_name="mirror",
    kinds={"json", STORE_KIND},
    owners=OWNERS,
    tags={"homebrew": "plan"},
    freshness_policy=FRESH,
    description=descriptions.PENDING_BOTTLES,
)
def pending_bottles(
    context: dg.AssetExecutionContext, config: SyncRequest, mirror: MirrorResource
) -> dg.MaterializeResult[None]:
    with mirror.engine(context) as engine:
        request = Request(
            platforms=tuple(config.platforms) or platforms_to_plan(context, engine),
            formulae=tuple(config.formula_names),
            force=config.force_download,
            include_disabled=engine.options.include_disabled,
        )
        now = refresh_catalogue(engine, request)
        if config.rebuild_manifest:
            make_manifest_anew(context, engine)
        planned = make_plan(
            engine,
            request,
            catalogue=now.catalogue,
            sizes=config.look_up_sizes,
            progress=log_sizes(context, engine.ports.clock),
        )
        name_plan(context, engine, planned.plan)
        log_plan(planned.plan)
        warnings = list(notes_of(planned.plan))
        if not planned.plan.objects:
            # No run follows. That the manifest is as it should be is news too, and indexes may be missing.
            report, folded = engine.sync(
                planned.plan,
                index_progress=log_indexes(context, engine.ports.clock),
                run_id=context.run_id,
                run_url=run_url_of(context, mirror.settings()),
            )
            last = newest_sync(context.instance, bottles.key)
            record_manifest(context, engine, mirror.settings(), folded, sync_id=last)
            warnings += index_warnings(report)
    for warning in warnings:
        context.log.warning(warning)
    places = Places(engine.store.url, mirror.settings())
    return dg.MaterializeResult(metadata=plan_metadata(planned, now.kept, places))


def log_plan(plan: Plan) -> None:
    """The log, which people read where no UI is, has a line on what has to be copied."""
    found = summarize(plan)
    facts = {"pending": found.objects, "downloads": found.downloads, "bytes": found.bytes}
    _log.info("planned", extra={"sync_id": plan.sync_id, "route": found.route, **facts})


@dg.asset(
    deps=[pending_bottles],
    partitions_def=platforms,
    group_name="mirror",
    kinds={"gzip", "github", STORE_KIND},
    owners=OWNERS,
    tags={"homebrew": "bottles"},
    description=descriptions.BOTTLES,
)
def bottles(
    context: dg.AssetExecutionContext, config: PlanToCopy, mirror: MirrorResource
) -> dg.MaterializeResult[None]:
    platform = context.partition_key
    # hash_manifest follows in the same run, and in those of the other platforms at about the same time.
    with mirror.engine(context) as engine:
        plan, made = plan_of_run(context, named=config.sync_id, engine=engine)
        if made:
            # An observation, not a materialization: nobody else is to start runs for it.
            context.log_event(dg.AssetObservation(pending_bottles.key, metadata=own_plan_metadata(plan)))
            log_plan(plan)
        settings = mirror.settings()
        copier = copier_of_run(context, engine, plan, settings)
        listener = observe_progress(context, engine.ports.clock, every_s=settings.progress_update_interval)
        report, folded = engine.sync(
            plan,
            platform,
            progress=listener,
            index_progress=log_indexes(context, engine.ports.clock),
            copier=copier,
            run_id=context.run_id,
            run_url=run_url_of(context, settings),
        )
        metadata = metadata_of_run(engine, settings, report)
        if report.outcome != "success":
            # A failed step materializes nothing, and hash_manifest's does not begin; yet the run has folded.
            observed = dg.AssetObservation(context.asset_key, partition=platform, metadata=metadata)
            context.log_event(observed)
            record_manifest(context, engine, settings, folded, sync_id=plan.sync_id)
    if report.outcome != "success":
        end_step(context, failure_of(report, metadata, forced=plan.force))
    return dg.MaterializeResult(metadata=metadata)


@dg.asset(
    deps=[dg.AssetDep(bottles, partition_mapping=dg.AllPartitionMapping())],
    group_name="mirror",
    kinds={"json", STORE_KIND},
    owners=OWNERS,
    tags={"homebrew": "manifest"},
    freshness_policy=FRESH,
    automation_condition=FOLLOWS_BOTTLES,
    description=descriptions.HASH_MANIFEST,
)
def hash_manifest(context: dg.AssetExecutionContext, mirror: MirrorResource) -> dg.MaterializeResult[None]:
    with mirror.engine(context) as engine:
        folded = engine.fold()
        sync_id = sync_of_run(context, bottles.key) or sync_of_backfill(context, engine)
        sync_id = sync_id or newest_sync(context.instance, bottles.key)
        metadata = metadata_of_manifest(engine, mirror.settings(), folded, sync_id=sync_id)
    return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(folded.sha256))


def make_manifest_anew(context: dg.AssetExecutionContext, engine: Mirror) -> None:
    """The manifest names the bottles that stand in the store, as after `brew-mirror manifest rebuild`."""
    context.log.info(f"{MANIFEST_KEY} is made anew from the stored bottles.")
    made, unidentified, backup = rebuild_manifest(
        engine.store, engine.ports.clock, workers=engine.options.workers
    )
    for item in unidentified[:MAX_ROWS]:
        what = "Damaged:" if item.kept else "Left out"
        context.log.warning(printable(f"{what} {item.key}: {item.why}"))
    context.log.info(
        f"{MANIFEST_KEY} has {len(made):,} entries; {len(unidentified):,} objects are damaged or were left "
        f"out. Backup: {backup or 'none was needed'}."
    )


def run_url_of(context: dg.AssetExecutionContext, settings: Settings) -> str:
    """The address of the run's page; empty without DAGSTER_URL."""
    return Links(dagster_url=settings.dagster_url.rstrip("/")).run_url(context.run_id)


def copier_of_run(
    context: dg.AssetExecutionContext, engine: Mirror, plan: Plan, settings: Settings
) -> Copier:
    """What copies the run's bottles: the route of its tag, else its plan's, else what its size asks for.

    Raises:
        PlanInvalid: the tag names no route.
        SettingsInvalid: it names Lambda, and none can be invoked.
    """
    tagged = context.run.tags.get(ROUTE_TAG, "")
    decision = route_of(engine, plan)
    route, reason = tagged or plan.route or decision.route, plan.route_reason or decision.reason
    if tagged and tagged != plan.route:
        reason = f"the run's tag {ROUTE_TAG}"
    if route not in ROUTES:
        raise PlanInvalid(f"{ROUTE_TAG}: expected one of {', '.join(ROUTES)}, found {route[:40]!r}")
    context.log.info(f"{context.partition_key}: copies for sync {plan.sync_id}; route {route}: {reason}")
    if route == "lambda":
        return lambda_copier(context, engine, settings)
    return LocalCopier(engine.ports, engine.options, route=route)


def record_manifest(
    context: dg.AssetExecutionContext, engine: Mirror, settings: Settings, folded: FoldResult, *, sync_id: str
) -> None:
    """A step of another asset has hash_manifest materialized: the sync has folded, and no step follows."""
    context.log_event(
        dg.AssetMaterialization(
            hash_manifest.key,
            metadata=metadata_of_manifest(engine, settings, folded, sync_id=sync_id),
            tags={"dagster/data_version": folded.sha256},
        )
    )


def failure_of(report: Report, metadata: Metadata, *, forced: bool) -> dg.Failure:
    """What a run that did not store all ends with; tried again when some reasons may have passed by then.

    Not after a forced plan: that would download again what this try has stored.
    """
    passing = any(is_retryable(failure.reason) for failure in (*report.failed, *report.indexes_failed))
    return dg.Failure(
        describe_shortfall(report),
        metadata=metadata,
        allow_retries=passing and not forced and not report.aborted,
    )


def describe_shortfall(report: Report) -> str:
    """One sentence on what is not in the store though it was planned."""
    parts = [f"{count} {reason}" for reason, count in failures_by_reason(report.failed).items()]
    if report.left:
        names = f" ({first_names(report.left_bottles, report.left)})" if report.left_bottles else ""
        parts.append(f"{report.left} not begun or not finished{names}")
    if report.aborted:
        parts.append(f"given up: {report.aborted}")
    if not (parts or report.failed):
        return printable(f"{', '.join(report.platforms)}: {' '.join(index_warnings(report))}")
    parts += [f"{count} indexes: {why}" for why, count in failures_by_reason(report.indexes_failed).items()]
    failures = (*report.failed, *report.indexes_failed)
    first = f" First: {failures[0].message}" if failures else ""
    return printable(
        f"{', '.join(report.platforms)}: {report.stored + report.kept} of {report.planned} bottles are in "
        f"the store, {len(report.failed) + report.left} are not ({'; '.join(parts)}).{first}"
    )


def index_warnings(report: Report) -> list[str]:
    """What lacks so that the held bottles can be served, in sentences."""
    warnings = []
    if report.unservable:
        warnings.append(
            f"{report.unservable:,} held bottles are not servable, for want of an index that fits."
        )
    warnings += [failure.message for failure in report.indexes_failed[:LISTED]]
    if len(report.indexes_failed) > LISTED:
        warnings.append(f"{len(report.indexes_failed) - LISTED:,} more indexes are missing or do not fit.")
    if report.indexes_left:
        warnings.append(f"{report.indexes_left:,} indexes were not asked for; the next sync asks for them.")
    return [printable(warning) for warning in warnings]


ASSETS = [formula_catalog, pending_bottles, bottles, hash_manifest]
