"""The plans that stand in the store, each under its sync id."""

import contextlib
import secrets
from datetime import datetime

from brew_assets.domain.plan import Plan, decode_plan, encode_plan
from brew_assets.engine.adoption import PLAN_PREFIX
from brew_assets.engine.ports import Store
from brew_assets.errors import KeyTaken, PlanInvalid


def new_sync_id(now: datetime) -> str:
    """A sync id that nobody else has; it begins with the time, and so sorts by it."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def keep_plan(store: Store, plan: Plan) -> None:
    """The plan stands in the store under its sync id."""
    # A key that is taken is our own: the answer to the first try was lost.
    with contextlib.suppress(KeyTaken):
        store.write(f"{PLAN_PREFIX}{plan.sync_id}.json", encode_plan(plan), create_only=True)


def load_plan(store: Store, sync_id: str) -> Plan:
    """The plan of a sync.

    Raises:
        PlanInvalid: there is none, or it cannot be read.
    """
    document = store.read(f"{PLAN_PREFIX}{sync_id}.json") if _is_sync_id(sync_id) else None
    if document is None:
        where = f"{store.url}{PLAN_PREFIX}"
        raise PlanInvalid(f"sync {sync_id[:80]!r}: expected a plan under {where}, found none")
    return decode_plan(document.data)


def _is_sync_id(text: str) -> bool:
    return 0 < len(text) < 80 and all(c.isascii() and (c.isalnum() or c == "-") for c in text)
