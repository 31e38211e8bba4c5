"""From the weekly tick to the manifest, with the real definitions."""

from collections.abc import Mapping
from typing import ClassVar

import dagster as dg
import pytest

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.defs.tags import SYNC_ID_TAG
from brew_assets.domain.catalogue import choose_bottles
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.engine.planner import refresh_catalogue
from brew_assets.engine.ports import Document, ObjectFacts
from brew_assets.simulator import Fault
from brew_assets_tests.defs.deployment import (
    PLATFORMS,
    Deployment,
    checks_of,
    figures_of,
    metadata_of,
    pending_of,
    plan_of,
)


def test_a_weekly_sync_mirrors_every_platform_and_the_next_one_downloads_nothing(
    deployment: Deployment,
) -> None:
    planned = deployment.run("weekly_sync")
    assert planned.success
    catalogue, plan = metadata_of(planned, "formula_catalog"), metadata_of(planned, "pending_bottles")
    assert catalogue["formulae"] == len(deployment.world.formulae)
    assert catalogue["modified"] is True
    assert plan["held"] == 0

    tick = deployment.tick()
    assert [request.partition_key for request in tick.run_requests] == list(PLATFORMS)
    assert {request.tags[SYNC_ID_TAG] for request in tick.run_requests} == {plan["sync_id"]}
    assert [request.run_key for request in tick.run_requests] == [f"{plan['sync_id']}:{p}" for p in PLATFORMS]

    results = deployment.copy_plan(tick.run_requests)
    assert all(result.success for result in results)
    wanted = choose_bottles(refresh_catalogue(deployment.mirror()).catalogue, PLATFORMS)
    assert {key: entry.sha256 for key, entry in deployment.entries().items()} == {
        bottle.entry_key: bottle.digest for bottle, _ in wanted
    }
    assert set(deployment.simulator.downloads.values()) == {1}
    assert deployment.simulator.violations == []
    last = metadata_of(results[-1], "hash_manifest")
    assert last["total_bottles"] == len(wanted)
    assert "| arm64_sonoma |" in last["report"]

    sent = deployment.simulator.bytes_sent
    again = deployment.run("weekly_sync")
    assert metadata_of(again, "formula_catalog")["modified"] is False
    assert pending_of(again) == dict.fromkeys(PLATFORMS, 0)
    assert metadata_of(again, "pending_bottles")["held"] == len(wanted)
    # Nothing runs for it, and still the manifest is known to be fresh.
    assert metadata_of(again, "hash_manifest")["total_bottles"] == len(wanted)
    # Its page goes on to show what the last sync did.
    assert metadata_of(again, "hash_manifest")["report"].startswith("### Sync of")
    tick = deployment.tick()
    assert not tick.run_requests
    assert "Nothing is pending" in tick.skip_message
    assert deployment.simulator.bytes_sent == sent


def test_a_platform_without_a_plan_plans_for_itself_first(deployment: Deployment) -> None:
    result = deployment.run("mirror_platform", platform="arm64_sonoma")
    assert result.success
    report = metadata_of(result, "bottles")
    assert report["stored"] == len(deployment.entries())
    assert figures_of(report["figures"])["planned"] == str(report["stored"])
    assert report["bytes_downloaded"] > 0
    assert "#### Failures" not in report["report"]
    partitions = {
        str(event.asset_key): event.partition for event in result.get_asset_materialization_events()
    }
    assert partitions[str(dg.AssetKey("bottles"))] == "arm64_sonoma"
    assert deployment.run("mirror_platform", platform="arm64_sonoma").success
    assert set(deployment.simulator.downloads.values()) == {1}


class CountingStore(DirectoryStore):
    """A directory that counts who reads the manifest's bytes."""

    reads: ClassVar[list[str]] = []

    def read(self, key: str) -> Document | None:
        self.reads.append(key)
        return super().read(key)

    def hash(self, key: str) -> ObjectFacts | None:
        self.reads.append(key)
        return super().hash(key)


def test_a_run_reads_the_manifest_at_most_three_times(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brew_assets.compose.store.DirectoryStore", CountingStore)

    def reads_of(platform: str, tags: Mapping[str, str] | None = None) -> int:
        CountingStore.reads.clear()
        assert deployment.run("mirror_platform", platform=platform, tags=tags).success
        return CountingStore.reads.count(MANIFEST_KEY)

    assert deployment.run("weekly_sync").success
    requests = deployment.tick().run_requests
    assert [reads_of(str(request.partition_key), request.tags) for request in requests] == [3, 3, 3]
    deployment.world.publish("wget", "1.25.0", tags=("arm64_sonoma",))
    assert reads_of("arm64_sonoma") == 3
    assert reads_of("arm64_sonoma") == 3


def test_a_new_version_is_all_that_the_next_sync_copies(deployment: Deployment) -> None:
    deployment.sync()
    before = deployment.entries()
    (bottle,) = deployment.world.publish("wget", "1.25.0", tags=("arm64_sonoma",))
    results = deployment.sync()
    # An older macOS's bottle serves the newer platforms too.
    assert len(results) == len(PLATFORMS)
    assert deployment.entries().keys() - before.keys() == {"wget-1.25.0-arm64_sonoma"}
    assert deployment.simulator.downloads[bottle.digest] == 1


def test_a_selective_sync_plans_what_its_config_names(deployment: Deployment) -> None:
    (bottle,) = deployment.world.publish("wget", "1.25.0", tags=("arm64_sonoma",))
    planned = deployment.plan(formula_names=["wget"], platforms=["arm64_sonoma"])
    assert pending_of(planned) == {"arm64_sonoma": 1}
    assert plan_of(planned).formulae == ("wget",)
    assert all(result.success for result in deployment.copy_plan(deployment.tick().run_requests))
    assert list(deployment.entries()) == ["wget-1.25.0-arm64_sonoma"]

    assert metadata_of(deployment.plan(formula_names=["wget"]), "pending_bottles")["pending_bottles"] == 0
    deployment.tick()
    deployment.plan(formula_names=["wget"], platforms=["arm64_sonoma"], force_download=True)
    assert all(result.success for result in deployment.copy_plan(deployment.tick().run_requests))
    assert deployment.simulator.downloads[bottle.digest] == 2


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"formula_names": ["no-such-formula"]}, "formula 'no-such-formula' is not in the catalogue"),
        ({"platforms": ["arm64_sanoma"]}, "platform 'arm64_sanoma' is not known"),
    ],
)
def test_what_is_unknown_fails_at_once_with_our_message(
    deployment: Deployment, asked: dict[str, object], message: str
) -> None:
    planned = deployment.plan(**asked)
    assert not planned.success
    assert message in (deployment.failure(planned, "pending_bottles").description or "")
    assert planned.retry_attempts_for_node("pending_bottles") == 0


def test_one_failing_bottle_fails_the_run_and_the_others_are_stored(deployment: Deployment) -> None:
    (bottle,) = deployment.world.publish("wget", "1.25.0", tags=("arm64_sonoma",))
    deployment.simulator.fault(bottle.filename, Fault.not_found())
    result = deployment.run("mirror_platform", platform="arm64_sonoma")
    assert not result.success
    assert result.retry_attempts_for_node("bottles") == 0

    failure = deployment.failure(result, "bottles")
    assert "1 are not (1 not found)" in (failure.description or "")
    assert "| wget-1.25.0" in str(failure.metadata["report"].value)
    (observation,) = deployment.observations()
    assert observation.metadata["failed"].value == 1
    assert observation.partition == "arm64_sonoma"
    assert deployment.instance.get_latest_materialization_event(dg.AssetKey("bottles")) is None

    held = deployment.entries()
    assert "wget-1.25.0-arm64_sonoma" not in held
    assert observation.metadata["stored"].value == len(held)
    assert len(held) == len(deployment.simulator.completed)
    recorded = deployment.instance.get_latest_materialization_event(dg.AssetKey("hash_manifest"))
    assert recorded is not None
    assert recorded.asset_materialization is not None
    assert recorded.asset_materialization.metadata["total_bottles"].value == len(held)

    deployment.simulator.clear_faults()
    assert deployment.run("mirror_platform", platform="arm64_sonoma").success
    assert "wget-1.25.0-arm64_sonoma" in deployment.entries()


def test_a_run_whose_settings_lack_its_platform_says_so(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARGET_PLATFORMS", "arm64_sequoia")
    result = deployment.run("mirror_platform", platform="arm64_sonoma")
    description = deployment.failure(result, "bottles").description or ""
    assert description.startswith("TARGET_PLATFORMS: expected the code server's list, which has arm64_sonoma")


def test_a_plan_that_does_not_exist_or_cover_the_platform_is_named(deployment: Deployment) -> None:
    tags = {SYNC_ID_TAG: "20200101T000000Z-00000000"}
    result = deployment.run("mirror_platform", platform="arm64_sonoma", tags=tags)
    assert "20200101T000000Z-00000000" in (deployment.failure(result, "bottles").description or "")

    plan = metadata_of(deployment.plan(platforms=["arm64_tahoe"]), "pending_bottles")
    config = {"ops": {"bottles": {"config": {"sync_id": plan["sync_id"]}}}}
    result = deployment.run("mirror_platform", platform="arm64_sonoma", config=config)
    assert "covers arm64_tahoe, not arm64_sonoma" in (deployment.failure(result, "bottles").description or "")
    assert deployment.run("mirror_platform", platform="arm64_tahoe", config=config).success


def test_a_manifest_that_cannot_be_trusted_ends_the_run_with_the_remedy(deployment: Deployment) -> None:
    deployment.root.mkdir()
    (deployment.root / "bottles_hash.json").write_bytes(b'{"bottles": {')
    result = deployment.run("mirror_platform", platform="arm64_sonoma")
    assert "brew-mirror manifest restore" in (deployment.failure(result, "bottles").description or "")
    assert result.retry_attempts_for_node("bottles") == 0
    assert (deployment.root / "bottles_hash.json").read_bytes() == b'{"bottles": {'


def test_the_manifest_asset_alone_records_what_stands_in_the_store(deployment: Deployment) -> None:
    deployment.run("mirror_platform", platform="arm64_sonoma")
    before = deployment.entries()
    (deployment.root / "bottles_hash.json").unlink()
    result = deployment.run("mirror_platform", platform="arm64_sonoma", selection=["hash_manifest"])
    assert result.success
    assert metadata_of(result, "hash_manifest")["rebuilt"] is True
    assert deployment.entries().keys() == before.keys()
    assert all(evaluation.passed for evaluation in checks_of(result).values())


def test_no_run_can_be_told_to_mirror_elsewhere_than_its_messages_look(deployment: Deployment) -> None:
    elsewhere = {"resources": {"mirror": {"config": {"mirror_url": str(deployment.root / "elsewhere")}}}}
    with pytest.raises(dg.DagsterInvalidConfigError, match="mirror_url"):
        deployment.run("mirror_platform", platform="arm64_sonoma", config=elsewhere)
    assert not deployment.root.exists()


def test_runs_that_fail_before_there_is_a_plan_make_no_mirror(deployment: Deployment) -> None:
    unknown = {"ops": {"pending_bottles": {"config": {"formula_names": ["no-such-formula"]}}}}
    assert not deployment.run("selective_sync", config=unknown, selection=["pending_bottles"]).success
    assert not deployment.root.exists()
    # What no step tries again.
    deployment.simulator.api_body_override = b"<html>maintenance</html>"
    for selection in (["formula_catalog"], ["pending_bottles"]):
        assert not deployment.run("weekly_sync", selection=selection).success
        assert not deployment.root.exists()
    # The catalogue is an asset of its own, and kept; a record of nothing is not begun.
    deployment.simulator.api_body_override = None
    assert not deployment.run("selective_sync", config=unknown).success
    assert {path.name for path in deployment.root.iterdir()} == {".incoming", ".lock", "state"}
