"""One formula of the catalogue as planning needs it, and how a list of them is read.

A healthy list is read as a whole. Only where that fails it is read element by element, and an element that
fails tag by tag: what cannot be read rejects itself and nothing else.
"""

from typing import Annotated, Any

import msgspec

from brew_assets.domain.bottle import PkgVersion
from brew_assets.domain.broken_json import count_list, cut_list, cut_object
from brew_assets.domain.needs import AllFromMacos, Bounds, Dependencies, Needs, Variations
from brew_assets.domain.rejections import Rejected
from brew_assets.errors import UNREADABLE, CatalogueInvalid

# The real document has 31 MB (August 2026).
MAX_CATALOGUE_BYTES = 128 * 1024 * 1024
# Commas and opening brackets: the real one has 1.1 million, and 8,554 formulae.
MAX_CATALOGUE_VALUES = 4_000_000
MAX_FORMULAE = 50_000
# Of the real ones none has more than 13 tags, or a dozen other names.
MAX_TAGS = MAX_NAMES = 100
# The largest has 19 KB. Of an element that is larger, and cannot be read, not even the name is looked for.
_MAX_ELEMENT_BYTES = 1024 * 1024
# More than any formula's name has.
MAX_NAME_CHARACTERS = 128


class BottleFile(msgspec.Struct, gc=False):
    """Where the catalogue says that one bottle lies."""

    url: str
    sha256: str

    @property
    def unreadable(self) -> str:
        """Why it could not be read; empty for one that could."""
        return ""


class _UnreadableFile(BottleFile, gc=False):
    """Stands in the place of a file that could not be read: its digest is none."""

    why: str

    @property
    def unreadable(self) -> str:
        return self.why


class Stable(msgspec.Struct, gc=False):
    """The bottles of a formula's stable version by tag."""

    files: Annotated[dict[str, BottleFile], msgspec.Meta(max_length=MAX_TAGS)]
    rebuild: int = 0


class BottleBlock(msgspec.Struct, gc=False):
    """The formula's bottles, if it has any."""

    stable: Stable | None = None


class Versions(msgspec.Struct, gc=False):
    """The formula's versions; None for a head-only formula."""

    stable: str | None = None


_Names = Annotated[list[str], msgspec.Meta(max_length=MAX_NAMES)]


class _WithoutBottles(msgspec.Struct, kw_only=True, gc=False):
    name: str
    versions: Versions
    revision: int = 0
    aliases: _Names = []
    oldnames: _Names = []
    disabled: bool = False


class Formula(_WithoutBottles, kw_only=True, gc=False):
    """What planning needs of one formula; the other keys of the catalogue are not decoded.

    What it needs itself are the members of `Needs`.
    """

    bottle: BottleBlock
    dependencies: Dependencies = []
    uses_from_macos: AllFromMacos = []
    uses_from_macos_bounds: Bounds = []
    variations: Variations = {}

    @property
    def unreadable_needs(self) -> str:
        """Why it could not be read what it needs; empty where it could."""
        return ""

    @property
    def pkg_version(self) -> PkgVersion:
        """The version with `_<revision>` when the revision is not 0; "" for a head-only formula."""
        version = self.versions.stable or ""
        return PkgVersion(f"{version}_{self.revision}" if self.revision else version)

    @property
    def tags(self) -> dict[str, BottleFile]:
        """The tags for which there is a bottle, and where it lies."""
        return self.bottle.stable.files if self.bottle.stable else {}

    def rejected(self, why: str) -> Rejected:
        """The whole formula as one that is not used."""
        return Rejected(
            self.name[:MAX_NAME_CHARACTERS],
            why,
            aliases=(*self.oldnames, *self.aliases),
            tags=tuple(self.tags),
        )


class _OfUnreadableNeeds(Formula, kw_only=True, gc=False):
    """A formula of which nobody can say what it needs; its bottles are as good as others."""

    why: str

    @property
    def unreadable_needs(self) -> str:
        return self.why


class _RawStable(msgspec.Struct):
    files: Annotated[dict[str, msgspec.Raw], msgspec.Meta(max_length=MAX_TAGS)]
    rebuild: int = 0


class _RawBlock(msgspec.Struct):
    stable: _RawStable | None = None


class _RawFormula(_WithoutBottles, kw_only=True):
    bottle: _RawBlock


class _Something(msgspec.Struct, gc=False):
    """An element of the list, of which nothing is looked at."""


class _NameOnly(msgspec.Struct):
    name: str


class _AliasesOnly(msgspec.Struct):
    aliases: Any = None
    oldnames: Any = None


class _TagsOnly(msgspec.Struct):
    bottle: _RawBlock


_counting_decoder = msgspec.json.Decoder(list[_Something])
_list_decoder = msgspec.json.Decoder(list[Formula])
_elements_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_formula_decoder = msgspec.json.Decoder(Formula)
_raw_formula_decoder = msgspec.json.Decoder(_RawFormula)
_needs_decoder = msgspec.json.Decoder(Needs)
_file_decoder = msgspec.json.Decoder(BottleFile)
_name_decoder = msgspec.json.Decoder(_NameOnly)
_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_aliases_decoder = msgspec.json.Decoder(_AliasesOnly)
_tags_decoder = msgspec.json.Decoder(_TagsOnly)


def read_formulae(data: bytes) -> tuple[list[Formula], list[Rejected]]:
    """The formulae of the list that can be read, and the elements that cannot.

    A file that cannot be read stays in its formula, and says so (`unreadable`); so does what a formula needs
    (`unreadable_needs`).

    Raises:
        CatalogueInvalid: there is more of it than of any catalogue.
        msgspec.MsgspecError, UnicodeDecodeError, RecursionError (UNREADABLE): the data is no list.
    """
    _check_size(data)
    try:
        return _list_decoder.decode(data), []
    except UNREADABLE:
        pass
    formulae: list[Formula] = []
    rejected: list[Rejected] = []
    for number, element in enumerate(_elements(data), start=1):
        read = _read_formula(element, number)
        if isinstance(read, Formula):
            formulae.append(read)
        else:
            rejected.append(read)
    return formulae, rejected


def _check_size(data: bytes) -> None:
    """Before anything is made of the elements: one of 40 bytes takes ten times as much once it is decoded."""
    if len(data) > MAX_CATALOGUE_BYTES:
        raise _too_much(f"{MAX_CATALOGUE_BYTES:,} bytes", f"{len(data):,}")
    # Some stand in strings, where they are none; they are few.
    values = sum(data.count(mark) for mark in (b",", b"[", b"{"))
    if values > MAX_CATALOGUE_VALUES:
        raise _too_much(f"{MAX_CATALOGUE_VALUES:,} values", f"about {values:,}")
    try:
        formulae = len(_counting_decoder.decode(data))
    except UNREADABLE:
        formulae = count_list(data, most=MAX_FORMULAE)
    if formulae > MAX_FORMULAE:
        raise _too_much(f"{MAX_FORMULAE:,} formulae", "more")


def _too_much(expected: str, found: str) -> CatalogueInvalid:
    return CatalogueInvalid(
        f"formula.json: expected at most {expected}, found {found}: this is not Homebrew's catalogue. Look "
        "where FORMULAE_API_URL leads."
    )


def _elements(data: bytes) -> "list[msgspec.Raw] | list[bytes]":
    try:
        return _elements_decoder.decode(data)
    except UNREADABLE:
        # One element is enough for that: deep nesting, NaN, half of a surrogate pair, a control character.
        elements = cut_list(data)
        if elements is None:
            raise
        return elements


def _read_formula(element: "msgspec.Raw | bytes", number: int) -> Formula | Rejected:
    try:
        return _formula_decoder.decode(element)
    except UNREADABLE as exc:
        why = _in_words(exc)
    try:
        raw = _raw_formula_decoder.decode(element)
    except UNREADABLE:
        return _rejected(element, number, f"it cannot be read: {why}")
    block = raw.bottle.stable
    files = {tag: _read_file(file) for tag, file in block.files.items()} if block else {}
    known = {name: getattr(raw, name) for name in _WithoutBottles.__struct_fields__}
    bottle = BottleBlock(stable=Stable(files=files, rebuild=block.rebuild) if block else None)
    try:
        needs = _needs_decoder.decode(element)
    except UNREADABLE as exc:
        return _OfUnreadableNeeds(**known, bottle=bottle, why=_in_words(exc))
    return Formula(**known, bottle=bottle, **msgspec.structs.asdict(needs))


def _read_file(raw: msgspec.Raw) -> BottleFile:
    try:
        return _file_decoder.decode(raw)
    except UNREADABLE as exc:
        return _UnreadableFile(url="", sha256="", why=f"it cannot be read: {_in_words(exc)}")


def _rejected(element: "msgspec.Raw | bytes", number: int, why: str) -> Rejected:
    """An element that is no formula, with what of it can be read."""
    known = _readable_members(element)
    return Rejected(
        _name_of(known) or f"element {number:,}", why, aliases=_aliases_of(known), tags=_tags_of(known)
    )


def _readable_members(element: "msgspec.Raw | bytes") -> bytes:
    """The element without those of its members that cannot be read."""
    if memoryview(element).nbytes > _MAX_ELEMENT_BYTES:
        return b""
    data = bytes(element)
    if _is_object(data):
        return data
    return b"{%s}" % b",".join(member for member in cut_object(data) or () if _is_object(b"{%s}" % member))


def _is_object(data: bytes) -> bool:
    """Whether it is one, with a member at least."""
    try:
        return bool(_members_decoder.decode(data))
    except UNREADABLE:
        return False


def _name_of(element: bytes) -> str:
    try:
        return _name_decoder.decode(element).name[:MAX_NAME_CHARACTERS]
    except UNREADABLE:
        return ""


def _aliases_of(element: bytes) -> tuple[str, ...]:
    """Old names and aliases, in the order of a formula that can be read."""
    try:
        found = _aliases_decoder.decode(element)
    except UNREADABLE:
        return ()
    return tuple(
        alias
        for aliases in (found.oldnames, found.aliases)
        if isinstance(aliases, list)
        for alias in aliases[:MAX_NAMES]
        if isinstance(alias, str)
    )


def _tags_of(element: bytes) -> tuple[str, ...]:
    try:
        block = _tags_decoder.decode(element).bottle.stable
    except UNREADABLE:
        return ()
    return tuple(block.files) if block else ()


def _in_words(exc: Exception) -> str:
    return str(exc).replace("`", "'")
