"""The whole record of what is held, read and never written: for whoever may only read."""

import msgspec

from brew_assets.domain.manifest import Manifest, decode_manifest
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.engine.ports import Store
from brew_assets.engine.record.fold import read_manifest
from brew_assets.engine.record.identify import Unidentified
from brew_assets.engine.record.journal import read_journal
from brew_assets.engine.record.rebuild import identify_all

_MOST_NAMED = 20


class WholeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Every entry, as a fold would leave them.

    Where the manifest is missing, they are those that a rebuild would record; `left_out` is what it could
    not record.
    """

    manifest: Manifest
    manifest_missing: bool = False
    left_out: tuple[Unidentified, ...] = ()

    def warnings(self) -> list[str]:
        """What whoever relies on the record should know of it."""
        if not self.manifest_missing:
            return []
        more = len(self.left_out) - _MOST_NAMED
        return [
            f"{MANIFEST_KEY} is missing: this is about what stands in the date folders. The next sync makes "
            "it anew, `brew-mirror manifest rebuild` does so now",
            *(f"{item.key}: cannot be recorded: {item.why}" for item in self.left_out[:_MOST_NAMED]),
            *([f"{more:,} more objects cannot be recorded"] if more > 0 else []),
        ]


def read_whole_record(store: Store, *, workers: int = 10) -> WholeRecord:
    """What is held, by manifest and receipts. Nothing is written.

    Raises:
        ManifestInvalid: the manifest or a receipt cannot be trusted.
        StoreError: the store cannot be read.
    """
    # Before the manifest: a fold in between puts them there.
    journal = read_journal(store)
    document = read_manifest(store)
    if document is not None:
        manifest, left_out = decode_manifest(document.data), []
    else:
        found = identify_all(store, workers=workers)
        manifest, left_out = Manifest(), found.unidentified
        for receipt in found.receipts:
            manifest.put(receipt.key, receipt.entry)
    for receipt in journal:
        manifest.put(receipt.key, receipt.entry)
    return WholeRecord(manifest=manifest, manifest_missing=document is None, left_out=tuple(left_out))
