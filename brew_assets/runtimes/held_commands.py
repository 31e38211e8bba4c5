"""`brew-mirror verify` and `brew-mirror status`: what is held, and whether it stands there."""

import sys
from typing import TYPE_CHECKING

import click
import msgspec

from brew_assets.runtimes.context import EXIT_CANNOT_RUN, EXIT_FAILED, CommandContext
from brew_assets.runtimes.printing import Command, print_json, print_line

if TYPE_CHECKING:
    from brew_assets.domain.transfer_result import TransferResult
    from brew_assets.engine.index_completion import Completion
    from brew_assets.engine.record.verify import Certificate
    from brew_assets.engine.repair import RepairCounts


@click.command(cls=Command, short_help="Check that every recorded bottle is there, byte for byte.")
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
    is written, and permission to read is enough. Counted beside are the servable ones, with which an index
    is kept that fits; --repair fetches the others' indexes. Ends with exit code 1 when anything is not
    CURRENT and was not repaired, or when --repair could not fetch an index.

    \b
    Examples:
      brew-mirror verify
      brew-mirror verify --deep --repair --json
    """
    from brew_assets.engine.record.verify import certify, entries_of_tags
    from brew_assets.engine.record.whole_record import WholeRecord, read_whole_record
    from brew_assets.engine.repair import MENDED, count, repair, repair_indexes
    from brew_assets.engine.servable_bottles import servable_among
    from brew_assets.runtimes.terminal import warn

    mirror = context.existing_mirror(stores=do_repair)
    if do_repair:
        record = WholeRecord(manifest=mirror.fold().manifest)
    else:  # who only looks needs no permission to write
        record = read_whole_record(mirror.store, workers=mirror.options.workers)
    warnings = record.warnings()
    warn(warnings)
    entries = entries_of_tags(record.manifest, platforms)
    with context.display.counting("Verified") as show:
        certificates = certify(
            mirror.store,
            entries,
            deep=deep,
            workers=mirror.options.workers,
            progress=lambda done: show(done, len(entries)),
        )
    done = None
    if do_repair and any(c.verdict in MENDED for c in certificates):
        with context.display.transfer() as progress:
            done = repair(mirror, certificates, copier=context.copier(mirror), progress=progress)
    indexes = None
    if do_repair and not (done and done.aborted):
        with context.display.counting("Indexes") as show:
            indexes = repair_indexes(mirror, certificates, progress=show)
        counts = count(certificates, done, indexes=indexes)
    else:
        workers = mirror.options.workers
        servable = servable_among(mirror.store, entries, workers=workers, fresh=True)
        counts = count(certificates, done, servable=servable)
    wrong = [c for c in certificates if c.verdict != "CURRENT"]
    failed = done.failed if done else []
    if as_json:
        found = [{"key": c.entry.s3_key, "verdict": c.verdict, "finding": c.finding} for c in wrong]
        more = {
            "found": found,
            "failures": failed,
            "index_failures": indexes.failed if indexes else (),
            "manifest_missing": record.manifest_missing,
        }
        print_json(msgspec.to_builtins(counts) | more | {"warnings": warnings})
    else:
        _show_verified(counts, wrong, done, indexes)
    if done is not None and done.aborted:
        print_line(done.aborted, err=True, label="Error:", colour="red")
        sys.exit(EXIT_CANNOT_RUN)
    if counts.repaired < len(wrong) or counts.indexes_failed or counts.indexes_left:
        sys.exit(EXIT_FAILED)


def _show_verified(
    counts: "RepairCounts",
    wrong: list["Certificate"],
    done: "TransferResult | None",
    indexes: "Completion | None",
) -> None:
    from brew_assets.domain.report import is_said_by

    for certificate in wrong:
        print_line(f"{certificate.verdict} {certificate.entry.s3_key} {certificate.finding}".rstrip())
    if done is not None:
        # What ended the repair is said once.
        for failure in (found for found in done.failed if not is_said_by(found, done)):
            print_line(f"NOT REPAIRED {failure.name}: {failure.message}")
    for failure in indexes.failed if indexes else ():
        print_line(f"NO INDEX {failure.name}: {failure.message.removeprefix(f'{failure.name}: ')}")
    print_line(
        f"Checked {counts.checked:,}: {counts.current:,} current, {counts.missing:,} missing, "
        f"{counts.mismatch:,} wrong, {counts.unreadable:,} unreadable; repaired {counts.repaired:,}."
    )
    fetched = f" Indexes fetched: {counts.indexes_fetched:,}." if counts.indexes_fetched else ""
    left = f" Indexes not asked for: {counts.indexes_left:,}." if counts.indexes_left else ""
    print_line(f"Held: {counts.checked:,} bottles, {counts.servable:,} of them servable.{fetched}{left}")


@click.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@click.pass_obj
def status(context: CommandContext, as_json: bool) -> None:
    """Show what is held, and since when.

    Servable is what of it brew can install: an index is kept that fits.

    \b
    Examples:
      brew-mirror status
      brew-mirror status --json | jq .total_bottles
    """
    from brew_assets.runtimes.status import read_status, show_status

    mirror = context.existing_mirror()
    found = read_status(mirror.store, workers=mirror.options.workers)
    if as_json:
        print_json(found)
    else:
        show_status(found)
