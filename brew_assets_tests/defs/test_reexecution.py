"""A sync whose end was no success is reported once more when a later run completes it; the gauges follow."""

import json
import re
from collections.abc import Sequence
from typing import Any

import dagster as dg
import pytest

from brew_assets.definitions import defs
from brew_assets.defs.notifications.ended_sync import covered_s
from brew_assets.domain.sync_status import SyncState
from brew_assets.simulator import Fault
from brew_assets_tests.defs.announced import (
    COMPLETE,
    FAILED,
    START,
    WARNING,
    Announced,
    published,
    state_of,
)
from brew_assets_tests.slack_sink import Answer


@pytest.fixture
def announced(announced: Announced) -> Announced:
    """It has begun to tell."""
    announced.tick()
    return announced


def planned(announced: Announced) -> list[dg.RunRequest]:
    """The requests for the three runs of a sync of everything."""
    assert announced.deployment.run("weekly_sync").success
    return list(announced.deployment.tick().run_requests)


def cancelled(announced: Announced, request: dg.RunRequest) -> dg.DagsterRun:
    """The run of that request, which somebody has cancelled before it began."""
    instance = announced.deployment.instance
    tags = {**request.tags, "dagster/partition": str(request.partition_key)}
    run = instance.create_run_for_job(defs.resolve_job_def("mirror_platform"), tags=tags)
    instance.report_run_canceled(run)
    return run


def reported_as_failed(announced: Announced, *, cancel: int = 1) -> list[dg.RunRequest]:
    """The requests whose runs were cancelled, in a sync that channels know as failed."""
    requests = planned(announced)
    announced.deployment.copy_plan(requests[cancel:])
    for request in requests[:cancel]:
        cancelled(announced, request)
    announced.tick()
    assert announced.slack.texts == [START, FAILED]
    return requests[:cancel]


def execute_again(announced: Announced, requests: Sequence[dg.RunRequest]) -> bool:
    """Whether the runs succeed that somebody executes again: with the tags of the first ones."""
    return all(result.success for result in announced.deployment.copy_plan(requests))


def names_of(body: dict[str, Any]) -> list[str]:
    """The names of a message's fields, in order."""
    return [
        found[1]
        for block in body["blocks"]
        for field in block.get("fields", ())
        if (found := re.match(r"\*(.+?):\*", field["text"]))
    ]


def test_a_cancelled_sync_that_is_executed_again_is_reported_once_more_and_the_gauges_follow(
    announced: Announced,
) -> None:
    requests = reported_as_failed(announced)
    before = state_of(announced)
    assert before.pending
    assert before.last_good_at is None
    assert execute_again(announced, requests)
    announced.tick()
    assert announced.slack.texts == [START, FAILED, COMPLETE]
    after = state_of(announced)
    assert after.pending == 0
    assert after.last_good_at is not None
    body = announced.slack.taken[-1]
    assert names_of(body) == [
        "Environment",
        "Date",
        "New Bottles",
        "Skipped (Existing)",
        "Total Downloaded",
        "Duration",
    ]
    text = json.dumps(body, ensure_ascii=False)
    assert re.search(
        r"This sync was reported as failed on \d{4}-\d\d-\d\d at \d\d:\d\d UTC\. "
        r"After a re-execution it is now complete\.",
        text,
    )
    # The sync's own figures, of all its tries.
    assert f"*New Bottles:* {len(announced.deployment.entries())}" in text
    # However often it is executed again from now on, and though the daemon is killed meanwhile.
    for _ in range(2):
        assert execute_again(announced, requests)
        announced.tick(keep_cursor=False)
        announced.tick()
    assert announced.slack.texts == [START, FAILED, COMPLETE]


def test_a_sync_that_succeeds_at_once_says_nothing_of_a_re_execution(announced: Announced) -> None:
    announced.deployment.sync()
    announced.tick()
    assert "re-execution" not in json.dumps(announced.slack.taken)


def test_of_several_platforms_the_last_one_makes_the_sync_complete(announced: Announced) -> None:
    first, second = reported_as_failed(announced, cancel=2)
    pending = state_of(announced).pending
    assert pending
    assert execute_again(announced, [first])
    announced.tick()
    assert announced.slack.texts == [START, FAILED]
    # Nobody hears of it, and yet it is known that less is missing.
    assert 0 < (state_of(announced).pending or 0) < pending
    assert execute_again(announced, [second])
    announced.tick()
    assert announced.slack.texts == [START, FAILED, COMPLETE]


def test_a_platform_that_was_complete_stays_so_though_its_next_run_is_cancelled(
    announced: Announced,
) -> None:
    first, second = reported_as_failed(announced, cancel=2)
    assert execute_again(announced, [first])
    cancelled(announced, first)
    assert execute_again(announced, [second])
    announced.tick()
    assert announced.slack.texts == [START, FAILED, COMPLETE]


def test_another_try_that_fails_is_no_news_and_the_one_that_succeeds_is(announced: Announced) -> None:
    requests = reported_as_failed(announced)
    missing = next(b for b in announced.deployment.world.bottles if b.tag == requests[0].partition_key)
    announced.deployment.simulator.fault(missing.filename, Fault.not_found(times=None))
    for _ in range(2):
        assert not execute_again(announced, requests)
        announced.tick()
    assert announced.slack.texts == [START, FAILED]
    assert state_of(announced).pending
    assert state_of(announced).last_good_at is None
    announced.deployment.simulator.clear_faults()
    assert execute_again(announced, requests)
    announced.tick()
    assert announced.slack.texts == [START, FAILED, COMPLETE]


def test_a_sync_that_was_reported_with_warnings_is_completed_by_a_later_run(announced: Announced) -> None:
    requests = planned(announced)
    missing = next(b for b in announced.deployment.world.bottles if b.tag == requests[0].partition_key)
    announced.deployment.simulator.fault(missing.filename, Fault.not_found(times=None))
    announced.deployment.copy_plan(requests)
    announced.tick()
    assert announced.slack.texts == [START, WARNING]
    announced.deployment.simulator.clear_faults()
    assert execute_again(announced, requests)
    announced.tick()
    assert announced.slack.texts == [START, WARNING, COMPLETE]
    assert "reported as completed with warnings on" in json.dumps(announced.slack.taken[-1])


def test_a_run_that_planned_for_itself_is_completed_too(announced: Announced) -> None:
    deployment = announced.deployment
    missing = next(b for b in deployment.world.bottles if b.tag == "arm64_sonoma")
    deployment.simulator.fault(missing.filename, Fault.not_found(times=None))
    failed = deployment.run("mirror_platform", platform="arm64_sonoma")
    announced.tick()
    assert announced.slack.texts == [START, WARNING]
    deployment.simulator.clear_faults()
    run = deployment.instance.get_run_by_id(failed.run_id)
    assert run is not None
    tags = {name: value for name, value in run.tags.items() if name.startswith("mirror/")}
    assert deployment.run("mirror_platform", platform="arm64_sonoma", tags=tags).success
    announced.tick()
    assert announced.slack.texts == [START, WARNING, COMPLETE]


def test_a_daemon_that_dies_after_any_message_loses_none_and_repeats_none(announced: Announced) -> None:
    requests = planned(announced)
    announced.deployment.copy_plan(requests[1:])
    cancelled(announced, requests[0])
    # The failure is sent, and whoever would remember that dies.
    announced.tick(keep_cursor=False)
    assert announced.slack.texts == [START, FAILED]
    assert execute_again(announced, requests[:1])
    for _ in range(3):
        announced.tick(keep_cursor=False)
    assert announced.slack.texts == [START, FAILED, COMPLETE]
    assert "After a re-execution it is now complete" in json.dumps(announced.slack.taken[-1])
    announced.tick()
    assert announced.slack.texts == [START, FAILED, COMPLETE]


def test_a_process_that_dies_while_it_sends_sends_it_no_second_time(announced: Announced) -> None:
    requests = reported_as_failed(announced)
    assert execute_again(announced, requests)
    before = announced.cursor
    announced.tick()
    announced.cursor = before
    record = announced.deliveries(requests[0].tags["mirror/sync_id"])
    sent = record.read("completion", "slack")
    assert sent is not None
    assert sent.state == "sent"
    # As it stands when the process dies: nobody knows whether it arrived.
    record.write("completion", "slack", "sending", "success")
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts == [START, FAILED, COMPLETE]


def test_a_channel_that_is_down_hears_of_it_later(announced: Announced) -> None:
    requests = reported_as_failed(announced)
    announced.slack.answer_next(Answer(status=503))
    assert execute_again(announced, requests)
    announced.tick()
    assert announced.slack.texts == [START, FAILED]
    # The gauges wait for no channel.
    assert state_of(announced).pending == 0
    assert "completion/slack" in (announced.cursor or "")
    announced.clock.advance(60.0)
    announced.tick()
    announced.tick()
    assert announced.slack.texts == [START, FAILED, COMPLETE]


def test_a_channel_that_never_heard_of_the_failure_hears_a_plain_success(announced: Announced) -> None:
    requests = planned(announced)
    announced.deployment.copy_plan(requests[1:])
    cancelled(announced, requests[0])
    announced.tick(keep_cursor=False)
    assert announced.slack.texts == [START, FAILED]
    # As if the failure had met a Slack that was down, and its time to wait were over.
    record = announced.deliveries(requests[0].tags["mirror/sync_id"])
    assert record.read("end", "slack") is not None
    record.write("end", "slack", "waiting", "failure")
    assert execute_again(announced, requests[:1])
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts == [START, FAILED, COMPLETE]
    assert "re-execution" not in json.dumps(announced.slack.taken)


def test_days_later_is_early_enough_and_after_five_weeks_nobody_looks(
    announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = reported_as_failed(announced, cancel=2)
    # Eight days: a sync of which nothing was reported is given up by then.
    aged(announced, days=8)
    assert execute_again(announced, requests[:1])
    announced.tick()
    aged(announced, days=26)
    assert execute_again(announced, requests[1:])
    announced.tick()
    assert announced.slack.texts == [START, FAILED, COMPLETE]
    assert announced.followed == []


def test_a_sync_that_nobody_executes_again_is_followed_for_five_weeks(announced: Announced) -> None:
    requests = reported_as_failed(announced)
    aged(announced, days=34)
    announced.tick()
    assert len(announced.followed) == 1
    aged(announced, days=2)
    announced.tick()
    assert announced.followed == []
    assert execute_again(announced, requests)
    announced.tick()
    assert announced.slack.texts == [START, FAILED]


def aged(announced: Announced, *, days: float) -> None:
    """The sensor's cursor as if what it knows were so much older."""
    found = json.loads(announced.cursor or "{}")
    for sync in found["syncs"]:
        sync["reported_at"] -= days * 86_400
        sync["created_at"] -= days * 86_400
    announced.cursor = json.dumps(found)


def test_the_number_of_syncs_that_are_followed_is_bounded(
    announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brew_assets.defs.notifications.sensor.MOST_FOLLOWED", 1)
    for _ in range(2):
        assert announced.deployment.plan(platforms=["x86_64_linux"]).success
        announced.tick()
    assert announced.slack.texts == [START, FAILED] * 2
    assert len(announced.followed) == 1


def test_an_older_sync_that_is_completed_does_not_vouch_for_today(announced: Announced) -> None:
    requests = reported_as_failed(announced)
    missing = next(b for b in announced.deployment.world.bottles if b.tag == "arm64_sonoma")
    announced.deployment.simulator.fault(missing.filename, Fault.not_found(times=None))
    newer = planned(announced)
    for request in newer:
        cancelled(announced, request)
    announced.deployment.simulator.clear_faults()
    announced.tick()
    before = state_of(announced)
    assert execute_again(announced, requests)
    announced.tick()
    assert announced.slack.texts[-1] == COMPLETE
    after = state_of(announced)
    assert (after.pending, after.pending_of) == (before.pending, before.pending_of)
    assert after.last_good_at is not None
    assert after.last_good_at < before.pending_of
    assert isinstance(after, SyncState)


def test_a_planning_run_that_is_executed_again_makes_a_sync_of_its_own(
    announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = reported_as_failed(announced)
    again = planned(announced)
    announced.deployment.copy_plan(again)
    announced.tick()
    assert announced.slack.texts == [START, FAILED, START, COMPLETE]
    assert state_of(announced).pending == 0
    assert "re-execution" not in json.dumps(announced.slack.taken)
    # And the first one is completed by its own run only.
    assert execute_again(announced, requests)
    announced.tick()
    assert announced.slack.texts == [START, FAILED, START, COMPLETE, COMPLETE]


def test_a_run_of_the_manifest_alone_completes_nothing(announced: Announced) -> None:
    requests = reported_as_failed(announced)
    instance, job = announced.deployment.instance, defs.resolve_job_def("mirror_platform")
    tags = {**requests[0].tags, "dagster/partition": str(requests[0].partition_key)}
    run = instance.create_run_for_job(job, tags=tags, op_selection=None, asset_selection={_MANIFEST})
    succeed(instance, run)
    announced.tick()
    assert announced.slack.texts == [START, FAILED]
    assert execute_again(announced, requests)
    announced.tick()
    assert announced.slack.texts == [START, FAILED, COMPLETE]


_MANIFEST = dg.AssetKey("hash_manifest")


def succeed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """The run has ended well."""
    for kind in (dg.DagsterEventType.RUN_START, dg.DagsterEventType.RUN_SUCCESS):
        event = dg.DagsterEvent(event_type_value=kind.value, job_name=run.job_name, message="")
        instance.report_dagster_event(event, run.run_id)


def test_a_run_of_the_manifest_completes_what_lacked_nothing_else(announced: Announced) -> None:
    requests = planned(announced)
    deployment = announced.deployment
    deployment.copy_plan(requests)
    # The first platform's bottles were stored by then; only the step after them was lost.
    first = next(
        run
        for run in deployment.instance.get_runs()
        if run.tags.get("dagster/partition") == requests[0].partition_key
    )
    deployment.instance.report_run_failed(first, "the task was lost")
    announced.tick()
    assert announced.slack.texts == [START, FAILED]
    tags = {**requests[0].tags, "dagster/partition": str(requests[0].partition_key)}
    job = defs.resolve_job_def("mirror_platform")
    succeed(
        deployment.instance,
        deployment.instance.create_run_for_job(job, tags=tags, asset_selection={_MANIFEST}),
    )
    announced.tick()
    assert announced.slack.texts == [START, FAILED, COMPLETE]


def test_every_channel_hears_it_and_the_metrics_count_each_bottle_once(
    announced: Announced, cloudwatch: str, mails: Any
) -> None:
    requests = reported_as_failed(announced)
    stored = len(announced.deployment.entries())
    assert execute_again(announced, requests)
    announced.tick()
    assert len(announced.deployment.entries()) > stored
    texts = mails("messages")
    assert [text.splitlines()[0] for text in texts] == [START, FAILED, COMPLETE]
    assert "After a re-execution it is now complete." in texts[-1]
    assert announced.slack.texts == [START, FAILED, COMPLETE]

    def total(name: str, **dimensions: str) -> float:
        return sum(published(cloudwatch, name, "staging", statistic="Sum", **dimensions))

    date = next(iter(announced.deployment.entries().values())).download_date
    assert total("BottlesDownloaded", SyncDate=date) == len(announced.deployment.entries())
    assert (total("SyncsFailed"), total("SyncsSucceeded"), total("SyncsPartial")) == (1, 1, 0)
    downloads = announced.deployment.simulator.bytes_sent
    assert total("DownloadSize") == downloads
    assert mails("security") == []


def test_what_another_try_finds_wrong_is_a_security_event_though_it_is_no_news(
    announced: Announced, cloudwatch: str, mails: Any
) -> None:
    requests = reported_as_failed(announced)
    bad = next(b for b in announced.deployment.world.bottles if b.tag == requests[0].partition_key)
    announced.deployment.simulator.fault(bad.filename, Fault.wrong_bytes(times=None))
    assert not execute_again(announced, requests)
    for _ in range(2):
        announced.tick()
    (text,) = mails("security")
    assert bad.filename in text
    assert announced.slack.texts == [START, FAILED]


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0.0),
        ([(1.0, 3.0)], 2.0),
        ([(1.0, 3.0), (2.0, 5.0)], 4.0),
        ([(1.0, 9.0), (2.0, 5.0)], 8.0),
        ([(1.0, 2.0), (86_400.0, 86_401.0)], 2.0),
    ],
    ids=["none", "one", "overlapping", "one in another", "a day apart"],
)
def test_time_between_tries_is_not_counted(spans: list[tuple[float, float]], seconds: float) -> None:
    assert covered_s(spans) == seconds
