"""What clients are served: an asset that moves the pointer after the record of what is held has changed.

Its check goes the way of a client, from the pointer to the bottles.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from brew_assets.defs.assets import OWNERS, STORE_KIND, hash_manifest
from brew_assets.defs.backfills import PUBLICATION
from brew_assets.defs.checks import SAMPLE_SIZE, check_result, escaped_text
from brew_assets.defs.pages import descriptions
from brew_assets.defs.pages.metadata import Metadata
from brew_assets.defs.pages.publication import describe_unpublished, publication_metadata
from brew_assets.defs.pages.store_links import Places
from brew_assets.defs.resources import LOADED_SETTINGS, MirrorResource, end_step
from brew_assets.defs.tags import BACKFILL_TAG
from brew_assets.engine.publication_walk import walk_publication
from brew_assets.engine.publish_apart import ApartResult, publish_apart
from brew_assets.errors import StoreError
from brew_assets.settings import Settings

OFF = "Nothing is published: PUBLISH=off."
_METADATA_OFF: Metadata = {"outcome": "off", "why": OFF}
_MANIFEST_UPDATED = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated())
# hash_manifest has changed since this was published, and since it was last asked for. Not
# `any_deps_updated().since_last_handled()`, which compares no times: of runs that end within a tick of each
# other the last one's news would be lost to a request made just before, whose run does not publish yet.
FOLLOWS_MANIFEST = (
    _MANIFEST_UPDATED.since(dg.AutomationCondition.newly_updated())
    & _MANIFEST_UPDATED.since(dg.AutomationCondition.newly_requested())
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
)


def condition_to_publish(settings: Settings) -> dg.AutomationCondition[Any] | None:
    """When a run is asked for; never with PUBLISH=off, which on ECS would be a task for nothing each time."""
    return FOLLOWS_MANIFEST if settings.publish != "off" else None


@dg.asset(
    deps=[hash_manifest],
    group_name="mirror",
    kinds={"json", STORE_KIND},
    owners=OWNERS,
    tags={"homebrew": "publication"},
    automation_condition=condition_to_publish(LOADED_SETTINGS),
    # Where nothing is published nothing is materialized, and that is no failure.
    output_required=False,
    description=descriptions.PUBLICATION,
)
def publication(
    context: dg.AssetExecutionContext, mirror: MirrorResource
) -> Iterator[dg.MaterializeResult[None]]:
    with mirror.engine(context) as engine:
        is_off = engine.options.publication.mode == "off"
        apart = None if is_off else publish_apart(engine, engine.fold().manifest)
        now, places = engine.ports.clock.now(), Places(engine.store.url, mirror.settings())
    current = apart.result.current if apart is not None else None
    metadata = publication_metadata(apart.result, now, places) if apart is not None else _METADATA_OFF
    if apart is not None and apart.result.is_current and current is not None:
        yield dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(current.sha256))
        return
    say_why(context, apart, metadata)
    # Dagster calls a backfill failed when one of its assets was not materialized, for whatever reason.
    if BACKFILL_TAG in context.run.tags:
        yield dg.MaterializeResult(metadata=metadata)


def say_why(context: dg.AssetExecutionContext, apart: ApartResult | None, metadata: Metadata) -> None:
    """Why nothing was published stands in the run's log, and on the asset's page.

    Raises:
        dagster.Failure: somebody has to look.
    """
    if apart is None:
        context.log.info(OFF)
        return
    context.log_event(dg.AssetObservation(PUBLICATION, metadata=metadata))
    why = describe_unpublished(apart.result)
    if apart.is_failure:
        # What lacks now lacks a minute later, too: the next sync brings it.
        end_step(context, dg.Failure(why, metadata=metadata, allow_retries=False))
    context.log.info(why)


@dg.asset_check(
    asset=publication,
    description=(
        f"From the pointer to the record, and for {SAMPLE_SIZE} of its bottles, drawn at random, to the "
        "index and the bottle: all is there as it was published."
    ),
)
def published_objects_present(
    context: dg.AssetCheckExecutionContext, mirror: MirrorResource
) -> dg.AssetCheckResult:
    seed = context.run.run_id
    with mirror.engine() as engine:
        is_off = engine.options.publication.mode == "off"
        try:
            walk = walk_publication(engine.store, most=SAMPLE_SIZE, seed=seed)
        except StoreError as error:
            # It may be whole.
            return check_result(False, f"The publication cannot be read: {escaped_text(error)}", warn=True)
    # The seed is shown: who looks again with it looks at the same bottles.
    found: dict[str, Any] = {"sampled": walk.sampled, "publication_id": walk.publication_id, "seed": seed}
    if is_off and not walk.has_pointer:
        return check_result(True, OFF, **found)
    counted = f"{walk.bottles} of {walk.sampled} sampled bottles can be installed as published"
    if not walk.finding:
        return check_result(True, counted, **found)
    said = f"{counted}; {escaped_text(walk.finding)}"
    return check_result(False, f"{said}. {walk.remedy}" if walk.remedy else said, **found)
