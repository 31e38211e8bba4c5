"""The records of publications, and the pointer to the current one, as they stand in the store."""

import contextlib
import hashlib
import heapq
import logging
import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import msgspec

from brew_assets.domain.bottle import Digest
from brew_assets.domain.proof import is_sync_id
from brew_assets.domain.publication import (
    POINTER_KEY,
    RECORD_PREFIX,
    Pointer,
    Publication,
    decode_pointer,
    decode_publication,
    encode_pointer,
    encode_publication,
    record_key,
)
from brew_assets.domain.publication_rules import goes_before
from brew_assets.engine.ports import Clock, Store
from brew_assets.errors import KeyTaken, PreconditionFailed, PublicationInvalid, StoreError

_log = logging.getLogger(__name__)
# As many writers as that never publish at the same moment.
_MOST_RACES = 50
_REMEDY = "put the record back, or publish anew with `brew-mirror publish`"


def new_publication_id(now: datetime) -> str:
    """An id that nobody else has, and that sorts by the time.

    To the microsecond: of two publications of one generation within a second the later one is to be current.
    """
    return f"{now:%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(4)}"


class PointerNow(msgspec.Struct, frozen=True, kw_only=True):
    """The pointer as it was read, and the version that a compare-and-swap names; None when there is none."""

    pointer: Pointer | None = None
    version: str | None = None


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """Which publication is current after a try to move the pointer, and whether it was this try's."""

    current: Pointer
    moved: bool


def read_pointer(store: Store) -> PointerNow:
    """The pointer to the current publication.

    Raises:
        PublicationInvalid: what stands there is no pointer.
        StoreError: the store cannot be read.
    """
    document = store.read(POINTER_KEY)
    if document is None:
        return PointerNow()
    return PointerNow(pointer=decode_pointer(document.data), version=document.version)


def read_record(store: Store, publication_id: str, *, sha256: str = "") -> Publication:
    """The record of that id; with `sha256` its bytes are those that the pointer names.

    Raises:
        PublicationInvalid: there is none, or it cannot be believed.
        StoreError: the store cannot be read.
    """
    key = record_key(publication_id)
    document = store.read(key)
    if document is None:
        raise PublicationInvalid(f"{key}: expected a publication's record, found nothing; {_REMEDY}")
    if sha256 and (found := hashlib.sha256(document.data).hexdigest()) != sha256:
        raise PublicationInvalid(
            f"{key}: expected a record with sha256 {sha256}, as {POINTER_KEY} has it, found {found}; "
            f"{_REMEDY}"
        )
    return decode_publication(document.data, publication_id=publication_id)


def newest_ids(store: Store, most: int) -> list[str]:
    """The ids of the newest records, the newest first, so many at most.

    Raises:
        StoreError: the store cannot be read.
    """
    names = (listed.key.removeprefix(RECORD_PREFIX) for listed in store.listing(RECORD_PREFIX))
    ids = (name.removesuffix(".json") for name in names if name.endswith(".json"))
    # The pointer stands among them under a name that could be an id, but for its first letter.
    return heapq.nlargest(most, (name for name in ids if is_sync_id(name) and name[0].isdigit()))


def newest_record(store: Store) -> Publication | None:
    """The newest record that can be believed; None when there is none.

    Raises:
        StoreError: the store cannot be read.
    """
    for publication_id in newest_ids(store, 10):
        with contextlib.suppress(PublicationInvalid):
            return read_record(store, publication_id)
    return None


def missing_objects(
    store: Store, found: Publication, earlier: Iterable[Publication], *, workers: int
) -> list[str]:
    """The keys that the publication names, that no earlier one names, and that the store does not confirm.

    One request each, several at a time.

    Raises:
        StoreError: the store cannot be asked.
    """
    known = {key for publication in earlier for key in _keys_of(publication)}
    wanted = [key for key in _keys_of(found) if key not in known]
    with ThreadPoolExecutor(workers, thread_name_prefix="confirm") as pool:
        there = pool.map(store.exists, wanted)
        return [key for key, is_so in zip(wanted, there, strict=True) if not is_so]


def _keys_of(publication: Publication) -> Iterable[str]:
    for kind in (publication.bottles, publication.indexes, publication.api):
        yield from (one.key for one in kind)


def keep_record(store: Store, publication: Publication) -> str:
    """The SHA-256 of the record's bytes, which stand in the store from now on and never change.

    Raises:
        PublicationInvalid: another record stands under its id.
        StoreError: the store does not take it.
    """
    data = encode_publication(publication)
    try:
        store.write(publication.key, data, create_only=True)
    except KeyTaken:
        # Our own: the answer to the first try was lost.
        document = store.read(publication.key)
        if document is None or document.data != data:
            raise PublicationInvalid(f"{publication.key}: another record stands there") from None
    return hashlib.sha256(data).hexdigest()


def move_pointer(
    store: Store, clock: Clock, publication: Publication, *, sha256: str, allow_older: bool = False
) -> Move:
    """The pointer names the publication, unless a newer one is current: then that stays.

    `allow_older` moves it whatever is current.

    Raises:
        PublicationInvalid: what stands there is no pointer.
        StoreError: the store cannot be read or written, or others win every race.
    """
    # Compare-and-swap alone: the pointer is read, judged and replaced only if it still is the one that was
    # judged. Whoever loses reads again, so of two writers the one with the older generation meets the newer
    # one's pointer at the latest on its second look, and stands down. No order of their steps moves it back.
    for _ in range(_MOST_RACES):
        now = read_pointer(store)
        if now.pointer is not None and now.pointer.publication_id == publication.publication_id:
            return Move(current=now.pointer, moved=True)
        if now.pointer is not None and not allow_older and goes_before(now.pointer, publication):
            return Move(current=now.pointer, moved=False)
        pointer = Pointer(
            publication_id=publication.publication_id,
            sha256=Digest(sha256),
            current_since=f"{clock.now():%Y-%m-%dT%H:%M:%SZ}",
            generated_at=publication.generated_at,
        )
        try:
            _replace(store, now, encode_pointer(pointer))
        except (KeyTaken, PreconditionFailed):
            continue
        _log.info("a publication is current", extra={"publication_id": publication.publication_id})
        return Move(current=pointer, moved=True)
    raise StoreError(f"{POINTER_KEY}: lost {_MOST_RACES} races in a row against other writers")


def _replace(store: Store, now: PointerNow, data: bytes) -> None:
    if now.version is None:
        store.write(POINTER_KEY, data, create_only=True)
    else:
        store.write(POINTER_KEY, data, replaces=now.version)
