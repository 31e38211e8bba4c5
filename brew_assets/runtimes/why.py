"""`brew-mirror why`: the path to a formula from what was asked for."""

from typing import TYPE_CHECKING

import click
import msgspec

from brew_assets.runtimes.context import CommandContext
from brew_assets.runtimes.printing import Command, print_json, print_line, print_table

if TYPE_CHECKING:
    from brew_assets.domain.why import Explanation, Why


@click.command(cls=Command, short_help="Say why a formula is mirrored: what needs it.")
@click.argument("name")
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="TAG",
    help="Only this platform (repeatable; default: TARGET_PLATFORMS).",
)
@click.option(
    "--formula",
    "formulae",
    multiple=True,
    metavar="FORMULA",
    help="As if this formula was asked for (repeatable; default: MIRROR_FORMULAE).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@click.pass_obj
def why(
    context: CommandContext,
    name: str,
    platforms: tuple[str, ...],
    formulae: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say why the formula NAME is mirrored: the path to it from what was asked for, on each platform.

    What was asked for are the formulae of --formula, else those of MIRROR_FORMULAE, else all. What they need
    is read from the catalogue that is kept in the store, or upstream's where none is; nothing is written.

    \b
    Examples:
      brew-mirror why pcre2
      brew-mirror why expat --formula git --platform x86_64_linux
      brew-mirror why openssl@3 --json | jq '.platforms[].path'
    """
    from brew_assets.domain.plan import Request
    from brew_assets.domain.why import explain
    from brew_assets.engine.planner import catalogue_at_hand

    mirror = context.mirror(writes=False, finishes=False)
    options = mirror.options
    request = Request(
        platforms=platforms or options.platforms,
        formulae=formulae,
        mirror_formulae=options.mirror_formulae,
        exclude=options.exclude_formulae,
        include_dependencies=options.include_dependencies,
        include_disabled=options.include_disabled,
    )
    catalogue, kept = catalogue_at_hand(mirror)
    found = explain(catalogue, name, request)
    if as_json:
        print_json(msgspec.to_builtins(found) | {"catalogue_fetched_at": kept.fetched_at})
    else:
        _show(found, kept.fetched_at)


def _show(found: "Explanation", fetched_at: str) -> None:
    if not found.asked_for:
        print_line(f"No formula is asked for by name: all are mirrored, and {found.name} is one of them.")
    elif not found.include_dependencies:
        print_line("INCLUDE_DEPENDENCIES=false: just what is asked for by name is mirrored.")
    rows = ((platform, _in_words(why)) for platform, why in found.platforms.items())
    print_table(f"From what is asked for to {found.name}", ("Platform", "Path"), rows)
    print_line(f"By the catalogue that was fetched {fetched_at}.")


def _in_words(why: "Why") -> str:
    """`git -> pcre2`, and why it is not mirrored all the same."""
    if not why.path:
        return "not needed"
    return " -> ".join(why.path) + (f" (not mirrored: {why.lack})" if why.lack else "")
