"""Metrics: what a sync did and how the mirror stands, as CloudWatch takes it.

A value that CloudWatch would refuse would have it refuse the others of the call too: it is left out.
"""

import math
from collections.abc import Iterable
from typing import Literal

import msgspec

from brew_assets.domain.report import Outcome
from brew_assets.domain.sync_status import Ending, SyncStatus

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_Dimension.html
_DIMENSION_CHARACTERS = 1024

_OUTCOMES: dict[Ending, Outcome] = {"success": "success", "warning": "partial", "failure": "failed"}

Unit = Literal["Count", "Seconds", "Bytes", "Bytes/Second"]
Dimensions = tuple[tuple[str, str], ...]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One value of one metric. `dimensions` are pairs of a name and a value."""

    name: str
    value: float
    unit: Unit
    dimensions: Dimensions


def sync_metrics(
    *,
    environment: str,
    sync_date: str,
    route: str,
    downloaded: int | None,
    bytes_downloaded: int,
    duration_s: float,
    failed: int,
    outcome: Outcome,
) -> list[Metric]:
    """What one sync did; `route` is the one it took.

    `downloaded` counts the bottles that it put into the store itself (None is unknown, and left out),
    `failed` those that are not there.

    Of SyncsSucceeded, SyncsPartial and SyncsFailed one is 1 and the others are 0, so that an alarm on the sum
    sees every sync; one that a later run completes counts a second time, as succeeded. A sync that was
    stopped counts as partial: the next one goes on from there.
    """
    where = ("Environment", environment)
    rate = bytes_downloaded / duration_s if duration_s > 0 else math.nan
    metrics = [
        _metric(
            "BottlesDownloaded",
            math.nan if downloaded is None else downloaded,
            "Count",
            where,
            ("SyncDate", sync_date),
        ),
        _metric("SyncDuration", duration_s, "Seconds", where, ("SyncType", route)),
        _metric("DownloadSize", bytes_downloaded, "Bytes", where),
        _metric("BottlesFailed", failed, "Count", where),
        _metric("DownloadRate", rate, "Bytes/Second", where),
        _metric("SyncsSucceeded", int(outcome == "success"), "Count", where),
        _metric("SyncsPartial", int(outcome in ("partial", "stopped")), "Count", where),
        _metric("SyncsFailed", int(outcome == "failed"), "Count", where),
    ]
    return _acceptable(metrics)


def metrics_of(status: SyncStatus, *, environment: str, duration_s: float) -> list[Metric]:
    """What a sync of that status did, whose runs took so many seconds."""
    return sync_metrics(
        environment=environment,
        sync_date=status.date,
        route=status.route or "local",
        downloaded=status.new,
        bytes_downloaded=status.downloaded,
        duration_s=duration_s,
        failed=len(status.failures),
        outcome=_OUTCOMES[status.ending],
    )


def gauges(*, environment: str, pending: int | None, last_good_age_s: float | None) -> list[Metric]:
    """How the mirror stands now; what is not known is left out.

    `pending` counts bottles that are planned and not held, `last_good_age_s` is the time since the last
    sync that ended in success.
    """
    where = ("Environment", environment)
    metrics = []
    if pending is not None:
        metrics.append(_metric("PendingBottles", pending, "Count", where))
    if last_good_age_s is not None:
        metrics.append(_metric("LastGoodSyncAge", last_good_age_s, "Seconds", where))
    return _acceptable(metrics)


def _metric(name: str, value: float, unit: Unit, *dimensions: tuple[str, str]) -> Metric:
    return Metric(name=name, value=value, unit=unit, dimensions=dimensions)


def _acceptable(metrics: Iterable[Metric]) -> list[Metric]:
    """The metrics with a finite value that is not negative, and with dimensions that say something."""
    return [
        metric
        for metric in metrics
        if math.isfinite(metric.value)
        and metric.value >= 0
        and all(0 < len(value) <= _DIMENSION_CHARACTERS for _, value in metric.dimensions)
    ]
