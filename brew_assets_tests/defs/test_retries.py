"""Which steps are tried again, and which end at once."""

from pathlib import Path

import dagster as dg
import msgspec
import pytest

from brew_assets.defs.lambda_route import PipesInvoker, lambda_client
from brew_assets.defs.resources import STEP_RETRIES, MirrorResource, failure_from
from brew_assets.errors import (
    CatalogueRefused,
    CatalogueUnavailable,
    InvocationFailed,
    InvocationRefused,
    ManifestInvalid,
    MirrorError,
    PlanInvalid,
    SettingsInvalid,
    StoreRefused,
    StoreUnavailable,
)
from brew_assets.simulator import Fault
from brew_assets_tests.aws_profiles import KEYS, NOBODY, ROLE, Profiles
from brew_assets_tests.defs.deployment import Deployment


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRY_ATTEMPTS", "0")


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (StoreUnavailable("503"), True),
        (CatalogueUnavailable("no answer"), True),
        (InvocationFailed("no credentials just now"), True),
        (InvocationRefused("no such profile"), False),
        (CatalogueRefused("404"), False),
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


def test_a_step_is_tried_again_after_the_waits_of_the_settings(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETRY_DELAY_SECONDS", "0.01")
    deployment.simulator.api_down = True
    result = deployment.run("weekly_sync")
    events = [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    waits = [event.step_retry_data.seconds_to_wait or 0.0 for event in events]
    assert len(waits) == STEP_RETRIES
    assert 0.0 < waits[0] <= 0.01
    assert 0.0 < waits[1] <= 0.02


def test_an_upstream_that_has_no_catalogue_is_not_asked_again(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORMULAE_API_URL", f"{deployment.simulator.api_url}/absent")
    result = deployment.run("weekly_sync")
    assert result.retry_attempts_for_node("formula_catalog") == 0
    assert "found 404" in (deployment.failure(result, "formula_catalog").description or "")


@dg.asset
def invoked(context: dg.AssetExecutionContext, mirror: MirrorResource) -> None:
    """A step on the Lambda route, up to the end of its first invocation."""
    with mirror.engine(context):
        PipesInvoker(context, lambda_client(mirror.settings()), "sync").invoke("state/batches/one.json")


@pytest.mark.parametrize(
    ("profile", "tries"),
    [
        ("credential_process = /bin/false", STEP_RETRIES),
        ("credential_process = /bin/echo rubbish", STEP_RETRIES),
        # This STS cannot be reached.
        (f"{ROLE}source_profile = source\n[profile source]\n{KEYS}", STEP_RETRIES),
        ("credential_process = /nonexistent/program", 0),
        (f"{ROLE}web_identity_token_file = /nonexistent/token", 0),
        (f"{ROLE}source_profile = absent", 0),
    ],
)
def test_a_step_is_tried_again_after_credentials_that_may_come_and_not_after_refused_ones(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str, tries: int
) -> None:
    profiles = Profiles(tmp_path, monkeypatch)
    profiles.set(AWS_ENDPOINT_URL=NOBODY)
    profiles.write(profile)
    result = dg.materialize(
        [invoked],
        instance=deployment.instance,
        resources={"mirror": MirrorResource()},
        raise_on_error=False,
    )
    assert not result.success
    assert result.retry_attempts_for_node("invoked") == tries
    assert "AWS credentials: " in (deployment.failure(result, "invoked").description or "")


def test_a_client_of_lambda_that_no_setting_makes_is_refused(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Profiles(tmp_path, monkeypatch).write("aws_access_key_id = a\naws_secret_access_key = b")
    settings = msgspec.structs.replace(MirrorResource().settings(), aws_endpoint_url="http://[x")
    with pytest.raises(InvocationRefused, match="cannot be made: ValueError"):
        lambda_client(settings)


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
    (result,) = deployment.copy_plan(deployment.tick().run_requests)
    assert not result.success
    assert set(deployment.simulator.downloads.values()) == {1}


def test_no_op_has_a_retry_policy_since_it_would_outlive_an_interrupt(deployment: Deployment) -> None:
    for job in ("weekly_sync", "mirror_platform"):
        assert all(node.definition.retry_policy is None for node in deployment.nodes(job))


def test_a_host_that_is_not_allowed_ends_the_run_with_the_setting_and_no_retry(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.run("weekly_sync")
    monkeypatch.setenv("BOTTLE_CDN_HOSTS", "cdn.example")
    result = deployment.run("mirror_platform", platform="arm64_sonoma")
    failure = deployment.failure(result, "bottles")
    assert result.retry_attempts_for_node("bottles") == 0
    assert f"set BOTTLE_CDN_HOSTS=cdn.example,{deployment.simulator.cdn_host}" in (failure.description or "")
