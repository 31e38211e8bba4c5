"""Plans: what a sync has to copy, decided before a byte moves.

A name is needed when no held object has it; a digest is fetched once, and its other names are made inside
the store. In a plan over several platforms each digest has one owner.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from brew_assets.domain.api import PackagesFile
from brew_assets.domain.api_bottles import bottles_of_api, joined, only_in_api
from brew_assets.domain.bottle import Bottle, Digest, is_digest, is_formula_name, is_tag
from brew_assets.domain.catalogue import Catalogue, check_served, check_serves, choose_bottles
from brew_assets.domain.left_out import LeftOut, left_out_of
from brew_assets.domain.manifest import HeldEntry
from brew_assets.domain.named_formulae import Exclusions, exclusions_of, question, suggest
from brew_assets.domain.object_keys import is_date
from brew_assets.domain.platforms import KNOWN_PLATFORMS, is_platform
from brew_assets.domain.proof import (
    Proof,
    is_bottle_key,
    is_size,
    is_sync_id,
    shown,
    why_not_platforms,
    wrong,
)
from brew_assets.domain.publication import PublishedApi
from brew_assets.domain.seal import SealedKind
from brew_assets.domain.selection import Selection, select
from brew_assets.errors import PlanInvalid

Route = Literal["local", "ecs", "lambda"]
Count = Annotated[int, Meta(ge=0)]

# 1: without a seal.
PLAN_VERSION = 2
_KIND = SealedKind(
    name="plan",
    version=PLAN_VERSION,
    remedy="Nothing was copied. Make a new plan: `brew-mirror plan`, or in Dagster materialize "
    "pending_bottles.",
)


class PlannedBottle(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One name to be stored.

    `size` in bytes, None when upstream does not say; `source` is the key of a held object with the same
    digest; `owner` is the platform whose run copies it first. `again` says that the bottle is recorded and
    the store has lost it; `lost` is the key that the record names, where the catalogue names it no longer.
    """

    bottle: Bottle
    platforms: tuple[str, ...]
    size: int | None = None
    source: str | None = None
    owner: str = ""
    again: bool = False
    lost: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One sync, before its runs begin. An immutable document in the store.

    `route` is where it should be copied, as decided when it was made; empty when nobody decided.
    `catalogue_formulae` and `catalogue_bottles` count what the catalogue has that can be used. `excludes` are
    the names that EXCLUDE_FORMULAE had then. `api` are the files of the signed API whose bottles are in it
    too; none when there was no API to ask.

    `formulae` were asked for by this sync alone; else the plan is for the whole mirror: for the `meant` ones
    of MIRROR_FORMULAE, or for all where there are none. A `closed` plan has what they need, too: the
    `needed`.
    """

    plan_version: int = PLAN_VERSION
    sync_id: str
    sync_date: str
    created_at: str
    catalogue_sha256: str
    catalogue_formulae: Count = 0
    catalogue_bottles: Count = 0
    api: tuple[PublishedApi, ...] = ()
    platforms: tuple[str, ...]
    formulae: tuple[str, ...] = ()
    meant: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    closed: bool = False
    excludes: tuple[str, ...] = ()
    force: bool = False
    held: Count = 0
    skipped: Count = 0
    left_out: LeftOut = LeftOut()
    route: Route | Literal[""] = ""
    route_reason: str = ""
    objects: tuple[PlannedBottle, ...] = ()

    @property
    def covered(self) -> "frozenset[str] | None":
        """The formulae that it is for, with what they need; None when they are all."""
        return frozenset((*self.formulae, *self.meant, *self.needed)) or None

    def pending(self, platform: str) -> list[PlannedBottle]:
        """The names that this platform needs."""
        return [planned for planned in self.objects if platform in planned.platforms]

    def of_runs(self, platforms: Collection[str]) -> list[PlannedBottle]:
        """The names that the runs of these platforms copy between them, each once."""
        return [
            planned
            for planned in self.objects
            if planned.owner in platforms or not set(planned.platforms).isdisjoint(platforms)
        ]

    def digests(self) -> set[Digest]:
        """The digests that have to be fetched from upstream."""
        return {planned.bottle.digest for planned in self.objects if planned.source is None}


def check_platforms(platforms: Sequence[str]) -> tuple[str, ...]:
    """The platforms, each once, in the given order.

    Raises:
        PlanInvalid: none given, or one that no client machine can be of.
    """
    if not platforms:
        raise PlanInvalid("platforms: expected at least one, found none")
    if unknown := unknown_platforms(platforms):
        named = "; ".join(
            f"platform {tag[:80]!r} is not known{f' ({question(meant)})' if meant else ''}"
            for tag, meant in unknown.items()
        )
        raise PlanInvalid(f"{named}; `brew-mirror platforms` lists all")
    return tuple(dict.fromkeys(platforms))


def unknown_platforms(platforms: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Those that no client machine can be of, and what may have been meant by each."""
    unknown = (platform for platform in platforms if not is_platform(platform))
    return {tag: suggest(tag, KNOWN_PLATFORMS) for tag in unknown}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a sync is asked to cover: its formulae, else those that the mirror is meant to hold, else all.

    What they need comes with them, unless it is not to be included; those to `exclude` do not.
    """

    platforms: tuple[str, ...]
    formulae: tuple[str, ...] = ()
    mirror_formulae: tuple[str, ...] = ()
    include_dependencies: bool = True
    force: bool = False
    include_disabled: bool = False
    exclude: tuple[str, ...] = ()


def selected_by(catalogue: Catalogue, request: Request) -> "tuple[tuple[str, ...], Selection, Exclusions]":
    """Platforms, formulae and exclusions of a request.

    Raises:
        PlanInvalid: an unknown platform or formula, a rejected or an excluded one.
        CatalogueInvalid: of too many formulae it cannot be read what they need.
    """
    platforms = check_platforms(request.platforms)
    exclusions = exclusions_of(catalogue, request.exclude)
    selection = select(
        catalogue,
        platforms,
        formulae=request.formulae,
        mirror_formulae=request.mirror_formulae,
        exclusions=exclusions,
        include_disabled=request.include_disabled,
        include_dependencies=request.include_dependencies,
    )
    return platforms, selection, exclusions


def check_request(catalogue: Catalogue, request: Request) -> "tuple[tuple[str, ...], Selection, Exclusions]":
    """Platforms, formulae and exclusions of a request of which a plan can be made.

    Raises:
        PlanInvalid: an unknown platform or formula, a rejected or an excluded one.
        CatalogueInvalid: more than a tenth of what would serve one of the platforms is rejected, or nothing
            serves any of them and no formula was asked for by name; or of too many formulae it cannot be read
            what they need.
    """
    platforms, selection, exclusions = selected_by(catalogue, request)
    check_served(catalogue, platforms)
    if not request.formulae:
        check_serves(catalogue, platforms)
    return platforms, selection, exclusions


def plan_sync(
    catalogue: Catalogue,
    held: Mapping[str, HeldEntry],
    request: Request,
    *,
    sync_id: str,
    created_at: str,
    skip: "frozenset[str] | set[str]" = frozenset(),
    api: Sequence[PackagesFile] = (),
) -> Plan:
    """What has to be stored so that every bottle of the request is held: of the catalogue, and of the API.

    Digests in `skip` (an external hash file's) are neither planned nor counted as held. `created_at` is
    an ISO 8601 UTC time; its date is the sync's date.

    Raises:
        PlanInvalid: an unknown platform or formula, or a rejected one.
        CatalogueInvalid: too little of what would serve the platforms can be used.
    """
    platforms, selection, exclusions = check_request(catalogue, request)
    chosen = choose_bottles(
        catalogue,
        platforms,
        selected=selection.by_platform,
        include_disabled=request.include_disabled,
        exclude=exclusions.names,
    )
    of_api = bottles_of_api(
        api,
        platforms,
        selected=selection.by_platform,
        include_disabled=request.include_disabled,
        exclude=exclusions.names,
    )
    chosen = joined(chosen, only_in_api(catalogue, of_api))
    if request.force:
        objects, kept, skipped = _needed(chosen, {}, frozenset())
    else:
        objects, kept, skipped = _needed(chosen, held, skip)
        objects = _with_sources(objects, held)
    asked = tuple(sorted(selection.asked or ()))
    return Plan(
        sync_id=sync_id,
        sync_date=created_at[:10],
        created_at=created_at,
        catalogue_sha256=catalogue.sha256,
        catalogue_formulae=len(catalogue.formulae),
        catalogue_bottles=catalogue.bottle_count(),
        platforms=platforms,
        formulae=asked if request.formulae else (),
        meant=() if request.formulae else asked,
        needed=selection.needed,
        closed=bool(asked) and request.include_dependencies,
        excludes=request.exclude,
        force=request.force,
        held=kept,
        skipped=len(skipped),
        left_out=left_out_of(
            catalogue,
            platforms,
            selection,
            include_disabled=request.include_disabled,
            exclusions=exclusions,
            chosen=(bottle for bottle, _ in chosen),
            skipped=skipped,
        ),
        objects=tuple(_with_owners(objects)),
    )


def _needed(
    chosen: Iterable[tuple[Bottle, tuple[str, ...]]],
    held: Mapping[str, HeldEntry],
    skip: "frozenset[str] | set[str]",
) -> tuple[list[PlannedBottle], int, list[Bottle]]:
    """What has to be stored, how many are held, and what the skip list names."""
    objects: list[PlannedBottle] = []
    skipped: list[Bottle] = []
    kept = 0
    for bottle, serves in chosen:
        entry = held.get(bottle.entry_key)
        if entry is not None and entry.sha256 == bottle.digest:
            kept += 1
        elif bottle.digest in skip:
            skipped.append(bottle)
        else:
            objects.append(PlannedBottle(bottle=bottle, platforms=serves))
    return objects, kept, skipped


def _with_sources(objects: list[PlannedBottle], held: Mapping[str, HeldEntry]) -> list[PlannedBottle]:
    """The objects, with the place and size of a held object where one has the digest."""
    wanted = {planned.bottle.digest for planned in objects}
    places = {
        entry.sha256: entry
        for entry in held.values()
        if entry.sha256 in wanted and is_bottle_key(entry.s3_key) and is_size(entry.file_size)
    }
    if not places:
        return objects
    return [
        msgspec.structs.replace(planned, source=place.s3_key, size=place.file_size)
        if (place := places.get(planned.bottle.digest))
        else planned
        for planned in objects
    ]


def with_sizes(plan: Plan, sizes: Mapping[str, int]) -> Plan:
    """The plan with the sizes (digest -> bytes) filled in, and its owners balanced by them."""
    objects = [
        planned
        if planned.size is not None or not is_size(size := sizes.get(planned.bottle.digest, 0))
        else msgspec.structs.replace(planned, size=size)
        for planned in plan.objects
    ]
    return msgspec.structs.replace(plan, objects=tuple(_with_owners(objects)))


def _with_owners(objects: Sequence[PlannedBottle]) -> Iterator[PlannedBottle]:
    """The objects, each digest given to the one of its platforms that has least to do so far.

    Unknown sizes count as the mean of the known ones.
    """
    # One owner for each digest, although it may stand under several tags (8 % of the names): two runs that
    # both had it would download it side by side. So all names are looked at before the first is given away.
    # Greedy, in the plan's order and with the platform's name to decide a tie: not the best balance, but the
    # same one whenever it is worked out, and a bottle more or less is nothing beside thousands. While no size
    # is known, all count alike.
    known = [planned.size for planned in objects if planned.size]
    mean = sum(known) // len(known) if known else 1
    candidates: dict[str, list[str]] = {}
    for planned in objects:
        candidates.setdefault(planned.bottle.digest, []).extend(planned.platforms)
    load: dict[str, int] = {}
    owners: dict[str, str] = {}
    for planned in objects:
        digest = planned.bottle.digest
        if digest not in owners:
            owner = min(candidates[digest], key=lambda platform: (load.get(platform, 0), platform))
            load[owner] = load.get(owner, 0) + (planned.size or mean)
            owners[digest] = owner
        yield msgspec.structs.replace(planned, owner=owners[digest])


def encode_plan(plan: Plan) -> bytes:
    """The plan as the document that stands in the store, sealed."""
    return _KIND.encode(plan)


_decoder = msgspec.json.Decoder(Plan)


def decode_plan(data: bytes, *, where: str = "the plan", sync_id: str = "", sealed: bool = True) -> Plan:
    """The plan in a document from the store, as it was sealed and with every field checked.

    `where` is what an error calls the document; with `sync_id` it is the plan of that sync. `sealed=False`
    accepts one of the version that had no seal, for whoever copies nothing of it.

    Raises:
        PlanInvalid: not a plan, a changed one, one of another version, or one with a field that cannot be.
    """
    plan = _KIND.decode(data, _decoder, where=where, sealed=sealed)
    if why := _why_not(plan, sync_id or plan.sync_id):
        raise _KIND.invalid(where, why)
    return plan


def _why_not(plan: Plan, sync_id: str) -> str | None:
    """What is wrong with the first field that cannot be, None when nothing is."""
    if not is_sync_id(plan.sync_id):
        return wrong("sync_id", "letters, digits and hyphens", plan.sync_id)
    if plan.sync_id != sync_id:
        return wrong("sync_id", f"{shown(sync_id)}, that of its key", plan.sync_id)
    if not is_date(plan.sync_date):
        return wrong("sync_date", "YYYY-MM-DD", plan.sync_date)
    # Whoever names bottles by value names their folder too, and no catalogue.
    if plan.catalogue_sha256 and not is_digest(plan.catalogue_sha256):
        return wrong("catalogue_sha256", "64 lower-case hex digits, or nothing", plan.catalogue_sha256)
    if plan.catalogue_sha256 and plan.created_at[:10] != plan.sync_date:
        return wrong("sync_date", f"the date of created_at ({shown(plan.created_at)})", plan.sync_date)
    if why := why_not_platforms(plan.platforms) or _why_not_api(plan.api):
        return why
    for name in plan.covered or ():
        if not is_formula_name(name):
            return wrong("formulae", "names of formulae", name)
    return Proof(plan.platforms).why_none(plan.objects)


def _why_not_api(files: Sequence[PublishedApi]) -> str | None:
    """Their digests become keys."""
    wanting = (file for file in files if not (is_tag(file.tag) and is_digest(file.sha256)))
    file = next(wanting, None)
    return wrong("api", "tags and SHA-256s", f"{file.tag} {file.sha256}") if file else None
