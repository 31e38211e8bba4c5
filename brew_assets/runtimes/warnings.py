"""What the command line warns of: the same sentences as text and in `--json`."""

from collections.abc import Iterable

from brew_assets.domain.left_out import LISTED, forgotten_note, notes_of
from brew_assets.domain.report import Report
from brew_assets.engine.planner import PlanResult
from brew_assets.runtimes.printing import print_line


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
