"""Bottles that stand in the store without a record: found, proven, named, and recorded.

After a kill between storing and receipt, or when the manifest was lost. The digest is the store's own
checksum or a hash of the bytes. The name comes from the object's metadata; where a store keeps none, from
the plans, which stay in the store, or from the archive itself, whose first path is `<name>/<pkg_version>`.
"""

import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import msgspec

from brew_assets.domain.bottle import (
    Bottle,
    Digest,
    PkgVersion,
    blob_url,
    is_formula_name,
    is_pkg_version,
    parse_filename,
)
from brew_assets.domain.manifest import Entry, HeldEntry, Receipt, entry_for
from brew_assets.domain.object_keys import is_backfill_name, is_plan_name, parse_key
from brew_assets.domain.plan import decode_plan
from brew_assets.engine.ports import ListedObject, ObjectFacts, Store
from brew_assets.engine.record.foreign_objects import own_listing
from brew_assets.engine.transfer.already_stored import proven_facts
from brew_assets.errors import ObjectRefused, PlanInvalid, StoreError, StoreRefused, StoreUnavailable

PLAN_PREFIX = "state/plans/"
# A kill can only have left unrecorded bottles in the folders of the last syncs.
NEWEST_FOLDERS = 3
_PEEK_BYTES = 65536


class Unidentified(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An object that cannot be recorded as what it is, and why; `kept` when an entry still names it."""

    key: str
    why: str
    kept: bool = False


class Identified(msgspec.Struct, kw_only=True):
    """What was found: receipts for proven bottles, and the rest."""

    receipts: list[Receipt] = []
    unidentified: list[Unidentified] = []


def unrecorded(store: Store, held: Mapping[str, HeldEntry], folders: Iterable[str]) -> Iterator[ListedObject]:
    """The objects of the date folders that no held entry names.

    Raises:
        StoreError: a folder cannot be listed.
    """
    wanted = set(folders)
    known = {entry.s3_key for entry in held.values() if entry.s3_key[:10] in wanted}
    for folder in sorted(wanted):
        for listed in store.listing(f"{folder}/"):
            if listed.key not in known:
                yield listed


def identify(
    store: Store,
    objects: Iterable[ListedObject],
    *,
    workers: int = 10,
    patient: bool = True,
    known: Mapping[str, Bottle] = MappingProxyType({}),
    progress: Callable[[int, int], None] | None = None,
) -> Identified:
    """Receipts for those of the objects that are proven to be the bottles they are named for.

    `known` names bottles as plans do: object key -> the bottle that a record has had there.

    An object that the store refuses to give out is among the rest. One that it does not answer for is so too
    unless `patient`: whoever is about to forget what is not found waits for an answer.

    Raises:
        StoreUnavailable: the store did not answer for an object (`patient`).
        StoreError: the store itself cannot be read.
    """
    wanted = list(objects)
    found = Identified(receipts=[], unidentified=[])
    if not wanted:
        return found
    planned = planned_bottles(store, {listed.key for listed in wanted})
    for listed in wanted:
        if listed.key in known:
            planned.setdefault(listed.key, []).append(known[listed.key])
    with ThreadPoolExecutor(workers, thread_name_prefix="identify") as pool:
        answers = pool.map(lambda listed: _identified(store, listed.key, planned, patient=patient), wanted)
        for number, answer in enumerate(answers, 1):
            if isinstance(answer, Receipt):
                found.receipts.append(answer)
            else:
                found.unidentified.append(answer)
            if progress is not None:
                progress(number, len(wanted))
    return found


def planned_bottles(store: Store, keys: "set[str]") -> dict[str, list[Bottle]]:
    """Key -> the bottles that plans wanted there, for the keys asked about.

    Raises:
        StoreError: the plans cannot be listed, or the store refuses to give one out.
    """
    planned: dict[str, list[Bottle]] = {}
    dates = {key[:10] for key in keys}
    for listed in own_listing(store, PLAN_PREFIX, is_plan_name, besides=is_backfill_name):
        try:
            document = store.read(listed.key)
            if document is None:
                continue
            plan = decode_plan(document.data, where=listed.key, sealed=False)
        except (PlanInvalid, ObjectRefused, StoreUnavailable):
            continue  # a damaged plan names nothing; the archive itself still does
        if plan.sync_date not in dates:
            continue
        for item in plan.objects:
            key = item.bottle.key(plan.sync_date)
            if key in keys and item.bottle not in planned.setdefault(key, []):
                planned[key].append(item.bottle)
    return planned


def _identified(
    store: Store, key: str, planned: Mapping[str, list[Bottle]], *, patient: bool
) -> Receipt | Unidentified:
    try:
        return _identified_as(store, key, planned)
    except StoreRefused:
        raise
    except StoreUnavailable as error:
        if patient:
            raise
        return Unidentified(key=key, why=f"it cannot be read: {error}")
    except StoreError as error:
        return Unidentified(key=key, why=f"it cannot be read: {error}")


def _identified_as(store: Store, key: str, planned: Mapping[str, list[Bottle]]) -> Receipt | Unidentified:
    # The file name first: for a digest, a store without checksums has to read the whole object. The digest is
    # proven, everything else only claimed, by plans, metadata or the archive. A claim of another digest, or
    # of a bottle with another key, makes the object nobody's: without a receipt it is at worst fetched again,
    # while a wrong receipt would put a false entry into the manifest.
    place = parse_key(key)
    if place is None or parse_filename(place[1]) is None:
        return Unidentified(key=key, why="its name is not that of a bottle")
    facts = proven_facts(store, key)
    if facts is None or facts.digest is None:
        return Unidentified(key=key, why="it vanished")
    claimed = facts.metadata.get("sha256")
    if claimed is not None and claimed != facts.digest:
        return Unidentified(key=key, why=f"its metadata says sha256 {claimed[:80]}, its bytes {facts.digest}")
    candidates = planned.get(key, [])
    if claimed is None and candidates and all(b.digest != facts.digest for b in candidates):
        return Unidentified(key=key, why=f"no plan or record has sha256 {facts.digest} there")
    bottle = next((b for b in candidates if b.digest == facts.digest), None)
    bottle = bottle or _bottle_from_names(store, key, facts)
    if bottle is None:
        return Unidentified(key=key, why="nothing says which formula and version it is")
    receipt = Receipt(key=bottle.entry_key, entry=entry_for(bottle, date=place[0], size=facts.size))
    # A journal must never hold what nobody takes from it.
    if why := receipt.why_wrong():
        return Unidentified(key=key, why=why)
    return receipt


def _bottle_from_names(store: Store, key: str, facts: ObjectFacts) -> Bottle | None:
    """The bottle that metadata or the archive's first path names, if its file name agrees."""
    date, filename = parse_key(key) or ("", "")
    parts = parse_filename(filename)
    if parts is None or facts.digest is None:
        return None
    formula = facts.metadata.get("formula-name", "")
    version = facts.metadata.get("formula-version", "")
    if not formula:
        formula, version = _first_path(store.peek(key, _PEEK_BYTES))
    if not (is_formula_name(formula) and is_pkg_version(version)):
        return None
    bottle = Bottle(
        formula=formula,
        pkg_version=PkgVersion(version),
        tag=parts.tag,
        rebuild=parts.rebuild,
        digest=Digest(facts.digest),
        url=blob_url(formula, facts.digest),
    )
    return bottle if bottle.key(date) == key else None


def _first_path(head: bytes) -> tuple[str, str]:
    """(formula, pkg_version) of the first path in the beginning of a bottle's archive, or ("", "")."""
    import tarfile

    try:
        data = zlib.decompressobj(wbits=31).decompress(head, _PEEK_BYTES)
        header = tarfile.TarInfo.frombuf(data[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
        if header.type in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                header = archive.next() or header
    except (zlib.error, tarfile.TarError, EOFError):
        return "", ""
    path = header.name.removeprefix("./").split("/")
    return (path[0], path[1]) if len(path) > 1 else ("", "")


def entries_of(receipts: Iterable[Receipt]) -> dict[str, Entry]:
    """Entry key -> entry; of two places with the same bottle the newer one counts."""
    entries: dict[str, Entry] = {}
    for receipt in receipts:
        known = entries.get(receipt.key)
        if known is None or known.download_date <= receipt.entry.download_date:
            entries[receipt.key] = receipt.entry
    return entries
