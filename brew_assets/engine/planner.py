"""Planning: what has to be copied, how large it is, and by which route.

A dry run plans over a mirror that is read-only (read_only_store.py).
"""

from collections.abc import Callable

import msgspec

from brew_assets.domain.catalogue import Catalogue
from brew_assets.domain.lost import with_lost
from brew_assets.domain.named_formulae import exclusions_of
from brew_assets.domain.plan import Plan, Request, check_request, plan_sync, with_sizes
from brew_assets.domain.routing import Decision, choose_route, load_of
from brew_assets.engine.api_files import Generation, generation_for_plan
from brew_assets.engine.bottle_sizes import SizeLookUp, SizesFound
from brew_assets.engine.catalogue_cache import (
    CatalogueNow,
    KeptCatalogue,
    current_catalogue,
    kept_catalogue,
    load_catalogue,
)
from brew_assets.engine.clock import go_on_planning, until_stopped
from brew_assets.engine.existence import mirror_exists
from brew_assets.engine.kept_plans import keep_plan, new_sync_id
from brew_assets.engine.record.held import Inventory, take_inventory
from brew_assets.engine.record.identify import Unidentified
from brew_assets.engine.skip_list import SkipList, load_skip_list
from brew_assets.engine.sync import Mirror


class PlanResult(msgspec.Struct, frozen=True, kw_only=True):
    """A plan and what was learnt while it was made.

    `generation` is that of the signed API, None where it was not to be had or nothing is published.
    """

    plan: Plan
    generation: Generation | None = None
    skip: SkipList
    sizes: SizesFound
    identified: int
    unidentified: tuple[Unidentified, ...]


def refresh_catalogue(mirror: Mirror, request: Request | None = None) -> CatalogueNow:
    """The catalogue that upstream shows now, and of which a plan for the request can be made; it is kept.

    Where there is no mirror yet, nothing is written before both are certain.

    Raises:
        CatalogueUnavailable, CatalogueRefused, CatalogueInvalid: upstream gave none that can be used;
            what was kept stays.
        PlanInvalid: an unknown platform or formula.
        StoreError: the store cannot be read or written.
    """
    store = mirror.store
    is_new = not mirror_exists(store)
    if not is_new:
        store.prepare()

    def before_keeping(catalogue: Catalogue) -> None:
        if request is not None:
            check_request(catalogue, _as_configured(mirror, request))
        if is_new:
            store.prepare()

    return current_catalogue(mirror.ports, platforms=mirror.options.platforms, before_keeping=before_keeping)


def catalogue_at_hand(mirror: Mirror) -> tuple[Catalogue, KeptCatalogue]:
    """The catalogue that the mirror was last planned from; where none is kept, what upstream shows now.

    Raises:
        CatalogueUnavailable, CatalogueRefused, CatalogueInvalid: none is kept, and upstream gave none.
    """
    kept = kept_catalogue(mirror.store)
    if kept is not None and kept.url == mirror.ports.catalogue.url:
        catalogue = load_catalogue(mirror.store, kept)
        if catalogue is not None:
            return catalogue, kept
    now = refresh_catalogue(mirror)
    return now.catalogue, now.kept


def make_plan(
    mirror: Mirror,
    request: Request,
    *,
    catalogue: Catalogue | None = None,
    sizes: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> PlanResult:
    """A new plan, which stands in the store under its sync id.

    Raises:
        PlanInvalid: an unknown platform or formula, or one that is rejected or excluded.
        CatalogueUnavailable, CatalogueRefused, CatalogueInvalid: there is no catalogue to plan from.
        RegistryRefused: nobody is given a size with these settings.
        ManifestInvalid: the manifest or a receipt cannot be trusted.
        StoreError: the store cannot be read or written.
        PlanningStopped: the stop signal came before the plan was whole; none is kept.
    """
    ports = mirror.ports
    request = _as_configured(mirror, request)
    if catalogue is None:
        catalogue = refresh_catalogue(mirror, request).catalogue
    else:
        check_request(catalogue, request)
        ports.store.prepare()
    go_on_planning(ports.stop)
    generation, api_error = generation_for_plan(ports, mirror.options)
    inventory = take_inventory(ports, mirror.options)
    go_on_planning(ports.stop)
    wanted = catalogue.digests()
    # The largest files take a small machine longer to read than a stop signal leaves.
    skip = until_stopped(lambda: load_skip_list(ports.hash_files, wanted=wanted), ports.stop)
    plan = _choose(mirror, request, catalogue, inventory, skip=skip, generation=generation)
    if api_error is not None:
        noted = msgspec.structs.replace(plan.left_out, no_api=str(api_error), no_api_reason=api_error.reason)
        plan = msgspec.structs.replace(plan, left_out=noted)
    found = SizesFound(sizes={}, problems=[])
    if sizes:
        bottles = [planned.bottle for planned in plan.objects if planned.size is None]
        found = SizeLookUp(ports, mirror.options).look_up(bottles, progress=progress)
        plan = with_sizes(plan, found.sizes)
    # Of one that was stopped among the sizes, the route would be decided by what happens to be known.
    go_on_planning(ports.stop)
    decision = route_of(mirror, plan)
    plan = msgspec.structs.replace(plan, route=decision.route, route_reason=decision.reason)
    keep_plan(ports.store, plan)
    return PlanResult(
        plan=plan,
        generation=generation,
        skip=skip,
        sizes=found,
        identified=inventory.identified,
        unidentified=inventory.unidentified,
    )


def route_of(mirror: Mirror, plan: Plan) -> Decision:
    """Where the plan is to be copied, by its total and the settings."""
    return choose_route(load_of(plan.objects), mirror.options.routing)


def _choose(
    mirror: Mirror,
    request: Request,
    catalogue: Catalogue,
    inventory: Inventory,
    *,
    skip: SkipList,
    generation: Generation | None,
) -> Plan:
    """What of catalogue and API, and of what the store has lost, is to be copied; sizes come later."""
    # What is recorded was stored here: nobody else's list says that it need not be brought back.
    recorded = {entry.sha256 for entry in inventory.lost.values()}
    now = mirror.ports.clock.now()
    plan = plan_sync(
        catalogue,
        inventory.entries,
        request,
        sync_id=new_sync_id(now),
        created_at=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        skip=skip.digests - recorded,
        api=generation.packages if generation else (),
    )
    if generation:
        plan = msgspec.structs.replace(plan, api=tuple(file.published for file in generation.files))
    plan = with_lost(
        plan,
        inventory.lost,
        resized=inventory.resized,
        rejected=frozenset(found.name for found in catalogue.rejected),
        excluded=exclusions_of(catalogue, request.exclude).names,
    )
    return msgspec.structs.replace(plan, left_out=skip.noted_in(plan.left_out))


def _as_configured(mirror: Mirror, request: Request) -> Request:
    """The request, of a mirror that is meant to hold some formulae and is to leave others out."""
    options = mirror.options
    return msgspec.structs.replace(
        request, exclude=options.exclude_formulae, mirror_formulae=options.mirror_formulae
    )
