"""Repairs beside syncs, and answers that are lost, in real processes and against a real S3 server."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from brew_assets.compose.store import build_store
from brew_assets.domain.bottle import Bottle
from brew_assets.domain.manifest import Manifest, decode_manifest
from brew_assets.domain.object_keys import BACKUP_PREFIX, MANIFEST_KEY
from brew_assets.engine.clock import SystemClock
from brew_assets.engine.ports import Store
from brew_assets.engine.record.fold import fold
from brew_assets.engine.record.journal import RECEIPT_PREFIX, REJECTED_PREFIX, Journal
from brew_assets.engine.record.rebuild import rebuild_manifest, restore_manifest
from brew_assets.settings import read_settings
from brew_assets.simulator import Simulator, World
from brew_assets_tests.integration.mirrors import BucketMirror, MirrorUnderTest, assert_complete
from brew_assets_tests.quirky_s3 import Quirk, QuirkyS3, Seen, quirky_s3
from brew_assets_tests.servers import S3Server
from brew_assets_tests.worlds import DATE, bottle, receipt

ROUNDS = 1
FOLDS = 12


def test_what_a_sync_reports_as_done_is_in_the_manifest_whatever_repairs_ran_beside_it(
    mirror: MirrorUnderTest,
) -> None:
    world = World(seed=41)
    with Simulator(world) as upstream, ThreadPoolExecutor(2) as pool:
        world.publish("first", "1.0", tags=["arm64_sonoma"])
        mirror.sync(upstream)
        for turn in range(ROUNDS):
            for number in range(6):
                world.publish(f"formula-{number}", f"1.{turn}", tags=["arm64_sonoma", "arm64_tahoe"])
            sync = mirror.start(upstream, "sync", "--json", BATCH_SIZE="2")

            def repair(name: str, sync: "subprocess.Popen[str]" = sync) -> None:
                """Again and again: the last one ends after the sync."""
                while sync.poll() is None:
                    done = mirror.run(upstream, "manifest", name)
                    assert done.returncode == 0, done.stderr

            repairs = [pool.submit(repair, name) for name in ("restore", "rebuild")]
            _, errors = sync.communicate(timeout=120)
            assert sync.returncode == 0, errors
            for running in repairs:
                running.result(120)
            assert_complete(mirror, upstream)


def _stored(store: Store, number: int) -> Bottle:
    """A bottle that stands in the store, unrecorded."""
    content = f"writer/{number}".encode()
    item = bottle(f"writer{number:03}", content=content)
    sink = store.receive(item, date=DATE, size=len(content))
    sink.write(memoryview(content))
    sink.commit()
    return item


def _note(store: Store, number: int, item: Bottle) -> None:
    journal = Journal(store, SystemClock(), sync_id=f"20260822T030000Z-{number:08}")
    journal.add([receipt(item, size=len(f"writer/{number}"))])
    journal.flush()


def _recorded(store: Store) -> set[str]:
    document = store.read(MANIFEST_KEY)
    return set(decode_manifest(document.data).keys()) if document else set()


def _folds(store: Store, ended: threading.Event) -> set[str]:
    """The entry keys that were folded and not in the manifest afterwards."""
    done: set[str] = set()
    lost: set[str] = set()
    try:
        for number in range(FOLDS):
            item = _stored(store, number)
            _note(store, number, item)
            fold(store, SystemClock())
            done.add(item.entry_key)
            lost |= done - _recorded(store)
    finally:
        ended.set()
    return lost


def _until(ended: threading.Event, act: Callable[[], object]) -> int:
    """How often the act was done before the end."""
    times = 0
    while not ended.is_set():
        act()
        times += 1
    return times


def test_folds_beside_repairs_lose_nothing(mirror: MirrorUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in mirror.settings.items():
        monkeypatch.setenv(name, value)
    first, second, third = (build_store(read_settings()) for _ in range(3))
    first.prepare()
    empty = bytes(Manifest().encode(last_updated=f"{DATE}T03:00:00Z"))
    first.write(f"{BACKUP_PREFIX}2026-01-01T000000.000000Z.json", empty)
    ended, clock = threading.Event(), SystemClock()
    with ThreadPoolExecutor(3) as pool:
        lost = pool.submit(_folds, first, ended)
        rebuilds = pool.submit(_until, ended, lambda: rebuild_manifest(second, clock, workers=2))
        restores = pool.submit(_until, ended, lambda: restore_manifest(third, clock, workers=2))
        assert lost.result(120) == set()
        assert rebuilds.result(60) > 0
        assert restores.result(60) > 0


# Lost answers


@pytest.fixture
def lossy(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[QuirkyS3, Store]]:
    """A mirror in a bucket: of every write of a document it is the first answer that is lost."""
    with quirky_s3(s3) as front:
        for name, value in front.environment(front.new_prefix()).items():
            monkeypatch.setenv(name, value)
        store = build_store(read_settings())
        tried: set[tuple[str, str]] = set()

        def is_first_try(request: Seen) -> bool:
            condition = (request.key, request.headers.get("if-match", ""))
            is_new = condition not in tried
            tried.add(condition)
            return is_new and not request.key.endswith(".tar.gz")

        front.add(Quirk(method="PUT", matches=is_first_try, loses_answer=True))
        yield front, store
        store.close()


REPAIRS: dict[str, Callable[[Store], object]] = {
    "fold": lambda store: fold(store, SystemClock()),
    "rebuild": lambda store: rebuild_manifest(store, SystemClock(), workers=2),
    "restore": lambda store: restore_manifest(store, SystemClock()),
}


@pytest.mark.parametrize("name", REPAIRS)
def test_of_a_write_whose_answer_is_lost_the_object_is_known_as_ones_own(
    lossy: tuple[QuirkyS3, Store], name: str
) -> None:
    front, store = lossy
    items = [_stored(store, number) for number in range(3)]
    for number in range(2):
        _note(store, number, items[number])
        fold(store, SystemClock())
    front.seen.clear()
    _note(store, 2, items[2])
    REPAIRS[name](store)
    fold(store, SystemClock())
    assert _recorded(store) == {item.entry_key for item in items}
    written = [request.key for request in front.seen if request.method == "PUT"]
    # A backup and a manifest, of the repair and of the fold, each tried twice.
    assert sum(BACKUP_PREFIX in key for key in written) <= 4
    assert sum(key.endswith(f"/{MANIFEST_KEY}") for key in written) <= 4
    assert len(front.seen) <= 60


# Through the command line


def test_bit_rot_then_a_rebuild_then_a_repair_leaves_nothing_damaged(mirror: MirrorUnderTest) -> None:
    with Simulator(World.generate(seed=42, formulae=6)) as upstream:
        mirror.sync(upstream)
        rotten = mirror.bottle_keys()[::3]
        for key in rotten:
            data = bytearray(mirror.read(key))
            data[len(data) // 2] ^= 1
            mirror.write(key, bytes(data))
        rebuilt = mirror.run(upstream, "manifest", "rebuild")
        assert rebuilt.returncode == 0, rebuilt.stderr
        for key in rotten:
            assert f"Damaged: {key}: " in rebuilt.stdout
        repaired = mirror.run(upstream, "verify", "--deep", "--repair")
        assert repaired.returncode == 0, repaired.stdout + repaired.stderr
        assert_complete(mirror, upstream)
        mirror.sync(upstream)


def test_a_rebuild_is_the_way_out_of_a_damaged_receipt(mirror: MirrorUnderTest) -> None:
    with Simulator(World.generate(seed=43, formulae=6)) as upstream:
        mirror.sync(upstream)
        key = f"{RECEIPT_PREFIX}20260101T000000Z-00000000/a.json"
        mirror.write(key, b'[{"key":"x"}]')
        before = upstream.downloads.total()
        for command in (["sync"], ["status"], ["verify"], ["manifest", "restore"]):
            refused = mirror.run(upstream, *command)
            assert refused.returncode == 2, command
            assert key in refused.stderr, command
            assert "manifest rebuild" in " ".join(refused.stderr.split()), command
        rebuilt = mirror.run(upstream, "manifest", "rebuild")
        assert rebuilt.returncode == 0, rebuilt.stderr
        assert f"Left out {key}: " in rebuilt.stdout
        assert key.replace(RECEIPT_PREFIX, f"{REJECTED_PREFIX}receipts/") in mirror.keys()
        mirror.sync(upstream)
        assert_complete(mirror, upstream)
        assert upstream.downloads.total() == before


def test_a_restore_says_what_the_manifest_before_had_and_it_has_not(s3: S3Server) -> None:
    mirror = BucketMirror(s3)
    world = World(seed=44)
    with Simulator(world) as upstream:
        for name in ("first", "second", "third"):
            world.publish(name, "1.0", tags=["arm64_sonoma"])
            mirror.sync(upstream)
        gone = next(key for key in mirror.bottle_keys() if "third" in key)
        mirror.remove(gone)
        restored = mirror.run(upstream, "manifest", "restore")
        assert "1 entries of the manifest before are not among them" in restored.stdout
        assert "third-1.0-arm64_sonoma" in restored.stdout
        mirror.write(MANIFEST_KEY, b"damaged")
        restored = mirror.run(upstream, "manifest", "restore")
        assert "The manifest before could not be read" in restored.stdout
        mirror.sync(upstream)
        assert_complete(mirror, upstream)
