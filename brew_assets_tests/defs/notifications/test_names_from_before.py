"""What is stored keeps its names: cursors and reports of the version before are read, and written so."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import msgspec
import pytest

from brew_assets.defs.checks import catalogue_before
from brew_assets.defs.notifications.from_before import _MissingCursor, cursor_from_before
from brew_assets.defs.notifications.run_history import opened_sync
from brew_assets.defs.notifications.sensor import decode_cursor
from brew_assets.defs.pages.metadata import recorded_plan
from brew_assets.defs.resources import platforms
from brew_assets.domain.report import Report
from brew_assets.engine.catalogue_cache import KeptCatalogue

OPEN = {
    "sync_id": "20260823T030000Z-0badcafe",
    "run_id": "run",
    "created_at": 1.0,
    "date": "2026-08-23",
    "route": "ecs",
    "trigger": "scheduled",
    "channel": "",
    "planned": 3,
    "held": 2,
    "size": 1,
    "notes": ["one was rejected"],
    "platforms": ["arm64_sonoma"],
    "told_progress_of": 7,
    "told_progress_at": 9.0,
}


def test_a_sync_in_the_sensors_cursor_keeps_its_figures_and_what_was_notified_of_its_progress() -> None:
    followed = [{"sync": OPEN | {"sync_id": "other"}, "reported_at": 1.0, "seen": ["run"]}]
    stored = {"since": 5.0, "plans": 1, "own_plans": 0, "syncs": [OPEN], "incomplete": followed}
    with dg.DagsterInstance.ephemeral() as instance:
        cursor = cursor_from_before(instance, msgspec.json.encode(stored).decode(), datetime.now(UTC))
    assert cursor is not None
    sync, other = cursor.syncs
    assert (sync.sync_id, sync.plan.sync_date, sync.plan.route) == (OPEN["sync_id"], "2026-08-23", "ecs")
    assert (sync.plan.objects, sync.plan.held, sync.plan.estimated_bytes) == (3, 2, 1)
    assert (sync.platforms, sync.notes) == (("arm64_sonoma",), ("one was rejected",))
    assert (sync.progress_notified_of, sync.progress_notified_at) == (7, 9.0)
    assert msgspec.to_builtins(sync)["told_progress_of"] == 7
    assert (other.sync_id, other.is_incomplete, other.seen) == ("other", True, ("run",))
    assert decode_cursor(msgspec.json.encode(cursor).decode()) == cursor


@pytest.mark.parametrize(
    "typed", ["", "7", "[]", "{", '{"syncs": 7}', '{"syncs": [7]}', '{"incomplete": [{}]}']
)
def test_a_cursor_that_nobody_can_read_is_none(typed: str) -> None:
    assert decode_cursor(typed) is None
    with dg.DagsterInstance.ephemeral() as instance:
        assert cursor_from_before(instance, typed, datetime.now(UTC)) is None


def test_a_plan_that_the_version_before_recorded_opens_a_sync_with_all_its_figures() -> None:
    recorded: dict[str, Any] = {
        "sync_id": "20260823T030000Z-0badcafe",
        "sync_date": "2026-08-23",
        "route": "ecs",
        "pending_bottles": 5,
        "held": 2,
        "estimated_bytes": 700,
        "unknown_sizes": 1,
        "formula_names": [],
        "notes": ["one was rejected"],
        "pending": {**dict.fromkeys(platforms.get_partition_keys(), 0), "arm64_sonoma": 5, "x86_64_linux": 4},
        "pending_bytes": {"arm64_sonoma": 700},
        "catalogue_formulae": 10,
        "catalogue_bottles": 40,
    }
    metadata = dg.AssetMaterialization("pending_bottles", metadata=recorded).metadata
    with dg.DagsterInstance.ephemeral() as instance:
        sync = opened_sync(instance, metadata, run_id="run", at=1.0)
        narrow = recorded | {"formula_names": ["jq"]}
        part = opened_sync(
            instance,
            dg.AssetMaterialization("pending_bottles", metadata=narrow).metadata,
            run_id="run",
            at=1.0,
        )
    assert sync is not None
    assert (sync.plan.sync_date, sync.plan.route, sync.plan.objects) == ("2026-08-23", "ecs", 5)
    assert (sync.plan.held, sync.plan.estimated_bytes, sync.plan.unknown_sizes) == (2, 700, 1)
    assert (sync.platforms, sync.unserved) == (("arm64_sonoma",), ("x86_64_linux",))
    assert (sync.notes, sync.whole) == (("one was rejected",), True)
    assert part is not None
    assert not part.whole
    kept = KeptCatalogue(
        url="", sha256="", etag="", last_modified="", fetched_at="", formulae=3, bottles=9, rejected=0
    )
    assert catalogue_before(kept, recorded_plan(metadata)) == (10, 40)


def test_missing_syncs_that_wait_for_a_channel_are_not_forgotten() -> None:
    stored = {"since": 0.0, "settled": 0.0, "untold": [{"at": 1.0, "finding": "none started"}]}
    cursor = msgspec.convert(stored, _MissingCursor)
    assert [missing.finding for missing in cursor.unsent] == ["none started"]


def test_a_report_counts_identified_bottles_under_the_name_that_it_had() -> None:
    fields = {field.encode_name for field in msgspec.structs.fields(Report)}
    assert "adopted" in fields
    assert "identified" not in fields
