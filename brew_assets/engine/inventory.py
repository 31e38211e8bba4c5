"""What the store holds now: its record, and what stands in it unrecorded."""

import msgspec

from brew_assets.domain.manifest import HeldEntry, Receipt
from brew_assets.engine.adoption import NEWEST_FOLDERS, Stray, adopt, unrecorded
from brew_assets.engine.ledger import Held, Journal, fold, read_held
from brew_assets.engine.ports import Clock, Store
from brew_assets.engine.rebuild import rebuild_missing_manifest


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """What is held now, after unrecorded bottles of the newest folders were adopted."""

    entries: dict[str, HeldEntry]
    adopted: int
    strays: tuple[Stray, ...]
    rebuilt: bool


def take_inventory(
    store: Store, clock: Clock, *, workers: int, batch_size: int, record: bool = True, also: str = ""
) -> Inventory:
    """What is held. A manifest that is missing beside filled date folders is rebuilt first.

    Unrecorded bottles are looked for in the newest folders and in the one of the date `also`.

    With `record` false nothing is written; what would be adopted still counts as held.
    """
    held = read_held(store)
    folders = store.date_folders()
    rebuilt = held.manifest_missing and bool(folders)
    if rebuilt:
        found = rebuild_missing_manifest(store, clock, workers=workers, record=record)
        entries = {r.key: _held(r) for r in found.receipts} | held.entries
        return Inventory(
            entries=entries, adopted=len(found.receipts), strays=tuple(found.strays), rebuilt=True
        )
    if held.manifest_missing and record:
        # From now on a missing manifest means that somebody deleted it.
        fold(store, clock)
    strays = list(unrecorded(store, held.entries, _folders_to_look_at(folders, held, also=also)))
    adopted = adopt(store, strays, workers=workers, patient=False)
    # The place that the manifest names for a bottle stays, unless the plan wanted it anew there.
    fresh = [receipt for receipt in adopted.receipts if _is_news(receipt, held)]
    if fresh and record:
        journal = Journal(store, clock, sync_id="adopted", batch_size=batch_size)
        journal.add(fresh)
        journal.flush()
    entries = held.entries | {receipt.key: _held(receipt) for receipt in fresh}
    return Inventory(entries=entries, adopted=len(fresh), strays=tuple(adopted.strays), rebuilt=False)


def _folders_to_look_at(folders: list[str], held: Held, *, also: str) -> list[str]:
    """The newest folders, and every one that is as new as the newest record or newer (a restore)."""
    newest = max((entry.s3_key[:10] for entry in held.entries.values()), default="")
    return [
        folder
        for number, folder in enumerate(folders)
        if number < NEWEST_FOLDERS or folder >= newest or folder == also
    ]


def _held(receipt: Receipt) -> HeldEntry:
    entry = receipt.entry
    return HeldEntry(sha256=entry.sha256, file_size=entry.file_size, s3_key=entry.s3_key)


def _is_news(receipt: Receipt, held: Held) -> bool:
    """Whether an unrecorded bottle is one that the record lacks; a second place of a held one is not."""
    known = held.entries.get(receipt.key)
    if known is None:
        return True
    return known.sha256 != receipt.entry.sha256 and known.s3_key <= receipt.entry.s3_key
