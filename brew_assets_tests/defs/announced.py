"""A deployment in one process whose messages go to a Slack on loopback."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from brew_assets.adapters.aws.client import aws_client
from brew_assets.definitions import defs
from brew_assets.defs.notifications.deliveries import RunDeliveries
from brew_assets.defs.notifications.run_history import planned_sync
from brew_assets.defs.notifications.sensor import decode_cursor, notifying_sensor
from brew_assets.defs.tags import PLANNED, PLANNED_TAG
from brew_assets.domain.sync_status import SyncState
from brew_assets.settings import read_settings
from brew_assets_tests.defs.deployment import Deployment
from brew_assets_tests.slack_sink import SlackSink

START, COMPLETE = "🚀 Homebrew Bottles Sync Started", "✅ Homebrew Bottles Sync Complete"
WARNING, FAILED = "⚠️ Homebrew Sync Completed with Warnings", "❌ Homebrew Bottles Sync Failed"
LARGE, PROGRESS = "⚡ Large Download Detected - Routing to ECS", "⏳ Homebrew Sync Progress Update"


class Announced:
    """A deployment whose messages go to the sink."""

    def __init__(self, deployment: Deployment, slack: SlackSink) -> None:
        self.deployment = deployment
        self.slack = slack
        self.clock = deployment.clock
        self.cursor: str | None = None

    def tick(self, *, keep_cursor: bool = True) -> dg.SkipReason:
        """One evaluation of the sensor; without its cursor it is as if the daemon was killed after it."""
        sensor = notifying_sensor(read_settings(), clock=self.clock)
        context = dg.build_sensor_context(
            instance=self.deployment.instance, cursor=self.cursor, definitions=defs
        )
        data = sensor.evaluate_tick(context)
        if keep_cursor:
            self.cursor = data.cursor
        return dg.SkipReason(data.skip_message)

    @property
    def open(self) -> int:
        """How many syncs still have messages to send."""
        found = json.loads(self.cursor or "{}")
        return len(found["syncs"]) - len(self.followed) + len(found["plannings"])

    @property
    def followed(self) -> list[dict[str, Any]]:
        """The syncs that ended as no success, of which a later run would be reported."""
        return [sync for sync in json.loads(self.cursor or "{}")["syncs"] if sync["reported_at"]]

    def deliveries(self, sync_id: str) -> RunDeliveries:
        """What was delivered of the sync: in the tags of the run that has planned it."""
        instance = self.deployment.instance
        runs = instance.get_runs(dg.RunsFilter(tags={PLANNED_TAG: PLANNED}))
        for run in runs:
            sync = planned_sync(instance, run.run_id)
            if sync is not None and sync.sync_id == sync_id:
                return RunDeliveries(instance, run.run_id, subject=sync_id)
        raise LookupError(sync_id)


def state_of(announced: Announced) -> SyncState:
    cursor = decode_cursor(announced.cursor)
    assert cursor is not None
    return cursor.state


def published(
    url: str, name: str, environment: str, *, statistic: str = "Maximum", **more: str
) -> list[float]:
    """The values of the metric in this environment, under these dimensions; one for each minute."""
    client = aws_client("cloudwatch", region="us-east-1", endpoint_url=url)
    named = {"Environment": environment, **more}
    dimensions = [{"Name": dimension, "Value": value} for dimension, value in named.items()]
    metric = {"Namespace": "HomebrewSync", "MetricName": name, "Dimensions": dimensions}
    query = {"Id": "one", "MetricStat": {"Metric": metric, "Period": 60, "Stat": statistic}}
    now, hour = datetime.now(UTC), timedelta(hours=1)
    answer = client.get_metric_data(MetricDataQueries=[query], StartTime=now - hour, EndTime=now + hour)
    return list(answer["MetricDataResults"][0]["Values"])
