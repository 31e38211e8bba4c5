"""One refused object is one failed bottle; a store that refuses everything ends the run."""

import pytest

from brew_assets.domain.bottle import Bottle
from brew_assets.engine.transfer.verdicts import CANARY_KEY, REFUSALS_IN_A_ROW
from brew_assets.errors import (
    ChecksumRefused,
    ObjectRefused,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    StoreUnsupported,
)
from brew_assets_tests.engine.carrying import Carrying
from brew_assets_tests.worlds import DATE, bottle, fetch

ABOUT_AN_OBJECT = [ObjectRefused("403 AccessDenied"), ChecksumRefused("400 BadDigest")]
ABOUT_THE_STORE = [StoreRefused("404 NoSuchBucket"), StoreFull("507"), StoreUnsupported("501 NotImplemented")]


def bottles(world: Carrying, count: int) -> list[Bottle]:
    contents = [f"content {number}".encode() for number in range(count)]
    world.blobs.publish(*contents)
    return [bottle(f"f{number:02}", content=content) for number, content in enumerate(contents)]


def refuse(world: Carrying, item: Bottle, error: StoreError) -> None:
    """The store refuses this bottle and takes all else."""
    world.store.refuse("commit", error, key=item.key(DATE))


@pytest.mark.parametrize(
    "error", [*ABOUT_AN_OBJECT, *ABOUT_THE_STORE, StoreUnavailable("500")], ids=lambda error: str(error)
)
@pytest.mark.parametrize("workers", [1, 4])
def test_one_refused_bottle_of_thirty_is_failed_by_name_and_hinders_nobody(
    world: Carrying, error: StoreError, workers: int
) -> None:
    items = bottles(world, 30)
    refuse(world, items[7], error)
    done = world.copy(*map(fetch, items), workers=workers)
    assert (done.stored, done.left, done.aborted) == (29, 0, "")
    assert [(failure.name, failure.reason) for failure in done.failed] == [(items[7].filename, error.reason)]


@pytest.mark.parametrize("error", ABOUT_THE_STORE, ids=lambda error: str(error))
def test_a_canary_that_is_refused_ends_the_run(world: Carrying, error: StoreError) -> None:
    items = bottles(world, 30)
    refuse(world, items[2], error)
    world.store.refuse("write", error, key=CANARY_KEY)
    done = world.copy(*map(fetch, items))
    assert (done.stored, len(done.failed), done.left) == (2, 1, 27)
    assert str(error) in done.aborted


@pytest.mark.parametrize("error", ABOUT_AN_OBJECT, ids=lambda error: str(error))
def test_twenty_refusals_in_a_row_ask_the_canary(world: Carrying, error: StoreError) -> None:
    items = bottles(world, 30)
    world.store.refuse("commit", error)
    world.store.refuse("write", error, key=CANARY_KEY)
    done = world.copy(*map(fetch, items))
    assert (len(done.failed), done.left) == (REFUSALS_IN_A_ROW, 10)
    assert world.store.called("write").count(CANARY_KEY) == 1


def test_refusals_with_a_stored_bottle_between_them_are_not_in_a_row(world: Carrying) -> None:
    items = bottles(world, 60)
    for number, item in enumerate(items):
        if number % 15:
            refuse(world, item, ObjectRefused("403"))
    world.store.refuse("write", ObjectRefused("403"), key=CANARY_KEY)
    done = world.copy(*map(fetch, items))
    assert (done.stored, len(done.failed), done.aborted) == (4, 56, "")


def test_a_canary_that_is_taken_lets_the_run_go_on_for_ever(world: Carrying) -> None:
    items = bottles(world, 50)
    world.store.refuse("commit", ObjectRefused("403 by a policy for archives"))
    done = world.copy(*map(fetch, items))
    assert (len(done.failed), done.left, done.aborted) == (50, 0, "")
    # After twenty, after forty, and at the end, because nothing was stored.
    assert world.store.called("write").count(CANARY_KEY) == 3


def test_the_canary_is_never_deleted(world: Carrying) -> None:
    items = bottles(world, 2)
    refuse(world, items[0], StoreRefused("odd"))
    world.copy(*map(fetch, items))
    assert world.store.keys(CANARY_KEY) == [CANARY_KEY]
    assert world.store.called("delete") == []


def test_a_full_store_that_still_takes_the_canary_ends_the_run_after_three_more(world: Carrying) -> None:
    items = bottles(world, 30)
    for item in items[5:]:
        refuse(world, item, StoreFull("507 XMinioStorageFull"))
    done = world.copy(*map(fetch, items))
    assert (done.stored, len(done.failed), done.left) == (5, 4, 21)
    assert "507" in done.aborted


def test_a_store_that_is_full_for_one_large_bottle_goes_on(world: Carrying) -> None:
    items = bottles(world, 30)
    for number in (5, 6, 7, 12, 13, 14):
        refuse(world, items[number], StoreFull("507"))
    done = world.copy(*map(fetch, items))
    assert (done.stored, len(done.failed), done.aborted) == (24, 6, "")


def test_a_canary_that_gets_no_answer_condemns_nobody(world: Carrying) -> None:
    items = bottles(world, 3)
    refuse(world, items[0], StoreRefused("odd"))
    world.store.refuse("write", StoreUnavailable("503"), key=CANARY_KEY)
    done = world.copy(*map(fetch, items))
    assert (done.stored, done.aborted) == (2, "")


def test_another_name_of_a_refused_one_is_stored(world: Carrying) -> None:
    content = b"one digest, three names"
    world.blobs.publish(content)
    names = [bottle(tag=tag, content=content) for tag in ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma")]
    refuse(world, names[0], ObjectRefused("403"))
    done = world.copy(fetch(*names))
    assert [failure.name for failure in done.failed] == [names[0].filename]
    assert world.recorded() == sorted(name.key(DATE) for name in names[1:])


def test_a_store_that_makes_no_copies_gets_every_name_from_upstream_and_is_asked_once(
    world: Carrying,
) -> None:
    fetches = []
    for number in range(5):
        content = f"shared {number}".encode()
        world.blobs.publish(content)
        fetches.append(
            fetch(
                *(bottle(f"f{number}", tag=tag, content=content) for tag in ("arm64_tahoe", "arm64_sonoma"))
            )
        )
    world.store.refuse("duplicate", StoreUnsupported("501 NotImplemented"))
    done = world.copy(*fetches)
    assert (done.stored, done.downloaded, done.failed) == (10, 10, [])
    assert len(world.store.called("duplicate")) == 1


def test_a_single_bottle_that_is_refused_asks_the_canary_at_the_end(world: Carrying) -> None:
    (item,) = bottles(world, 1)
    refuse(world, item, ObjectRefused("403 AccessDenied"))
    done = world.copy(fetch(item))
    assert (len(done.failed), done.aborted) == (1, "")
    world.store.refuse("write", ObjectRefused("403 AccessDenied"), key=CANARY_KEY)
    done = world.copy(fetch(item))
    assert (len(done.failed), done.aborted) == (1, "403 AccessDenied")
