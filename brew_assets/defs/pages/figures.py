"""What a run shows on the assets' pages, gathered from the store and from its own events."""

from collections.abc import Sequence

import dagster as dg

from brew_assets.defs.pages.metadata import SYNC_ID, Metadata, manifest_metadata, report_metadata
from brew_assets.defs.pages.store_links import Places
from brew_assets.defs.pages.sync_report import PlannedNames, holdings_of, planned_names, sync_report
from brew_assets.domain.manifest import Manifest
from brew_assets.domain.report import Report
from brew_assets.engine.kept_plans import load_plan
from brew_assets.engine.record.fold import FoldResult
from brew_assets.engine.reports import kept_reports
from brew_assets.engine.servable_bottles import servable_among
from brew_assets.engine.sync import Mirror
from brew_assets.errors import PlanInvalid
from brew_assets.settings import Settings


def metadata_of_run(engine: Mirror, settings: Settings, report: Report) -> Metadata:
    """What the run did, and where its report and all else lies."""
    kept = kept_reports(engine.store, report.sync_id)
    key = next((key for key, found in kept.items() if found == report), "")
    return report_metadata(report, Places(engine.store.url, settings), key=key)


def metadata_of_manifest(
    engine: Mirror,
    settings: Settings,
    folded: FoldResult,
    *,
    sync_id: str,
) -> Metadata:
    """What is held, with the report of the sync as far as its runs have come."""
    reports = list(kept_reports(engine.store, sync_id).values()) if sync_id else []
    holdings, places = holdings_of(folded.manifest), Places(engine.store.url, settings)
    names = _names(engine, folded.manifest, reports)
    servable = servable_among(
        engine.store,
        folded.manifest.entries(),
        workers=engine.options.workers,
        remember_at=engine.ports.clock.now(),
    )
    return manifest_metadata(
        holdings,
        places,
        report=sync_report(holdings, reports, places, names=names, servable=servable),
        sync=reports[-1] if reports else None,
        rebuilt=folded.rebuilt,
        unidentified=folded.unidentified,
        servable=servable,
    )


def _names(engine: Mirror, manifest: Manifest, reports: Sequence[Report]) -> PlannedNames | None:
    """The plan's names as far as they are in the store; None without a run, or without its plan."""
    if not reports:
        return None
    try:
        plan = load_plan(engine.ports, reports[-1].sync_id)
    except PlanInvalid:
        return None
    return planned_names(plan, manifest, reports)


def sync_of_run(context: dg.AssetExecutionContext, asset: dg.AssetKey) -> str:
    """The sync id of the bottles that this run has stored, or of its plan; empty when it made no such asset.

    From its event, not from its tags: a run config can name the sync too.
    """
    stored = context.instance.get_records_for_run(
        context.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    ).records
    for record in stored:
        materialization = record.asset_materialization
        if materialization is not None and materialization.asset_key == asset:
            return str(materialization.metadata[SYNC_ID].value)
    return ""


def newest_sync(instance: dg.DagsterInstance, asset: dg.AssetKey) -> str:
    """The sync id of the bottles that were stored last, by whichever run; empty when none were."""
    record = instance.get_latest_materialization_event(asset)
    made = record.asset_materialization if record is not None else None
    return str(made.metadata[SYNC_ID].value) if made is not None and SYNC_ID in made.metadata else ""
