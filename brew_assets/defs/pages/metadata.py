"""What a materialization shows: figures that plot over time, and a report to read.

Pure functions from what the engine returned. Sizes are bytes, durations seconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import msgspec

from brew_assets.defs.pages.markdown import MAX_ROWS, Link, escaped, markdown, markdown_table
from brew_assets.defs.pages.store_links import Place, Places
from brew_assets.defs.pages.sync_report import Holdings, left_out_list, run_report
from brew_assets.domain.foreign_text import printable
from brew_assets.domain.left_out import message_notes_of
from brew_assets.domain.manifest import Total
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.domain.plan import Plan
from brew_assets.domain.plan_summary import PlanSummary, PlatformTotals, summarize
from brew_assets.domain.proof import is_sync_id
from brew_assets.domain.report import Failure, Report
from brew_assets.engine.catalogue_cache import CatalogueNow
from brew_assets.engine.planner import PlanResult
from brew_assets.engine.ports import Progress
from brew_assets.engine.record.identify import PLAN_PREFIX, Unidentified

Metadata = dict[str, Any]

REPORT = "report"
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

# What an operator looks for: at most ten with the report, in which everything else stands. Of bottles, whose
# report is short enough to be shown as it is, the rest has an entry of its own.
_FIGURES = {
    "formula_catalog": "formulae bottles tags rejected modified last_modified fetched_at url sha256",
    "pending_bottles": "plan_summary sync_id pending_bottles downloads estimated_bytes unknown_sizes held "
    "rejected route",
    "bottles": "sync_id outcome stored found failed bytes_downloaded duration_s bytes_per_second",
    "hash_manifest": "sync_id total_bottles servable_bottles total_size_bytes formulae platforms rebuilt "
    "unidentified manifest",
    "publication": "outcome lacking bottles bytes indexes lacking_upstream lacking_mirror lag_s current",
}
FIGURES = {asset: frozenset(names.split()) for asset, names in _FIGURES.items()}


def catalogue_metadata(now: CatalogueNow) -> Metadata:
    """What upstream shows."""
    catalogue, kept = now.catalogue, now.kept
    tags = sorted(catalogue.tags())
    rejected = ((item.name, item.tag, item.why) for item in catalogue.rejected)
    return figures_with_report(
        "formula_catalog",
        {
            **_plain(kept),
            "key": kept.key,
            "url": dg.MetadataValue.url(kept.url),
            "modified": now.modified,
            "tags": len(tags),
            "rejected": len(catalogue.rejected),
        },
        f"### Catalogue: {kept.formulae:,} formulae, {kept.bottles:,} bottles",
        {
            "Tags": escaped(", ".join(tags)),
            "Not used": markdown_table(("formula", "bottle", "why it is not used"), rejected),
        },
    )


def plan_metadata(plan: Plan, places: Places, *, learnt: PlanResult | None = None) -> Metadata:
    """What has to be copied, in all and per platform; `learnt` is what was found while it was made."""
    summary = summarize(plan)
    rows = ((name, t.bottles, t.bytes, t.unknown_sizes) for name, t in summary.rows.items())
    figures = {
        **_plain(plan.left_out),
        **_plain(summary),
        PLAN_SUMMARY: dg.MetadataValue.json(msgspec.to_builtins(summary)),
        "pending_bottles": summary.objects,
        "selection": summary.selection or "all formulae",
        "force_download": plan.force,
        "catalogue_sha256": plan.catalogue_sha256,
        **_places_of(places, plan.sync_id),
    }
    titles = ("platform", "bottles", "bytes to download", "unknown sizes")
    parts = {"Platforms": markdown_table(titles, rows), "Notes": left_out_list(plan)}
    if learnt is not None:
        skip = learnt.skip
        figures["identified"] = learnt.identified
        figures["external_hash_entries_rejected"] = skip.rejected
        parts["External hash files"] = escaped(", ".join(skip.sources))
        parts |= _findings("External hash files", skip.warnings) | _findings("Sizes", learnt.sizes.problems)
        parts |= _unidentified(learnt.unidentified)
    heading = f"### Plan of {summary.sync_date}: {summary.objects:,} bottles are pending"
    return figures_with_report("pending_bottles", figures, heading, parts)


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


def report_metadata(report: Report, places: Places, *, key: str = "") -> Metadata:
    """What a run did; `key` is where its report lies. A table names bottles that failed, and why."""
    figures = {
        **_plain(report.left_out),
        **_plain(report),
        "outcome": report.outcome,
        STORED: report.new,
        "recorded": report.recorded,
        "failed": len(report.failed),
        "forgotten": len(report.forgotten),
        BYTES_PER_SECOND: round(report.bytes_per_second, 1),
        **_places_of(places, report.sync_id, report.sync_date),
        **({"report_document": places.document(key)} if key else {}),
    }
    # Two entries: Dagster's pages show a short text as it is, and a longer one to whoever asks for it.
    shown = figures_with_report("bottles", figures, "", {})
    return {REPORT: markdown(run_report(report)), "figures": shown.pop(REPORT), **shown}


def progress_metadata(progress: Progress, *, bytes_per_second: float) -> Metadata:
    """How far a transfer is."""
    return {
        BOTTLES_DONE: progress.bottles_done,
        "bottles_total": progress.bottles_total,
        BYTES_DONE: progress.bytes_done,
        "bytes_total": progress.bytes_total,
        "failed": progress.failed,
        BYTES_PER_SECOND: round(bytes_per_second, 1),
        CURRENT: printable(progress.current),
    }


def manifest_metadata(
    holdings: Holdings,
    places: Places,
    *,
    report: str,
    sync_id: str = "",
    rebuilt: bool = False,
    unidentified: Sequence[Unidentified] = (),
    servable: int = 0,
) -> Metadata:
    """What is held, in all, per platform and per date, and how many are `servable`.

    `sync_id` is of the last run, if there was one; `report` says what its sync did.
    """
    figures = {
        "total_bottles": holdings.total.count,
        "servable_bottles": servable,
        "total_size_bytes": holdings.total.total_size_bytes,
        "platforms": len(holdings.by_platform),
        "dates": len(holdings.by_date),
        "formulae": len(holdings.by_formula),
        "rebuilt": rebuilt,
        "unidentified": len(unidentified),
        "manifest": places.document(MANIFEST_KEY),
        **({SYNC_ID: sync_id} if sync_id else {}),
    }
    parts = {
        "Every tag": _totals("tag", holdings.by_platform),
        "Every date": _totals("date", holdings.by_date),
        **_unidentified(unidentified),
    }
    return figures_with_report("hash_manifest", figures, report, parts)


def figures_with_report(
    asset: str, figures: Mapping[str, Any], report: str, parts: Mapping[str, str]
) -> Metadata:
    """The figures that the asset shows, and the report, which goes on with the other ones.

    `parts` of the report have titles; those without anything to say are left out.
    """
    shown, others = Metadata(), []
    for name, value in figures.items():
        if name not in FIGURES[asset]:
            text = Link(value.markdown()) if isinstance(value, Place) else value
            others.append((name.replace("_", " "), text))
        elif isinstance(value, Place):
            shown[name] = value.metadata()
        else:
            # On one line: pages, GraphQL and databases take it.
            shown[name] = printable(value) if isinstance(value, str) else value
    parts = {**parts, "Figures": markdown_table(("figure", "value"), others)}
    said = (f"#### {title}\n\n{text}" for title, text in parts.items() if text not in ("", "none"))
    return {REPORT: markdown("\n\n".join(filter(None, [report, *said]))), **shown}


def _plain(document: msgspec.Struct) -> Metadata:
    """Its numbers and texts, without what is empty or has parts."""
    fields = msgspec.structs.asdict(document).items()
    return {name: value for name, value in fields if isinstance(value, int | float | str) and value != ""}


def _places_of(places: Places, sync_id: str, date: str = "") -> dict[str, Place]:
    """Where all that belongs to a sync lies; no date, no folder."""
    return {
        "store": places.folder(),
        **({"bottles_folder": places.folder(f"{date}/")} if date else {}),
        "manifest": places.document(MANIFEST_KEY),
        "plan": places.document(f"{PLAN_PREFIX}{sync_id}.json"),
    }


def _findings(title: str, findings: Sequence[str]) -> dict[str, str]:
    rows = ((finding,) for finding in findings)
    return {f"{title}: {len(findings):,} findings": markdown_table(("finding",), rows)}


def _unidentified(unidentified: Sequence[Unidentified]) -> dict[str, str]:
    rows = ((found.key, found.why) for found in unidentified)
    title = f"Objects without a record: {len(unidentified):,}"
    return {title: markdown_table(("object", "why it is not recorded"), rows)}


def _totals(title: str, totals: Mapping[str, Total]) -> str:
    rows = ((name, total.count, total.total_size_bytes) for name, total in totals.items())
    return markdown_table((title, "bottles", "bytes"), rows)


def failure_table(failures: Sequence[Failure], *, what: str = "bottle") -> dg.MarkdownMetadataValue:
    """Name, reason and message per failure."""
    rows = ((failure.name, failure.reason, failure.message) for failure in failures)
    return table((what, "reason", "message"), rows)


def table(
    titles: Sequence[str], rows: Iterable[Sequence[object]], *, most: int = MAX_ROWS
) -> dg.MarkdownMetadataValue:
    """The table of the first rows, as Dagster shows it."""
    return markdown(markdown_table(titles, rows, most=most))
