"""What becomes of bottles on their way: whole and verified under their names, or failed by name."""

import random

import pytest

from brew_assets.domain.bottle import Bottle
from brew_assets.domain.oci import MAX_BOTTLE_BYTES
from brew_assets.engine.ports import Progress
from brew_assets.engine.record.journal import RECEIPT_PREFIX
from brew_assets.engine.record.stored_names import stored_names
from brew_assets.engine.retry import MAX_BUSY_WAIT_S, MAX_HELD_S
from brew_assets.engine.transfer.bottle_download import BUFFER_BYTES
from brew_assets.engine.transfer.verdicts import CANARY_KEY
from brew_assets.errors import (
    BlobNotFound,
    ChecksumRefused,
    HostRefused,
    StoreRefused,
    StoreUnavailable,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamInterrupted,
    UpstreamRefused,
    UpstreamUnauthorized,
)
from brew_assets_tests.engine.carrying import Carrying
from brew_assets_tests.fakes import Act
from brew_assets_tests.worlds import DATE, SYNC_ID, bottle, fetch

SMALL = b"a small bottle" * 100
LARGE = random.Random(1).randbytes(3 * BUFFER_BYTES + 12_345)
NETWORK = UpstreamInterrupted("connection reset")


def published(
    world: Carrying, content: bytes = SMALL, formula: str = "wget", *, tag: str = "arm64_sonoma"
) -> Bottle:
    item = bottle(formula, tag=tag, content=content)
    world.blobs.publish(content)
    return item


@pytest.mark.parametrize("content", [SMALL, LARGE, b"x", LARGE[:BUFFER_BYTES], LARGE[: BUFFER_BYTES + 1]])
def test_a_bottle_of_any_size_stands_whole_under_its_key_with_a_receipt(
    world: Carrying, content: bytes
) -> None:
    item = published(world, content)
    done = world.copy(fetch(item))
    assert (done.stored, done.downloaded, done.failed, done.left) == (1, 1, [], 0)
    assert (done.bytes_downloaded, done.bytes_stored) == (len(content), len(content))
    assert world.store.data(item.key(DATE)) == content
    (receipt,) = world.receipts()
    assert (receipt.entry.sha256, receipt.entry.file_size) == (item.digest, len(content))


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_a_digest_with_three_names_is_downloaded_once(world: Carrying, content: bytes) -> None:
    names = [published(world, content, tag=tag) for tag in ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma")]
    done = world.copy(fetch(*names))
    assert (done.stored, done.downloaded, done.duplicated) == (3, 1, 2)
    assert len(world.blobs.opened) == 1
    assert all(world.store.data(name.key(DATE)) == content for name in names)
    assert world.recorded() == sorted(name.key(DATE) for name in names)


@pytest.mark.parametrize(
    "error", [NETWORK, UpstreamFailed("503"), UpstreamFailed("408"), UpstreamBusy("429", wait_s=1.0)]
)
def test_what_may_heal_is_tried_three_times_after_the_first(world: Carrying, error: Exception) -> None:
    healing, sick = published(world), published(world, b"sick", "curl")
    world.blobs.script(healing, *[Act(error=error)] * 3)
    world.blobs.always(sick, Act(error=error))
    done = world.copy(fetch(healing), fetch(sick))
    assert [failure.name for failure in done.failed] == [sick.filename]
    assert len(world.blobs.offsets(healing)) == len(world.blobs.offsets(sick)) == 4
    assert done.retries == 6


@pytest.mark.parametrize(
    "error",
    [
        BlobNotFound("404"),
        UpstreamRefused("403"),
        UpstreamUnauthorized("401"),
        HostRefused(subject="wget", address="https://elsewhere", allowed="ghcr.io"),
    ],
)
def test_what_will_not_heal_fails_at_once_and_spoils_no_neighbour(
    world: Carrying, error: UpstreamRefused
) -> None:
    bad, good = published(world), published(world, b"good", "curl")
    world.blobs.always(bad, Act(error=error))
    done = world.copy(fetch(bad), fetch(good))
    assert [(f.name, f.reason, f.digest) for f in done.failed] == [(bad.filename, error.reason, bad.digest)]
    assert len(world.blobs.offsets(bad)) == 1
    assert world.clock.waits == []
    assert world.store.bottle_keys() == [good.key(DATE)]


def test_waits_grow_with_full_jitter(world: Carrying) -> None:
    item = published(world)
    world.blobs.always(item, Act(error=NETWORK))
    world.copy(fetch(item), attempts=4, delay_s=10.0)
    assert len(world.clock.waits) == 4
    assert all(
        0 <= wait <= longest for wait, longest in zip(world.clock.waits, (10, 20, 40, 80), strict=True)
    )


@pytest.mark.parametrize("content", [SMALL, LARGE])
@pytest.mark.parametrize("place", ["first", "last"])
def test_wrong_bytes_are_fetched_twice_and_then_fail(world: Carrying, content: bytes, place: str) -> None:
    item = published(world, content)
    world.blobs.always(item, Act(flips=0 if place == "first" else len(content) - 1))
    done = world.copy(fetch(item))
    assert [failure.reason for failure in done.failed] == ["digest mismatch"]
    assert world.blobs.offsets(item) == [0, 0]
    assert world.store.keys() == []


def test_wrong_bytes_once_are_healed_by_the_second_try(world: Carrying) -> None:
    item = published(world, LARGE)
    world.blobs.script(item, Act(flips=7))
    done = world.copy(fetch(item))
    assert (done.stored, done.failed) == (1, [])
    assert world.store.data(item.key(DATE)) == LARGE


def test_the_store_never_sees_the_last_bytes_of_a_wrong_bottle(world: Carrying) -> None:
    item = published(world, LARGE)
    world.blobs.always(item, Act(flips=len(LARGE) // 2))
    world.copy(fetch(item))
    assert len(world.store.sinks) == 2
    assert all(len(sink.seen) < len(LARGE) for sink in world.store.sinks)
    assert "commit" not in [name for name, _ in world.store.calls]


def test_the_store_hears_nothing_of_a_small_wrong_bottle(world: Carrying) -> None:
    item = published(world)
    world.blobs.always(item, Act(flips=1))
    world.copy(fetch(item))
    assert world.store.sinks == []


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_a_body_that_breaks_off_goes_on_where_it_ended(world: Carrying, content: bytes) -> None:
    item = published(world, content)
    world.blobs.script(item, Act(breaks_after=1_000), Act(breaks_after=300))
    done = world.copy(fetch(item))
    assert world.blobs.offsets(item) == [0, 1_000, 1_300]
    assert world.store.data(item.key(DATE)) == content
    assert done.bytes_downloaded == len(content)


def test_a_body_that_ends_early_goes_on_where_it_ended(world: Carrying) -> None:
    item = published(world)
    world.blobs.script(item, Act(cuts_at=700, announces=len(SMALL)))
    world.copy(fetch(item))
    assert world.blobs.offsets(item) == [0, 700]
    assert world.store.data(item.key(DATE)) == SMALL


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_a_server_that_ignores_the_range_starts_from_zero(world: Carrying, content: bytes) -> None:
    item = published(world, content)
    world.blobs.script(item, Act(breaks_after=1_000), Act(ignores_range=True))
    done = world.copy(fetch(item))
    assert world.store.data(item.key(DATE)) == content
    assert done.bytes_downloaded == len(content) + 1_000


def test_a_server_that_starts_elsewhere_is_refused(world: Carrying) -> None:
    item = published(world)
    world.blobs.script(item, Act(breaks_after=1_000), Act(starts_at=999))
    assert [failure.reason for failure in world.copy(fetch(item)).failed] == ["refused by upstream"]


def test_bytes_gained_start_the_count_anew(world: Carrying) -> None:
    item = published(world)
    world.blobs.script(item, *[Act(breaks_after=10)] * 12)
    done = world.copy(fetch(item), attempts=1)
    assert (done.stored, done.retries) == (1, 12)
    assert max(world.clock.waits) <= 1.0


def test_breaks_without_a_byte_do_not_start_the_count_anew(world: Carrying) -> None:
    item = published(world)
    world.blobs.script(item, Act(breaks_after=10), *[Act(breaks_after=0)] * 5)
    done = world.copy(fetch(item), attempts=2)
    assert [failure.reason for failure in done.failed] == ["network"]
    assert len(world.blobs.offsets(item)) == 3


def test_a_dead_upstream_spends_the_budget_of_the_sync_and_no_more(world: Carrying) -> None:
    items = [published(world, f"{n}".encode(), f"f{n}") for n in range(120)]
    for item in items:
        world.blobs.always(item, Act(error=NETWORK))
    done = world.copy(*(fetch(item) for item in items), attempts=3)
    assert done.retries == 3 * 30
    assert len(done.failed) == 120
    assert len(world.blobs.opened) == 120 + 90


def test_a_429_holds_every_bottle(world: Carrying) -> None:
    items = [published(world, f"{n}".encode(), f"f{n}") for n in range(8)]
    asked_at: list[float] = []
    for item in items:
        world.blobs.always(item, Act(on_open=lambda: asked_at.append(world.clock.monotonic())))
    world.blobs.script(items[0], Act(error=UpstreamBusy("429", wait_s=60.0)))
    done = world.copy(*(fetch(item) for item in items))
    assert done.stored == 8
    assert len(asked_at) == 8
    assert min(asked_at) >= 60.0


def test_a_429_that_ends_one_bottle_still_holds_the_others(world: Carrying) -> None:
    first, second = published(world), published(world, b"second", "curl")
    world.blobs.always(first, Act(error=UpstreamBusy("429", wait_s=60.0)))
    asked_at: list[float] = []
    world.blobs.always(second, Act(on_open=lambda: asked_at.append(world.clock.monotonic())))
    world.copy(fetch(first), fetch(second), attempts=0)
    assert asked_at[0] >= 60.0


def test_an_upstream_that_only_asks_to_wait_ends_a_sync_of_any_size_soon(world: Carrying) -> None:
    items = [published(world, f"{n}".encode(), f"f{n}") for n in range(400)]
    for item in items:
        world.blobs.always(item, Act(error=UpstreamBusy("429", wait_s=MAX_BUSY_WAIT_S)))
    done = world.copy(*(fetch(item) for item in items))
    assert {failure.reason for failure in done.failed} == {UpstreamBusy.reason}
    assert len(done.failed) + done.left == 400
    assert len(world.blobs.opened) <= 1 + MAX_HELD_S / MAX_BUSY_WAIT_S
    assert world.clock.monotonic() < 2 * MAX_HELD_S


def test_an_upstream_that_gives_between_its_waits_is_waited_for(world: Carrying) -> None:
    items = [published(world, f"{n}".encode(), f"f{n}") for n in range(20)]
    for item in items:
        world.blobs.script(item, Act(error=UpstreamBusy("429", wait_s=MAX_BUSY_WAIT_S)))
    done = world.copy(*(fetch(item) for item in items))
    assert (done.stored, done.left) == (20, 0)


WRONG_SIZES = [-1, 1, 10 * BUFFER_BYTES, MAX_BOTTLE_BYTES // 2]


@pytest.mark.parametrize("wrong_by", WRONG_SIZES)
@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_bytes_that_are_the_bottle_win_over_the_size_that_an_index_says(
    world: Carrying, content: bytes, wrong_by: int
) -> None:
    item = published(world, content)
    done = world.copy(fetch(item, size=len(content) + wrong_by))
    assert (done.stored, done.failed, len(world.blobs.opened)) == (1, [], 1)
    assert world.store.data(item.key(DATE)) == content
    (receipt,) = world.receipts()
    assert receipt.entry.file_size == len(content)


@pytest.mark.parametrize("wrong_by", [-1, 1, -1000, 2 * BUFFER_BYTES])
@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_where_upstream_says_no_length_the_bytes_win_with_a_second_download(
    world: Carrying, content: bytes, wrong_by: int
) -> None:
    item = published(world, content)
    world.blobs.always(item, Act(hides_size=True))
    done = world.copy(fetch(item, size=len(content) + wrong_by))
    assert (done.stored, done.failed) == (1, [])
    assert world.blobs.offsets(item) == [0, 0]
    assert world.store.data(item.key(DATE)) == content


@pytest.mark.parametrize("told", [0, 1, -700])
@pytest.mark.parametrize("hides", [False, True])
@pytest.mark.parametrize("content", [SMALL, LARGE])
@pytest.mark.parametrize("cut", [-1, 700])
def test_a_body_with_bytes_missing_or_added_is_refused_whatever_an_index_says(
    world: Carrying, content: bytes, told: int, hides: bool, cut: int
) -> None:
    item = published(world, content)
    if cut < 0:
        world.blobs.always(item, Act(cuts_at=len(content) + cut, hides_size=hides))
    else:
        world.blobs._contents[item.digest] = content + b"x" * cut
        world.blobs.always(item, Act(hides_size=hides))
    done = world.copy(fetch(item, size=len(content) + told))
    if hides and cut > 0 and told == 0:
        # What was announced came, and was the bottle: nobody read on.
        assert done.stored == 1
        return
    assert done.failed[0].reason in ("size mismatch", "digest mismatch", "network")
    assert world.store.bottle_keys() == []


def test_a_length_that_no_bottle_has_is_refused_before_a_byte(world: Carrying) -> None:
    item = published(world)
    world.blobs.always(item, Act(announces=MAX_BOTTLE_BYTES + 1))
    done = world.copy(fetch(item))
    assert ([failure.reason for failure in done.failed], done.bytes_downloaded) == (
        ["refused by upstream"],
        0,
    )


@pytest.mark.parametrize("content", [SMALL, LARGE])
@pytest.mark.parametrize("attempts", [0, 3])
def test_a_bottle_that_the_store_took_without_an_answer_is_downloaded_once(
    world: Carrying, content: bytes, attempts: int
) -> None:
    item = published(world, content)
    world.store.fail("answer", StoreUnavailable("connection reset"))
    done = world.copy(fetch(item), attempts=attempts)
    assert (done.stored, done.downloaded, done.found, done.failed) == (1, 1, 0, [])
    assert stored_names(world.store, SYNC_ID) == {item.entry_key}
    assert (done.bytes_downloaded, len(world.blobs.opened)) == (len(content), 1)
    assert len(world.store.called("commit")) == 1
    assert len(world.receipts()) == 1


def test_a_stop_after_a_lost_answer_leaves_the_bottle_recorded(world: Carrying) -> None:
    item = published(world, LARGE)
    world.store.before("answer", world.stop.set)
    world.store.fail("answer", StoreUnavailable("connection reset"))
    done = world.copy(fetch(item))
    assert (done.stored, done.left) == (1, 0)


def test_what_is_to_be_replaced_proves_nothing_when_the_answer_is_lost(world: Carrying) -> None:
    item = published(world, LARGE)
    world.store.put_bottle(item, LARGE, date=DATE)
    world.store.fail("commit", StoreUnavailable("connection reset"))
    done = world.copy(fetch(item), replace=True)
    assert (done.stored, len(world.store.called("commit"))) == (1, 2)
    assert world.store.called("facts") == []


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_a_copy_that_the_store_made_without_an_answer_is_not_downloaded(
    world: Carrying, content: bytes
) -> None:
    names = [published(world, content, tag=tag) for tag in ("arm64_tahoe", "arm64_sequoia")]
    world.store.fail("answer to a copy", StoreUnavailable("connection reset"))
    done = world.copy(fetch(*names))
    assert (done.stored, done.downloaded, done.duplicated) == (2, 1, 1)
    assert len(world.blobs.opened) == 1


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_an_answer_that_was_lost_with_the_bottle_costs_a_try(world: Carrying, content: bytes) -> None:
    item = published(world, content)
    world.store.fail("commit", StoreUnavailable("connection reset"))
    done = world.copy(fetch(item))
    assert (done.stored, len(world.store.called("commit"))) == (1, 2)


def test_a_size_that_only_the_index_tells_is_enough(world: Carrying) -> None:
    item = published(world)
    world.blobs.always(item, Act(hides_size=True))
    assert world.copy(fetch(item, size=len(SMALL))).stored == 1


def test_a_bottle_whose_size_nothing_tells_fails(world: Carrying) -> None:
    item = published(world)
    world.blobs.always(item, Act(hides_size=True))
    assert [failure.name for failure in world.copy(fetch(item)).failed] == [item.filename]


def test_an_empty_body_is_a_mismatch(world: Carrying) -> None:
    item = published(world)
    world.blobs.always(item, Act(cuts_at=0))
    assert [failure.reason for failure in world.copy(fetch(item)).failed] == ["size mismatch"]


@pytest.mark.parametrize("operation", ["receive", "sink.write", "commit"])
def test_a_store_that_fails_costs_a_small_bottle_no_second_download(world: Carrying, operation: str) -> None:
    item = published(world)
    world.store.fail(operation, *[StoreUnavailable("503")] * 3)
    done = world.copy(fetch(item))
    assert (done.stored, done.failed) == (1, [])
    assert world.blobs.offsets(item) == [0]
    assert world.store.data(item.key(DATE)) == SMALL


@pytest.mark.parametrize("operation", ["receive", "sink.write", "commit"])
def test_a_store_that_fails_on_a_large_bottle_is_tried_again_from_zero(
    world: Carrying, operation: str
) -> None:
    item = published(world, LARGE)
    world.store.fail(operation, StoreUnavailable("503"))
    done = world.copy(fetch(item))
    assert done.failed == []
    assert world.blobs.offsets(item) == [0, 0]
    assert world.store.data(item.key(DATE)) == LARGE


def test_a_store_that_stays_away_fails_the_bottle_after_its_tries(world: Carrying) -> None:
    item = published(world)
    world.store.fail("commit", *[StoreUnavailable("503")] * 20)
    done = world.copy(fetch(item))
    assert [failure.reason for failure in done.failed] == ["store unavailable"]
    assert 4 <= len(world.store.called("commit")) <= 5
    assert world.store.bottle_keys() == []


def test_a_checksum_that_the_store_refuses_twice_fails_the_bottle(world: Carrying) -> None:
    item = published(world)
    world.store.fail("commit", ChecksumRefused("1"), ChecksumRefused("2"), ChecksumRefused("3"))
    done = world.copy(fetch(item))
    assert [failure.reason for failure in done.failed] == ["checksum refused by store"]
    assert world.blobs.offsets(item) == [0, 0]


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_a_key_taken_by_the_same_bottle_is_adopted(world: Carrying, content: bytes) -> None:
    item = published(world, content)
    world.store.put_bottle(item, content, date=DATE)
    done = world.copy(fetch(item))
    assert (done.stored, done.found, done.failed) == (1, 1, [])
    assert world.recorded() == [item.key(DATE)]


def test_a_key_taken_by_another_bottle_fails_by_name_and_stays(world: Carrying) -> None:
    item, good = published(world), published(world, b"good", "curl")
    world.store.put(item.key(DATE), b"something else")
    done = world.copy(fetch(item), fetch(good))
    assert [(f.name, f.reason) for f in done.failed] == [(item.filename, "key taken")]
    assert world.store.data(item.key(DATE)) == b"something else"
    assert world.recorded() == [good.key(DATE)]


def test_a_second_name_taken_by_another_object_fails_alone(world: Carrying) -> None:
    first, second = published(world, tag="arm64_tahoe"), published(world, tag="arm64_sonoma")
    world.store.put(second.key(DATE), b"something else")
    done = world.copy(fetch(first, second))
    assert [failure.name for failure in done.failed] == [second.filename]
    assert world.recorded() == [first.key(DATE)]


def test_replace_writes_over_what_stands_there(world: Carrying) -> None:
    first, second = published(world, tag="arm64_tahoe"), published(world, tag="arm64_sonoma")
    world.store.put(first.key(DATE), b"damaged")
    world.store.put(second.key(DATE), b"damaged")
    done = world.copy(fetch(first, second), replace=True)
    assert (done.stored, done.failed) == (2, [])
    assert world.store.data(first.key(DATE)) == world.store.data(second.key(DATE)) == SMALL


def test_a_held_digest_is_never_downloaded_again(world: Carrying) -> None:
    item = published(world)
    earlier = bottle("wget", tag="arm64_ventura", content=SMALL)
    world.store.put_bottle(earlier, SMALL, date="2026-08-15")
    done = world.copy(fetch(item, size=len(SMALL), source=earlier.key("2026-08-15")))
    assert (done.stored, done.duplicated, done.downloaded) == (1, 1, 0)
    assert world.blobs.opened == []


@pytest.mark.parametrize("found", [None, b"other bytes"])
def test_a_source_that_is_not_what_was_recorded_falls_back_to_a_download(
    world: Carrying, found: bytes | None
) -> None:
    item = published(world)
    if found is not None:
        world.store.put("2026-08-15/old.arm64_sonoma.bottle.tar.gz", found)
    done = world.copy(
        fetch(item, size=len(SMALL), source="2026-08-15/old.arm64_sonoma.bottle.tar.gz"),
    )
    assert (done.stored, done.downloaded, done.failed) == (1, 1, [])
    assert world.store.data(item.key(DATE)) == SMALL


def test_a_source_that_vanished_costs_one_download_however_many_names(world: Carrying) -> None:
    names = [published(world, tag=tag) for tag in ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma")]
    done = world.copy(fetch(*names, size=len(SMALL), source="2026-08-15/gone.all.bottle.tar.gz"))
    assert (done.stored, done.failed) == (3, [])
    assert len(world.blobs.opened) == 1


def test_a_name_that_is_taken_does_not_make_the_next_name_a_second_download(world: Carrying) -> None:
    names = [published(world, tag=tag) for tag in ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma")]
    world.store.put(names[0].key(DATE), b"something else")
    done = world.copy(fetch(*names))
    assert [failure.name for failure in done.failed] == [names[0].filename]
    assert done.stored == 2
    assert len(world.blobs.opened) <= 2


def test_looking_first_finds_what_another_run_stored(world: Carrying) -> None:
    first, second = published(world, tag="arm64_tahoe"), published(world, tag="arm64_sonoma")
    world.store.put_bottle(first, SMALL, date=DATE)
    done = world.copy(fetch(first, second), look_first=True)
    assert (done.found, done.duplicated, done.downloaded) == (1, 1, 0)
    assert world.recorded() == sorted((first.key(DATE), second.key(DATE)))


def test_a_store_that_refuses_ends_the_transfer(world: Carrying) -> None:
    items = [published(world, f"{n}".encode(), f"f{n}") for n in range(5)]
    world.store.refuse("commit", StoreRefused("the bucket is gone"))
    world.store.refuse("write", StoreRefused("the bucket is gone"), key=CANARY_KEY)
    done = world.copy(*(fetch(item) for item in items))
    assert "the bucket is gone" in done.aborted
    assert [failure.name for failure in done.failed] == [items[0].filename]
    assert done.left == 4
    assert len(world.blobs.opened) == 1


def test_a_stop_signal_lets_the_bottle_under_way_finish_and_begins_no_other(world: Carrying) -> None:
    items = [published(world, f"{n}".encode(), f"f{n}") for n in range(5)]
    world.blobs.script(items[1], Act(on_open=world.stop.set))
    done = world.copy(*(fetch(item) for item in items))
    assert (done.stored, done.left, done.failed) == (2, 3, [])
    assert world.recorded() == [items[0].key(DATE), items[1].key(DATE)]


def test_after_the_grace_the_bottle_under_way_is_given_up(world: Carrying) -> None:
    whole, cut = published(world), published(world, LARGE, "llvm")
    world.blobs.script(cut, Act(on_read=world.stop.expire))
    done = world.copy(fetch(whole), fetch(cut))
    assert (done.stored, done.left, done.failed) == (1, 1, [])
    assert world.store.bottle_keys() == [whole.key(DATE)]
    assert world.recorded() == [whole.key(DATE)]


def test_a_stop_signal_ends_a_wait_for_upstream(world: Carrying) -> None:
    item = published(world)
    world.blobs.always(item, Act(error=UpstreamBusy("429", wait_s=900.0), on_open=world.stop.set))
    done = world.copy(fetch(item))
    assert (done.left, done.failed) == (1, [])


def test_every_name_is_counted_once_whatever_happens(world: Carrying) -> None:
    good = [published(world, f"{n}".encode(), f"f{n}") for n in range(3)]
    lost = [published(world, b"lost", "lost", tag=tag) for tag in ("arm64_tahoe", "arm64_sonoma")]
    late = [published(world, b"late", "late", tag=tag) for tag in ("arm64_tahoe", "arm64_sonoma")]
    world.blobs.always(lost[0], Act(error=BlobNotFound("404")))
    world.blobs.script(late[0], Act(error=NETWORK, on_open=world.stop.set))
    done = world.copy(*(fetch(item) for item in good), fetch(*lost), fetch(*late))
    assert (done.stored, len(done.failed), done.left) == (3, 2, 2)


def test_a_crash_inside_a_worker_surfaces_and_what_was_stored_is_recorded(world: Carrying) -> None:
    good, bad = published(world), published(world, b"bad", "curl")
    world.blobs.always(bad, Act(error=ZeroDivisionError("a defect")))
    with pytest.raises(ZeroDivisionError, match="a defect"):
        world.copy(fetch(good), fetch(bad), workers=1)
    assert world.recorded() == [good.key(DATE)]


def test_receipts_are_written_every_batch(world: Carrying) -> None:
    items = [published(world, f"{n}".encode(), f"f{n:02}") for n in range(25)]
    world.copy(*(fetch(item) for item in items), batch_size=10)
    assert len(world.store.keys(RECEIPT_PREFIX)) == 3
    assert world.recorded() == [item.key(DATE) for item in items]


def test_receipts_that_cannot_be_written_end_the_transfer_with_the_error(world: Carrying) -> None:
    item = published(world)
    world.store.fail("write", *[StoreUnavailable("503")] * 10)
    with pytest.raises(StoreUnavailable):
        world.copy(fetch(item), batch_size=1)
    assert world.store.data(item.key(DATE)) == SMALL


def test_many_workers_store_everything_once(world: Carrying) -> None:
    items = [published(world, f"{n}".encode(), f"f{n:03}") for n in range(300)]
    done = world.copy(*(fetch(item) for item in items), workers=16)
    assert (done.stored, done.failed, done.left) == (300, [], 0)
    assert len(world.blobs.opened) == 300
    assert world.recorded() == [item.key(DATE) for item in items]
    assert len(world.store.closed_by) >= 1


def test_a_listener_hears_of_every_bottle_and_of_failures(world: Carrying) -> None:
    good, bad = published(world), published(world, b"bad", "curl")
    world.blobs.always(bad, Act(error=BlobNotFound("404")))
    heard: list[Progress] = []
    world.progress = lambda progress: heard.append(progress)
    world.copy(fetch(good, size=len(SMALL)), fetch(bad, size=3))
    assert (heard[-1].bottles_done, heard[-1].bottles_total, heard[-1].failed) == (2, 2, 1)
    assert heard[-1].bytes_total == len(SMALL) + 3


def test_a_listener_that_fails_does_not_cost_the_receipts(world: Carrying) -> None:
    items = [published(world, f"{n}".encode(), f"f{n}") for n in range(3)]

    def broken(progress: Progress) -> None:
        if progress.bottles_done:
            raise BrokenPipeError("the terminal is gone")

    world.progress = broken
    with pytest.raises(BrokenPipeError):
        world.copy(*(fetch(item) for item in items))
    stored = world.store.bottle_keys()
    assert stored
    assert world.recorded() == stored
