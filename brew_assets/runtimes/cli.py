"""brew-mirror: the mirror without Dagster.

Exit codes: 0 all done, 1 some bottles or indexes failed or were left, 2 cannot run.
"""

import gc
import signal
import sys

import click

from brew_assets.errors import MirrorError, PlanningStopped
from brew_assets.runtimes.context import EXIT_CANNOT_RUN, EXIT_FAILED, CommandContext
from brew_assets.runtimes.held_commands import status, verify
from brew_assets.runtimes.manifest_commands import manifest
from brew_assets.runtimes.platforms import platforms
from brew_assets.runtimes.printing import (
    Command,
    Group,
    is_terminal,
    prepare_streams,
    print_error,
    print_json,
    print_line,
    print_lines,
    print_traceback,
    print_usage_error,
    repeat_options,
    settle_streams,
    show_version,
)
from brew_assets.runtimes.publish_command import publish
from brew_assets.runtimes.serve_command import serve
from brew_assets.runtimes.sync_commands import plan, sync
from brew_assets.runtimes.why import why


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
        # The interpreter looks for cycles once more when it ends, in all that the libraries keep.
        gc.freeze()


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
@click.option("--quiet", is_flag=True, help="No progress, and of the log only warnings and errors.")
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
      brew-mirror serve --host 0.0.0.0
    """
    context.obj = CommandContext(mirror_url, quiet=quiet)
    repeat_options(context.obj.global_options)


@click.command(cls=Command)
@click.option("--formulae", default=40, show_default=True, type=click.IntRange(1, 20_000))
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option("--median-kb", default=64, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--json", "as_json", is_flag=True, help="Print the environment as one JSON object.")
@click.pass_obj
def simulate(context: CommandContext, formulae: int, seed: int, median_kb: int, as_json: bool) -> None:
    """Serve a simulated upstream on this machine until Ctrl-C.

    It speaks the formulae API and the registry's protocol and serves real, pourable bottles. The printed
    variables point a mirror at it.

    \b
    Example:
      brew-mirror simulate --formulae 100
      # in another terminal, with the printed variables exported:
      brew-mirror --mirror /tmp/mirror sync
    """
    from brew_assets.compose.store import CLOCK
    from brew_assets.engine.clock import SignalEvent
    from brew_assets.simulator import Simulator, SizeDistribution, World

    median = median_kb * 1000
    sizes = SizeDistribution.lognormal(median_bytes=median, p90_bytes=10 * median, max_bytes=400 * median)
    if not context.quiet and not is_terminal(err=True):
        print_line(f"Making the bottles of {formulae:,} formulae …", err=True)
    with context.display.counting("Formulae made") as progress:
        world = World.generate(
            seed=seed,
            formulae=formulae,
            sizes=sizes,
            progress=progress,
            now=lambda: CLOCK.now().timestamp(),
        )
    stopped = SignalEvent()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with Simulator(world) as upstream:
        environment = upstream.environment()
        if as_json:
            print_json(environment)
        else:
            print_lines("\n".join(f"export {name}={value}" for name, value in environment.items()))
        if not context.quiet:
            print_line(f"Serving {len(world.bottles):,} bottles; Ctrl-C ends it.", err=True)
        sys.stdout.flush()
        stopped.wait()


for command in (plan, sync, publish, why, verify, status, platforms, manifest, serve, simulate):
    cli.add_command(command)
