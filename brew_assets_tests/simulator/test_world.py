import json
import time
from collections import Counter
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from brew_assets.demo_upstream import demo_world, move_on
from brew_assets.simulator import DEFAULT_TAGS, SimulatedFormula, Simulator, SizeDistribution, World
from brew_assets.simulator.model import FIRST_GENERATED_AT, SECONDS_APART
from brew_assets.simulator.oci import image_name
from brew_assets.simulator.packages import packages_json, packages_path
from brew_assets_tests.simulator.client import ask


@pytest.fixture(scope="module")
def large() -> World:
    return World.generate(seed=11, formulae=2_000, sizes=SizeDistribution.fixed(900))


def entries(world: World) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in json.loads(world.catalogue_json())}


def index(world: World, image: str, reference: str) -> dict[str, Any]:
    document = world.index_json(image, reference)
    assert document is not None
    parsed: dict[str, Any] = json.loads(document)
    return parsed


def test_one_seed_is_one_world_and_another_seed_another() -> None:
    first, again = (World.generate(seed=2, formulae=40) for _ in range(2))
    other = World.generate(seed=3, formulae=40)
    assert first.catalogue_json() == again.catalogue_json()
    assert first.bottles == again.bottles
    assert not {bottle.digest for bottle in first.bottles} & {bottle.digest for bottle in other.bottles}


def test_a_small_world_already_shows_every_shape() -> None:
    world = World.generate(seed=4, formulae=13)
    names = [formula.name for formula in world.formulae]
    for mark in "@+_.":
        assert any(mark in name for name in names), mark
    assert any("-" in formula.version for formula in world.formulae)
    assert any(formula.revision and formula.rebuild for formula in world.formulae)
    assert any(formula.deprecated for formula in world.formulae)
    assert any(formula.disabled and formula.bottles for formula in world.formulae)
    assert [entry["bottle"] for entry in entries(world).values()].count({}) == 1


def test_all_stands_alone_and_as_often_as_asked(large: World) -> None:
    alone = [formula for formula in large.formulae if "all" in tags(formula)]
    assert {tags(formula) for formula in alone} == {("all",)}
    assert 0.10 < len(alone) / len(large.formulae) < 0.16


def test_some_formulae_have_one_digest_under_two_tags_and_none_shares_with_another(large: World) -> None:
    owners: dict[str, set[str]] = {}
    for bottle in large.bottles:
        owners.setdefault(bottle.digest, set()).add(bottle.formula)
    assert {len(names) for names in owners.values()} == {1}
    sharing = [f for f in large.formulae if len({b.digest for b in f.bottles}) < len(f.bottles)]
    assert 0.04 < len(sharing) / len(large.formulae) < 0.11


def test_some_formulae_lack_the_newest_macos_and_have_an_older(large: World) -> None:
    older = [f for f in large.formulae if "arm64_tahoe" not in tags(f) and "arm64_sequoia" in tags(f)]
    assert 10 <= len(older) <= 100


def test_names_and_images_are_unique_and_filenames_too(large: World) -> None:
    images = Counter(image_name(formula.name) for formula in large.formulae)
    filenames = Counter(bottle.filename for bottle in large.bottles)
    assert set(images.values()) == set(filenames.values()) == {1}


def test_shares_of_zero_leave_the_shape_out() -> None:
    world = World.generate(seed=4, formulae=60, all_share=0.0, shared_digest_share=0.0)
    assert {bottle.tag for bottle in world.bottles} == set(DEFAULT_TAGS)
    assert len({bottle.digest for bottle in world.bottles}) == len(world.bottles)


def test_a_catalogue_entry_has_the_keys_and_the_bottle_block_of_the_real_one(world: World) -> None:
    (bottle,) = world.publish("openssl@3", "3.6.3", rebuild=1, tags=("arm64_sonoma",))
    entry = entries(world)["openssl@3"]
    assert len(entry) == 58
    assert entry["versions"] == {"stable": "3.6.3", "head": None, "bottle": True}
    stable = entry["bottle"]["stable"]
    assert stable["rebuild"] == 1
    assert stable["root_url"] == "https://ghcr.io/v2/homebrew/core"
    assert stable["files"]["arm64_sonoma"] == {
        "cellar": "/opt/homebrew/Cellar",
        "url": f"https://ghcr.io/v2/homebrew/core/openssl/3/blobs/sha256:{bottle.digest}",
        "sha256": bottle.digest,
    }
    assert bottle.filename == "openssl@3-3.6.3.arm64_sonoma.bottle.1.tar.gz"


def test_a_new_version_leaves_the_catalogue_with_itself_only_and_old_blobs_fetchable(world: World) -> None:
    (old,) = world.publish("wget", "1.24.5")
    (new,) = world.publish("wget", "1.25.0")
    assert world.bottles == [new]
    assert old.digest not in world.catalogue_json().decode()
    assert len(world.blob(old.digest)) == old.size
    assert world.index_json("wget", "1.24.5") is not None


def test_a_new_version_needs_what_the_one_before_did_unless_it_says_otherwise(world: World) -> None:
    for name in ("oniguruma", "libevent"):
        world.publish(name, "1.0")
    world.publish("jq", "1.7", dependencies=["oniguruma"])
    needed = []
    for version, dependencies in (("1.8", None), ("1.9", ["libevent"]), ("2.0", [])):
        world.publish("jq", version, dependencies=dependencies)
        needed.append(entries(world)["jq"]["dependencies"])
        signed = json.loads(packages_json(world.edition(), "arm64_sonoma"))["formulae"]["jq"]
        assert signed.get("stable_dependencies", []) == needed[-1]
    assert needed == [["oniguruma"], ["libevent"], []]


def test_what_the_weeks_of_the_demo_bring_needs_what_it_needed_before() -> None:
    world = demo_world()
    before = {formula.name: formula for formula in world.formulae}
    assert any(formula.dependencies for formula in before.values())
    for week in range(1, 9):
        move_on(world, week)
    newer = [formula for formula in world.formulae if formula.version != before[formula.name].version]
    assert any(formula.dependencies for formula in newer)
    assert [f.name for f in newer if f.dependencies != before[f.name].dependencies] == []


def test_editions_are_dated_alike_everywhere_or_by_a_clock_that_is_given() -> None:
    world = World()
    world.publish("jq", "1.7")
    world.publish("jq", "1.8")
    dates = [world.edition(back).generated_at for back in (2, 1, 0)]
    assert dates == [FIRST_GENERATED_AT + SECONDS_APART * number for number in (0, 1, 2)]
    # A clock that goes back takes nothing back.
    moments = iter((1_000.9, 1_060.0, 1_060.5, 400.0))
    world = World(now=lambda: next(moments))
    for version in ("1.7", "1.8", "1.9"):
        world.publish("jq", version)
    assert [world.edition(back).generated_at for back in (3, 2, 1, 0)] == [1_000, 1_060, 1_060, 1_060]


def test_the_demos_upstream_shows_an_api_of_today() -> None:
    began = int(time.time())
    with Simulator(demo_world()) as upstream:
        answer = ask(f"{upstream.api_url}/{packages_path('arm64_sonoma')}")
        catalogue = ask(f"{upstream.api_url}/formula.json")
    made_at = json.loads(json.loads(answer.body)["payload"])["metadata"]["generated_at"]
    assert began <= made_at <= time.time()
    for shown in (answer, catalogue):
        assert parsedate_to_datetime(shown.headers["Last-Modified"]).timestamp() == made_at


def test_a_removed_formula_is_gone_from_the_catalogue_and_its_blob_stays(world: World) -> None:
    (bottle,) = world.publish("wget", "1.25.0")
    world.remove("wget")
    assert world.catalogue_json() == b"[]"
    assert world.blob(bottle.digest)


def test_another_content_seed_gives_other_bytes_under_the_same_name(world: World) -> None:
    (first,) = world.publish("wget", "1.25.0", size_bytes=2_000)
    (second,) = world.publish("wget", "1.25.0", size_bytes=2_000, content_seed="again")
    assert first.filename == second.filename
    assert first.digest != second.digest


def test_tags_differ_unless_they_are_published_with_a_shared_digest(world: World) -> None:
    apart = world.publish("a", "1.0", tags=("arm64_tahoe", "arm64_sonoma"))
    together = world.publish("b", "1.0", tags=("arm64_tahoe", "arm64_sonoma"), shared_digest=True)
    assert len({bottle.digest for bottle in apart}) == 2
    assert len({bottle.digest for bottle in together}) == 1


def test_last_versions_bytes_can_stand_under_a_new_version(world: World) -> None:
    """xcodegen 2.46.0 of 2026-07-16: the bottle block still listed the digests of 2.45.4."""
    (old,) = world.publish("xcodegen", "2.45.4")
    (new,) = world.publish("xcodegen", "2.46.0", keg_version="2.45.4")
    assert new.digest == old.digest
    assert new.filename != old.filename
    assert {bottle.filename for bottle in world.named(old.digest)} == {old.filename, new.filename}


def test_an_index_names_every_bottle_with_digest_and_size(world: World) -> None:
    bottles = world.publish("libsigc++@2", "2.12.1", revision=1, rebuild=2, tags=DEFAULT_TAGS)
    listed = index(world, "libsigcxx/2", "2.12.1_1-2")["manifests"]
    told = {
        (
            entry["annotations"]["org.opencontainers.image.ref.name"],
            entry["annotations"]["sh.brew.bottle.digest"],
            int(entry["annotations"]["sh.brew.bottle.size"]),
        )
        for entry in listed
    }
    assert told == {(f"2.12.1_1.{b.tag}.2", b.digest, b.size) for b in bottles}
    assert all(json.loads(entry["annotations"]["sh.brew.tab"])["arch"] for entry in listed)


def test_only_all_bottles_have_no_platform(world: World) -> None:
    world.publish("ca-certificates", "2026-08-13", tags=("all",))
    world.publish("jq", "1.8.1", tags=("arm64_sonoma", "x86_64_linux"))
    (portable,) = index(world, "ca-certificates", "2026-08-13")["manifests"]
    platforms = [entry["platform"] for entry in index(world, "jq", "1.8.1")["manifests"]]
    assert "platform" not in portable
    assert [(p["architecture"], p["os"]) for p in platforms] == [("arm64", "darwin"), ("amd64", "linux")]


def test_an_index_gains_a_platform_when_the_version_is_published_again(world: World) -> None:
    world.publish("jq", "1.8.1", tags=("arm64_sonoma",))
    world.publish("jq", "1.8.1", tags=("arm64_sonoma", "arm64_tahoe"))
    assert len(index(world, "jq", "1.8.1")["manifests"]) == 2


def test_a_child_manifest_has_the_bottles_size_in_its_only_layer(world: World) -> None:
    (bottle,) = world.publish("jq", "1.8.1")
    (entry,) = index(world, "jq", "1.8.1")["manifests"]
    document = world.manifest_json("jq", entry["digest"].removeprefix("sha256:"))
    assert document is not None
    assert len(document) == entry["size"]
    (layer,) = json.loads(document)["layers"]
    assert layer["digest"] == f"sha256:{bottle.digest}"
    assert layer["size"] == bottle.size
    assert layer["annotations"]["org.opencontainers.image.title"] == "jq--1.8.1.arm64_sonoma.bottle.tar.gz"


def test_unknown_documents_are_none(world: World) -> None:
    assert world.index_json("nothing", "1.0") is None
    assert world.manifest_json("nothing", "0" * 64) is None


def test_sizes_follow_the_distribution() -> None:
    sizes = SizeDistribution.lognormal(median_bytes=10_000, p90_bytes=40_000, max_bytes=90_000)
    drawn = sorted(sizes.sample(str(number)) for number in range(2_000))
    assert 9_000 < drawn[1_000] < 11_000
    assert 35_000 < drawn[1_800] < 45_000
    assert drawn[-1] == 90_000


def test_a_distribution_out_of_order_is_refused() -> None:
    with pytest.raises(ValueError, match="does not hold"):
        SizeDistribution.lognormal(median_bytes=10, p90_bytes=5, max_bytes=100)


def tags(formula: SimulatedFormula) -> tuple[str, ...]:
    return tuple(bottle.tag for bottle in formula.bottles)
