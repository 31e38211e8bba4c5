"""`brew-mirror plan` and `brew-mirror sync`: what has to be copied, and its copying."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
import msgspec

from brew_assets.runtimes.context import EXIT_CANNOT_RUN, EXIT_FAILED, CommandContext
from brew_assets.runtimes.printing import Command, print_json, print_line

if TYPE_CHECKING:
    from brew_assets.domain.plan import Request
    from brew_assets.domain.report import Report
    from brew_assets.engine.planner import PlanResult
    from brew_assets.engine.publish import PublishResult
    from brew_assets.engine.record.fold import FoldResult
    from brew_assets.engine.sync import Mirror


def _selection(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say what to cover."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output."),
        click.option("--force", is_flag=True, help="Download again what is held already."),
        click.option(
            "--no-dependencies",
            is_flag=True,
            help="Just what is named, without what it needs (see INCLUDE_DEPENDENCIES).",
        ),
        click.option(
            "--formula",
            "formulae",
            multiple=True,
            metavar="NAME",
            help="Only this formula and what it needs (repeatable; default: MIRROR_FORMULAE).",
        ),
        click.option(
            "--platform",
            "platforms",
            multiple=True,
            metavar="TAG",
            help="Only this platform (repeatable; default: TARGET_PLATFORMS).",
        ),
    ):
        command = option(command)
    return command


def _request(
    mirror: "Mirror",
    platforms: tuple[str, ...],
    formulae: tuple[str, ...],
    *,
    force: bool,
    no_dependencies: bool,
) -> "Request":
    from brew_assets.domain.plan import Request

    return Request(
        platforms=platforms or mirror.options.platforms,
        formulae=formulae,
        force=force,
        include_dependencies=mirror.options.include_dependencies and not no_dependencies,
        include_disabled=mirror.options.include_disabled,
    )


def _make_plan(
    context: CommandContext, mirror: "Mirror", request: "Request", *, sizes: bool = True
) -> "PlanResult":
    from brew_assets.engine.planner import make_plan

    with context.display.counting("Sizes") as progress:
        return make_plan(mirror, request, sizes=sizes, progress=progress)


@click.command(cls=Command)
@_selection
@click.option("--no-sizes", is_flag=True, help="Ask the registry for nothing; sizes stay unknown.")
@click.option("--dry-run", is_flag=True, help="Write nothing into the store, not even the plan.")
@click.pass_obj
def plan(
    context: CommandContext,
    platforms: tuple[str, ...],
    formulae: tuple[str, ...],
    no_dependencies: bool,
    force: bool,
    as_json: bool,
    no_sizes: bool,
    dry_run: bool,
) -> None:
    """Work out what has to be copied, before a byte moves.

    The plan is kept in the store; `brew-mirror sync --plan SYNC_ID` copies what it names.

    \b
    Examples:
      brew-mirror plan
      brew-mirror plan --no-sizes --json | jq .platforms
      brew-mirror plan --formula curl --platform arm64_sonoma --dry-run
    """
    from brew_assets.domain.plan_summary import summarize
    from brew_assets.runtimes.terminal import warn, warnings_of_plan

    mirror = context.mirror(writes=not dry_run)
    request = _request(mirror, platforms, formulae, force=force, no_dependencies=no_dependencies)
    planned = _make_plan(context, mirror, request, sizes=not no_sizes)
    summary, warnings = summarize(planned.plan), warnings_of_plan(planned)
    if as_json:
        warn(warnings)
        print_json(msgspec.to_builtins(summary) | {"warnings": warnings})
    else:
        from brew_assets.runtimes.terminal import show_plan

        show_plan(summary, warnings=warnings, recorded=not dry_run)


@click.command(cls=Command, short_help="Copy what is not held yet, verify it and record it.")
@_selection
@click.option("--plan", "sync_id", metavar="SYNC_ID", help="Copy what a plan made before names.")
@click.option(
    "--run-of",
    metavar="TAG",
    help="With --plan: only this platform's part, so that several machines share one plan.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan and stop; nothing is written.")
@click.pass_obj
def sync(
    context: CommandContext,
    platforms: tuple[str, ...],
    formulae: tuple[str, ...],
    no_dependencies: bool,
    force: bool,
    as_json: bool,
    sync_id: str | None,
    run_of: str | None,
    dry_run: bool,
) -> None:
    """Copy every bottle that is not held yet, verify it, and record it in bottles_hash.json.

    At its end it fetches the indexes that held bottles lack, without which no brew installs them.

    Then it publishes what is held (see `brew-mirror publish`), unless PUBLISH=off.

    Ends with exit code 0 when all is held and can be installed, 1 when bottles or indexes failed or were
    left, or a sync of everything could not be published, 2 when it cannot run.

    \b
    Examples:
      brew-mirror sync
      brew-mirror sync --formula jq --formula ripgrep --platform arm64_sonoma
      brew-mirror sync --plan 20261122T030000Z-1a2b3c4d --run-of arm64_sonoma --json
    """
    from brew_assets.domain.left_out import notes_of
    from brew_assets.domain.plan_summary import summarize
    from brew_assets.engine.kept_plans import load_plan
    from brew_assets.engine.publish import is_of_all, is_shortfall, publish_after
    from brew_assets.runtimes.terminal import warn, warnings_of_plan

    if sync_id is not None and (platforms or formulae or force or no_dependencies):
        raise click.UsageError(
            "--plan names everything; it goes with no --platform, --formula, --no-dependencies or --force"
        )
    if run_of is not None and sync_id is None:
        raise click.UsageError("--run-of goes with --plan")
    mirror = context.mirror(writes=not dry_run, stores=not dry_run)
    # An empty one, a shell variable that nobody has set, names no plan: it does not mean a new one of all.
    if sync_id is not None:
        chosen = load_plan(mirror.ports, sync_id)
        warnings = list(notes_of(chosen))
    else:
        request = _request(mirror, platforms, formulae, force=force, no_dependencies=no_dependencies)
        planned = _make_plan(context, mirror, request)
        chosen, warnings = planned.plan, warnings_of_plan(planned)
    if dry_run and not as_json:
        from brew_assets.runtimes.terminal import show_plan

        show_plan(summarize(chosen), warnings=warnings, recorded=False)
        return
    warn(warnings)
    if dry_run:
        print_json(msgspec.to_builtins(summarize(chosen)) | {"warnings": warnings})
        return
    context.copies = True
    with context.display.transfer() as progress, context.display.counting_beside("Indexes") as counted:
        report, folded = mirror.sync(
            chosen, run_of, copier=context.copier(mirror), progress=progress, index_progress=counted
        )
    published = publish_after(mirror, chosen, report, folded.manifest)
    _show_end(
        report,
        folded,
        warnings,
        published,
        as_json=as_json,
        of_part=not is_of_all(chosen, mirror.options),
        store_url=mirror.store.url,
    )
    if report.aborted:
        print_line(_why_ended(report), err=True, label="Error:", colour="red")
        sys.exit(EXIT_CANNOT_RUN)
    if report.outcome != "success" or is_shortfall(published, chosen, mirror.options):
        sys.exit(EXIT_FAILED)


def _show_end(
    report: "Report",
    folded: "FoldResult",
    warnings: list[str],
    published: "PublishResult | None",
    *,
    as_json: bool,
    of_part: bool,
    store_url: str,
) -> None:
    from brew_assets.runtimes.publish_command import described, show_published
    from brew_assets.runtimes.terminal import each_once, show_report, warnings_of_report

    if not as_json:
        show_report(report, held=folded.entries, store_url=store_url)
        # Whoever is shown why a part failed needs no word on the rest.
        failed_part = of_part and report.outcome != "success"
        if published is not None and not (failed_part and published.outcome == "incomplete"):
            show_published(published, of_part=of_part)
        return
    more = {
        "new": report.new,
        "outcome": report.outcome,
        "held": folded.entries,
        "warnings": each_once(warnings_of_report(report), warnings),
        "publication": None if published is None else described(published),
    }
    print_json(msgspec.to_builtins(report) | more)


def _why_ended(report: "Report") -> str:
    count = len(report.failed) + report.left
    are = "bottle is" if count == 1 else "bottles are"
    return f"ended early, {count:,} {are} not copied: {report.aborted}"
