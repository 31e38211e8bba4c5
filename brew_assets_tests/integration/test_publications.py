"""A sync publishes what it has brought; what a client is given leads to what stands in the store."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from brew_assets.domain.publication import POINTER_KEY
from brew_assets.simulator import Fault, Simulator, World
from brew_assets.simulator.packages import packages_json, packages_path
from brew_assets.simulator.signing import key_of_this_run, signed
from brew_assets_tests.integration.mirrors import PLATFORMS, DirectoryMirror, MirrorUnderTest
from brew_assets_tests.integration.publications import current, records, walk

TAGS = list(PLATFORMS)


def publish(mirror: MirrorUnderTest, upstream: Simulator, *arguments: str, **extra: str) -> dict[str, Any]:
    done = mirror.run(upstream, "publish", "--json", *arguments, **extra)
    found = dict(json.loads(done.stdout))
    assert done.returncode == (1 if found["outcome"] in ("incomplete", "older") else 0), done.stderr
    return found


def security_lines(output: str) -> list[str]:
    """What the log says of matters of security, outside a terminal."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith('{"')]
    return [line["message"] for line in lines if line.get("security") is True]


def world_of(*names: str) -> World:
    world = World(seed=91)
    for name in names:
        world.publish(name, "1.0", tags=TAGS, size_bytes=20_000)
    return world


@pytest.fixture
def upstream() -> Iterator[Simulator]:
    with Simulator(world_of("jq", "wget", "openssl@3")) as running:
        yield running


def test_a_sync_publishes_what_it_has_brought_and_the_next_one_finds_nothing_new(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    first = mirror.sync(upstream)["publication"]
    assert (first["outcome"], first["lacking"]) == ("published", [])
    found = walk(mirror)
    assert found.sync_id
    assert {api.tag for api in found.api} == set(PLATFORMS)
    assert (found.counts["bottles"], found.counts["indexes"]) == (9, 3)
    assert mirror.sync(upstream)["publication"]["outcome"] == "unchanged"
    assert len(records(mirror)) == 1
    upstream.world.publish("jq", "1.1", tags=TAGS, size_bytes=20_000)
    assert mirror.sync(upstream)["publication"]["outcome"] == "published"
    newer = walk(mirror)
    assert newer.generated_at > found.generated_at
    # Clients that hold yesterday's API are served its bottles too.
    assert {bottle.key for bottle in found.bottles} < {bottle.key for bottle in newer.bottles}
    assert len(records(mirror)) == 2


def test_a_dry_run_says_what_would_be_published(mirror: MirrorUnderTest, upstream: Simulator) -> None:
    mirror.sync(upstream, PUBLISH="off")
    assert records(mirror) == []
    off = mirror.run(upstream, "publish", PUBLISH="off")
    assert (off.returncode, "found PUBLISH=off; set it to strict or best_effort" in off.stderr) == (2, True)
    assert publish(mirror, upstream, "--dry-run")["outcome"] == "published"
    assert (records(mirror), POINTER_KEY in mirror.keys()) == ([], False)
    assert publish(mirror, upstream)["outcome"] == "published"
    walk(mirror)


def test_a_sync_of_a_part_publishes_only_when_the_whole_is_servable(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    done = mirror.run(upstream, "sync", "--formula", "jq", "--json")
    found = json.loads(done.stdout)["publication"]
    assert (done.returncode, found["outcome"], len(found["lacking"])) == (0, "incomplete", 6)
    assert POINTER_KEY not in mirror.keys()
    assert {one["fault"] for one in found["lacking"]} == {"mirror"}
    mirror.sync(upstream)
    upstream.world.publish("jq", "1.1", tags=TAGS, size_bytes=20_000)
    assert mirror.sync(upstream, "--formula", "jq")["publication"]["outcome"] == "published"
    walk(mirror)


def test_what_is_meant_is_said_by_the_settings_alone(mirror: MirrorUnderTest, upstream: Simulator) -> None:
    assert mirror.sync(upstream, MIRROR_FORMULAE="jq")["publication"]["outcome"] == "published"
    assert {bottle.image for bottle in walk(mirror).bottles} == {"jq"}
    found = publish(mirror, upstream, EXCLUDE_FORMULAE="openssl")
    assert (found["outcome"], {one["name"] for one in found["lacking"]}) == (
        "incomplete",
        {"wget", "openssl@3"},
    )
    found = publish(mirror, upstream, EXCLUDE_FORMULAE="openssl@3,wget")
    assert (found["outcome"], found["lacking"]) == ("unchanged", [])
    # Nothing else is served, and what lacks by the settings of now is said.
    found = publish(mirror, upstream, PUBLISH="best_effort", EXCLUDE_FORMULAE="wget")
    assert (found["outcome"], {one["name"] for one in found["lacking"]}) == ("unchanged", {"openssl@3"})
    assert found["counts"]["lacking_mirror"] == 3


def test_what_upstream_cannot_serve_holds_nobody_back_up_to_a_bound(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    gone = [bottle for bottle in upstream.world.bottles if bottle.formula == "wget"]
    for bottle in gone[:2]:
        upstream.fault(bottle.filename, Fault.not_found())
    done = mirror.run(upstream, "sync", "--json")
    found = json.loads(done.stdout)["publication"]
    assert (done.returncode, found["outcome"]) == (1, "published")
    assert [one["fault"] for one in found["lacking"]] == ["upstream", "upstream"]
    assert walk(mirror).counts["lacking_upstream"] == 2
    # Syncs that were asked for others take no blame away.
    for _ in range(5):
        mirror.sync(upstream, "--formula", "jq", PUBLISH="off")
    assert publish(mirror, upstream)["counts"]["lacking_upstream"] == 2
    # Beyond the bound it is a sign of trouble.
    upstream.world.publish("jq", "1.1", tags=TAGS, size_bytes=20_000)
    done = mirror.run(upstream, "sync", PUBLISH_MAX_UPSTREAM="1")
    assert done.returncode == 1
    assert "Not published: 2 bottles that the API names to clients are not servable" in done.stderr
    assert "lacks wget" in done.stderr


def test_what_kept_a_bottle_away_is_said_and_only_while_it_is_away(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    (first, *others) = [bottle for bottle in upstream.world.bottles if bottle.formula == "wget"]
    upstream.fault(first.filename, Fault.server_error(503, times=None))
    for bottle in others:
        upstream.fault(bottle.filename, Fault.not_found())
    done = mirror.run(upstream, "sync", "--json", RETRY_ATTEMPTS="0")
    found = json.loads(done.stdout)["publication"]
    assert (done.returncode, found["outcome"]) == (1, "incomplete")
    said = {one["tag"]: (one["fault"], one["reason"]) for one in found["lacking"]}
    assert said[first.tag] == ("mirror", f"{first.filename}: 503 from upstream")
    assert {said[bottle.tag][0] for bottle in others} == {"upstream"}
    # They have come; what lacks from then on is not what lacked before.
    upstream.clear_faults()
    mirror.sync(upstream)
    for key in [key for key in mirror.keys() if key.startswith("state/upstream/indexes/wget/")]:
        mirror.remove(key)
    found = publish(mirror, upstream)
    assert (found["outcome"], {one["fault"] for one in found["lacking"]}) == ("incomplete", {"mirror"})
    assert all("expected an index in the store" in one["reason"] for one in found["lacking"])


def test_an_index_that_does_not_fit_upstream_is_upstreams_fault(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    for bottle in [bottle for bottle in upstream.world.bottles if bottle.formula == "wget"]:
        upstream.fault(bottle.filename, Fault.index_lacks_tab())
    done = mirror.run(upstream, "sync", "--json")
    found = json.loads(done.stdout)["publication"]
    assert (done.returncode, found["outcome"]) == (1, "published")
    assert [(one["name"], one["fault"]) for one in found["lacking"]] == [("wget", "upstream")] * 3
    assert {bottle.image for bottle in walk(mirror).bottles} == {"jq", "openssl/3"}


def test_a_bottle_that_the_store_has_lost_is_in_no_publication(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    mirror.sync(upstream, PUBLISH="off")
    lost = mirror.bottle_keys()[0]
    mirror.remove(lost)
    found = publish(mirror, upstream)
    assert (found["outcome"], len(found["lacking"])) == ("incomplete", 1)
    assert "the store does not have it" in found["lacking"][0]["reason"]
    said = mirror.run(upstream, "publish").stderr
    assert "Nothing is published yet. `brew-mirror sync` fetches what lacks." in said
    assert publish(mirror, upstream, PUBLISH="best_effort")["outcome"] == "published"
    assert lost not in {bottle.key for bottle in walk(mirror).bottles}
    assert mirror.sync(upstream)["publication"]["outcome"] == "published"
    assert walk(mirror).counts["bottles"] == 9


def test_an_older_generation_is_published_only_when_somebody_asks_for_it(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    mirror.sync(upstream)
    upstream.world.publish("jq", "1.1", tags=TAGS, size_bytes=20_000)
    mirror.sync(upstream)
    newer = walk(mirror)
    for tag in TAGS:
        upstream.fault(f"internal/packages.{tag}.jws.json", Fault.older_edition(times=None, back=1))
    older = publish(mirror, upstream)
    assert (older["outcome"], current(mirror)) == ("older", newer)
    assert "--allow-older" in older["why"]
    assert publish(mirror, upstream, "--allow-older")["outcome"] == "published"
    assert walk(mirror).generated_at < newer.generated_at


def shown(upstream: Simulator, tag: str, change: Callable[[dict[str, Any]], object]) -> None:
    """The API shows another file of the tag, well signed."""
    payload = json.loads(packages_json(upstream.world.edition(0), tag))
    change(payload)
    body = signed(json.dumps(payload), key_of_this_run())
    upstream.fault(packages_path(tag), Fault(kind="answer", at="api", times=None, body=body))


def dated(upstream: Simulator, tag: str, seconds: int) -> None:
    """The tag's file, of the same commit, was made so much later than it says now."""
    now = upstream.world.edition(0).generated_at
    shown(upstream, tag, lambda payload: payload["metadata"].update(generated_at=now + seconds))


def test_an_entry_of_the_api_that_cannot_be_used_is_counted_as_lacking(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    odd = {"stable_version": "1 0", "bottle_checksum": "ab" * 32}
    more: dict[str, Any] = {f"unbottled{number}": {} for number in range(20)}
    for tag in TAGS:
        shown(upstream, tag, lambda payload: payload["formulae"].update(more, odd=odd))
    found = mirror.sync(upstream)["publication"]
    assert (found["outcome"], found["counts"]["lacking_upstream"]) == ("published", 3)
    assert {(one["name"], one["fault"]) for one in found["lacking"]} == {("odd", "upstream")}
    assert "its entry in the API cannot be used: the version '1 0'" in found["lacking"][0]["reason"]
    assert publish(mirror, upstream, PUBLISH_MAX_UPSTREAM="2")["outcome"] == "incomplete"
    assert publish(mirror, upstream, EXCLUDE_FORMULAE="odd")["lacking"] == []


def test_one_file_that_is_older_than_the_published_one_of_its_tag_is_not_published(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    """Hosts may show files of one commit that were made at different times."""
    for tag in TAGS:
        dated(upstream, tag, 60 if tag == TAGS[0] else 0)
    mirror.sync(upstream)
    before = walk(mirror)
    upstream.clear_faults()
    for tag in TAGS:
        dated(upstream, tag, 30)
    older = publish(mirror, upstream)
    assert (older["outcome"], current(mirror)) == ("older", before)
    assert publish(mirror, upstream, "--allow-older")["outcome"] == "published"


def test_a_tag_is_added_though_its_file_was_made_some_seconds_before_the_others(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    mirror.sync(upstream)
    before = walk(mirror)
    dated(upstream, "x86_64_linux", -5)
    assert publish(mirror, upstream, API_TAGS="x86_64_linux")["outcome"] == "published"
    after = walk(mirror)
    assert {api.tag for api in after.api} == {*TAGS, "x86_64_linux"}
    assert after.generated_at == before.generated_at
    assert publish(mirror, upstream, API_TAGS="x86_64_linux")["outcome"] == "unchanged"
    assert publish(mirror, upstream)["outcome"] == "published"


def test_a_store_that_does_not_take_a_record_costs_no_word_on_what_was_copied(
    tmp_path: Path, upstream: Simulator
) -> None:
    mirror = DirectoryMirror(tmp_path / "mirror")
    mirror.write("published", b"a file where a folder is to be")
    done = mirror.run(upstream, "sync", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["outcome"], found["stored"]) == (1, "success", 9)
    assert found["publication"]["outcome"] == "failed"
    assert "published/" in found["publication"]["why"]


@pytest.mark.parametrize("fault", [Fault.wrong_signature(times=None), Fault.changed_byte(times=None)])
def test_a_file_that_nobody_known_has_signed_is_refused_and_the_published_one_served_on(
    mirror: MirrorUnderTest, upstream: Simulator, fault: Fault
) -> None:
    mirror.sync(upstream)
    before = walk(mirror)
    upstream.world.publish("jq", "1.1", tags=TAGS, size_bytes=20_000)
    upstream.fault("internal/packages.arm64_sonoma.jws.json", fault)
    done = mirror.run(upstream, "sync", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["outcome"], found["publication"]["outcome"]) == (1, "success", "failed")
    assert "an API file is refused" in security_lines(done.stderr)
    assert found["left_out"]["no_api_reason"] == "invalid publication"
    alone = mirror.run(upstream, "publish")
    assert (alone.returncode, security_lines(alone.stderr)) == (2, ["an API file is refused"])
    assert current(mirror) == before
    assert ".." not in mirror.run(upstream, "sync").stderr
    upstream.clear_faults()
    assert mirror.sync(upstream)["publication"]["outcome"] == "published"


def test_hosts_that_disagree_for_longer_than_the_wait_publish_nothing(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    upstream.world.publish("jq", "1.1", tags=TAGS, size_bytes=20_000)
    upstream.fault("internal/packages.arm64_sonoma.jws.json", Fault.last_edition(times=None))
    done = mirror.run(upstream, "sync", "--json", API_CONSISTENCY_WAIT_SECONDS="0.2")
    assert done.returncode == 1
    found = json.loads(done.stdout)["publication"]
    assert (found["outcome"], POINTER_KEY in mirror.keys()) == ("failed", False)
    assert "one commit of homebrew-core" in found["why"]


def test_the_last_run_of_a_shared_plan_publishes(mirror: MirrorUnderTest, upstream: Simulator) -> None:
    done = mirror.run(upstream, "plan", "--json")
    plan = json.loads(done.stdout)["sync_id"]
    for tag in TAGS[:2]:
        found = mirror.sync(upstream, "--plan", plan, "--run-of", tag)["publication"]
        assert found["outcome"] == "awaited"
        assert TAGS[2] in found["why"]
    assert mirror.sync(upstream, "--plan", plan, "--run-of", TAGS[2])["publication"]["outcome"] == "published"
    assert walk(mirror).sync_id == plan


def test_runs_of_one_plan_that_end_at_about_the_same_moment_all_end_well_and_one_publishes(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    for number in range(3):
        upstream.world.publish("jq", f"2.{number}", tags=TAGS, size_bytes=20_000)
        plan = json.loads(mirror.run(upstream, "plan", "--json").stdout)["sync_id"]
        runs = [mirror.start(upstream, "sync", "--json", "--plan", plan, "--run-of", tag) for tag in TAGS]
        outcomes = []
        for run in runs:
            output, errors = run.communicate(timeout=120)
            assert run.returncode == 0, errors
            outcomes.append(json.loads(output)["publication"]["outcome"])
        assert "published" in outcomes
        assert set(outcomes) <= {"published", "unchanged", "awaited"}
        assert walk(mirror).sync_id == plan


def test_upstream_that_moves_on_while_a_sync_copies_holds_its_publication_back_from_nothing(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    plan = json.loads(mirror.run(upstream, "plan", "--json").stdout)["sync_id"]
    upstream.world.publish("jq", "1.1", tags=TAGS, size_bytes=20_000)
    assert mirror.sync(upstream, "--plan", plan)["publication"]["outcome"] == "published"
    assert walk(mirror).sync_id == plan
    assert mirror.sync(upstream)["publication"]["outcome"] == "published"
    newer = current(mirror)
    # Whoever copies the old plan once more is not sent to overrule what is served by now.
    again = mirror.sync(upstream, "--plan", plan)["publication"]
    assert (again["outcome"], current(mirror)) == ("older", newer)
    assert "its plan was made with the API of" in again["why"]
    assert "--allow-older" not in again["why"]


def test_a_pointer_that_is_none_is_named_with_what_mends_it(
    mirror: MirrorUnderTest, upstream: Simulator
) -> None:
    mirror.sync(upstream)
    mirror.write(POINTER_KEY, b'{"publication_id":')
    done = mirror.run(upstream, "publish")
    assert done.returncode == 2
    assert f"{POINTER_KEY}: expected a pointer to a record, found: " in done.stderr
    assert "remove it, and `brew-mirror publish` makes another" in done.stderr
    mirror.remove(POINTER_KEY)
    assert publish(mirror, upstream)["outcome"] == "published"
    walk(mirror)


def test_a_record_is_no_bottle_and_no_finding_of_verify(mirror: MirrorUnderTest, upstream: Simulator) -> None:
    mirror.sync(upstream)
    done = mirror.run(upstream, "verify", "--deep", "--json")
    assert (done.returncode, json.loads(done.stdout)["checked"]) == (0, 9)
