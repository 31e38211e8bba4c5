"""A plan that was made before formulae of it were excluded."""

from collections.abc import Iterable

import msgspec

from brew_assets.domain.left_out import LISTED
from brew_assets.domain.named_formulae import written_names
from brew_assets.domain.plan import Plan, PlannedBottle


def excluded_of(objects: Iterable[PlannedBottle], written: Iterable[str]) -> set[str]:
    """The formulae of these bottles that are to be left out, by the names that somebody wrote."""
    names = {name.lower() for name in written_names(written)}
    return {planned.bottle.formula for planned in objects if planned.bottle.formula.lower() in names}


def without_excluded(plan: Plan, written: Iterable[str]) -> Plan:
    """The plan without the bottles of these formulae; it says that they are left out."""
    dropped = excluded_of(plan.objects, written)
    if not dropped:
        return plan
    excluded = sorted(dropped.union(plan.left_out.excluded_formulae))
    more = len(dropped.difference(plan.left_out.excluded_formulae))
    left_out = msgspec.structs.replace(
        plan.left_out,
        excluded=plan.left_out.excluded + more,
        excluded_formulae=tuple(excluded[:LISTED]),
    )
    objects = tuple(planned for planned in plan.objects if planned.bottle.formula not in dropped)
    return msgspec.structs.replace(plan, objects=objects, left_out=left_out)
