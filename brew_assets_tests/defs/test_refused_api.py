"""A file of the signed API that is refused: a sync goes on without it, and there is a security event."""

from collections.abc import Callable

import pytest

from brew_assets.domain.api import packages_path
from brew_assets.simulator import Fault
from brew_assets_tests.defs.announced import COMPLETE, START, WARNING, Announced

SONOMA = packages_path("arm64_sonoma")
Mails = Callable[[str], list[str]]


@pytest.fixture
def announced(announced: Announced) -> Announced:
    """It has begun to notify."""
    announced.tick()
    return announced


@pytest.mark.parametrize("fault", [Fault.wrong_signature(times=None), Fault.changed_byte(times=None)])
def test_a_tampered_file_is_a_security_event_of_a_sync_that_ends_well(
    announced: Announced, mails: Mails, fault: Fault
) -> None:
    announced.deployment.simulator.fault(SONOMA, fault)
    announced.deployment.sync()
    for _ in range(2):
        announced.tick()
    assert announced.slack.texts == [START, COMPLETE]
    # All three runs have the same plan.
    (text,) = mails("security")
    first, finding, link = text.splitlines()
    assert first.startswith("1 finding in sync ")
    assert first.endswith(" of staging; nothing of it was stored:")
    assert finding.startswith("- signed API: invalid publication: ")
    assert f"/{SONOMA}: " in finding
    assert link.startswith("https://dagster.example/runs/")
    assert not list((announced.deployment.root / "published").glob("*"))


def test_files_that_an_unknown_key_has_signed_are_one_too_though_nothing_is_pending(
    announced: Announced, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced.deployment.sync()
    announced.tick()
    assert mails("security") == []
    # Homebrew's own, which has not signed what the simulator shows.
    monkeypatch.setenv("API_PUBLIC_KEY", "")
    assert announced.deployment.run("weekly_sync").success
    assert not announced.deployment.tick().run_requests
    announced.tick()
    (text,) = mails("security")
    assert "- signed API: invalid publication: " in text


def test_another_try_of_that_sync_is_no_second_event(announced: Announced, mails: Mails) -> None:
    announced.deployment.simulator.fault(SONOMA, Fault.changed_byte(times=None))
    gone = next(b for b in announced.deployment.world.bottles if b.tag == "arm64_sonoma")
    announced.deployment.simulator.fault(gone.filename, Fault.not_found())
    assert announced.deployment.run("weekly_sync").success
    requests = announced.deployment.tick().run_requests
    announced.deployment.copy_plan(requests)
    announced.tick()
    assert len(mails("security")) == 1
    announced.deployment.copy_plan([r for r in requests if r.partition_key == "arm64_sonoma"])
    announced.tick()
    assert announced.slack.texts == [START, WARNING]
    assert mails("security") == []


def test_hosts_that_disagree_are_none(
    announced: Announced, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_CONSISTENCY_WAIT_SECONDS", "0.1")
    announced.deployment.world.publish("jq", "1.1", tags=("arm64_sonoma",), size_bytes=20_000)
    announced.deployment.simulator.fault(SONOMA, Fault.last_edition(times=None))
    announced.deployment.sync()
    announced.tick()
    assert announced.slack.texts == [START, COMPLETE]
    assert mails("security") == []
