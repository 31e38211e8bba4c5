"""A scheduled sync that is missing is told once; time is an argument."""

from datetime import UTC, datetime, timedelta
from logging import getLogger
from typing import Any

import dagster as dg
import msgspec
import pytest

from brew_assets.compose.channels import build_channels
from brew_assets.definitions import defs
from brew_assets.defs.notifications.due import DueNotifications
from brew_assets.defs.notifications.missing_syncs import Watch, look_for_missing
from brew_assets.defs.notifications.open_syncs import first_cursor
from brew_assets.defs.notifications.sensor import announce_syncs, notifying_sensor
from brew_assets.domain.sync_status import SyncState
from brew_assets.engine.notifier import Wait
from brew_assets.settings import read_settings
from brew_assets_tests.defs.deployment import Deployment
from brew_assets_tests.defs.ticks import log_of
from brew_assets_tests.fakes import MovableClock
from brew_assets_tests.ports import free_ports
from brew_assets_tests.slack_sink import Answer, SlackSink

SCHEDULED = {"dagster/schedule_name": "weekly_sync"}
HOUR = timedelta(hours=1)


class Watched:
    """A deployment that is looked at at times of the test's choice; its schedule's time is just now."""

    def __init__(self, deployment: Deployment, slack: SlackSink) -> None:
        self.deployment = deployment
        self.slack = slack
        # Runs are created by the real clock: the scheduled time is the minute that has begun.
        self.at = datetime.now(UTC).replace(second=0, microsecond=0)
        before = (self.at - HOUR).timestamp()
        self.watch = Watch(settled=before)
        self.waits: dict[str, Wait] = {}
        self.clock = MovableClock()

    @property
    def expression(self) -> str:
        return f"{self.at.minute} {self.at.hour} * * {(self.at.weekday() + 1) % 7}"

    def look(self, after: timedelta) -> str:
        """What is found so long after the scheduled time."""
        self.clock.move_to(self.at + after)
        instance, settings, clock = self.deployment.instance, read_settings(), self.clock
        watch, found = look_for_missing(instance, settings, self.watch, clock.now())
        channels, log = build_channels(settings, clock=clock), getLogger("a tick")
        due = DueNotifications(
            instance, settings, channels, clock, waits=self.waits, state=SyncState(), log=log
        )
        unsent = tuple(missing for missing in watch.unsent if not due.notify_of_missing(missing))
        self.watch = msgspec.structs.replace(watch, unsent=unsent)
        return found

    def cursor(self, **watch: Any) -> str:
        """A sensor's cursor that has been watching so."""
        now = datetime.now(UTC)
        known = msgspec.structs.replace(first_cursor(now), watch=Watch(**watch))
        return msgspec.json.encode(known).decode()


@pytest.fixture
def watched(deployment: Deployment, slack: SlackSink, monkeypatch: pytest.MonkeyPatch) -> Watched:
    watched = Watched(deployment, slack)
    monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
    monkeypatch.setenv("SCHEDULE_EXPRESSION", watched.expression)
    monkeypatch.setenv("SYNC_WINDOW_HOURS", "12")
    return watched


def test_a_sync_that_did_not_start_is_told_once(watched: Watched) -> None:
    watched.look(HOUR / 2)
    assert watched.slack.texts == []
    assert "No run of weekly_sync was started" in watched.look(HOUR)
    assert watched.slack.texts == ["⏰ Homebrew Bottles Sync Is Missing"]
    assert f"{watched.at:%Y-%m-%d %H:%M} UTC" in str(watched.slack.taken[0])
    watched.look(2 * HOUR)
    watched.look(24 * HOUR)
    assert len(watched.slack.taken) == 1


def test_a_tick_that_is_repeated_after_a_kill_tells_it_at_most_once_more(watched: Watched) -> None:
    before = watched.watch
    watched.look(HOUR)
    watched.watch = before
    # No run could have a tag that it was told: the cursor alone knows, and it is kept at the tick's end.
    for _ in range(3):
        watched.look(HOUR)
    assert len(watched.slack.taken) == 2


def test_several_that_are_missing_make_one_message(watched: Watched) -> None:
    watched.look(timedelta(days=21, hours=2))
    assert len(watched.slack.taken) == 1
    assert "3 scheduled before it are missing too" in str(watched.slack.taken[0])
    watched.look(timedelta(days=21, hours=3))
    assert len(watched.slack.taken) == 1


def test_a_sync_that_ended_is_not_missing(watched: Watched) -> None:
    assert watched.deployment.run("weekly_sync", tags=SCHEDULED).success
    requests = watched.deployment.tick().run_requests
    watched.deployment.copy_plan(requests)
    watched.look(13 * HOUR)
    assert watched.slack.posted == []


def test_a_sync_without_anything_to_do_is_not_missing(watched: Watched) -> None:
    watched.deployment.sync()
    assert watched.deployment.run("weekly_sync", tags=SCHEDULED).success
    watched.look(13 * HOUR)
    assert watched.slack.posted == []


def test_a_sync_whose_planning_failed_has_been_told_already(watched: Watched) -> None:
    watched.deployment.simulator.api_down = True
    assert not watched.deployment.run("weekly_sync", tags=SCHEDULED).success
    watched.look(13 * HOUR)
    assert watched.slack.posted == []


def test_a_sync_that_does_not_end_in_its_window_is_told_once(watched: Watched) -> None:
    assert watched.deployment.run("weekly_sync", tags=SCHEDULED).success
    watched.deployment.copy_plan(watched.deployment.tick().run_requests[1:])
    watched.look(11 * HOUR)
    assert watched.slack.posted == []
    assert "did not end within 12 hours" in watched.look(12 * HOUR)
    watched.look(13 * HOUR)
    assert watched.slack.texts == ["⏰ Homebrew Bottles Sync Is Missing"]


def test_a_planning_run_that_hangs_is_told(watched: Watched) -> None:
    watched.deployment.instance.create_run_for_job(defs.resolve_job_def("weekly_sync"), tags=SCHEDULED)
    watched.look(2 * HOUR)
    assert watched.slack.posted == []
    assert "did not end within" in watched.look(12 * HOUR)


def test_a_slack_that_is_down_hears_of_it_when_it_is_back(watched: Watched) -> None:
    watched.slack.answer_always(Answer(status=503))
    watched.look(HOUR)
    watched.look(1.5 * HOUR)
    assert watched.slack.taken == []
    watched.slack.answer_always(None)
    watched.look(2 * HOUR)
    assert len(watched.slack.taken) == 1


def test_what_was_scheduled_before_somebody_looked_is_not_missed(watched: Watched) -> None:
    first = dg.build_sensor_context(instance=watched.deployment.instance, cursor=None)
    announce_syncs(first, watched.clock)
    again = dg.build_sensor_context(instance=watched.deployment.instance, cursor=first.cursor)
    said = announce_syncs(again, watched.clock).skip_message
    assert "Every scheduled sync is well or under way." in (said or "")
    assert watched.slack.posted == []


def test_a_schedule_that_is_off_misses_nothing(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    long_ago = (datetime.now(UTC) - timedelta(days=30)).timestamp()
    cursor = watched.cursor(settled=long_ago)
    monkeypatch.setenv("SCHEDULE_ENABLED", "false")
    off = dg.build_sensor_context(instance=watched.deployment.instance, cursor=cursor)
    assert "The schedule is stopped." in (announce_syncs(off, watched.clock).skip_message or "")
    monkeypatch.setenv("SCHEDULE_ENABLED", "true")
    on = dg.build_sensor_context(instance=watched.deployment.instance, cursor=off.cursor)
    said = announce_syncs(on, watched.clock).skip_message
    assert "Every scheduled sync is well or under way." in (said or "")
    assert watched.slack.posted == []


def test_a_new_schedule_is_not_measured_by_the_time_before_it(watched: Watched) -> None:
    long_ago = (datetime.now(UTC) - timedelta(days=30)).timestamp()
    cursor = watched.cursor(settled=long_ago, expression="0 0 1 1 *")
    tick = dg.build_sensor_context(instance=watched.deployment.instance, cursor=cursor)
    said = announce_syncs(tick, watched.clock).skip_message
    assert "Every scheduled sync is well or under way." in (said or "")
    assert watched.slack.posted == []


def test_it_is_noticed_that_the_schedule_is_off() -> None:
    settings = read_settings({"SCHEDULE_ENABLED": "false", "SLACK_WEBHOOK_URL": "https://hooks.example/x"})
    assert notifying_sensor(settings).default_status == dg.DefaultSensorStatus.RUNNING
    assert notifying_sensor(read_settings({})).default_status == dg.DefaultSensorStatus.STOPPED


def test_what_was_not_told_before_the_schedule_was_switched_off_is_told_yet(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.slack.answer_next(Answer(status=503))
    watched.look(HOUR)
    watched.clock.advance(60.0)
    monkeypatch.setenv("SCHEDULE_ENABLED", "false")
    cursor = watched.cursor(**msgspec.structs.asdict(watched.watch))
    context = dg.build_sensor_context(instance=watched.deployment.instance, cursor=cursor)
    announce_syncs(context, watched.clock)
    assert len(watched.slack.taken) == 1


def test_a_channel_that_is_down_keeps_nothing_from_the_others(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("SCHEDULE_EXPRESSION", f"{watched.at.minute} {watched.at.hour % 6}-23/6 * * *")
    monkeypatch.setenv("SYNC_WINDOW_HOURS", "5")
    monkeypatch.setenv("SNS_TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:topic")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    for hours in (2, 8, 14, 20):
        watched.look(hours * HOUR)
        watched.look(hours * HOUR)
    finding = [fields["text"] for body in watched.slack.taken for fields in body["blocks"][1]["fields"][1:2]]
    scheduled = [watched.at + hours * HOUR for hours in (0, 6, 12, 18)]
    assert [f"{at:%Y-%m-%d %H:%M}" in text for at, text in zip(scheduled, finding, strict=True)] == [True] * 4
    assert len(watched.watch.unsent) == 4


def planning_run(watched: Watched) -> dg.DagsterRun:
    return watched.deployment.instance.create_run_for_job(defs.resolve_job_def("weekly_sync"), tags=SCHEDULED)


def test_a_planning_run_that_is_cancelled_is_told(watched: Watched) -> None:
    watched.deployment.instance.report_run_canceled(planning_run(watched))
    watched.look(HOUR / 2)
    assert watched.slack.posted == []
    assert "was cancelled before it had a plan" in watched.look(HOUR)
    watched.look(13 * HOUR)
    assert watched.slack.texts == ["⏰ Homebrew Bottles Sync Is Missing"]


def test_a_planning_run_that_follows_a_cancelled_one_takes_its_place(watched: Watched) -> None:
    watched.deployment.instance.report_run_canceled(planning_run(watched))
    watched.deployment.sync()
    assert watched.deployment.run("weekly_sync", tags=SCHEDULED).success
    watched.look(13 * HOUR)
    assert watched.slack.posted == []


def test_the_log_of_the_tick_says_why_nothing_was_told(watched: Watched) -> None:
    watched.slack.answer_always(Answer(status=404, text="no_service"))
    before = (watched.at - HOUR).timestamp()
    cursor = watched.cursor(settled=before - 30 * 86_400)
    context = dg.build_sensor_context(instance=watched.deployment.instance, cursor=cursor)
    lines = log_of(context)
    announce_syncs(context, watched.clock)
    assert "Failed to send Slack notification: 404 Not Found. Slack answered: no_service" in "\n".join(lines)
