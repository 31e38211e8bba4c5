"""Recorded bottles whose objects the store has lost: what a sync does about them."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from brew_assets.domain.left_out import LISTED
from brew_assets.domain.manifest import Entry, bottle_of
from brew_assets.domain.plan import Plan, PlannedBottle, with_sizes
from brew_assets.domain.platforms import serving_tags
from brew_assets.domain.proof import Proof
from brew_assets.domain.report import Failure
from brew_assets.errors import BlobNotFound


def with_lost(
    plan: Plan,
    lost: Mapping[str, Entry],
    *,
    resized: Sequence[str] = (),
    rejected: "frozenset[str]" = frozenset(),
    excluded: "frozenset[str]" = frozenset(),
) -> Plan:
    """The plan with what the store has lost: that, too, which the catalogue no longer names.

    `lost` maps entry keys to entries. What is in the catalogue is in the plan already, because it is not
    held. The rest is fetched from its entry's address, as far as that names the blob and the plan's formulae
    and platforms cover it.
    `resized` are keys of objects that have another size than recorded, `rejected` formulae that the catalogue
    has in a form that cannot be used: what is recorded of those may be in it. `excluded` formulae are fetched
    by no sync, and so not again.
    """
    if not lost and not resized:
        return plan
    wanted = {item.bottle.entry_key for item in plan.objects}
    # A manifest that was taken over from another tool may name what no plan can.
    proof = Proof(plan.platforms)
    formulae = plan.covered
    # What the catalogue still names is planned already, since it is lost and so not held: here comes the
    # rest, such as versions that upstream has replaced. The registry may have their blobs for long, so asking
    # is worth it; if it has not, `lost` lets the run take them off the manifest. An entry of a rejected
    # formula has no `lost`: the catalogue may name it after all, in the form that we cannot read, and a 404
    # would then forget too much.
    again = [
        item
        for key, entry in sorted(lost.items())
        if key not in wanted
        and entry.formula_name not in excluded
        and (formulae is None or entry.formula_name in formulae)
        and (platform := _platform_of(entry.platform, plan.platforms)) is not None
        and proof.why_not(item := _lost_bottle(entry, platform, rejected)) is None
    ]
    objects = tuple(
        msgspec.structs.replace(item, again=True) if item.bottle.entry_key in lost else item
        for item in (*plan.objects, *again)
    )
    left_out = msgspec.structs.replace(
        plan.left_out,
        lost=len(lost),
        lost_planned=sum(item.again for item in objects),
        lost_objects=tuple(sorted(entry.s3_key for entry in lost.values())[:LISTED]),
        resized=len(resized),
        resized_objects=tuple(resized[:LISTED]),
    )
    found = msgspec.structs.replace(plan, objects=objects, left_out=left_out)
    return with_sizes(found, {entry.sha256: entry.file_size for entry in lost.values()})


def _lost_bottle(entry: Entry, platform: str, rejected: "frozenset[str]") -> PlannedBottle:
    return PlannedBottle(
        bottle=bottle_of(entry),
        platforms=(platform,),
        size=entry.file_size,
        lost="" if entry.formula_name in rejected else entry.s3_key,
    )


def _platform_of(tag: str, platforms: Sequence[str]) -> str | None:
    """The platform whose run fetches a bottle of that tag: its own, else the first that it can serve."""
    if tag in platforms:
        return tag
    return next((platform for platform in platforms if tag in serving_tags(platform)), None)


def lost_and_not_found(failures: Iterable[Failure], planned: Iterable[PlannedBottle]) -> list[PlannedBottle]:
    """The failed bottles that the catalogue no longer names and the registry said it does not have."""
    gone = {failure.name for failure in failures if failure.reason == BlobNotFound.reason}
    return [item for item in planned if item.lost and item.bottle.filename in gone]
