"""What a selection of formulae needs at run time, for each platform, as brew resolves it.

The rules are brew's: `merge_variations` (api.rb), `use_macos_install?` (dependency.rb),
`determine_bottle_tab_attributes` (formula_installer.rb). glibc and gcc, which brew installs by itself on a
Linux whose own ones are too old, are needed by no formula, and so are not among it.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, TypeVar

import msgspec

from brew_assets.domain.catalogue import Catalogue
from brew_assets.domain.formula import Formula
from brew_assets.domain.named_formulae import without_tap
from brew_assets.domain.needs import Bound, FromMacos, Variation
from brew_assets.domain.platforms import ALL_TAG, LINUX_PLATFORMS, is_older_macos, serving_tags
from brew_assets.domain.rejections import ONE_IN
from brew_assets.errors import CatalogueInvalid

_NOT_RUN_TIME = frozenset({"build", "test", "optional", "recommended"})
_NO_VARIATION = Variation()
_T = TypeVar("_T")

# `unbottled`: it has no bottle for the platform. `opaque`: it is there, and what it needs cannot be read.
Reason = Literal["excluded", "disabled", "unknown", "rejected", "unbottled", "opaque"]


class Unmet(msgspec.Struct, frozen=True):
    """A need that the mirror does not meet, the formula that has it, and why; `details` are upstream's."""

    name: str
    needed_by: str
    reason: Reason
    details: str = ""


class Closure(msgspec.Struct, frozen=True, kw_only=True):
    """The formulae that a platform's clients install for what was asked for.

    `needed_by` maps each of them to the one that needs it, and one that was asked for to "". `unmet` are by
    name; of them only the unbottled and the opaque ones are in the closure.
    """

    needed_by: dict[str, str]
    unmet: dict[str, Unmet]

    @property
    def names(self) -> frozenset[str]:
        """The formulae."""
        return frozenset(self.needed_by)

    def path_to(self, name: str) -> tuple[str, ...]:
        """From what was asked for to that formula, each needing the next; empty when nothing needs it."""
        if name in self.needed_by:
            path = [name]
        elif name in self.unmet:
            path = [name, self.unmet[name].needed_by]
        else:
            return ()
        while before := self.needed_by[path[-1]]:
            path.append(before)
        return tuple(reversed(path))


class Dependencies:
    """Who needs whom in one catalogue, without excluded formulae and, unless included, disabled ones."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        excluded: "frozenset[str]" = frozenset(),
        include_disabled: bool = False,
    ) -> None:
        self._formulae = {formula.name: formula for formula in catalogue.formulae}
        self._names = catalogue.names()
        self._rejected = {
            name: rejected
            for rejected in catalogue.rejected
            if not rejected.tag
            for name in (*rejected.aliases, rejected.name)
        }
        self._excluded = excluded
        self._include_disabled = include_disabled

    def closure(self, platform: str, asked: Iterable[str], *, alone: bool = False) -> Closure:
        """What the platform's clients install for these formulae, or these `alone`.

        What is excluded or disabled is not installed from here, and so brings nothing along; nor does a
        formula that was asked for and has no bottle for the platform.
        """
        # Breadth first, so that each formula is reached by a shortest path, and without recursion: how deep
        # it goes is upstream's choice. What was asked for is known before the first step, so that its path
        # is itself even where something else needs it.
        needed_by = dict.fromkeys(sorted(asked), "")
        unmet: dict[str, Unmet] = {}
        waiting = deque(name for name in needed_by if not alone and self._is_installed(name, platform))
        begun = set(waiting)
        while waiting:
            current = waiting.popleft()
            formula = self._formulae[current]
            if formula.unreadable_needs:
                why = formula.unreadable_needs
                unmet.setdefault(current, Unmet(current, needed_by[current], "opaque", why))
            for written in needs_on(formula, platform):
                name, lack = self.resolve(written, platform, current)
                if lack is not None:
                    unmet.setdefault(name, lack)
                if name in begun or (lack is not None and lack.reason != "unbottled"):
                    continue
                needed_by.setdefault(name, current)
                begun.add(name)
                waiting.append(name)
        return Closure(needed_by=needed_by, unmet=unmet)

    def resolve(self, written: str, platform: str, needed_by: str = "") -> tuple[str, Unmet | None]:
        """The formula of a name, or the name where there is none; and why the platform is given none."""
        bare = without_tap(written)
        name = self._names.get(bare, bare)
        formula = self._formulae.get(name)
        if name in self._excluded or (formula is None and name.lower() in self._excluded):
            return name, Unmet(name, needed_by, "excluded")
        if formula is None:
            rejected = self._rejected.get(name)
            if rejected is None:
                return name, Unmet(name, needed_by, "unknown")
            return name, Unmet(name, needed_by, "rejected", rejected.why)
        if self._is_disabled(formula):
            return name, Unmet(name, needed_by, "disabled")
        if serving_tag(formula, platform) is None:
            return name, Unmet(name, needed_by, "unbottled")
        return name, None

    def _is_installed(self, name: str, platform: str) -> bool:
        formula = self._formulae[name]
        return not self._is_disabled(formula) and serving_tag(formula, platform) is not None

    def _is_disabled(self, formula: Formula) -> bool:
        return formula.disabled and not self._include_disabled


def check_needs(catalogue: Catalogue) -> None:
    """Returns when at most a tenth of the formulae does not let it be read what they need.

    Raises:
        CatalogueInvalid: it is more: what a selection brings would look whole.
    """
    opaque = [formula for formula in catalogue.formulae if formula.unreadable_needs]
    if len(opaque) * ONE_IN > len(catalogue.formulae):
        first = f"{opaque[0].name}: {opaque[0].unreadable_needs}"
        raise CatalogueInvalid(
            f"formula.json: what {len(opaque):,} of {len(catalogue.formulae):,} formulae need cannot be "
            f"read, more than a tenth, so no selection is planned from it. First: {first}. Look where "
            "FORMULAE_API_URL leads, or name all that is wanted and set INCLUDE_DEPENDENCIES=false."
        )


def serving_tag(formula: Formula, platform: str) -> str | None:
    """The tag of the bottle that the platform's clients are given, None when there is none."""
    files = formula.tags
    return next((tag for tag in serving_tags(platform) if tag in files), None) if files else None


def needs_on(formula: Formula, platform: str) -> tuple[str, ...]:
    """The names of what the platform's clients install with the formula, each once.

    As the catalogue has them: they may be aliases and old names.
    """
    variation = formula.variations.get(platform, _NO_VARIATION)
    dependencies = _either(variation.dependencies, formula.dependencies)
    used = _either(variation.uses_from_macos, formula.uses_from_macos)
    if not used:
        return tuple(dict.fromkeys(dependencies))
    bounds = _either(variation.uses_from_macos_bounds, formula.uses_from_macos_bounds)
    return tuple(dict.fromkeys((*dependencies, *_not_from_macos(used, bounds, _system(formula, platform)))))


def _either(varied: list[_T] | None, common: list[_T]) -> list[_T]:
    """A variation's list takes the place of the common one; it adds nothing to it."""
    return common if varied is None else varied


def _system(formula: Formula, platform: str) -> str:
    """The platform whose system has to have what a formula uses of it: that for which the bottle was built.

    With a bottle for an older macOS brew installs all that was lacking there.
    """
    tag = serving_tag(formula, platform)
    return platform if tag is None or tag == ALL_TAG else tag


def _not_from_macos(used: Sequence[FromMacos], bounds: Sequence[Bound], system: str) -> Iterator[str]:
    """Of what is used of macOS, the names of what this system does not bring along."""
    for place, item in enumerate(used):
        since = bounds[place].since if place < len(bounds) else ""
        if system not in LINUX_PLATFORMS and not (since and is_older_macos(system, since)):
            continue
        if isinstance(item, str):
            yield item
        else:
            yield from _run_time(item)


def _run_time(tagged: Mapping[str, str | list[str]]) -> Iterator[str]:
    """The names that no tag keeps for building or testing; `no_linkage` is at run time all the same."""
    for name, tags in tagged.items():
        if _NOT_RUN_TIME.isdisjoint((tags,) if isinstance(tags, str) else tags):
            yield name
