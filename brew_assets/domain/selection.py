"""Which formulae a sync covers, and which ones a mirror is meant to hold, each with what they need."""

from collections.abc import Sequence

import msgspec

from brew_assets.domain.catalogue import Catalogue
from brew_assets.domain.dependencies import Closure, Dependencies, Reason, Unmet, check_needs
from brew_assets.domain.named_formulae import Exclusions, exclusions_of, resolve_formulae, written_names
from brew_assets.errors import PlanInvalid


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """The formulae of a sync. `asked` are those that somebody named, None when all are meant.

    `closures` has what each platform needs. MIRROR_FORMULAE may name what cannot be planned, too: `unknown`
    are names that nothing has, `uncatalogued` those and what the catalogue has in a form that cannot be used,
    and `excluded` formulae that EXCLUDE_FORMULAE names as well.
    """

    asked: frozenset[str] | None = None
    closures: dict[str, Closure] = {}
    unknown: tuple[str, ...] = ()
    uncatalogued: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()

    @property
    def by_platform(self) -> "dict[str, frozenset[str]] | None":
        """The formulae of each platform, None when they are all."""
        if self.asked is None:
            return None
        return {platform: closure.names for platform, closure in self.closures.items()}

    @property
    def needed(self) -> tuple[str, ...]:
        """What some platform needs beside what was asked for, sorted."""
        names = frozenset[str]().union(*(closure.names for closure in self.closures.values()))
        return tuple(sorted(names - (self.asked or frozenset())))

    @property
    def unmet(self) -> "dict[tuple[str, Reason], tuple[Unmet, tuple[str, ...]]]":
        """The needs that are not met, by name and reason, each with the platforms that have them."""
        found: dict[tuple[str, Reason], tuple[Unmet, tuple[str, ...]]] = {}
        for platform, closure in self.closures.items():
            for unmet in closure.unmet.values():
                first, platforms = found.get((unmet.name, unmet.reason), (unmet, ()))
                found[unmet.name, unmet.reason] = first, (*platforms, platform)
        return found


class Meant(msgspec.Struct, frozen=True, kw_only=True):
    """What a mirror is meant to hold, as its settings say; `selected` is None when they name no formula."""

    platforms: tuple[str, ...]
    selected: dict[str, frozenset[str]] | None
    left_out: frozenset[str]
    formulae: frozenset[str]

    def on(self, platform: str) -> frozenset[str]:
        """The formulae of the catalogue whose bottles for the platform it is meant to hold, if they have."""
        if platform not in self.platforms:
            return frozenset()
        selected = self.formulae if self.selected is None else self.selected[platform] & self.formulae
        return selected - self.left_out

    def covers(self, name: str, platform: str) -> bool:
        """Whether it is meant to hold the formula's bottle for the platform.

        The formula need not be in the catalogue: Homebrew's API may name one some minutes earlier.
        """
        if platform not in self.platforms or name in self.left_out:
            return False
        return self.selected is None or name in self.selected[platform]


def meant_to_hold(
    catalogue: Catalogue,
    *,
    platforms: Sequence[str],
    mirror_formulae: Sequence[str] = (),
    exclude: Sequence[str] = (),
    include_disabled: bool = False,
    include_dependencies: bool = True,
) -> Meant:
    """What a mirror with these settings is meant to hold of the catalogue, whatever single syncs ask for.

    Raises:
        PlanInvalid: of what MIRROR_FORMULAE names nothing is left.
        CatalogueInvalid: of too many formulae it cannot be read what they need.
    """
    excluded = exclusions_of(catalogue, exclude)
    found = select(
        catalogue,
        platforms,
        mirror_formulae=mirror_formulae,
        exclusions=excluded,
        include_disabled=include_disabled,
        include_dependencies=include_dependencies,
    )
    selected = found.by_platform
    if selected is not None:
        selected = {platform: names | found.uncatalogued for platform, names in selected.items()}
    disabled = frozenset(formula.name for formula in catalogue.formulae if formula.disabled)
    return Meant(
        platforms=tuple(platforms),
        selected=selected,
        left_out=excluded.names if include_disabled else excluded.names | disabled,
        formulae=frozenset(formula.name for formula in catalogue.formulae),
    )


def select(
    catalogue: Catalogue,
    platforms: Sequence[str],
    *,
    formulae: Sequence[str] = (),
    mirror_formulae: Sequence[str] = (),
    exclusions: Exclusions,
    include_disabled: bool,
    include_dependencies: bool,
) -> Selection:
    """The formulae that one sync asks for, else those of MIRROR_FORMULAE, else all; and what they need.

    Raises:
        PlanInvalid: a formula that was asked for is unknown, rejected or excluded, or nothing is left of what
            MIRROR_FORMULAE names.
        CatalogueInvalid: of too many formulae it cannot be read what they need.
    """
    if formulae:
        found = Selection(asked=resolve_formulae(catalogue, formulae, excluded=exclusions.names))
    elif mirror_formulae:
        found = _of_setting(catalogue, mirror_formulae, exclusions)
    else:
        return Selection()
    if include_dependencies:
        check_needs(catalogue)
    dependencies = Dependencies(catalogue, excluded=exclusions.names, include_disabled=include_disabled)
    closures = {
        platform: dependencies.closure(platform, found.asked or (), alone=not include_dependencies)
        for platform in platforms
    }
    return msgspec.structs.replace(found, closures=closures)


def _of_setting(catalogue: Catalogue, written: Sequence[str], exclusions: Exclusions) -> Selection:
    """What MIRROR_FORMULAE names, but for what is excluded; nothing is closed yet.

    Formulae come and go: one that has gone keeps nobody from the others.
    """
    named = exclusions_of(catalogue, written)  # a name in one setting is read as in the other
    known = frozenset(formula.name for formula in catalogue.formulae)
    asked = (named.names & known) - exclusions.names
    if asked:
        return Selection(
            asked=asked,
            unknown=named.unknown,
            uncatalogued=named.names - known - exclusions.names,
            excluded=named.names & known & exclusions.names,
        )
    try:
        # None of them can be planned: it says of each why, and what may have been meant.
        resolve_formulae(catalogue, written_names(written), excluded=exclusions.names)
    except PlanInvalid as exc:
        raise PlanInvalid(f"MIRROR_FORMULAE: {exc}") from exc
    raise PlanInvalid(
        "MIRROR_FORMULAE: expected names of formulae to mirror, found none that is not excluded"
    )
