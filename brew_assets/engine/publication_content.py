"""What a publication has: every servable bottle, its index, and the API's files; and what lacks."""

from collections.abc import Container, Iterable, Iterator, Mapping

import msgspec

from brew_assets.domain.api_bottles import bottles_of_api
from brew_assets.domain.bottle import Bottle, image_name
from brew_assets.domain.manifest import Entry, HeldEntry, Manifest, bottle_of
from brew_assets.domain.publication import (
    Fault,
    Lacking,
    Publication,
    PublishedBottle,
    counts_of,
)
from brew_assets.domain.selection import Meant, meant_to_hold
from brew_assets.domain.servable import IndexName, index_of
from brew_assets.engine.api_files import Generation
from brew_assets.engine.planner import catalogue_at_hand
from brew_assets.engine.ports import Store
from brew_assets.engine.published import missing_objects, new_publication_id
from brew_assets.engine.reports import kept_reports, newest_reported
from brew_assets.engine.servable_bottles import ServableBottles, servable_bottles
from brew_assets.engine.sync import Mirror
from brew_assets.errors import BlobNotFound, DigestMismatch, SizeMismatch, StoreError

# What the reports of so many syncs say of a bottle that is not stored. Many may have been asked for others.
_SYNCS_READ = 20
_UPSTREAMS = frozenset({BlobNotFound.reason, DigestMismatch.reason, SizeMismatch.reason})
_Name = tuple[str, str]


def content_of(
    mirror: Mirror,
    manifest: Manifest,
    generation: Generation,
    earlier: Publication | None,
    *,
    sync_id: str = "",
) -> Publication:
    """The publication of everything that is servable, with what lacks of what the mirror is meant to hold.

    What is meant is said by the settings alone, never by what one sync was asked for. What no `earlier` one
    names, the store has confirmed.

    Raises:
        CatalogueUnavailable, CatalogueRefused, CatalogueInvalid: no catalogue is kept, and none can be had.
        PlanInvalid: the settings name nothing that the catalogue has.
        StoreError: the store cannot be read, or does not keep a file of the API.
    """
    options, store, now = mirror.options, mirror.store, mirror.ports.clock.now()
    meant = meant_to_hold(
        catalogue_at_hand(mirror)[0],
        platforms=options.platforms,
        mirror_formulae=options.mirror_formulae,
        exclude=options.exclude_formulae,
        include_disabled=options.include_disabled,
        include_dependencies=options.include_dependencies,
    )
    wanted = bottles_meant(generation, meant, include_disabled=options.include_disabled)
    entries = dict(manifest.entries())
    held = {key: HeldEntry.of(entry) for key, entry in entries.items()}
    asked = {_name(bottle): bottle for bottle in (*map(bottle_of, entries.values()), *wanted)}
    servable = servable_bottles(store, held, asked.values(), workers=options.workers)
    found = Publication(
        publication_id=new_publication_id(now),
        sync_id=sync_id,
        created_at=f"{now:%Y-%m-%dT%H:%M:%SZ}",
        generated_at=generation.generated_at,
        tap_git_head=generation.tap_git_head,
        api=tuple(sorted((file.published for file in generation.files), key=lambda api: api.tag)),
        bottles=tuple(_published(bottle, entries) for bottle in servable.bottles),
        indexes=servable.indexes,
    )
    known = [earlier] if earlier is not None else []
    gone = frozenset(missing_objects(store, found, known, workers=options.workers))
    if lost := sorted({api.key for api in found.api} & gone):
        raise StoreError(f"{lost[0]}: expected the API's file there, found nothing: it could not be kept")
    reasons = _why_lacking(asked.values(), servable) | _why_gone(servable, entries, gone)
    stored = {_name(bottle_of(entry)) for entry in entries.values() if entry.s3_key not in gone}
    lacking = (*_judged(store, reasons, wanted, sync_id, stored=stored), *_unusable(generation, meant))
    # Sorted, so that equal content is equal.
    bottles = sorted(
        (_published(bottle, entries) for bottle in servable.bottles if _name(bottle) not in reasons),
        key=lambda bottle: bottle.key,
    )
    indexes = sorted(
        (index for index in found.indexes if index.key not in gone),
        key=lambda index: (index.image, index.reference),
    )
    return msgspec.structs.replace(
        found,
        bottles=tuple(bottles),
        indexes=tuple(indexes),
        lacking=lacking,
        counts=counts_of(bottles, indexes, lacking),
    )


def bottles_meant(generation: Generation, meant: Meant, *, include_disabled: bool) -> list[Bottle]:
    """The bottles that the API names to clients of the mirror's platforms and that it is meant to hold."""
    found = {}
    for packages in generation.packages:
        for bottle, _ in bottles_of_api([packages], (packages.tag,), include_disabled=include_disabled):
            if meant.covers(bottle.formula, packages.tag):
                found[_name(bottle)] = bottle
    return list(found.values())


def _unusable(generation: Generation, meant: Meant) -> Iterator[Lacking]:
    """What the API names to clients in an entry of which no bottle can be made: nobody could be given it."""
    for packages in generation.packages:
        for entry in packages.rejected:
            if meant.covers(entry.name, packages.tag):
                why = f"its entry in the API cannot be used: {entry.why}"
                yield Lacking(name=entry.name, tag=packages.tag, reason=why, fault="upstream")


def _name(bottle: Bottle) -> _Name:
    return bottle.filename, bottle.digest


def _published(bottle: Bottle, entries: Mapping[str, Entry]) -> PublishedBottle:
    entry = entries[bottle.entry_key]
    return PublishedBottle(
        image=image_name(bottle.formula), digest=bottle.digest, key=entry.s3_key, size=entry.file_size
    )


def _why_lacking(asked: Iterable[Bottle], servable: ServableBottles) -> dict[_Name, Lacking]:
    there = {_name(bottle) for bottle in servable.bottles}
    names = [name for bottle in asked if (name := _name(bottle)) not in there]
    return dict(zip(names, servable.lacking, strict=True))


def _why_gone(
    servable: ServableBottles, entries: Mapping[str, Entry], gone: frozenset[str]
) -> dict[_Name, Lacking]:
    """Of the servable ones those of which the store confirms the bottle or the index no more."""
    lost = {IndexName(index.image, index.reference) for index in servable.indexes if index.key in gone}
    return {
        _name(bottle): Lacking(
            name=bottle.formula,
            tag=bottle.tag,
            reason=f"{key}: it is recorded, and the store does not have it"
            if (key := entries[bottle.entry_key].s3_key) in gone
            else f"{index_of(bottle)}: its index is listed, and the store does not have it",
            fault="mirror",
        )
        for bottle in servable.bottles
        if entries[bottle.entry_key].s3_key in gone or index_of(bottle) in lost
    }


def _judged(
    store: Store,
    reasons: Mapping[_Name, Lacking],
    wanted: Iterable[Bottle],
    sync_id: str,
    *,
    stored: Container[_Name],
) -> Iterator[Lacking]:
    """What lacks of the wanted ones, with what a sync has met where the bottle itself is not `stored`.

    By upstream's fault where a sync could not get the bottle from there.
    """
    failed = _last_failures(store, sync_id) if reasons else {}
    for bottle in wanted:
        name = _name(bottle)
        lacking = reasons.get(name)
        if lacking is None:
            continue
        if name in failed and name not in stored:
            fault, message = failed[name]
            lacking = msgspec.structs.replace(lacking, reason=message, fault=fault)
        yield lacking


def _last_failures(store: Store, sync_id: str) -> dict[_Name, tuple[Fault, str]]:
    """Which bottles the newest syncs could not copy, whose fault it was last, and what was met.

    Some are stored by now.
    """
    syncs = dict.fromkeys((*reversed(newest_reported(store, _SYNCS_READ)), *filter(None, [sync_id])))
    return {
        (failure.name, failure.digest): (
            "upstream" if failure.reason in _UPSTREAMS else "mirror",
            failure.message,
        )
        for known in syncs
        for report in kept_reports(store, known).values()
        for failure in report.failed
    }
