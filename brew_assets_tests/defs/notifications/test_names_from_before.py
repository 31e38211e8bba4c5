"""What is stored keeps its names: cursors and reports of the version before are read, and written so."""

import msgspec

from brew_assets.defs.notifications.from_before import _MissingCursor
from brew_assets.defs.notifications.run_history import OpenSync
from brew_assets.domain.report import Report

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
    "platforms": ["arm64_sonoma"],
    "told_progress_of": 7,
    "told_progress_at": 9.0,
}


def test_a_sync_in_the_sensors_cursor_keeps_what_was_notified_of_its_progress() -> None:
    sync = msgspec.convert(OPEN, OpenSync)
    assert (sync.progress_notified_of, sync.progress_notified_at) == (7, 9.0)
    assert msgspec.to_builtins(sync)["told_progress_of"] == 7


def test_missing_syncs_that_wait_for_a_channel_are_not_forgotten() -> None:
    stored = {"since": 0.0, "settled": 0.0, "untold": [{"at": 1.0, "finding": "none started"}]}
    cursor = msgspec.convert(stored, _MissingCursor)
    assert [missing.finding for missing in cursor.unsent] == ["none started"]


def test_a_report_counts_identified_bottles_under_the_name_that_it_had() -> None:
    fields = {field.encode_name for field in msgspec.structs.fields(Report)}
    assert "adopted" in fields
    assert "identified" not in fields
