"""Whole syncs against the simulated upstream, into a directory and into a real S3 server."""

import json
from pathlib import Path

import pytest

from brew_assets.domain.manifest import decode_manifest
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.engine.record.stored_names import STORED_SUFFIX
from brew_assets.simulator import Simulator, World
from brew_assets_tests.integration.mirrors import (
    BucketMirror,
    DirectoryMirror,
    MirrorUnderTest,
    assert_complete,
    wanted,
)
from brew_assets_tests.servers import S3Server


def test_a_sync_stores_every_bottle_whole_and_a_second_one_downloads_nothing(
    mirror: MirrorUnderTest,
) -> None:
    with Simulator(World.generate(seed=11, formulae=40)) as upstream:
        report = mirror.sync(upstream)
        assert report["outcome"] == "success"
        assert report["stored"] == len(wanted(upstream))
        assert_complete(mirror, upstream)
        downloads = upstream.downloads.copy()
        assert max(downloads.values()) == 1
        again = mirror.sync(upstream)
        assert (again["stored"], again["planned"]) == (0, 0)
        assert upstream.downloads == downloads
        assert upstream.violations == []


def test_only_new_versions_are_copied_and_the_old_ones_stay(mirror: MirrorUnderTest) -> None:
    world = World.generate(seed=12, formulae=15)
    with Simulator(world) as upstream:
        mirror.sync(upstream)
        before = mirror.digests()
        world.publish("wget", "9.9.9", tags=["arm64_sonoma", "arm64_tahoe"])
        report = mirror.sync(upstream)
        assert report["stored"] == 2
        assert before.items() <= mirror.digests().items()
        assert_complete(mirror, upstream)


def test_a_plan_can_be_printed_first_and_carried_out_later(mirror: MirrorUnderTest) -> None:
    with Simulator(World.generate(seed=13, formulae=10)) as upstream:
        printed = mirror.run(upstream, "plan", "--json", "--platform", "arm64_sonoma")
        summary = json.loads(printed.stdout)
        assert set(summary) >= {"sync_id", "sync_date", "platforms", "objects", "downloads", "bytes"}
        assert upstream.downloads.total() == 0
        report = mirror.sync(upstream, "--plan", summary["sync_id"])
        assert report["stored"] == summary["objects"] == summary["platforms"]["arm64_sonoma"]["bottles"]
        assert report["bytes_downloaded"] == summary["bytes"]
        assert report["sync_id"] == summary["sync_id"]


def test_a_dry_run_writes_nothing_and_no_sizes_asks_the_registry_for_nothing(
    mirror: MirrorUnderTest,
) -> None:
    with Simulator(World.generate(seed=14, formulae=10)) as upstream:
        done = mirror.run(upstream, "plan", "--json", "--dry-run", "--no-sizes")
        summary = json.loads(done.stdout)
        assert summary["platforms"]["arm64_sonoma"]["unknown_sizes"] > 0
        assert mirror.keys() == []
        assert all(request.host == "api" for request in upstream.requests)
        done = mirror.run(upstream, "sync", "--dry-run")
        assert done.returncode == 0
        assert mirror.keys() == []


def test_a_selection_covers_only_what_was_asked_for(mirror: MirrorUnderTest) -> None:
    world = World(seed=15)
    world.publish("jq", "1.8.1", tags=["arm64_sonoma", "sonoma"])
    world.publish("ripgrep", "15.0.0", tags=["arm64_sonoma"])
    world.publish("wget", "1.25", tags=["arm64_sonoma"])
    with Simulator(world) as upstream:
        mirror.sync(upstream, "--formula", "jq", "--formula", "ripgrep", "--platform", "arm64_sonoma")
        assert {key.split("/")[1] for key in mirror.bottle_keys()} == {
            "jq-1.8.1.arm64_sonoma.bottle.tar.gz",
            "ripgrep-15.0.0.arm64_sonoma.bottle.tar.gz",
        }


def test_force_downloads_again_what_is_held(mirror: MirrorUnderTest) -> None:
    world = World(seed=16)
    world.publish("jq", "1.8.1", tags=["arm64_sonoma"])
    with Simulator(world) as upstream:
        mirror.sync(upstream, "--platform", "arm64_sonoma")
        mirror.sync(upstream, "--platform", "arm64_sonoma", "--force")
        assert upstream.downloads.total() == 2
        assert_complete(mirror, upstream)


def test_one_digest_under_several_tags_is_downloaded_once_and_named_in_the_store(
    mirror: MirrorUnderTest,
) -> None:
    world = World(seed=17)
    world.publish("fonts", "2.0", tags=["arm64_tahoe", "arm64_sequoia", "arm64_sonoma"], shared_digest=True)
    with Simulator(world) as upstream:
        report = mirror.sync(upstream)
        assert (report["downloaded"], report["duplicated"], report["stored"]) == (1, 2, 3)
        assert upstream.downloads.total() == 1
        assert_complete(mirror, upstream)
        if isinstance(mirror, BucketMirror):
            for entry in mirror.entries().values():
                head = mirror.server.client.head_object(
                    Bucket=mirror.bucket, Key=mirror.prefix + entry.s3_key, ChecksumMode="ENABLED"
                )
                assert head["Metadata"]["platform"] == entry.platform
                assert head["ContentType"] == "application/gzip"


def test_an_unknown_formula_or_platform_cannot_run_and_says_what_is_meant(
    mirror: MirrorUnderTest,
) -> None:
    world = World(seed=18)
    world.publish("ripgrep", "15.0.0", tags=["arm64_sonoma"])
    with Simulator(world) as upstream:
        done = mirror.run(upstream, "sync", "--formula", "ripgrap")
        assert done.returncode == 2
        assert "did you mean ripgrep?" in done.stderr
        done = mirror.run(upstream, "sync", "--platform", "arm64_sonomo")
        assert done.returncode == 2
        assert "arm64_sonoma" in done.stderr
        assert mirror.bottle_keys() == []


def test_a_dead_api_cannot_run_and_leaves_the_mirror_as_it_was(mirror: MirrorUnderTest) -> None:
    with Simulator(World.generate(seed=19, formulae=5)) as upstream:
        mirror.sync(upstream)
        before = mirror.digests()
        upstream.api_down = True
        done = mirror.run(upstream, "sync")
        assert done.returncode == 2
        assert "formula.json" in done.stderr
        upstream.api_down = False
        upstream.api_body_override = b"<html>maintenance</html>"
        done = mirror.run(upstream, "sync")
        assert done.returncode == 2
        assert "expected Homebrew's list of formulae" in done.stderr
        assert mirror.digests() == before


def test_verify_counts_exactly_and_repair_mends_it(mirror: MirrorUnderTest) -> None:
    with Simulator(World.generate(seed=20, formulae=12)) as upstream:
        mirror.sync(upstream)
        missing, wrong, shorter = mirror.bottle_keys()[:3]
        whole = mirror.read(wrong)
        mirror.remove(missing)
        mirror.write(wrong, whole[:-1] + bytes([whole[-1] ^ 1]))
        mirror.write(shorter, mirror.read(shorter)[:-7])
        done = mirror.run(upstream, "verify", "--json")
        counts = json.loads(done.stdout)
        assert done.returncode == 1
        assert (counts["missing"], counts["mismatch"]) == (1, 2)
        assert counts["current"] == counts["checked"] - 3
        done = mirror.run(upstream, "verify", "--repair", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["repaired"] == 3
        assert_complete(mirror, upstream)
        done = mirror.run(upstream, "verify", "--deep", "--json")
        counts = json.loads(done.stdout)
        assert (counts["current"], counts["missing"], counts["mismatch"]) == (counts["checked"], 0, 0)


def test_status_tells_what_is_held(mirror: MirrorUnderTest) -> None:
    with Simulator(World.generate(seed=21, formulae=6)) as upstream:
        held = mirror.sync(upstream)["held"]
        status = json.loads(mirror.run(upstream, "status", "--json").stdout)
        assert status["held"] == status["total_bottles"] == held
        assert status["total_size_bytes"] == sum(entry.file_size for entry in mirror.entries().values())
        assert status["journal_objects"] == 0
        assert mirror.run(upstream, "status").returncode == 0


def test_the_digests_of_an_external_hash_file_are_skipped_and_never_held(
    mirror: MirrorUnderTest, tmp_path: Path
) -> None:
    world = World(seed=22)
    (bottle,) = world.publish("jq", "1.8.1", tags=["arm64_sonoma"])
    world.publish("wget", "1.25", tags=["arm64_sonoma"])
    listed = tmp_path / "hashes.json"
    listed.write_text(json.dumps([bottle.digest, "nonsense"]))
    with Simulator(world) as upstream:
        done = mirror.run(
            upstream, "plan", "--json", "--platform", "arm64_sonoma", EXTERNAL_HASH_FILE_PATH=str(listed)
        )
        summary = json.loads(done.stdout)
        assert (summary["skipped"], summary["objects"], summary["held"]) == (1, 1, 0)
        assert "entry 1" in done.stderr
        mirror.sync(upstream, "--platform", "arm64_sonoma", EXTERNAL_HASH_FILE_PATH=str(tmp_path / "absent"))
        assert_complete(mirror, upstream)


def test_the_server_refuses_other_bytes_than_the_digest_promised(s3: S3Server) -> None:
    """What makes a HEAD a proof: SeaweedFS checks x-amz-checksum-sha256, as S3 does."""
    import hashlib

    from brew_assets.compose.store import build_store
    from brew_assets.domain.bottle import Bottle, Digest, PkgVersion, blob_url
    from brew_assets.errors import ChecksumRefused
    from brew_assets.settings import read_settings

    mirror = BucketMirror(s3)
    right, wrong = b"right" * 1000, b"wrong" * 1000
    digest = hashlib.sha256(right).hexdigest()
    bottle = Bottle(
        formula="jq",
        pkg_version=PkgVersion("1.8.1"),
        tag="arm64_sonoma",
        digest=Digest(digest),
        url=blob_url("jq", digest),
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in mirror.settings.items():
            patch.setenv(name, value)
        store = build_store(read_settings())
        sink = store.receive(bottle, date="2026-11-22", size=len(wrong))
        sink.write(memoryview(wrong))
        with pytest.raises(ChecksumRefused):
            sink.commit()
        assert mirror.bottle_keys() == []
        sink = store.receive(bottle, date="2026-11-22", size=len(right))
        sink.write(memoryview(right))
        sink.commit()
        facts = store.facts(bottle.key("2026-11-22"))
        assert facts is not None
        assert facts.digest == digest
        assert facts.metadata == {
            "formula-name": "jq",
            "formula-version": "1.8.1",
            "platform": "arm64_sonoma",
            "download-date": "2026-11-22",
            "sha256": digest,
            "sync-version": "1.0.0",
            "homebrew-api-url": "https://formulae.brew.sh/api/formula/jq.json",
        }
        store.close()


def test_wrong_credentials_or_a_missing_bucket_cannot_run(s3: S3Server) -> None:
    mirror = BucketMirror(s3)
    with Simulator(World.generate(seed=23, formulae=3)) as upstream:
        done = mirror.run(upstream, "sync", AWS_SECRET_ACCESS_KEY="wrong")
        assert done.returncode == 2
        assert "SignatureDoesNotMatch" in done.stderr
        assert "wrong" not in done.stderr
        done = mirror.run(upstream, "sync", MIRROR_URL="s3://there-is-no-such-bucket/")
        assert done.returncode == 2
        assert "there-is-no-such-bucket" in done.stderr
        assert upstream.downloads.total() == 0


def test_what_an_operator_sees_lies_where_the_design_says(tmp_path: Path) -> None:
    mirror = DirectoryMirror(tmp_path / "mirror")
    with Simulator(World.generate(seed=24, formulae=6)) as upstream:
        report = mirror.sync(upstream)
        keys = mirror.keys()
        date = report["sync_date"]
        assert MANIFEST_KEY in keys
        assert f"state/plans/{report['sync_id']}.json" in keys
        said = [key for key in keys if key.startswith(f"state/reports/{report['sync_id']}/")]
        assert sorted(key.endswith(STORED_SUFFIX) for key in said) == [False, True]
        assert any(key.startswith("state/upstream/") for key in keys)
        assert not any(key.startswith(("state/receipts/", "v2/", "api/")) for key in keys)
        assert {key.split("/")[0] for key in mirror.bottle_keys()} == {date}
        assert len(decode_manifest(mirror.read(MANIFEST_KEY))) == report["held"]
        assert list((mirror.root / ".incoming").iterdir()) == []
