"""What a store refuses, loses or spoils, as its operator sees it: counts, names and exit codes."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from brew_assets.domain.object_keys import parse_key
from brew_assets.engine.transfer.verdicts import CANARY_KEY
from brew_assets.simulator import Fault, Simulator, SizeDistribution, World
from brew_assets_tests.integration.mirrors import (
    PROGRAM,
    BucketMirror,
    DirectoryMirror,
    MirrorUnderTest,
    assert_consistent,
)
from brew_assets_tests.quirky_s3 import Quirk, QuirkyS3, quirky_s3
from brew_assets_tests.servers import S3Server

BOTTLES = 200
OF_EACH_KIND = 3


@pytest.fixture
def front(s3: S3Server) -> Iterator[QuirkyS3]:
    with quirky_s3(s3) as running:
        yield running


@pytest.fixture
def bucket(front: QuirkyS3) -> BucketMirror:
    """A mirror in a bucket behind the front."""
    mirror = BucketMirror(front)
    # Fewer seconds until a server that never answers is given up.
    mirror.settings |= {"RETRY_ATTEMPTS": "1", "LOG_LEVEL": "WARNING"}
    return mirror


def world(count: int, *, seed: int = 51) -> World:
    """So many formulae, each with a bottle of its own."""
    made = World(
        seed=seed, sizes=SizeDistribution.lognormal(median_bytes=3_000, p90_bytes=20_000, max_bytes=60_000)
    )
    for number in range(count):
        made.publish(f"formula-{number:03}", "1.0", tags=["arm64_sonoma"])
    return made


def sync(mirror: MirrorUnderTest, upstream: Simulator) -> tuple[int, dict[str, object]]:
    """Exit code and report."""
    done = mirror.run(upstream, "sync", "--json", "--platform", "arm64_sonoma")
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else {}


# -- a sync ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [(403, "AccessDenied"), (413, ""), (400, "KeyTooLongError"), (500, "")])
def test_one_refused_bottle_ends_with_exit_code_1_and_hinders_no_other(
    bucket: BucketMirror, front: QuirkyS3, answer: tuple[int, str]
) -> None:
    odd = "formula-007-1.0.arm64_sonoma.bottle.tar.gz"
    front.add(Quirk(method="PUT", key=odd, status=answer[0], code=answer[1]))
    with Simulator(world(30)) as upstream:
        code, report = sync(bucket, upstream)
        assert (code, report["outcome"], report["stored"]) == (1, "partial", 29)
        assert (report["new"], report["found"]) == (29, 0)
        assert [failure["name"] for failure in report["failed"]] == [odd]  # type: ignore[attr-defined]
        upstream.world.publish("later", "1.0", tags=["arm64_sonoma"])
        code, report = sync(bucket, upstream)
        assert (code, report["stored"], len(bucket.entries())) == (1, 1, 30)
        front.clear()
        assert sync(bucket, upstream)[0] == 0
        assert_consistent(bucket, upstream)
        assert len(bucket.entries()) == 31


def test_a_file_that_is_larger_than_a_directory_takes_is_one_failed_bottle(tmp_path: Path) -> None:
    mirror = DirectoryMirror(tmp_path / "mirror")
    upstream_world = world(29)
    upstream_world.publish("large", "1.0", tags=["arm64_sonoma"], size_bytes=3_000_000)
    with Simulator(upstream_world) as upstream:
        limited = f"ulimit -f 2000; exec {PROGRAM} sync --json --platform arm64_sonoma"
        done = subprocess.run(
            ["bash", "-c", limited],
            env=mirror.environment(upstream, RETRY_ATTEMPTS="0"),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        report = json.loads(done.stdout)
        assert (done.returncode, report["outcome"], report["stored"]) == (1, "partial", 29)
        (failure,) = report["failed"]
        assert (failure["name"].partition("-")[0], failure["reason"]) == ("large", "object refused")
        assert "File too large" in failure["message"]
        assert sync(mirror, upstream)[0] == 0
        assert len(mirror.entries()) == 30


@pytest.mark.parametrize("where", ["", "date", "bottle", "receipts"])
def test_an_odd_entry_that_nobody_needs_stops_no_directory(tmp_path: Path, where: str) -> None:
    mirror = DirectoryMirror(tmp_path / "mirror")
    with Simulator(world(10)) as upstream:
        assert sync(mirror, upstream)[0] == 0
        first = mirror.bottle_keys()[0]
        folder = mirror.root / first.split("/")[0]
        if where == "bottle":
            (mirror.root / first).unlink()
        place = {"": mirror.root / "loop", "date": folder / "loop", "bottle": mirror.root / first}.get(
            where, mirror.root / "state/receipts/loop"
        )
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(place.name)
        (folder / "lost+found").mkdir()
        upstream.world.publish("later", "1.0", tags=["arm64_sonoma"])
        code, report = sync(mirror, upstream)
        assert (code, report["stored"]) == (0, 1)
        code, seen = verify(mirror, upstream)
        assert (code, seen["checked"], seen["unreadable"]) == (
            int(where == "bottle"),
            11,
            int(where == "bottle"),
        )


def test_what_stands_in_the_manifests_place_and_is_none_is_named_soon(tmp_path: Path) -> None:
    mirror = DirectoryMirror(tmp_path / "mirror")
    with Simulator(world(3)) as upstream:
        assert sync(mirror, upstream)[0] == 0
        (mirror.root / "bottles_hash.json").unlink()
        (mirror.root / "bottles_hash.json").mkdir()
        done = mirror.run(upstream, "sync", "--platform", "arm64_sonoma")
        assert done.returncode == 2
        assert "bottles_hash.json: expected a file or nothing" in done.stderr


def test_a_store_that_refuses_everything_ends_with_exit_code_2(bucket: BucketMirror, front: QuirkyS3) -> None:
    with Simulator(world(30)) as upstream:
        for key in (".tar.gz", CANARY_KEY):
            front.add(Quirk(method="PUT", key=key, status=403, code="InvalidAccessKeyId"))
        code, report = sync(bucket, upstream)
        assert (code, report["outcome"]) == (2, "failed")
        assert "InvalidAccessKeyId" in str(report["aborted"])
        front.clear()
        assert sync(bucket, upstream)[0] == 0
        assert len(bucket.entries()) == 30


# -- a verification --------------------------------------------------------------------------------------

Damage = Callable[[MirrorUnderTest, str], None]


def _gone(mirror: MirrorUnderTest, key: str) -> None:
    mirror.remove(key)


def _flipped(mirror: MirrorUnderTest, key: str) -> None:
    data = mirror.read(key)
    mirror.write(key, data[:-1] + bytes([data[-1] ^ 1]))


def _cut(mirror: MirrorUnderTest, key: str) -> None:
    mirror.write(key, mirror.read(key)[:-1])


def _longer(mirror: MirrorUnderTest, key: str) -> None:
    mirror.write(key, mirror.read(key) + b"\0")


def _zeros(mirror: MirrorUnderTest, key: str) -> None:
    mirror.write(key, bytes(len(mirror.read(key))))


def _empty(mirror: MirrorUnderTest, key: str) -> None:
    mirror.write(key, b"")


def _another_bottle(mirror: MirrorUnderTest, key: str) -> None:
    mirror.write(key, mirror.read(min(other for other in mirror.bottle_keys() if other != key)))


WRONG: dict[str, Damage] = {
    "flipped": _flipped,
    "cut": _cut,
    "longer": _longer,
    "zeros": _zeros,
    "empty": _empty,
    "another bottle": _another_bottle,
}


def hurt(mirror: MirrorUnderTest, damages: list[Damage], keys: list[str]) -> list[str]:
    """Each damage befalls three of the keys, which are taken off the list; those that were hit."""
    hit = []
    for damage in damages:
        for _ in range(OF_EACH_KIND):
            hit.append(keys.pop(len(keys) // 2))
            damage(mirror, hit[-1])
    return hit


def verify(mirror: MirrorUnderTest, upstream: Simulator, *more: str) -> tuple[int, dict[str, object]]:
    """Exit code, and counts of a deep verification."""
    done = mirror.run(upstream, "verify", "--deep", "--json", *more)
    assert "Traceback" not in done.stderr
    found = json.loads(done.stdout)
    names = ("checked", "current", "missing", "mismatch", "unreadable", "repaired", "failed", "left")
    return done.returncode, {name: found[name] for name in names} | {
        "found": {item["key"]: item["verdict"] for item in found["found"]}
    }


def assert_mended(
    mirror: MirrorUnderTest, upstream: Simulator, *, gone: list[str], wrong: list[str], unreadable: list[str]
) -> None:
    """The damage is counted exactly, without a false alarm; what can be mended is."""
    counts = {"checked": BOTTLES, "missing": len(gone), "mismatch": len(wrong), "unreadable": len(unreadable)}
    counts["current"] = BOTTLES - len(gone) - len(wrong) - len(unreadable)
    found = dict.fromkeys(gone, "MISSING") | dict.fromkeys(wrong, "MISMATCH")
    found |= dict.fromkeys(unreadable, "UNREADABLE")
    mended = {"repaired": len(gone) + len(wrong), "failed": 0, "left": 0, "found": found}
    code, seen = verify(mirror, upstream, "--repair")
    assert seen == counts | mended
    assert code == 1
    code, seen = verify(mirror, upstream, "--repair")
    assert seen["found"] == dict.fromkeys(unreadable, "UNREADABLE")
    assert (code, seen["current"], seen["repaired"]) == (1, BOTTLES - len(unreadable), 0)


@pytest.mark.timeout(600)
def test_every_kind_of_damage_in_a_directory_is_counted_and_mended(tmp_path: Path) -> None:
    mirror = DirectoryMirror(tmp_path / "mirror")
    with Simulator(world(BOTTLES)) as upstream:
        assert sync(mirror, upstream)[0] == 0
        keys = mirror.bottle_keys()
        gone, wrong = hurt(mirror, [_gone], keys), hurt(mirror, list(WRONG.values()), keys)
        # A link that leads to itself: the nearest that root finds to a file that cannot be read.
        unreadable = [keys.pop() for _ in range(OF_EACH_KIND)]
        for key in unreadable:
            (mirror.root / key).unlink()
            (mirror.root / key).symlink_to(Path(key).name)
        assert_mended(mirror, upstream, gone=gone, wrong=wrong, unreadable=unreadable)
        for key in unreadable:
            (mirror.root / key).unlink()
        assert verify(mirror, upstream, "--repair")[0] == 0
        assert verify(mirror, upstream) == (
            0,
            dict.fromkeys(("missing", "mismatch", "unreadable", "repaired", "failed", "left"), 0)
            | {"checked": BOTTLES, "current": BOTTLES, "found": {}},
        )
        assert_complete_of(mirror, upstream)


@pytest.mark.timeout(600)
def test_every_kind_of_damage_in_a_bucket_is_counted_and_mended(
    bucket: BucketMirror, front: QuirkyS3
) -> None:
    with Simulator(world(BOTTLES)) as upstream:
        assert sync(bucket, upstream)[0] == 0
        keys = bucket.bottle_keys()
        gone, wrong = hurt(bucket, [_gone], keys), hurt(bucket, list(WRONG.values()), keys)
        # Bytes that no longer fit the checksum which the server sends with them.
        for _ in range(OF_EACH_KIND):
            wrong.append(keys.pop())
            spoilt = Quirk(method="GET", key=wrong[-1], times=1, spoils=lambda data: b"\0" + data[1:])
            front.add(spoilt)
        unreadable = []
        for answer in ((403, "InvalidObjectState"), (403, "AccessDenied"), (500, "InternalError")):
            unreadable.append(keys.pop())
            front.add(Quirk(method="GET", key=unreadable[-1], status=answer[0], code=answer[1]))
        assert_mended(bucket, upstream, gone=gone, wrong=wrong, unreadable=unreadable)
        front.clear()
        code, seen = verify(bucket, upstream)
        assert (code, seen["current"]) == (0, BOTTLES)
        assert_complete_of(bucket, upstream)


def assert_complete_of(mirror: MirrorUnderTest, upstream: Simulator) -> None:
    assert_consistent(mirror, upstream)
    assert len(mirror.entries()) == BOTTLES


# -- what vanished ---------------------------------------------------------------------------------------


def test_what_vanished_is_healed_by_the_next_sync_and_said(mirror: MirrorUnderTest) -> None:
    with Simulator(world(40)) as upstream:
        assert sync(mirror, upstream)[0] == 0
        gone = mirror.bottle_keys()[5:17]
        for key in gone:
            mirror.remove(key)
        before = upstream.downloads.copy()
        done = mirror.run(upstream, "sync", "--platform", "arm64_sonoma", COLUMNS="1000")
        assert done.returncode == 0, done.stderr
        assert (
            "gone from the store (fetched again by this sync, as far as upstream has them): 12 bottles"
            in done.stdout
        )
        assert gone[0] in done.stdout
        assert (upstream.downloads - before).total() == 12
        assert verify(mirror, upstream)[0] == 0
        assert len(mirror.entries()) == 40
        done = mirror.run(upstream, "sync", "--platform", "arm64_sonoma")
        assert "gone from the store" not in done.stdout
        assert all(parse_key(entry.s3_key) for entry in mirror.entries().values())


def test_what_nobody_has_any_more_leaves_the_manifest_by_name(mirror: MirrorUnderTest) -> None:
    with Simulator(world(10)) as upstream:
        assert sync(mirror, upstream)[0] == 0
        upstream.world.remove("formula-003")
        assert sync(mirror, upstream)[0] == 0
        (gone,) = (key for key in mirror.bottle_keys() if "formula-003" in key)
        mirror.remove(gone)
        upstream.fault(gone.split("/")[1], Fault.not_found())
        code, report = sync(mirror, upstream)
        assert (code, report["outcome"], report["forgotten"]) == (0, "success", [gone.split("/")[1]])
        assert "formula-003-1.0-arm64_sonoma" not in mirror.entries()
        assert any(key.startswith("backups/") for key in mirror.keys())
        assert verify(mirror, upstream)[0] == 0
        assert len(mirror.entries()) == 9
