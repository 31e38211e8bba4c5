"""Publishing: what clients are served becomes what is held, proven and servable now.

The order is bottles, indexes, API files, record, pointer: whatever a client is given leads only to what
stands in the store. A sync has brought the bottles and their indexes; this fetches the API's files, writes
the record and moves the pointer. A kill between any two of these steps leaves the old publication served.
"""

import logging
from datetime import UTC, datetime
from typing import Literal

import msgspec

from brew_assets.domain.manifest import Manifest
from brew_assets.domain.publication import Pointer, Publication
from brew_assets.domain.publication_rules import why_not_whole
from brew_assets.engine.api_files import fetch_generation
from brew_assets.engine.publication_content import content_of
from brew_assets.engine.published import keep_record, move_pointer, read_pointer, read_record
from brew_assets.engine.sync import Mirror
from brew_assets.errors import PublicationInvalid

_log = logging.getLogger(__name__)

# `published`: the pointer names the new record. `unchanged`: clients are given the same already.
# `incomplete`: the rules keep it back. `older`: upstream shows an older generation than is served.
# `superseded`: another has published a newer one meanwhile.
Outcome = Literal["published", "unchanged", "incomplete", "older", "superseded"]


class PublishResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a try to publish. `why` says in a sentence why the pointer did not move.

    `publication` is the record that was made, or would be in a dry run; None where there is none to make.
    `current` is the pointer as it stands afterwards.
    """

    outcome: Outcome
    why: str = ""
    generated_at: int = 0
    publication: Publication | None = None
    current: Pointer | None = None


def publish(
    mirror: Mirror,
    manifest: Manifest,
    *,
    sync_id: str = "",
    allow_older: bool = False,
    dry_run: bool = False,
) -> PublishResult:
    """What is held by `manifest` and servable is published with the API's files of one generation.

    `sync_id` names the sync that publishes. A dry run changes no record and no pointer; the API's files are
    fetched and kept. `allow_older` publishes a generation that is older than the current one.

    Raises:
        GenerationsDiffer: upstream's hosts did not agree in time.
        CatalogueUnavailable, CatalogueRefused: the API, or the catalogue where none is kept, cannot be had.
        PublicationInvalid: an API file that nobody known has signed, or the pointer is damaged.
        PlanInvalid, CatalogueInvalid: the settings name nothing that the catalogue has, or cannot be
            resolved by it.
        StoreError: the store cannot be read or written.
    """
    options, store = mirror.options, mirror.store
    generation = fetch_generation(mirror.ports, options, options.api_tags)
    pointer = read_pointer(store).pointer
    earlier = _record_of(mirror, pointer)
    if pointer is not None and generation.is_older_than(pointer.generated_at) and not allow_older:
        return PublishResult(
            outcome="older",
            why=f"upstream shows an API of {_time(generation.generated_at)}, older than that of "
            f"{_time(pointer.generated_at)}, which is served; `publish --allow-older` publishes it",
            generated_at=generation.generated_at,
            current=pointer,
        )
    found = content_of(mirror, manifest, generation, earlier, sync_id=sync_id)
    result = PublishResult(
        outcome="incomplete",
        why=why_not_whole(found.lacking, options.publication),
        generated_at=generation.generated_at,
        publication=found,
        current=pointer,
    )
    if result.why:
        return result
    if earlier is not None and found.has_content_of(earlier):
        return msgspec.structs.replace(result, outcome="unchanged", publication=earlier)
    if dry_run:
        return msgspec.structs.replace(result, outcome="published")
    move = move_pointer(
        store, mirror.ports.clock, found, sha256=keep_record(store, found), allow_older=allow_older
    )
    return msgspec.structs.replace(
        result,
        outcome="published" if move.moved else "superseded",
        why="" if move.moved else f"{move.current.publication_id} was published meanwhile, and is newer",
        current=move.current,
    )


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, tz=UTC):%Y-%m-%d %H:%M:%S} UTC"


def _record_of(mirror: Mirror, pointer: Pointer | None) -> Publication | None:
    """The current record; None where there is none, or it is damaged: the next one takes its place."""
    if pointer is None:
        return None
    try:
        return read_record(mirror.store, pointer.publication_id, sha256=pointer.sha256)
    except PublicationInvalid as error:
        _log.warning("the current publication cannot be believed", extra={"error": str(error)})
        return None
