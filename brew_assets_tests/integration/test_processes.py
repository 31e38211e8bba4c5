"""A large transfer of the command line in several processes: the same promises, whoever is killed."""

import json
import os
import sys

import psutil
import pytest

from brew_assets.engine.planner import make_plan
from brew_assets.engine.process_copier import BOTTLES_PER_PROCESS
from brew_assets.engine.record.stored_names import STORED_SUFFIX
from brew_assets.simulator import Fault, Simulator, SizeDistribution, World
from brew_assets_tests.integration.mirrors import BucketMirror, MirrorUnderTest, assert_consistent
from brew_assets_tests.local_aws.session import wait_for
from brew_assets_tests.quirky_s3 import Quirk, quirky_s3
from brew_assets_tests.servers import S3Server

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2,
    reason="transfers are shared by processes only on Linux with two cores or more",
)
BOTTLES = 160
METHODS = ("GET", "PUT", "HEAD", "POST", "DELETE")


def _world(bottles: int = BOTTLES) -> World:
    world = World(seed=61, sizes=SizeDistribution.fixed(60_000))
    for number in range(bottles):
        world.publish(f"formula-{number}", "1.0", tags=["arm64_sonoma"])
    return world


def _children(parent: int) -> list[psutil.Process]:
    """The processes of a transfer under way; waits until there are two."""
    return wait_for(
        lambda: found if len(found := psutil.Process(parent).children()) >= 2 else None,
        what="two processes that share the transfer",
        timeout_s=90,
    )


def _slow(upstream: Simulator) -> None:
    """Every bottle takes long enough for somebody to be killed."""
    for bottle in upstream.world.bottles:
        upstream.fault(bottle.filename, Fault.slow(200_000, times=1))


def test_processes_share_a_transfer_and_every_bottle_is_fetched_once(mirror: MirrorUnderTest) -> None:
    with Simulator(_world()) as upstream:
        report = mirror.sync(upstream, "--platform", "arm64_sonoma", MAX_TRANSFER_PROCESSES="2")
        assert (report["stored"], report["downloaded"], report["left"]) == (BOTTLES, BOTTLES, 0)
        assert report["bytes_downloaded"] == sum(bottle.size for bottle in upstream.world.bottles)
        assert max(upstream.downloads.values()) == 1
        assert len(mirror.entries()) == BOTTLES
        assert_consistent(mirror, upstream)
        # Each process says what it stored; together they claim all of it.
        said = [json.loads(mirror.read(key))["names"] for key in mirror.keys() if key.endswith(STORED_SUFFIX)]
        assert len(said) == 2
        assert sorted(name for names in said for name in names) == sorted(mirror.entries())


@pytest.mark.parametrize("limit", [1, 3])
def test_all_processes_together_download_no_more_at_a_time_than_is_allowed(
    mirror: MirrorUnderTest, limit: int
) -> None:
    with Simulator(_world(2 * BOTTLES_PER_PROCESS)) as upstream:
        # The first bodies of whoever may begin overlap: each is held for half a second.
        for bottle in list(upstream.world.bottles)[:: 2 * BOTTLES_PER_PROCESS // 8]:
            upstream.fault(bottle.filename, Fault.slow(120_000, times=1))
        before = upstream.connections
        settings = {"MAX_TRANSFER_PROCESSES": "2", "MAX_CONCURRENT_DOWNLOADS": str(limit), "PUBLISH": "off"}
        report = mirror.sync(upstream, "--platform", "arm64_sonoma", **settings)
        assert (report["stored"], report["failed"]) == (2 * BOTTLES_PER_PROCESS, [])
        assert upstream.most_bodies <= limit
        # One for the catalogue, and for each download at a time one to the registry and one to the CDN; the
        # look-ups of sizes made as many before.
        assert upstream.connections - before <= 1 + 4 * limit


def test_downloads_go_on_while_a_bucket_holds_its_answers(s3: S3Server) -> None:
    slots, begun = 2, 8

    with quirky_s3(s3) as front, Simulator(_world(20)) as upstream:

        def hold(answer: bytes) -> bytes:
            wait_for(lambda: len(upstream.downloads) >= begun, what="further downloads", timeout_s=60)
            return answer

        front.add(Quirk(method="PUT", key=".tar.gz", spoils=hold))
        report = BucketMirror(front).sync(
            upstream,
            *("--platform", "arm64_sonoma"),
            MAX_CONCURRENT_DOWNLOADS=str(slots),
            DOWNLOAD_TIMEOUT_SECONDS="90",
            RETRY_ATTEMPTS="0",
        )
        assert (report["stored"], report["downloaded"], report["failed"]) == (20, 20, [])
        assert upstream.most_bodies <= slots


def test_a_killed_child_ends_the_run_and_the_next_one_fetches_only_what_is_missing(
    mirror: MirrorUnderTest,
) -> None:
    with Simulator(_world()) as upstream:
        _slow(upstream)
        process = mirror.start(upstream, "sync", "--platform", "arm64_sonoma", MAX_TRANSFER_PROCESSES="2")
        _children(process.pid)[0].kill()
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 2
        assert "ended without a result: it was killed by SIGKILL" in errors
        assert "Traceback" not in errors
        assert_consistent(mirror, upstream)
        upstream.clear_faults()
        whole = set(mirror.digests().values())
        before = upstream.downloads.copy()
        mirror.sync(upstream, "--platform", "arm64_sonoma")
        assert len(mirror.entries()) == BOTTLES
        assert not {digest for digest in whole if upstream.downloads[digest] > before[digest]}


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_store_that_goes_away_is_one_error_of_ours(s3: S3Server, processes: str) -> None:
    with quirky_s3(s3) as front, Simulator(_world(2 * BOTTLES_PER_PROCESS)) as upstream:
        _slow(upstream)
        mirror = BucketMirror(front)
        settings = {"MAX_TRANSFER_PROCESSES": processes, "RETRY_ATTEMPTS": "0"}
        # Whoever finds the store gone waits a little and asks again.
        settings["MAX_CONCURRENT_DOWNLOADS"] = "60"
        process = mirror.start(upstream, "sync", "--platform", "arm64_sonoma", **settings)
        wait_for(lambda: upstream.completed.total() > 10, what="the first bottles", timeout_s=90)
        front.add(*(Quirk(method=method, loses_answer=True) for method in METHODS))
        _, errors = process.communicate(timeout=200)
        front.clear()
        assert process.returncode == 2
        assert "Traceback" not in errors
        assert "without a result" not in errors
        assert errors.count("Error: ") == 1, errors
        assert "RemoteDisconnected" in errors
        assert_consistent(mirror, upstream)
        # Nothing that was stored is downloaded again.
        upstream.clear_faults()
        whole, before = set(mirror.digests().values()), upstream.downloads.copy()
        mirror.sync(upstream, "--platform", "arm64_sonoma")
        assert not {digest for digest in whole if upstream.downloads[digest] > before[digest]}


def test_children_end_with_their_parent(mirror: MirrorUnderTest) -> None:
    with Simulator(_world()) as upstream:
        _slow(upstream)
        process = mirror.start(upstream, "sync", "--platform", "arm64_sonoma", MAX_TRANSFER_PROCESSES="2")
        children = _children(process.pid)
        process.kill()
        process.communicate(timeout=60)
        _, alive = psutil.wait_procs(children, timeout=30)
        assert alive == []
        assert_consistent(mirror, upstream)


def test_sigterm_reaches_every_process_and_their_receipts_are_written(mirror: MirrorUnderTest) -> None:
    with Simulator(_world()) as upstream:
        _slow(upstream)
        process = mirror.start(
            upstream, "sync", "--json", "--platform", "arm64_sonoma", MAX_TRANSFER_PROCESSES="2"
        )
        _children(process.pid)
        process.terminate()
        output, errors = process.communicate(timeout=100)
        assert process.returncode == 1, errors
        assert '"outcome": "stopped"' in output
        assert len(mirror.entries()) == len(mirror.bottle_keys())
        assert_consistent(mirror, upstream)


def test_a_stop_signal_before_the_processes_start_copies_nothing(
    mirror: MirrorUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brew_assets.compose.mirror import build_mirror, build_process_copier
    from brew_assets.domain.plan import Request
    from brew_assets.engine.clock import GracefulStop
    from brew_assets.settings import read_settings

    with Simulator(_world()) as upstream:
        for name, value in mirror.environment(upstream, MAX_TRANSFER_PROCESSES="2").items():
            monkeypatch.setenv(name, value)
        stop = GracefulStop()
        settings = read_settings()
        built = build_mirror(settings, stop=stop)
        plan = make_plan(built, Request(platforms=("arm64_sonoma",)), sizes=False).plan
        stop.set()
        report, _ = built.sync(plan, copier=build_process_copier(settings, built))
        assert (report.outcome, report.stored, report.left) == ("stopped", 0, BOTTLES)
        assert upstream.downloads.total() == 0
