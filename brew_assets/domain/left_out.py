"""What a sync leaves out although upstream has it or the record names it, and the sentences that say so.

A plan, its summary and the reports of its runs carry the same figures, and every place that shows one of them
shows its notes: another kind is another field here and another sentence in `notes_of`.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec

from brew_assets.domain.bottle import Bottle
from brew_assets.domain.catalogue import Catalogue
from brew_assets.domain.dependencies import Unmet
from brew_assets.domain.foreign_text import printable
from brew_assets.domain.formula import MAX_NAME_CHARACTERS, Formula
from brew_assets.domain.named_formulae import Exclusions
from brew_assets.domain.platforms import serving_tags
from brew_assets.domain.selection import Selection

# How many of a kind are named in documents, and how many in a sentence.
LISTED = 20
SHOWN = 5
# Of a name with a reason behind it.
_NAME_CHARACTERS = 500
_DETAILS_CHARACTERS = 200
_INCLUDE = "INCLUDE_DISABLED=true mirrors them too"
_NOTHING_EXCLUDED = Exclusions()
_MEND = "run `brew-mirror verify --deep --repair` or the job `repair`"


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each kind, and the first of them by name.

    `rejected` is what the catalogue has in a form that cannot be used: whole formulae, and `rejected_bottles`
    single bottles of others; `catalogue_formulae` counts all that it lists. The settings leave `disabled` and
    `excluded` formulae out; `unknown_exclusions` are names that they exclude in vain. `unserved` formulae
    were asked for by name, and nothing of them can be planned; `unknown_meant` are names of MIRROR_FORMULAE
    that no formula has. `unmet` formulae are needed by what was asked for and cannot be had from here,
    `excluded_needed` ones because they are excluded; what the `opaque` ones need cannot be read.
    `empty_platforms` are those that no bottle of the catalogue serves.

    `lost` are recorded bottles that the store has no more; the plan brings `lost_planned` of them back.
    `resized` are objects that have another size than recorded.

    `hash_file_warnings` counts external hash files that could not be had and entries that cannot be used.
    `no_api` is why the signed API could not be asked which bottles it names beside the catalogue, and
    `no_api_reason` the reason of that error.
    """

    catalogue_formulae: int = 0
    rejected: int = 0
    rejected_bottles: int = 0
    rejections: tuple[str, ...] = ()
    skipped_bottles: tuple[str, ...] = ()
    disabled: int = 0
    disabled_formulae: tuple[str, ...] = ()
    excluded: int = 0
    excluded_formulae: tuple[str, ...] = ()
    unknown_exclusions: tuple[str, ...] = ()
    unserved: int = 0
    unserved_formulae: tuple[str, ...] = ()
    unknown_meant: tuple[str, ...] = ()
    unmet: int = 0
    unmet_formulae: tuple[str, ...] = ()
    opaque: int = 0
    opaque_formulae: tuple[str, ...] = ()
    excluded_needed: int = 0
    excluded_needed_formulae: tuple[str, ...] = ()
    empty_platforms: tuple[str, ...] = ()
    lost: int = 0
    lost_planned: int = 0
    lost_objects: tuple[str, ...] = ()
    resized: int = 0
    resized_objects: tuple[str, ...] = ()
    hash_file_warnings: int = 0
    hash_file_findings: tuple[str, ...] = ()
    no_api: str = ""
    no_api_reason: str = ""


class LeavesOut(Protocol):
    """A plan, its summary, or a report; `skipped` counts bottles that an external hash file names."""

    @property
    def skipped(self) -> int: ...
    @property
    def left_out(self) -> LeftOut: ...


def left_out_of(
    catalogue: Catalogue,
    platforms: Sequence[str],
    selection: Selection,
    *,
    include_disabled: bool,
    exclusions: Exclusions = _NOTHING_EXCLUDED,
    chosen: Iterable[Bottle],
    skipped: Sequence[Bottle],
) -> LeftOut:
    """What a plan over the platforms leaves out.

    What was rejected of formulae that were asked for by name comes first.
    """
    asked = selection.asked
    named = asked and asked | selection.uncatalogued | selection.excluded
    rejected = sorted(catalogue.rejected, key=lambda r: named is None or r.name not in named)
    bottles = sum(1 for r in rejected if r.tag)
    serving = _serving(catalogue, platforms, named)
    excluded = [formula.name for formula in serving if formula.name in exclusions.names]
    disabled = [
        formula.name
        for formula in serving
        if formula.disabled and not include_disabled and formula.name not in exclusions.names
    ]
    tags = catalogue.tags()
    missing = asked - {bottle.formula for bottle in chosen} if asked else frozenset()
    unserved = [
        f"{formula.name}: {_why_unserved(catalogue, formula, platforms, disabled)}"
        for formula in (catalogue.formulae if missing else ())
        if formula.name in missing
    ]
    return LeftOut(
        catalogue_formulae=len(catalogue.formulae) + len(rejected) - bottles,
        rejected=len(rejected),
        rejected_bottles=bottles,
        rejections=tuple(map(str, rejected[:LISTED])),
        skipped_bottles=tuple(bottle.filename for bottle in skipped[:LISTED]),
        disabled=len(disabled),
        disabled_formulae=tuple(disabled[:LISTED]),
        excluded=len(excluded),
        excluded_formulae=tuple(excluded[:LISTED]),
        unknown_exclusions=exclusions.unknown,
        unserved=len(unserved),
        unserved_formulae=tuple(unserved[:LISTED]),
        empty_platforms=tuple(p for p in platforms if tags.isdisjoint(serving_tags(p))),
        unknown_meant=tuple(name[:MAX_NAME_CHARACTERS] for name in selection.unknown),
        **_unmet_needs(selection),
    )


def _unmet_needs(selection: Selection) -> dict[str, Any]:
    """How many needs are not met, and the first of them with who has them."""
    sentences: dict[str, list[str]] = {"unmet": [], "opaque": [], "excluded_needed": []}
    for unmet, platforms in selection.unmet.values():
        kind = {"opaque": "opaque", "excluded": "excluded_needed"}.get(unmet.reason, "unmet")
        sentences[kind].append(_described(unmet, platforms))
    counts = {kind: len(found) for kind, found in sentences.items()}
    return counts | {f"{kind}_formulae": tuple(found[:LISTED]) for kind, found in sentences.items()}


def _described(unmet: Unmet, platforms: Sequence[str]) -> str:
    """`wayland: it has no bottle for arm64_sonoma (needed by mesa)`."""
    name, by = (printable(text, MAX_NAME_CHARACTERS) for text in (unmet.name, unmet.needed_by))
    # Of excluded ones the sentence says why.
    why = "" if unmet.reason == "excluded" else f": {why_unmet(unmet, platforms)}"
    return f"{name}{why}{f' (needed by {by})' if by else ''}"


def why_unmet(unmet: Unmet, platforms: Sequence[str]) -> str:
    """Why the platforms' clients are not given the formula, or not all that it needs."""
    details = printable(unmet.details, _DETAILS_CHARACTERS)
    return {
        "excluded": "EXCLUDE_FORMULAE names it",
        "disabled": f"upstream has disabled it ({_INCLUDE})",
        "unknown": "it is not in the catalogue",
        "rejected": f"it is rejected, {details}",
        "unbottled": f"it has no bottle for {', '.join(platforms)}",
        "opaque": details,
    }[unmet.reason]


def _serving(catalogue: Catalogue, platforms: Sequence[str], asked: "frozenset[str] | None") -> list[Formula]:
    """The formulae that would serve one of the platforms."""
    tags = {tag for platform in platforms for tag in serving_tags(platform)}
    return [
        formula
        for formula in catalogue.formulae
        if (asked is None or formula.name in asked) and not tags.isdisjoint(formula.tags)
    ]


def _why_unserved(
    catalogue: Catalogue, formula: Formula, platforms: Sequence[str], disabled: Sequence[str]
) -> str:
    if formula.name in disabled:
        return f"upstream has disabled it ({_INCLUDE})"
    lost = [r.tag for r in catalogue.rejected if r.tag and r.name == formula.name]
    besides = f" besides those that cannot be used ({', '.join(lost)})" if lost else ""
    return f"it has no bottle for {', '.join(platforms)}{besides}"


def notes_of(found: LeavesOut) -> tuple[str, ...]:
    """A sentence for each kind that somebody should look at; none when all that was asked for is covered.

    The gravest come first: what the store has lost, then what upstream has and we cannot use.
    """
    left_out = found.left_out
    return (
        *_lost(left_out),
        *_rejected(left_out),
        *_bottles(
            "Skipped, because an external hash file names them", found.skipped, left_out.skipped_bottles
        ),
        *_formulae(
            "Asked for, but nothing of them can be planned", left_out.unserved, left_out.unserved_formulae
        ),
        *_unmet_sentences(left_out),
        *_sentence(
            "Asked for, but no bottle of the catalogue serves them",
            _counted(len(left_out.empty_platforms), "platform", "platforms"),
            len(left_out.empty_platforms),
            left_out.empty_platforms,
        ),
        *_sentence(
            "Named in EXCLUDE_FORMULAE, but in no catalogue under this name (wrong, or gone from it)",
            _counted(len(left_out.unknown_exclusions), "name", "names"),
            len(left_out.unknown_exclusions),
            left_out.unknown_exclusions,
        ),
        *_sentence(
            f"Of another size than recorded ({_MEND})",
            _counted(left_out.resized, "object", "objects"),
            left_out.resized,
            left_out.resized_objects,
        ),
        *_sentence(
            "Not used of external hash files, so that bottles which they name may be downloaded",
            _counted(left_out.hash_file_warnings, "file or entry", "files or entries"),
            left_out.hash_file_warnings,
            left_out.hash_file_findings,
        ),
        *_without_api(left_out),
    )


def _unmet_sentences(left_out: LeftOut) -> tuple[str, ...]:
    return (
        *_formulae(
            "Needed by what was asked for, but not to be had from this mirror",
            left_out.unmet,
            left_out.unmet_formulae,
        ),
        *_formulae(
            "Taken without what they need, which upstream's catalogue has in a form that cannot be read",
            left_out.opaque,
            left_out.opaque_formulae,
        ),
        *_sentence(
            "Named in MIRROR_FORMULAE, but in no catalogue under this name (wrong, or gone from it)",
            _counted(len(left_out.unknown_meant), "name", "names"),
            len(left_out.unknown_meant),
            left_out.unknown_meant,
        ),
    )


def forgotten_note(names: Sequence[str]) -> tuple[str, ...]:
    """A sentence on the bottles that left the manifest; none when there is none."""
    return _bottles(
        "Taken off the manifest, because the store has lost them and upstream no longer has them",
        len(names),
        names,
    )


def remarks_of(found: LeavesOut) -> tuple[str, ...]:
    """A sentence for each kind that is left out as a matter of course: nobody has to look at it."""
    left_out = found.left_out
    if left_out.unserved:
        return _excluded(left_out)  # a plan of single formulae; a note says the same of each that is disabled
    return (
        *_excluded(left_out),
        *_formulae(
            f"Left out, because upstream has disabled them ({_INCLUDE})",
            left_out.disabled,
            left_out.disabled_formulae,
        ),
    )


def message_notes_of(found: LeavesOut) -> tuple[str, ...]:
    """What a message says: the notes, and beside them the remarks; without a note, what was excluded alone.

    Upstream disables formulae; somebody here has excluded some, and others should know.
    """
    notes = notes_of(found)
    return (*notes, *remarks_of(found)) if notes else _excluded(found.left_out)


def _without_api(left_out: LeftOut) -> tuple[str, ...]:
    if not left_out.no_api:
        return ()
    why = printable(left_out.no_api, _NAME_CHARACTERS)
    return (f"Planned from the catalogue alone, without bottles that only the signed API names: {why}",)


def _excluded(left_out: LeftOut) -> tuple[str, ...]:
    return (
        *_formulae(
            "Left out, because EXCLUDE_FORMULAE names them", left_out.excluded, left_out.excluded_formulae
        ),
        *_formulae(
            "Needed by what was asked for, but left out, because EXCLUDE_FORMULAE names them",
            left_out.excluded_needed,
            left_out.excluded_needed_formulae,
        ),
    )


def first_names(names: Sequence[str], count: int) -> str:
    """`a; b; and 3 others`: the first names of `count` things."""
    shown = [printable(name, _NAME_CHARACTERS) for name in names[:SHOWN]]
    others = count - len(shown)
    return "; ".join([*shown, *([f"and {others:,} others"] if others > 0 else [])])


def _rejected(left_out: LeftOut) -> tuple[str, ...]:
    formulae = left_out.rejected - left_out.rejected_bottles
    counts = [
        f"{formulae:,} of {_counted(left_out.catalogue_formulae, 'formula', 'formulae')}" if formulae else "",
        _counted(left_out.rejected_bottles, "bottle", "bottles") if left_out.rejected_bottles else "",
    ]
    return _sentence(
        "Rejected, because upstream's catalogue has them in a form that cannot be used",
        " and ".join(filter(None, counts)),
        left_out.rejected,
        left_out.rejections,
    )


def _lost(left_out: LeftOut) -> tuple[str, ...]:
    others = left_out.lost - left_out.lost_planned
    back = "fetched again by this sync, as far as upstream has them"
    if others:
        back = f"{left_out.lost_planned:,} of them are fetched again by this sync; for the others {_MEND}"
    return _bottles(f"Recorded, but gone from the store ({back})", left_out.lost, left_out.lost_objects)


def _sentence(why: str, counted: str, count: int, names: Sequence[str]) -> tuple[str, ...]:
    if not count:
        return ()
    first = f"; first: {first_names(names, count)}" if names else ""
    return (f"{why}: {counted}{first}",)


def _bottles(why: str, count: int, names: Sequence[str]) -> tuple[str, ...]:
    return _sentence(why, _counted(count, "bottle", "bottles"), count, names)


def _formulae(why: str, count: int, names: Sequence[str]) -> tuple[str, ...]:
    return _sentence(why, _counted(count, "formula", "formulae"), count, names)


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
