"""A plan in figures: what the command line prints of it and Dagster records, without its bottles."""

from collections.abc import Collection

import msgspec

from brew_assets.domain.left_out import LeftOut
from brew_assets.domain.plan import Plan, PlannedBottle
from brew_assets.domain.routing import load_of

# The row under those of the platforms: a bottle that serves several stands in the row of each.
COUNTED_ONCE = "all, each bottle once"


class PlatformTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What one platform needs: names to store, and what its digests make necessary to fetch.

    A bottle that serves two platforms counts for both: the sum over platforms is more than the plan's total.
    `estimated_bytes` count unknown sizes by the mean of the known ones, `bytes` leave them out.
    """

    bottles: int
    bytes: int
    unknown_sizes: int
    estimated_bytes: int = 0


class PlanSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A plan in figures: what `plan --json` prints, and what Dagster records of each plan.

    `objects` are names to store and `downloads` digests to fetch. `formulae`, `meant`, `needed` and `closed`
    are the plan's: `asked_for` counts the first or else the second, none means all, and `with_needed` the
    third beside them. `catalogue_formulae` and `catalogue_bottles` count what the plan was made from, 0 where
    nobody has counted. What it leaves out is as in the plan.
    """

    sync_id: str
    sync_date: str
    platforms: dict[str, PlatformTotals]
    objects: int
    downloads: int
    bytes: int
    unknown_sizes: int
    estimated_bytes: int = 0
    held: int
    skipped: int
    left_out: LeftOut = LeftOut()
    formulae: tuple[str, ...] = ()
    meant: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    closed: bool = False
    asked_for: int = 0
    with_needed: int = 0
    catalogue_formulae: int = 0
    catalogue_bottles: int = 0
    route: str
    route_reason: str

    @property
    def selection(self) -> str:
        """`2 formulae asked for, 4 with what they need`; "" where all are meant."""
        if not self.asked_for:
            return ""
        asked = f"{self.asked_for:,} {'formula' if self.asked_for == 1 else 'formulae'} asked for"
        they = "it needs" if self.asked_for == 1 else "they need"
        return (
            f"{asked}, {self.with_needed:,} with what {they}"
            if self.closed
            else f"{asked}, without what {they}"
        )

    @property
    def rows(self) -> dict[str, PlatformTotals]:
        """A row per platform and, where several add up to more than there is, one of each bottle once."""
        together = PlatformTotals(
            bottles=self.objects,
            bytes=self.bytes,
            unknown_sizes=self.unknown_sizes,
            estimated_bytes=self.estimated_bytes,
        )
        return self.platforms | ({COUNTED_ONCE: together} if len(self.platforms) > 1 else {})


def _totals(objects: Collection[PlannedBottle]) -> PlatformTotals:
    load = load_of(objects)
    return PlatformTotals(
        bottles=len(objects),
        bytes=load.known_bytes,
        unknown_sizes=load.unknown,
        estimated_bytes=load.bytes,
    )


def summarize(plan: Plan) -> PlanSummary:
    """The plan in numbers."""
    load = load_of(plan.objects)
    asked_for = len(plan.formulae or plan.meant)
    return PlanSummary(
        sync_id=plan.sync_id,
        sync_date=plan.sync_date,
        platforms={platform: _totals(plan.pending(platform)) for platform in plan.platforms},
        objects=len(plan.objects),
        downloads=load.downloads,
        bytes=load.known_bytes,
        unknown_sizes=load.unknown,
        estimated_bytes=load.bytes,
        held=plan.held,
        skipped=plan.skipped,
        left_out=plan.left_out,
        formulae=plan.formulae,
        meant=plan.meant,
        needed=plan.needed,
        closed=plan.closed,
        asked_for=asked_for,
        with_needed=asked_for + len(plan.needed),
        catalogue_formulae=plan.catalogue_formulae,
        catalogue_bottles=plan.catalogue_bottles,
        route=plan.route,
        route_reason=plan.route_reason,
    )
