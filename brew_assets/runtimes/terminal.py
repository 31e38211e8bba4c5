"""What the command line shows a person: tables of plans and reports, on standard error."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from brew_assets.domain.left_out import first_names, remarks_of
from brew_assets.domain.plan import COUNTED_ONCE, PlanSummary, PlatformTotals
from brew_assets.domain.quantities import human_bytes
from brew_assets.domain.report import Report, describe_found
from brew_assets.runtimes.warnings import warnings_of_report

_FAILURES_SHOWN = 20


def console() -> Console:
    """Standard error; standard output belongs to results."""
    return Console(stderr=True, highlight=False)


def show_plan(summary: PlanSummary, *, warnings: list[str], recorded: bool) -> None:
    """The plan as a table."""
    table = Table(title=f"Plan of sync {summary.sync_id}")
    for column, justify in (
        ("Platform", "left"),
        ("Bottles", "right"),
        ("To download", "right"),
        ("Unknown sizes", "right"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    rows = dict(summary.platforms)
    if len(rows) > 1:
        rows[COUNTED_ONCE] = PlatformTotals(
            bottles=summary.objects, bytes=summary.bytes, unknown_sizes=summary.unknown_sizes
        )
    for name, totals in rows.items():
        table.add_row(name, f"{totals.bottles:,}", human_bytes(totals.bytes), f"{totals.unknown_sizes:,}")
    out = console()
    out.print(table)
    if len(summary.platforms) > 1:
        out.print("A bottle that serves several platforms stands in the row of each.")
    shared = summary.objects - summary.downloads
    made = f" {shared:,} more have the bytes of one of those or of a held one." if shared else ""
    out.print(
        f"To store: {summary.objects:,} bottles. To download: {summary.downloads:,}, "
        f"{human_bytes(summary.bytes)}.{made} Held: {summary.held:,}. Skipped: {summary.skipped:,}."
    )
    _remark(out, remarks_of(summary))
    _warn(out, warnings)
    if recorded and summary.objects:
        out.print(f"Carry it out with: brew-mirror sync --plan {summary.sync_id}")


def show_report(report: Report, *, held: int, store_url: str) -> None:
    """The report, failures first."""
    out = console()
    if report.failed:
        table = Table(title=f"{len(report.failed)} bottles failed")
        for column in ("Bottle", "Reason", "Details"):
            table.add_column(column, overflow="fold")
        for failure in report.failed[:_FAILURES_SHOWN]:
            # Not strings: what upstream wrote is no markup of ours.
            table.add_row(*map(Text, (failure.name, failure.reason, failure.message)))
        out.print(table)
        if len(report.failed) > _FAILURES_SHOWN:
            out.print(f"… and {len(report.failed) - _FAILURES_SHOWN} others (see --json)")
    if report.aborted:
        out.print(f"Ended early: {report.aborted}", style="red", markup=False)
    downloaded = max(0, report.new - report.duplicated)
    out.print(
        f"Sync {report.sync_id}: {report.outcome}. Stored {report.new:,} bottles "
        f"({downloaded:,} downloaded, {report.duplicated:,} copied inside the store), "
        f"{''.join(f'{found}, ' for found in describe_found(report))}"
        f"kept {report.kept:,}, failed {len(report.failed):,}, left {report.left:,}"
        f"{f', forgotten {len(report.forgotten):,}' if report.forgotten else ''}: "
        f"{report.planned:,} planned. Downloaded {human_bytes(report.bytes_downloaded)} "
        f"in {report.duration_s:,.1f} s.",
        markup=False,
    )
    if report.left_bottles:
        left = first_names(report.left_bottles, report.left)
        _remark(out, [f"Not begun or not finished: {left}. The next sync copies them."])
    _remark(out, remarks_of(report))
    _warn(out, warnings_of_report(report))
    if report.recorded:
        out.print(f"Recorded first: {report.recorded:,} bottles that stood in the store without a record.")
    out.print(f"Held now: {held:,} bottles in {store_url}", markup=False)


def _warn(out: Console, warnings: Iterable[str]) -> None:
    for warning in warnings:
        out.print(Text.assemble(("Warning:", "yellow"), f" {warning}"))


def _remark(out: Console, remarks: Iterable[str]) -> None:
    for remark in remarks:
        out.print(Text(remark))
