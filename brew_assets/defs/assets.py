"""What exists: the catalogue, the plan, the bottles of each platform, and the record of what is held.

What clients are served of it is publication.py's.

No value passes between assets in memory: the store carries the data, and runs share nothing else.
"""

from datetime import timedelta

import dagster as dg
from pydantic import Field

from brew_assets.defs.lambda_route import copier_of_run
from brew_assets.defs.pages import descriptions
from brew_assets.defs.pages.figures import (
    failure_of,
    index_warnings,
    metadata_of_manifest,
    metadata_of_run,
    newest_sync,
    record_manifest,
    sync_of_run,
)
from brew_assets.defs.pages.metadata import catalogue_metadata, plan_metadata
from brew_assets.defs.pages.publication import record_publication
from brew_assets.defs.pages.store_links import Places
from brew_assets.defs.progress import log_indexes, log_sizes, observe_progress
from brew_assets.defs.repair import make_manifest_anew
from brew_assets.defs.resources import LOADED_SETTINGS, MirrorResource, end_step, platforms
from brew_assets.defs.run_plans import (
    log_plan,
    name_plan,
    plan_of_run,
    platforms_to_plan,
    request_of_mirror,
    sync_of_backfill,
)
from brew_assets.domain.left_out import notes_of
from brew_assets.domain.links import Links
from brew_assets.domain.plan import Request
from brew_assets.engine.planner import make_plan, refresh_catalogue
from brew_assets.engine.publish import publish_after

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
        default=[],
        description="Formulae by name, alias or old name; none means MIRROR_FORMULAE, or all without that.",
    )
    include_dependencies: bool | None = Field(
        default=None, description="Copy also what they need at run time; as INCLUDE_DEPENDENCIES by default."
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
        now = refresh_catalogue(engine, request_of_mirror(engine, engine.options.platforms))
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
    wanted = config.include_dependencies
    with mirror.engine(context) as engine:
        request = Request(
            platforms=tuple(config.platforms) or platforms_to_plan(context, engine),
            formulae=tuple(config.formula_names),
            force=config.force_download,
            include_dependencies=wanted if wanted is not None else engine.options.include_dependencies,
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
                run_url=run_url_of(context, mirror),
            )
            last = newest_sync(context.instance, bottles.key)
            record_manifest(context, engine, mirror.settings(), folded, sync_id=last)
            warnings += index_warnings(report)
            # Its API may be news to clients. What lacks is no failure of the plan: the run of `publication`
            # that follows fails by it.
            published = publish_after(engine, planned.plan, report, folded.manifest)
            warnings += record_publication(context, engine, mirror.settings(), planned.plan, published)
    for warning in warnings:
        context.log.warning(warning)
    places = Places(engine.store.url, mirror.settings())
    return dg.MaterializeResult(metadata=plan_metadata(planned.plan, places, learnt=planned))


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
        settings = mirror.settings()
        plan, made = plan_of_run(context, named=config.sync_id, engine=engine)
        if made:
            # An observation, not a materialization: nobody else is to start runs for it.
            metadata = plan_metadata(plan, Places(engine.store.url, settings))
            context.log_event(dg.AssetObservation(pending_bottles.key, metadata=metadata))
            log_plan(plan)
        copier = copier_of_run(context, engine, plan, settings)
        listener = observe_progress(context, engine.ports.clock, every_s=settings.progress_update_interval)
        report, folded = engine.sync(
            plan,
            platform,
            progress=listener,
            index_progress=log_indexes(context, engine.ports.clock),
            copier=copier,
            run_id=context.run_id,
            run_url=run_url_of(context, mirror),
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


def run_url_of(context: dg.AssetExecutionContext, mirror: MirrorResource) -> str:
    """The address of the run's page; empty without DAGSTER_URL."""
    return Links(dagster_url=mirror.settings().dagster_url.rstrip("/")).run_url(context.run_id)


ASSETS = [formula_catalog, pending_bottles, bottles, hash_manifest]
