"""Which steps are tried again, and which end at once."""

import pytest

from brew_assets.defs import resources
from brew_assets.defs.resources import STEP_RETRIES, failure_from
from brew_assets.errors import (
    CatalogueUnavailable,
    ManifestInvalid,
    MirrorError,
    PlanInvalid,
    SettingsInvalid,
    StoreRefused,
    StoreUnavailable,
)
from brew_assets.simulator import Fault
from brew_assets_tests.defs.deployment import Deployment


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "STEP_RETRY_DELAY_S", 0.0)
    monkeypatch.setenv("RETRY_ATTEMPTS", "0")


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (StoreUnavailable("503"), True),
        (CatalogueUnavailable("no answer"), True),
        (StoreRefused("no permission"), False),
        (PlanInvalid("unknown formula"), False),
        (ManifestInvalid("empty"), False),
        (SettingsInvalid(name="MIRROR_URL", expected="a directory", found="nothing"), False),
    ],
)
def test_only_faults_that_pass_are_retried(error: MirrorError, retried: bool) -> None:
    failure = failure_from(error)
    assert failure.allow_retries is retried
    assert failure.description == str(error)


def test_an_upstream_that_stays_away_ends_the_step_after_its_tries(deployment: Deployment) -> None:
    deployment.simulator.api_down = True
    result = deployment.run("weekly_sync")
    assert result.retry_attempts_for_node("formula_catalog") == STEP_RETRIES
    assert "503" in (deployment.failure(result, "formula_catalog").description or "")


def test_a_fault_that_passes_is_overcome_by_another_try_of_the_step(deployment: Deployment) -> None:
    (bottle,) = deployment.world.publish("wget", "1.25.0", tags=("arm64_sonoma",))
    deployment.simulator.fault(bottle.filename, Fault.server_error(times=1))
    result = deployment.run("mirror_platform", platform="arm64_sonoma")
    assert result.success
    assert result.retry_attempts_for_node("bottles") == 1
    assert "wget-1.25.0-arm64_sonoma" in deployment.entries()
    assert set(deployment.simulator.downloads.values()) == {1}


def test_a_forced_plan_is_not_tried_again_as_a_whole(deployment: Deployment) -> None:
    (bottle,) = deployment.world.publish("wget", "1.25.0", tags=("arm64_sonoma",))
    deployment.plan(platforms=["arm64_sonoma"], force_download=True)
    deployment.simulator.fault(bottle.filename, Fault.server_error(times=1))
    (result,) = deployment.carry_out(deployment.tick().run_requests)
    assert not result.success
    assert set(deployment.simulator.downloads.values()) == {1}


def test_no_op_has_a_retry_policy_since_it_would_outlive_an_interrupt(deployment: Deployment) -> None:
    for job in ("weekly_sync", "mirror_platform"):
        assert all(node.definition.retry_policy is None for node in deployment.nodes(job))
