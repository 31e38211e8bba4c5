"""What a materialization shows: counts, bytes and rates that plot over time, and tables to read.

Pure functions from what the engine returned. Sizes are bytes, durations seconds.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec

import dagster as dg
import msgspec

from brew_assets.defs.pages.markdown import MAX_ROWS, markdown, markdown_table
from brew_assets.defs.pages.store_links import Places
from brew_assets.defs.pages.sync_report import Holdings, left_out_list, run_report
from brew_assets.domain.foreign_text import printable
from brew_assets.domain.left_out import LeavesOut, message_notes_of
from brew_assets.domain.manifest import Total
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.domain.plan import Plan
from brew_assets.domain.plan_summary import PlanSummary, PlatformTotals, summarize
from brew_assets.domain.proof import is_sync_id
from brew_assets.domain.report import REPORT_PREFIX, Failure, Report, failures_by_reason
from brew_assets.engine.catalogue_cache import CatalogueNow, KeptCatalogue
from brew_assets.engine.planner import PlanResult
from brew_assets.engine.ports import Progress
from brew_assets.engine.record.identify import PLAN_PREFIX, Unidentified

Metadata = dict[str, Any]
_P = ParamSpec("_P")

SYNC_ID = "sync_id"
# All that anybody reads of a plan in Dagster's events.
PLAN_SUMMARY = "plan_summary"
# What is read of a run's progress.
BOTTLES_DONE = "bottles_done"
BYTES_DONE = "bytes_done"
BYTES_PER_SECOND = "bytes_per_second"
CURRENT = "current"
# What a run has done, as its end says.
STORED = "stored"
FOUND = "found"


def printable_texts(make: Callable[_P, Metadata]) -> Callable[_P, Metadata]:
    """The same metadata, each text on one line and printable: pages, GraphQL and databases take it."""

    @functools.wraps(make)
    def printable_metadata(*args: _P.args, **named: _P.kwargs) -> Metadata:
        made = make(*args, **named)
        return {name: printable(value) if isinstance(value, str) else value for name, value in made.items()}

    return printable_metadata


@printable_texts
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
            ("formula", "bottle", "why it is not used"),
            ((item.name, item.tag, item.why) for item in catalogue.rejected),
        ),
    }


@printable_texts
def plan_metadata(planned: PlanResult, kept: KeptCatalogue, places: Places) -> Metadata:
    """What has to be copied, in all and per platform."""
    plan, skip = planned.plan, planned.skip
    return {
        **own_plan_metadata(plan),
        **_plan_links(places, plan.sync_id),
        "store": places.folder().metadata(),
        "adopted": planned.identified,
        "force_download": plan.force,
        "catalogue_sha256": kept.sha256,
        "external_hash_files": dg.MetadataValue.json(list(skip.sources)),
        "external_hash_entries_rejected": skip.rejected,
        "external_hash_warnings": len(skip.warnings),
        "external_hash_findings": table(("finding",), ((warning,) for warning in skip.warnings)),
        "size_problems": len(planned.sizes.problems),
        "size_findings": table(("finding",), ((problem,) for problem in planned.sizes.problems)),
        **_unidentified_metadata(planned.unidentified),
    }


@printable_texts
def own_plan_metadata(plan: Plan) -> Metadata:
    """What a run that planned for itself has to copy."""
    summary = summarize(plan)
    rows = ((name, t.bottles, t.bytes, t.unknown_sizes) for name, t in summary.rows.items())
    return {
        PLAN_SUMMARY: dg.MetadataValue.json(msgspec.to_builtins(summary)),
        SYNC_ID: summary.sync_id,
        "sync_date": summary.sync_date,
        "plan_key": f"{PLAN_PREFIX}{summary.sync_id}.json",
        "pending_bottles": summary.objects,
        "downloads": summary.downloads,
        "bytes": summary.bytes,
        "estimated_bytes": summary.estimated_bytes,
        "unknown_sizes": summary.unknown_sizes,
        "held": summary.held,
        "asked_for": summary.asked_for,
        "with_needed": summary.with_needed,
        "selection": summary.selection or "all formulae",
        **_left_out_metadata(plan),
        "route": summary.route,
        "route_reason": summary.route_reason,
        "platforms": table(("platform", "bottles", "bytes to download", "unknown sizes"), rows),
    }


def recorded_plan(metadata: Mapping[str, dg.MetadataValue[Any]]) -> PlanSummary | None:
    """The plan that an event of pending_bottles records; None when it names none."""
    found = {name: value.value for name, value in metadata.items()}
    try:
        if PLAN_SUMMARY in found:
            plan = msgspec.convert(found[PLAN_SUMMARY], PlanSummary)
        else:
            plan = msgspec.convert(found, _PlanBefore).summary()
    except msgspec.ValidationError:
        return None
    return plan if is_sync_id(plan.sync_id) else None


def recorded_notes(metadata: Mapping[str, dg.MetadataValue[Any]], plan: PlanSummary) -> tuple[str, ...]:
    """What messages say of the plan of such an event beside its figures."""
    before = metadata["notes"].value if "notes" in metadata else None
    return message_notes_of(plan) or tuple(map(str, before if isinstance(before, list) else ()))


class _PlanBefore(msgspec.Struct, frozen=True, kw_only=True):
    """What the version before recorded of a plan, under a key each; to be removed with the next one."""

    sync_id: str
    pending: dict[str, int]
    pending_bytes: dict[str, int] = {}
    sync_date: str = ""
    route: str = ""
    pending_bottles: int = 0
    held: int = 0
    estimated_bytes: int = 0
    unknown_sizes: int = 0
    formula_names: tuple[str, ...] = ()
    catalogue_formulae: int = 0
    catalogue_bottles: int = 0

    def summary(self) -> PlanSummary:
        platforms = {
            name: PlatformTotals(
                bottles=bottles, bytes=0, unknown_sizes=0, estimated_bytes=self.pending_bytes.get(name, 0)
            )
            for name, bottles in self.pending.items()
        }
        return PlanSummary(
            sync_id=self.sync_id,
            sync_date=self.sync_date,
            platforms=platforms,
            objects=self.pending_bottles,
            downloads=0,
            bytes=0,
            unknown_sizes=self.unknown_sizes,
            estimated_bytes=self.estimated_bytes,
            held=self.held,
            skipped=0,
            formulae=self.formula_names,
            catalogue_formulae=self.catalogue_formulae,
            catalogue_bottles=self.catalogue_bottles,
            route=self.route,
            route_reason="",
        )


# For the tables of the types, see domain/sync_event.py.
_decoders = (msgspec.json.Decoder(PlanSummary), msgspec.json.Decoder(_PlanBefore))


@printable_texts
def report_metadata(report: Report, places: Places, *, key: str = "") -> Metadata:
    """What a run did; `key` is where its report lies. A table names bottles that failed, and why."""
    return {
        "report": markdown(run_report(report)),
        SYNC_ID: report.sync_id,
        "sync_date": report.sync_date,
        "route": report.route,
        "outcome": report.outcome,
        "planned": report.planned,
        "kept": report.kept,
        STORED: report.new,
        FOUND: report.found,
        "recorded": report.recorded,
        "downloaded": report.downloaded,
        "duplicated": report.duplicated,
        "failed": len(report.failed),
        "left": report.left,
        "forgotten": len(report.forgotten),
        "servable": report.servable,
        "unservable": report.unservable,
        "indexes_fetched": report.indexes_fetched,
        "indexes_left": report.indexes_left,
        "index_failures": failure_table(report.indexes_failed, what="index"),
        **_left_out_metadata(report),
        "retries": report.retries,
        "bytes_downloaded": report.bytes_downloaded,
        "bytes_stored": report.bytes_stored,
        "duration_s": report.duration_s,
        "bytes_per_second": round(report.bytes_per_second, 1),
        "failures_by_reason": dg.MetadataValue.json(failures_by_reason(report.failed)),
        "failures": failure_table(report.failed),
        **({"aborted": report.aborted} if report.aborted else {}),
        **_store_links(places, report.sync_date),
        **_plan_links(places, report.sync_id),
        **({"report_document": places.document(key).metadata(), "report_key": key} if key else {}),
    }


@printable_texts
def progress_metadata(progress: Progress, *, bytes_per_second: float) -> Metadata:
    """How far a transfer is."""
    return {
        BOTTLES_DONE: progress.bottles_done,
        "bottles_total": progress.bottles_total,
        BYTES_DONE: progress.bytes_done,
        "bytes_total": progress.bytes_total,
        "failed": progress.failed,
        BYTES_PER_SECOND: round(bytes_per_second, 1),
        CURRENT: progress.current,
    }


@printable_texts
def manifest_metadata(
    holdings: Holdings,
    places: Places,
    *,
    report: str,
    sync: Report | None = None,
    rebuilt: bool = False,
    unidentified: Sequence[Unidentified] = (),
    servable: int = 0,
) -> Metadata:
    """What is held, in all, per platform and per date, and how many are `servable`.

    `sync` is of the last run, if there was one.
    """
    return {
        "report": markdown(report),
        "total_bottles": holdings.total.count,
        "servable_bottles": servable,
        "total_size_bytes": holdings.total.total_size_bytes,
        "platforms": len(holdings.by_platform),
        "dates": len(holdings.by_date),
        "formulae": len(holdings.by_formula),
        "by_platform": totals_table("tag", holdings.by_platform),
        "by_date": totals_table("date", holdings.by_date),
        "rebuilt": rebuilt,
        **_unidentified_metadata(unidentified),
        **_store_links(places, sync.sync_date if sync else ""),
        **(_sync_links(places, sync.sync_id) if sync else {}),
    }


def _store_links(places: Places, date: str) -> Metadata:
    """Where the bottles and the manifest lie; no date, no folder."""
    return {
        "store": places.folder().metadata(),
        **({"bottles_folder": places.folder(f"{date}/").metadata()} if date else {}),
        "manifest": places.document(MANIFEST_KEY).metadata(),
    }


def _plan_links(places: Places, sync_id: str) -> Metadata:
    key = f"{PLAN_PREFIX}{sync_id}.json"
    return {"plan": places.document(key).metadata(), "plan_key": key}


def _sync_links(places: Places, sync_id: str) -> Metadata:
    reports = places.folder(f"{REPORT_PREFIX}{sync_id}/").metadata()
    return {SYNC_ID: sync_id, **_plan_links(places, sync_id), "reports": reports}


def _left_out_metadata(found: LeavesOut) -> Metadata:
    """What is not covered: counts that plot, and sentences to read."""
    return {
        "rejected": found.left_out.rejected,
        "skipped": found.skipped,
        "disabled": found.left_out.disabled,
        "excluded": found.left_out.excluded,
        "left_out": markdown(left_out_list(found) or "nothing"),
    }


def _unidentified_metadata(unidentified: Sequence[Unidentified]) -> Metadata:
    return {
        "strays": len(unidentified),
        "stray_objects": table(("object", "why it is not recorded"), ((s.key, s.why) for s in unidentified)),
    }


def failure_table(failures: Sequence[Failure], *, what: str = "bottle") -> dg.MarkdownMetadataValue:
    """Name, reason and message per failure."""
    rows = ((failure.name, failure.reason, failure.message) for failure in failures)
    return table((what, "reason", "message"), rows)


def totals_table(title: str, totals: Mapping[str, Total]) -> dg.MarkdownMetadataValue:
    """Bottles and bytes per name."""
    rows = ((name, total.count, total.total_size_bytes) for name, total in totals.items())
    return table((title, "bottles", "bytes"), rows)


def table(
    titles: Sequence[str], rows: Iterable[Sequence[object]], *, most: int = MAX_ROWS
) -> dg.MarkdownMetadataValue:
    """The table of the first rows, as Dagster shows it."""
    return markdown(markdown_table(titles, rows, most=most))
