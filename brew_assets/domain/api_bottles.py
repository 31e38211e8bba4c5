"""The bottles of the signed API beside those of the catalogue: the two differ by minutes.

Clients learn of bottles from the API alone. A bottle that only it names is a bottle as well.
"""

from collections.abc import Container, Iterable, Mapping, Sequence

from brew_assets.domain.api import PackagesFile
from brew_assets.domain.bottle import Bottle
from brew_assets.domain.catalogue import Catalogue
from brew_assets.domain.formula import Formula
from brew_assets.domain.platforms import serving_tags

Chosen = list[tuple[Bottle, tuple[str, ...]]]


def bottles_of_api(
    files: Iterable[PackagesFile],
    platforms: Sequence[str],
    *,
    selected: "Mapping[str, frozenset[str]] | None" = None,
    include_disabled: bool = False,
    exclude: Container[str] = (),
) -> Chosen:
    """Every bottle that the files give to machines of the platforms, once, with the platforms that it serves.

    `selected` narrows them to these formulae of each platform. Disabled ones are left out unless asked for,
    and those to `exclude`.
    """
    found: dict[str, tuple[Bottle, list[str]]] = {}
    for file in files:
        if file.tag not in platforms:
            continue
        tags, names = serving_tags(file.tag), None if selected is None else selected[file.tag]
        for entry in file.bottles:
            if (entry.disabled and not include_disabled) or entry.name in exclude:
                continue
            if (names is not None and entry.name not in names) or entry.bottle_tag not in tags:
                continue
            bottle = entry.bottle()
            known, serves = found.setdefault(bottle.entry_key, (bottle, []))
            if known.digest == bottle.digest:
                serves.append(file.tag)
    return [(bottle, tuple(serves)) for bottle, serves in found.values()]


def only_in_api(catalogue: Catalogue, of_api: Chosen) -> Chosen:
    """Those of the API that the catalogue does not name: by name, version, tag and digest.

    What it names as disabled, or excluded by the settings, is left out as before.
    """
    formulae = {formula.name: formula for formula in catalogue.formulae}
    return [(bottle, serves) for bottle, serves in of_api if not _names(formulae.get(bottle.formula), bottle)]


def _names(formula: Formula | None, bottle: Bottle) -> bool:
    if formula is None or formula.bottle.stable is None:
        return False
    file = formula.tags.get(bottle.tag)
    version = (formula.pkg_version, formula.bottle.stable.rebuild)
    return (
        file is not None and file.sha256 == bottle.digest and version == (bottle.pkg_version, bottle.rebuild)
    )


def joined(of_catalogue: Chosen, added: Chosen) -> Chosen:
    """The catalogue's bottles, and after them those that only the API names; each name once.

    Where both have another digest under one name it is the API's: that one clients ask for. A store has one
    object of a name in the folder of a sync, so there is no place for the other.
    """
    names = {bottle.entry_key for bottle, _ in added}
    return [*(kept for kept in of_catalogue if kept[0].entry_key not in names), *added]
