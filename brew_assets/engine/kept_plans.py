"""The plans that stand in the store, each under its sync id."""

import contextlib
import heapq
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from brew_assets.domain.exclusions import without_excluded
from brew_assets.domain.object_keys import is_plan_name
from brew_assets.domain.plan import Plan, decode_plan, encode_plan
from brew_assets.domain.proof import is_sync_id, shown
from brew_assets.engine.catalogue_cache import names_in_catalogue
from brew_assets.engine.ports import Ports, Store
from brew_assets.engine.record.identify import PLAN_PREFIX
from brew_assets.errors import KeyTaken, PlanInvalid

_PLANS_NAMED = 5


def new_sync_id(now: datetime) -> str:
    """A sync id that nobody else has; it begins with the time, and so sorts by it."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def keep_plan(store: Store, plan: Plan) -> None:
    """The plan stands in the store under its sync id.

    Raises:
        StoreError: it could not be written.
    """
    # A key that is taken is our own: the answer to the first try was lost.
    with contextlib.suppress(KeyTaken):
        store.write(f"{PLAN_PREFIX}{plan.sync_id}.json", encode_plan(plan), create_only=True)


def load_plan(ports: Ports, sync_id: str) -> Plan:
    """The plan of a sync.

    Raises:
        PlanInvalid: there is none, it cannot be believed, or its folder is one of the future.
        StoreError: the store cannot be read.
    """
    key = f"{PLAN_PREFIX}{sync_id}.json"
    document = ports.store.read(key) if is_sync_id(sync_id) else None
    if document is None:
        raise PlanInvalid(_why_missing(ports.store, sync_id))
    plan = decode_plan(document.data, where=key, sync_id=sync_id)
    check_folder_date(plan.sync_date, ports.clock.now(), where=key)
    return plan


def newest_plans(store: Store, most: int) -> list[str]:
    """The ids of the syncs whose plans stand in the store, the newest first, so many at most.

    Raises:
        StoreError: the store cannot be listed.
    """
    names = (listed.key.removeprefix(PLAN_PREFIX) for listed in store.listing(PLAN_PREFIX))
    return heapq.nlargest(most, (name.removesuffix(".json") for name in names if is_plan_name(name)))


def _why_missing(store: Store, sync_id: str) -> str:
    found = newest_plans(store, _PLANS_NAMED)
    there = f"the newest plans there: {', '.join(found)}" if found else "there are no plans there"
    return (
        f"sync {shown(sync_id)}: expected a plan under {store.url.rstrip('/')}/{PLAN_PREFIX}, found none; "
        f"{there}. `brew-mirror plan` makes one."
    )


def kept_plan(store: Store, sync_id: str) -> Plan | None:
    """The plan of a sync for a message about it, None when there is none; it may be of an earlier version.

    Raises:
        PlanInvalid: it cannot be believed.
        StoreError: the store cannot be read.
    """
    key = f"{PLAN_PREFIX}{sync_id}.json"
    document = store.read(key) if is_sync_id(sync_id) else None
    return decode_plan(document.data, where=key, sealed=False) if document is not None else None


def check_folder_date(sync_date: str, now: datetime, *, where: str) -> None:
    """Returns when the folder is none of the future: it would be among the newest for years.

    Raises:
        PlanInvalid: it is later than tomorrow, which somewhere has begun.
    """
    latest = f"{now + timedelta(days=1):%Y-%m-%d}"
    if sync_date > latest:
        raise PlanInvalid(
            f"{where}: sync_date: expected {latest} at most, found {sync_date}. Nothing was copied: make a "
            "new plan, and look whether the clock of the machine that made this one is right."
        )


def without_excluded_by_now(store: Store, plan: Plan, excluded: Sequence[str]) -> Plan:
    """The plan without formulae that EXCLUDE_FORMULAE names by now and did not when the plan was made.

    Raises:
        StoreError: the store refuses to be read.
    """
    if set(excluded) <= set(plan.excludes):
        return plan
    return without_excluded(plan, names_in_catalogue(store, excluded))
