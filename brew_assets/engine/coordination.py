"""Runs of one plan that go on at the same time, on one machine or several.

Each registers under `state/runs/<sync id>/`, and empties its registration when it ends: a run needs no
permission to delete there. Before a run copies what another one owns, it says that
it helps, and lets that one finish as long as it gets on; a run that was killed is waited for PATIENCE_S and
no longer. A run that starts while another one helps looks first whether its bottles are there already.

Lambdas can outlive the run that invoked them: a batch without a report that was given out no longer ago than
one can live may still be worked on.

Whoever else copies is waited for in one way, `wait_while_progress`: as long as something new appears.
"""

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

import msgspec

from brew_assets.domain.batch import BATCH_PREFIX, batch_report_key, decode_batch, given_out_at
from brew_assets.domain.bottle import Digest, is_tag
from brew_assets.domain.downloads import Fetch
from brew_assets.domain.plan import Plan
from brew_assets.engine.ports import Clock, StopSignal, Store
from brew_assets.engine.record.foreign_objects import own_listing
from brew_assets.engine.waiting import waiting_for
from brew_assets.errors import ObjectRefused, PlanInvalid, StoreError

RUN_PREFIX = "state/runs/"
# Longer than a large bottle takes on a fair line, in which nothing new appears.
PATIENCE_S = 30.0
_LOOK_EVERY_S = 0.5
# A Lambda's 900 s, after an invocation that was throttled for as long as lambda_copier.py tries it again.
INVOCATION_LIVES_S = 1200.0
# 1.2 GB at the rate that batches are cut for, in which nothing new appears.
INVOCATION_PATIENCE_S = 60.0
_LOOK_FOR_LAMBDAS_EVERY_S = 1.0
_HELPING = ".helping"
_ENDED = b""

_log = logging.getLogger(__name__)


def wait_while_progress(
    count_missing: Callable[[], int],
    still_running: Callable[[], bool],
    *,
    patience_s: float,
    clock: Clock,
    stop: StopSignal,
    look_every_s: float,
    report_waiting: Callable[[int], None] = lambda missing: None,
) -> bool:
    """Whether somebody may still be storing what is missing, though nobody is waited for any more.

    Others are waited for while some of them are running and something is missing, until nothing new has
    appeared for `patience_s` seconds, or a stop signal. One that was killed does not say so: what appears in
    the store decides, not what somebody has announced. `report_waiting` hears once, before the first wait,
    how much is missing.
    """
    left, since = -1, 0.0
    while still_running():
        missing = count_missing()
        if missing == 0:
            return False
        if left == -1:
            report_waiting(missing)
        if missing != left:
            left, since = missing, clock.monotonic()
        if clock.monotonic() - since >= patience_s or clock.wait(look_every_s, stop):
            return True
    return False


def missing_keys(store: Store, keys: Iterable[str]) -> int:
    """How many of the bottles' keys have no object yet."""
    wanted = set(keys)
    folders = {key.split("/")[0] for key in wanted}
    there = {listed.key for folder in folders for listed in store.listing(f"{folder}/")}
    return len(wanted - there)


class Companions:
    """The other runs of a plan, as one of its platforms sees them."""

    def __init__(self, store: Store, clock: Clock, stop: StopSignal, *, plan: Plan, platform: str) -> None:
        self._store = store
        self._clock = clock
        self._stop = stop
        self._prefix = f"{RUN_PREFIX}{plan.sync_id}/"
        self._own = f"{self._prefix}{platform}"
        self._own_help = f"{self._own}{_HELPING}"
        self._date = plan.sync_date
        self._has_helped = False

    @contextlib.contextmanager
    def registered(self) -> Iterator[None]:
        """The others know of this run while the block lasts."""
        self._register(self._own, b"running\n")
        try:
            yield
        finally:
            # A registration that stays is waited for PATIENCE_S, no longer.
            with contextlib.suppress(StoreError):
                self._store.write(self._own, _ENDED)
                if self._has_helped:
                    self._store.write(self._own_help, _ENDED)

    def help(self) -> None:
        """Runs that start from now on know that this one may copy what they own."""
        self._has_helped = True
        self._register(self._own_help, b"helping\n")

    def _register(self, key: str, text: bytes) -> None:
        try:
            self._store.write(key, text)
        except ObjectRefused as error:
            # The others may copy the same bottles; whoever comes second then finds them there.
            _log.warning("other runs do not know of this one", extra={"key": key, "error": str(error)})

    def are_running(self) -> bool:
        """Whether another run of the plan has announced itself."""
        return any(not key.endswith(_HELPING) for key in self._others())

    def are_helping(self) -> bool:
        """Whether another run may be copying what this one owns."""
        return any(key.endswith(_HELPING) for key in self._others())

    def _others(self) -> list[str]:
        own = (self._own, self._own_help)
        listing = own_listing(self._store, self._prefix, lambda name: is_tag(name.removesuffix(_HELPING)))
        return [listed.key for listed in listing if listed.size > len(_ENDED) and listed.key not in own]

    def wait_while_they_get_on(self, fetches: list[Fetch]) -> None:
        """Returns when no other run is left, nothing of the fetches is missing, or nothing new appears."""
        keys = {planned.bottle.key(self._date) for fetch in fetches for planned in fetch.names}
        with waiting_for("the other runs of this sync, which copy bottles that this one needs too"):
            wait_while_progress(
                lambda: missing_keys(self._store, keys),
                self.are_running,
                patience_s=PATIENCE_S,
                clock=self._clock,
                stop=self._stop,
                look_every_s=_LOOK_EVERY_S,
            )


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
    new has appeared for INVOCATION_PATIENCE_S, or on a stop signal. A forced plan waits for nobody: it
    overwrites.

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
        patience_s=INVOCATION_PATIENCE_S,
        clock=clock,
        stop=stop,
        look_every_s=_LOOK_FOR_LAMBDAS_EVERY_S,
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
