"""Bottles that stand in the store already when a transfer comes to store them."""

from collections.abc import Iterable

import msgspec

from brew_assets.domain.plan import PlannedBottle
from brew_assets.engine.ports import ObjectFacts, Store
from brew_assets.errors import KeyTaken, StoreError, StoreUnavailable


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at the store has shown: names that stand there whole, and the others."""

    there: list[tuple[PlannedBottle, ObjectFacts]]
    missing: list[PlannedBottle]


def look_for(store: Store, names: Iterable[PlannedBottle], *, date: str) -> Look:
    """Which of the names stand in the folder of that date."""
    look = Look(there=[], missing=[])
    for planned in names:
        try:
            facts = store.facts(planned.bottle.key(date))
        except StoreError:
            facts = None  # the create-only write will show it
        if facts is not None and facts.digest == planned.bottle.digest:
            look.there.append((planned, facts))
        else:
            look.missing.append(planned)
    return look


def proven_facts(store: Store, key: str) -> ObjectFacts | None:
    """What the store vouches for, or else what its bytes prove; None if there is no object.

    Raises:
        StoreError: it cannot be read.
    """
    facts = store.facts(key)
    return store.hash(key) if facts is not None and facts.digest is None else facts


def stored_whole(store: Store, planned: PlannedBottle, *, date: str) -> ObjectFacts | None:
    """What the store proves of the bottle under its key; None when it is not there or nothing is proven.

    Raises:
        StoreUnavailable: it does not answer.
    """
    try:
        facts = proven_facts(store, planned.bottle.key(date))
    except StoreUnavailable:
        raise
    except StoreError:
        return None
    return facts if facts is not None and facts.digest == planned.bottle.digest else None


def prove(store: Store, planned: PlannedBottle, taken: KeyTaken) -> ObjectFacts:
    """What the store vouches for of the object that stands under the bottle's key, and is the bottle.

    Raises:
        KeyTaken: it is something else.
        StoreError: it cannot be read.
    """
    facts = proven_facts(store, taken.key)
    if facts is None or facts.digest != planned.bottle.digest:
        found = f"sha256 {facts.digest}" if facts and facts.digest else "not proven to be this bottle"
        raise KeyTaken(taken.key, found)
    return facts
