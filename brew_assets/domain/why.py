"""Why a mirror has a formula: the path to it from what was asked for, on each platform."""

import msgspec

from brew_assets.domain.catalogue import Catalogue
from brew_assets.domain.dependencies import Dependencies
from brew_assets.domain.left_out import why_unmet
from brew_assets.domain.named_formulae import resolve_formulae
from brew_assets.domain.plan import Request, selected_by
from brew_assets.domain.selection import Selection


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Why one platform has the formula: from what was asked for to it, each formula needing the next.

    The path is empty where nothing needs it. It is not `mirrored` where it is not needed, or lacks (`lack`).
    """

    path: tuple[str, ...] = ()
    mirrored: bool = False
    lack: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a mirror has a formula, or has it not. `asked_for` is empty where all formulae are meant."""

    name: str
    asked_for: tuple[str, ...]
    include_dependencies: bool
    platforms: dict[str, Why]


def explain(catalogue: Catalogue, written: str, request: Request) -> Explanation:
    """Why a sync of the request covers the formula of that name, alias or old name.

    Raises:
        PlanInvalid: there is no such formula, and nothing needs one; or no plan can be made of the request.
        CatalogueInvalid: of too many formulae it cannot be read what they need.
    """
    platforms, selection, exclusions = selected_by(catalogue, request)
    dependencies = Dependencies(
        catalogue, excluded=exclusions.names, include_disabled=request.include_disabled
    )
    name, _ = dependencies.resolve(written, platforms[0])
    found = {platform: _why(name, platform, dependencies, selection) for platform in platforms}
    if selection.asked is None or not any(why.path for why in found.values()):
        resolve_formulae(catalogue, [name])  # says of an unknown one what may have been meant
    return Explanation(
        name=name,
        asked_for=tuple(sorted(selection.asked or ())),
        include_dependencies=request.include_dependencies,
        platforms=found,
    )


def _why(name: str, platform: str, dependencies: Dependencies, selection: Selection) -> Why:
    closure = selection.closures.get(platform)
    path = closure.path_to(name) if closure else (name,)
    _, lack = dependencies.resolve(name, platform)
    if not path or lack is None:
        return Why(path=path, mirrored=bool(path))
    return Why(path=path, lack=why_unmet(lack, (platform,)))
