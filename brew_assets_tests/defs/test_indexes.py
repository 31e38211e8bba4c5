"""Held and servable in Dagster: what is missing is fetched, what does not fit is seen by whoever looks."""

import shutil
from typing import Any

import dagster as dg
import pytest

from brew_assets.domain.object_keys import INDEX_PREFIX
from brew_assets.simulator import Fault
from brew_assets_tests.defs.announced import START, WARNING, Announced
from brew_assets_tests.defs.deployment import Deployment, figures_of, metadata_of
from brew_assets_tests.slack_sink import SlackSink

PAGE = Fault(kind="answer", at="registry", times=None, body=b"<!DOCTYPE html><html>Please sign in.</html>")


def servable(result: dg.ExecuteInProcessResult) -> tuple[Any, Any]:
    """Held and servable bottles on the manifest's page."""
    found = metadata_of(result, "hash_manifest")
    return found["total_bottles"], found["servable_bottles"]


def lose_indexes(deployment: Deployment) -> None:
    shutil.rmtree(deployment.root / INDEX_PREFIX)


def test_lost_indexes_are_fetched_by_a_weekly_sync_that_has_nothing_to_copy(deployment: Deployment) -> None:
    results = deployment.sync()
    held = len(deployment.entries())
    assert servable(results[-1]) == (held, held)
    assert f"{held} servable" in metadata_of(results[-1], "hash_manifest")["report"]
    lose_indexes(deployment)
    again = deployment.run("weekly_sync")
    assert again.success
    assert metadata_of(again, "pending_bottles")["pending_bottles"] == 0
    assert servable(again) == (held, held)
    assert not deployment.tick().run_requests


def test_an_index_that_does_not_fit_fails_its_run_by_name_and_stores_all_bottles(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETRY_ATTEMPTS", "0")
    deployment.world.publish("wget", "1.25.0", tags=("arm64_sonoma",))
    deployment.simulator.fault("wget:1.25.0", PAGE)
    result = deployment.run("mirror_platform", platform="arm64_sonoma")
    assert not result.success
    failure = deployment.failure(result, "bottles")
    assert "1 held bottles are not servable" in (failure.description or "")
    assert "wget:1.25.0: expected an OCI index in JSON" in (failure.description or "")
    found = {name: value.value for name, value in failure.metadata.items()}
    assert (found["outcome"], found["failed"]) == ("partial", 0)
    assert figures_of(str(found["figures"]))["unservable"] == "1"
    assert "| wget:1.25.0 |" in str(found["report"])
    assert "Held, and not servable" in str(found["report"])
    assert any(entry.formula_name == "wget" for entry in deployment.entries().values())
    record, *_ = deployment.instance.fetch_materializations(dg.AssetKey("hash_manifest"), limit=1).records
    assert record.asset_materialization is not None
    shown = record.asset_materialization.metadata
    held = len(deployment.entries())
    assert (shown["total_bottles"].value, shown["servable_bottles"].value) == (held, held - 1)
    # Nothing is left to copy, and still it is said.
    assert deployment.sync()
    quiet = deployment.run("weekly_sync")
    assert quiet.success
    all_held, all_servable = servable(quiet)
    assert all_servable == all_held - 1
    deployment.simulator.clear_faults()
    assert servable(deployment.run("weekly_sync")) == (all_held, all_held)


def test_messages_say_which_index_does_not_fit(announced: Announced, slack: SlackSink) -> None:
    deployment = announced.deployment
    deployment.world.publish("wget", "1.25.0", tags=("arm64_sonoma",))
    deployment.simulator.fault("wget:1.25.0", PAGE)
    deployment.sync()
    announced.tick()
    assert slack.texts == [START, WARNING]
    said = str(slack.taken[-1])
    assert "wget:1.25.0 - Unfit index" in said
    assert "Failed Downloads" not in said


def test_the_job_repair_fetches_indexes(deployment: Deployment) -> None:
    deployment.sync()
    held = len(deployment.entries())
    lose_indexes(deployment)
    assert deployment.run("repair").success
    record, *_ = deployment.instance.fetch_observations(dg.AssetKey("hash_manifest"), limit=1).records
    assert record.asset_observation is not None
    found = {name: value.value for name, value in record.asset_observation.metadata.items()}
    assert (found["servable"], found["indexes_fetched"] != 0) == (held, True)
    assert (deployment.root / INDEX_PREFIX).is_dir()
