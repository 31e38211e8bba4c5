"""The indexes that a sync completes: of its plan's bottles, and of everything held that clients may want."""

from collections.abc import Callable, Collection, Iterator

from brew_assets.domain.api_bottles import bottles_of_api
from brew_assets.domain.bottle import Bottle
from brew_assets.domain.catalogue import choose_bottles
from brew_assets.domain.manifest import Manifest
from brew_assets.domain.named_formulae import exclusions_of
from brew_assets.domain.plan import Plan
from brew_assets.engine.api_files import kept_generation
from brew_assets.engine.catalogue_cache import kept_catalogue, load_catalogue
from brew_assets.engine.index_completion import Completion, IndexCompletion
from brew_assets.engine.options import Options
from brew_assets.engine.ports import Ports


def complete_indexes(
    ports: Ports,
    options: Options,
    plan: Plan,
    platform: str | None,
    manifest: Manifest,
    *,
    given_up: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Completion:
    """What became of the indexes of the run of a platform; of the whole plan's where there is none.

    A run that was `given_up` asks for none.

    They are those of its plan, and of everything the manifest names that the newest kept catalogue, or the
    API of the plan, lists for its platforms, however it came to be held, but for EXCLUDE_FORMULAE. Platforms
    of which nothing is pending get no run of their own: every run of the plan looks after them.

    Raises:
        StoreError: the store cannot be listed.
        SettingsInvalid: a key that may sign the API cannot be read.
    """
    if given_up:
        return Completion()
    platforms = _platforms_of(plan, platform)
    wanted = {bottle.filename + bottle.digest: bottle for bottle in _wanted(ports, options, plan, platforms)}
    held = [bottle for bottle in wanted.values() if manifest.holds(bottle)]
    return IndexCompletion(ports, options).complete(held, beside_others=platform or "", progress=progress)


def _platforms_of(plan: Plan, platform: str | None) -> Collection[str]:
    if platform is None:
        return plan.platforms
    return [tag for tag in plan.platforms if tag == platform or not plan.pending(tag)]


def _wanted(ports: Ports, options: Options, plan: Plan, platforms: Collection[str]) -> Iterator[Bottle]:
    store = ports.store
    yield from (planned.bottle for planned in plan.of_runs(platforms))
    # Bottles by value name no catalogue, and whoever asked for them waits for the answer.
    kept = kept_catalogue(store) if plan.catalogue_sha256 else None
    catalogue = load_catalogue(store, kept) if kept is not None else None
    if catalogue is None:
        return
    excluded = exclusions_of(catalogue, options.exclude_formulae).names
    # A disabled formula that is held was wanted once, and clients still ask for it.
    chosen = choose_bottles(catalogue, list(platforms), include_disabled=True, exclude=excluded)
    yield from (bottle for bottle, _ in chosen)
    # The API may name some that the catalogue does not name yet.
    files = [file for file in plan.api if file.tag in platforms]
    if files and ports.api is not None:
        generation = kept_generation(store, ports.api.keys(), files)
        packages = generation.packages if generation is not None else ()
        of_api = bottles_of_api(packages, list(platforms), include_disabled=True, exclude=excluded)
        yield from (bottle for bottle, _ in of_api)
