"""Publishing: what clients are served becomes what is held, proven and servable now.

The order is bottles, indexes, API files, record, pointer: whatever a client is given leads only to what
stands in the store. A sync has brought the bottles and their indexes; this fetches the API's files, writes
the record and moves the pointer. A kill between any two of these steps leaves the old publication served.
"""

import logging
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Literal

import msgspec

from brew_assets.domain.manifest import Manifest
from brew_assets.domain.plan import Plan
from brew_assets.domain.publication import Pointer, Publication
from brew_assets.domain.publication_rules import why_not_whole
from brew_assets.domain.report import Report
from brew_assets.engine.api_files import Generation, fetch_generation, kept_generation
from brew_assets.engine.log_context import bound, facts_of_error
from brew_assets.engine.options import Options
from brew_assets.engine.publication_content import content_of
from brew_assets.engine.published import keep_record, move_pointer, read_pointer, read_record
from brew_assets.engine.record.whole_record import read_whole_record
from brew_assets.engine.reports import kept_reports
from brew_assets.engine.sync import Mirror
from brew_assets.errors import MirrorError, PublicationInvalid

_log = logging.getLogger(__name__)

# `published`: the pointer names the new record. `unchanged`: clients are given the same already.
# `incomplete`: the rules keep it back. `older`: upstream shows an older generation than is served.
# `superseded`: another has published a newer one meanwhile. `awaited`: other runs of the sync have bottles
# left to copy, and the last of them publishes. `failed`: an error, of the API or of the store.
Outcome = Literal["published", "unchanged", "incomplete", "older", "superseded", "awaited", "failed"]


class PublishResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a try to publish. `why` says in a sentence why the pointer did not move.

    `publication` is the record that was made, or would be in a dry run, or that has the same already, with
    what lacks now; None where there is none to make.
    `current` is the pointer as it stands afterwards.
    """

    outcome: Outcome
    why: str = ""
    generated_at: int = 0
    publication: Publication | None = None
    current: Pointer | None = None

    @property
    def is_current(self) -> bool:
        """Whether clients are served what is held now."""
        return self.outcome in ("published", "unchanged")


def publish(
    mirror: Mirror,
    manifest: Manifest,
    *,
    sync_id: str = "",
    generation: Generation | None = None,
    allow_older: bool = False,
    dry_run: bool = False,
) -> PublishResult:
    """What is held by `manifest` and servable is published with the API's files of one generation.

    Without a `generation` it is the one that upstream shows now. `sync_id` names the sync that publishes. A
    dry run changes no record and no pointer; the API's files are fetched and kept. `allow_older` publishes a
    generation that is older than the current one.

    Raises:
        GenerationsDiffer: upstream's hosts did not agree in time.
        CatalogueUnavailable, CatalogueRefused: the API, or the catalogue where none is kept, cannot be had.
        PublicationInvalid: an API file that nobody known has signed, or the pointer is damaged.
        PlanInvalid, CatalogueInvalid: the settings name nothing that the catalogue has, or cannot be
            resolved by it.
        StoreError: the store cannot be read or written.
    """
    options, store = mirror.options, mirror.store
    is_upstreams = generation is None
    if generation is None:
        generation = fetch_generation(mirror.ports, options, options.api_tags)
    pointer = read_pointer(store).pointer
    earlier = _record_of(mirror, pointer)
    why_older = ""
    if pointer is not None and not allow_older:
        why_older = _why_older(generation, pointer, earlier, is_upstreams=is_upstreams)
    if why_older:
        return PublishResult(
            outcome="older", why=why_older, generated_at=generation.generated_at, current=pointer
        )
    found = content_of(mirror, manifest, generation, earlier, sync_id=sync_id)
    if pointer is not None and not allow_older:
        # The file of a tag that is new here may be some seconds older than the others: no step back.
        found = msgspec.structs.replace(found, generated_at=max(found.generated_at, pointer.generated_at))
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
        # What lacks is what lacks now: settings may have changed since.
        same = msgspec.structs.replace(earlier, lacking=found.lacking, counts=found.counts)
        return msgspec.structs.replace(result, outcome="unchanged", publication=same)
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


def publish_after(mirror: Mirror, plan: Plan, report: Report, manifest: Manifest) -> PublishResult | None:
    """What became of the publication at the end of a run of the plan; None when PUBLISH=off.

    A run of a platform leaves it to the last one of its sync. Never raises: what was copied is held and
    reported all the same, and the next sync publishes it.
    """
    if mirror.options.publication.mode == "off" or report.aborted:
        return None
    with bound(sync_id=plan.sync_id, platform=",".join(report.platforms)):
        try:
            return publish_by_plan(mirror, plan, manifest, ended=report.platforms)
        except MirrorError as error:
            _log.error("nothing is published", extra=facts_of_error(error))
            return PublishResult(outcome="failed", why=str(error))


def publish_by_plan(
    mirror: Mirror, plan: Plan, manifest: Manifest, *, ended: Collection[str] = ()
) -> PublishResult:
    """What is held is published with the API by which the plan was made, as far as that is kept.

    Not before the runs of all its platforms have ended, or have brought all of it; `ended` are those that are
    known to have ended though their reports may not be kept.

    Raises:
        MirrorError: as `publish`.
    """
    others = [tag for tag in plan.platforms if tag not in ended and plan.pending(tag)]
    reported = _reported(mirror, plan) if others else frozenset()
    running = [tag for tag in others if tag not in reported]
    if any(_lacks(manifest, plan, tag) for tag in others if tag in reported):
        # It has ended since the manifest was read. A run reports after it has recorded what it stored, so
        # what is read after the reports has all that these runs have brought.
        manifest = read_whole_record(mirror.store, workers=mirror.options.workers).manifest
    if left := [tag for tag in running if _lacks(manifest, plan, tag)]:
        why = f"the runs for {', '.join(left)} still have bottles to copy; the last one publishes"
        return PublishResult(outcome="awaited", why=why)
    # While a sync copies, upstream moves on to bottles that nobody has planned yet.
    planned = _generation_of(mirror, plan)
    result = publish(mirror, manifest, sync_id=plan.sync_id, generation=planned)
    if result.outcome == "incomplete" and running:
        # They have all their bottles, and ask for indexes yet.
        why = f"the runs for {', '.join(running)} have not ended; the last one publishes"
        return msgspec.structs.replace(result, outcome="awaited", why=why)
    return result


def is_of_all(plan: Plan, options: Options) -> bool:
    """Whether a sync by this plan was to bring all that the mirror is meant to hold."""
    return not plan.formulae and set(options.platforms) <= set(plan.platforms)


def is_shortfall(result: PublishResult | None, plan: Plan, options: Options) -> bool:
    """Whether a sync by this plan ends with exit code 1 because of its publication.

    A sync of a part is no failure for what it was not asked to bring.
    """
    return result is not None and result.outcome in ("incomplete", "failed") and is_of_all(plan, options)


def _generation_of(mirror: Mirror, plan: Plan) -> Generation | None:
    """The generation by which the plan was made, as it is kept; None without one of the same tags."""
    api, tags = mirror.ports.api, {file.tag for file in plan.api}
    if api is None or tags != set(mirror.options.api_tags):
        return None
    return kept_generation(mirror.store, api.keys(), plan.api)


def _reported(mirror: Mirror, plan: Plan) -> frozenset[str]:
    """The platforms of the plan whose runs have ended."""
    reports = kept_reports(mirror.store, plan.sync_id).values()
    return frozenset(platform for report in reports for platform in report.platforms)


def _lacks(manifest: Manifest, plan: Plan, platform: str) -> bool:
    """Whether bottles that the run of the platform was to copy are not held."""
    return any(not manifest.holds(planned.bottle) for planned in plan.pending(platform))


def _why_older(
    generation: Generation, current: Pointer, earlier: Publication | None, *, is_upstreams: bool
) -> str:
    """What of the generation is older than what is served, in a sentence; empty when nothing is."""
    # Files of one generation are made some seconds apart, so they are compared tag by tag.
    before = {api.tag: api.generated_at for api in earlier.api} if earlier is not None else {}
    files = [file.published for file in generation.files if file.published.tag in before]
    times = [(file.generated_at, before[file.tag]) for file in files]
    times = times or [(generation.generated_at, current.generated_at)]
    older = next(((found, served) for found, served in times if found < served), None)
    if older is None:
        return ""
    found, served = map(_time, older)
    if is_upstreams:
        return (
            f"upstream shows an API of {found}, older than that of {served}, which is served; "
            "`publish --allow-older` publishes it"
        )
    return (
        f"its plan was made with the API of {found}, and that of {served} is served by now; "
        "`brew-mirror publish` publishes what upstream shows now"
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
        _log.warning("the current publication cannot be believed", extra=facts_of_error(error))
        return None
