"""What a run shows on the assets' pages, gathered from the store and from its own events."""

from collections.abc import Sequence

import dagster as dg

from brew_assets.defs.backfills import HASH_MANIFEST
from brew_assets.defs.pages.metadata import SYNC_ID, Metadata, manifest_metadata, report_metadata
from brew_assets.defs.pages.store_links import Places
from brew_assets.defs.pages.sync_report import PlannedNames, holdings_of, planned_names, sync_report
from brew_assets.domain.foreign_text import printable
from brew_assets.domain.left_out import LISTED, first_names
from brew_assets.domain.manifest import Manifest
from brew_assets.domain.report import Report, failures_by_reason
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
        sync_id=reports[-1].sync_id if reports else "",
        rebuilt=folded.rebuilt,
        unidentified=folded.unidentified,
        servable=servable,
    )


def record_manifest(
    context: dg.AssetExecutionContext, engine: Mirror, settings: Settings, folded: FoldResult, *, sync_id: str
) -> None:
    """A step of another asset has hash_manifest materialized: the sync has folded, and no step follows."""
    context.log_event(
        dg.AssetMaterialization(
            HASH_MANIFEST,
            metadata=metadata_of_manifest(engine, settings, folded, sync_id=sync_id),
            tags={"dagster/data_version": folded.sha256},
        )
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


def failure_of(report: Report, metadata: Metadata, *, forced: bool) -> dg.Failure:
    """What a run that did not store all ends with; tried again when some reasons may have passed by then.

    Not after a forced plan: that would download again what this try has stored.
    """
    passing = any(failure.may_pass for failure in (*report.failed, *report.indexes_failed))
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
