"""What the asset checks say."""

import json
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from markdown_it import MarkdownIt

from brew_assets.defs.assets import hash_manifest
from brew_assets.defs.checks import CHECKS
from brew_assets.defs.pages.markdown import without_escapes
from brew_assets.defs.resources import MirrorResource
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.domain.seal import seal
from brew_assets.engine.catalogue_cache import kept_catalogue
from brew_assets.engine.planner import refresh_catalogue
from brew_assets_tests.defs.deployment import PLATFORMS, Deployment, checks_of
from brew_assets_tests.defs.pages.test_markdown import flat

SEVERITY = dg.AssetCheckSeverity


def evaluate(instance: dg.DagsterInstance) -> dict[str, dg.AssetCheckEvaluation]:
    """All checks by themselves."""
    return checks_of(
        dg.Definitions(asset_checks=CHECKS, resources={"mirror": MirrorResource()})
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(instance=instance, raise_on_error=False)
    )


def test_an_empty_store_fails_every_check_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    monkeypatch.setenv("MIRROR_URL", str(tmp_path / "mirror"))
    found = evaluate(instance)
    assert sorted(found) == [
        "catalogue_not_shrunk",
        "held_objects_present",
        "manifest_consistent",
        "newest_macos_covered",
        "sampled_objects_present",
    ]
    assert not any(evaluation.passed for evaluation in found.values())
    assert all("yet" in (evaluation.description or "") for evaluation in found.values())
    assert not (tmp_path / "mirror").exists()


def test_a_finished_sync_passes_every_check(deployment: Deployment) -> None:
    deployment.sync()
    found = evaluate(deployment.instance)
    assert [name for name, evaluation in found.items() if not evaluation.passed] == []
    assert found["sampled_objects_present"].metadata["sampled"].value == 20


def test_a_shrunk_catalogue_blocks_the_plan_until_an_operator_plans_by_hand(deployment: Deployment) -> None:
    deployment.sync()
    for formula in deployment.world.formulae[:5]:
        deployment.world.remove(formula.name)
    blocked = deployment.run("weekly_sync")
    assert not blocked.success
    check = checks_of(blocked)["catalogue_not_shrunk"]
    assert check.blocking
    assert not check.passed
    assert "the catalogue shrank from 20 to 15 formulae" in (check.description or "")
    assert not deployment.tick().run_requests

    # Upstream publishes again, as short as before: what counts is the last catalogue that was planned from.
    deployment.world.publish("wget", "1.25.0")
    assert not deployment.run("weekly_sync").success
    assert not deployment.tick().run_requests

    assert deployment.run("weekly_sync", selection=["pending_bottles"]).success
    assert deployment.run("weekly_sync").success


def test_without_history_the_catalogue_is_compared_with_the_one_kept_before(deployment: Deployment) -> None:
    refresh_catalogue(deployment.mirror())
    for formula in deployment.world.formulae[:5]:
        deployment.world.remove(formula.name)
    assert not deployment.run("weekly_sync").success


def test_a_catalogue_that_loses_a_tenth_passes(deployment: Deployment) -> None:
    deployment.sync()
    fewest = sorted(deployment.world.formulae, key=lambda formula: len(formula.bottles))
    for formula in fewest[: len(fewest) // 10]:
        deployment.world.remove(formula.name)
    result = deployment.run("weekly_sync")
    assert result.success
    assert checks_of(result)["catalogue_not_shrunk"].metadata["formulae_before"].value == len(fewest)


def test_a_catalogue_without_bottles_is_refused_and_blocks_the_first_plan(deployment: Deployment) -> None:
    for formula in deployment.world.formulae:
        deployment.world.remove(formula.name)
    deployment.world.publish("headless", "1.0", tags=())
    blocked = deployment.run("weekly_sync")
    assert not blocked.success
    found = deployment.failure(blocked, "formula_catalog").description or ""
    assert f"expected bottles that serve {', '.join(PLATFORMS)}, found no bottle at all" in found
    assert not deployment.root.exists()


def test_a_catalogue_that_serves_none_of_the_platforms_leaves_the_kept_one(deployment: Deployment) -> None:
    deployment.sync()
    kept = kept_catalogue(deployment.mirror().store)
    for formula in deployment.world.formulae:
        deployment.world.remove(formula.name)
    deployment.world.publish("old", "1.0", tags=("x86_64_linux", "catalina"))
    blocked = deployment.run("weekly_sync")
    found = deployment.failure(blocked, "formula_catalog").description or ""
    assert "found bottles for catalina, x86_64_linux, so nothing is planned" in found
    assert kept_catalogue(deployment.mirror().store) == kept


def test_a_newer_macos_is_a_warning(deployment: Deployment) -> None:
    deployment.world.publish("wget", "1.25.0", tags=("arm64_golden_gate", "arm64_tahoe"))
    result = deployment.run("weekly_sync")
    check = checks_of(result)["newest_macos_covered"]
    assert not check.passed
    assert check.severity == SEVERITY.WARN
    assert "arm64_golden_gate" in (check.description or "")
    assert result.success


def test_a_lost_and_a_changed_object_are_found(deployment: Deployment) -> None:
    deployment.plan(formula_names=[deployment.world.formulae[0].name], platforms=list(PLATFORMS))
    deployment.copy_plan(deployment.tick().run_requests)
    lost, changed, *_ = [entry.s3_key for entry in deployment.entries().values()]
    (deployment.root / lost).unlink()
    path = deployment.root / changed
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    check = evaluate(deployment.instance)["sampled_objects_present"]
    assert not check.passed
    assert check.metadata["bad"].value == 2
    assert f"{lost} is MISSING" in (check.description or "")
    assert f"{changed} is MISMATCH expected sha256" in (check.description or "")
    assert "MISSING" in str(check.metadata["findings"].value)
    assert "MISMATCH" in str(check.metadata["findings"].value)


def test_a_damaged_manifest_is_told_with_its_remedy(deployment: Deployment) -> None:
    deployment.run("mirror_platform", platform="arm64_sonoma")
    path = deployment.root / MANIFEST_KEY
    document = json.loads(path.read_bytes())
    document["total_bottles"] += 1
    path.write_text(json.dumps(document))
    found = evaluate(deployment.instance)
    for name in ("manifest_consistent", "sampled_objects_present"):
        assert not found[name].passed
        assert "brew-mirror manifest restore" in (found[name].description or "")


def test_what_a_damaged_manifest_says_is_text_and_the_remedy_is_code(deployment: Deployment) -> None:
    deployment.run("mirror_platform", platform="arm64_sonoma")
    document = json.loads((deployment.root / MANIFEST_KEY).read_bytes())
    del document["integrity"]
    document["sync_version"] = "[x](http://e.example) <b> *b* \x1b[2J"
    (deployment.root / MANIFEST_KEY).write_bytes(seal(json.dumps(document).encode()))
    check = evaluate(deployment.instance)["manifest_consistent"]
    assert not check.passed
    told = check.description or ""
    tokens = list(flat(MarkdownIt().enable(["table", "strikethrough"]).parse(told)))
    assert {token.type for token in tokens} <= {"inline", "text", "code_inline", "text_special"} | {
        "paragraph_open",
        "paragraph_close",
    }
    codes = [token.content for token in tokens if token.type == "code_inline"]
    assert codes[-2:] == ["brew-mirror manifest restore", "brew-mirror manifest rebuild"]
    assert "\\x1b[2J" in without_escapes(told)


def test_one_check_of_the_manifest_can_be_looked_at_alone(deployment: Deployment) -> None:
    deployment.run("mirror_platform", platform="arm64_sonoma")
    wanted = dg.AssetCheckKey(dg.AssetKey("hash_manifest"), "manifest_consistent")
    alone = dg.define_asset_job("alone", selection=dg.AssetSelection.checks(wanted))
    found = dg.Definitions(asset_checks=CHECKS, jobs=[alone], resources={"mirror": MirrorResource()})
    result = found.resolve_job_def("alone").execute_in_process(instance=deployment.instance)
    assert list(checks_of(result)) == ["manifest_consistent"]


def test_a_manifest_older_than_eight_days_is_not_fresh() -> None:
    (policy,) = (spec.freshness_policy for spec in hash_manifest.specs)
    assert policy == dg.FreshnessPolicy.time_window(fail_window=timedelta(days=8))
