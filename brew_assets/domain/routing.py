"""Where the bottles of a plan are copied, and why; how large the tasks of a large one are.

Decided once per plan, on its total: many small bottles are worth many short Lambda invocations, a large
plan is worth a few long tasks.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

import msgspec

from brew_assets.domain.plan import PlannedBottle, Route
from brew_assets.errors import PlanInvalid

ROUTES: tuple[Route, ...] = get_args(Route)

GB = 1_000_000_000

# Memory (MiB) that Fargate has for so many CPU units: the values, or their range.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
_FARGATE_MEMORY: Mapping[int, Sequence[int]] = {
    256: (512, 1024, 2048),
    512: range(1024, 4097, 1024),
    1024: range(2048, 8193, 1024),
    2048: range(4096, 16385, 1024),
    4096: range(8192, 30721, 1024),
    8192: range(16384, 61441, 4096),
    16384: range(32768, 122881, 8192),
}
# A task has 20 GiB without asking; so many can be asked for.
_FARGATE_STORAGE_GIB = (21, 200)


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be downloaded: distinct digests, and the bytes of those whose size is known."""

    downloads: int
    known_bytes: int
    unknown: int

    @property
    def mean(self) -> int | None:
        """Mean size of the known ones, None when none is known."""
        known = self.downloads - self.unknown
        return self.known_bytes // known if known else None

    @property
    def bytes(self) -> int:
        """Bytes to download, unknown sizes counted by the mean of the known ones."""
        return self.known_bytes + self.unknown * (self.mean or 0)


class RoutingRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings allow. `no_lambda` says why nothing can go through Lambda; empty means it can."""

    threshold_gb: float = 20.0
    no_lambda: str = "no Lambda function is configured (LAMBDA_SYNC_FUNCTION)"
    cluster: bool = False


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A route, and the reason in words."""

    route: Route
    reason: str


class TaskSize(msgspec.Struct, frozen=True, kw_only=True):
    """A Fargate task for a run with at most `up_to_bytes` pending (None: any number)."""

    up_to_bytes: float | None
    cpu: int
    memory_mib: int
    storage_gib: int


# Planning, and watching over invocations: 0.5 vCPU, 1 GiB.
CONTROL_TASK = TaskSize(up_to_bytes=None, cpu=512, memory_mib=1024, storage_gib=21)


def load_of(objects: Iterable[PlannedBottle]) -> Load:
    """What the objects make necessary to download; what the store can make itself does not count."""
    sizes: dict[str, int | None] = {}
    for planned in objects:
        if planned.source is None and sizes.get(planned.bottle.digest) is None:
            sizes[planned.bottle.digest] = planned.size
    known = [size for size in sizes.values() if size is not None]
    return Load(downloads=len(sizes), known_bytes=sum(known), unknown=len(sizes) - len(known))


def check_size(sync_id: str, own: Iterable[PlannedBottle], limit_gb: float) -> None:
    """Returns when a run may download what it owns of the plan; a limit of 0 allows everything.

    Raises:
        PlanInvalid: it is more than MAX_DOWNLOAD_SIZE_GB.
    """
    size = load_of(own).bytes
    if limit_gb and size > limit_gb * GB:
        raise PlanInvalid(
            f"sync {sync_id}: {size / GB:.3g} GB to download in this run, more than "
            f"MAX_DOWNLOAD_SIZE_GB ({limit_gb:g}) allows; nothing was copied. Raise it, or plan for fewer "
            "platforms or formulae."
        )


def choose_route(load: Load, rules: RoutingRules) -> Decision:
    """Where so much is copied: `lambda` under the threshold, else `ecs`, or `local`."""
    otherwise: Route = "ecs" if rules.cluster else "local"
    amount = describe_load(load)
    if rules.no_lambda:
        return Decision(route=otherwise, reason=f"{amount}; {rules.no_lambda}")
    limit = f"{rules.threshold_gb:g} GB"
    if load.unknown and load.mean is None:
        return Decision(
            route=otherwise, reason=f"{amount}, so it may not be under the threshold of {limit} for Lambda"
        )
    if load.bytes < rules.threshold_gb * GB:
        return Decision(route="lambda", reason=f"{amount}, under the threshold of {limit}")
    return Decision(route=otherwise, reason=f"{amount}, not under the threshold of {limit} for Lambda")


def describe_load(load: Load) -> str:
    """The load in words; it says how unknown sizes were counted."""
    if load.unknown and load.mean is None:
        return f"{load.downloads:,} bottles to download, none of known size"
    text = f"{load.bytes / GB:.3g} GB to download in {load.downloads:,} downloads"
    if load.unknown:
        text += (
            f" ({load.unknown:,} of unknown size, each counted as {(load.mean or 0) / 1e6:.3g} MB, "
            "the mean of the others)"
        )
    return text


def decode_task_sizes(text: str) -> tuple[TaskSize, ...]:
    """The table in ECS_TASK_SIZES, smallest first.

    Raises:
        ValueError: names the row and what was expected of it.
    """
    sizes: list[TaskSize] = []
    for row in (part.strip() for part in text.split(",")):
        if sizes and sizes[-1].up_to_bytes is None:
            raise ValueError(f"{row!r}: expected nothing after the row for '*'")
        size = _decode_task_size(row)
        if sizes and size.up_to_bytes is not None and size.up_to_bytes <= (sizes[-1].up_to_bytes or 0):
            raise ValueError(f"{row!r}: expected more GB than in the row before")
        sizes.append(size)
    if sizes[-1].up_to_bytes is not None:
        raise ValueError(f"{text[:200]!r}: expected a last row for '*'")
    return tuple(sizes)


def _decode_task_size(row: str) -> TaskSize:
    try:
        up_to, cpu, memory, storage = row.split(":")
        size = TaskSize(
            up_to_bytes=None if up_to == "*" else float(up_to) * GB,
            cpu=int(cpu),
            memory_mib=int(memory),
            storage_gib=int(storage),
        )
    except ValueError:
        raise ValueError(f"{row[:80]!r}: expected up-to-GB:CPU units:memory MiB:storage GiB") from None
    if size.up_to_bytes is not None and not 0 < size.up_to_bytes < float("inf"):
        raise ValueError(f"{row[:80]!r}: expected a positive number of GB")
    if size.cpu not in _FARGATE_MEMORY:
        raise ValueError(f"{row[:80]!r}: expected CPU units of {', '.join(map(str, _FARGATE_MEMORY))}")
    memory_mib = _FARGATE_MEMORY[size.cpu]
    if size.memory_mib not in memory_mib:
        raise ValueError(f"{row[:80]!r}: with {size.cpu} CPU units Fargate has {_in_words(memory_mib)}")
    least, most = _FARGATE_STORAGE_GIB
    if not least <= size.storage_gib <= most:
        raise ValueError(f"{row[:80]!r}: expected {least} to {most} GiB of storage")
    return size


def _in_words(values: Sequence[int]) -> str:
    if isinstance(values, range):
        return f"{values[0]} to {values[-1]} MiB in steps of {values.step}"
    return f"{', '.join(map(str, values))} MiB"


def task_size(sizes: Iterable[TaskSize], pending_bytes: int) -> TaskSize:
    """The first row of the table that is large enough."""
    return next(size for size in sizes if size.up_to_bytes is None or pending_bytes <= size.up_to_bytes)


def goes_to_spot(sync_id: str, number: int, percent: int) -> bool:
    """Whether the run with this number (0, 1, …) of that plan takes Fargate Spot.

    Dealt out evenly, so that of the runs of a plan about `percent` of 100 do and the others are on demand: an
    interruption of all Spot tasks at once leaves some work going on. Each plan begins somewhere else, so that
    small ones have their share too.
    """
    turn = number + int.from_bytes(hashlib.sha256(sync_id.encode()).digest()[:8]) % 100
    return (turn + 1) * percent // 100 > turn * percent // 100
