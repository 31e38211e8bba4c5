"""What the version before has recorded: the cursors of its two sensors, and its deliveries.

For one release: a deployment that is upgraded in mid-sync sends nothing twice and forgets no sync.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import dagster as dg
import msgspec

from brew_assets.defs.assets import pending_bottles
from brew_assets.defs.notifications import open_syncs
from brew_assets.defs.notifications.missing_syncs import Missing, Watch
from brew_assets.defs.notifications.open_syncs import Cursor
from brew_assets.defs.notifications.planning_runs import FailedPlanning
from brew_assets.defs.notifications.run_history import OpenSync
from brew_assets.domain.sync_status import SyncState
from brew_assets.engine.notifier import Delivery
from brew_assets.errors import UNREADABLE

_MISSING_SYNCS_SENSOR = "report_missing_syncs"
_DAY_S = 86_400.0
_T = TypeVar("_T")


class _Delivery(msgspec.Struct, frozen=True, kw_only=True):
    state: Literal["sending", "waiting", "sent", "dropped"]
    at: float
    outcome: str = ""


class _Incomplete(msgspec.Struct, frozen=True, kw_only=True):
    sync: OpenSync
    reported_at: float
    seen: tuple[str, ...]


class _SyncsCursor(msgspec.Struct, frozen=True, kw_only=True):
    since: float
    plans: int
    own_plans: int
    cancels: int = -1
    syncs: tuple[OpenSync, ...] = ()
    plannings: tuple[FailedPlanning, ...] = ()
    undecided: tuple[str, ...] = ()
    incomplete: tuple[_Incomplete, ...] = ()


class _MissingCursor(msgspec.Struct, frozen=True, kw_only=True):
    settled: float
    gauges_at: float = 0.0
    unsent: tuple[Missing, ...] = msgspec.field(default=(), name="untold")
    expression: str = ""


_fields_decoder = msgspec.json.Decoder(dict[str, Any])
_syncs_decoder = msgspec.json.Decoder(_SyncsCursor)
_delivery_decoder = msgspec.json.Decoder(_Delivery)
_state_decoder = msgspec.json.Decoder(SyncState)
_missing_decoder = msgspec.json.Decoder(_MissingCursor)


def delivery_from_before(instance: dg.DagsterInstance, key: str) -> Delivery | None:
    """What the version before knew of it; None when it was not sent, or is to be sent again."""
    known = _stored(instance, f"deliveries/{key}", _delivery_decoder)
    if known is None or known.state == "waiting":
        return None
    return Delivery(state=known.state, at=known.at, outcome=known.outcome)


def cursor_from_before(instance: dg.DagsterInstance, text: str | None, now: datetime) -> Cursor | None:
    """The cursor that goes on where the sensors of the version before have stopped, None without them."""
    try:
        found = _fields_decoder.decode((text or "").encode())
        for sync in (*found.get("syncs", ()), *(one["sync"] for one in found.get("incomplete", ()))):
            # The version before knew no such value.
            sync.setdefault("plan", _plan_of(sync))
        before = msgspec.convert(found, _SyncsCursor)
    except (*UNREADABLE, AttributeError, KeyError, TypeError):
        return None
    ended_until = now.timestamp() - open_syncs.LOOK_BACK_S
    if before.cancels >= 0:
        # What was reported of them is known from their deliveries.
        ended_until = max(before.since, ended_until - _DAY_S)
    missing = _missing_cursor(instance) or _MissingCursor(settled=now.timestamp())
    followed = (
        msgspec.structs.replace(one.sync, reported_at=one.reported_at, seen=one.seen)
        for one in before.incomplete
    )
    return Cursor(
        since=before.since,
        ended_until=ended_until,
        known=_known_plans(instance, before, after=now.timestamp() - 10 * _DAY_S),
        syncs=(*before.syncs, *followed),
        plannings=before.plannings,
        undecided=before.undecided,
        state=_stored(instance, "state", _state_decoder) or SyncState(),
        watch=Watch(settled=missing.settled, expression=missing.expression, unsent=missing.unsent),
        gauges_at=missing.gauges_at,
    )


def _plan_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """The plan's figures of a sync in the cursor, which had them beside the others."""
    names = {"sync_id": "sync_id", "sync_date": "date", "route": "route", "objects": "planned"}
    names |= {"held": "held", "estimated_bytes": "size", "unknown_sizes": "unknown_sizes"}
    none = {"platforms": {}, "downloads": 0, "bytes": 0, "unknown_sizes": 0, "skipped": 0, "route_reason": ""}
    return none | {name: found[before] for name, before in names.items() if before in found}


def _known_plans(instance: dg.DagsterInstance, before: _SyncsCursor, *, after: float) -> tuple[str, ...]:
    """The runs whose plans were read already."""
    wanted = dg.AssetRecordsFilter(asset_key=pending_bottles.key, after_timestamp=after)
    made = instance.fetch_materializations(wanted, limit=200).records
    seen = instance.fetch_observations(wanted, limit=200).records
    return (
        *(record.run_id for record in made if record.storage_id <= before.plans),
        *(record.run_id for record in seen if record.storage_id <= before.own_plans),
    )


def _missing_cursor(instance: dg.DagsterInstance) -> _MissingCursor | None:
    """The cursor of the sensor that looked for missing syncs, with what was given of those left to report."""
    states = instance.all_instigator_state() if instance.schedule_storage is not None else ()
    texts = (
        getattr(state.instigator_data, "cursor", None)
        for state in states
        if state.instigator_name == _MISSING_SYNCS_SENSOR
    )
    found = (_decoded(text, _missing_decoder) for text in texts)
    cursor = next((one for one in found if one is not None), None)
    for missing in cursor.unsent if cursor else ():
        subject = f"scheduled-{datetime.fromtimestamp(missing.at, tz=UTC):%Y%m%dT%H%M}"
        for channel in ("slack", "sns"):
            delivery = delivery_from_before(instance, f"{subject}/absence/{channel}")
            if delivery is not None:
                missing.given[channel] = "sent" if delivery.state == "sent" else "dropped"
    return cursor


def _stored(instance: dg.DagsterInstance, key: str, decoder: "msgspec.json.Decoder[_T]") -> _T | None:
    """What its daemon's cursor storage has; nothing on Dagster+, where reading returns an error."""
    key = f"brew_assets/{key}"
    found = instance.daemon_cursor_storage.get_cursor_values({key})
    return _decoded(found.get(key), decoder) if isinstance(found, Mapping) else None


def _decoded(text: str | None, decoder: "msgspec.json.Decoder[_T]") -> _T | None:
    try:
        return decoder.decode((text or "").encode())
    except UNREADABLE:
        return None
