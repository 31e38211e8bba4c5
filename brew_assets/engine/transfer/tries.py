"""One bottle from upstream: tried again by class of error until it is whole, or given up."""

import logging

from brew_assets.domain.plan import PlannedBottle
from brew_assets.engine.ports import Clock, StopSignal
from brew_assets.engine.retry import Gate, RetryPolicy, SyncBudget, Tries
from brew_assets.engine.transfer.bottle_download import Reception
from brew_assets.engine.waiting import waiting_for
from brew_assets.errors import (
    ChecksumRefused,
    ContentMismatch,
    MirrorError,
    StoreError,
    StoreUnavailable,
    TransferStopped,
)

# The catalogue's digest is the truth: bytes that miss it twice will miss it again.
MAX_MISMATCHES = 2

_log = logging.getLogger(__name__)


def receive_whole(
    planned: PlannedBottle,
    reception: Reception,
    *,
    retry: RetryPolicy,
    budget: SyncBudget,
    gate: Gate,
    clock: Clock,
    stop: StopSignal,
) -> int:
    """The bottle's size; the reception has stored all of it.

    Raises:
        TransferStopped: the stop signal came first, or upstream has asked all to wait for too long.
        KeyTaken: another object stands under its key.
        MirrorError: it cannot be had; the last try's error.
    """
    tries = Tries(retry, budget, gate)
    furthest = mismatches = 0
    while True:
        try:
            size = reception.go_on()
            gate.has_given()
            return size
        except (ContentMismatch, ChecksumRefused) as error:
            mismatches += 1
            if mismatches >= MAX_MISMATCHES or not budget.spend():
                raise
            _log.warning("tried again", extra=facts_of(planned, error) | {"wait_s": 0.0})
            reception.reset()
        except MirrorError as error:
            wait_s = tries.next_wait_s(error, gained=reception.received > furthest)
            if wait_s is None:
                if _was_stored(reception):
                    return reception.size
                raise
            furthest = max(furthest, reception.received)
            _log.warning("tried again", extra=facts_of(planned, error) | {"wait_s": round(wait_s, 3)})
            reception.pause()
            what = "the store" if isinstance(error, StoreError) else f"the registry {reception.registry}"
            with waiting_for(what) as wait:
                wait.failed(error, next_try_in_s=wait_s)
                is_stopped = clock.wait(wait_s, stop)
            if is_stopped:
                if _was_stored(reception):
                    return reception.size
                raise TransferStopped(f"{planned.bottle.filename}: stopped before a retry") from error


def _was_stored(reception: Reception) -> bool:
    """A last look, for which the error that is known already is not replaced by another."""
    try:
        return reception.is_stored()
    except StoreUnavailable:
        return False


def facts_of(planned: PlannedBottle, error: MirrorError) -> dict[str, object]:
    """What a log line says of a try that failed."""
    facts: dict[str, object] = {
        "bottle": planned.bottle.filename,
        "reason": error.reason,
        "error": str(error),
    }
    return facts | {"security": True} if error.security else facts
