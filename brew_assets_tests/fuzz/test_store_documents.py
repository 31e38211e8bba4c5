"""Documents of ours after accidents and by other hands: refused in our words, or read as they are."""

import json
from random import Random
from typing import Any

from brew_assets.domain.batch import Batch, decode_batch, encode_batch
from brew_assets.domain.bottle import is_digest
from brew_assets.domain.manifest import (
    Entry,
    Receipt,
    bottle_of,
    decode_held,
    decode_manifest,
    decode_receipts,
    encode_receipts,
)
from brew_assets.domain.object_keys import is_date, is_object_key, parse_key
from brew_assets.domain.plan import decode_plan, encode_plan
from brew_assets.domain.plan_summary import summarize
from brew_assets.domain.report import Failure, Report, decode_report, describe_report, encode_report
from brew_assets.errors import ManifestInvalid, PlanInvalid
from brew_assets_tests.fuzz.fuzzing import assert_sound, decoded, fuzzed
from brew_assets_tests.fuzz.mutations import spoiled
from brew_assets_tests.worlds import (
    CREATED_AT,
    DATE,
    SYNC_ID,
    bottle,
    catalogue_of,
    formula,
    manifest_of,
    plan_of,
    receipt,
)

BOTTLES = (
    bottle("wget", "1.25.0_3", rebuild=2),
    bottle("python@3.13", "3.13.0", "all"),
    bottle("libsigc++", "2.12.1-beta", "x86_64_linux"),
)
MANIFEST = bytes(manifest_of(*BOTTLES))


def assert_sound_entry(key: str, entry: Entry) -> None:
    """Returns when the entry leads to an object of its own bottle."""
    assert is_digest(entry.sha256)
    assert entry.file_size > 0
    assert is_object_key(entry.s3_key)
    place = parse_key(entry.s3_key)
    assert place is not None
    assert place[0] == entry.download_date
    assert bottle_of(entry).entry_key == key
    assert bottle_of(entry).key(entry.download_date) == entry.s3_key


def _has_a_double(data: bytes) -> bool:
    """Whether an object in the document has a key twice."""
    found: list[bool] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        found.append(len(dict(pairs)) < len(pairs))

    json.loads(data, object_pairs_hook=look)
    return any(found)


@fuzzed
def test_manifests(random: Random) -> None:
    data = spoiled(MANIFEST, random)
    manifest = decoded(lambda: decode_manifest(data), ManifestInvalid, data)
    held = decoded(lambda: decode_held(data), ManifestInvalid, data)
    if manifest is None:
        return
    for key, entry in manifest.entries():
        assert_sound_entry(key, entry)
    again = decode_manifest(bytes(manifest.encode(last_updated=CREATED_AT)))
    assert dict(again.entries()) == dict(manifest.entries())
    if held is None:
        # The whole manifest takes the last of two values under one key; the slim one judges both.
        assert _has_a_double(data)
        return
    assert {key: (entry.sha256, entry.file_size, entry.s3_key) for key, entry in held.items()} == {
        key: (entry.sha256, entry.file_size, entry.s3_key) for key, entry in manifest.entries()
    }


@fuzzed
def test_manifests_of_other_tools(random: Random) -> None:
    data = spoiled(MANIFEST, random)
    manifest = decoded(lambda: decode_manifest(data, sealed=False), ManifestInvalid, data)
    if manifest is not None:
        again = decode_manifest(bytes(manifest.encode(last_updated=CREATED_AT)))
        assert dict(again.entries()) == dict(manifest.entries())


RECEIPTS = bytes(encode_receipts([receipt(item) for item in BOTTLES]))


@fuzzed
def test_receipts(random: Random) -> None:
    data = spoiled(RECEIPTS, random)
    key = f"state/receipts/{SYNC_ID}/1.json"
    receipts: list[Receipt] | None = decoded(lambda: decode_receipts(data, key=key), ManifestInvalid, data)
    for found in receipts or ():
        assert_sound_entry(found.key, found.entry)
    if receipts:
        assert decode_receipts(bytes(encode_receipts(receipts)), key=key) == receipts


PLAN = plan_of(
    catalogue_of(
        formula("wget", tags=("arm64_sonoma", "sonoma"), revision=3, rebuild=1),
        formula("python@3.13", tags=("all",)),
    ),
    "arm64_sonoma",
    "sonoma",
    have={},
)
PLAN_DOCUMENT = bytes(encode_plan(PLAN))


@fuzzed
def test_plans(random: Random) -> None:
    data = spoiled(PLAN_DOCUMENT, random)
    plan = decoded(lambda: decode_plan(data), PlanInvalid, data)
    if plan is not None:
        for planned in plan.objects:
            assert_sound(planned.bottle, plan.sync_date)
        assert is_date(plan.sync_date)
        assert decode_plan(bytes(encode_plan(plan))) == plan
        assert summarize(plan).sync_id == plan.sync_id


BATCH_DOCUMENT = bytes(
    encode_batch(Batch(sync_id=SYNC_ID, sync_date=DATE, objects=PLAN.objects, look_first=True))
)


@fuzzed
def test_batches(random: Random) -> None:
    data = spoiled(BATCH_DOCUMENT, random)
    batch = decoded(lambda: decode_batch(data), PlanInvalid, data)
    if batch is not None:
        for planned in batch.objects:
            assert_sound(planned.bottle, batch.sync_date)
        assert is_date(batch.sync_date)
        assert decode_batch(bytes(encode_batch(batch))) == batch
        assert sum(len(fetch.names) for fetch in batch.job().fetches) == len(batch.objects)


REPORT_DOCUMENT = bytes(
    encode_report(
        Report(
            sync_id=SYNC_ID,
            sync_date=DATE,
            platforms=("arm64_sonoma",),
            route="ecs",
            started_at=CREATED_AT,
            ended_at=CREATED_AT,
            duration_s=1.5,
            planned=3,
            stored=1,
            downloaded=1,
            bytes_downloaded=1000,
            failed=(Failure(name="wget", digest=BOTTLES[0].digest, reason="not found", message="gone"),),
            undone=("a", "b"),
            run_url="https://dagster.example/runs/1",
        )
    )
)


@fuzzed
def test_reports(random: Random) -> None:
    data = spoiled(REPORT_DOCUMENT, random)
    report = decoded(lambda: decode_report(data), ValueError, data)
    if report is not None:
        assert decode_report(bytes(encode_report(report))) == report
        assert describe_report(report)


def test_documents_that_nobody_has_spoiled_are_read() -> None:
    assert len(decode_manifest(MANIFEST)) == len(decode_held(MANIFEST)) == len(BOTTLES)
    assert len(decode_receipts(RECEIPTS, key="k")) == len(BOTTLES)
    assert decode_plan(PLAN_DOCUMENT) == PLAN
    assert decode_batch(BATCH_DOCUMENT).objects == PLAN.objects
    assert decode_report(REPORT_DOCUMENT).outcome == "partial"
    assert json.loads(PLAN_DOCUMENT)["objects"]
