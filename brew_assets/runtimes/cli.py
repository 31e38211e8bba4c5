"""brew-mirror: the mirror without Dagster.

Exit codes: 0 all done, 1 some bottles failed or were left, 2 cannot run.
"""

import gc
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
import msgspec

from brew_assets.errors import MirrorError, PlanningStopped, SettingsInvalid
from brew_assets.runtimes.commands import Group, show_version
from brew_assets.runtimes.context import EXIT_CANNOT_RUN, EXIT_FAILED, CommandContext
from brew_assets.runtimes.manifest_commands import manifest
from brew_assets.runtimes.printing import (
    prepare_streams,
    print_error,
    print_json,
    print_line,
    print_lines,
    print_traceback,
    print_usage_error,
    settle_streams,
)
from brew_assets.settings import PLACES, read_settings

if TYPE_CHECKING:
    from brew_assets.domain.plan import Request
    from brew_assets.engine.sync import Mirror, Planned


def main() -> None:
    """The console script."""
    # Plans and manifests are hundreds of thousands of objects without cycles: looking for some costs most.
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    prepare_streams()
    try:
        _run()
    finally:
        settle_streams()


def _run() -> None:
    """All is done; else what ended the command stands on standard error, and its exit code is raised."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as exc:
        print_usage_error(exc)
        sys.exit(EXIT_CANNOT_RUN)
    except click.Abort:
        print_line("Stopped.", err=True)
        sys.exit(EXIT_FAILED)
    except PlanningStopped as exc:
        print_line(f"{str(exc).capitalize()}.", err=True)
        sys.exit(EXIT_FAILED)
    except MirrorError as exc:
        print_error(exc)
        sys.exit(EXIT_CANNOT_RUN)
    except Exception:  # a mistake of ours: never the exit code that means "some bottles failed"
        print_traceback()
        sys.exit(EXIT_CANNOT_RUN)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--mirror", "mirror_url", help="Where the bottles are kept, instead of MIRROR_URL.")
@click.option("--quiet", is_flag=True, help="No progress bars.")
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=show_version,
    help="Show the version and exit.",
)
@click.pass_context
def cli(context: click.Context, mirror_url: str | None, quiet: bool) -> None:
    """Mirror Homebrew's bottles into a directory or an S3 bucket, verified byte for byte.

    Settings come from environment variables (see the README).

    \b
    Examples:
      brew-mirror plan --platform arm64_sonoma
      brew-mirror sync --formula jq --formula ripgrep --platform arm64_sonoma
      brew-mirror --mirror s3://my-bottles/ sync
      brew-mirror verify --deep --repair
    """
    from brew_assets.logs import configure_logging

    if mirror_url is not None and not mirror_url.strip():
        raise SettingsInvalid(name="--mirror", expected=PLACES, found="nothing")
    settings = read_settings(mirror_url=mirror_url)
    configure_logging(settings)
    context.obj = CommandContext(settings, quiet)


cli.add_command(manifest)


def _selection(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say what to cover."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output."),
        click.option("--force", is_flag=True, help="Download again what is held already."),
        click.option(
            "--formula", "formulae", multiple=True, metavar="NAME", help="Only this formula (repeatable)."
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
    mirror: "Mirror", platforms: tuple[str, ...], formulae: tuple[str, ...], *, force: bool
) -> "Request":
    from brew_assets.domain.plan import Request

    return Request(
        platforms=platforms or mirror.options.platforms,
        formulae=formulae,
        force=force,
        include_disabled=mirror.options.include_disabled,
    )


def _make_plan(
    context: CommandContext, mirror: "Mirror", request: "Request", *, sizes: bool, record: bool
) -> "Planned":
    from brew_assets.runtimes.progress import counting_bar

    with counting_bar("Sizes", show=context.bars and sizes) as progress:
        return mirror.make_plan(request, sizes=sizes, record=record, progress=progress)


@cli.command()
@_selection
@click.option("--no-sizes", is_flag=True, help="Ask the registry for nothing; sizes stay unknown.")
@click.option("--dry-run", is_flag=True, help="Write nothing into the store, not even the plan.")
@click.pass_obj
def plan(
    context: CommandContext,
    platforms: tuple[str, ...],
    formulae: tuple[str, ...],
    force: bool,
    as_json: bool,
    no_sizes: bool,
    dry_run: bool,
) -> None:
    """Work out what has to be copied, before a byte moves.

    The plan is kept in the store and can be carried out with `brew-mirror sync --plan SYNC_ID`.

    \b
    Examples:
      brew-mirror plan
      brew-mirror plan --no-sizes --json | jq .platforms
      brew-mirror plan --formula curl --platform arm64_sonoma --dry-run
    """
    from brew_assets.domain.plan import summarize
    from brew_assets.runtimes.warnings import warn, warnings_of_plan

    mirror = context.mirror()
    request = _request(mirror, platforms, formulae, force=force)
    planned = _make_plan(context, mirror, request, sizes=not no_sizes, record=not dry_run)
    summary, warnings = summarize(planned.plan), warnings_of_plan(planned)
    if as_json:
        warn(warnings)
        print_json(msgspec.to_builtins(summary) | {"warnings": warnings})
    else:
        from brew_assets.runtimes.terminal import show_plan

        show_plan(summary, warnings=warnings, recorded=not dry_run)


@cli.command()
@_selection
@click.option("--plan", "sync_id", metavar="SYNC_ID", help="Carry out a plan made before.")
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
    force: bool,
    as_json: bool,
    sync_id: str | None,
    run_of: str | None,
    dry_run: bool,
) -> None:
    """Copy every bottle that is not held yet, verify it, and record it in bottles_hash.json.

    Ends with exit code 0 when all is held, 1 when bottles failed or were left, 2 when it cannot run.

    \b
    Examples:
      brew-mirror sync
      brew-mirror sync --formula jq --formula ripgrep --platform arm64_sonoma
      brew-mirror sync --plan 20261122T030000Z-1a2b3c4d --run-of arm64_sonoma --json
    """
    from brew_assets.domain.left_out import notes_of
    from brew_assets.domain.plan import summarize
    from brew_assets.runtimes.progress import transfer_bar
    from brew_assets.runtimes.warnings import each_once, warn, warnings_of_plan, warnings_of_report

    if sync_id is not None and (platforms or formulae or force):
        raise click.UsageError("--plan names everything; it goes with no --platform, --formula or --force")
    if run_of is not None and sync_id is None:
        raise click.UsageError("--run-of goes with --plan")
    mirror = context.mirror(stores=not dry_run)
    # An empty one, a shell variable that nobody has set, names no plan: it does not mean a new one of all.
    if sync_id is not None:
        chosen = mirror.load_plan(sync_id)
        warnings = list(notes_of(chosen))
    else:
        request = _request(mirror, platforms, formulae, force=force)
        planned = _make_plan(context, mirror, request, sizes=True, record=not dry_run)
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
    with transfer_bar(show=context.bars) as progress:
        report, folded = mirror.carry_out(chosen, run_of, progress=progress)
    if as_json:
        said = each_once(warnings_of_report(report), warnings)
        more = {
            "new": report.new,
            "outcome": report.outcome,
            "held": folded.entries,
            "warnings": said,
        }
        print_json(msgspec.to_builtins(report) | more)
    else:
        from brew_assets.runtimes.terminal import show_report

        show_report(report, held=folded.entries, store_url=mirror.store.url)
    if report.aborted:
        sys.exit(EXIT_CANNOT_RUN)
    if report.failed or report.left:
        sys.exit(EXIT_FAILED)


@cli.command()
@click.option("--deep", is_flag=True, help="Read every byte back, not only what the store vouches for.")
@click.option("--repair", "do_repair", is_flag=True, help="Fetch again what is missing or wrong.")
@click.option("--platform", "platforms", multiple=True, metavar="TAG", help="Only bottles of this tag.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@click.pass_obj
def verify(
    context: CommandContext, deep: bool, do_repair: bool, platforms: tuple[str, ...], as_json: bool
) -> None:
    """Check that every recorded bottle stands in the store with its size and digest.

    One HEAD each on S3, a hash of each file in a directory. Every bottle gets a verdict: CURRENT, MISSING,
    MISMATCH, or UNREADABLE where the store does not give it out (archived, refused). An UNREADABLE one may be
    whole and is not overwritten: make it readable, or delete the object and repair. Without --repair nothing
    is written, and permission to read is enough. Ends with exit code 1 when anything is not CURRENT and was
    not repaired.

    \b
    Examples:
      brew-mirror verify
      brew-mirror verify --deep --repair --json
    """
    from brew_assets.engine.certify import certify, entries_of_tags
    from brew_assets.engine.repair import MENDED, count, repair
    from brew_assets.engine.whole_record import WholeRecord, read_whole_record
    from brew_assets.runtimes.progress import counting_bar, transfer_bar
    from brew_assets.runtimes.warnings import warn

    mirror = context.existing_mirror(stores=do_repair)
    if do_repair:
        record = WholeRecord(manifest=mirror.fold().manifest)
    else:  # who only looks needs no permission to write
        record = read_whole_record(mirror.store, workers=mirror.options.workers)
    warnings = record.warnings()
    warn(warnings)
    entries = entries_of_tags(record.manifest, platforms)
    with counting_bar("Verified", show=context.bars) as tell:
        certificates = certify(
            mirror.store,
            entries,
            deep=deep,
            workers=mirror.options.workers,
            progress=lambda done: tell(done, len(entries)),
        )
    done = None
    if do_repair and any(c.verdict in MENDED for c in certificates):
        with transfer_bar(show=context.bars) as progress:
            done = repair(mirror, certificates, progress=progress)
    counts = count(certificates, done)
    wrong = [c for c in certificates if c.verdict != "CURRENT"]
    failed = done.failed if done else []
    if as_json:
        found = [{"key": c.entry.s3_key, "verdict": c.verdict, "finding": c.finding} for c in wrong]
        more = {"found": found, "failures": failed, "manifest_missing": record.manifest_missing}
        print_json(msgspec.to_builtins(counts) | more | {"warnings": warnings})
    else:
        for certificate in wrong:
            print_line(f"{certificate.verdict} {certificate.entry.s3_key} {certificate.finding}".rstrip())
        for failure in failed:
            print_line(f"NOT REPAIRED {failure.name}: {failure.message}")
        print_line(
            f"Checked {counts.checked:,}: {counts.current:,} current, {counts.missing:,} missing, "
            f"{counts.mismatch:,} wrong, {counts.unreadable:,} unreadable; repaired {counts.repaired:,}."
        )
    if done is not None and done.aborted:
        print_line(f"Error: {done.aborted}", err=True)
        sys.exit(EXIT_CANNOT_RUN)
    if counts.repaired < len(wrong):
        sys.exit(EXIT_FAILED)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@click.pass_obj
def status(context: CommandContext, as_json: bool) -> None:
    """Show what is held, and since when.

    \b
    Examples:
      brew-mirror status
      brew-mirror status --json | jq .total_bottles
    """
    from brew_assets.runtimes.status import read_status, show_status

    found = read_status(context.existing_mirror().store)
    if as_json:
        print_json(found)
    else:
        show_status(found)


@cli.command()
@click.option("--formulae", default=40, show_default=True, type=click.IntRange(1, 20_000))
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option("--median-kb", default=64, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--json", "as_json", is_flag=True, help="Print the environment as one JSON object.")
def simulate(formulae: int, seed: int, median_kb: int, as_json: bool) -> None:
    """Serve a simulated upstream on this machine until Ctrl-C.

    It speaks the formulae API and the registry's protocol and serves real, pourable bottles. The printed
    variables point a mirror at it.

    \b
    Example:
      brew-mirror simulate --formulae 100
      # in another terminal, with the printed variables exported:
      brew-mirror --mirror /tmp/mirror sync
    """
    import threading

    from brew_assets.simulator import Simulator, SizeDistribution, World

    median = median_kb * 1000
    sizes = SizeDistribution.lognormal(median_bytes=median, p90_bytes=10 * median, max_bytes=400 * median)
    world = World.generate(seed=seed, formulae=formulae, sizes=sizes)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with Simulator(world) as upstream:
        environment = upstream.environment()
        if as_json:
            print_json(environment)
        else:
            print_lines("\n".join(f"export {name}={value}" for name, value in environment.items()))
        print_line(f"Serving {len(world.bottles):,} bottles; Ctrl-C ends it.", err=True)
        sys.stdout.flush()
        stopped.wait()
