"""`brew-mirror simulate`: a simulated upstream on this machine."""

import signal
import sys

import click

from brew_assets.runtimes.commands import Command
from brew_assets.runtimes.context import CommandContext
from brew_assets.runtimes.printing import is_terminal, print_json, print_line, print_lines


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
    import threading

    from brew_assets.simulator import Simulator, SizeDistribution, World

    median = median_kb * 1000
    sizes = SizeDistribution.lognormal(median_bytes=median, p90_bytes=10 * median, max_bytes=400 * median)
    if not context.quiet and not is_terminal(err=True):
        print_line(f"Making the bottles of {formulae:,} formulae …", err=True)
    with context.display.counting("Formulae made") as progress:
        world = World.generate(seed=seed, formulae=formulae, sizes=sizes, progress=progress)
    stopped = threading.Event()
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
