"""What is told of syncs, by the sensor over real runs to a Slack on loopback: each message once, in order."""

import json
import logging
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import AssetObservationData, DagsterEvent

from brew_assets.definitions import defs
from brew_assets.defs.notifications.open_syncs import LOOK_BACK_S
from brew_assets.defs.notifications.sensor import announce_syncs
from brew_assets.defs.pages.metadata import progress_metadata
from brew_assets.engine.ports import Progress
from brew_assets.settings import read_settings
from brew_assets.simulator import Fault
from brew_assets_tests.defs.announced import COMPLETE, FAILED, LARGE, PROGRESS, START, WARNING, Announced
from brew_assets_tests.defs.deployment import PLATFORMS
from brew_assets_tests.defs.ticks import log_of
from brew_assets_tests.slack_sink import PATH, Answer


def fields_of(body: dict[str, Any]) -> dict[str, str]:
    """The named values of a message."""
    texts = [field["text"] for block in body["blocks"] for field in block.get("fields", ())]
    return {text.split(":*", 1)[0].strip("*"): text.split(":*", 1)[1].strip() for text in texts}


def test_a_week_is_one_start_and_one_end_whatever_the_number_of_runs(announced: Announced) -> None:
    deployment, slack = announced.deployment, announced.slack
    assert deployment.run("weekly_sync").success
    announced.tick()
    assert slack.texts == [START]
    assert fields_of(slack.taken[0])["Environment"] == "staging"
    requests = deployment.tick().run_requests
    for request in requests:
        announced.tick()
        deployment.copy_plan([request])
    assert slack.texts == [START]
    announced.tick()
    assert slack.texts == [START, COMPLETE]
    announced.tick()
    assert (slack.texts, announced.open) == ([START, COMPLETE], 0)
    finding, entries = fields_of(slack.taken[1]), deployment.entries()
    assert finding["New Bottles"] == f"{len(entries):,}"
    assert finding["Skipped (Existing)"] == "0"
    assert fields_of(slack.taken[0])["Estimated Bottles"] == f"{len(entries):,}"
    text = json.dumps(slack.taken[1], ensure_ascii=False)
    date = next(iter(entries.values())).download_date
    assert f"{deployment.root}/{date}/" in text
    assert "Top Downloaded Formulas" in text
    assert "Next sync: " in text
    assert "https://dagster.example/runs?q" in text


def test_a_week_without_news_says_so(announced: Announced) -> None:
    deployment, slack = announced.deployment, announced.slack
    deployment.sync()
    announced.tick()
    before = len(slack.taken)
    deployment.sync()
    announced.tick()
    assert slack.texts[before:] == [START, COMPLETE]
    assert fields_of(slack.taken[-1])["New Bottles"] == "0"
    assert int(fields_of(slack.taken[-1])["Skipped (Existing)"]) == len(deployment.entries())


def test_syncs_that_planned_the_same_bottles_do_not_both_call_them_new(announced: Announced) -> None:
    deployment, slack = announced.deployment, announced.slack
    deployment.tick()
    # Both are planned before either has stored anything; their runs take turns.
    assert deployment.run("weekly_sync").success
    assert deployment.run("weekly_sync").success
    requests = deployment.tick().run_requests
    assert len(requests) == 2 * len(PLATFORMS)
    for request in [request for pair in zip(requests[:3], requests[3:], strict=True) for request in pair]:
        deployment.copy_plan([request])
    announced.tick()
    assert sorted(slack.texts) == sorted([START, START, COMPLETE, COMPLETE])
    ends = [fields_of(body) for body in slack.taken if body["text"] == COMPLETE]
    held = len(deployment.entries())
    new = [int(finding["New Bottles"]) for finding in ends]
    assert sum(new) == held
    assert [int(finding["Skipped (Existing)"]) for finding in ends] == [held - count for count in new]


def test_a_sync_that_misses_some_bottles_ends_with_a_warning(announced: Announced) -> None:
    deployment, slack = announced.deployment, announced.slack
    bottles = sorted({b.filename for b in deployment.world.bottles if b.tag == "arm64_sonoma"})[:5]
    for filename in bottles:
        deployment.simulator.fault(filename, Fault.not_found())
    deployment.sync()
    announced.tick()
    assert slack.texts == [START, WARNING]
    finding = fields_of(slack.taken[1])
    held, planned = len(deployment.entries()), int(fields_of(slack.taken[0])["Estimated Bottles"])
    assert finding["Failed"] == f"{planned - held} bottles"
    assert finding["Successful"] == f"{held}/{planned} bottles"
    text = json.dumps(slack.taken[1], ensure_ascii=False)
    assert text.count("(arm64_sonoma) - File not found") == 3
    assert f"... and {planned - held - 3} other" in text


def test_a_sync_that_stores_nothing_ends_as_a_failure(announced: Announced) -> None:
    deployment, slack = announced.deployment, announced.slack
    for bottle in deployment.world.bottles:
        deployment.simulator.fault(bottle.filename, Fault.not_found())
    runs = deployment.sync()
    announced.tick()
    assert slack.texts == [START, FAILED]
    finding = fields_of(slack.taken[1])
    assert finding["Error Type"] == "File not found"
    assert finding["Bottles Downloaded"].startswith("0/")
    text = json.dumps(slack.taken[1])
    assert '"View Logs"' in text
    assert any(f"https://dagster.example/runs/{run.run_id}" in text for run in runs)


def test_a_week_without_a_plan_is_told_too(announced: Announced) -> None:
    announced.deployment.simulator.api_down = True
    assert not announced.deployment.run("weekly_sync").success
    announced.tick()
    announced.tick()
    assert announced.slack.texts == [FAILED]
    assert "no plan was made" in json.dumps(announced.slack.taken)


def test_a_daemon_that_is_killed_after_any_message_tells_none_twice(announced: Announced) -> None:
    deployment, slack = announced.deployment, announced.slack
    announced.tick()
    assert deployment.run("weekly_sync").success
    for _ in range(3):
        announced.tick(keep_cursor=False)
    assert slack.texts == [START]
    deployment.copy_plan(deployment.tick().run_requests)
    for _ in range(3):
        announced.tick(keep_cursor=False)
    announced.tick()
    assert slack.texts == [START, COMPLETE]


def test_a_slack_that_is_down_harms_no_sync_and_hears_of_it_later(announced: Announced) -> None:
    deployment, slack = announced.deployment, announced.slack
    slack.answer_always(Answer(status=500))
    assert deployment.run("weekly_sync").success
    announced.tick()
    assert all(result.success for result in deployment.copy_plan(deployment.tick().run_requests))
    announced.tick()
    assert (slack.texts, announced.open) == ([], 1)
    slack.answer_always(None)
    announced.clock.advance(60.0)
    announced.tick()
    assert (slack.texts, announced.open) == ([START, COMPLETE], 0)


def test_the_log_of_the_tick_says_why_a_message_was_not_sent(announced: Announced) -> None:
    deployment = announced.deployment
    announced.slack.answer_always(Answer(status=404, text="no_service"))
    assert deployment.run("weekly_sync").success
    context = dg.build_sensor_context(instance=deployment.instance)
    lines = log_of(context)
    announce_syncs(context, announced.clock)
    assert "Failed to send Slack notification: 404 Not Found. Slack answered: no_service" in "\n".join(lines)


def test_a_plan_for_a_platform_that_nobody_serves_is_no_success(announced: Announced) -> None:
    announced.tick()
    assert announced.deployment.plan(platforms=["x86_64_linux"]).success
    announced.tick()
    assert announced.slack.texts == [START, FAILED]
    assert "x86_64_linux: not among TARGET_PLATFORMS" in json.dumps(announced.slack.taken[1])


def test_a_run_that_plans_for_itself_is_told_like_any_sync(announced: Announced) -> None:
    announced.tick()
    assert announced.deployment.run("mirror_platform", platform="arm64_sonoma").success
    announced.tick()
    assert announced.slack.texts == [START, COMPLETE]
    assert fields_of(announced.slack.taken[0])["Trigger"] == "Manual"


def test_a_second_try_of_a_step_goes_on_with_the_plan_of_the_first(announced: Announced) -> None:
    announced.tick()
    bottle = next(b for b in announced.deployment.world.bottles if b.tag == "arm64_sonoma")
    announced.deployment.simulator.fault(bottle.filename, Fault.server_error(503, times=1))
    run = announced.deployment.run("mirror_platform", platform="arm64_sonoma")
    assert run.success
    assert any(event.is_step_restarted for event in run.all_events if event.is_step_event)
    announced.tick()
    assert announced.slack.texts == [START, COMPLETE]


def test_what_a_trigger_asked_for_is_told_in_its_channel(announced: Announced) -> None:
    announced.tick()
    deployment = announced.deployment
    tags = {"mirror/trigger": "Selective", "mirror/notification_channel": "#homebrew-sync-manual"}
    assert deployment.run("selective_sync", tags=tags).success
    deployment.copy_plan(deployment.tick().run_requests)
    announced.tick()
    assert {body["channel"] for body in announced.slack.taken} == {"#homebrew-sync-manual"}
    assert fields_of(announced.slack.taken[0])["Trigger"] == "Selective"


def test_silence_is_silence(announced: Announced, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENABLE_NOTIFICATIONS", "false")
    announced.deployment.sync()
    assert announced.tick().skip_message == "No channel is configured."
    assert announced.slack.posted == []


def test_a_deployment_that_begins_to_tell_says_nothing_of_what_was_long_before(announced: Announced) -> None:
    announced.clock.advance(LOOK_BACK_S + 60.0)
    deployment = announced.deployment
    deployment.simulator.api_down = True
    assert not deployment.run("weekly_sync").success
    deployment.simulator.api_down = False
    deployment.sync()
    assert deployment.run("mirror_platform", platform="arm64_sonoma").success
    for _ in range(3):
        announced.tick()
    assert announced.slack.posted == []


def test_a_planning_that_failed_more_than_a_week_ago_is_given_up(
    announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the week that passes nothing else is due.
    monkeypatch.setenv("SCHEDULE_ENABLED", "false")
    announced.tick()
    announced.deployment.simulator.api_down = True
    assert not announced.deployment.run("weekly_sync").success
    announced.clock.advance(7 * 86_400.0)
    announced.tick()
    assert (announced.slack.posted, announced.open) == ([], 0)


def test_a_cancelled_run_ends_the_sync_as_a_failure(announced: Announced) -> None:
    deployment, slack = announced.deployment, announced.slack
    assert deployment.run("weekly_sync").success
    requests = deployment.tick().run_requests
    deployment.copy_plan(requests[1:])
    run = deployment.instance.create_run_for_job(
        defs.resolve_job_def("mirror_platform"),
        tags={**requests[0].tags, "dagster/partition": requests[0].partition_key},
    )
    announced.tick()
    assert slack.texts == [START]
    deployment.instance.report_run_canceled(run)
    announced.tick()
    assert slack.texts == [START, FAILED]
    assert fields_of(slack.taken[1])["Error Type"] == "Cancelled"


def test_a_run_that_dagster_begins_again_is_not_the_end(announced: Announced) -> None:
    deployment, slack = announced.deployment, announced.slack
    assert deployment.run("weekly_sync").success
    requests = deployment.tick().run_requests
    deployment.copy_plan(requests[1:])
    tags = {**requests[0].tags, "dagster/partition": requests[0].partition_key}
    run = deployment.instance.create_run_for_job(defs.resolve_job_def("mirror_platform"), tags=tags)
    deployment.instance.report_run_failed(run, "the task was lost")
    deployment.instance.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
    announced.tick()
    assert slack.texts == [START]
    deployment.copy_plan(requests[:1])
    announced.tick()
    assert slack.texts == [START, COMPLETE]


def test_a_small_sync_through_ecs_is_not_called_large(
    announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECS_CLUSTER_NAME", "homebrew-sync")
    announced.deployment.sync()
    announced.tick()
    assert announced.slack.texts == [START, COMPLETE]


def test_a_large_sync_through_ecs_is_told_after_the_start(
    announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECS_CLUSTER_NAME", "homebrew-sync")
    monkeypatch.setenv("SIZE_THRESHOLD_GB", "0.0005")
    deployment, slack = announced.deployment, announced.slack
    deployment.sync()
    announced.tick()
    assert slack.texts == [START, LARGE, COMPLETE]
    assert fields_of(slack.taken[1])["ECS Cluster"] == "homebrew-sync"
    assert len(PLATFORMS) == 3


def test_progress_is_told_once_in_an_interval_and_summed_over_platforms(
    announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECS_CLUSTER_NAME", "homebrew-sync")
    deployment, slack = announced.deployment, announced.slack
    assert deployment.run("weekly_sync").success
    runs = [going(announced, request) for request in deployment.tick().run_requests[:2]]

    def look(interval_s: float) -> int:
        """How many progress messages there are after a tick with that interval."""
        monkeypatch.setenv("PROGRESS_UPDATE_INTERVAL", str(interval_s))
        announced.tick()
        return slack.texts.count(PROGRESS)

    stored(announced, runs[0], bottles=3, size=3_000_000)
    stored(announced, runs[1], bottles=4, size=5_000_000)
    # The interval counts from the start on.
    assert look(3600) == 0
    assert look(0.001) == 1
    assert f"7/{fields_of(slack.taken[0])['Estimated Bottles']} bottles" in json.dumps(slack.taken[-1])
    assert "8.0 MB / " in json.dumps(slack.taken[-1])
    # Nothing new is nothing to tell.
    assert look(0.001) == 1
    stored(announced, runs[1], bottles=5, size=6_000_000)
    assert look(3600) == 1
    assert look(3600) == 1
    assert look(0.001) == 2
    assert "8/" in json.dumps(slack.taken[-1])
    assert slack.texts == [START, PROGRESS, PROGRESS]


def going(announced: Announced, request: dg.RunRequest) -> dg.DagsterRun:
    """A run that has begun."""
    assert request.partition_key is not None
    return announced.deployment.instance.create_run_for_job(
        defs.resolve_job_def("mirror_platform"),
        tags={**request.tags, "dagster/partition": request.partition_key},
        status=dg.DagsterRunStatus.STARTED,
    )


def stored(announced: Announced, run: dg.DagsterRun, *, bottles: int, size: int) -> None:
    """The run has told how far it is."""
    progress = Progress(
        bottles_done=bottles, bottles_total=20, bytes_done=size, bytes_total=9 * size, failed=0, current=""
    )
    seen = dg.AssetObservation(
        "bottles",
        partition=run.tags["dagster/partition"],
        metadata=progress_metadata(progress, bytes_per_second=1000.0),
    )
    event = DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_OBSERVATION.value,
        job_name=run.job_name,
        event_specific_data=AssetObservationData(seen),
    )
    announced.deployment.instance.report_dagster_event(event, run.run_id)


def test_the_webhook_stands_nowhere_however_much_is_logged(
    announced: Announced,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    caplog.set_level(logging.DEBUG)
    deployment, slack = announced.deployment, announced.slack
    results = deployment.sync()
    slack.answer_next(Answer(status=404, text=f"no such hook: {slack.url}"))
    for _ in range(2):
        announced.tick()
    printed = capfd.readouterr()
    assert "404 Not Found. Slack answered: …" in printed.err
    events = [
        str(record.event_log_entry)
        for result in results
        for record in deployment.instance.get_records_for_run(result.run_id).records
    ]
    settings = read_settings()
    places = [caplog.text, printed.out, printed.err, str(announced.cursor), repr(settings), *events]
    assert [text for text in places if PATH in text] == []
    assert settings.slack_webhook_url.reveal() == slack.url


def test_a_sensor_that_lost_its_cursor_tells_the_end_of_a_sync_that_began_long_before(
    announced: Announced,
) -> None:
    deployment, slack = announced.deployment, announced.slack
    deployment.sync()
    announced.tick()
    (bottle,) = deployment.world.publish("wget", "1.25.0", tags=("arm64_sonoma",))
    assert deployment.run("weekly_sync").success
    announced.tick()
    assert slack.texts == [START, COMPLETE, START]
    # Long ago: nothing is recent enough to be news.
    announced.clock.advance(LOOK_BACK_S + 60.0)
    announced.cursor = None
    announced.tick()
    assert (slack.texts, announced.open) == ([START, COMPLETE, START], 1)
    deployment.copy_plan(deployment.tick().run_requests)
    announced.tick()
    assert (slack.texts, announced.open) == ([START, COMPLETE] * 2, 0)
    assert deployment.simulator.downloads[bottle.digest] == 1
    # Of one that has ended nothing more is told.
    announced.cursor = None
    announced.tick()
    assert (slack.texts, announced.open) == ([START, COMPLETE] * 2, 0)
