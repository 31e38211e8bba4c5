"""What is downloaded: one digest and all its names, and how a run and its batches share it out."""

from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from brew_assets.domain.bottle import Digest
from brew_assets.domain.plan import Plan, PlannedBottle


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


def group_fetches(objects: Iterable[PlannedBottle]) -> list[Fetch]:
    """The objects grouped by digest, in the order in which the digests come first."""
    groups: dict[Digest, list[PlannedBottle]] = {}
    for planned in objects:
        groups.setdefault(planned.bottle.digest, []).append(planned)
    return [Fetch(digest=digest, names=tuple(names)) for digest, names in groups.items()]


def fetches_of_run(plan: Plan, platform: str | None) -> tuple[list[Fetch], list[Fetch]]:
    """What the run of a platform copies: what it owns with all its names, then the rest of its platform.

    The rest comes in the reverse of its owner's order: two runs at the same time meet once instead of
    fetching the same digests side by side. No platform: the whole plan in one run.
    """
    if platform is None:
        return group_fetches(plan.objects), []
    own = group_fetches(planned for planned in plan.objects if planned.owner == platform)
    rest = group_fetches(planned for planned in plan.pending(platform) if planned.owner != platform)
    return own, rest[::-1]


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
