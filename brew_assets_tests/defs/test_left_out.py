"""What Dagster's pages, logs and messages say of what a sync leaves out."""

import json
import logging

import dagster as dg
import pytest

from brew_assets.domain.left_out import message_notes_of
from brew_assets_tests.defs.announced import COMPLETE, FAILED, START, Announced
from brew_assets_tests.defs.deployment import PLATFORMS, Deployment, figures_of, metadata_of, plan_of, spoil
from brew_assets_tests.worlds import old_shape

REJECTED = "element 21: it cannot be read: Expected 'object', got 'null'"


def warnings_of(deployment: Deployment, result: dg.ExecuteInProcessResult) -> list[str]:
    """What the run's log warns of."""
    return [
        entry.user_message
        for entry in deployment.instance.all_logs(result.run_id)
        if entry.level == logging.WARNING and entry.dagster_event is None
    ]


def test_the_plan_and_its_runs_say_what_was_rejected(deployment: Deployment) -> None:
    spoil(deployment)
    planned = deployment.run("weekly_sync")
    assert planned.success
    shown = metadata_of(planned, "pending_bottles")
    assert shown["rejected"] == 1
    assert "1 of 21 formulae; first: " + REJECTED in shown["report"]
    assert "| element 21 |  | it cannot be read" in metadata_of(planned, "formula_catalog")["report"]
    assert any(REJECTED in warning for warning in warnings_of(deployment, planned))
    runs = deployment.copy_plan(deployment.tick().run_requests)
    assert len(runs) == len(PLATFORMS)
    for run in runs:
        assert run.success
        own = metadata_of(run, "bottles")
        assert figures_of(own["figures"])["rejected"] == "1"
        assert "1 of 21 formulae; first: " + REJECTED in own["report"]
        assert any(REJECTED in warning for warning in warnings_of(deployment, run))
        assert metadata_of(run, "hash_manifest")["report"].count(REJECTED) == 1


def test_a_run_that_plans_for_itself_says_it_too(deployment: Deployment) -> None:
    spoil(deployment)
    run = deployment.run("mirror_platform", platform="arm64_sonoma")
    assert run.success
    assert any(REJECTED in warning for warning in warnings_of(deployment, run))
    seen = deployment.instance.fetch_observations(dg.AssetKey("pending_bottles"), limit=1).records
    assert seen[0].asset_observation is not None
    assert REJECTED in str(seen[0].asset_observation.metadata["report"].value)


def test_a_plan_without_a_gap_warns_of_nothing(deployment: Deployment) -> None:
    planned = deployment.run("weekly_sync")
    assert metadata_of(planned, "pending_bottles")["rejected"] == 0
    assert message_notes_of(plan_of(planned)) == ()
    assert warnings_of(deployment, planned) == []


def test_the_messages_of_start_and_end_say_it_once_each_and_else_nothing(announced: Announced) -> None:
    deployment, slack = announced.deployment, announced.slack
    deployment.sync()
    announced.tick()
    assert slack.texts == [START, COMPLETE]
    assert "Notes" not in json.dumps(slack.taken)
    deployment.world.publish("wget", "1.25.0", tags=("arm64_sonoma",))
    spoil(deployment)
    deployment.run("weekly_sync")
    announced.tick()
    deployment.copy_plan(deployment.tick().run_requests)
    announced.tick()
    assert slack.texts == [START, COMPLETE, START, COMPLETE]
    for body in slack.taken[2:]:
        text = json.dumps(body)
        assert text.count("*Notes:*") == 1
        assert "1 of 22 formulae; first: element 22: it cannot be read" in text


def test_a_hash_file_that_cannot_be_had_is_said_once_in_log_report_and_messages(
    announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment, slack = announced.deployment, announced.slack
    monkeypatch.setenv("EXTERNAL_HASH_FILE_PATH", str(deployment.root / "no-such-file.json"))
    unused = "Not used of external hash files, so that bottles which they name may be downloaded: 1 file"
    planned = deployment.run("weekly_sync")
    (warning,) = warnings_of(deployment, planned)
    assert warning.startswith(unused)
    assert unused in metadata_of(planned, "pending_bottles")["report"]
    announced.tick()
    for run in deployment.copy_plan(deployment.tick().run_requests):
        assert metadata_of(run, "bottles")["report"].count("no-such-file.json") == 1
    announced.tick()
    assert slack.texts == [START, COMPLETE]
    assert all(json.dumps(body).count(unused) == 1 for body in slack.taken)


def test_excluded_formulae_are_said_on_pages_and_in_messages_and_reach_no_run(
    announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment, slack = announced.deployment, announced.slack
    name = deployment.world.formulae[0].name
    monkeypatch.setenv("EXCLUDE_FORMULAE", name)
    said = f"Left out, because EXCLUDE_FORMULAE names them: 1 formula; first: {name}"
    planned = deployment.run("weekly_sync")
    shown = metadata_of(planned, "pending_bottles")
    assert (figures_of(shown["report"])["excluded"], warnings_of(deployment, planned)) == ("1", [])
    assert said in shown["report"]
    announced.tick()
    for run in deployment.copy_plan(deployment.tick().run_requests):
        assert said in metadata_of(run, "bottles")["report"]
    announced.tick()
    assert slack.texts == [START, COMPLETE]
    assert all(json.dumps(body).count(said) == 1 for body in slack.taken)
    # Nobody can ask for it either, and a run that plans for itself leaves it out as well.
    selective = deployment.plan(formula_names=[name])
    found = deployment.failure(selective, "pending_bottles").description or ""
    assert f"formula '{name}' is excluded by EXCLUDE_FORMULAE" in found
    own = deployment.run("mirror_platform", platform="arm64_sonoma")
    assert own.success
    assert said in metadata_of(own, "bottles")["report"]
    assert not any(path.name.startswith(f"{name}-") for path in deployment.root.rglob("*.tar.gz"))


def test_a_week_whose_catalogue_is_refused_ends_as_a_failure_with_counts_and_reasons(
    announced: Announced,
) -> None:
    deployment, slack = announced.deployment, announced.slack
    deployment.simulator.api_body_override = old_shape()
    planned = deployment.run("weekly_sync")
    assert not planned.success
    found = deployment.failure(planned, "formula_catalog").description or ""
    assert "311 of 318 formulae cannot be used" in found
    announced.tick()
    assert slack.texts == [FAILED]
    assert "311 of 318 formulae cannot be used" in json.dumps(slack.taken)


def test_all_unknown_formulae_of_a_selective_sync_are_named(deployment: Deployment) -> None:
    names = ["no-such-formula", "nor-this"]
    planned = deployment.plan(formula_names=names)
    found = deployment.failure(planned, "pending_bottles").description or ""
    assert all(f"formula '{name}' is not in the catalogue" in found for name in names)
