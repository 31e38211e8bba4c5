"""From an event in the queue to a sync: the real sensor, a queue that speaks SQS, Dagster's instance."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from brew_assets.adapters.aws.sqs import EventQueue
from brew_assets.compose.channels import build_event_queue
from brew_assets.definitions import defs
from brew_assets.defs.sensors.sync_events import (
    MAX_WAITING,
    SENSOR,
    Waiting,
    decode_cursor,
    encode_cursor,
    trigger_sensor,
)
from brew_assets.domain.object_keys import BACKUP_PREFIX, MANIFEST_KEY
from brew_assets.domain.sync_event import MAX_BODY_BYTES, decode_trigger
from brew_assets.settings import Settings, read_settings
from brew_assets_tests.defs.deployment import PLATFORMS, Deployment, metadata_of, plan_of
from brew_assets_tests.event_account import EventAccount, aws, envelope
from brew_assets_tests.ports import free_ports

ROOT = Path(__file__).parents[3]
SELECTIVE = {"formula_names": ["jq"], "platforms": ["arm64_sonoma"]}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with aws() as url:
        yield url


@pytest.fixture
def account(server: str, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> EventAccount:
    account = EventAccount(server)
    for name, value in account.environment().items():
        monkeypatch.setenv(name, value)
    return account


@pytest.fixture
def daemon(deployment: Deployment, account: EventAccount) -> "Daemon":
    return Daemon(deployment)


class Daemon:
    """Dagster's daemon, one step at a time."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.cursor: str | None = None
        self.log: list[str] = []

    def tick(self) -> Any:
        """What the sensor says now; its log is added to `log`."""
        context = dg.build_sensor_context(
            instance=self.deployment.instance, cursor=self.cursor, definitions=defs
        )
        context.log.addFilter(self._keep)
        data = defs.resolve_sensor_def(SENSOR).evaluate_tick(context)
        self.cursor = data.cursor
        return data

    def _keep(self, record: logging.LogRecord) -> bool:
        self.log.append(record.getMessage())
        return True

    def requests(self) -> list[dg.RunRequest]:
        """The runs that the sensor asks for now."""
        return list(self.tick().run_requests)

    def queue_run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """The requested run, carried out at once."""
        return self.deployment.run("selective_sync", tags=self.tags(request), config=request.run_config)

    def create_run(self, request: dg.RunRequest) -> dg.DagsterRun:
        """The requested run as a daemon leaves it that dies before it submits it."""
        return self.deployment.instance.create_run_for_job(
            job_def=defs.resolve_job_def("selective_sync"),
            tags=self.tags(request),
            run_config=request.run_config,
            status=dg.DagsterRunStatus.NOT_STARTED,
        )

    def tags(self, request: dg.RunRequest) -> dict[str, str]:
        assert request.run_key is not None
        return {**request.tags, "dagster/run_key": request.run_key, "dagster/sensor_name": SENSOR}

    def told(self, text: str) -> bool:
        return any(text in line for line in self.log)


def handles(cursor: str | None) -> list[str]:
    return [waiting.handle for waiting in decode_cursor(cursor)]


# -- events that start a sync -----------------------------------------------------------------------------


def test_an_event_starts_a_selective_sync_and_its_message_goes_when_the_run_is_queued(
    deployment: Deployment, account: EventAccount, daemon: Daemon
) -> None:
    formula = deployment.world.formulae[0].name
    asked = {"formula_names": [formula], "platforms": ["arm64_sonoma"], "force_download": True}
    account.send(envelope({**asked, "requested_by": "admin@company.com", "priority": "high"}))

    (request,) = daemon.requests()
    assert request.run_config == {"ops": {"pending_bottles": {"config": asked}}}
    assert account.left() == 1

    planned = daemon.queue_run(request)
    assert plan_of(planned).formulae == (formula,)
    assert account.left() == 1
    assert daemon.requests() == []
    assert account.left() == 0
    assert handles(daemon.cursor) == []


def test_who_asked_stands_on_the_run_and_on_those_that_carry_its_plan_out(
    deployment: Deployment, account: EventAccount, daemon: Daemon
) -> None:
    account.send(
        envelope(
            {
                "platforms": ["arm64_sonoma"],
                "requested_by": "Ada Lovelace <ada@company.com>",
                "priority": "high",
                "notification_channel": "#homebrew-sync",
            },
            kind="Selective Sync",
            event_id="event-0001",
        )
    )
    (request,) = daemon.requests()
    asked = {
        "mirror/trigger": "Selective",
        "mirror/requested_by": "Ada Lovelace <ada@company.com>",
        "mirror/event_id": "event-0001",
        "mirror/notification_channel": "#homebrew-sync",
        "dagster/priority": "10",
    }
    assert asked.items() <= request.tags.items()
    assert daemon.queue_run(request).success
    transfers = deployment.tick().run_requests
    assert [transfer.partition_key for transfer in transfers] == ["arm64_sonoma"]
    assert asked.items() <= transfers[0].tags.items()
    assert all(run.success for run in deployment.copy_plan(transfers))


def test_an_empty_event_starts_a_sync_of_everything(
    deployment: Deployment, account: EventAccount, daemon: Daemon
) -> None:
    account.send(envelope({}))
    (request,) = daemon.requests()
    assert request.run_config == {}
    assert request.tags["mirror/trigger"] == "Manual"
    assert "dagster/priority" not in request.tags
    assert daemon.queue_run(request).success
    assert {transfer.partition_key for transfer in deployment.tick().run_requests} == set(PLATFORMS)


def test_a_message_without_an_envelope_goes_by_its_own_id(account: EventAccount, daemon: Daemon) -> None:
    message_id = account.send('{"source": "manual", "sync_type": "full"}')
    (request,) = daemon.requests()
    assert (request.run_key, request.run_config) == (message_id, {})


def test_an_event_can_have_the_manifest_made_anew(
    deployment: Deployment, account: EventAccount, daemon: Daemon
) -> None:
    deployment.sync()
    entries = deployment.entries()
    (deployment.root / MANIFEST_KEY).write_bytes(b'{"bottles": {}}')
    assert not deployment.plan().success

    account.send(envelope({"force_rebuild_hash": True}))
    (request,) = daemon.requests()
    planned = daemon.queue_run(request)
    assert planned.success
    assert deployment.entries().keys() == entries.keys()
    assert metadata_of(planned, "pending_bottles")["pending_bottles"] == 0
    assert list((deployment.root / BACKUP_PREFIX).glob("*.invalid.json"))


@pytest.mark.parametrize(
    ("name", "formulae"), [("manual-trigger", ()), ("selective-sync", ("curl", "node", "python@3.11"))]
)
def test_the_examples_come_from_the_event_bus_as_events_that_start_a_sync(
    account: EventAccount, daemon: Daemon, name: str, formulae: tuple[str, ...]
) -> None:
    entries = json.loads((ROOT / "examples" / f"{name}.json").read_bytes())
    account.add_rule()
    account.put_events(entries)
    queue = build_event_queue(read_settings())
    assert queue is not None
    (event,) = queue.receive(10, visibility_s=0)
    trigger = decode_trigger(event.body, message_id=event.message_id, configured=PLATFORMS)
    assert trigger.kind == entries[0]["DetailType"]
    assert trigger.formula_names == formulae
    assert [request.run_key for request in daemon.requests()] == [trigger.id]


# -- once, and not lost -----------------------------------------------------------------------------------


def test_an_event_that_is_delivered_again_starts_nothing_more(account: EventAccount, daemon: Daemon) -> None:
    account.send(envelope(SELECTIVE))
    (request,) = daemon.requests()
    daemon.queue_run(request)
    daemon.tick()
    account.send(envelope(SELECTIVE))
    assert daemon.requests() == []
    assert account.left() == 0
    assert daemon.told("is queued already")


def test_two_copies_in_one_tick_start_one_run_and_both_are_deleted_after_it(
    account: EventAccount, daemon: Daemon
) -> None:
    account.send(envelope(SELECTIVE))
    account.send(envelope(SELECTIVE))
    (request,) = daemon.requests()
    assert len(handles(daemon.cursor)) == 2
    daemon.queue_run(request)
    assert daemon.requests() == []
    assert account.left() == 0


def test_an_event_whose_run_was_never_queued_comes_again_and_starts_one(
    account: EventAccount, daemon: Daemon
) -> None:
    account.send(envelope(SELECTIVE))
    (lost,) = daemon.requests()
    (handle,) = handles(daemon.cursor)
    daemon.cursor = None
    assert daemon.requests() == []
    account.let_time_pass(handle)

    (request,) = daemon.requests()
    assert request.run_key == lost.run_key
    daemon.queue_run(request)
    assert daemon.requests() == []
    assert account.left() == 0


def test_a_message_whose_handle_was_lost_is_deleted_when_it_comes_again(
    account: EventAccount, daemon: Daemon
) -> None:
    account.send(envelope(SELECTIVE))
    (request,) = daemon.requests()
    (handle,) = handles(daemon.cursor)
    daemon.queue_run(request)
    daemon.cursor = "{not a cursor"
    assert daemon.requests() == []
    assert account.left() == 1
    account.let_time_pass(handle)
    assert daemon.requests() == []
    assert account.left() == 0


def test_a_run_that_was_created_and_never_submitted_is_asked_for_again(
    account: EventAccount, daemon: Daemon
) -> None:
    account.send(envelope(SELECTIVE))
    (request,) = daemon.requests()
    (handle,) = handles(daemon.cursor)
    created = daemon.create_run(request)
    assert daemon.requests() == []
    assert account.left() == 1
    account.let_time_pass(handle)
    assert [again.run_key for again in daemon.requests()] == [request.run_key]
    daemon.deployment.instance.delete_run(created.run_id)
    daemon.queue_run(request)
    daemon.tick()
    assert account.left() == 0


def test_a_run_of_another_sensor_with_the_same_key_is_not_the_events(
    account: EventAccount, daemon: Daemon
) -> None:
    account.send(envelope(SELECTIVE, event_id="event-0001"))
    daemon.deployment.run("selective_sync", tags={"dagster/run_key": "event-0001"})
    assert len(daemon.requests()) == 1


def test_more_events_than_a_tick_takes_wait_for_the_next(account: EventAccount, daemon: Daemon) -> None:
    for number in range(12):
        account.send(envelope(SELECTIVE, event_id=f"event-{number:04}"))
    found = [len(daemon.requests()) for _ in range(3)]
    assert found == [10, 2, 0]


def test_a_message_that_never_gets_its_run_is_left_to_its_redelivery(
    account: EventAccount, daemon: Daemon
) -> None:
    account.send(envelope(SELECTIVE))
    daemon.tick()
    assert len(handles(daemon.cursor)) == 1
    for _ in range(12):
        daemon.tick()
    assert handles(daemon.cursor) == []
    assert account.left() == 1


# -- events that start none -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("no JSON", "event: expected JSON"),
        ("x" * 200_000, "event: expected 65536 bytes at most, found 200000"),
        (envelope(SELECTIVE, kind="Purge"), "detail-type: expected one of"),
        (envelope(SELECTIVE, {"source": "aws.s3"}), "source: expected homebrew.sync, found 'aws.s3'"),
        (envelope({"formula_names": "jq"}), "detail: Expected `array`, got `str`"),
        (envelope({"formula_names": ["../jq"]}), "formula_names: expected names"),
        (envelope({"formulas": ["jq"]}), "detail: 'formulas' is not a known field"),
        (envelope({"platforms": ["arm64_sanoma"]}), "platforms: platform 'arm64_sanoma' is not known"),
        (envelope({"platforms": ["x86_64_linux"]}), "platforms: expected some of TARGET_PLATFORMS"),
        (envelope({}, kind="Selective Sync"), "a selective sync: expected formula_names or platforms"),
        (envelope({"\x1b[31m\n" * 999: 1}), "detail: '\\x1b[31m\\n"),
        (
            '{"source":"manual","force_download":"\\ud800"}',
            "event: expected text, found half of a surrogate pair",
        ),
        (envelope({"formula_names": "\ud800"}), "detail: expected text, found half of a surrogate pair"),
        (envelope({"requested_by": "\ud800"}), "requested_by: expected 200 printable characters"),
        ('{"source":"manual","priority":1e999}', "event: Expected `int | str`, got `float`"),
        ('{"source":"manual","priority":' + "9" * 60_000 + "}", "event: expected JSON"),
        ('{"source":"manual","formula_names":' + "[" * 60_000, "event: expected JSON"),
    ],
    ids=lambda value: value[:30],
)
def test_what_is_not_understood_starts_nothing_and_lies_in_the_dead_letter_queue(
    account: EventAccount, daemon: Daemon, body: str, reason: str
) -> None:
    account.send(body)
    tick = daemon.tick()
    assert tick.run_requests == []
    assert tick.skip_message == "1 event(s), no new sync."
    (letter,) = account.dead_letters()
    assert letter["Body"] == body
    told = letter["MessageAttributes"]["reason"]["StringValue"]
    assert told.startswith(reason)
    assert account.left() == 0
    assert daemon.told(told)
    assert all(line.isprintable() and len(line) < 400 for line in daemon.log)


def test_events_beside_a_bad_one_start_their_syncs(account: EventAccount, daemon: Daemon) -> None:
    account.send("no JSON")
    account.send(envelope(SELECTIVE, event_id="event-0001"))
    account.send("[]")
    assert [request.run_key for request in daemon.requests()] == ["event-0001"]
    assert len(account.dead_letters()) == 2


def test_who_asked_is_kept_on_the_run_in_every_language(account: EventAccount, daemon: Daemon) -> None:
    who = "Ада 🍺 " + "é" * 190
    account.send(envelope({**SELECTIVE, "requested_by": who}, event_id="e" * 128))
    (request,) = daemon.requests()
    run = daemon.create_run(request)
    stored = daemon.deployment.instance.get_run_by_id(run.run_id)
    assert stored is not None
    assert stored.tags["mirror/requested_by"] == who


# A fresh process: what importing Dagster costs is not the tick's. Without its limit one event takes seconds.
TEN_EVENTS = """
import json, resource, sys, time
from brew_assets.definitions import defs
import dagster as dg
from brew_assets_tests.defs.sensors.test_sync_events import SENSOR

with dg.DagsterInstance.ephemeral() as instance:
    context = dg.build_sensor_context(instance=instance, definitions=defs)
    used = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + 5, used + 6))
    data = defs.resolve_sensor_def(SENSOR).evaluate_tick(context)
print(data.skip_message)
"""


def test_a_tick_over_ten_events_of_64_kib_takes_less_than_five_seconds(account: EventAccount) -> None:
    fields = ",".join(f'"f{number}":1' for number in range(7_000))
    body = "{" + fields[: MAX_BODY_BYTES - 40].rpartition(",")[0]
    body += "," + body[1:].rpartition(",")[2] + "}"
    assert MAX_BODY_BYTES - 100 < len(body) <= MAX_BODY_BYTES
    for _ in range(10):
        account.send(body)
    done = subprocess.run(
        [sys.executable, "-c", TEN_EVENTS], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-3000:])
    assert done.stdout.strip().endswith("10 event(s), no new sync.")
    assert len(account.dead_letters()) == 10
    assert account.left() == 0


# -- queues that are down ---------------------------------------------------------------------------------


def test_without_a_dead_letter_queue_a_bad_event_stays_and_is_told(
    account: EventAccount, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIGGER_DEAD_LETTER_QUEUE_URL")
    account.send("no JSON")
    assert daemon.requests() == []
    assert account.left() == 1
    assert daemon.told("starts no sync: event: expected JSON")
    assert daemon.told("TRIGGER_DEAD_LETTER_QUEUE_URL is empty")


def test_while_the_dead_letter_queue_is_down_bad_events_stay_and_good_ones_start(
    account: EventAccount, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIGGER_DEAD_LETTER_QUEUE_URL", f"{account.dead_letter_url}-gone")
    for body in ("no JSON", "[]", envelope(SELECTIVE, event_id="event-0001")):
        account.send(body)
    assert [request.run_key for request in daemon.requests()] == ["event-0001"]
    assert account.left() == 3
    # One failure is enough: the second bad event does not wait for the same queue.
    assert sum("-gone" in line for line in daemon.log) == 1
    assert sum("comes again" in line for line in daemon.log) == 2


def test_a_queue_that_is_down_skips_the_tick_and_loses_nothing(
    account: EventAccount, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.send(envelope(SELECTIVE))
    (request,) = daemon.requests()
    cursor = daemon.cursor
    daemon.queue_run(request)
    with monkeypatch.context() as outage:
        (port,) = free_ports(1)
        outage.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        tick = daemon.tick()
    assert tick.run_requests == []
    assert tick.skip_message.startswith("The queue of events is not available:")
    assert daemon.told(account.queue_url)
    assert daemon.cursor == cursor
    assert daemon.requests() == []
    assert account.left() == 0


def test_without_a_queue_the_sensor_has_nothing_to_do(deployment: Deployment) -> None:
    daemon = Daemon(deployment)
    assert daemon.tick().skip_message == "TRIGGER_QUEUE_URL names no queue."


# -- the sensor itself ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("queue", "enabled", "running"),
    [("", True, False), ("https://sqs/1/q", True, True), ("https://sqs/1/q", False, False)],
)
def test_it_runs_from_the_start_where_there_is_a_queue(queue: str, enabled: bool, running: bool) -> None:
    sensor = trigger_sensor(Settings(trigger_queue_url=queue, schedule_enabled=enabled))
    assert (sensor.default_status == dg.DefaultSensorStatus.RUNNING) is running
    assert (sensor.minimum_interval_seconds, sensor.job_name) == (30, "selective_sync")


@pytest.mark.parametrize(
    "cursor",
    [None, "", "[", "{}", "17", '[{"event_id": 1, "handle": "h"}]', "[" * 100_000, "[" * 300_000, "\ud800"],
    ids=repr,
)
def test_a_cursor_that_is_none_holds_nothing(cursor: str | None) -> None:
    assert decode_cursor(cursor) == []


# Dagster's database would refuse to look for the first, and every later tick would end there.
@pytest.mark.parametrize("event_id", ["event-\x00001", "", "x" * 5_000], ids=lambda text: ascii(text[:9]))
def test_what_is_no_events_id_is_left_out_of_a_cursor(event_id: str) -> None:
    good = Waiting("event-0001", "h")
    assert decode_cursor(encode_cursor([Waiting(event_id, "h"), good])) == [good]


def test_a_cursor_holds_the_newest_messages_and_no_more() -> None:
    waiting = [Waiting(f"event-{number:04}", "h" * 1024) for number in range(MAX_WAITING + 5)]
    assert decode_cursor(encode_cursor(waiting)) == waiting[5:]


def test_a_queue_is_not_contacted_before_it_is_asked() -> None:
    assert isinstance(build_event_queue(Settings(trigger_queue_url="https://sqs/1/q")), EventQueue)
