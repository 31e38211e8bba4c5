"""Several writers at once: the union, and hardly a digest twice."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from brew_assets.compose.store import build_store
from brew_assets.domain.bottle import Bottle, Digest, PkgVersion, blob_url
from brew_assets.domain.manifest import Receipt, decode_manifest, entry_for
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.engine.clock import SystemClock
from brew_assets.engine.ports import Store
from brew_assets.engine.record.fold import fold
from brew_assets.engine.record.journal import RECEIPT_PREFIX, Journal
from brew_assets.settings import read_settings
from brew_assets.simulator import Simulator, SizeDistribution, World
from brew_assets_tests.integration.mirrors import (
    PLATFORMS,
    BucketMirror,
    DirectoryMirror,
    MirrorUnderTest,
    assert_complete,
)
from brew_assets_tests.servers import S3Server

FOLD_RACES = 200


def test_the_syncs_of_three_platforms_at_once_end_with_the_union(mirror: MirrorUnderTest) -> None:
    sizes = SizeDistribution.lognormal(median_bytes=8_000, p90_bytes=60_000, max_bytes=600_000)
    world = World.generate(seed=31, formulae=250, sizes=sizes, all_share=0.3, shared_digest_share=0.3)
    with Simulator(world) as upstream:
        plan = json.loads(mirror.run(upstream, "plan", "--json").stdout)
        processes = [
            mirror.start(upstream, "sync", "--json", "--plan", plan["sync_id"], "--run-of", platform)
            for platform in PLATFORMS
        ]
        reports = []
        # All at once: whoever is not read from stops at a full pipe.
        with ThreadPoolExecutor(len(processes)) as readers:
            printed = list(readers.map(lambda process: process.communicate(timeout=240), processes))
        for process, (output, errors) in zip(processes, printed, strict=True):
            assert process.returncode == 0, errors
            reports.append(json.loads(output))
        assert_complete(mirror, upstream)
        repeated = sum(count - 1 for count in upstream.downloads.values())
        assert repeated <= 0.02 * len(upstream.downloads), f"{repeated} of {len(upstream.downloads)}"
        assert all(report["stored"] > 0 for report in reports)
        assert not [key for key in mirror.keys() if key.startswith(RECEIPT_PREFIX)]


def test_three_syncs_that_know_nothing_of_each_other_end_with_the_union(
    mirror: MirrorUnderTest,
) -> None:
    with Simulator(World.generate(seed=32, formulae=30)) as upstream:
        processes = [mirror.start(upstream, "sync", "--platform", platform) for platform in PLATFORMS]
        for process in processes:
            _, errors = process.communicate(timeout=240)
            assert process.returncode == 0, errors
        assert_complete(mirror, upstream)


def _bottle(number: int) -> Bottle:
    digest = f"{number:064x}"
    return Bottle(
        formula=f"formula-{number}",
        pkg_version=PkgVersion("1.0"),
        tag="arm64_sonoma",
        digest=Digest(digest),
        url=blob_url(f"formula-{number}", digest),
    )


def _fold_side_by_side(stores: list[Store], tries: int) -> None:
    """Every try: each writer has new receipts, all fold at the same time, and nothing may be lost."""
    clock = SystemClock()
    expected: set[str] = set()
    for number in range(tries):
        start = threading.Barrier(len(stores))
        errors: list[BaseException] = []

        def work(
            store: Store,
            writer: int,
            start: threading.Barrier = start,
            number: int = number,
            errors: list[BaseException] = errors,
        ) -> None:
            try:
                bottle = _bottle(number * len(stores) + writer)
                journal = Journal(store, clock, sync_id=f"writer-{writer}")
                entry = entry_for(bottle, date="2026-11-22", size=1)
                journal.add([Receipt(key=bottle.entry_key, entry=entry)])
                journal.flush()
                start.wait(30)
                fold(store, clock)
            except BaseException as exc:  # shown by the test
                errors.append(exc)

        threads = [threading.Thread(target=work, args=(store, writer)) for writer, store in enumerate(stores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert errors == []
        expected |= {_bottle(number * len(stores) + writer).entry_key for writer in range(len(stores))}
        document = stores[0].read(MANIFEST_KEY)
        assert document is not None
        assert set(decode_manifest(document.data).keys()) == expected, f"try {number}"
        assert list(stores[0].listing(RECEIPT_PREFIX)) == []


def test_two_folds_at_once_lose_nothing_in_a_directory(tmp_path: Path) -> None:
    mirror = DirectoryMirror(tmp_path / "mirror")
    stores = [build_store(read_settings(mirror.settings)) for _ in range(2)]
    stores[0].prepare()
    _fold_side_by_side(stores, FOLD_RACES)


@pytest.mark.timeout(300)
def test_two_folds_at_once_lose_nothing_in_a_bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = BucketMirror(s3)
    for name, value in mirror.settings.items():
        monkeypatch.setenv(name, value)
    _fold_side_by_side([build_store(read_settings()) for _ in range(2)], FOLD_RACES)
