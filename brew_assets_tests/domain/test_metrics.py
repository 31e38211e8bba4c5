"""Metrics: the spec's names, units and dimensions, and nothing that CloudWatch would refuse."""

import math
from typing import Any

import pytest

from brew_assets.domain.metrics import Metric, gauges, sync_metrics

# The example of the specification.
SYNC: dict[str, Any] = {
    "environment": "prod",
    "sync_date": "2025-07-21",
    "route": "lambda",
    "downloaded": 143,
    "bytes_downloaded": 3456789012,
    "duration_s": 514,
    "failed": 0,
    "outcome": "success",
}
PROD = ("Environment", "prod")


def figures(**changes: Any) -> dict[str, float]:
    return {metric.name: metric.value for metric in sync_metrics(**{**SYNC, **changes})}


def test_the_specs_metrics_come_first_with_its_names_units_and_dimensions() -> None:
    assert sync_metrics(**SYNC)[:3] == [
        Metric(
            name="BottlesDownloaded", value=143, unit="Count", dimensions=(PROD, ("SyncDate", "2025-07-21"))
        ),
        Metric(name="SyncDuration", value=514, unit="Seconds", dimensions=(PROD, ("SyncType", "lambda"))),
        Metric(name="DownloadSize", value=3456789012, unit="Bytes", dimensions=(PROD,)),
    ]


def test_failures_rate_and_outcome_follow_under_the_environment_alone() -> None:
    more = sync_metrics(**{**SYNC, "failed": 7, "outcome": "partial"})[3:]
    assert all(metric.dimensions == (PROD,) for metric in more)
    assert [(metric.name, metric.value, metric.unit) for metric in more] == [
        ("BottlesFailed", 7, "Count"),
        ("DownloadRate", 3456789012 / 514, "Bytes/Second"),
        ("SyncsSucceeded", 0, "Count"),
        ("SyncsPartial", 1, "Count"),
        ("SyncsFailed", 0, "Count"),
    ]


@pytest.mark.parametrize(
    ("outcome", "counted"),
    [
        ("success", "SyncsSucceeded"),
        ("partial", "SyncsPartial"),
        ("stopped", "SyncsPartial"),
        ("failed", "SyncsFailed"),
    ],
)
def test_every_sync_counts_once_whatever_its_outcome(outcome: str, counted: str) -> None:
    found = figures(outcome=outcome)
    counts = {name: found[name] for name in ("SyncsSucceeded", "SyncsPartial", "SyncsFailed")}
    assert [name for name, value in counts.items() if value] == [counted]
    assert sum(counts.values()) == 1


@pytest.mark.parametrize("duration_s", [math.nan, math.inf, -math.inf, -1.0])
def test_a_value_that_is_no_number_or_negative_is_left_out_and_the_others_stay(duration_s: float) -> None:
    found = figures(duration_s=duration_s)
    assert "SyncDuration" not in found
    assert found["BottlesDownloaded"] == 143
    assert all(math.isfinite(value) and value >= 0 for value in found.values())


def test_a_count_that_nobody_knows_is_left_out_and_the_others_stay() -> None:
    assert figures().keys() - figures(downloaded=None).keys() == {"BottlesDownloaded"}


def test_a_sync_of_no_time_has_a_duration_and_no_rate() -> None:
    found = figures(duration_s=0.0)
    assert found["SyncDuration"] == 0
    assert "DownloadRate" not in found


def test_a_dimension_that_says_nothing_leaves_out_its_metric_alone() -> None:
    found = figures(route="")
    assert "SyncDuration" not in found
    assert len(found) == len(sync_metrics(**SYNC)) - 1


def test_gauges_tell_what_is_known() -> None:
    pending = Metric(name="PendingBottles", value=12, unit="Count", dimensions=(PROD,))
    age = Metric(name="LastGoodSyncAge", value=3600.5, unit="Seconds", dimensions=(PROD,))
    assert gauges(environment="prod", pending=12, last_good_age_s=3600.5) == [pending, age]
    assert gauges(environment="prod", pending=None, last_good_age_s=3600.5) == [age]
    assert gauges(environment="prod", pending=12, last_good_age_s=None) == [pending]
    assert gauges(environment="prod", pending=None, last_good_age_s=-1.0) == []
