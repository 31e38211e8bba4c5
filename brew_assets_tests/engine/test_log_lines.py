"""What the engine writes while it works: every line says of which sync, platform and bottle."""

from collections.abc import Iterator

import pytest

from brew_assets.domain.batch import BATCH_PREFIX
from brew_assets.engine.log_context import bound
from brew_assets.engine.retry import Gate
from brew_assets.engine.transfer.verdicts import CANARY_KEY
from brew_assets.errors import (
    BlobNotFound,
    HostRefused,
    StoreRefused,
    UpstreamInterrupted,
)
from brew_assets.settings import Settings
from brew_assets_tests.engine.carrying import Carrying
from brew_assets_tests.engine.test_lambda_copier import SyncStatus
from brew_assets_tests.engine.test_sync import ARM, Upstream
from brew_assets_tests.engine.transfer.test_pool import SMALL, published
from brew_assets_tests.fakes import Act, MemoryStore
from brew_assets_tests.log_lines import Lines, log_lines
from brew_assets_tests.worlds import fetch


@pytest.fixture
def lines() -> Iterator[Lines]:
    with log_lines() as written:
        yield written


def test_every_stored_name_is_one_line_that_says_how(world: Carrying, lines: Lines) -> None:
    names = [published(world, tag=tag) for tag in ARM]
    world.copy(fetch(*names))
    stored = lines.of("stored")
    assert [(line["bottle"], line["how"]) for line in stored] == [
        (names[0].filename, "downloaded"),
        (names[1].filename, "duplicated"),
        (names[2].filename, "duplicated"),
    ]
    assert all((line["level"], line["bytes"]) == ("INFO", len(SMALL)) for line in stored)


def test_a_try_that_is_repeated_is_a_warning_with_reason_and_wait(world: Carrying, lines: Lines) -> None:
    item = published(world)
    world.blobs.script(item, Act(error=UpstreamInterrupted("connection reset")))
    world.copy(fetch(item))
    (again,) = lines.of("tried again")
    assert (again["level"], again["bottle"]) == ("WARNING", item.filename)
    assert (again["reason"], again["error"]) == ("network", "connection reset")
    assert again["wait_s"] == pytest.approx(world.clock.waits[0], abs=0.001)
    assert "security" not in again
    assert len(lines.of("stored")) == 1


def test_a_429_is_told_once_for_all_workers_that_meet_it(world: Carrying, lines: Lines) -> None:
    gate = Gate(world.clock)
    gate.close_for(60.0)
    gate.close_for(61.0)
    (told,) = lines.of("upstream asks all to wait")
    assert (told["level"], told["reason"], told["wait_s"]) == ("WARNING", "rate limited", 60.0)
    world.clock.advance(62.0)
    gate.close_for(1.0)
    assert len(lines.of("upstream asks all to wait")) == 2


def test_a_bottle_that_failed_is_an_error_with_its_reason(world: Carrying, lines: Lines) -> None:
    item = published(world)
    world.blobs.always(item, Act(error=BlobNotFound("404 from upstream")))
    world.copy(fetch(item))
    (failed,) = lines.of("not stored")
    assert (failed["level"], failed["bottle"], failed["reason"]) == ("ERROR", item.filename, "not found")
    assert "security" not in failed


def test_wrong_bytes_and_refused_hosts_are_security_lines(world: Carrying, lines: Lines) -> None:
    wrong, astray = published(world), published(world, b"astray", "curl")
    world.blobs.always(wrong, Act(flips=3))
    refused = HostRefused(subject="curl", address="https://elsewhere.example", allowed="https://ghcr.io")
    world.blobs.always(astray, Act(error=refused))
    world.copy(fetch(wrong), fetch(astray))
    assert [(line["message"], line["level"], line["bottle"], line["security"]) for line in lines.all()] == [
        ("tried again", "WARNING", wrong.filename, True),
        ("not stored", "ERROR", wrong.filename, True),
        ("not stored", "ERROR", astray.filename, True),
    ]
    assert [line["reason"] for line in lines.all()] == ["digest mismatch", "digest mismatch", "host refused"]


def test_a_store_that_refuses_is_told_once(world: Carrying, lines: Lines) -> None:
    items = [published(world, name.encode(), name) for name in ("a", "b", "c")]
    world.store.refuse("commit", StoreRefused("no bucket"))
    world.store.refuse("write", StoreRefused("no bucket"), key=CANARY_KEY)
    world.copy(*map(fetch, items))
    (ended,) = lines.of("no further bottle starts")
    assert (ended["level"], ended["reason"], ended["error"]) == ("ERROR", "store refused", "no bucket")


def test_threads_carry_the_facts_that_were_bound_where_they_were_started(
    world: Carrying, lines: Lines
) -> None:
    items = [published(world, str(number).encode(), f"formula{number}") for number in range(8)]
    with bound(sync_id="s-1", platform="arm64_sonoma"):
        world.copy(*map(fetch, items), workers=4)
    world.copy(fetch(published(world, b"later", "later")))
    *within, after = lines.of("stored")
    assert len(within) == 8
    assert {(line["sync_id"], line["platform"]) for line in within} == {("s-1", "arm64_sonoma")}
    assert "sync_id" not in after


def test_nothing_is_written_of_single_bottles_above_info(world: Carrying) -> None:
    with log_lines(Settings(log_level="WARNING")) as lines:
        world.copy(fetch(published(world)))
        assert lines.text == ""


def test_a_sync_tells_its_begin_its_fold_and_its_end_with_figures(lines: Lines) -> None:
    upstream = Upstream(MemoryStore())
    upstream.publish("wget", tags=ARM)
    upstream.publish("gone", tags=ARM)
    plan = upstream.plan(*ARM)
    gone = next(p.bottle for p in plan.pending("arm64_sonoma") if p.bottle.formula == "gone")
    upstream.blobs.always(gone, Act(error=BlobNotFound("404")))
    upstream.mirror().sync(plan, "arm64_sonoma")
    mine = [line for line in lines.all() if "sync_id" in line]
    assert {(line["sync_id"], line["platform"], line["route"]) for line in mine} == {
        (plan.sync_id, "arm64_sonoma", "local")
    }
    assert [line["message"] for line in mine if "bottle" not in line] == [
        "sync begins",
        "folded",
        "sync ends",
    ]
    begin, end = mine[0], mine[-1]
    assert (begin["planned"], begin["level"]) == (2, "INFO")
    assert {
        name: end[name] for name in ("outcome", "planned", "stored", "found", "failed", "left", "held")
    } == {
        "outcome": "partial",
        "planned": 2,
        "stored": 1,
        "found": 0,
        "failed": 1,
        "left": 0,
        "held": 1,
    }
    assert end["duration_s"] >= 0


def test_a_run_of_the_whole_plan_names_all_its_platforms(lines: Lines) -> None:
    upstream = Upstream(MemoryStore())
    upstream.publish("wget", tags=ARM)
    upstream.mirror().sync(upstream.plan(*ARM))
    assert {line["platform"] for line in lines.of("stored")} == {",".join(ARM)}


def test_batches_are_told_when_they_go_and_when_they_are_back(lines: Lines) -> None:
    story = SyncStatus(bottles=8)
    story.workers.script = [story.workers.die]
    story.copy_plan(story.plan(), concurrency=2)
    given, back, failed = (
        lines.of(message) for message in ("batch given out", "batch returned", "batch failed")
    )
    assert len(given) == len(back) + len(failed) == len(story.workers.invoked)
    assert all(line["batch"].startswith(BATCH_PREFIX) and line["bottles"] for line in given)
    (bad,) = failed
    assert (bad["level"], bad["reason"]) == ("WARNING", "worker failed")
    assert sum(line["stored"] for line in back) == 8


def test_a_workers_lines_name_sync_batch_and_platform(lines: Lines) -> None:
    story = SyncStatus(bottles=4)
    plan = story.plan()
    story.copy_plan(plan, concurrency=1)
    (key,) = story.workers.invoked
    (begin,), (end,) = lines.of("batch begins"), lines.of("batch ends")
    for line in (begin, *lines.of("stored"), end):
        assert (line["sync_id"], line["batch"], line["platform"], line["route"]) == (
            plan.sync_id,
            key,
            "arm64_sonoma",
            "lambda",
        )
    assert (begin["planned"], end["stored"], end["outcome"]) == (4, 4, "success")
