"""The way of a client, from the pointer to the record, to an index and to a bottle, and what fails first."""

import hashlib
import random
import re
from collections.abc import Iterator

import msgspec

from brew_assets.domain.bottle import (
    Bottle,
    PkgVersion,
    blob_url,
    image_name,
    is_pkg_version,
    parse_filename,
)
from brew_assets.domain.publication import (
    POINTER_KEY,
    PublishedApi,
    PublishedBottle,
    PublishedIndex,
)
from brew_assets.domain.servable import IndexName, index_of, judge
from brew_assets.engine.ports import Store
from brew_assets.engine.published import read_pointer, read_record
from brew_assets.errors import PublicationInvalid

_INDEX_REMEDY = "Mend it: `brew-mirror sync` fetches the index again."
_BOTTLE_REMEDY = "Mend it: launch the job `repair`, or run `brew-mirror verify --deep --repair`."
_API_REMEDY = "Mend it: materialize publication, or run `brew-mirror publish`."


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """How far a walk came: so many `bottles` of those `sampled` are as published, with their indexes.

    `finding` is what was wrong first, and `remedy` what mends it. `publication_id` is empty where the pointer
    leads to no record, or there is none.
    """

    publication_id: str = ""
    has_pointer: bool = True
    sampled: int = 0
    bottles: int = 0
    finding: str = ""
    remedy: str = ""


def walk_publication(store: Store, *, most: int, seed: str) -> Walk:
    """A walk over at most so many bottles of the current publication, the same ones for the same seed.

    The record has the SHA-256 that the pointer names. The index of a bottle is the one that the record names
    for it, has the SHA-256 of its name, and fits; the bottle stands there with its size, and with its digest
    where the store vouches for one.

    Raises:
        StoreError: the store cannot be asked.
    """
    try:
        pointer = read_pointer(store).pointer
        if pointer is None:
            finding = f"{POINTER_KEY}: expected the pointer to a publication, found nothing yet"
            return Walk(has_pointer=False, finding=finding, remedy=_API_REMEDY)
        record = read_record(store, pointer.publication_id, sha256=pointer.sha256)
    except PublicationInvalid as error:
        return Walk(finding=str(error))
    sample = random.Random(seed).sample(record.bottles, min(most, len(record.bottles)))
    walk = Walk(publication_id=record.publication_id, sampled=len(sample))
    for api in record.api:
        if finding := _why_not_there(store, api, digest=api.sha256):
            return msgspec.structs.replace(walk, finding=finding, remedy=_API_REMEDY)
    indexes = {IndexName(index.image, index.reference): index for index in record.indexes}
    for number, bottle in enumerate(sorted(sample, key=lambda one: one.key)):
        walk = msgspec.structs.replace(walk, bottles=number)
        if finding := _why_not_servable(store, bottle, indexes):
            return msgspec.structs.replace(walk, finding=finding, remedy=_INDEX_REMEDY)
        if finding := _why_not_there(store, bottle, digest=bottle.digest):
            return msgspec.structs.replace(walk, finding=finding, remedy=_BOTTLE_REMEDY)
    return msgspec.structs.replace(walk, bottles=len(sample))


def _why_not_servable(
    store: Store, published: PublishedBottle, indexes: dict[IndexName, PublishedIndex]
) -> str:
    """What is wrong with the index that brew is given for the bottle, in a sentence; empty when it fits."""
    named = [bottle for bottle in _readings(published) if index_of(bottle) in indexes]
    if not named:
        return f"{published.key}: expected its index in the record, found none of {published.image}"
    index = indexes[index_of(named[0])]
    document = store.read(index.key)
    actual = "nothing" if document is None else hashlib.sha256(document.data).hexdigest()
    if document is None or actual != index.sha256:
        return f"{index.key}: expected an index with the SHA-256 of its name, found {actual}"
    unfit = judge(document.data).describe_unfit(named[0])
    return f"{index.key}: {unfit}" if unfit else ""


def _readings(published: PublishedBottle) -> Iterator[Bottle]:
    """What its file name can mean: names and versions may both hold "-", and the image decides."""
    parts = parse_filename(published.filename)
    if parts is None:
        return
    for found in re.finditer("-", parts.stem):
        name, version = parts.stem[: found.start()], parts.stem[found.end() :]
        if image_name(name) == published.image and is_pkg_version(version):
            yield Bottle(
                formula=name,
                pkg_version=PkgVersion(version),
                tag=parts.tag,
                rebuild=parts.rebuild,
                digest=published.digest,
                url=blob_url(name, published.digest),
            )


def _why_not_there(store: Store, published: PublishedApi | PublishedBottle, *, digest: str) -> str:
    """What is wrong with the object itself, in a sentence; empty when it stands there as published."""
    facts, key = store.facts(published.key), published.key
    if facts is None:
        return f"{key}: expected {published.size:,} bytes, found nothing"
    if facts.size != published.size:
        return f"{key}: expected {published.size:,} bytes, found {facts.size:,}"
    if facts.digest is not None and facts.digest != digest:
        return f"{key}: expected the SHA-256 {digest}, found {facts.digest}"
    return ""
