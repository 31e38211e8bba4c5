"""What a formula needs, in the form in which the catalogue writes it."""

from typing import Annotated

import msgspec

# Of the real formulae none needs more than 70 others, and none has variations for more than 13 platforms; the
# longest list of tags of one need has two.
_MAX_NEEDS = 1_000
_MAX_VARIATIONS = _MAX_TAGS = 100

_Tags = Annotated[list[str], msgspec.Meta(max_length=_MAX_TAGS)]
# `"curl"`, `{"llvm": "build"}`, `{"python": ["build", "test"]}`.
FromMacos = str | Annotated[dict[str, str | _Tags], msgspec.Meta(max_length=_MAX_TAGS)]


class Bound(msgspec.Struct, gc=False):
    """From which macOS on the system brings it along; empty: every one does."""

    since: str = ""


Dependencies = Annotated[list[str], msgspec.Meta(max_length=_MAX_NEEDS)]
AllFromMacos = Annotated[list[FromMacos], msgspec.Meta(max_length=_MAX_NEEDS)]
Bounds = Annotated[list[Bound], msgspec.Meta(max_length=_MAX_NEEDS)]


class Variation(msgspec.Struct, gc=False):
    """What takes the place of the common lists for the clients of one platform; None where nothing does."""

    dependencies: Dependencies | None = None
    uses_from_macos: AllFromMacos | None = None
    uses_from_macos_bounds: Bounds | None = None


Variations = Annotated[dict[str, Variation], msgspec.Meta(max_length=_MAX_VARIATIONS)]


class Needs(msgspec.Struct, kw_only=True, gc=False):
    """The members of a formula that say what it needs, but for building and testing it.

    The bounds stand in the order of what they bound.
    """

    dependencies: Dependencies = []
    uses_from_macos: AllFromMacos = []
    uses_from_macos_bounds: Bounds = []
    variations: Variations = {}
