"""Every fault of the simulated upstream, alone and mixed: right end state, named failures, exit code."""

import json
import random
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from brew_assets.simulator import Fault, Simulator, SizeDistribution, World
from brew_assets_tests.integration.mirrors import DirectoryMirror, MirrorUnderTest, assert_consistent

SOON = format_datetime(datetime.now(UTC), usegmt=True)
# Faults that heal within the tries of one bottle, and what they are.
HEALING: dict[str, list[Fault]] = {
    "breaks off in the middle": [Fault.break_after(1_500)],
    "breaks off again and again": [Fault.break_after(700, times=2), Fault.break_after(2_000, times=2)],
    "one wrong byte once": [Fault.wrong_bytes()],
    "truncated once": [Fault.truncated(300)],
    "429 with seconds": [Fault.too_many_requests("1")],
    "429 with a date": [Fault.too_many_requests(SOON)],
    "429 with a Go duration": [Fault.too_many_requests("880.092µs")],
    "429 with a Go duration in the body": [Fault.too_many_requests(None, in_body="880.092µs")],
    "429 that names nothing": [Fault.too_many_requests(None)],
    "a burst of 500": [Fault.server_error(500, times=3)],
    "503 and 502": [Fault.server_error(503, times=1), Fault.server_error(502, times=1)],
    "416 on resume": [Fault.break_after(1_000), Fault.range_not_satisfiable()],
    "a server that ignores ranges": [Fault.break_after(1_000), Fault.ignores_range()],
    "slow": [Fault.slow(20_000)],
    "stalls": [Fault.stalls_after(500)],
    "a page once": [Fault.html_page()],
    "an expired token": [Fault.unauthorized()],
    "an index without the digest once": [Fault.index_lacks_digest(times=1)],
    "an index without the size": [Fault.index_lacks_size()],
}
# Faults that do not heal, and the reason that the report must name.
FAILING: dict[str, tuple[list[Fault], str]] = {
    "404": ([Fault.not_found()], "not found"),
    "wrong bytes for ever": ([Fault.wrong_bytes(times=None)], "digest mismatch"),
    "truncated for ever": ([Fault.truncated(300, times=None)], "size mismatch"),
    "500 for ever": ([Fault.server_error(500, times=None)], "upstream failed"),
    "429 for ever": ([Fault.too_many_requests("1", times=None)], "rate limited"),
    "a page for ever": ([Fault.html_page(times=None)], "content mismatch"),
    "401 for ever": ([Fault.unauthorized(times=None)], "unauthorized"),
    "a redirect to a host that is not configured": (
        [Fault.redirects_to("https://attacker.example/blob", times=None)],
        "host refused",
    ),
}
BAD = "jq-1.8.1.arm64_sonoma.bottle.tar.gz"


def _world() -> World:
    world = World(seed=41, sizes=SizeDistribution.fixed(6_000))
    world.publish("jq", "1.8.1", tags=["arm64_sonoma"])
    for formula in ("wget", "ripgrep", "openssl@3", "libsigc++"):
        world.publish(formula, "1.0", tags=["arm64_sonoma"])
    return world


@pytest.mark.parametrize("fault", HEALING)
def test_a_passing_fault_heals(fault: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    mirror = DirectoryMirror(tmp_path_factory.mktemp("mirror") / "mirror")
    with Simulator(_world()) as upstream:
        upstream.fault(BAD, *HEALING[fault])
        patience_s = "1.5" if fault == "stalls" else "20"
        report = mirror.sync(upstream, "--platform", "arm64_sonoma", DOWNLOAD_TIMEOUT_SECONDS=patience_s)
        assert (report["outcome"], report["stored"], report["failed"]) == ("success", 5, [])
        assert_consistent(mirror, upstream)
        assert len(mirror.entries()) == 5
        assert upstream.violations == []


@pytest.mark.parametrize("fault", FAILING)
def test_a_lasting_fault_fails_its_bottle_by_name_and_no_other(
    fault: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    mirror = DirectoryMirror(tmp_path_factory.mktemp("mirror") / "mirror")
    faults, reason = FAILING[fault]
    with Simulator(_world()) as upstream:
        upstream.fault(BAD, *faults)
        done = mirror.run(upstream, "sync", "--json", "--platform", "arm64_sonoma")
        assert done.returncode == 1, done.stderr
        report = json.loads(done.stdout)
        assert report["outcome"] == "partial"
        assert [(failure["name"], failure["reason"]) for failure in report["failed"]] == [(BAD, reason)]
        assert BAD in report["failed"][0]["message"]
        assert_consistent(mirror, upstream)
        assert len(mirror.entries()) == 4
        if reason not in ("host refused", "unauthorized"):
            upstream.clear_faults()
        # Nothing about the failure is remembered: the next sync tries again.
        again = mirror.run(upstream, "sync", "--json", "--platform", "arm64_sonoma")
        assert json.loads(again.stdout)["planned"] == 1


def test_a_bottle_that_never_comes_is_reported_with_the_limit_and_the_tries(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    mirror = DirectoryMirror(tmp_path_factory.mktemp("mirror") / "mirror")
    with Simulator(_world()) as upstream:
        # No byte is gained: a try that brings some starts the count of the tries anew.
        upstream.fault(BAD, Fault.stalls_after(0, times=None))
        done = mirror.run(
            upstream,
            *("sync", "--json", "--platform", "arm64_sonoma"),
            DOWNLOAD_TIMEOUT_SECONDS="1.5",
            RETRY_ATTEMPTS="2",
        )
        assert done.returncode == 1, done.stderr
        (failed,) = json.loads(done.stdout)["failed"]
    assert (failed["name"], failed["reason"], failed["retries"]) == (BAD, "timed out", 2)
    assert failed["message"] == f"{BAD}: connection timeout after 1.5 seconds"


def test_three_hundred_bottles_with_mixed_faults_end_as_promised(mirror: MirrorUnderTest) -> None:
    draw = random.Random(42)
    sizes = SizeDistribution.lognormal(median_bytes=5_000, p90_bytes=60_000, max_bytes=2_500_000)
    world = World(seed=42, sizes=sizes)
    bottles = [world.publish(f"formula-{number}", "1.0", tags=["arm64_sonoma"])[0] for number in range(300)]
    healing = [
        faults for name, faults in HEALING.items() if name not in ("slow", "stalls", "429 with seconds")
    ]
    failing = [pair for name, pair in FAILING.items() if name != "429 for ever"]
    expected: dict[str, str] = {}
    with Simulator(world) as upstream:
        for bottle in draw.sample(bottles, 150):
            if draw.random() < 0.2:
                faults, expected[bottle.filename] = draw.choice(failing)
            else:
                faults = draw.choice(healing)
            upstream.fault(bottle.filename, *faults)
        done = mirror.run(
            upstream, "sync", "--json", "--platform", "arm64_sonoma", RETRY_DELAY_SECONDS="0.01"
        )
        assert done.returncode == 1, done.stderr
        report = json.loads(done.stdout)
        assert {failure["name"]: failure["reason"] for failure in report["failed"]} == expected
        assert report["stored"] == 300 - len(expected)
        assert_consistent(mirror, upstream)
        stored = {entry.s3_key.split("/")[1] for entry in mirror.entries().values()}
        assert stored == {bottle.filename for bottle in bottles} - expected.keys()
        upstream.clear_faults()
        assert mirror.sync(upstream, "--platform", "arm64_sonoma")["stored"] == len(expected)


def test_a_registry_that_is_down_fails_every_bottle_and_ends_soon(mirror: MirrorUnderTest) -> None:
    world = _world()
    with Simulator(world) as upstream:
        for bottle in world.bottles:
            upstream.fault(bottle.filename, Fault.server_error(500, times=None))
        done = mirror.run(upstream, "sync", "--platform", "arm64_sonoma")
        assert done.returncode == 1
        assert "5 bottles failed" in done.stdout
        assert "upstream failed" in done.stdout
        assert mirror.bottle_keys() == []


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (lambda data: data.replace(b'"sha256":"', b'"sha256":"0', 1), "bytes changed"),
        (lambda data: data[: len(data) // 2], "damaged or missing"),
        (lambda data: b"", "empty file"),
        (lambda data: b'{"bottles": {}}', "no `integrity` field"),
        (lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:], "bytes changed"),
    ],
    ids=["inside a digest", "truncated", "empty", "wrong schema", "one byte"],
)
def test_a_damaged_manifest_stops_the_sync_names_the_remedy_and_the_remedies_work(
    mirror: MirrorUnderTest, damage: object, finding: str
) -> None:
    with Simulator(World.generate(seed=43, formulae=6)) as upstream:
        mirror.sync(upstream)
        entries = mirror.entries()
        assert callable(damage)
        damaged = damage(mirror.read("bottles_hash.json"))
        mirror.write("bottles_hash.json", damaged)
        done = mirror.run(upstream, "sync")
        assert done.returncode == 2
        assert finding in done.stderr
        assert "brew-mirror manifest" in done.stderr
        assert mirror.read("bottles_hash.json") == damaged
        assert mirror.run(upstream, "manifest", "rebuild").returncode == 0
        assert mirror.entries() == entries
