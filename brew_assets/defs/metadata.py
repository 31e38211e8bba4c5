"""What a materialization shows: counts, bytes and rates that plot over time, and tables to read.

Pure functions from what the engine returned. Sizes are bytes, durations seconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from brew_assets.domain.manifest import Manifest, Tally
from brew_assets.domain.plan import summarize
from brew_assets.domain.report import Failure, Report, failures_by_reason
from brew_assets.domain.route import load_of
from brew_assets.engine.adoption import PLAN_PREFIX, Stray
from brew_assets.engine.ports import Progress
from brew_assets.engine.sync import Inventory, Planned
from brew_assets.engine.upstream import CatalogueNow, KeptCatalogue

Metadata = dict[str, Any]

# The metadata of a plan that the sensor and the checks read.
SYNC_ID = "sync_id"
PENDING = "pending"
PENDING_BYTES = "pending_bytes"
ROUTE = "route"
CATALOGUE_FORMULAE = "catalogue_formulae"
CATALOGUE_BOTTLES = "catalogue_bottles"

# An event is a row of Dagster's database: the report in the store has the rest.
MAX_ROWS = 100
_CELL_CHARACTERS = 300


def catalogue_metadata(now: CatalogueNow) -> Metadata:
    """What upstream shows."""
    catalogue, kept = now.catalogue, now.kept
    tags = sorted(catalogue.tags())
    return {
        "formulae": kept.formulae,
        "bottles": kept.bottles,
        "modified": now.modified,
        "etag": kept.etag,
        "last_modified": kept.last_modified,
        "fetched_at": kept.fetched_at,
        "url": dg.MetadataValue.url(kept.url),
        "key": kept.key,
        "sha256": kept.sha256,
        "tags": len(tags),
        "tag_names": dg.MetadataValue.json(tags),
        "rejected": len(catalogue.rejected),
        "rejected_entries": table(
            ("entry", "why it is not used"), ((item.name, item.why) for item in catalogue.rejected)
        ),
    }


def plan_metadata(planned: Planned, kept: KeptCatalogue) -> Metadata:
    """What has to be copied, in all and per platform."""
    plan, skip = planned.plan, planned.skip
    summary = summarize(plan)
    return {
        SYNC_ID: plan.sync_id,
        "sync_date": plan.sync_date,
        "plan_key": f"{PLAN_PREFIX}{plan.sync_id}.json",
        "objects": summary.objects,
        "downloads": summary.downloads,
        "bytes": summary.bytes,
        "unknown_sizes": summary.unknown_sizes,
        "held": summary.held,
        "skipped": summary.skipped,
        ROUTE: summary.route,
        "route_reason": summary.route_reason,
        "adopted": planned.adopted,
        "force_download": plan.force,
        "formula_names": dg.MetadataValue.json(list(plan.formulae)),
        "platforms": table(
            ("platform", "bottles", "bytes", "unknown sizes"),
            ((name, t.bottles, t.bytes, t.unknown_sizes) for name, t in summary.platforms.items()),
        ),
        PENDING: dg.MetadataValue.json({name: t.bottles for name, t in summary.platforms.items()}),
        PENDING_BYTES: dg.MetadataValue.json(
            {name: load_of(plan.pending(name)).bytes for name in summary.platforms}
        ),
        "catalogue_sha256": kept.sha256,
        CATALOGUE_FORMULAE: kept.formulae,
        CATALOGUE_BOTTLES: kept.bottles,
        "external_hash_files": dg.MetadataValue.json(list(skip.sources)),
        "external_hash_entries_rejected": skip.rejected,
        "external_hash_warnings": len(skip.warnings),
        "external_hash_findings": table(("finding",), ((warning,) for warning in skip.warnings)),
        "size_problems": len(planned.sizes.problems),
        "size_findings": table(("finding",), ((problem,) for problem in planned.sizes.problems)),
        **_stray_metadata(planned.strays),
    }


def report_metadata(report: Report) -> Metadata:
    """What a run did; the table names every bottle that failed, and why."""
    return {
        SYNC_ID: report.sync_id,
        "sync_date": report.sync_date,
        ROUTE: report.route,
        "outcome": report.outcome,
        "planned": report.planned,
        "kept": report.kept,
        "stored": report.stored,
        "downloaded": report.downloaded,
        "duplicated": report.duplicated,
        "adopted": report.adopted,
        "failed": len(report.failed),
        "left": report.left,
        "retries": report.retries,
        "bytes_downloaded": report.bytes_downloaded,
        "bytes_stored": report.bytes_stored,
        "duration_s": report.duration_s,
        "bytes_per_second": round(report.bytes_per_second, 1),
        "failures_by_reason": dg.MetadataValue.json(failures_by_reason(report.failed)),
        "failures": failure_table(report.failed),
        **({"aborted": report.aborted} if report.aborted else {}),
    }


def progress_metadata(progress: Progress, *, bytes_per_second: float) -> Metadata:
    """How far a transfer is."""
    return {
        "bottles_done": progress.bottles_done,
        "bottles_total": progress.bottles_total,
        "bytes_done": progress.bytes_done,
        "bytes_total": progress.bytes_total,
        "failed": progress.failed,
        "bytes_per_second": round(bytes_per_second, 1),
        "current": progress.current,
    }


def manifest_metadata(manifest: Manifest, inventory: Inventory | None = None) -> Metadata:
    """What is held, in all, per platform and per date."""
    statistics = manifest.statistics()
    by_platform, by_date = statistics.by_platform, statistics.by_date
    return {
        "total_bottles": len(manifest),
        "total_size_bytes": sum(tally.total_size_bytes for tally in by_platform.values()),
        "platforms": len(by_platform),
        "dates": len(by_date),
        "by_platform": tally_table("platform", by_platform),
        "by_date": tally_table("date", by_date),
        "rebuilt": inventory is not None,
        **_stray_metadata(inventory.strays if inventory else ()),
    }


def _stray_metadata(strays: Sequence[Stray]) -> Metadata:
    return {
        "strays": len(strays),
        "stray_objects": table(("object", "why it is not recorded"), ((s.key, s.why) for s in strays)),
    }


def failure_table(failures: Sequence[Failure]) -> dg.MarkdownMetadataValue:
    """Bottle, reason and message per failure."""
    rows = ((failure.name, failure.reason, failure.message) for failure in failures)
    return table(("bottle", "reason", "message"), rows)


def tally_table(title: str, tallies: Mapping[str, Tally]) -> dg.MarkdownMetadataValue:
    """Bottles and bytes per name."""
    rows = ((name, tally.count, tally.total_size_bytes) for name, tally in tallies.items())
    return table((title, "bottles", "bytes"), rows)


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.MarkdownMetadataValue:
    """A Markdown table of the first MAX_ROWS rows; it says how many more there are."""
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    left_out = 0
    for number, row in enumerate(rows):
        if number < MAX_ROWS:
            lines.append(f"| {' | '.join(_cell(value) for value in row)} |")
        else:
            left_out += 1
    if len(lines) == 2:
        return dg.MetadataValue.md("none")
    if left_out:
        lines.append(f"\n… and {left_out:,} more")
    return dg.MetadataValue.md("\n".join(lines))


def _cell(value: object) -> str:
    """The value on one line; what upstream or a file name brings cannot end the cell or become markup."""
    if isinstance(value, int):
        return f"{value:,}"
    text = str(value)[:_CELL_CHARACTERS].replace("\\", "\\\\")
    for character in "|<>`*[]":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
