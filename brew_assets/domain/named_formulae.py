"""The formulae that somebody asks for by name."""

import difflib
from collections.abc import Iterable

from brew_assets.domain.catalogue import Catalogue
from brew_assets.domain.rejections import Rejected
from brew_assets.errors import PlanInvalid

# Looking for names that are like one takes a tenth of a second.
_HINTS = 5


def resolve_formulae(catalogue: Catalogue, asked: Iterable[str]) -> frozenset[str]:
    """The names of the formulae that were asked for by name, alias or old name.

    Raises:
        PlanInvalid: some are not in the catalogue, or rejected; all of them are named.
    """
    names = catalogue.names()
    asked = tuple(dict.fromkeys(asked))
    missing = [name for name in asked if name not in names]
    if missing:
        rejected = {name: r for r in catalogue.rejected if not r.tag for name in (*r.aliases, r.name)}
        unknown = [name for name in missing if name not in rejected]
        hinted = set(unknown[:_HINTS])
        raise PlanInvalid(
            "; ".join(
                _why_rejected(name, rejected[name])
                if name in rejected
                else _why_unknown(name, names if name in hinted else ())
                for name in missing
            )
        )
    return frozenset(names[name] for name in asked)


def _why_rejected(name: str, rejected: Rejected) -> str:
    return f"formula {name[:80]!r} is in the catalogue, but rejected: {rejected}"


def _why_unknown(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"formula {name[:80]!r} is not in the catalogue{hint}"
