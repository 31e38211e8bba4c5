"""Which notifications were sent already, in Dagster's own database: it is there when the store is not."""

from typing import TypeVar

import dagster as dg
import msgspec

from brew_assets.engine.notifier import Delivery
from brew_assets.errors import UNREADABLE

_PREFIX = "brew_assets"
_T = TypeVar("_T")


class SyncState(msgspec.Struct, frozen=True, kw_only=True):
    """How the mirror is, for the metrics that are published again and again. Times are seconds since 1970.

    `pending` is what a sync that was created at `pending_of` has left.
    """

    last_good_at: float | None = None
    pending: int | None = None
    pending_of: float = 0.0

    def after(self, *, created_at: float, pending: int, good_at: float | None) -> "SyncState":
        """The state once a sync of everything has come so far; an older sync takes nothing back."""
        known = [at for at in (self.last_good_at, good_at) if at is not None]
        newest = created_at >= self.pending_of
        return SyncState(
            last_good_at=max(known, default=None),
            pending=pending if newest else self.pending,
            pending_of=max(created_at, self.pending_of),
        )


_delivery_decoder = msgspec.json.Decoder(Delivery)
_state_decoder = msgspec.json.Decoder(SyncState)


class InstanceDeliveries:
    """The deliveries of a Dagster instance, as its daemons keep their cursors."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._storage = instance.daemon_cursor_storage

    def read(self, key: str) -> Delivery | None:
        """What became of it, None when it was never tried."""
        return self._get(f"{_PREFIX}/deliveries/{key}", _delivery_decoder)

    def write(self, key: str, delivery: Delivery) -> None:
        """It is remembered."""
        self._set(f"{_PREFIX}/deliveries/{key}", delivery)

    def state(self) -> SyncState:
        """How the mirror stood when a sync of everything was last looked at."""
        return self._get(f"{_PREFIX}/state", _state_decoder) or SyncState()

    def set_state(self, state: SyncState) -> None:
        """It is remembered."""
        self._set(f"{_PREFIX}/state", state)

    def _get(self, key: str, decoder: "msgspec.json.Decoder[_T]") -> _T | None:
        text = self._storage.get_cursor_values({key}).get(key)
        if not text:
            return None
        try:
            return decoder.decode(text.encode())
        except UNREADABLE:
            # Written by another version: as if it were not there.
            return None

    def _set(self, key: str, value: msgspec.Struct) -> None:
        self._storage.set_cursor_values({key: msgspec.json.encode(value).decode()})
