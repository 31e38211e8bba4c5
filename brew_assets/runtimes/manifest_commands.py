"""`brew-mirror manifest`: the manifest made anew."""

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brew_assets.domain.left_out import LISTED
from brew_assets.domain.quantities import human_bytes
from brew_assets.engine.ports import MAX_DOCUMENT_BYTES
from brew_assets.errors import ManifestInvalid
from brew_assets.runtimes.context import EXIT_FAILED, CommandContext
from brew_assets.runtimes.printing import Group, command, print_json, print_line, print_table

if TYPE_CHECKING:
    from brew_assets.engine.record.rebuild import Restored

_PIECE_BYTES = 1024 * 1024


@click.group(cls=Group, short_help="Restore, rebuild or import bottles_hash.json.")
def manifest() -> None:
    """Make bottles_hash.json anew: from the bottles, from a backup, or from another tool's file.

    \b
    Examples:
      brew-mirror manifest backups
      brew-mirror manifest restore
      brew-mirror manifest rebuild
    """


@manifest.command(short_help="Make it from the stored bottles.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@click.pass_obj
def rebuild(context: CommandContext, as_json: bool) -> None:
    """Make the manifest from the stored bottles; what stood in its place is backed up.

    Every object is proven by its digest. Objects that cannot be proven or named are listed; the entry of a
    damaged one is kept, so that `brew-mirror verify --repair` fetches the bottle again. Receipts that cannot
    be trusted are moved to state/rejected/. A sync may run beside it.

    \b
    Example:
      brew-mirror manifest rebuild
    """
    from brew_assets.engine.record.rebuild import rebuild_manifest

    mirror = context.existing_mirror(backup_suffices=True)
    mirror.store.prepare()
    with context.display.counting("Bottles") as progress:
        made, unidentified, backup = rebuild_manifest(
            mirror.store, mirror.ports.clock, workers=mirror.options.workers, progress=progress
        )
    if as_json:
        print_json({"entries": len(made), "backup": backup, "left_out": unidentified})
        return
    for item in unidentified:
        print_line(f"{'Damaged:' if item.kept else 'Left out'} {item.key}: {item.why}")
    print_line(f"bottles_hash.json has {len(made):,} entries. Backup: {backup or 'none was needed'}.")


@manifest.command(short_help="Put a backup in its place.")
@click.option("--backup", metavar="KEY", help="This backup; default: the newest valid one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@click.pass_obj
def restore(context: CommandContext, backup: str | None, as_json: bool) -> None:
    """Put a backup in the place of the manifest.

    What a manifest that can be read names besides stays, as far as it stands in the store. Where it cannot be
    read, bottles stored after the backup are found again by the next sync.

    \b
    Examples:
      brew-mirror manifest restore
      brew-mirror manifest restore --backup backups/bottles_hash/2026-11-15T031502.123456Z.json
    """
    from brew_assets.engine.record.rebuild import restore_manifest

    mirror = context.existing_mirror(backup_suffices=True)
    mirror.store.prepare()
    key, restored = restore_manifest(
        mirror.store, mirror.ports.clock, backup=backup, workers=mirror.options.workers
    )
    if as_json:
        gone = restored.gone if restored.compared else None
        print_json({"backup": key, "entries": restored.entries, "kept": restored.kept, "gone": gone})
    else:
        _show_restored(key, restored)


def _show_restored(key: str, restored: "Restored") -> None:
    print_line(f"Restored {key}: bottles_hash.json has {restored.entries:,} entries.")
    if not restored.compared:
        print_line(
            "The manifest before could not be read: bottles stored after the backup are found by the next "
            "sync, or now by `brew-mirror manifest rebuild`."
        )
    if restored.kept:
        print_line(f"{restored.kept:,} of them are newer than the backup and stand in the store.")
    if restored.gone:
        more = ", ..." if len(restored.gone) > LISTED else ""
        print_line(
            f"{len(restored.gone):,} entries of the manifest before are not among them, for their objects "
            f"are gone: {', '.join(restored.gone[:LISTED])}{more}. The next sync fetches what the catalogue "
            "still names."
        )


@manifest.command(short_help="List its backups, the newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@click.pass_obj
def backups(context: CommandContext, as_json: bool) -> None:
    """List the backups of the manifest, the newest first, and which of them can be restored.

    \b
    Example:
      brew-mirror manifest backups
    """
    from brew_assets.engine.record.kept_backups import kept_backups

    store = context.existing_mirror(backup_suffices=True).store
    with context.display.counting("Backups") as progress:
        found = kept_backups(store, progress=progress)
    if as_json:
        print_json({"store": store.url, "backups": found})
        return
    if not found:
        print_line(f"There are no backups in {store.url}")
        return
    print_table(
        f"Backups in {store.url}",
        ("Key", "Written at", "Bottles", "Size", "Can be restored"),
        (
            (
                backup.key,
                backup.written_at,
                f"{backup.entries:,}",
                human_bytes(backup.bytes),
                f"no: {backup.why_invalid}" if backup.why_invalid else "yes",
            )
            for backup in found
        ),
        copied=True,
    )
    print_line(f"Put one back with: {command('manifest restore --backup KEY')}")


@manifest.command("import", short_help="Take over the entries of another manifest.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@click.pass_obj
def import_(context: CommandContext, file: Path, as_json: bool) -> None:
    """Take over the entries of FILE whose bottles stand in this store, size and digest proven.

    For a manifest without `integrity`, for example another tool's. Entries that the store does not prove
    are listed and left out; the command then ends with exit code 1.

    \b
    Example:
      aws s3 cp s3://old-mirror/bottles_hash.json old.json && brew-mirror manifest import old.json
    """
    from brew_assets.engine.record.rebuild import import_manifest

    mirror = context.existing_mirror(backup_suffices=True)
    mirror.store.prepare()
    with context.display.counting("Entries") as count:
        folded, left_out = import_manifest(
            mirror.store,
            mirror.ports.clock,
            _read(file),
            workers=mirror.options.workers,
            source=str(file),
            progress=lambda done: count(done, done),
        )
    if as_json:
        print_json({"entries": folded.entries, "added": folded.added, "left_out": left_out})
    else:
        for line in left_out:
            print_line(f"Left out {line}")
        print_line(f"bottles_hash.json has {folded.entries:,} entries, {folded.added:,} of them new.")
    if left_out:
        sys.exit(EXIT_FAILED)


def _read(file: Path) -> bytes:
    """The file, which may be a pipe (`<(aws s3 cp … -)`), for as long as it is no larger than a document.

    Raises:
        ManifestInvalid: it is larger, or cannot be read.
    """
    data = io.BytesIO()
    try:
        with file.open("rb", buffering=0) as opened:
            while piece := opened.read(_PIECE_BYTES):
                if data.write(piece) and data.tell() > MAX_DOCUMENT_BYTES:
                    raise _not_read(file, f"expected at most {MAX_DOCUMENT_BYTES:,} bytes, found more")
    except OSError as exc:
        raise _not_read(file, f"cannot be read: {exc.strerror or exc}") from exc
    return data.getvalue()


def _not_read(file: Path, finding: str) -> ManifestInvalid:
    return ManifestInvalid(finding, remedy="Nothing was imported.", document=str(file))
