"""What the command line shows of plans and reports, and warns of.

Results go to standard output. Warnings are the same sentences as text and in `--json`.
"""

from collections.abc import Iterable, Iterator, Sequence

from brew_assets.domain.left_out import LISTED, first_names, forgotten_note, notes_of, remarks_of
from brew_assets.domain.plan_summary import PlanSummary
from brew_assets.domain.quantities import human_bytes
from brew_assets.domain.report import Failure, Report, describe_found, is_said_by
from brew_assets.engine.planner import PlanResult
from brew_assets.runtimes.printing import command, is_terminal, print_line, print_table


def warnings_of_plan(planned: PlanResult) -> list[str]:
    """What a new plan leaves out, and what went wrong while it was made."""
    warnings = list(notes_of(planned.plan))
    warnings += [f"{item.key}: not recorded: {item.why}" for item in planned.unidentified[:LISTED]]
    if len(planned.unidentified) > LISTED:
        warnings.append(f"{len(planned.unidentified) - LISTED:,} more objects are not recorded")
    if problems := planned.sizes.problems:
        warnings.append(f"{len(problems)} sizes are unknown, the first: {problems[0]}")
    return warnings


def warnings_of_report(report: Report) -> list[str]:
    """What a run took off the manifest, and what its plan left out."""
    return [*forgotten_note(report.forgotten), *notes_of(report)]


def each_once(*warnings: Iterable[str]) -> list[str]:
    """All of them in this order; what is said before and after a sync stands once in its JSON."""
    return list(dict.fromkeys(warning for some in warnings for warning in some))


def warn(warnings: Iterable[str], *, err: bool = True) -> None:
    """They stand on standard error, or on standard output as a part of the result."""
    for warning in warnings:
        print_line(warning, err=err, label="Warning:", colour="yellow")


_FAILURES_SHOWN = 20


def show_plan(summary: PlanSummary, *, warnings: list[str], recorded: bool) -> None:
    """The plan as a table."""
    print_table(
        f"Plan of sync {summary.sync_id}",
        ("Platform", "Bottles", "To download", "Unknown sizes"),
        (
            (name, f"{totals.bottles:,}", human_bytes(totals.bytes), f"{totals.unknown_sizes:,}")
            for name, totals in summary.rows.items()
        ),
        numbers=True,
    )
    if len(summary.platforms) > 1:
        print_line("A bottle that serves several platforms stands in the row of each.")
    if summary.selection:
        print_line(f"{summary.selection}.")
    shared = summary.objects - summary.downloads
    made = f" {shared:,} more have the bytes of one of those or of a held one." if shared else ""
    print_line(
        f"To store: {summary.objects:,} bottles. To download: {summary.downloads:,}, "
        f"{human_bytes(summary.bytes)}.{made} Held: {summary.held:,}. Skipped: {summary.skipped:,}."
    )
    _remark(remarks_of(summary))
    warn(warnings)
    if recorded and summary.objects:
        print_line(f"Copy it with: {command(f'sync --plan {summary.sync_id}')}")


def show_report(report: Report, *, held: int, store_url: str) -> None:
    """The report, failures first."""
    _show_failures(report)
    downloaded = max(0, report.new - report.duplicated)
    print_line(
        f"Sync {report.sync_id}: {report.outcome}. Stored {report.new:,} bottles "
        f"({downloaded:,} downloaded, {report.duplicated:,} copied inside the store), "
        f"{''.join(f'{found}, ' for found in describe_found(report))}"
        f"kept {report.kept:,}, failed {len(report.failed):,}, left {report.left:,}"
        f"{f', forgotten {len(report.forgotten):,}' if report.forgotten else ''}: "
        f"{report.planned:,} planned. Downloaded {human_bytes(report.bytes_downloaded)} "
        f"in {report.duration_s:,.1f} s.",
    )
    if report.left_bottles:
        left = first_names(report.left_bottles, report.left)
        then = "" if report.aborted else " The next sync copies them."
        _remark([f"Not begun or not finished: {left}.{then}"])
    _remark(remarks_of(report))
    warn(warnings_of_report(report), err=False)
    _remark(remarks_on_indexes(report))
    if report.recorded:
        print_line(f"Recorded first: {report.recorded:,} bottles that stood in the store without a record.")
    print_line(f"Held now: {held:,} bottles in {store_url}")


def _show_failures(report: Report) -> None:
    # What ended the sync is said once.
    others = [failure for failure in report.failed if not is_said_by(failure, report)]
    show_failures(f"{len(report.failed):,} bottles failed", "Bottle", others)
    count = len(report.indexes_failed)
    show_failures(f"{count:,} indexes are missing or do not fit", "Index", report.indexes_failed)


def show_failures(title: str, what: str, failures: Sequence[Failure]) -> None:
    """A row for each; a person who looks on gets the first of them."""
    shown = failures[:_FAILURES_SHOWN] if is_terminal() else failures
    if shown:
        print_table(
            title,
            (what, "Reason", "Details"),
            ((failure.name, failure.reason, failure.message) for failure in shown),
        )
    if len(shown) < len(failures):
        print_line(f"… and {len(failures) - len(shown):,} others (see --json)")


def remarks_on_indexes(report: Report) -> Iterator[str]:
    """What became of the indexes, without which brew does not install a bottle."""
    if report.indexes_fetched:
        yield f"Indexes fetched: {report.indexes_fetched:,}."
    if report.unservable:
        yield (
            f"Held and not servable: {report.unservable:,} bottles, for want of an index that fits "
            f"({report.servable:,} are servable)."
        )
    if report.indexes_left:
        yield f"Indexes not asked for: {report.indexes_left:,}. The next sync asks for them."


def _remark(remarks: Iterable[str]) -> None:
    for remark in remarks:
        print_line(remark)
