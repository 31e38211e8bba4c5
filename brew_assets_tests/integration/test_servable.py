"""Held and servable: however bottles came to be held, a sync ends with the indexes that brew needs."""

import json
from pathlib import Path

import pytest

from brew_assets.domain.object_keys import INDEX_PREFIX, MANIFEST_KEY
from brew_assets.engine.judged_indexes import JUDGED_KEY
from brew_assets.engine.kept_indexes import index_key
from brew_assets.simulator import Fault, Simulator, World
from brew_assets_tests.integration.bad_indexes import BAD, OF_ONE_ENTRY
from brew_assets_tests.integration.mirrors import DirectoryMirror, MirrorUnderTest
from brew_assets_tests.integration.ways import (
    Way,
    a_rebuilt_manifest,
    an_import,
    asked,
    lose,
    plan_without_sizes,
)

TAGS = ("arm64_tahoe", "arm64_sonoma")
SELECTED = ("--platform", "arm64_tahoe", "--platform", "arm64_sonoma")
SETTINGS = {"TARGET_PLATFORMS": ",".join(TAGS)}


@pytest.fixture
def world() -> World:
    world = World(seed=87)
    world.publish("jq", "1.8.1", tags=TAGS, size_bytes=3_000)
    world.publish("openssl@3", "3.5.2", tags=TAGS, revision=1, size_bytes=3_000, shared_digest=True)
    world.publish("gtk+3", "3.24", tags=TAGS, rebuild=2, size_bytes=3_000)
    world.publish("ca-certificates", "2026-08-13", tags=("all",), size_bytes=3_000)
    return world


def status(mirror: MirrorUnderTest, upstream: Simulator) -> tuple[int, int]:
    """Held and servable bottles."""
    done = mirror.run(upstream, "status", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return found["held"], found["servable"]


def indexes(mirror: MirrorUnderTest) -> set[str]:
    return {key for key in mirror.keys() if key.startswith(INDEX_PREFIX)}


def served_by_upstream(world: World) -> set[str]:
    """The keys of the indexes of all that the catalogue names."""
    return {
        index_key(bottle.image, bottle.reference, data)
        for bottle in world.bottles
        if (data := world.index_json(bottle.image, bottle.reference)) is not None
    }


def lost_indexes(mirror: MirrorUnderTest, upstream: Simulator, folder: Path) -> list[str]:
    mirror.sync(upstream, *SELECTED)
    lose(mirror, INDEX_PREFIX)
    return list(SELECTED)


def lost_indexes_of_a_plan_carried_out(
    mirror: MirrorUnderTest, upstream: Simulator, folder: Path
) -> list[str]:
    planned = plan_without_sizes(mirror, upstream, folder)
    mirror.sync(upstream, *planned)
    lose(mirror, INDEX_PREFIX, JUDGED_KEY)
    return planned


def another_part_is_synced(mirror: MirrorUnderTest, upstream: Simulator, folder: Path) -> list[str]:
    mirror.sync(upstream, *SELECTED)
    lose(mirror, INDEX_PREFIX)
    return ["--formula", "jq", *SELECTED]


def a_version_under_a_held_digest(mirror: MirrorUnderTest, upstream: Simulator, folder: Path) -> list[str]:
    before = upstream.world.named(upstream.world.bottles[0].digest)[0]
    assert before.formula == "jq"
    mirror.sync(upstream, *SELECTED)
    # As xcodegen 2.46.0 once named the bytes of 2.45.4.
    after = upstream.world.publish("jq", "1.8.2", tags=TAGS, size_bytes=3_000, keg_version="1.8.1")
    assert before.digest in {bottle.digest for bottle in after}
    return list(SELECTED)


def a_sync_that_rebuilds(mirror: MirrorUnderTest, upstream: Simulator, folder: Path) -> list[str]:
    mirror.sync(upstream, *SELECTED)
    lose(mirror, "state/", "backups/", MANIFEST_KEY)
    return list(SELECTED)


def a_hash_file_that_names_all(mirror: MirrorUnderTest, upstream: Simulator, folder: Path) -> list[str]:
    mirror.sync(upstream, *SELECTED)
    named = folder / "hashes.json"
    named.write_bytes(mirror.read(MANIFEST_KEY))
    mirror.settings |= {"EXTERNAL_HASH_FILE_URL": str(named)}
    lose(mirror, INDEX_PREFIX)
    return list(SELECTED)


WAYS: list[Way] = [
    plan_without_sizes,
    lost_indexes,
    lost_indexes_of_a_plan_carried_out,
    another_part_is_synced,
    a_version_under_a_held_digest,
    a_rebuilt_manifest,
    a_sync_that_rebuilds,
    an_import,
    a_hash_file_that_names_all,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_however_bottles_came_to_be_held_a_sync_makes_them_servable(
    way: Way,
    mirror: MirrorUnderTest,
    world: World,
    tmp_path: Path,
) -> None:
    mirror.settings |= SETTINGS
    with Simulator(world) as upstream:
        arguments = way(mirror, upstream, tmp_path)
        if mirror.entries() and way is not a_version_under_a_held_digest:
            held, servable = status(mirror, upstream)
            assert servable < held
        report = mirror.sync(upstream, *arguments)
        assert report["indexes_fetched"] > 0
        held, servable = status(mirror, upstream)
        assert held == servable
        assert held >= 7
        assert served_by_upstream(world) <= indexes(mirror)
        before = len(asked(upstream))
        report = mirror.sync(upstream, *SELECTED)
        assert (report["unservable"], report["indexes_fetched"]) == (0, 0)
        assert len(asked(upstream)) == before


# What is said of each, beside its name.
SAID = {
    "no digest": "expected an entry with the digest",
    "wrong digest": "expected an entry with the digest",
    "no ref name": "expected the entry 1.8.1.arm64_sonoma for",
    "wrong ref name": "found 1.8.1.arm64_sonoma.1",
    "no tab": "expected a JSON object as sh.brew.tab",
    "a tab that is a list": "expected a JSON object as sh.brew.tab",
    "a tab that is cut": "expected a JSON object as sh.brew.tab",
    "4 MiB": "4,194,304",
    "more than 4 MiB": "4194304 bytes, found more",
}


@pytest.mark.parametrize("bad", BAD)
def test_an_index_that_does_not_fit_is_named_and_its_neighbours_go_on(
    bad: str, tmp_path: Path, world: World
) -> None:
    mirror = DirectoryMirror(tmp_path / "mirror")
    jq = next(b for b in world.bottles if (b.formula, b.tag) == ("jq", "arm64_sonoma"))
    with Simulator(world) as upstream:
        body = BAD[bad](world, jq)
        upstream.fault("jq:1.8.1", Fault(kind="answer", at="registry", times=None, body=body))
        done = mirror.run(upstream, "sync", "--json", *SELECTED)
        assert done.returncode == 1, done.stderr
        report = json.loads(done.stdout)
        assert (report["outcome"], report["failed"], len(mirror.entries())) == ("partial", [], 7)
        (failure,) = report["indexes_failed"]
        assert failure["name"] == "jq:1.8.1"
        assert SAID.get(bad, "expected an OCI index") in failure["message"]
        # The other tag's entry is whole in an index in which one entry is spoilt.
        servable = 6 if bad in OF_ONE_ENTRY else 5
        assert status(mirror, upstream) == (7, servable)
        assert (report["servable"], report["unservable"]) == (servable, 7 - servable)
        # Asked again, and refused again.
        again = mirror.run(upstream, "sync", *SELECTED)
        text = again.stdout
        assert again.returncode == 1
        assert "1 indexes are missing or do not fit" in text
        assert f"Held and not servable: {7 - servable} bottles" in text
        # Upstream has mended it.
        upstream.clear_faults()
        assert mirror.sync(upstream, *SELECTED)["indexes_fetched"] == 1
        assert status(mirror, upstream) == (7, 7)


def test_an_index_that_upstream_has_not_is_named(mirror: MirrorUnderTest, world: World) -> None:
    with Simulator(world) as upstream:
        upstream.fault("gtkx3:3.24-2", Fault.not_found())
        done = mirror.run(upstream, "sync", "--json", *SELECTED)
        assert done.returncode == 1
        (failure,) = json.loads(done.stdout)["indexes_failed"]
        assert (failure["name"], failure["reason"]) == ("gtkx3:3.24-2", "no index")
        assert status(mirror, upstream) == (7, 5)


def test_verify_counts_servable_ones_and_a_repair_fetches_their_indexes(
    mirror: MirrorUnderTest, world: World
) -> None:
    with Simulator(world) as upstream:
        mirror.sync(upstream, *SELECTED)
        lost, damaged = sorted(indexes(mirror))[:2]
        mirror.remove(lost)
        data = mirror.read(damaged)
        # Of the same size: no listing shows it.
        mirror.write(damaged, data.replace(b"sh.brew.tab", b"sh.brew.tub"))
        before = len(asked(upstream))
        done = mirror.run(upstream, "verify", "--json")
        found = json.loads(done.stdout)
        assert (done.returncode, found["checked"], found["current"]) == (0, 7, 7)
        assert found["servable"] < 5
        assert len(asked(upstream)) == before
        done = mirror.run(upstream, "verify", "--repair", "--json")
        found = json.loads(done.stdout)
        assert (done.returncode, found["servable"], found["indexes_fetched"]) == (0, 7, 2)
        assert mirror.read(damaged) == data
        assert status(mirror, upstream) == (7, 7)
        upstream.fault(_name(lost), Fault.not_found())
        mirror.remove(lost)
        done = mirror.run(upstream, "verify", "--repair")
        assert done.returncode == 1
        assert f"NO INDEX {_name(lost)}" in done.stdout


def _name(key: str) -> str:
    image, reference, _ = key.removeprefix(INDEX_PREFIX).rsplit("/", 2)
    return f"{image}:{reference}"


def test_runs_of_several_platforms_ask_for_each_index_about_once(
    mirror: MirrorUnderTest, tmp_path: Path
) -> None:
    world = World(seed=88)
    for number in range(36):
        world.publish(f"formula{number:02}", "1.0", tags=TAGS, size_bytes=2_000)
    mirror.settings |= SETTINGS
    with Simulator(world) as upstream:
        planned = plan_without_sizes(mirror, upstream, tmp_path)
        runs = [
            mirror.start(upstream, "sync", *planned, "--run-of", tag, MAX_CONCURRENT_DOWNLOADS="2")
            for tag in TAGS
        ]
        for run in runs:
            _, errors = run.communicate(timeout=120)
            assert run.returncode == 0, errors
        assert status(mirror, upstream) == (72, 72)
        # What both are about to ask for at the same moment is asked for twice: a few, with two threads each.
        assert len(asked(upstream)) <= 45, len(asked(upstream))


def test_the_runs_there_are_look_after_platforms_that_get_none(mirror: MirrorUnderTest, world: World) -> None:
    with Simulator(world) as upstream:
        mirror.sync(upstream, *SELECTED)
        lose(mirror, INDEX_PREFIX)
        world.publish("only", "1.0", tags=("arm64_tahoe",), size_bytes=2_000)
        world.publish("sonoma", "1.0", tags=("arm64_sonoma",), size_bytes=2_000)
        mirror.sync(upstream, "--platform", "arm64_sonoma")
        lose(mirror, INDEX_PREFIX)
        done = mirror.run(upstream, "plan", "--json", *SELECTED)
        sync_id = json.loads(done.stdout)["sync_id"]
        mirror.sync(upstream, "--plan", sync_id, "--run-of", "arm64_tahoe")
        assert status(mirror, upstream) == (9, 9)


def test_a_stop_signal_ends_the_wait_for_an_index_and_the_next_sync_goes_on(
    mirror: MirrorUnderTest, world: World
) -> None:
    from brew_assets_tests.local_aws.session import wait_for

    with Simulator(world) as upstream:
        done = mirror.run(upstream, "plan", "--no-sizes", "--json", *SELECTED)
        sync_id = json.loads(done.stdout)["sync_id"]
        upstream.fault("jq:1.8.1", Fault.no_answer(times=None))
        process = mirror.start(upstream, "sync", "--plan", sync_id, "--json", DOWNLOAD_TIMEOUT_SECONDS="300")
        try:
            wait_for(
                lambda: any("jq/manifests" in path for path in asked(upstream)),
                what="a request for the index",
                timeout_s=60,
            )
            process.terminate()
            output, errors = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 1, errors
        report = json.loads(output)
        assert (report["outcome"], report["stored"]) == ("stopped", 7)
        assert report["indexes_left"] >= 1
        upstream.clear_faults()
        mirror.sync(upstream, *SELECTED)
        assert status(mirror, upstream) == (7, 7)
