"""CloudWatch: metrics of a namespace, many in one call."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from brew_assets.adapters.aws.client import aws_client, making_error, sending_error
from brew_assets.adapters.http.reach import PLAIN, Reach
from brew_assets.domain.metrics import Metric
from brew_assets.engine.notifier import Notification
from brew_assets.engine.ports import Clock

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html: 1,000 metrics and
# 1 MB a call. What a metric weighs on the wire depends on botocore's protocol; the estimate is its longest.
MOST_METRICS = 1000
MOST_BYTES = 900_000
_METRIC_BYTES = 250
_DIMENSION_BYTES = 100


class CloudWatchMetrics:
    """Publishes metrics. Nothing is contacted before."""

    def __init__(
        self, *, region: str, endpoint_url: str | None, reach: Reach = PLAIN, namespace: str = "HomebrewSync"
    ) -> None:
        self._region = region
        self._endpoint_url = endpoint_url
        self._reach = reach
        self._namespace = namespace
        self._client: Any = None

    def publish(self, metrics: Iterable[Metric], at: datetime) -> None:
        """CloudWatch has taken the metrics as those of the time `at`, in as few calls as it allows.

        Raises:
            ChannelBusy, ChannelFailed, ChannelRefused: it has not taken all of them; those of earlier calls
                stay.
            ChannelUncertain: it may have taken all or some of them.
        """
        for batch in _batches(metrics):
            self._put([_datum(metric, at) for metric in batch])

    def _put(self, data: list[dict[str, Any]]) -> None:
        what = f"metrics of {self._namespace}"
        try:
            self._client = self._client or aws_client(
                "cloudwatch", region=self._region, endpoint_url=self._endpoint_url, reach=self._reach
            )
        except Exception as error:
            raise making_error(what, error) from error
        try:
            self._client.put_metric_data(Namespace=self._namespace, MetricData=data)
        except Exception as error:
            raise sending_error(what, error) from error


class MetricsChannel:
    """The metrics of notifications."""

    name = "cloudwatch"

    def __init__(self, metrics: CloudWatchMetrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock

    def takes(self, notification: Notification) -> bool:
        """Whether there are metrics."""
        return bool(notification.metrics)

    def send(self, notification: Notification) -> None:
        """CloudWatch has taken the metrics as those of now.

        Raises:
            ChannelBusy, ChannelFailed, ChannelRefused: it has not.
            ChannelUncertain: it may have.
        """
        # Not as those of the sync's end: alarms look at the last minutes only, and one that is published late
        # would raise none.
        self._metrics.publish(notification.metrics, self._clock.now())


def _datum(metric: Metric, at: datetime) -> dict[str, Any]:
    return {
        "MetricName": metric.name,
        "Value": metric.value,
        "Unit": metric.unit,
        "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
        "Timestamp": at,
    }


def _batches(metrics: Iterable[Metric]) -> Iterator[list[Metric]]:
    """The metrics in order, in lists that one call takes."""
    batch: list[Metric] = []
    room = MOST_BYTES
    for metric in metrics:
        weight = _weight(metric)
        if batch and (len(batch) == MOST_METRICS or weight > room):
            yield batch
            batch, room = [], MOST_BYTES
        batch.append(metric)
        room -= weight
    if batch:
        yield batch


def _weight(metric: Metric) -> int:
    """Bytes that the metric takes on the wire at most."""
    dimensions = sum(
        len(name.encode()) + len(value.encode()) + _DIMENSION_BYTES for name, value in metric.dimensions
    )
    return _METRIC_BYTES + len(metric.name.encode()) + dimensions
