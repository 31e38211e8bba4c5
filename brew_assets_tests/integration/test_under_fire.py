"""Syncs are killed, meet a faulty upstream and publish at the same moment while a reader walks all the time.

From the pointer to the API, to the index of each bottle that it names, to the blob: nothing that is named may
be missing, every walk is of one generation, and none comes before an earlier one.
"""

import contextlib
import json
import logging
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from brew_assets.domain.publication import PublishedBottle, PublishedIndex
from brew_assets.simulator import Fault, Simulator, World
from brew_assets.simulator.oci import DIGEST, REF_NAME, TAB, image_name
from brew_assets.simulator.packages import packages_path
from brew_assets_tests.integration.mirrors import PLATFORMS, MirrorUnderTest
from brew_assets_tests.integration.publications import records, walk

TAGS = list(PLATFORMS)
SYNCS, MANY_SYNCS = 5, 20
PAIRS, MANY_PAIRS = 4, 50
_TIMEOUT_S = 240
# Hosts that disagree are given up soon.
_SETTINGS = {"API_CONSISTENCY_WAIT_SECONDS": "0.5"}

_log = logging.getLogger(__name__)


def walk_as_brew(mirror: MirrorUnderTest) -> tuple[int, str]:
    """The generation and the id of the current publication, of which no bottle lacks that its API names.

    But for those that it says upstream cannot serve.
    """
    found = walk(mirror)
    assert {one.fault for one in found.lacking} <= {"upstream"}
    lacking = {(one.name, one.tag) for one in found.lacking}
    bottles = {(bottle.image, str(bottle.digest)): bottle for bottle in found.bottles}
    indexes = {(index.image, index.reference): index for index in found.indexes}
    for api in found.api:
        payload = json.loads(json.loads(mirror.read(api.key))["payload"])
        assert payload["metadata"]["generated_at"] == api.generated_at == found.generated_at
        for name, entry in payload["formulae"].items():
            # As brew reads it: what is not said is the file's own tag.
            tag = entry.get("bottle_tag", api.tag).removeprefix(":")
            if (name, tag) not in lacking:
                assert_served(mirror, name, tag, entry, bottles, indexes)
    return found.generated_at, found.publication_id


def assert_served(
    mirror: MirrorUnderTest,
    name: str,
    tag: str,
    entry: dict[str, str],
    bottles: dict[tuple[str, str], PublishedBottle],
    indexes: dict[tuple[str, str], PublishedIndex],
) -> None:
    """The index that brew asks for has this bottle's digest, name and tab, and its blob is published."""
    image, digest, version = image_name(name), entry["bottle_checksum"], entry["stable_version"]
    assert (image, digest) in bottles, f"{name} {version} ({tag}) is named and has no blob"
    index = json.loads(mirror.read(indexes[image, version].key))
    (annotations,) = [
        one["annotations"]
        for one in index["manifests"]
        if one["annotations"].get(REF_NAME) == f"{version}.{tag}"
    ]
    assert annotations[DIGEST] == digest
    assert isinstance(json.loads(annotations[TAB]), dict)


class Reader:
    """Walks all the time while its block lasts; leaving it raises what a walk has found."""

    def __init__(self, mirror: MirrorUnderTest) -> None:
        self.seen: list[tuple[int, str]] = []
        self._mirror = mirror
        self._done = threading.Event()
        self._failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._walk)

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(_TIMEOUT_S)
        if self._failures:
            raise self._failures[0]
        assert self.seen == sorted(self.seen)

    def _walk(self) -> None:
        try:
            while not self._done.is_set():
                self.seen.append(walk_as_brew(self._mirror))
        except BaseException as error:  # raised again by whoever waits
            self._failures.append(error)


@pytest.fixture
def upstream() -> Iterator[Simulator]:
    world = World(seed=91)
    for name in ("jq", "wget", "openssl@3"):
        world.publish(name, "1.0", tags=TAGS, size_bytes=20_000)
    with Simulator(world) as running:
        yield running


def spoil(upstream: Simulator, chance: random.Random) -> None:
    """Upstream is unwell in one of the ways that have been seen, for as long as nobody mends it."""
    new = [bottle for bottle in upstream.world.bottles if bottle.formula.startswith("new")][-2:]
    host = packages_path(chance.choice(TAGS))
    bottle_faults = [
        Fault.wrong_bytes(times=None),
        Fault.not_found(),
        Fault.server_error(times=None),
        Fault.break_after(5_000, times=None),
        Fault.index_lacks_tab(),
    ]
    api_faults = [
        Fault.last_edition(times=None),
        Fault.older_edition(times=None),
        Fault.wrong_signature(times=None),
        Fault.changed_byte(times=None),
        Fault.server_error(times=None, at="api"),
    ]
    if chance.random() < 0.6:
        fault = chance.choice(bottle_faults)
        for bottle in new:
            upstream.fault(bottle.filename, fault)
    else:
        upstream.fault(host, chance.choice(api_faults))


class Fire(NamedTuple):
    """What a campaign has come to: walks, publications that a walk saw, and how syncs ended, by exit code."""

    walks: int
    publications: int
    ended: Counter[str]


def syncs_under_fire(mirror: MirrorUnderTest, upstream: Simulator, *, syncs: int, seed: int) -> Fire:
    """So many syncs, a third of them killed, a third with a faulty upstream, and a reader beside them."""
    chance, ended = random.Random(seed), Counter[str]()
    mirror.settings |= _SETTINGS
    begun = time.monotonic()
    mirror.sync(upstream)
    lasts_s, between = time.monotonic() - begun, [walk_as_brew(mirror)]
    with Reader(mirror) as reader:
        for number in range(syncs):
            how = ("well", "killed", "faulty")[number % 3]
            upstream.world.publish("jq", f"1.{number + 1}", tags=TAGS, size_bytes=200_000)
            upstream.world.publish(f"new{number}", "1.0", tags=TAGS, size_bytes=50_000)
            if how == "faulty":
                spoil(upstream, chance)
            begun = time.monotonic()
            process = mirror.start(upstream, "sync")
            if how == "killed":
                # Its own start takes a quarter of it; the last of its work is the publication.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(chance.uniform(0.2, 1.1) * lasts_s)
                process.kill()
            process.communicate(timeout=_TIMEOUT_S)
            if how == "well":
                lasts_s = time.monotonic() - begun
            ended[f"{how} {process.returncode}"] += 1
            upstream.clear_faults()
            between.append(walk_as_brew(mirror))
    mirror.sync(upstream)
    last = walk(mirror)
    assert last.lacking == ()
    assert {bottle.image for bottle in last.bottles} >= {"jq", f"new{syncs - 1}"}
    assert ended["well 0"] == len(range(0, syncs, 3))
    assert between == sorted(between)
    assert reader.seen
    found = Fire(len(reader.seen), len({*reader.seen, *between}), ended)
    assert found.publications > ended["well 0"]
    _log.info("%s: %s", type(mirror).__name__, found)
    return found


def test_whoever_reads_under_fire_finds_everything_that_is_named_and_never_an_older_publication(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    syncs_under_fire(mirror, upstream, syncs=SYNCS, seed=7)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_twenty_syncs_under_fire(mirror: MirrorUnderTest, upstream: Simulator) -> None:
    found = syncs_under_fire(mirror, upstream, syncs=MANY_SYNCS, seed=8)
    # Of the seven some are killed before they end.
    assert found.ended["killed -9"] >= 4


def asked_for_the_api(upstream: Simulator) -> int:
    return sum("/internal/" in request.path for request in upstream.requests)


def pairs_at_once(mirror: MirrorUnderTest, upstream: Simulator, *, pairs: int, seed: int) -> Counter[str]:
    """So often two syncs publish at once; what became of the publication of each, counted.

    In every other pair upstream moves on between them: one comes with the older generation, and may well
    end last.
    """
    chance, outcomes = random.Random(seed), Counter[str]()
    mirror.settings |= _SETTINGS
    mirror.sync(upstream)
    kept: set[str] = set()
    with Reader(mirror) as reader:
        for number in range(pairs):
            new = upstream.world.publish("jq", f"2.{number}", tags=TAGS, size_bytes=50_000)
            enough = asked_for_the_api(upstream) + len(TAGS)
            first = mirror.start(upstream, "sync", "--json")
            if number % 2:
                # The first has to wait for its bottle: about as long as the second takes for all.
                upstream.fault(new[0].filename, Fault.slow(int(new[0].size / chance.uniform(0.5, 2.5))))
                while asked_for_the_api(upstream) < enough and first.poll() is None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        first.wait(0.02)
                upstream.world.publish("wget", f"2.{number}", tags=TAGS, size_bytes=20_000)
            second = mirror.start(upstream, "sync", "--json")
            for process in (first, second):
                output, errors = process.communicate(timeout=_TIMEOUT_S)
                assert process.returncode == 0, errors
                outcomes[json.loads(output)["publication"]["outcome"]] += 1
            assert walk(mirror).generated_at == upstream.world.edition().generated_at
            # Both records stand, and all that stood before.
            assert kept < {*records(mirror)}
            kept = {*records(mirror)}
            upstream.clear_faults()
    assert set(outcomes) <= {"published", "unchanged", "superseded", "older"}
    assert outcomes["published"] >= pairs
    _log.info("%s: %d walks, %s", type(mirror).__name__, len(reader.seen), outcomes)
    return outcomes


def test_two_syncs_that_publish_at_once_leave_the_newer_one_current(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    pairs_at_once(mirror, upstream, pairs=PAIRS, seed=9)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_fifty_pairs_of_syncs_that_publish_at_once(mirror: MirrorUnderTest, upstream: Simulator) -> None:
    outcomes = pairs_at_once(mirror, upstream, pairs=MANY_PAIRS, seed=10)
    # Some of those with the older generation came last.
    assert outcomes["superseded"] + outcomes["older"] > 0
