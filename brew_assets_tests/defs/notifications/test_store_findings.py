"""What a sync's checks find wrong in the store is a security event."""

import logging

import dagster as dg
import pytest

from brew_assets.defs.notifications.due import DueNotifications
from brew_assets.defs.notifications.open_syncs import first_cursor, newly_planned
from brew_assets.defs.notifications.run_history import CHECKED_WITHIN_S
from brew_assets.domain.sync_status import SyncState
from brew_assets.engine.notifier import Notification
from brew_assets.settings import read_settings
from brew_assets_tests.defs.announced import Announced
from brew_assets_tests.defs.deployment import PLATFORMS, Deployment


class SecurityChannel:
    """Keeps the security events that it is given."""

    name = "security"

    def __init__(self) -> None:
        self.texts: list[str] = []

    def takes(self, notification: Notification) -> bool:
        return bool(notification.security)

    def send(self, notification: Notification) -> None:
        self.texts.append(notification.security)


def synced(deployment: Deployment, number: int) -> list[str]:
    """The ids of the runs of a sync of one formula."""
    deployment.plan(formula_names=[deployment.world.formulae[number].name], platforms=list(PLATFORMS))
    return [run.run_id for run in deployment.copy_plan(deployment.tick().run_requests)]


def security_events(deployment: Deployment) -> list[str]:
    """What is told of all syncs so far."""
    channel = SecurityChannel()
    clock, log = deployment.clock, logging.getLogger("brew_assets_tests.teller")
    due = DueNotifications(
        deployment.instance, read_settings(), [channel], clock, waits={}, state=SyncState(), log=log
    )
    now = clock.now()
    _, syncs = newly_planned(deployment.instance, first_cursor(now), now=now)
    for sync in syncs:
        due.notify(sync)
    return channel.texts


def test_a_stored_object_that_was_changed_is_a_security_event_of_the_next_sync(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_URL", "https://dagster.example")
    synced(deployment, 0)
    assert security_events(deployment) == []
    changed, *_ = [entry.s3_key for entry in deployment.entries().values()]
    path = deployment.root / changed
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    runs = synced(deployment, 1)
    (text,) = security_events(deployment)
    assert "in the store after sync" in text
    assert f"{changed} is MISMATCH expected sha256" in text
    assert "nothing of it was stored" not in text
    assert f"https://dagster.example/runs/{runs[0]}" in text


def test_what_a_weekly_run_finds_in_the_store_is_a_security_event_though_nothing_was_pending(
    deployment: Deployment,
) -> None:
    deployment.sync()
    for entry in deployment.entries().values():
        path = deployment.root / entry.s3_key
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert deployment.run("weekly_sync").success
    assert not deployment.tick().run_requests
    (text,) = security_events(deployment)
    assert "held_objects_present" in text
    assert "is MISMATCH expected sha256" in text
    assert "job `repair`" in text


def test_a_planning_run_that_died_without_a_word_delays_the_end_and_loses_it_not(
    announced: Announced,
) -> None:
    planning = announced.deployment.run("weekly_sync")
    announced.deployment.copy_plan(announced.deployment.tick().run_requests)
    began = dg.DagsterEvent("PIPELINE_START", "weekly_sync", message="")
    announced.deployment.instance.report_dagster_event(began, planning.run_id)
    announced.tick()
    assert len(announced.slack.texts) == 1
    announced.clock.advance(CHECKED_WITHIN_S)
    announced.tick()
    assert len(announced.slack.texts) == 2
