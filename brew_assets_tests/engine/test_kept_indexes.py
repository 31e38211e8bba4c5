"""Indexes that are kept: believed while nothing speaks against them, asked again when bytes do."""

import json
import signal
import threading

import pytest

from brew_assets.domain.bottle import Bottle, Digest, image_name, index_reference
from brew_assets.domain.object_keys import INDEX_PREFIX
from brew_assets.domain.oci import MAX_INDEX_BYTES, decode_index
from brew_assets.domain.publication import POINTER_KEY, Publication, PublishedIndex
from brew_assets.engine.bottle_sizes import SizeLookUp, SizesFound
from brew_assets.engine.kept_indexes import index_key
from brew_assets.engine.options import Options
from brew_assets.engine.ports import Indexes
from brew_assets.engine.published import keep_record, move_pointer
from brew_assets.engine.retry import RetryPolicy
from brew_assets.errors import ObjectRefused, StoreUnavailable, UpstreamInterrupted
from brew_assets_tests.engine.carrying import Carrying
from brew_assets_tests.fakes import FakeIndexes, FakeStop, fake_ports
from brew_assets_tests.worlds import bottle, fetch

CONTENT = b"the bottle"
ITEM = bottle("wget", content=CONTENT)


def index(*sizes: "tuple[Bottle, object]") -> bytes:
    entries = [
        {"annotations": {"sh.brew.bottle.digest": item.digest, "sh.brew.bottle.size": str(size)}}
        for item, size in sizes
    ]
    return json.dumps({"manifests": entries}).encode()


def keep(world: Carrying, data: bytes, *, item: Bottle = ITEM, key: str = "") -> str:
    reference = index_reference(item.pkg_version, item.rebuild)
    key = key or index_key(image_name(item.formula), reference, data)
    world.store.put(key, data)
    return key


def look_up(world: Carrying, *items: Bottle, fresh: bytes, stop: FakeStop | None = None) -> SizesFound:
    upstream = FakeIndexes()
    for item in items:
        reference = index_reference(item.pkg_version, item.rebuild)
        upstream.indexes[(image_name(item.formula), reference)] = fresh
    return _look_up(world, upstream, stop or world.stop).look_up(items)


def _look_up(world: Carrying, indexes: Indexes, stop: FakeStop) -> SizeLookUp:
    ports = fake_ports(indexes=indexes, store=world.store, clock=world.clock, stop=stop)
    return SizeLookUp(ports, Options(platforms=(), workers=2, retry=RetryPolicy(attempts=1)))


@pytest.mark.parametrize("said", [len(CONTENT) - 1, len(CONTENT) + 1, 1, 4 * 1024**4])
def test_an_index_that_bytes_disprove_is_asked_again(world: Carrying, said: int) -> None:
    other = bottle("wget", tag="arm64_tahoe")
    key = keep(world, index((ITEM, said), (other, 5)))
    world.blobs.publish(CONTENT)
    assert world.copy(fetch(ITEM, size=said)).stored == 1
    assert key not in world.store.keys(INDEX_PREFIX)
    found = look_up(world, ITEM, other, fresh=index((ITEM, len(CONTENT)), (other, 7)))
    assert (found.indexes_fetched, found.sizes) == (1, {ITEM.digest: len(CONTENT), other.digest: 7})


def test_an_index_that_clients_are_given_stays_whatever_size_it_says(world: Carrying) -> None:
    key = keep(world, index((ITEM, 3)))
    image, reference, sha256 = key.removeprefix(INDEX_PREFIX).removesuffix(".json").rsplit("/", 2)
    record = Publication(
        publication_id="20260823T030000000000Z-0badcafe",
        created_at="2026-08-23T03:00:00Z",
        generated_at=1_000,
        tap_git_head="abcdef0",
        api=(),
        bottles=(),
        indexes=(PublishedIndex(image=image, reference=reference, sha256=Digest(sha256)),),
    )
    move_pointer(world.store, world.clock, record, sha256=keep_record(world.store, record))
    kept = world.store.data(key)
    world.blobs.publish(CONTENT)
    assert world.copy(fetch(ITEM, size=3)).stored == 1
    assert world.store.data(key) == kept
    # Nor is one forgotten while it cannot be known which are published.
    world.store.write(POINTER_KEY, b"{}")
    world.copy(fetch(ITEM, size=3), replace=True)
    assert world.store.data(key) == kept


def test_an_index_that_cannot_be_deleted_is_emptied(world: Carrying) -> None:
    key = keep(world, index((ITEM, 3)))
    world.store.refuse("delete", ObjectRefused("403"))
    world.blobs.publish(CONTENT)
    assert world.copy(fetch(ITEM, size=3)).stored == 1
    assert world.store.data(key) == b""
    assert look_up(world, ITEM, fresh=index((ITEM, 3))).indexes_fetched == 1


def test_an_index_that_the_store_does_not_let_go_costs_no_bottle(world: Carrying) -> None:
    keep(world, index((ITEM, 3)))
    for operation in ("delete", "write"):
        world.store.refuse_below(operation, StoreUnavailable("503"), INDEX_PREFIX)
    world.blobs.publish(CONTENT)
    assert (world.copy(fetch(ITEM, size=3)).failed, len(world.receipts())) == ([], 1)


def test_an_index_that_is_right_is_kept(world: Carrying) -> None:
    right = keep(world, index((ITEM, len(CONTENT))))
    damaged = keep(world, b"damaged", key=right.replace(".json", "x.json"))
    world.blobs.publish(CONTENT)
    world.copy(fetch(ITEM, size=3))
    assert world.store.keys(INDEX_PREFIX) == sorted([right, damaged])


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (index((ITEM, 6 * 1024**3)), ""),
        (index((ITEM, 3)), f"{INDEX_PREFIX}wget/1.25.0/{'0' * 64}.json"),
        (index((ITEM, 3))[:-3], ""),
        (b"", ""),
        (b"{}", ""),
        (b'{"manifests":' + b"[" * 50_000, ""),
    ],
)
def test_an_index_that_cannot_be_believed_is_asked_again(world: Carrying, data: bytes, name: str) -> None:
    keep(world, data, key=name)
    found = look_up(world, ITEM, fresh=index((ITEM, 10)))
    assert (found.indexes_fetched, found.indexes_kept, found.sizes) == (1, 0, {ITEM.digest: 10})


class HeldUpIndexes(FakeIndexes):
    """A registry that answers nothing until it is interrupted."""

    def __init__(self) -> None:
        super().__init__()
        self._interrupted = threading.Event()
        self.was_interrupted = False

    def fetch_index(self, image: str, reference: str) -> bytes | None:
        self.was_interrupted = self._interrupted.wait(20)
        raise UpstreamInterrupted(f"{image}: the grace is over")

    def interrupt(self) -> None:
        self._interrupted.set()


def test_a_signal_whose_handler_takes_its_time_ends_the_look_up(world: Carrying) -> None:
    indexes = HeldUpIndexes()

    def handle(*_: object) -> None:
        # Longer than the wait that it interrupts, as on a machine that is busy.
        threading.Event().wait(0.3)
        world.stop.set()

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.15)
        found = _look_up(world, indexes, world.stop).look_up([ITEM])
    finally:
        signal.signal(signal.SIGALRM, before)
    assert (found.sizes, indexes.was_interrupted) == ({}, True)


@pytest.mark.parametrize("size", [6 * 1024**4, -1, 0, "1e9", "9" * 40, "x", ""])
def test_a_size_that_nothing_has_is_none(size: object) -> None:
    assert decode_index(index((ITEM, size)))[ITEM.digest].size is None


def test_an_index_of_nothing_but_objects_is_refused_before_they_are_made() -> None:
    data = b'{"manifests":[' + b"{}," * (MAX_INDEX_BYTES // 3 - 10) + b"{}]}"
    with pytest.raises(ValueError, match="at most 100000 objects"):
        decode_index(data)
    assert decode_index(b'{"manifests":[' + b"{}," * 90_000 + b"{}]}") == {}
