"""The job `repair` mends from the UI what vanished and what was changed, and names what it cannot."""

from pathlib import Path

import dagster as dg
import pytest

from brew_assets.definitions import defs
from brew_assets.defs.jobs import repair_job
from brew_assets.engine.record.verify import certify
from brew_assets.settings import Settings
from brew_assets.simulator import Fault
from brew_assets_tests.defs.deployment import Deployment, checks_of


def damage(deployment: Deployment, *, lost: int, changed: int, cut: int) -> None:
    """So many bottles are gone, have another byte, and are too short."""
    paths = [deployment.root / entry.s3_key for _, entry in sorted(deployment.entries().items())]
    for number, path in enumerate(paths[: lost + changed + cut]):
        data = path.read_bytes()
        path.unlink()
        if lost <= number < lost + changed:
            path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        elif number >= lost + changed:
            path.write_bytes(data[:-1])


def verdicts(deployment: Deployment) -> set[str]:
    certificates = certify(deployment.mirror().store, deployment.entries().items(), deep=True)
    return {certificate.verdict for certificate in certificates}


def figures(deployment: Deployment) -> dict[str, object]:
    """What the newest look at the store has recorded on the manifest's page."""
    record, *_ = deployment.instance.fetch_observations(dg.AssetKey("hash_manifest"), limit=1).records
    assert record.asset_observation is not None
    found = {name: value.value for name, value in record.asset_observation.metadata.items()}
    return {name: found[name] for name in ("checked", "missing", "mismatch", "unreadable", "repaired")}


def test_the_job_brings_everything_back(deployment: Deployment) -> None:
    deployment.sync()
    held = len(deployment.entries())
    damage(deployment, lost=3, changed=4, cut=2)
    assert verdicts(deployment) == {"CURRENT", "MISSING", "MISMATCH"}
    result = deployment.run("repair")
    assert result.success
    assert verdicts(deployment) == {"CURRENT"}
    assert len(deployment.entries()) == held
    assert figures(deployment) == {
        "checked": held,
        "missing": 3,
        "mismatch": 6,
        "unreadable": 0,
        "repaired": 9,
    }
    again = deployment.run("repair")
    assert again.success
    assert figures(deployment)["repaired"] == 0


def test_what_cannot_be_had_any_more_fails_the_job_by_name(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETRY_ATTEMPTS", "0")
    deployment.sync()
    damage(deployment, lost=2, changed=0, cut=0)
    gone = sorted(deployment.entries().items())[0][1]
    deployment.simulator.fault(gone.s3_key.split("/")[1], Fault.not_found())
    result = deployment.run("repair")
    assert not result.success
    failure = deployment.failure(result, "mend_store")
    assert "2 missing, 0 wrong, 0 unreadable; repaired 1" in (failure.description or "")
    assert gone.formula_name in (failure.description or "")


def test_a_whole_folder_that_vanished_is_healed_by_the_next_weekly_sync(deployment: Deployment) -> None:
    deployment.sync()
    held = len(deployment.entries())
    folder = deployment.root / next(iter(deployment.entries().values())).download_date
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()
    assert deployment.run("weekly_sync").success
    requests = deployment.tick().run_requests
    assert requests
    assert all(run.success for run in deployment.copy_plan(requests))
    assert verdicts(deployment) == {"CURRENT"}
    assert len(deployment.entries()) == held


def test_the_weekly_run_looks_at_a_sample_when_nothing_is_pending_and_names_the_remedy(
    deployment: Deployment,
) -> None:
    deployment.sync()
    damage(deployment, lost=0, changed=len(deployment.entries()), cut=0)
    result = deployment.run("weekly_sync")
    assert result.success
    assert not deployment.tick().run_requests
    check = checks_of(result)["held_objects_present"]
    assert not check.passed
    assert "MISMATCH" in (check.description or "")
    assert "job `repair`" in (check.description or "")
    assert "brew-mirror verify --deep --repair" in (check.description or "")


def test_the_first_weekly_run_holds_nothing_and_is_no_fault(deployment: Deployment) -> None:
    check = checks_of(deployment.run("weekly_sync"))["held_objects_present"]
    assert check.passed
    assert "0 of 0" in (check.description or "")


def test_the_job_stands_in_the_ui_and_has_a_task_of_its_own_size_in_ecs() -> None:
    assert "Looks at every bottle" in (defs.resolve_job_def("repair").description or "")
    job = repair_job(Settings(ecs_cluster_name="mirror", ecs_task_sizes="25:1024:2048:21,*:4096:8192:30"))
    assert {name: job.tags[name] for name in ("ecs/cpu", "ecs/memory", "ecs/ephemeral_storage")} == {
        "ecs/cpu": "4096",
        "ecs/memory": "8192",
        "ecs/ephemeral_storage": "30",
    }


def test_a_mirror_without_a_bottle_is_looked_at_too(deployment: Deployment, tmp_path: Path) -> None:
    deployment.run("weekly_sync")
    assert deployment.run("repair").success


def test_where_there_is_no_mirror_the_job_fails_and_makes_none(deployment: Deployment) -> None:
    result = deployment.run("repair")
    assert not result.success
    assert "there is no mirror at" in (deployment.failure(result, "mend_store").description or "")
    assert not deployment.root.exists()


def test_what_the_sync_is_about_to_fetch_is_no_finding(deployment: Deployment) -> None:
    deployment.sync()
    for entry in list(deployment.entries().values())[1:]:
        (deployment.root / entry.s3_key).unlink()
    planning = deployment.run("weekly_sync")
    assert checks_of(planning)["held_objects_present"].passed
    for run in deployment.copy_plan(deployment.tick().run_requests):
        assert checks_of(run)["sampled_objects_present"].passed


def test_bottles_that_left_the_manifest_are_counted_and_said(deployment: Deployment) -> None:
    deployment.sync()
    gone = deployment.world.formulae[0].name
    lost = [e for e in deployment.entries().values() if e.formula_name == gone]
    deployment.world.remove(gone)
    for entry in lost:
        (deployment.root / entry.s3_key).unlink()
        deployment.simulator.fault(entry.s3_key.split("/")[1], Fault.not_found())
    assert deployment.run("weekly_sync").success
    runs = deployment.copy_plan(deployment.tick().run_requests)
    assert all(run.success for run in runs)
    assert all(entry.formula_name != gone for entry in deployment.entries().values())
    record, *_ = deployment.instance.fetch_materializations(dg.AssetKey("hash_manifest"), limit=1).records
    assert record.asset_materialization is not None
    report = str(record.asset_materialization.metadata["report"].value)
    assert f"{len(lost):,} left the manifest" in report
    assert "all that was planned" not in report
