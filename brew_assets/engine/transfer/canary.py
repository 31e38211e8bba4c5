"""Whether a store that refuses bottles refuses everything: a small object under one key decides.

A refusal may be about one bottle (no permission for its key, too large) or about the store (the bucket is
gone). Ending a run for the first would stop the mirror for ever at the same bottle; going on after the second
would download everything in vain.
"""

import logging
import threading

from brew_assets.engine.ports import Store
from brew_assets.errors import (
    ObjectRefused,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    StoreUnsupported,
)

# Overwritten, never deleted: some may write and not delete.
CANARY_KEY = "state/canary"
_CANARY = b"Written when the store refuses bottles, to see whether it refuses everything.\n"
# So many different bottles in a row; fewer would be one formula that a policy names.
REFUSALS_IN_A_ROW = 20
# A full store may still take what is as small as the canary.
REFUSALS_WHEN_FULL = 3

_log = logging.getLogger(__name__)


class Canary:
    """Judges the refusals of one transfer. Used by several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._since_full: int | None = None
        self._has_taken = False
        self._last: StoreError | None = None

    def bottle_taken(self) -> None:
        """The store has taken a bottle: what it refused before was no more than that."""
        with self._lock:
            self._in_a_row, self._since_full, self._has_taken = 0, None, True

    def judge_at_the_end(self) -> StoreError | None:
        """The last refusal, where the store has taken no bottle at all and refuses the canary too."""
        with self._lock:
            if self._last is None or self._has_taken or not self._refuses_the_canary():
                return None
            return self._last

    def condemns(self, error: StoreError) -> bool:
        """Whether the store, which has refused one more bottle with `error`, refuses everything.

        Refusals that speak for the whole store, and every twentieth in a row, are put to the test. What may
        pass, and an object that stands there already, is no refusal.
        """
        if not isinstance(error, StoreRefused | StoreUnsupported | ObjectRefused):
            return False
        with self._lock:
            self._in_a_row += 1
            self._last = error
            if self._since_full is not None:
                self._since_full += 1
                if self._since_full >= REFUSALS_WHEN_FULL:
                    return True
            if isinstance(error, ObjectRefused) and self._in_a_row % REFUSALS_IN_A_ROW:
                return False
            if self._refuses_the_canary():
                return True
            if isinstance(error, StoreFull) and self._since_full is None:
                self._since_full = 0
            return False

    def _refuses_the_canary(self) -> bool:
        try:
            self._store.write(CANARY_KEY, _CANARY)
        except StoreUnavailable:
            return False
        except StoreError as error:
            _log.error("the store refuses everything", extra={"key": CANARY_KEY, "error": str(error)})
            return True
        return False
