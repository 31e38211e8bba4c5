"""Formulae by name in Dagster: the weekly sync's, a run config's, an event's, each with what they need."""

import dagster as dg
import pytest

from brew_assets.defs.notifications.run_history import opened_sync
from brew_assets.defs.sensors.sync_events import run_config
from brew_assets.domain.sync_event import Trigger
from brew_assets_tests.defs.deployment import (
    PLATFORMS,
    Deployment,
    figures_of,
    metadata_of,
    pending_of,
    plan_of,
)

TAGS = ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma")


@pytest.fixture
def needy(deployment: Deployment) -> Deployment:
    for name, needed in (("git", ["pcre2"]), ("pcre2", ["zlib"]), ("zlib", []), ("jq", [])):
        deployment.world.publish(name, "1.0", tags=TAGS, dependencies=needed)
    return deployment


def is_whole(deployment: Deployment) -> bool:
    """Whether the newest plan counts as one of all that the mirror is meant to hold."""
    records = deployment.instance.fetch_materializations(dg.AssetKey("pending_bottles"), limit=1).records
    made = records[0].asset_materialization
    assert made is not None
    found = opened_sync(deployment.instance, made.metadata, run_id=records[0].run_id, at=0.0)
    assert found is not None
    return found.whole


def test_the_weekly_sync_is_for_the_mirrors_formulae_and_its_page_has_both_numbers(
    needy: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRROR_FORMULAE", "git,jq")
    planned = needy.run("weekly_sync")
    assert pending_of(planned) == dict.fromkeys(PLATFORMS, 4)
    shown = metadata_of(planned, "pending_bottles")
    figures = figures_of(shown["report"])
    assert (figures["asked for"], figures["with needed"]) == ("2", "4")
    assert figures["selection"] == "2 formulae asked for, 4 with what they need"
    assert (plan_of(planned).formulae, plan_of(planned).meant) == ((), ("git", "jq"))
    assert is_whole(needy)
    results = needy.copy_plan(needy.tick().run_requests)
    assert all(result.success for result in results)
    assert {entry.formula_name for entry in needy.entries().values()} == {"git", "jq", "pcre2", "zlib"}


def test_a_run_without_a_plan_is_for_them_too(needy: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRROR_FORMULAE", "pcre2")
    assert needy.run("mirror_platform", platform="arm64_sonoma").success
    assert {entry.formula_name for entry in needy.entries().values()} == {"pcre2", "zlib"}


def test_a_run_config_names_formulae_of_its_own_and_may_leave_out_what_they_need(needy: Deployment) -> None:
    planned = needy.plan(formula_names=["git"])
    assert pending_of(planned) == dict.fromkeys(PLATFORMS, 3)
    assert not is_whole(needy)
    alone = needy.plan(formula_names=["git"], include_dependencies=False)
    assert pending_of(alone) == dict.fromkeys(PLATFORMS, 1)
    shown = figures_of(metadata_of(alone, "pending_bottles")["report"])
    assert shown["selection"] == "1 formula asked for, without what it needs"
    every = figures_of(metadata_of(needy.plan(), "pending_bottles")["report"])
    assert (every["asked for"], every["selection"]) == ("0", "all formulae")
    assert is_whole(needy)


def test_a_config_may_ask_for_what_the_setting_leaves_out_and_the_other_way_round(
    needy: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INCLUDE_DEPENDENCIES", "false")
    assert pending_of(needy.plan(formula_names=["git"]))["arm64_sonoma"] == 1
    asked = needy.plan(formula_names=["git"], include_dependencies=True)
    assert pending_of(asked)["arm64_sonoma"] == 3
    monkeypatch.setenv("INCLUDE_DEPENDENCIES", "true")
    monkeypatch.setenv("MIRROR_FORMULAE", "git")
    assert pending_of(needy.plan(include_dependencies=False))["arm64_sonoma"] == 1
    # What the weekly sync brings is not in it.
    assert not is_whole(needy)


@pytest.mark.parametrize(
    ("included", "config"),
    [(None, {}), (False, {"include_dependencies": False}), (True, {"include_dependencies": True})],
)
def test_an_event_hands_on_whether_dependencies_are_wanted(
    included: "bool | None", config: dict[str, bool]
) -> None:
    trigger = Trigger(id="12345678", kind="Manual Sync", include_dependencies=included)
    found = run_config(trigger)
    assert (found["ops"]["pending_bottles"]["config"] if found else {}) == config
