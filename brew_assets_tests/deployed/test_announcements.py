"""What people and other systems hear of syncs, and how they start some: the whole project on a local AWS."""

import json
import threading
from collections.abc import Iterator, Sequence

import pytest

from brew_assets.simulator import Fault, Simulator, World
from brew_assets_tests.deployed.account import CLUSTER
from brew_assets_tests.deployed.conftest import PLATFORM, SETTINGS, SyncStatus
from brew_assets_tests.deployed.deployment import Deployed, deployed
from brew_assets_tests.deployed.graphql import Run
from brew_assets_tests.deployed.listeners import Listeners
from brew_assets_tests.event_account import envelope
from brew_assets_tests.local_aws.records import SECRET_KEY
from brew_assets_tests.local_aws.session import wait_for
from brew_assets_tests.slack_sink import PATH, Answer, slack_sink

pytestmark = [pytest.mark.aws, pytest.mark.timeout(900)]

START, COMPLETE = "🚀 Homebrew Bottles Sync Started", "✅ Homebrew Bottles Sync Complete"
WARNING, FAILED = "⚠️ Homebrew Sync Completed with Warnings", "❌ Homebrew Bottles Sync Failed"
LARGE, PROGRESS = "⚡ Large Download Detected - Routing to ECS", "⏳ Homebrew Sync Progress Update"
SLOW = 20_000


@pytest.fixture(scope="module")
def listeners() -> Iterator[Listeners]:
    with slack_sink() as slack:
        yield Listeners(slack)


@pytest.fixture(scope="module")
def aws_deployment(listeners: Listeners) -> Iterator[Deployed]:
    """In the place of the other stories' deployment: one that tells."""
    world = World.generate(seed=5, formulae=3)
    settings = SETTINGS | {"RETRY_ATTEMPTS": "0", "SIZE_THRESHOLD_GB": "0.001"}
    with (
        Simulator(world) as upstream,
        deployed(upstream, settings, prepare=listeners.make) as running,
    ):
        running.webserver.start_sensor("route_pending_bottles")
        running.webserver.start_sensor("take_sync_events")
        yield running


class Hearing:
    """What is heard from now on."""

    def __init__(self, listeners: Listeners) -> None:
        self.listeners = listeners
        self._slack = len(listeners.slack.taken)
        self._mails = len(listeners.texts("messages"))

    @property
    def texts(self) -> list[str]:
        """What Slack took."""
        return self.listeners.slack.texts[self._slack :]

    def shown(self, text: str) -> list[str]:
        """The messages with that text as Slack took them, each as one document."""
        taken = self.listeners.slack.taken[self._slack :]
        return [json.dumps(body, ensure_ascii=False) for body in taken if body["text"] == text]

    def wait_for_end(self) -> list[str]:
        """What Slack took, once the sync was told to its end."""
        ends = (COMPLETE, WARNING, FAILED)
        wait_for(
            lambda: any(text in ends for text in self.texts),
            what="the end of the sync in Slack",
            timeout_s=240,
        )
        return self.texts

    def mails(self, count: int) -> list[str]:
        """The first lines of what SNS has delivered, once they are so many."""

        def look() -> list[str] | None:
            found = self.listeners.texts("messages")[self._mails :]
            return [text.splitlines()[0] for text in found] if len(found) >= count else None

        return wait_for(look, what=f"{count} mails", timeout_s=150)


@pytest.fixture
def hearing(aws_deployment: Deployed, listeners: Listeners) -> Iterator[Hearing]:
    yield Hearing(listeners)
    assert listeners.slack.problems == []
    listeners.slack.answer_always(None)


def plan_and_lose_the_daemon(story: SyncStatus, hearing: Hearing) -> None:
    """There is a plan, and another daemon than the one that told its start."""
    run_id = story.begin_plan()
    wait_for(lambda: hearing.texts, what="the start", timeout_s=150)
    story.aws.kill_task(story.deployed.daemon)
    assert hearing.texts == [START]
    story.deployed.start_daemon()
    story.wait_for_success(run_id)


def test_a_small_sync_is_a_start_and_an_end_though_the_daemon_dies_between_them(
    story: SyncStatus, hearing: Hearing
) -> None:
    story.publish(4)
    plan_and_lose_the_daemon(story, hearing)
    assert hearing.wait_for_end() == [START, COMPLETE]
    assert sorted(hearing.mails(2)) == sorted([START, COMPLETE])
    body = hearing.listeners.slack.taken[-1]
    assert body["channel"] == "#homebrew-sync-dev"
    assert "*New Bottles:* 4" in json.dumps(body)
    wanted = {"BottlesDownloaded", "SyncDuration", "DownloadSize", "BottlesFailed"}
    metrics = wait_for(
        lambda: found if wanted <= (found := hearing.listeners.metrics()).keys() else None,
        what="metrics",
    )
    assert ("SyncType", "lambda") in metrics["SyncDuration"]
    assert ("Environment", "dev") in metrics["DownloadSize"]
    assert hearing.listeners.texts("security") == []
    story.assert_held()


def test_a_large_sync_tells_how_far_it_is_though_the_daemon_dies_meanwhile(
    story: SyncStatus, hearing: Hearing
) -> None:
    story.publish(16, bytes_per_second=SLOW)
    story.plan()
    wait_for(
        lambda: any("downloading a-large-sync" in text for text in hearing.shown(PROGRESS)),
        what="a progress message of a bottle",
        timeout_s=150,
    )
    story.aws.kill_task(story.deployed.daemon)
    story.deployed.start_daemon()
    story.hurry()
    told = hearing.wait_for_end()
    assert told[:2] == [START, LARGE]
    assert told[-1] == COMPLETE
    assert set(told[2:-1]) == {PROGRESS}
    # Those before and after the daemon's death tell of one thing each.
    assert len(set(hearing.shown(PROGRESS))) == len(hearing.shown(PROGRESS))
    # One of the middle: at the very end the last may show all of it.
    progress = next(text for text in hearing.shown(PROGRESS) if "downloading a-large-sync" in text)
    assert "/16 bottles (" in progress
    assert "MB / 1.6 MB" in progress or "KB / 1.6 MB" in progress
    assert "█" in progress
    assert "░" in progress
    story.assert_held()


def test_a_partly_failed_sync_ends_with_a_warning_and_a_security_event_though_the_daemon_dies_before(
    story: SyncStatus, hearing: Hearing
) -> None:
    story.publish(4)
    bad, gone = story.bottles[:2]
    story.upstream.fault(bad.filename, Fault.wrong_bytes(times=None))
    story.upstream.fault(gone.filename, Fault.not_found())
    plan_and_lose_the_daemon(story, hearing)
    assert hearing.wait_for_end() == [START, WARNING]
    told = json.dumps(hearing.listeners.slack.taken[-1], ensure_ascii=False)
    assert "*Successful:* 2/4 bottles" in told
    assert f"• {bad.formula}@1.0 ({PLATFORM}) - SHA mismatch" in told
    assert f"• {gone.formula}@1.0 ({PLATFORM}) - File not found" in told
    (event,) = wait_for(lambda: hearing.listeners.texts("security"), what="a security event")
    assert bad.filename in event
    assert gone.filename not in event


def test_a_wholly_failed_sync_is_told_once_though_the_daemon_dies_between_the_messages(
    story: SyncStatus, hearing: Hearing
) -> None:
    story.publish(3)
    for bottle in story.bottles:
        story.upstream.fault(bottle.filename, Fault.not_found())
    slack, arrived, on_its_way = hearing.listeners.slack, threading.Event(), threading.Event()
    slack.answer_next(Answer(status=200, arrived=arrived, after=on_its_way))
    run_id = story.begin_plan()
    # Who posts and who would record it die while the start is on its way: nobody learns that it was taken.
    assert arrived.wait(150)
    story.aws.kill_task(story.deployed.code)
    story.aws.kill_task(story.deployed.daemon)
    on_its_way.set()
    wait_for(lambda: hearing.texts, what="the start", timeout_s=60)
    story.deployed.start_code()
    story.deployed.start_daemon()
    story.wait_for_success(run_id)
    wait_for(lambda: story.deployed.wait_for_task_of(_run_of(story)), what="the run", timeout_s=90)
    # And once more between start and end.
    story.aws.kill_task(story.deployed.daemon)
    assert hearing.texts == [START]
    story.deployed.start_daemon()
    assert hearing.wait_for_end() == [START, FAILED]
    assert "*Error Type:* File not found" in json.dumps(slack.taken[-1])
    # Two rounds of the sensor later nothing was added.
    wait_for_another_tick(story)
    wait_for_another_tick(story)
    assert hearing.texts == [START, FAILED]


def _run_of(story: SyncStatus) -> str:
    sync_id = story.webserver.metadata("pending_bottles")["sync_id"]
    run = wait_for(
        lambda: next((r for r in story.webserver.runs() if r.tags.get("mirror/sync_id") == sync_id), None),
        what="the run of the platform",
        timeout_s=150,
    )
    return run.id


def wait_for_another_tick(story: SyncStatus) -> None:
    """The sensor has looked once more."""
    seen = story.webserver.last_tick("announce_syncs")
    wait_for(lambda: story.webserver.last_tick("announce_syncs") > seen, what="another tick", timeout_s=150)


def test_a_sync_that_is_cancelled_and_executed_again_in_the_ui_is_a_failure_and_a_completion(
    story: SyncStatus, hearing: Hearing
) -> None:
    story.publish(12, bytes_per_second=SLOW)
    story.plan()
    run_id = _run_of(story)
    story.wait_for_stored(1)
    story.webserver.terminate(run_id)
    assert ends_of(hearing.wait_for_end()) == [START, FAILED]
    assert "*Error Type:* Cancelled" in hearing.shown(FAILED)[0]
    stored = story.stored()
    assert len(stored) < 12
    story.hurry()
    again = story.webserver.execute_again(run_id)
    story.wait_for_success(again)
    wait_for(lambda: COMPLETE in hearing.texts, what="the completion", timeout_s=150)
    wait_for_another_tick(story)
    assert ends_of(hearing.texts) == [START, FAILED, COMPLETE]
    (text,) = hearing.shown(COMPLETE)
    assert "This sync was reported as failed on" in text
    assert "*New Bottles:* 12" in text
    story.assert_held(once=stored)


def test_a_sync_whose_tasks_are_lost_twice_is_one_start_and_one_end(
    story: SyncStatus, hearing: Hearing
) -> None:
    # So many that neither run can have copied all before its task is lost, on however busy a machine.
    story.publish(48, bytes_per_second=SLOW)
    story.plan()
    run_id = _run_of(story)
    stored = story.wait_for_stored(2)
    story.aws.kill_task(story.deployed.wait_for_task_of(run_id))
    child = story.child_of(run_id)
    story.wait_for_stored(len(stored) + 4)
    task = story.deployed.wait_for_task_of(child.id)
    story.aws.client("ecs").stop_task(cluster=CLUSTER, task=task, reason="somebody stops it in ECS")
    story.hurry()
    story.wait_for_child(child.id)
    hearing.wait_for_end()
    wait_for_another_tick(story)
    assert ends_of(hearing.texts) == [START, COMPLETE]
    story.assert_held(once=stored)


def ends_of(texts: Sequence[str]) -> list[str]:
    """The messages but those of how far and how large a sync is."""
    return [text for text in texts if text not in (LARGE, PROGRESS)]


def test_a_check_that_stops_a_plan_from_the_ui_is_reported_with_its_numbers(
    story: SyncStatus, hearing: Hearing
) -> None:
    # A quarter of what upstream has then; the check lets a tenth pass.
    gone = len(story.upstream.world.formulae) // 3 + 1
    story.publish(gone)
    config = {"ops": {"pending_bottles": {"config": {"formula_names": [story.bottles[0].formula]}}}}
    story.wait_for_success(story.webserver.materialize("pending_bottles", config=config))
    before = len(story.upstream.world.formulae)
    for bottle in story.bottles:
        story.upstream.world.remove(bottle.formula)
    run_id = story.webserver.materialize("formula_catalog", "pending_bottles")
    assert story.deployed.wait_for_run(run_id).status == "FAILURE"
    # Whatever is checked next has as many formulae as before.
    story.publish(gone)
    wait_for(
        lambda: {FAILED, COMPLETE} <= set(hearing.texts),
        what="the failure, and the end before it",
        timeout_s=240,
    )
    assert sorted(hearing.texts) == sorted([START, COMPLETE, FAILED])
    (text,) = hearing.shown(FAILED)
    assert f"the catalogue shrank from {before} to {before - gone} formulae" in text
    assert "Execution of" not in text


def test_an_event_on_the_bus_starts_a_selective_sync_and_a_copy_of_it_nothing(
    story: SyncStatus, hearing: Hearing
) -> None:
    story.publish(2)
    names = [bottle.formula for bottle in story.bottles]
    detail = {"formula_names": names, "platforms": [PLATFORM], "requested_by": "admin@company.com"}
    before = len(story.webserver.runs(job="selective_sync"))
    hearing.listeners.put_event("Selective Sync", detail)
    assert hearing.wait_for_end() == [START, COMPLETE]
    assert "*Trigger:* Selective" in json.dumps(hearing.listeners.slack.taken[-2])
    story.assert_held()
    # The same event, delivered twice, in one tick and later.
    story.publish(1)
    copy = envelope(
        {"formula_names": [story.bottles[-1].formula], "platforms": [PLATFORM]},
        kind="Selective Sync",
        event_id="0d9c1b0a-6d1f-4a58-9d0e-aaaaaaaaaaaa",
    )
    hearing.listeners.send(copy)
    hearing.listeners.send(copy)
    story.wait_for_stored(3)
    hearing.listeners.send(copy)
    wait_for(lambda: hearing.listeners.waiting_events() == 0, what="an empty queue", timeout_s=150)
    assert len(story.webserver.runs(job="selective_sync")) == before + 2
    assert hearing.listeners.dead_letters() == []


def test_hostile_events_start_nothing_and_lie_in_the_dead_letter_queue(
    story: SyncStatus, hearing: Hearing
) -> None:
    before = len(started(story))
    hearing.listeners.put_event("Selective Sync", {"formula_names": "curl", "platforms": 7})
    hearing.listeners.put_event("Selective Sync", {"formula_names": ["../../etc/passwd"]})
    hearing.listeners.put_event("Selective Sync", {"platforms": ["windows_11"]})
    hearing.listeners.put_event("Format Disk", {})
    hearing.listeners.put_event("Manual Sync", {"requested_by": "x" * 200_000})
    found: list[dict[str, object]] = []

    def look() -> bool:
        found.extend(hearing.listeners.dead_letters())
        return len(found) >= 5

    wait_for(look, what="five dead letters", timeout_s=240)
    assert len(found) == 5
    assert all("reason" in json.dumps(letter["MessageAttributes"]) for letter in found)
    # Each is sent there before it is deleted here.
    wait_for(lambda: hearing.listeners.waiting_events() == 0, what="an empty queue", timeout_s=60)
    assert len(started(story)) == before


def started(story: SyncStatus) -> list[Run]:
    """The runs that somebody has started; what follows a sync by a condition is none of them."""
    return [run for run in story.webserver.runs() if run.tags.get("mirror/purpose") != "record"]


@pytest.mark.parametrize("service", ["slack", "secretsmanager", "sns", "monitoring"])
def test_syncs_end_as_if_every_channel_were_up(story: SyncStatus, listeners: Listeners, service: str) -> None:
    if service == "slack":
        listeners.slack.answer_always(Answer(status=503))
    else:
        story.aws.take_down(service, status=400 if service == "sns" else 503)
    try:
        story.publish(2)
        sync_id = story.plan()
        story.wait_for_stored(2, timeout_s=120)
        (run,) = [r for r in story.webserver.runs() if r.tags.get("mirror/sync_id") == sync_id]
        story.wait_for_success(run.id)
        story.assert_held()
    finally:
        listeners.slack.answer_always(None)
        if service != "slack":
            story.aws.bring_back(service)


def test_no_secret_stands_anywhere(aws_deployment: Deployed, listeners: Listeners) -> None:
    """After all that was told above: the webhook, the keys and the database's password."""
    running = aws_deployment
    secrets = [PATH.encode(), SECRET_KEY.encode(), running.database.password.encode()]
    places = {f"s3 {key}": running.read(key) for key in running.keys()}
    assert any("compute-logs" in place for place in places)
    for task in running.aws.tasks():
        places[f"log of {task.family} {task.id}"] = task.log.encode()
    for number, invocation in enumerate(running.aws.invocations()):
        places[f"invocation {number}"] = repr(invocation).encode()
    for table, text in running.database.tables().items():
        places[f"table {table}"] = text.encode()
    for topic in ("messages", "security"):
        places[f"topic {topic}"] = "\n".join(listeners.texts(topic)).encode()
    places["slack"] = json.dumps(listeners.slack.taken).encode()
    for letter in listeners.dead_letters():
        places[f"dead letter {letter['MessageId']}"] = json.dumps(letter).encode()
    found = [
        (place, secret.decode()) for place, data in places.items() for secret in secrets if secret in data
    ]
    assert found == []
    # What was looked at has something to find.
    assert b"stored" in b"".join(data for place, data in places.items() if place.startswith("log"))
    assert b"mirror/sync_id" in b"".join(data for place, data in places.items() if place.startswith("table"))
