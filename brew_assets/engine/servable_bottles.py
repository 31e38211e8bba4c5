"""Which bottles are servable, with which index, and why the others are not; nothing is written."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from brew_assets.domain.bottle import Bottle, Digest
from brew_assets.domain.manifest import Entry, HeldEntry, bottle_of
from brew_assets.domain.publication import Fault, Lacking, PublishedIndex
from brew_assets.domain.servable import IndexName, by_index
from brew_assets.engine.index_completion import count_servable, fitted
from brew_assets.engine.judged_indexes import JudgedIndexes
from brew_assets.engine.ports import Store
from brew_assets.errors import IndexUnfit


class ServableBottles(msgspec.Struct, frozen=True, kw_only=True):
    """Each of the `bottles` is held and fits the one of the `indexes` with its image and reference.

    `lacking` has a line for each of the others. All are in the order in which they were asked about.
    """

    bottles: tuple[Bottle, ...]
    indexes: tuple[PublishedIndex, ...]
    lacking: tuple[Lacking, ...]


def servable_bottles(
    store: Store,
    held: Mapping[str, HeldEntry],
    bottles: Iterable[Bottle],
    *,
    workers: int,
    fresh: bool = False,
) -> ServableBottles:
    """What of the bottles can be served; `held` are the record's entries by key, as `read_held` gives them.

    brew is given one index of a name: the one that fits most of its bottles that are held. A bottle lacks by
    upstream's fault when upstream, asked last, had no index or one that does not fit; all else is this
    mirror's, also what is not held, for whatever reason. `fresh` reads every index and believes no summary.

    Raises:
        StoreError: the store did not answer.
    """
    wanted = list(bottles)
    there = [bottle for bottle in wanted if _is_held(held, bottle)]
    groups = by_index(there)
    indexes = JudgedIndexes(store, workers=workers, fresh=fresh)
    indexes.judge_all(groups)
    published: list[PublishedIndex] = []
    why_not: dict[str, tuple[str, Fault]] = {}
    for name, of_name in groups.items():
        key, fits = fitted(indexes.of(name), of_name)
        if key:
            sha256 = Digest(key.rpartition("/")[2].removesuffix(".json"))
            published.append(PublishedIndex(image=name.image, reference=name.reference, sha256=sha256))
        why_not |= _reasons(indexes, name, key, [bottle for bottle in of_name if bottle not in fits])
    lacking = {bottle.filename for bottle in wanted if not _is_held(held, bottle)} | why_not.keys()
    return ServableBottles(
        bottles=tuple(bottle for bottle in wanted if bottle.filename not in lacking),
        indexes=tuple(published),
        lacking=tuple(_lacking(bottle, why_not) for bottle in wanted if bottle.filename in lacking),
    )


def servable_among(
    store: Store,
    entries: Iterable[tuple[str, Entry]],
    *,
    workers: int,
    fresh: bool = False,
    remember_at: datetime | None = None,
) -> int:
    """How many of the recorded bottles are servable.

    With `remember_at`, the time, what had to be read is remembered for the next time; else nothing is
    written.

    Raises:
        StoreError: the store did not answer.
    """
    groups = by_index(bottle_of(entry) for _, entry in entries)
    indexes = JudgedIndexes(store, workers=workers, fresh=fresh)
    indexes.judge_all(groups)
    if remember_at is not None:
        indexes.save(remember_at)
    return count_servable(indexes, groups)


def _is_held(held: Mapping[str, HeldEntry], bottle: Bottle) -> bool:
    entry = held.get(bottle.entry_key)
    return entry is not None and entry.sha256 == bottle.digest


def _reasons(
    indexes: JudgedIndexes, name: IndexName, served: str, unfit: Sequence[Bottle]
) -> dict[str, tuple[str, Fault]]:
    """File name -> why the bottle is not servable, and whose fault that is; `served` is the index's key."""
    if not unfit:
        return {}
    finding, judged = indexes.finding(name), indexes.of(name)
    reasons: dict[str, tuple[str, Fault]] = {}
    shown = judged.get(served) or (judged[max(judged)] if judged else None)
    fault: Fault = "mirror" if finding is None else "upstream"
    for bottle in unfit:
        if finding is not None and (shown is None or finding.reason != IndexUnfit.reason):
            why = finding.message
        elif shown is not None:
            why = f"{name}: {shown.describe_unfit(bottle)}"
        else:
            why = f"{name}: expected an index in the store, found none; the next sync fetches it"
        reasons[bottle.filename] = (why, fault)
    return reasons


def _lacking(bottle: Bottle, why_not: Mapping[str, tuple[str, Fault]]) -> Lacking:
    reason, fault = why_not.get(bottle.filename, (f"{bottle.filename}: it is not held", "mirror"))
    return Lacking(name=bottle.formula, tag=bottle.tag, reason=reason, fault=fault)
