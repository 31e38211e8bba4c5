"""Workers of runs that are gone: the end of who watches a Lambda is not the Lambda's.

A batch without a report that was given out no longer ago than a worker can live may still be worked on.
"""

import itertools
from collections.abc import Callable
from datetime import timedelta

import msgspec

from brew_assets.domain.batch import BATCH_PREFIX, batch_report_key, decode_batch, given_out_at
from brew_assets.domain.bottle import Digest
from brew_assets.domain.downloads import Fetch
from brew_assets.domain.plan import Plan
from brew_assets.engine.coordination import missing_keys, wait_while_progress
from brew_assets.engine.ports import Clock, StopSignal, Store
from brew_assets.errors import ObjectRefused, PlanInvalid

# A Lambda's 900 s, after an invocation that was throttled for as long as lambda_copier.py tries it again.
INVOCATION_LIVES_S = 1200.0
# 1.2 GB at the rate that batches are cut for, in which nothing new appears.
PATIENCE_S = 60.0
_LOOK_EVERY_S = 1.0


class _Unreported(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that somebody may be working on, and the keys of its bottles."""

    key: str
    bottles: frozenset[str]


def wait_for_orphaned_invocations(
    store: Store,
    clock: Clock,
    stop: StopSignal,
    *,
    plan: Plan,
    fetches: list[Fetch],
    log: Callable[[str], None],
) -> bool:
    """Whether a worker that another run started may still be storing some of the fetches.

    Returns when all of them have reported, all their bottles are there, they are too old to live, nothing
    new has appeared for PATIENCE_S, or on a stop signal. A forced plan waits for nobody: it overwrites.

    Raises:
        StoreError: the store cannot be read.
    """
    if plan.force or not fetches:
        return False
    wanted = {fetch.digest for fetch in fetches}
    at_work = (key for key in _keys(store, clock, plan.sync_id) if _may_be_at_work(store, clock, key))
    batches = [batch for key in at_work if (batch := _read(store, key, wanted)) is not None]

    def still_running() -> bool:
        batches[:] = [batch for batch in batches if _may_be_at_work(store, clock, batch.key)]
        return bool(batches)

    may_be_storing = wait_while_progress(
        lambda: missing_keys(store, (key for batch in batches for key in batch.bottles)),
        still_running,
        patience_s=PATIENCE_S,
        clock=clock,
        stop=stop,
        look_every_s=_LOOK_EVERY_S,
        report_waiting=lambda missing: log(f"Waiting for {_lambdas(batches)}: {missing:,} bottles."),
    )
    if may_be_storing and not stop.is_set():
        log(f"Nothing new from {_lambdas(batches)}: this one goes on without.")
    return may_be_storing


def _lambdas(batches: list[_Unreported]) -> str:
    return f"{len(batches):,} Lambda{'s' if len(batches) != 1 else ''} of an earlier run"


def _keys(store: Store, clock: Clock, sync_id: str) -> list[str]:
    """The batches of the sync, and of all that were planned today or yesterday."""
    days = (f"{clock.now() - timedelta(days=back):%Y%m%d}" for back in range(2))
    listings = (store.listing(f"{BATCH_PREFIX}{start}") for start in (f"{sync_id}/", *days))
    return sorted({listed.key for listed in itertools.chain.from_iterable(listings)})


def _may_be_at_work(store: Store, clock: Clock, key: str) -> bool:
    """Whether a worker may have the batch: it is young, and has no report."""
    given_out = given_out_at(key)
    if given_out is None or (clock.now() - given_out).total_seconds() >= INVOCATION_LIVES_S:
        return False
    try:
        return store.read(batch_report_key(key)) is None
    except ObjectRefused:
        return False  # there is a report


def _read(store: Store, key: str, wanted: set[Digest]) -> _Unreported | None:
    """The batch, None when it has none of the wanted digests."""
    try:
        document = store.read(key)
        batch = decode_batch(document.data, key=key, sealed=False) if document is not None else None
    except (PlanInvalid, ObjectRefused):
        return None  # no worker can read it either
    if batch is None or all(planned.bottle.digest not in wanted for planned in batch.objects):
        return None
    bottles = frozenset(planned.bottle.key(batch.sync_date) for planned in batch.objects)
    return _Unreported(key=key, bottles=bottles)
