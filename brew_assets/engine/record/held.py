"""What the store holds now: its record, what stands in it unrecorded, and what the record names in vain."""

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec

from brew_assets.domain.manifest import Entry, HeldEntry, Receipt, bottle_of, entry_for
from brew_assets.domain.object_keys import FOUND, MANIFEST_KEY, parse_key
from brew_assets.engine.options import Options
from brew_assets.engine.ports import ListedObject, Ports, Store
from brew_assets.engine.record.fold import Held, fold, read_held
from brew_assets.engine.record.identify import NEWEST_FOLDERS, Unidentified, identify
from brew_assets.engine.record.journal import Journal
from brew_assets.engine.record.rebuild import rebuild_missing_manifest
from brew_assets.engine.record.whole_record import read_whole_record
from brew_assets.engine.transfer.already_stored import proven_facts
from brew_assets.errors import ObjectRefused, StoreError

# Of so many the store has said nothing: it would say nothing of the others.
_MOST_UNANSWERED = 20

_log = logging.getLogger(__name__)

HeldEntries = dict[str, HeldEntry]


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """What is held now, after unrecorded bottles of the newest folders were identified.

    `lost` are recorded bottles whose objects are gone, by entry key: they are not among the `entries`.
    `resized` are the keys of objects that have another size than recorded.
    """

    entries: HeldEntries
    identified: int
    unidentified: tuple[Unidentified, ...]
    rebuilt: bool
    lost: Mapping[str, Entry] = {}
    resized: tuple[str, ...] = ()

    def still_held(self, entries: Mapping[str, HeldEntry]) -> HeldEntries:
        """The entries of a later reading of the record without those whose objects were seen to be gone."""
        gone = {entry.s3_key for entry in self.lost.values()}
        return {key: entry for key, entry in entries.items() if entry.s3_key not in gone}


def take_inventory(ports: Ports, options: Options, *, also: str = "") -> Inventory:
    """What is held. A manifest that is missing beside filled date folders is rebuilt first.

    The record is compared with a listing of the date folders. Unrecorded bottles are looked for in the newest
    folders and in the one of the date `also`. What was found is recorded by then.

    Raises:
        ManifestInvalid: the manifest or a receipt cannot be trusted.
        StoreError: the store cannot be read, or the receipts could not be written.
    """
    store, clock, workers = ports.store, ports.clock, options.workers
    # The record first, the folders second. An object stands there before its receipt does, so whatever this
    # record names was there when the listing began: what the listing lacks may be lost. The other way round,
    # what other runs store meanwhile would seem lost. What they store now seems unrecorded at worst, and gets
    # a second receipt that says the same.
    held = read_held(store)
    folders = store.date_folders()
    rebuilt = held.manifest_missing and bool(folders)
    if rebuilt:
        found = rebuild_missing_manifest(store, clock, workers=workers)
        entries = {r.key: HeldEntry.of(r.entry) for r in found.receipts} | held.entries
        return Inventory(
            entries=entries,
            identified=len(found.receipts),
            unidentified=tuple(found.unidentified),
            rebuilt=True,
        )
    if held.manifest_missing:
        # From now on a missing manifest means that somebody deleted it.
        fold(store, clock)
    newest = _folders_to_look_at(folders, held, also=also, today=f"{clock.now():%Y-%m-%d}")
    seen = _compare(store, held.entries, folders, newest, workers=workers)
    identified = identify(store, seen.unrecorded, workers=workers, patient=False)
    # The place that the manifest names for a bottle stays, unless the plan wanted it anew there.
    fresh = [r for r in identified.receipts if r.key in seen.lost or _is_news(r, held)]
    lost = _in_full(store, seen.lost - {receipt.key for receipt in fresh})
    fresh += _moved(store, lost, seen.elsewhere)
    if fresh:
        journal = Journal(store, clock, sync_id=FOUND, batch_size=options.batch_size)
        journal.add(fresh)
        journal.flush()
    entries = {key: entry for key, entry in held.entries.items() if key not in seen.lost}
    entries |= {receipt.key: HeldEntry.of(receipt.entry) for receipt in fresh}
    return Inventory(
        entries=entries,
        identified=len(fresh),
        unidentified=tuple(identified.unidentified),
        rebuilt=False,
        lost={key: entry for key, entry in lost.items() if key not in entries},
        resized=tuple(seen.resized),
    )


def rebuild_if_missing(ports: Ports, options: Options) -> Inventory | None:
    """What is held where no manifest was there, else None.

    One that was missing beside filled date folders is rebuilt then: it names what stands in them.

    Raises:
        ManifestInvalid: a receipt cannot be trusted.
        StoreError: the store cannot be read or written.
    """
    return None if ports.store.exists(MANIFEST_KEY) else take_inventory(ports, options)


def _moved(store: Store, lost: Mapping[str, Entry], elsewhere: Iterable[ListedObject]) -> list[Receipt]:
    """Receipts for lost bottles that stand in another folder, their digests proven; of two the newer."""
    found: dict[str, Receipt] = {}
    names = {entry.s3_key.partition("/")[2]: key for key, entry in lost.items()}
    for listed in elsewhere:
        date, _, filename = listed.key.partition("/")
        key = names.get(filename)
        if key is None:
            continue
        try:
            facts = proven_facts(store, listed.key)
        except StoreError:
            continue  # it is fetched again
        if facts is not None and facts.digest == lost[key].sha256:
            entry = entry_for(bottle_of(lost[key]), date=date, size=facts.size)
            receipt = Receipt(key=key, entry=entry)
            if receipt.why_wrong() is None:
                found[key] = receipt
    return list(found.values())


class _Seen(msgspec.Struct, kw_only=True):
    """How the record and the listed folders differ."""

    unrecorded: list[ListedObject]
    lost: set[str]
    resized: list[str]
    elsewhere: list[ListedObject]


def _compare(
    store: Store,
    held: Mapping[str, HeldEntry],
    folders: Iterable[str],
    looked_at: Iterable[str],
    *,
    workers: int,
) -> _Seen:
    """The record beside a listing of all date folders that it names, and of those to be looked at.

    A lost bottle may stand in another folder, where somebody has moved it or a forced sync had left it.
    """
    # Listings, not a look at each object: one request shows hundreds of them. A folder that the record does
    # not name can have lost nothing, so it is listed only once something is lost that may have been moved
    # there. What a listing lacks is a suspicion, on which `_really_gone` decides: whatever counts as lost is
    # fetched again, and forgotten where nobody has it any more.
    newest, there = set(looked_at), set(folders)
    recorded: dict[str, dict[str, str]] = {folder: {} for folder in newest}
    for key, entry in held.items():
        if place := parse_key(entry.s3_key):
            recorded.setdefault(place[0], {})[entry.s3_key] = key
    seen = _Seen(unrecorded=[], lost=set(), resized=[], elsewhere=[])
    others: list[ListedObject] = []
    for folder, known in sorted(recorded.items()):
        missing = dict(known)
        for listed in _listing(store, folder, missing):
            if listed.key not in missing:
                (seen.unrecorded if folder in newest else others).append(listed)
            elif listed.size != held[missing.pop(listed.key)].file_size:
                seen.resized.append(listed.key)
        seen.lost.update(missing.values())
    seen.lost = _really_gone(store, held, seen.lost, there, workers=workers)
    if seen.lost:
        names = {held[key].s3_key.partition("/")[2] for key in seen.lost}
        for folder in sorted(there - recorded.keys()):
            others += _listing(store, folder, {})
        seen.elsewhere = [listed for listed in others if listed.key.partition("/")[2] in names]
    return seen


def _listing(store: Store, folder: str, missing: dict[str, str]) -> list[ListedObject]:
    """The objects of a date folder; of one that cannot be listed nothing is taken for lost."""
    try:
        return list(store.listing(f"{folder}/"))
    except ObjectRefused as error:
        _log.warning("a date folder cannot be listed", extra={"key": f"{folder}/", "error": str(error)})
        missing.clear()
        return []


def _really_gone(
    store: Store, held: Mapping[str, HeldEntry], lost: set[str], folders: set[str], *, workers: int
) -> set[str]:
    """Those of the entries whose objects a look at each finds gone too: a listing may lag behind.

    Of a folder that the list of folders lacks as well, two listings agree.
    """
    gone = {key for key in lost if held[key].s3_key[:10] not in folders}
    asked = sorted(lost - gone)
    unanswered: list[str] = []

    def is_gone(key: str) -> bool:
        if len(unanswered) >= _MOST_UNANSWERED:
            return False
        try:
            return store.facts(held[key].s3_key) is None
        except StoreError:
            unanswered.append(key)
            return False  # nobody knows, so nothing is taken for lost

    if asked:
        with ThreadPoolExecutor(workers, thread_name_prefix="look") as pool:
            gone |= {key for key, missing in zip(asked, pool.map(is_gone, asked), strict=True) if missing}
    if unanswered:
        extra = {"objects": len(asked), "first": held[unanswered[0]].s3_key}
        _log.warning("recorded bottles that are not listed cannot be looked at", extra=extra)
    return gone


def _in_full(store: Store, keys: set[str]) -> dict[str, Entry]:
    """The entries with all their fields; one that has left the record meanwhile is left out."""
    if not keys:
        return {}
    return {key: entry for key, entry in read_whole_record(store).manifest.entries() if key in keys}


def _folders_to_look_at(folders: list[str], held: Held, *, also: str, today: str) -> list[str]:
    """The newest folders, and every one that is as new as the newest record or newer (a restore).

    Those of the future are looked at besides: they must not hide where the last syncs have stored.
    """
    dates = {entry.s3_key[:10] for entry in held.entries.values()}
    newest = max((date for date in dates if date <= today), default="")
    future = sum(folder > today for folder in folders)
    return [
        folder
        for number, folder in enumerate(folders)
        if number < future + NEWEST_FOLDERS or folder >= newest or folder == also
    ]


def _is_news(receipt: Receipt, held: Held) -> bool:
    """Whether an unrecorded bottle is one that the record lacks; a second place of a held one is not."""
    known = held.entries.get(receipt.key)
    if known is None:
        return True
    return known.sha256 != receipt.entry.sha256 and known.s3_key <= receipt.entry.s3_key
