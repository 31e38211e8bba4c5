"""Events and batches: what a Lambda is asked to do, from whoever may invoke it."""

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from brew_assets.domain.batch import (
    Batch,
    BatchReference,
    DirectRequest,
    answer,
    batch_key,
    batch_name,
    batch_report_key,
    decode_batch,
    decode_event,
    encode_batch,
    given_out_at,
)
from brew_assets.domain.bottle import blob_url
from brew_assets.domain.report import Failure, Report
from brew_assets.errors import EventInvalid, PlanInvalid
from brew_assets_tests.worlds import DATE, SYNC_ID, bottle, digest_of, planned

DIGEST = digest_of("curl")


def event(**changes: Any) -> dict[str, Any]:
    """The direct payload, with its one bottle changed."""
    given = {"url": blob_url("curl", DIGEST), "sha256": DIGEST, "size": 1048576}
    formula = {"name": "curl", "version": "8.2.1", "bottles": {"arm64_sonoma": given}}
    given.update({k: v for k, v in changes.items() if k in ("url", "sha256", "size", "rebuild")})
    formula.update({k: v for k, v in changes.items() if k in ("name", "version", "bottles")})
    top = {k: v for k, v in changes.items() if k in ("sync_date", "formulas")}
    return {"formulas": [formula], "sync_date": "2025-07-21", **top}


def test_a_batch_survives_its_document() -> None:
    batch = Batch(sync_id=SYNC_ID, sync_date=DATE, objects=(planned(bottle(), size=7),), look_first=True)
    assert decode_batch(encode_batch(batch)) == batch
    assert batch.platforms() == ("arm64_sonoma",)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", b'{"batch_version": 2, "sync_id": "x"}'])
def test_what_is_no_batch_is_refused(data: bytes) -> None:
    with pytest.raises(PlanInvalid, match="expected a batch"):
        decode_batch(data)


def test_a_batch_of_another_version_is_refused() -> None:
    batch = json.loads(encode_batch(Batch(sync_id=SYNC_ID, sync_date=DATE, objects=())))
    with pytest.raises(PlanInvalid, match="expected batch_version 2, found 9"):
        decode_batch(json.dumps({**batch, "batch_version": 9}).encode())


def test_a_batch_has_a_report_of_its_own() -> None:
    key = batch_key(SYNC_ID, "0badcafe")
    assert key == f"state/batches/{SYNC_ID}/0badcafe.json"
    assert batch_report_key(key) == f"state/reports/{SYNC_ID}/0badcafe.batch.json"
    assert decode_event({"batch_key": key, "DAGSTER_PIPES_CONTEXT": "…"}) == BatchReference(batch_key=key)


def test_bottles_can_be_given_by_value() -> None:
    request = decode_event(event())
    assert isinstance(request, DirectRequest)
    (item,) = request.objects
    assert item.bottle.filename == "curl-8.2.1.arm64_sonoma.bottle.tar.gz"
    assert (item.size, request.sync_date) == (1048576, "2025-07-21")
    plan = request.plan(sync_id=SYNC_ID, created_at="2026-08-22T03:00:00Z")
    assert (plan.platforms, plan.formulae, plan.sync_date) == (("arm64_sonoma",), ("curl",), "2025-07-21")


def test_a_batchs_key_tells_when_it_was_given_out() -> None:
    given_out = datetime(2026, 8, 22, 5, 0, 9, tzinfo=timezone(timedelta(hours=2)))
    key = batch_key(SYNC_ID, batch_name(given_out, "0123abcd"))
    assert decode_event({"batch_key": key}) == BatchReference(batch_key=key)
    assert key.endswith("/20260822-030009-0123abcd.json")
    assert given_out_at(key) == given_out


@pytest.mark.parametrize("name", ["0123abcd", "20260822-030009", "20260899-990009-0", "x/20260822-030009-0"])
def test_another_key_tells_no_time(name: str) -> None:
    assert given_out_at(batch_key(SYNC_ID, name)) is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("text", "event: expected an object, found str"),
        (None, "expected an object"),
        ({}, "found nothing"),
        ({"source": "manual"}, "expected batch_key, or formulas and sync_date; found source"),
        ({"batch_key": 7}, "batch_key: expected state/batches/"),
        ({"batch_key": "bottles_hash.json"}, "batch_key: expected"),
        ({"batch_key": "state/batches/../../x.json"}, "batch_key: expected"),
        ({"batch_key": "state/batches/a/../b.json"}, "batch_key: expected"),
        ({"formulas": []}, "sync_date"),
        (event(formulas=[]), "at least one bottle"),
        (event(formulas="curl"), "formulas"),
        (event(sync_date="21.07.2025"), "sync_date: expected YYYY-MM-DD, found '21.07.2025'"),
        (event(sync_date="2025-02-30"), "sync_date"),
        (event(sync_date="2025-W30-1"), "sync_date"),
        (event(sync_date="../../etc1"), "sync_date"),
        (event(name="../curl"), "formulas[0].name: expected a formula's name, found '../curl'"),
        (event(version="8/2"), "formulas[0].version"),
        (event(sha256="abc123..."), "formulas[0].bottles.arm64_sonoma.sha256: expected 64"),
        (event(url="https://example.com/curl"), "formulas[0].bottles.arm64_sonoma.url: expected https://"),
        (event(url=f"https://ghcr.io/v2/attacker/evil/curl/blobs/sha256:{DIGEST}"), ".url: expected https"),
        (event(url=f"https://evil.example/v2/homebrew/core/curl/blobs/sha256:{DIGEST}"), ".url: expected"),
        (event(url=f"http://ghcr.io/v2/homebrew/core/curl/blobs/sha256:{DIGEST}"), ".url: expected"),
        (event(size=-1), "size: expected a number of bytes, found '-1'"),
        (event(size="big"), "size"),
        (event(rebuild=-1), "rebuild"),
        (event(bottles={"../x": {"url": "u", "sha256": "s"}}), "expected a bottle tag"),
        (event(bottles={"nonsense_tag": {"url": "u", "sha256": "s"}}), "expected a bottle tag"),
        (event(formulas=event()["formulas"] * 2), "every bottle once"),
    ],
)
def test_a_hostile_event_is_refused_by_name(given: object, words: str) -> None:
    with pytest.raises(EventInvalid) as caught:
        decode_event(given)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("tag", ["all", "x86_64_linux", "arm64_tahoe", "catalina"])
def test_every_tag_that_serves_a_machine_can_be_given(tag: str) -> None:
    given = {"url": blob_url("curl", DIGEST), "sha256": DIGEST}
    request = decode_event(event(bottles={tag: given}))
    assert isinstance(request, DirectRequest)
    assert [item.bottle.tag for item in request.objects] == [tag]


def test_an_answer_has_the_first_failures_and_stays_small() -> None:
    failed = tuple(
        Failure(name=f"f{n}", digest=DIGEST, reason="not found", message="m" * 300) for n in range(30_000)
    )
    report = Report(
        sync_id=SYNC_ID,
        sync_date=DATE,
        platforms=("arm64_sonoma",),
        route="lambda",
        started_at="",
        ended_at="",
        duration_s=1.0,
        planned=30_000,
        failed=failed,
        undone=("x" * 50,) * 30_000,
    )
    answered = answer(report)
    assert answered["outcome"] == "failed"
    assert answered["failures"] == 30_000
    assert len(answered["failed"]) == 100
    assert len(json.dumps(answered)) < 100_000
