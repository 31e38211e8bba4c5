"""What is downloaded: one digest and all its names, and how a run and its batches share it out."""

import operator
from collections import deque
from collections.abc import Callable, Iterable, Mapping

import msgspec

from brew_assets.domain.bottle import Digest
from brew_assets.domain.manifest import HeldEntry
from brew_assets.domain.plan import Plan, PlannedBottle
from brew_assets.domain.routing import check_size
from brew_assets.errors import PlanInvalid


class Fetch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One digest and the names it has to be stored under; the unit of a transfer."""

    digest: Digest
    names: tuple[PlannedBottle, ...]

    @property
    def size(self) -> int | None:
        """Bytes of the blob, None when unknown."""
        return next((planned.size for planned in self.names if planned.size is not None), None)

    @property
    def source(self) -> str | None:
        """The key of a held object with the digest, if the plan knew one."""
        return next((planned.source for planned in self.names if planned.source), None)


class CopyJob(msgspec.Struct, frozen=True, kw_only=True):
    """Fetches of one sync, and how they are to be stored.

    `look_first` asks the store for each name before it is fetched; `force` overwrites what stands there, and
    does not ask: it proves nothing.
    """

    sync_id: str
    sync_date: str
    fetches: list[Fetch]
    force: bool = False
    look_first: bool = False


def group_fetches(objects: Iterable[PlannedBottle]) -> list[Fetch]:
    """The objects grouped by digest, in the order in which the digests come first."""
    groups: dict[Digest, list[PlannedBottle]] = {}
    for planned in objects:
        groups.setdefault(planned.bottle.digest, []).append(planned)
    return [Fetch(digest=digest, names=tuple(names)) for digest, names in groups.items()]


def fetches_of_run(
    plan: Plan, platform: str | None, *, max_gb: float = 0.0
) -> tuple[list[Fetch], list[Fetch]]:
    """What the run of a platform copies: what it owns with all its names, then the rest of its platform.

    The rest comes in the reverse of its owner's order: two runs at the same time meet once instead of
    fetching the same digests side by side. No platform: the whole plan in one run.

    Raises:
        PlanInvalid: the plan does not cover the platform, or the run owns more than it may download; 0 allows
            everything.
    """
    if platform is None:
        check_size(plan.sync_id, plan.objects, max_gb)
        return group_fetches(plan.objects), []
    if platform not in plan.platforms:
        raise PlanInvalid(f"sync {plan.sync_id} covers {', '.join(plan.platforms)}, not {platform}")
    owned = [planned for planned in plan.objects if planned.owner == platform]
    check_size(plan.sync_id, owned, max_gb)
    own = group_fetches(owned)
    rest = group_fetches(planned for planned in plan.pending(platform) if planned.owner != platform)
    return own, rest[::-1]


def still_missing(
    fetches: list[Fetch], held: Mapping[str, HeldEntry], *, force: bool
) -> tuple[list[Fetch], int]:
    """The fetches without the names that are held by now, and how many those are; all of them if `force`.

    Where the digest is held, the names that are left have it as their source.
    """
    if force:
        return fetches, 0
    kept = 0
    missing: list[Fetch] = []
    digests = {fetch.digest for fetch in fetches}
    places = {entry.sha256: entry for entry in held.values() if entry.sha256 in digests}
    for fetch in fetches:
        names: list[PlannedBottle] = []
        place = places.get(fetch.digest)
        for planned in fetch.names:
            known = held.get(planned.bottle.entry_key)
            if known is not None and known.sha256 == planned.bottle.digest:
                kept += 1
            elif place is not None:
                names.append(msgspec.structs.replace(planned, source=place.s3_key, size=place.file_size))
            elif planned.source is not None:
                names.append(msgspec.structs.replace(planned, source=None))
            else:
                names.append(planned)
        if names:
            whole = len(names) == len(fetch.names) and all(map(operator.is_, names, fetch.names))
            missing.append(fetch if whole else Fetch(digest=fetch.digest, names=tuple(names)))
    return missing, kept


def cut_batch(work: "deque[Fetch]", *, room: float, weigh: Callable[[Fetch], float]) -> list[Fetch]:
    """The next fetches, taken off the work, whose weights add up to `room` at most.

    A fetch that weighs more than the room is a batch by itself. Empty only when the work is.
    """
    batch: list[Fetch] = []
    while work and (weight := weigh(work[0])) <= room:
        batch.append(work.popleft())
        room -= weight
    if not batch and work:
        batch.append(work.popleft())
    return batch
