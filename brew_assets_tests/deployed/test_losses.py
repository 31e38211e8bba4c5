"""The other days: what is interrupted, killed, throttled or cannot start ends in the promised state."""

import socket

import pytest

from brew_assets.simulator import Fault
from brew_assets_tests.deployed.conftest import SPOT, SyncStatus
from brew_assets_tests.local_aws.records import InvocationRecord
from brew_assets_tests.local_aws.session import wait_for

pytestmark = [pytest.mark.aws, pytest.mark.timeout(900)]

SLOW = 50_000


def test_spot_interruption_writes_receipts_and_a_child_run_copies_the_rest(story: SyncStatus) -> None:
    story.publish(16, bytes_per_second=SLOW)
    run_id = story.start("ecs", **SPOT)
    task = story.deployed.wait_for_task_of(run_id)
    story.wait_for_stored(3)
    story.aws.interrupt_spot(task)
    ended = story.aws.wait_for_task(task, timeout_s=150)
    # Not a kill: it ended by itself, its receipts folded.
    assert (ended.stop_code, ended.exit_code) == ("SpotInterruption", 0)
    whole = story.stored()
    assert 3 <= len(whole) < 16
    recorded = {entry.s3_key.split("/")[1] for entry in story.deployed.entries().values()}
    assert {bottle.filename for bottle in whole} <= recorded
    story.hurry()
    story.wait_for_child(run_id)
    story.assert_held(once=whole)
    # On the way it told how far it was.
    told = story.webserver.progress(run_id)
    assert any(0 < done < 16 for done in told), told


def test_a_spot_interruption_between_two_tries_of_a_step_is_answered_by_a_child_run(
    story: SyncStatus,
) -> None:
    story.publish(2)
    for bottle in story.bottles:
        story.upstream.fault(bottle.filename, Fault.server_error(times=None))
    run_id = story.start("ecs", **SPOT)
    task = story.deployed.wait_for_task_of(run_id)
    wait_for(
        lambda: any("requested a retry" in message for message in story.webserver.events(run_id)),
        what="a step that waits for its next try",
        timeout_s=150,
    )
    story.aws.interrupt_spot(task)
    ended = story.aws.wait_for_task(task, timeout_s=150)
    assert (ended.stop_code, ended.exit_code) == ("SpotInterruption", 0)
    story.hurry()
    story.wait_for_child(run_id)
    story.assert_held()


def test_a_spot_interruption_before_the_run_has_begun_has_it_started_anew(story: SyncStatus) -> None:
    story.publish(2)
    run_id = story.start("ecs", **SPOT)
    story.aws.interrupt_spot(story.deployed.wait_for_task_of(run_id))
    story.wait_for_child(run_id)
    story.assert_held()


def test_a_killed_task_is_replaced_by_a_child_run_that_copies_the_rest(story: SyncStatus) -> None:
    story.publish(16, bytes_per_second=SLOW)
    run_id = story.start("ecs")
    task = story.deployed.wait_for_task_of(run_id)
    story.wait_for_stored(3)
    story.aws.kill_task(task)
    whole = story.stored()
    story.hurry()
    story.wait_for_child(run_id)
    assert story.aws.task(task).exit_code == 137
    story.assert_held(once=whole)


def test_runs_outlive_a_killed_daemon(story: SyncStatus) -> None:
    story.publish(12, bytes_per_second=SLOW)
    run_id = story.start("ecs")
    story.wait_for_stored(2)
    story.aws.kill_task(story.deployed.daemon)
    story.wait_for_success(run_id)
    story.deployed.start_daemon()
    wait_for(story.webserver.daemons_are_healthy, what="a healthy daemon", timeout_s=150)
    story.assert_held()
    runs = [run for run in story.webserver.runs() if run_id in (run.id, run.tags.get("dagster/root_run_id"))]
    assert [run.status for run in runs] == ["SUCCESS"]
    # What was queued meanwhile is carried out by the new one.
    story.hurry()
    story.wait_for_success(story.start("ecs"))


def test_lambdas_that_time_out_are_asked_twice_and_then_the_run_does_it(story: SyncStatus) -> None:
    story.publish(6)
    sync_id = story.plan()
    before = story.lambdas()
    account, settings = story.deployed.account, story.deployed.settings
    with socket.socket() as black_hole:
        # A bucket that takes connections and never answers: nothing but the time-out ends that.
        black_hole.bind(("127.0.0.1", 0))
        black_hole.listen(20)
        nowhere = f"http://127.0.0.1:{black_hole.getsockname()[1]}"
        account.set_function(environment={**settings, "AWS_ENDPOINT_URL_S3": nowhere}, timeout_s=3)
        try:
            run_id = story.start("lambda", sync_id=sync_id)
            story.wait_for_success(run_id)
        finally:
            account.set_function(environment=settings, timeout_s=900)
    story.assert_held()
    assert [i.result for i in story.aws.invocations()][before:] == ["timeout", "timeout"]
    events = "\n".join(story.webserver.events(run_id))
    assert "Task timed out" in events
    assert "6 bottles are copied by the run itself" in events


def test_a_lambda_that_dies_half_way_loses_nothing(story: SyncStatus) -> None:
    story.publish(40, bytes_per_second=SLOW)
    sync_id = story.plan()
    before = story.lambdas()
    run_id = story.start("lambda", sync_id=sync_id)

    def one_half_way() -> InvocationRecord | None:
        running = (i for i in story.aws.invocations()[before:] if i.ended is None)
        return next((i for i in running if i.log.count('"message": "stored"') > 4), None)

    dying = wait_for(one_half_way, what="a Lambda half way", timeout_s=150)
    story.aws.kill_invocation(dying.request_id)
    wait_for(
        lambda: "exit" in [i.result for i in story.aws.invocations()][before:],
        what="a dead Lambda",
        timeout_s=150,
    )
    whole = story.stored()
    story.hurry()
    story.wait_for_success(run_id)
    assert whole
    story.assert_held(once=whole)
    invocations = story.aws.invocations()[before:]
    assert [i.result for i in invocations].count("exit") == 1
    assert [i.result for i in invocations].count("ok") >= 3
    # They ran at the same time, in environments of their own.
    assert len({invocation.environment_pid for invocation in invocations}) >= 3


def test_lambdas_of_a_killed_watcher_finish_and_nothing_is_downloaded_twice(story: SyncStatus) -> None:
    story.publish(60, bytes_per_second=SLOW // 5)
    sync_id = story.plan()
    before = story.lambdas()
    run_id = story.start("lambda", sync_id=sync_id)
    task = story.deployed.wait_for_task_of(run_id)
    story.wait_for_stored(3)
    story.aws.kill_task(task)
    child = story.child_of(run_id)
    wait_for(
        lambda: any("of an earlier run: " in message for message in story.webserver.events(child.id)),
        what="a watcher that waits",
        timeout_s=150,
    )
    assert len(story.stored()) < 60
    story.hurry()
    story.wait_for_success(child.id)
    story.assert_held()
    # Whoever watches, they were the same Lambdas.
    story.aws.wait_for_invocations(before + 3)
    assert [i.result for i in story.aws.invocations()][before:] == ["ok"] * 3


def test_throttled_invocations_are_made_again(story: SyncStatus) -> None:
    story.publish(6)
    sync_id = story.plan()
    before = story.lambdas()
    story.aws.throttle_invokes(4)
    run_id = story.start("lambda", sync_id=sync_id)
    story.wait_for_success(run_id)
    story.assert_held()
    assert story.lambdas() > before
    assert "copied by the run itself" not in "\n".join(story.webserver.events(run_id))


def test_a_cancelled_run_starts_no_lambda_and_loses_no_receipt(story: SyncStatus) -> None:
    # Each costs most of a second: three Lambdas get one each, and two are left to be given out.
    story.publish(5, size_bytes=16_000_000, bytes_per_second=1_000_000)
    sync_id = story.plan()
    before = story.lambdas()
    run_id = story.start("lambda", sync_id=sync_id)
    story.aws.wait_for_invocations(before + 3, ended=False, timeout_s=150)
    story.webserver.terminate(run_id)
    assert story.deployed.wait_for_run(run_id).status == "CANCELED"
    assert len(story.deployed.keys(f"state/batches/{sync_id}/")) == story.lambdas() - before == 3
    # The Lambdas go on by themselves; what they store is theirs to tell, and the next run's to record.
    story.hurry()
    wait_for(
        lambda: all(i.ended for i in story.aws.invocations()), what="the end of the Lambdas", timeout_s=120
    )
    assert len(story.stored()) == 3
    story.wait_for_success(story.start("lambda", sync_id=sync_id))
    story.assert_held()
    assert story.lambdas() - before == 5
    assert story.deployed.keys("state/receipts/") == []


def test_a_task_that_cannot_start_fails_its_run_and_nothing_else(story: SyncStatus) -> None:
    story.publish(2)
    sync_id = story.plan()
    tags = {"ecs/container_overrides": '{"command":["no-such-program"]}', "dagster/max_retries": "0"}
    run_id = story.start("ecs", sync_id=sync_id, **tags)
    assert story.deployed.wait_for_run(run_id, timeout_s=150).status == "FAILURE"
    task = story.aws.task(story.deployed.wait_for_task_of(run_id))
    assert task.stop_code == "TaskFailedToStart"
    assert story.stored() == []
    story.wait_for_success(story.start("ecs", sync_id=sync_id))
    story.assert_held()
