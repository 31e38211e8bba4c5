"""What a sync did and what is held, as the Markdown that its materializations show.

Pure functions. The text is bounded whatever the size of the mirror: an event is a row of Dagster's database.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from brew_assets.defs.pages.charts import bar_chart
from brew_assets.defs.pages.markdown import Link, escaped, link, markdown_table
from brew_assets.defs.pages.store_links import Places
from brew_assets.domain.left_out import LeavesOut, first_names, forgotten_note, notes_of, remarks_of
from brew_assets.domain.manifest import Manifest, Total
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.domain.plan import Plan
from brew_assets.domain.quantities import human_bytes, human_duration
from brew_assets.domain.report import REPORT_PREFIX, Outcome, Report, failures_by_reason
from brew_assets.engine.record.identify import PLAN_PREFIX

PLATFORMS_SHOWN = 20
DATES_SHOWN = 12
FORMULAE_SHOWN = 10
_MESSAGE_CHARACTERS = 160
_NOTE_CHARACTERS = 1000

_OUTCOMES: dict[Outcome, str] = {
    "success": "all that was planned{} is in the store",
    "stopped": "stopped before its end",
    "partial": "some bottles failed",
    "failed": "failed",
}
# The worst outcome of several runs is the sync's.
_WORST_FIRST: tuple[Outcome, ...] = ("failed", "partial", "stopped", "success")


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """What is held: bottles and bytes in all, per tag, per date (newest first) and per formula."""

    total: Total
    by_platform: Mapping[str, Total]
    by_date: Mapping[str, Total]
    by_formula: Mapping[str, Total]


class PlannedNames(msgspec.Struct, frozen=True, kw_only=True):
    """The names that the runs so far had to copy, each counted once.

    `there` of them are in the store; `in_all` is what the whole plan has.
    """

    planned: int
    there: int
    in_all: int


def planned_names(plan: Plan, manifest: Manifest, reports: Sequence[Report]) -> PlannedNames:
    """The names of the plan, as far as the reports' runs have come."""
    last = {report.platforms: report for report in reports}.values()
    failed = {failure.name for report in last for failure in report.failed}
    names = plan.of_runs({platform for report in last for platform in report.platforms})
    there = 0
    for name in names:
        entry = manifest.get(name.bottle.entry_key)
        held = entry is not None and entry.sha256 == name.bottle.digest
        # A forced download that failed is not the one that is held.
        there += held and name.bottle.filename not in failed
    return PlannedNames(planned=len(names), there=there, in_all=len(plan.objects))


def holdings_of(manifest: Manifest) -> Holdings:
    """The figures of the manifest; every entry is looked at once."""
    total = Total()
    platforms: dict[str, Total] = {}
    dates: dict[str, Total] = {}
    formulae: dict[str, Total] = {}
    for _, entry in manifest.entries():
        size = entry.file_size
        total.add(size)
        platforms.setdefault(entry.platform, Total()).add(size)
        dates.setdefault(entry.download_date, Total()).add(size)
        formulae.setdefault(entry.formula_name, Total()).add(size)
    return Holdings(
        total=total,
        by_platform=dict(sorted(platforms.items())),
        by_date=dict(sorted(dates.items(), reverse=True)),
        by_formula=formulae,
    )


def sync_report(
    holdings: Holdings,
    reports: Sequence[Report],
    places: Places,
    *,
    names: PlannedNames | None = None,
    servable: int | None = None,
) -> str:
    """The report of a sync, from those of its runs so far (oldest first), and of all that is held.

    Without a run it says what is held. `servable` counts what of it brew can install. Without `names` the
    bottles of each run are added up.
    """
    parts_of_page = [*_what_it_did(reports, names), *_runs(reports)] if reports else ["### What is held"]
    return "\n\n".join([*parts_of_page, *_held(holdings, servable), *_links(reports, places)])


def run_report(report: Report) -> str:
    """The part of one run; what else its page shows are figures and links of their own."""
    return "\n\n".join(_what_it_did([report]))


def _what_it_did(reports: Sequence[Report], names: PlannedNames | None = None) -> Iterator[str]:
    """What the runs did; of several runs of a platform the last one says how it ended."""
    last = list({report.platforms: report for report in reports}.values())
    outcome = next(worst for worst in _WORST_FIRST if any(report.outcome == worst for report in last))
    whose = ""
    if names is not None and names.planned < names.in_all:
        whose = f" for {escaped(', '.join(platform for report in last for platform in report.platforms))}"
    forgotten = list(dict.fromkeys(name for report in last for name in report.forgotten))
    served = outcome != "partial" or any(report.failed for report in last)
    headline = _OUTCOMES[outcome if served else "success"].format(whose)
    if not served:
        headline += ", and not all of it can be served"
    if outcome == "success" and forgotten:
        headline = f"what can be had{whose} is in the store, {len(forgotten):,} left the manifest"
    yield f"### Sync of {escaped(last[-1].sync_date)}: {headline}"
    yield _figures(reports, last, names, whose)
    for report in last:
        if report.aborted:
            yield f"**{escaped(', '.join(report.platforms))} was given up:** {escaped(report.aborted)}"
    failures = [failure for report in last for failure in report.failed]
    if failures:
        counts = (f"{count:,} {escaped(reason)}" for reason, count in failures_by_reason(failures).items())
        yield f"#### Failures: {', '.join(counts)}"
        yield markdown_table(
            ("bottle", "reason", "message"),
            ((f.name[:_MESSAGE_CHARACTERS], f.reason, f.message[:_MESSAGE_CHARACTERS]) for f in failures),
        )
    yield from _unfit_indexes(last)
    for report in last:
        if report.left_bottles:
            left = first_names(report.left_bottles, report.left)
            yield (
                f"**Not begun or not finished for {escaped(', '.join(report.platforms))}:** "
                f"{escaped(left, most=_NOTE_CHARACTERS)}"
            )
    # All runs have what is left out from the one plan.
    if left_out := left_out_list(last[-1], forgotten=forgotten):
        yield f"#### Notes\n\n{left_out}"


def _unfit_indexes(last: Sequence[Report]) -> Iterator[str]:
    """What keeps held bottles from being served; several runs may have met the same index."""
    found = {failure.name: failure for report in last for failure in report.indexes_failed}
    if found:
        yield f"#### Held, and not servable: {len(found):,} indexes are missing or do not fit"
        rows = ((f.name, f.reason, f.message) for f in found.values())
        yield markdown_table(
            ("index", "reason", "message"),
            ((name[:_MESSAGE_CHARACTERS], why, text[:_MESSAGE_CHARACTERS]) for name, why, text in rows),
        )


def left_out_list(found: LeavesOut, *, forgotten: Sequence[str] = ()) -> str:
    """What people should know beside the figures, a sentence per line; empty when there is nothing.

    `forgotten` are names that left the manifest.
    """
    sentences = (*forgotten_note(forgotten), *notes_of(found), *remarks_of(found))
    return "\n".join(f"- {escaped(sentence, most=_NOTE_CHARACTERS)}" for sentence in sentences)


def _runs(reports: Sequence[Report]) -> Iterator[str]:
    yield "#### Runs"
    yield markdown_table(
        (
            "platform",
            "run",
            "outcome",
            "planned for it",
            "held before",
            "found",
            "stored",
            "failed",
            "left",
            "forgotten",
            "downloaded",
            "in",
        ),
        (_row(report) for report in reports),
    )
    if len({report.platforms for report in reports}) > 1:
        yield (
            "A bottle that serves several platforms is planned in the run of each. The run that put it into "
            "the store counts it as stored; for the others it was held before, or found when they came to it."
        )


def _figures(
    reports: Sequence[Report], last: Sequence[Report], names: PlannedNames | None, whose: str
) -> str:
    planned = names.planned if names else sum(report.planned for report in last)
    there = names.there if names else sum(report.kept + report.stored for report in last)
    size = sum(report.bytes_downloaded for report in reports)
    seconds = _seconds(reports)
    rate = f", {human_bytes(size / seconds)}/s" if seconds > 0 else ""
    what, more = f"bottles planned{whose}" if whose else "planned bottles", ""
    if names is None and len(last) > 1:
        more = " A bottle that serves several platforms counts for each."
    elif names is not None and whose:
        more = f" For all platforms {names.in_all:,} are planned."
    return (
        f"**{there:,} of {planned:,}** {what} are in the store. Downloaded: **{human_bytes(size)}** "
        f"in {_duration(seconds)}{rate}.{more}"
    )


def _seconds(reports: Sequence[Report]) -> float:
    """How long there was a run; those that went on side by side count once."""
    spans = sorted((datetime.fromisoformat(r.started_at).timestamp(), r.duration_s) for r in reports)
    seconds, until = 0.0, 0.0
    for begin, duration_s in spans:
        seconds += max(0.0, begin + duration_s - max(begin, until))
        until = max(until, begin + duration_s)
    return seconds


def _duration(seconds: float) -> str:
    return human_duration(seconds) if seconds >= 10 else f"{seconds:.1f} seconds"


def _row(report: Report) -> tuple[object, ...]:
    return (
        ", ".join(report.platforms),
        _run(report),
        report.outcome,
        report.planned,
        report.kept,
        report.found,
        report.new,
        len(report.failed),
        report.left,
        len(report.forgotten),
        human_bytes(report.bytes_downloaded),
        _duration(report.duration_s),
    )


def _run(report: Report) -> str | Link:
    """A link to the run; without DAGSTER_URL it leads to the webserver that shows the report."""
    if not report.run_id:
        return ""
    return link(report.run_id[:8], report.run_url or f"/runs/{report.run_id}")


def _held(holdings: Holdings, servable: int | None) -> Iterator[str]:
    """Charts and tables of everything that is held."""
    total = holdings.total
    served = "" if servable is None else f"; {servable:,} servable"
    yield f"#### Held: {total.count:,} bottles, {human_bytes(total.total_size_bytes)}{served}"
    yield bar_chart("Held by tag", _bars(_largest(holdings.by_platform, PLATFORMS_SHOWN)))
    dates = sorted(holdings.by_date.items(), reverse=True)
    yield f"#### By date{'' if len(dates) <= DATES_SHOWN else f', the last {DATES_SHOWN} of {len(dates):,}'}"
    yield bar_chart("Held by date", _bars(dates[:DATES_SHOWN]))
    yield f"#### The largest of {len(holdings.by_formula):,} formulae"
    yield markdown_table(
        ("formula", "bottles", "size", "share"),
        (
            (name, part.count, human_bytes(part.total_size_bytes), _share(part, total))
            for name, part in _largest(holdings.by_formula, FORMULAE_SHOWN, rest=False)
        ),
    )


def _largest(parts: Mapping[str, Total], most: int, *, rest: bool = True) -> list[tuple[str, Total]]:
    """The largest by bytes; the last one stands for all others if there are more and `rest` is true."""
    found = heapq.nlargest(most, parts.items(), key=lambda item: (item[1].total_size_bytes, item[0]))
    if rest and len(parts) > most:
        others = [part for name, part in parts.items() if name not in dict(found)]
        together = Total(
            count=sum(part.count for part in others),
            total_size_bytes=sum(part.total_size_bytes for part in others),
        )
        found.append((f"{len(others):,} others", together))
    return found


def _bars(parts: Sequence[tuple[str, Total]]) -> list[tuple[str, int]]:
    return [
        (f"{name}  {part.count:,}  {human_bytes(part.total_size_bytes):>8}", part.total_size_bytes)
        for name, part in parts
    ]


def _share(part: Total, total: Total) -> str:
    return f"{part.total_size_bytes / total.total_size_bytes:.1%}"


def _links(reports: Sequence[Report], places: Places) -> Iterator[str]:
    """Where to look further."""
    found = {"Store": places.folder(), "Manifest": places.document(MANIFEST_KEY)}
    if reports:
        sync_id, date = reports[-1].sync_id, reports[-1].sync_date
        found["Bottles of this sync"] = places.folder(f"{date}/")
        found["Plan"] = places.document(f"{PLAN_PREFIX}{sync_id}.json")
        found["Reports"] = places.folder(f"{REPORT_PREFIX}{sync_id}/")
    yield "#### Where to look"
    yield "\n".join(f"- {title}: {place.markdown()}" for title, place in found.items())
