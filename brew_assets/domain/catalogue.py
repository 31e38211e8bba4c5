"""The upstream catalogue: `formula.json` decoded, checked, and asked which bottle serves a platform."""

from collections.abc import Container, Mapping, Sequence

import msgspec

from brew_assets.domain.bottle import (
    Bottle,
    Digest,
    image_name,
    is_digest,
    is_formula_name,
    is_pkg_version,
    is_tag,
)
from brew_assets.domain.formula import BottleFile, Formula, read_formulae
from brew_assets.domain.platforms import serving_tags
from brew_assets.domain.rejections import Rejected, check_share
from brew_assets.errors import UNREADABLE, CatalogueInvalid

# File systems take names of 255 bytes; ".bottle.<rebuild>.tar.gz" and what a store puts around it fit beside.
MAX_NAME_BYTES = 220
_TAGS_SHOWN = 20


class Catalogue(msgspec.Struct, frozen=True):
    """One decoded catalogue. `sha256` is that of its bytes and its identity."""

    sha256: Digest
    formulae: list[Formula]
    rejected: list[Rejected] = []

    def tags(self) -> set[str]:
        """Every tag for which there is a bottle."""
        return {tag for formula in self.formulae for tag in formula.tags}

    def bottle_count(self) -> int:
        """How many bottle files the catalogue lists."""
        return sum(len(formula.bottle.stable.files) for formula in self.formulae if formula.bottle.stable)

    def digests(self) -> set[str]:
        """The digests of all its bottles."""
        return {file.sha256 for formula in self.formulae for file in formula.tags.values()}

    def names(self) -> dict[str, str]:
        """Every name a person may use for a formula (alias, old name) -> its name."""
        names: dict[str, str] = {}
        for formula in self.formulae:
            for alias in (*formula.oldnames, *formula.aliases):
                names.setdefault(alias, formula.name)
        names.update((formula.name, formula.name) for formula in self.formulae)
        return names


def decode_catalogue(data: bytes, *, sha256: str) -> Catalogue:
    """The catalogue in `data`; what of it cannot be trusted is left out and named in `rejected`.

    A bad tag drops that tag alone, a bad formula that formula alone. A formula that loses all of its tags is
    rejected as a whole.

    Raises:
        CatalogueInvalid: not JSON, not a list, without one usable formula, or with more than a tenth of its
            formulae rejected.
    """
    try:
        listed, rejected = read_formulae(data)
    except UNREADABLE as exc:
        raise CatalogueInvalid(f"formula.json: expected Homebrew's list of formulae, found: {exc}") from exc
    total = len(listed) + len(rejected)
    whole, bottles = list(rejected), []
    formulae: list[Formula] = []
    names: set[str] = set()
    stems: dict[str, str] = {}
    for formula in listed:
        bad = _bad_files(formula)
        if why := _why_rejected(formula, bad, names, stems):
            whole.append(formula.rejected(why))
            continue
        for tag, why in bad.items():
            # A tag of "" would stand for the whole formula.
            bottles.append(Rejected(formula.name, why, tag or "an empty tag"))
            del formula.tags[tag]
        names.add(formula.name)
        if formula.tags:
            stems[_stem(formula)] = formula.name
        formulae.append(formula)
    check_share(whole, total, "formulae")
    if not formulae:
        raise CatalogueInvalid(
            f"formula.json: expected formulae, found {total} entries of which none can be used"
        )
    return Catalogue(Digest(sha256), formulae, [*whole, *bottles])


def _stem(formula: Formula) -> str:
    return f"{formula.name}-{formula.pkg_version}"


def _why_rejected(
    formula: Formula, bad: Mapping[str, str], names: Container[str], stems: Mapping[str, str]
) -> str | None:
    """Why nothing of the formula can be used; `bad` are those of its tags that cannot."""
    if not is_formula_name(formula.name):
        return "the name is not one safe path segment"
    if formula.name in names:
        return "the name stands twice"
    stable = formula.bottle.stable
    if stable is None:
        return None
    if not is_pkg_version(formula.pkg_version):
        return f"the version {formula.pkg_version[:40]!r} is not one safe path segment"
    if not 0 <= formula.revision < 100_000 or not 0 <= stable.rebuild < 100_000:
        return "revision or rebuild is out of range"
    if _stem(formula) in stems:
        return f"its file names are those of {stems[_stem(formula)]}"
    if bad and bad.keys() == formula.tags.keys():
        tag, why = next(iter(bad.items()))
        return f"none of its bottles can be used; {tag}: {why}"
    return None


def _bad_files(formula: Formula) -> dict[str, str]:
    """The tags whose bottles cannot be used, and why."""
    if not formula.tags:
        return {}
    most = MAX_NAME_BYTES - len(formula.name) - len(formula.pkg_version)
    blobs = f"/{image_name(formula.name)}/blobs/sha256:"
    return {
        tag: why
        for tag, file in formula.tags.items()
        if (why := _why_no_file(tag, file, most=most, blobs=blobs))
    }


def _why_no_file(tag: str, file: BottleFile, *, most: int, blobs: str) -> str | None:
    if not is_tag(tag):
        return "the tag is not of a tag's form"
    if len(tag) > most:
        return "the file name is longer than file systems take"
    if not is_digest(file.sha256):
        return file.unreadable or "the digest is not a SHA-256"
    if not file.url.endswith(f"{blobs}{file.sha256}"):
        return "the address does not name the blob of the digest"
    return None


def check_served(catalogue: Catalogue, platforms: Sequence[str]) -> None:
    """Returns when of each platform at most a tenth of the bottles that would serve it is rejected.

    The bottle that serves a platform is chosen by brew's rule among all tags that the catalogue lists, the
    rejected ones included.

    Raises:
        CatalogueInvalid: of a platform it is more.
    """
    if not catalogue.rejected:
        return
    # Counted is what clients would be given, and for each platform alone. One field that changed upstream may
    # spoil one tag of every formula: few of all bottles, and all of a platform. A rejected bottle counts
    # where brew would choose it, although an older tag is left: served from that one, the platform would look
    # whole. Of a formula that is rejected as a whole nothing is known but the tags that it listed.
    bottles: dict[str, dict[str, Rejected]] = {}
    for rejected in catalogue.rejected:
        if rejected.tag:
            bottles.setdefault(rejected.name, {})[rejected.tag] = rejected
    for platform in platforms:
        tags = serving_tags(platform)
        bad = [r for r in catalogue.rejected if any(tag in r.tags for tag in tags)]
        total = len(bad)
        for formula in catalogue.formulae:
            files, lost = formula.tags, bottles.get(formula.name, {})
            serving = next((tag for tag in tags if tag in files or tag in lost), None)
            total += serving is not None
            if serving in lost:
                bad.append(lost[serving])
        check_share(bad, total, f"bottles for {platform}")


def check_serves(catalogue: Catalogue, platforms: Sequence[str]) -> None:
    """Returns when a bottle of the catalogue serves one of the platforms.

    Raises:
        CatalogueInvalid: none does: a sync would have nothing to do, and look whole.
    """
    tags = catalogue.tags()
    if any(not tags.isdisjoint(serving_tags(platform)) for platform in platforms):
        return
    more = ", …" if len(tags) > _TAGS_SHOWN else ""
    named = f"bottles for {', '.join(sorted(tags)[:_TAGS_SHOWN])}{more}"
    raise CatalogueInvalid(
        f"formula.json: expected bottles that serve {', '.join(platforms)}, found "
        f"{named if tags else 'no bottle at all'}, so nothing is planned from it. Look where "
        "FORMULAE_API_URL leads, and which platforms are asked for (TARGET_PLATFORMS)."
    )


def choose_bottles(
    catalogue: Catalogue,
    platforms: Sequence[str],
    *,
    selected: "Mapping[str, Container[str]] | None" = None,
    include_disabled: bool = False,
    exclude: Container[str] = (),
) -> list[tuple[Bottle, tuple[str, ...]]]:
    """Every bottle that serves one of the platforms, once, with the platforms that it serves.

    In the catalogue's order, so the same catalogue and platforms give the same list. `selected` narrows
    the choice to these formulae of each platform. Disabled formulae are left out unless asked for, and those
    to `exclude`.
    """
    # Asked by platform, as brew does: of its tags in brew's order the first that the formula has. Going by
    # the formula's tags instead would copy what no client of these platforms is ever given. The answers are
    # turned round, tag to platforms, because one bottle may serve several: listed once for each of them it
    # would be counted, sized and owned more than once. Nothing is sorted: an unchanged catalogue gives the
    # same plan.
    candidates = [(platform, serving_tags(platform)) for platform in platforms]
    chosen: list[tuple[Bottle, tuple[str, ...]]] = []
    for formula in catalogue.formulae:
        stable = formula.bottle.stable
        if stable is None or (formula.disabled and not include_disabled):
            continue
        if formula.name in exclude:
            continue
        served: dict[str, list[str]] = {}
        for platform, tags in candidates:
            if selected is not None and formula.name not in selected[platform]:
                continue
            tag = next((tag for tag in tags if tag in stable.files), None)
            if tag is not None:
                served.setdefault(tag, []).append(platform)
        for tag, serves in served.items():
            file = stable.files[tag]
            bottle = Bottle(
                formula=formula.name,
                pkg_version=formula.pkg_version,
                tag=tag,
                rebuild=stable.rebuild,
                digest=Digest(file.sha256),
                url=file.url,
            )
            chosen.append((bottle, tuple(serves)))
    return chosen
