"""A deployment in one process whose messages go to a Slack on loopback."""

import json

import dagster as dg

from brew_assets.definitions import defs
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
        self.cursor: str | None = None

    def tick(self, *, keep_cursor: bool = True) -> dg.SkipReason:
        """One evaluation of the sensor; without its cursor it is as if the daemon was killed after it."""
        sensor = defs.resolve_sensor_def("announce_syncs")
        context = dg.build_sensor_context(
            instance=self.deployment.instance, cursor=self.cursor, definitions=defs
        )
        data = sensor.evaluate_tick(context)
        if keep_cursor:
            self.cursor = data.cursor
        return dg.SkipReason(data.skip_message)

    @property
    def open(self) -> int:
        """How many syncs are not told to their end."""
        found = json.loads(self.cursor or "{}")
        return len(found["syncs"]) + len(found["plannings"])
