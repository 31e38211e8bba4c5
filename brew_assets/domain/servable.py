"""Which bottles an index makes servable: brew's own three conditions, and why an index does not fit.

brew takes the entry that has the bottle's digest and its name, and reads the tab in it (LH/resource.rb,
`manifest_annotations` and `tab`). It refuses an index without such an entry, and half of an install with it.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from brew_assets.domain.bottle import Bottle, image_name, index_reference, is_digest
from brew_assets.domain.foreign_text import printable
from brew_assets.domain.oci import MAX_INDEX_BYTES, entries_of_index
from brew_assets.errors import UNREADABLE

# Why a whole document is no index, and what of one does not fit a bottle.
Unfit = Literal["no JSON", "too large", "digest", "ref name", "tab"]

_DIGEST = "sh.brew.bottle.digest"
_REF_NAME = "org.opencontainers.image.ref.name"
_TAB = "sh.brew.tab"
_MESSAGE_CHARACTERS = 300
# A version, a tag and a rebuild have less: what is longer names no bottle.
_REF_NAME_CHARACTERS = 256
# What a tab's document is decoded as: any JSON object.
_tab_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


class IndexName(NamedTuple):
    """What brew asks for: the image of a formula, and the reference of one version of it."""

    image: str
    reference: str

    def __str__(self) -> str:
        return f"{self.image}:{self.reference}"


def index_of(bottle: Bottle) -> IndexName:
    """The index that names the bottle."""
    return IndexName(image_name(bottle.formula), index_reference(bottle.pkg_version, bottle.rebuild))


def by_index(bottles: Iterable[Bottle]) -> dict[IndexName, list[Bottle]]:
    """The bottles that share an index, by its name, in their order."""
    groups: dict[IndexName, list[Bottle]] = {}
    for bottle in bottles:
        groups.setdefault(index_of(bottle), []).append(bottle)
    return groups


class IndexEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What of an entry decides. Entries without a digest are in no judgement."""

    digest: str
    ref_name: str
    has_tab: bool


class Judgement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What of an index decides which bottles it makes servable; `size` is that of its bytes.

    `unfit` says why nothing of the document can be served, and `finding` what was found then.
    """

    size: Annotated[int, Meta(ge=0)]
    entries: tuple[IndexEntry, ...] = ()
    unfit: Literal["", "no JSON", "too large"] = ""
    finding: str = ""

    def why_unfit(self, bottle: Bottle) -> Unfit | None:
        """What of the index does not fit the bottle, None when it makes it servable."""
        if self.unfit:
            return self.unfit
        of_digest = [entry for entry in self.entries if entry.digest == bottle.digest]
        if not of_digest:
            return "digest"
        # One digest may stand there under several tags.
        named = [entry for entry in of_digest if entry.ref_name == bottle.ref_name]
        if not named:
            return "ref name"
        # brew takes the first of them.
        return None if named[0].has_tab else "tab"

    def fits(self, bottles: Iterable[Bottle]) -> bool:
        """Whether the index makes all of the bottles servable."""
        return all(self.why_unfit(bottle) is None for bottle in bottles)

    def describe_unfit(self, bottle: Bottle) -> str:
        """What was expected of the index and what was found, in a sentence; empty when it fits the bottle."""
        why = self.why_unfit(bottle)
        if why is None:
            return ""
        if why == "no JSON":
            return f"expected an OCI index in JSON, found: {self.finding}"
        if why == "too large":
            return f"expected an index of less than {MAX_INDEX_BYTES:,} bytes, found {self.size:,}"
        digest = f"sha256:{bottle.digest}"
        if why == "digest":
            return f"expected an entry with the digest {digest} of {bottle.filename}, found none"
        if why == "ref name":
            names = ", ".join(entry.ref_name for entry in self.entries if entry.digest == bottle.digest)
            found = printable(names, _MESSAGE_CHARACTERS) or "no name"
            return f"expected the entry {bottle.ref_name} for {digest}, found {found}"
        return f"expected a JSON object as {_TAB} of {bottle.ref_name}, found none"


def judge(data: bytes) -> Judgement:
    """What the bytes of an index decide. Never raises: what is no index is unfit."""
    size = len(data)
    if size >= MAX_INDEX_BYTES:
        return Judgement(size=size, unfit="too large")
    try:
        entries = entries_of_index(data)
    except ValueError as error:
        return Judgement(size=size, unfit="no JSON", finding=printable(str(error), _MESSAGE_CHARACTERS))
    return Judgement(
        size=size,
        entries=tuple(
            IndexEntry(annotations[_DIGEST], _ref_name(annotations), _is_object(annotations))
            for annotations in entries
            if is_digest(annotations.get(_DIGEST, ""))
        ),
    )


def _ref_name(annotations: Mapping[str, str]) -> str:
    name = annotations.get(_REF_NAME, "")
    return name if len(name) <= _REF_NAME_CHARACTERS else ""


def _is_object(annotations: Mapping[str, str]) -> bool:
    try:
        _tab_decoder.decode(annotations.get(_TAB, ""))
    except UNREADABLE:
        return False
    return True


def most_fitting(judged: Mapping[str, Judgement], bottles: Iterable[Bottle]) -> str:
    """The key of the index that makes most of the bottles servable; "" when none makes any.

    brew is given one index of a name. Of several that fit as many, it is the one whose key sorts last, so
    that the choice stays the same.
    """
    wanted = list(bottles)
    counted = ((sum(one.why_unfit(b) is None for b in wanted), key) for key, one in judged.items())
    count, key = max(counted, default=(0, ""))
    return key if count else ""
