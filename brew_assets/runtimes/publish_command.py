"""`brew-mirror publish`: what clients are served becomes what is held now."""

import sys
from typing import TYPE_CHECKING

import click

from brew_assets.runtimes.context import EXIT_FAILED, CommandContext
from brew_assets.runtimes.printing import Command, print_json, print_line

if TYPE_CHECKING:
    from brew_assets.engine.publish import PublishResult


@click.command(cls=Command, short_help="Publish what is held, for brew to install from.")
@click.option("--dry-run", is_flag=True, help="Say what would be published; write no record.")
@click.option("--allow-older", is_flag=True, help="Publish an older generation of the API than is served.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@click.pass_obj
def publish(context: CommandContext, dry_run: bool, allow_older: bool, as_json: bool) -> None:
    """Publish what is held, with Homebrew's signed API files of one generation.

    Each object is confirmed, then a record is written, then the pointer moves that `serve` follows. With
    PUBLISH=strict it stays where it is, and the exit code is 1, when a bottle lacks that the API names and
    that the mirror is meant to hold (TARGET_PLATFORMS, MIRROR_FORMULAE, EXCLUDE_FORMULAE, INCLUDE_DISABLED).

    \b
    Examples:
      brew-mirror publish --dry-run
      brew-mirror publish --json | jq .outcome
    """
    from brew_assets.engine.publish import publish as publish_now
    from brew_assets.engine.record.whole_record import read_whole_record

    mirror = context.existing_mirror(stores=True)
    if dry_run:
        manifest = read_whole_record(mirror.store, workers=mirror.options.workers).manifest
    else:
        manifest = mirror.fold().manifest
    result = publish_now(mirror, manifest, allow_older=allow_older, dry_run=dry_run)
    if as_json:
        print_json(described(result))
    else:
        show_published(result, dry_run=dry_run)
    if result.outcome in ("incomplete", "older"):
        sys.exit(EXIT_FAILED)


def described(result: "PublishResult") -> dict[str, object]:
    """The result for programs: what lacks is listed whole, the bottles are counted."""
    found = result.publication
    return {
        "outcome": result.outcome,
        "why": result.why,
        "publication_id": found.publication_id if found is not None else "",
        "current": result.current.publication_id if result.current is not None else "",
        "generated_at": result.generated_at,
        "counts": found.counts if found is not None else {},
        "lacking": list(found.lacking) if found is not None else [],
    }


def show_published(result: "PublishResult", *, dry_run: bool = False, of_part: bool = False) -> None:
    """The result in sentences: what is served now, and the first of what lacks.

    After a sync `of_part` nobody expects that nothing lacks.
    """
    from brew_assets.domain.publication_rules import named
    from brew_assets.domain.quantities import human_bytes

    found, why = result.publication, result.why.removesuffix(".")
    if result.outcome == "published" and found is not None:
        counts = found.counts
        what = "Would publish" if dry_run else "Published"
        print_line(
            f"{what} {found.publication_id}: {counts['bottles']:,} bottles ({human_bytes(counts['bytes'])}), "
            f"{counts['indexes']:,} indexes, API files for {', '.join(api.tag for api in found.api)}."
        )
    elif result.outcome == "unchanged" and found is not None:
        print_line(f"Nothing to publish: {found.publication_id} has the same.")
    elif result.outcome == "incomplete" and of_part and found is not None:
        print_line(
            f"Not published: {len(found.lacking):,} bottles lack that the API names and this mirror is meant "
            "to hold. `brew-mirror sync` brings them."
        )
        return
    elif result.outcome in ("superseded", "awaited"):
        print_line(f"Not published: {why}.")
    else:
        print_line(f"Not published: {why}.", err=True)
    lines = named(found.lacking) if found is not None else []
    for line in lines:
        print_line(f"  lacks {line}", err=result.outcome == "incomplete")
    if result.outcome == "incomplete":
        current = result.current
        served = f"Clients are served {current.publication_id} on" if current else "Nothing is published yet"
        print_line(f"{served}. `brew-mirror sync` fetches what lacks.", err=True)
