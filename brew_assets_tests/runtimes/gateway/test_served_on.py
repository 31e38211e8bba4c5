"""Whatever upstream shows that may not be published: clients are served on what they were served before."""

import hashlib
import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from brew_assets.domain.publication import Publication
from brew_assets.simulator import Fault, SimulatedBottle, Simulator, World
from brew_assets.simulator.packages import packages_path
from brew_assets_tests.integration.bad_indexes import BAD, OF_ONE_ENTRY
from brew_assets_tests.integration.mirrors import DirectoryMirror
from brew_assets_tests.integration.publications import current, walk
from brew_assets_tests.local_aws.session import wait_for
from brew_assets_tests.runtimes.gateway.gateways import Answer, Client, serve_process

TAGS = ("arm64_tahoe", "arm64_sonoma")
SIZE = 8_000


class Story(NamedTuple):
    """A mirror with a publication, an upstream, and a gateway that serves it."""

    mirror: DirectoryMirror
    upstream: Simulator
    client: Client

    def move_on(self, version: str) -> None:
        """Upstream has a new version of everything."""
        for name in ("jq", *names_of_kinds()):
            self.upstream.world.publish(name, version, tags=TAGS, size_bytes=SIZE)

    def served(self) -> str:
        """The id of the publication that clients are served."""
        return str(json.loads(self.client.get("/readyz").body)["publication_id"])

    def ask_index(self, bottle: SimulatedBottle) -> Answer:
        return self.client.get(f"/v2/homebrew/core/{bottle.image}/manifests/{bottle.reference}")

    def head(self, bottle: SimulatedBottle) -> int:
        """How the gateway answers for the blob."""
        target = f"/v2/homebrew/core/{bottle.image}/blobs/sha256:{bottle.digest}"
        return self.client.get(target, method="HEAD").status

    def assert_served(self, found: Publication, bottles: list[SimulatedBottle]) -> None:
        """Clients are served this publication, ready and whole, and these bottles."""
        answer = self.client.get("/readyz")
        assert answer.status == 200
        assert json.loads(answer.body)["publication_id"] == found.publication_id
        for api in found.api:
            answer = self.client.get(f"/api/{packages_path(api.tag)}")
            assert (answer.status, hashlib.sha256(answer.body).hexdigest()) == (200, api.sha256)
        for bottle in bottles:
            assert (self.ask_index(bottle).status, self.head(bottle)) == (200, 200)


def names_of_kinds() -> dict[str, str]:
    """A formula for each kind of bad index -> the kind."""
    return {f"bad{number:02}": kind for number, kind in enumerate(BAD)}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("served-on")
    mirror = DirectoryMirror(folder / "mirror")
    mirror.settings |= {"TARGET_PLATFORMS": ",".join(TAGS), "RETRY_ATTEMPTS": "1"}
    with Simulator(World(seed=93)) as upstream:
        upstream.world.publish("jq", "1.0", tags=TAGS, size_bytes=SIZE)
        mirror.sync(upstream)
        with serve_process(mirror, folder) as serving:
            yield Story(mirror, upstream, serving.client)


API_FAULTS = {
    "tampered with": (Fault.changed_byte(times=None), "expected bytes that simulated-1 signed"),
    "of the wrong key": (Fault.wrong_signature(times=None), "expected bytes that simulated-1 signed"),
    "of another tag": (Fault.other_tag(times=None), "metadata.bottle_tag: expected arm64_sonoma"),
    "missing": (Fault.not_found(at="api"), "found 404"),
    "unavailable": (Fault.server_error(times=None, at="api"), "500"),
    "behind the others": (Fault.last_edition(times=None), "one commit of homebrew-core"),
    "older than the others": (Fault.older_edition(times=None), "one commit of homebrew-core"),
}


@pytest.mark.parametrize("what", API_FAULTS)
def test_an_api_that_may_not_be_published_changes_nothing_for_clients(story: Story, what: str) -> None:
    story.upstream.clear_faults()
    before, bottles = walk(story.mirror), story.upstream.world.bottles
    version = f"2.{list(API_FAULTS).index(what)}"
    for _ in range(2):
        # An older edition is one before the last one.
        story.upstream.world.publish("jq", version, tags=TAGS, size_bytes=SIZE)
    fault, why = API_FAULTS[what]
    story.upstream.fault(packages_path("arm64_sonoma"), fault)
    done = story.mirror.run(story.upstream, "sync", "--json", API_CONSISTENCY_WAIT_SECONDS="0.3")
    found = json.loads(done.stdout)
    assert (done.returncode, found["outcome"], found["publication"]["outcome"]) == (1, "success", "failed")
    assert why in found["publication"]["why"]
    assert current(story.mirror) == before
    story.assert_served(before, bottles)
    story.upstream.clear_faults()
    follow(story, "published")


def follow(story: Story, outcome: str, **extra: str) -> Publication:
    """The publication of a sync that goes well, which the gateway has found."""
    assert story.mirror.sync(story.upstream, **extra)["publication"]["outcome"] == outcome
    found = walk(story.mirror)
    wait_for(lambda: story.served() == found.publication_id, what="the new publication")
    story.assert_served(found, story.upstream.world.bottles)
    return found


def test_hosts_that_disagree_for_less_than_the_wait_are_waited_for(story: Story) -> None:
    story.upstream.clear_faults()
    before = walk(story.mirror)
    story.upstream.world.publish("jq", "3.0", tags=TAGS, size_bytes=SIZE)
    story.upstream.fault(packages_path("arm64_sonoma"), Fault.last_edition(times=1))
    assert follow(story, "published", API_CONSISTENCY_WAIT_SECONDS="120").generated_at > before.generated_at


def test_an_older_generation_of_all_hosts_is_not_served(story: Story) -> None:
    story.upstream.clear_faults()
    story.upstream.world.publish("jq", "4.0", tags=TAGS, size_bytes=SIZE)
    before = follow(story, "published")
    for tag in TAGS:
        story.upstream.fault(packages_path(tag), Fault.last_edition(times=None))
    done = story.mirror.run(story.upstream, "sync", "--json")
    assert json.loads(done.stdout)["publication"]["outcome"] == "older"
    assert current(story.mirror) == before
    story.assert_served(before, story.upstream.world.bottles)


def test_an_index_of_no_kind_that_does_not_fit_is_served(story: Story) -> None:
    story.upstream.clear_faults()
    story.move_on("5.0")
    before, good = follow(story, "published"), story.upstream.world.bottles
    story.move_on("5.1")
    new = [bottle for bottle in story.upstream.world.bottles if bottle.formula != "jq"]
    spoilt = [bottle for bottle in new if bottle.tag == "arm64_sonoma"]
    kinds = names_of_kinds()
    for bottle in spoilt:
        body = BAD[kinds[bottle.formula]](story.upstream.world, bottle)
        fault = Fault(kind="answer", at="registry", times=None, body=body)
        story.upstream.fault(f"{bottle.image}:{bottle.reference}", fault)
    # Held to the letter, nothing of it is published.
    done = story.mirror.run(story.upstream, "sync", "--json", PUBLISH_MAX_UPSTREAM="0")
    found = json.loads(done.stdout)
    assert (done.returncode, found["publication"]["outcome"]) == (1, "incomplete")
    assert {failure["name"] for failure in found["indexes_failed"]} == {f"{name}:5.1" for name in kinds}
    story.assert_served(before, good)
    # By itself upstream's faults are listed, and hold nobody back: nor are they served.
    done = story.mirror.run(story.upstream, "sync", "--json")
    found = json.loads(done.stdout)["publication"]
    assert (done.returncode, found["outcome"]) == (1, "published")
    lacking = {(one["name"], one["tag"]) for one in found["lacking"]}
    assert {one["fault"] for one in found["lacking"]} == {"upstream"}
    after = walk(story.mirror)
    wait_for(lambda: story.served() == after.publication_id, what="the new publication")
    for bottle in new:
        # An entry that is whole is served although its neighbour is not.
        is_whole = bottle not in spoilt and kinds[bottle.formula] in OF_ONE_ENTRY
        assert ((bottle.formula, bottle.tag) in lacking) == (not is_whole)
        assert story.head(bottle) == (200 if is_whole else 404), kinds[bottle.formula]
        assert story.ask_index(bottle).status == (200 if kinds[bottle.formula] in OF_ONE_ENTRY else 404)
    story.assert_served(after, [bottle for bottle in good if bottle.formula != "jq"])
