"""How many bodies come from upstream at the same time, and who waits for the store meanwhile."""

import threading
from collections.abc import Callable

import pytest

from brew_assets.domain.bottle import Bottle
from brew_assets.engine.transfer.bottle_download import BUFFER_BYTES
from brew_assets.engine.transfer.state import LEAST_BESIDE, MOST_BESIDE, DownloadSlots, copy_threads
from brew_assets.errors import StoreUnavailable, TransferStopped, UpstreamInterrupted
from brew_assets_tests.engine.carrying import Carrying
from brew_assets_tests.fakes import Act, MemoryStore, ScriptedBlobs, ScriptedStream
from brew_assets_tests.worlds import DATE, bottle, fetch

_PATIENCE_S = 30


class CountingBlobs(ScriptedBlobs):
    """An upstream that knows how many bodies it sends at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()
        self.begun = 0
        self.under_way = 0
        self.most = 0

    def open(self, bottle: Bottle, *, offset: int = 0) -> ScriptedStream:
        with self.changed:
            self.begun += 1
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            self.changed.notify_all()
        try:
            stream = super().open(bottle, offset=offset)
        except BaseException:
            self._ended()
            raise
        return _CountedStream(stream, self._ended)  # type: ignore[return-value]

    def _ended(self) -> None:
        with self.changed:
            self.under_way -= 1


class _CountedStream:
    def __init__(self, stream: ScriptedStream, ended: Callable[[], None]) -> None:
        self._stream = stream
        self._ended = ended
        self.start, self.total = stream.start, stream.total

    def readinto(self, view: memoryview) -> int:
        return self._stream.readinto(view)

    def close(self) -> None:
        self._stream.close()
        self._ended()


class HoldingStore(MemoryStore):
    """A store that answers a bottle's PUT only when something has happened elsewhere."""

    def __init__(self, awaits: Callable[[], None]) -> None:
        super().__init__()
        self._awaits = awaits

    def enter(self, operation: str, key: str) -> None:
        super().enter(operation, key)
        if operation == "answer":
            self._awaits()


def _many(world: Carrying, count: int, size: int) -> list[Bottle]:
    made = []
    for number in range(count):
        content = number.to_bytes(4, "big") * (size // 4)
        world.blobs.publish(content)
        made.append(bottle(f"formula-{number}", tag="arm64_sonoma", content=content))
    return made


@pytest.mark.parametrize("slots", [1, 2, 10])
@pytest.mark.parametrize("size", [4_000, BUFFER_BYTES + 64])
def test_downloads_go_on_while_the_store_holds_its_answers(slots: int, size: int) -> None:
    blobs = CountingBlobs()
    # As many as there are threads: all but the last wait for the store when it begins.
    wanted = copy_threads(slots)

    def until_all_have_begun() -> None:
        with blobs.changed:
            assert blobs.changed.wait_for(lambda: blobs.begun >= wanted, _PATIENCE_S)

    world = Carrying(blobs=blobs, store=HoldingStore(until_all_have_begun))
    bottles = _many(world, wanted, size)
    done = world.copy(*map(fetch, bottles), workers=wanted, slots=slots)
    assert (done.stored, done.failed, done.left) == (wanted, [], 0)
    assert blobs.most <= slots
    assert world.recorded() == sorted(item.key(DATE) for item in bottles)


@pytest.mark.parametrize("slots", [1, 3])
def test_upstream_never_sends_more_bodies_than_there_are_slots(slots: int) -> None:
    blobs = CountingBlobs()
    threads = copy_threads(slots)
    seen: list[int] = []

    def fill_the_slots() -> None:
        # Every slot is taken before a body comes; nobody beyond them is let in meanwhile.
        with blobs.changed:
            assert blobs.changed.wait_for(lambda: seen or blobs.under_way == slots, _PATIENCE_S)
            seen.append(blobs.under_way)
            blobs.changed.notify_all()

    world = Carrying(blobs=blobs)
    bottles = _many(world, 3 * threads, 4_000)
    for item in bottles:
        again = UpstreamInterrupted("connection reset")
        blobs.script(item, Act(error=again), Act(on_read=fill_the_slots, breaks_after=1_000))
    world.store.fail("commit", *[StoreUnavailable("503")] * threads)
    done = world.copy(*map(fetch, bottles), workers=threads, slots=slots, attempts=50)
    assert (done.stored, done.failed) == (len(bottles), [])
    assert blobs.begun >= 3 * len(bottles)
    assert max(seen) == slots
    assert blobs.most == slots


def test_a_bottle_that_waits_for_its_turn_is_left_when_the_stop_signal_comes() -> None:
    blobs = CountingBlobs()
    world = Carrying(blobs=blobs)
    bottles = _many(world, 4, 4_000)
    blobs.script(bottles[0], Act(on_read=world.stop.set))
    done = world.copy(*map(fetch, bottles), workers=4, slots=1)
    # Whoever has begun finishes; whoever waits has not begun.
    assert done.stored + done.left == 4
    assert (done.failed, done.left) == ([], 3)
    assert blobs.begun == 1


def test_who_waits_for_a_turn_hears_that_it_is_wanted_no_more() -> None:
    slots = DownloadSlots(1)
    ended = threading.Event()
    slots.take(ended.is_set)
    with pytest.raises(TransferStopped):
        slots.take(lambda: ended.set() or True)  # type: ignore[func-returns-value]
    slots.give()
    # It was given back, and who need not wait is let in.
    slots.take(ended.is_set)


def test_threads_and_so_buffers_are_bounded() -> None:
    assert copy_threads(1) == 1 + LEAST_BESIDE
    assert copy_threads(10) == 20
    assert copy_threads(256) == 256 + MOST_BESIDE
    # Processes that share the slots share those beside them: together they are no more than one would have.
    for slots in (1, 8, 10, 256):
        for count in (1, 2, 4):
            shares = [slots // count + (number < slots % count) for number in range(min(count, slots))]
            together = sum(copy_threads(own, processes=len(shares)) for own in shares)
            assert slots + len(shares) <= together <= copy_threads(slots)
