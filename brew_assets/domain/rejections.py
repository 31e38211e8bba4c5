"""What of a catalogue cannot be used, and when that is too much for the rest to be trusted."""

from collections.abc import Sequence

import msgspec

from brew_assets.domain.foreign_text import printable
from brew_assets.errors import CatalogueInvalid

# Of ten formulae, and of ten bottles of a platform, one may be rejected: that is upstream's slip. More than
# that is another catalogue, or one that we do not understand, and a sync of what is left would look whole.
ONE_IN = 10
REASONS_SHOWN = 4
_NAME_CHARACTERS = 80
_WHY_CHARACTERS = 200


class Rejected(msgspec.Struct, frozen=True):
    """A part of the catalogue that is not used, and why.

    With a `tag` it is this one bottle of the formula. Without, it is the whole formula: `aliases` are its
    other names and `tags` those of its bottles, as far as they could be read.
    """

    name: str
    why: str
    tag: str = ""
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def __str__(self) -> str:
        """`wget (arm64_sonoma): the digest is not a SHA-256`, on one line and without control characters."""
        tag = f" ({printable(self.tag, _NAME_CHARACTERS)})" if self.tag else ""
        return f"{printable(self.name, _NAME_CHARACTERS)}{tag}: {printable(self.why, _WHY_CHARACTERS)}"


def first_reasons(rejected: Sequence[Rejected]) -> str:
    """The first few with their names and reasons."""
    others = len(rejected) - REASONS_SHOWN
    more = [f"and {others:,} others"] if others > 0 else []
    return "; ".join([*map(str, rejected[:REASONS_SHOWN]), *more])


def check_share(rejected: Sequence[Rejected], total: int, what: str) -> None:
    """Returns when at most a tenth of the total is rejected.

    Raises:
        CatalogueInvalid: it is more; the text has the counts and the first reasons.
    """
    if len(rejected) * ONE_IN > total:
        raise CatalogueInvalid(
            f"formula.json: {len(rejected):,} of {total:,} {what} cannot be used, more than a tenth, so "
            f"nothing is planned from it. First: {first_reasons(rejected)}. Expected Homebrew's catalogue in "
            "its present form: look where FORMULAE_API_URL leads, or wait until upstream has mended it."
        )
