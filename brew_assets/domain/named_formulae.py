"""The formulae that somebody names: asks for, or leaves out; and what may have been meant by other names."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping

import msgspec

from brew_assets.domain.catalogue import Catalogue
from brew_assets.domain.rejections import Rejected
from brew_assets.errors import PlanInvalid

# Looking for names that are like one takes a tenth of a second.
_HINTS = 5
_TAP = re.compile(r"homebrew/(homebrew-)?core/", re.IGNORECASE)


class Exclusions(msgspec.Struct, frozen=True, kw_only=True):
    """The formulae to leave out, by the catalogue's names, and the names that it does not have."""

    names: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()


def written_names(written: Iterable[str]) -> tuple[str, ...]:
    """The names that somebody wrote, each once, without Homebrew's own tap before them."""
    return tuple(dict.fromkeys(without_tap(name.strip()) for name in written if name.strip()))


def without_tap(name: str) -> str:
    """The name without Homebrew's own tap before it."""
    return _TAP.sub("", name, count=1)


def exclusions_of(catalogue: Catalogue, written: Iterable[str]) -> Exclusions:
    """Which formulae of the catalogue are to be left out: by name, alias or old name, in letters of any size.

    Of what the catalogue does not have, the name alone is left out: formulae come and go.
    """
    given = written_names(written)
    if not given:
        return Exclusions()
    names = catalogue.names() | {r.name: r.name for r in catalogue.rejected}
    names |= {alias: r.name for r in catalogue.rejected for alias in r.aliases if alias not in names}
    in_small = {name.lower(): formula for name, formula in names.items()}
    found = {name: formula for name in given if (formula := _of_name(name, names, in_small))}
    return Exclusions(
        names=frozenset(found.values()) | frozenset(name.lower() for name in given if name not in found),
        unknown=tuple(name for name in given if name not in found),
    )


def _of_name(name: str, names: Mapping[str, str], in_small: Mapping[str, str]) -> str | None:
    return names.get(name) or in_small.get(name.lower())


def resolve_formulae(
    catalogue: Catalogue, asked: Iterable[str], *, excluded: "frozenset[str]" = frozenset()
) -> frozenset[str]:
    """The names of the formulae that were asked for by name, alias or old name.

    Raises:
        PlanInvalid: some are not in the catalogue, or rejected, or excluded; all of them are named.
    """
    names = catalogue.names()
    asked = tuple(dict.fromkeys(asked))
    missing = [name for name in asked if name not in names or names[name] in excluded]
    if missing:
        # All of them in one error: who has asked for twenty formulae mends the list once. A name that the
        # catalogue knows is missing here only because it is excluded, under whichever of its names. A
        # rejected formula's alias may be the present name of another one: what can be used wins. Looking for
        # names that are alike compares with all 8,000: for the first few unknown ones alone.
        rejected = {name: r for r in catalogue.rejected if not r.tag for name in (*r.aliases, r.name)}
        unknown = [name for name in missing if name not in rejected and name not in names]
        hinted = set(unknown[:_HINTS])
        raise PlanInvalid(
            "; ".join(
                _why_rejected(name, rejected[name])
                if name in rejected and name not in names
                else why_excluded(name, names[name])
                if name in names
                else _why_unknown(name, names if name in hinted else ())
                for name in missing
            )
        )
    return frozenset(names[name] for name in asked)


def why_excluded(name: str, formula: str) -> str:
    """The sentence on a formula that was asked for and is to be left out."""
    under = "" if name == formula else f" (as {formula})"
    remedy = "take it off there, or do not ask for it"
    return f"formula {name[:80]!r} is excluded{under} by EXCLUDE_FORMULAE: {remedy}"


def _why_rejected(name: str, rejected: Rejected) -> str:
    return f"formula {name[:80]!r} is in the catalogue, but rejected: {rejected}"


def _why_unknown(name: str, names: Collection[str]) -> str:
    hint = question(suggest(without_tap(name), names))
    return f"formula {name[:80]!r} is not in the catalogue{f'; {hint}' if hint else ''}"


_BETWEEN = re.compile(r"[\s,;|]+")


def suggest(name: str, known: Collection[str]) -> tuple[str, ...]:
    """The known names that were written as one, else the one that is most like it; none without a likeness.

    The size of letters is no difference.
    """
    in_small = {one.lower(): one for one in known}
    written = name.strip().lower()
    parts = [part for part in _BETWEEN.split(written) if part]
    if parts and all(part in in_small for part in parts):
        return tuple(dict.fromkeys(in_small[part] for part in parts))
    # A list of which one part is wrong is like none of its parts.
    close = [] if len(parts) > 1 else difflib.get_close_matches(written, in_small, n=1)
    return tuple(in_small[one] for one in close)


def question(suggested: Collection[str]) -> str:
    """The suggestion as a question; "" without one."""
    if not suggested:
        return ""
    each = "each by itself: " if len(suggested) > 1 else ""
    return f"did you mean {each}{', '.join(suggested)}?"
