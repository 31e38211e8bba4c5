"""What `brew-mirror status` shows: the state of the store, read and not changed."""

import itertools

import msgspec

from brew_assets.domain.manifest import Manifest, Statistics, decode_manifest
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.domain.quantities import human_bytes
from brew_assets.engine.catalogue_cache import KeptCatalogue, kept_catalogue
from brew_assets.engine.ports import Store
from brew_assets.engine.record.fold import backups
from brew_assets.engine.record.journal import read_journal
from brew_assets.engine.record.rebuild import receipts_waiting
from brew_assets.engine.servable_bottles import servable_among
from brew_assets.runtimes.printing import print_line, print_table


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a store. `held` counts manifest entries and receipts together.

    `servable` are those of them with which an index is kept that fits: brew can install them.
    """

    store: str
    held: int
    servable: int
    manifest_missing: bool
    total_bottles: int
    total_size_bytes: int
    last_updated: str
    statistics: Statistics
    journal_objects: int
    backups: list[str]
    date_folders: list[str]
    catalogue: KeptCatalogue | None


class _Head(msgspec.Struct):
    last_updated: str = ""


_head_decoder = msgspec.json.Decoder(_Head)


def read_status(store: Store, *, workers: int = 10) -> Status:
    """The state of the store. What of the indexes is not known is read by so many workers.

    Raises:
        ManifestInvalid: the manifest or a receipt cannot be trusted.
        StoreError: the store cannot be read.
    """
    # Before the manifest: a fold in between puts them there.
    journal = read_journal(store)
    document = store.read(MANIFEST_KEY)
    manifest, last_updated = Manifest(), ""
    if document is not None:
        manifest = decode_manifest(document.data)
        last_updated = _head_decoder.decode(document.data).last_updated
    statistics = manifest.statistics()
    receipts = {receipt.key: receipt.entry for receipt in journal}
    # One after the other: 250,000 entries at once take 150 MB.
    entries = (item for item in manifest.entries() if item[0] not in receipts)
    return Status(
        store=store.url,
        held=len({*manifest.keys(), *receipts}),
        servable=servable_among(store, itertools.chain(entries, receipts.items()), workers=workers),
        manifest_missing=document is None,
        total_bottles=len(manifest),
        total_size_bytes=sum(total.total_size_bytes for total in statistics.by_platform.values()),
        last_updated=last_updated,
        statistics=statistics,
        journal_objects=receipts_waiting(store),
        backups=backups(store),
        date_folders=store.date_folders(),
        catalogue=kept_catalogue(store),
    )


def show_status(status: Status) -> None:
    """The state as tables on standard output."""
    print_line(f"Store: {status.store}")
    updated = status.last_updated or "never"
    size = human_bytes(status.total_size_bytes)
    if status.manifest_missing:
        print_line(
            f"{MANIFEST_KEY} is missing: the next sync makes it anew from {len(status.date_folders)} date "
            "folders, `brew-mirror manifest rebuild` does so now"
        )
    if status.journal_objects:
        # Of a bottle that is stored anew there is a receipt beside its entry.
        added = max(0, status.held - status.total_bottles)
        print_line(
            f"Held: {status.held:,} bottles: {status.total_bottles:,} in the manifest ({size}, written: "
            f"{updated}), {added:,} in receipts alone; {status.journal_objects:,} objects with receipts "
            "wait for the next sync, which takes them into the manifest"
        )
    else:
        print_line(f"Held: {status.held:,} bottles, {size} in the manifest (written: {updated})")
    if status.held:
        without = status.held - status.servable
        lacking = f", {without:,} have no index that fits: the next sync asks for it" if without else ""
        print_line(f"Servable: {status.servable:,} bottles{lacking}")
    if status.catalogue is not None:
        kept = status.catalogue
        rejected = f", {kept.rejected:,} rejected" if kept.rejected else ""
        print_line(
            f"Catalogue: {kept.formulae:,} formulae, {kept.bottles:,} bottles{rejected}, "
            f"fetched {kept.fetched_at}"
        )
    for title, totals in (
        ("By tag", status.statistics.by_platform),
        ("By date", status.statistics.by_date),
    ):
        if not totals:
            continue
        rows = (
            (name, f"{total.count:,}", human_bytes(total.total_size_bytes)) for name, total in totals.items()
        )
        print_table(title, ("", "Bottles", "Size"), rows, numbers=True)
    print_line(f"Backups of the manifest: {len(status.backups)}")
