"""The signed API beside the catalogue, as an operator of `brew-mirror` meets it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from brew_assets.domain.object_keys import INDEX_PREFIX
from brew_assets.simulator import Fault, Simulator, World
from brew_assets.simulator.packages import packages_path
from brew_assets_tests.integration.mirrors import PLATFORMS, DirectoryMirror, MirrorUnderTest

API = "state/upstream/api/"


@pytest.fixture
def upstream() -> Iterator[Simulator]:
    world = World(seed=8)
    for number in range(3):
        world.publish(f"tool{number}", "1.0", tags=PLATFORMS, size_bytes=2_000)
    with Simulator(world) as running:
        yield running


def api_files(mirror: MirrorUnderTest) -> list[str]:
    return [key for key in mirror.keys() if key.startswith(API) and not key.endswith("/latest.json")]


def asked(upstream: Simulator) -> list[str]:
    return [request.path for request in upstream.requests if "/internal/" in request.path]


def test_a_bottle_that_only_the_api_names_is_mirrored_too(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    """The catalogue is some minutes behind: it has neither the new version nor the new formula."""
    upstream.api_body_override = upstream.world.catalogue_json()
    upstream.world.publish("tool1", "1.1", rebuild=1, tags=PLATFORMS, size_bytes=2_000)
    upstream.world.publish("new", "2.0", tags=("all",), size_bytes=2_000)
    report = mirror.sync(upstream)
    assert (report["planned"], report["outcome"]) == (9 + 3 + 1, "success")
    names = {entry.s3_key.split("/")[1] for entry in mirror.entries().values()}
    assert {f"tool1-1.1.{tag}.bottle.1.tar.gz" for tag in PLATFORMS} <= names
    assert {f"tool1-1.0.{tag}.bottle.tar.gz" for tag in PLATFORMS} <= names
    assert "new-2.0.all.bottle.tar.gz" in names
    assert mirror.sync(upstream)["planned"] == 0
    # Its index is fetched as any other one, however it was lost.
    lost = [key for key in mirror.keys() if key.startswith(f"{INDEX_PREFIX}new/")]
    mirror.remove(*lost)
    report = mirror.sync(upstream)
    assert (report["planned"], report["publication"]["outcome"]) == (0, "unchanged")
    assert [key for key in mirror.keys() if key.startswith(f"{INDEX_PREFIX}new/")] == lost != []


def test_the_files_are_kept_as_upstream_signed_them_and_a_plan_names_them(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    report = mirror.sync(upstream, API_TAGS="x86_64_linux,arm64_sonoma")
    plan = json.loads(mirror.read(f"state/plans/{report['sync_id']}.json"))
    assert [file["tag"] for file in plan["api"]] == [*PLATFORMS, "x86_64_linux"]
    assert sorted(api_files(mirror)) == sorted(f"{API}{file['sha256']}.json" for file in plan["api"])
    for file in plan["api"]:
        document = json.loads(mirror.read(f"{API}{file['sha256']}.json"))
        assert document["signatures"][0]["header"]["kid"] == upstream.api_public_key.stem
        assert json.loads(document["payload"])["metadata"]["bottle_tag"] == file["tag"]


def test_where_nothing_is_published_no_signed_file_is_asked_for(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    mirror.sync(upstream, PUBLISH="off")
    assert asked(upstream) == []
    assert api_files(mirror) == []


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault.changed_byte(times=None), "expected bytes that simulated-1 signed, found others"),
        (Fault.wrong_signature(times=None), "expected bytes that simulated-1 signed, found others"),
        (Fault.other_tag(times=None), "metadata.bottle_tag: expected arm64_sonoma"),
        (Fault.not_found(at="api"), "found 404"),
        (Fault.last_edition(times=None), "expected signed files of one commit of homebrew-core"),
    ],
)
def test_without_an_api_that_can_be_used_the_catalogue_is_synced_and_it_is_said(
    tmp_path: Path, upstream: Simulator, fault: Fault, why: str
) -> None:
    mirror = DirectoryMirror(tmp_path / "mirror")
    upstream.fault(packages_path("arm64_sonoma"), fault)
    done = mirror.run(upstream, "sync", COLUMNS="2000", API_CONSISTENCY_WAIT_SECONDS="0.1")
    # All is copied, and nothing published.
    assert done.returncode == 1, done.stderr
    assert "Not published: " in done.stderr
    assert len(mirror.entries()) == 9
    said = "Planned from the catalogue alone, without bottles that only the signed API names: "
    for text in (done.stderr, done.stdout):
        (line,) = [line for line in text.splitlines() if said in line]
        assert why in line
        assert packages_path("arm64_sonoma") in line or "one commit" in line


def test_an_upstream_that_signs_with_another_key_than_homebrews_is_not_believed(
    tmp_path: Path, upstream: Simulator
) -> None:
    mirror = DirectoryMirror(tmp_path / "mirror")
    done = mirror.run(upstream, "plan", API_PUBLIC_KEY="", COLUMNS="2000")
    assert done.returncode == 0, done.stderr
    assert "expected a signature of homebrew-1, found 'simulated-1'" in done.stderr
    assert api_files(mirror) == []


@pytest.mark.parametrize(
    ("setting", "value", "why"),
    [
        (
            "API_PUBLIC_KEY",
            "/nowhere/key.pem",
            "expected a PEM file with an RSA public key at '/nowhere/key.pem'",
        ),
        (
            "API_TAGS",
            "arm64_nowhere",
            "expected tags that `brew-mirror platforms` lists, found 'arm64_nowhere'",
        ),
    ],
)
def test_a_setting_that_cannot_be_is_refused_before_anything_is_planned(
    tmp_path: Path, upstream: Simulator, setting: str, value: str, why: str
) -> None:
    done = DirectoryMirror(tmp_path / "mirror").run(upstream, "sync", **{setting: value})
    assert done.returncode == 2
    assert f"{setting}: {why}" in " ".join(done.stderr.split())
    assert not (tmp_path / "mirror" / "state" / "plans").exists()
