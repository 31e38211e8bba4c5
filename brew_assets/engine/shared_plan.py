"""The plan that the runs of one backfill share: the first of them makes it, the others wait for it.

`state/plans/by-backfill/<id>` says which run makes it and, once it stands in the store, its sync id. The
object is created once and then only replaced by compare-and-swap, so of several runs one makes the plan that
counts. While a run plans it writes the object anew every few seconds: one that was killed is known by its
silence, whoever else may still take it for alive.
"""

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from brew_assets.domain.object_keys import backfill_name
from brew_assets.domain.plan import Plan
from brew_assets.domain.proof import is_sync_id
from brew_assets.engine.clock import go_on_planning
from brew_assets.engine.log_context import in_this_context
from brew_assets.engine.ports import Clock, StopSignal, Store
from brew_assets.engine.record.identify import PLAN_PREFIX
from brew_assets.errors import UNREADABLE, KeyTaken, PreconditionFailed, StoreError

RENEW_EVERY_S = 10.0
# Several renewals may be late where the store is slow; a planning that was killed holds nobody up for longer.
SILENCE_S = 90.0
# All sizes of a first sync are looked up within minutes; whoever plans for so long comes to no end.
LONGEST_S = 3600.0
_LOOK_EVERY_S = 2.0
_SAY_EVERY_S = 60.0

_log = logging.getLogger(__name__)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What the object says: who plans, and the sync id once there is a plan; no run: nobody plans now."""

    run_id: str = ""
    sync_id: str = ""
    token: str = ""
    renewed: int = 0


class _Found(NamedTuple):
    claim: Claim
    version: str


_decoder = msgspec.json.Decoder(Claim)


class SharedPlan:
    """The plan of a backfill, as one of its runs sees it.

    `is_over` says whether a run has ended, `say` gets the name of the run that this one waits for.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        stop: StopSignal,
        *,
        backfill: str,
        run_id: str,
        is_over: Callable[[str], bool] = lambda run_id: False,
        say: Callable[[str], None] = _log.info,
        renew_every_s: float = RENEW_EVERY_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._stop = stop
        self._key = f"{PLAN_PREFIX}{backfill_name(backfill)}"
        self._run_id = run_id
        self._is_over = is_over
        self._say = say
        self._renew_every_s = renew_every_s
        # A second try of the run's step has the same id, and knows nothing of the first one's claim.
        self._token = secrets.token_hex(8)

    def known(self) -> str:
        """The sync id, empty when there is no plan (yet).

        Raises:
            StoreError: the store did not answer.
        """
        found = self._look()
        return found.claim.sync_id if found else ""

    def name(self, plan: Plan) -> None:
        """The runs of the backfill copy by this plan, whoever else makes one.

        Raises:
            StoreError: the store did not answer.
        """
        claim = Claim(run_id=self._run_id, sync_id=plan.sync_id, token=self._token)
        self._store.write(self._key, msgspec.json.encode(claim))

    def find_or_make(self, make: Callable[[], Plan]) -> tuple[str, Plan | None]:
        """The sync id of the backfill's plan, and the plan itself where this call has made it.

        A run that plans is waited for: until it has ended, has been silent for SILENCE_S or has planned for
        LONGEST_S. Then this one plans.

        Raises:
            PlanningStopped: the stop signal came first.
            StoreError, and what `make` raises: another run may plan then.
        """
        # Silence is measured by this run's own clock, from the moment at which it last saw another version: a
        # time that the other machine wrote would be right by its clock only. Whoever takes over replaces the
        # very version that it has found silent. So of several that lose patience at once one plans, and the
        # run that was only slow cannot name its plan afterwards.
        begun = changed = said = self._clock.monotonic()
        version = ""
        while True:
            go_on_planning(self._stop)
            found = self._look()
            if found and found.claim.sync_id:
                return found.claim.sync_id, None
            now = self._clock.monotonic()
            if found and found.version != version:
                version, changed = found.version, now
            if found is None or self._may_take_over(
                found.claim, silent_s=now - changed, waited_s=now - begun
            ):
                plan = self._made(found, make)
                if plan is not None:
                    return plan.sync_id, plan
                # Somebody was faster, and is waited for from now on.
                begun = changed = self._clock.monotonic()
                continue
            if now == begun or now - said >= _SAY_EVERY_S:
                said = now
                self._say(
                    f"Waiting for run {found.claim.run_id}, which plans for all runs of this backfill. This "
                    f"run plans itself when that one ends without a plan, or is silent for {SILENCE_S:.0f} s."
                )
            self._clock.wait(_LOOK_EVERY_S, self._stop)

    def _may_take_over(self, claim: Claim, *, silent_s: float, waited_s: float) -> bool:
        if claim.run_id in ("", self._run_id):
            return True
        why = (
            "has ended"
            if self._is_over(claim.run_id)
            else f"has been silent for {silent_s:.0f} s"
            if silent_s >= SILENCE_S
            else f"has been planning for {waited_s:.0f} s"
            if waited_s >= LONGEST_S
            else ""
        )
        if why:
            self._say(f"Run {claim.run_id} {why} and has made no plan for this backfill: this run plans.")
        return bool(why)

    def _made(self, found: _Found | None, make: Callable[[], Plan]) -> Plan | None:
        """The plan that this run has made for all; None when another run makes it or has made it."""
        # First the claim, then the plan, then its name: `make` leaves the plan in the store, so a sync id
        # that can be read here always leads to one. Every write replaces the one before it and nothing else;
        # the renewing thread has ended before the last, for two writers would lose their races to each other.
        renewal = _Renewal(self._store, self._key, Claim(run_id=self._run_id, token=self._token))
        if not renewal.write(found.version if found else ""):
            return None
        made: Plan | None = None
        try:
            with renewal.going_on(self._renew_every_s):
                made = make()
            if renewal.write(renewal.version, sync_id=made.sync_id):
                return made
            self._say(f"Another run has planned meanwhile; its plan counts, {made.sync_id} is left alone.")
            return None
        finally:
            if made is None:
                # Nobody has to wait for a run that has failed, and may try once more half a minute later.
                with contextlib.suppress(StoreError):
                    renewal.write(renewal.version, run_id="")

    def _look(self) -> _Found | None:
        document = self._store.read(self._key)
        if document is None:
            return None
        try:
            claim = _decoder.decode(document.data)
        except UNREADABLE:
            claim = None
        # Dagster makes ids of runs from what sync ids are made of.
        if claim is None or not all(is_sync_id(found) for found in (claim.run_id, claim.sync_id) if found):
            _log.warning("does not say who plans for the backfill; written anew", extra={"key": self._key})
            claim = Claim()
        return _Found(claim, document.version)


class _Renewal:
    """The object as this run writes it. `version` is the one it wrote last."""

    def __init__(self, store: Store, key: str, claim: Claim) -> None:
        self._store = store
        self._key = key
        self._claim = claim
        self.version = ""

    def write(self, replaces: str, *, run_id: str | None = None, sync_id: str = "") -> bool:
        """Whether the object says so now; false when another run has written it meanwhile.

        Raises:
            StoreError: the store did not answer.
        """
        claim = msgspec.structs.replace(
            self._claim,
            run_id=self._claim.run_id if run_id is None else run_id,
            sync_id=sync_id,
            # No two writes are the same: a version may be a digest of the bytes.
            renewed=self._claim.renewed + 1,
        )
        data = msgspec.json.encode(claim)
        try:
            self.version = self._store.write(
                self._key, data, create_only=not replaces, replaces=replaces or None
            )
        except (KeyTaken, PreconditionFailed):
            # Ours after all, when only the answer to it was lost.
            document = self._store.read(self._key)
            if document is None or document.data != data:
                return False
            self.version = document.version
        self._claim = claim
        return True

    @contextlib.contextmanager
    def going_on(self, every_s: float) -> Iterator[None]:
        """The object is written anew every so many seconds while the block lasts."""
        ended = threading.Event()

        def renew() -> None:
            try:
                while not ended.wait(every_s):
                    try:
                        if not self.write(self.version):
                            return
                    except StoreError as error:
                        _log.warning("the planning is not renewed", extra={"error": str(error)})
            finally:
                self._store.close()

        thread = threading.Thread(target=in_this_context(renew), name="renews-planning", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
