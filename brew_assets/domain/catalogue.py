"""The upstream catalogue: `formula.json` decoded, checked, and asked which bottle serves a platform."""

from collections.abc import Iterable, Sequence

import msgspec

from brew_assets.domain.bottle import (
    Bottle,
    Digest,
    PkgVersion,
    image_name,
    is_digest,
    is_formula_name,
    is_pkg_version,
    is_tag,
)
from brew_assets.domain.platforms import serving_tags
from brew_assets.errors import UNREADABLE, CatalogueInvalid

# File systems take names of 255 bytes; ".bottle.<rebuild>.tar.gz" and what a store puts around it fit beside.
MAX_NAME_BYTES = 220


class _File(msgspec.Struct, gc=False):
    url: str
    sha256: str


class _Stable(msgspec.Struct, gc=False):
    files: dict[str, _File]
    rebuild: int = 0


class _BottleBlock(msgspec.Struct, gc=False):
    stable: _Stable | None = None


class _Versions(msgspec.Struct, gc=False):
    stable: str | None = None


class Formula(msgspec.Struct, kw_only=True, gc=False):
    """What planning needs of one formula; the other keys of the catalogue are not decoded."""

    name: str
    versions: _Versions
    revision: int = 0
    bottle: _BottleBlock
    aliases: list[str] = []
    oldnames: list[str] = []
    disabled: bool = False

    @property
    def pkg_version(self) -> PkgVersion:
        """The version with `_<revision>` when the revision is not 0; "" for a head-only formula."""
        version = self.versions.stable or ""
        return PkgVersion(f"{version}_{self.revision}" if self.revision else version)

    @property
    def tags(self) -> Iterable[str]:
        """The tags for which there is a bottle."""
        return self.bottle.stable.files if self.bottle.stable else ()


class Rejected(msgspec.Struct, frozen=True):
    """A catalogue entry that is not used, and why."""

    name: str
    why: str


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

    def names(self) -> dict[str, str]:
        """Every name a person may use for a formula (alias, old name) -> its name."""
        names: dict[str, str] = {}
        for formula in self.formulae:
            for alias in (*formula.oldnames, *formula.aliases):
                names.setdefault(alias, formula.name)
        names.update((formula.name, formula.name) for formula in self.formulae)
        return names


_decoder = msgspec.json.Decoder(list[Formula])


def decode_catalogue(data: bytes, *, sha256: str) -> Catalogue:
    """The catalogue in `data`; entries that cannot be trusted are left out and named in `rejected`.

    Raises:
        CatalogueInvalid: not JSON, not the catalogue's shape, or without one usable formula.
    """
    try:
        listed = _decoder.decode(data)
    except UNREADABLE as exc:
        raise CatalogueInvalid(f"formula.json: expected Homebrew's list of formulae, found: {exc}") from exc
    formulae: list[Formula] = []
    rejected: list[Rejected] = []
    names: set[str] = set()
    stems: dict[str, str] = {}
    for formula in listed:
        stem = f"{formula.name}-{formula.pkg_version}"
        why = _why_rejected(formula, names)
        if not why and stem in stems:
            why = f"its file names are those of {stems[stem]}"
        if why:
            rejected.append(Rejected(formula.name[:80], why))
            continue
        names.add(formula.name)
        stems[stem] = formula.name
        formulae.append(formula)
    if not formulae:
        raise CatalogueInvalid(
            f"formula.json: expected formulae, found {len(listed)} entries of which none can be used"
        )
    return Catalogue(Digest(sha256), formulae, rejected)


def _why_rejected(formula: Formula, seen: set[str]) -> str | None:
    if not is_formula_name(formula.name):
        return "the name is not one safe path segment"
    if formula.name in seen:
        return "the name stands twice"
    stable = formula.bottle.stable
    if stable is None:
        return None
    if not is_pkg_version(formula.pkg_version):
        return f"the version {formula.pkg_version[:40]!r} is not one safe path segment"
    if not 0 <= formula.revision < 100_000 or not 0 <= stable.rebuild < 100_000:
        return "revision or rebuild is out of range"
    return next(
        (why for tag, file in stable.files.items() if (why := _why_no_file(formula, tag, file))), None
    )


def _why_no_file(formula: Formula, tag: str, file: _File) -> str | None:
    if not is_tag(tag):
        return f"the tag {tag[:40]!r} is not of a tag's form"
    if len(formula.name) + len(formula.pkg_version) + len(tag) > MAX_NAME_BYTES:
        return f"the file name of {tag} is longer than file systems take"
    if not is_digest(file.sha256):
        return f"the digest of {tag} is not a SHA-256"
    if not file.url.endswith(f"/{image_name(formula.name)}/blobs/sha256:{file.sha256}"):
        return f"the address of {tag} does not name the blob of its digest"
    return None


def choose_bottles(
    catalogue: Catalogue,
    platforms: Sequence[str],
    *,
    formulae: "frozenset[str] | None" = None,
    include_disabled: bool = False,
) -> list[tuple[Bottle, tuple[str, ...]]]:
    """Every bottle that serves one of the platforms, once, with the platforms that it serves.

    In the catalogue's order, so the same catalogue and platforms give the same list. `formulae` narrows
    the choice to these names. Disabled formulae are left out unless asked for.
    """
    candidates = [(platform, serving_tags(platform)) for platform in platforms]
    chosen: list[tuple[Bottle, tuple[str, ...]]] = []
    for formula in catalogue.formulae:
        stable = formula.bottle.stable
        if stable is None or (formula.disabled and not include_disabled):
            continue
        if formulae is not None and formula.name not in formulae:
            continue
        served: dict[str, list[str]] = {}
        for platform, tags in candidates:
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
