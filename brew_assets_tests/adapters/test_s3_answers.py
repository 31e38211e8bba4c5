"""Every answer of an S3 server has its class, and one odd bottle among thirty hinders no other."""

from collections.abc import Iterator

import pytest

from brew_assets.adapters.s3.answers import CODES, classify, classify_head
from brew_assets.adapters.s3.bucket_client import S3Options
from brew_assets.adapters.s3.store import S3Store
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.domain.plan import Request
from brew_assets.domain.report import Report
from brew_assets.engine.clock import SystemClock
from brew_assets.engine.planner import make_plan
from brew_assets.engine.record.journal import RECEIPT_PREFIX
from brew_assets.engine.record.verify import certify
from brew_assets.engine.transfer.state import copy_threads
from brew_assets.engine.transfer.verdicts import CANARY_KEY
from brew_assets.errors import (
    ChecksumRefused,
    KeyTaken,
    ObjectRefused,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    StoreUnsupported,
)
from brew_assets_tests.engine.test_sync import ARM, Upstream
from brew_assets_tests.quirky_s3 import Quirk, QuirkyS3
from brew_assets_tests.servers import REGION

Answer = tuple[int, str]

# Status and code of the documented errors, and of other servers': what is expected of them, by hand.
OBJECT: list[Answer] = [
    (403, "AccessDenied"),
    (400, "EntityTooLarge"),
    (413, "EntityTooLarge"),
    (413, ""),
    (400, "EntityTooSmall"),
    (400, "KeyTooLongError"),
    (414, ""),
    (431, ""),
    (400, "MetadataTooLarge"),
    (400, "InvalidURI"),
    (400, "InvalidArgument"),
    (400, "InvalidRequest"),
    (400, "MaxMessageLengthExceeded"),
    (403, "InvalidObjectState"),
    (409, "RestoreAlreadyInProgress"),
    (400, "XMinioInvalidObjectName"),
    (400, "SomethingNew"),
    (400, ""),
    (403, ""),
    (404, "NoSuchKey"),
    (404, ""),
    (409, ""),
    (410, ""),
    (415, ""),
    (416, "InvalidRange"),
    (423, ""),
    (451, ""),
]
CHECKSUM: list[Answer] = [
    (400, "BadDigest"),
    (400, "InvalidDigest"),
    (400, "XAmzContentSHA256Mismatch"),
    (400, "XAmzContentChecksumMismatch"),
]
STORE: list[Answer] = [
    (404, "NoSuchBucket"),
    (400, "InvalidBucketName"),
    (403, "InvalidAccessKeyId"),
    (403, "SignatureDoesNotMatch"),
    (400, "ExpiredToken"),
    (400, "InvalidToken"),
    (400, "TokenRefreshRequired"),
    (403, "RequestTimeTooSkewed"),
    (400, "RequestExpired"),
    (403, "AccountProblem"),
    (403, "AllAccessDisabled"),
    (403, "InvalidSecurity"),
    (403, "NotSignedUp"),
    (403, "InvalidPayer"),
    (400, "AuthorizationHeaderMalformed"),
    (301, "PermanentRedirect"),
    (301, ""),
    (308, ""),
    (400, "IllegalLocationConstraintException"),
    (400, "IncorrectEndpoint"),
    (403, "InvalidRegion"),
    (400, "KMS.DisabledException"),
    (400, "KMS.NotFoundException"),
    (400, "KMS.KMSInvalidStateException"),
    (400, "InvalidEncryptionAlgorithmError"),
    (409, "InvalidBucketState"),
    (404, "NoSuchAccessPoint"),
    (403, "UserSuspended"),
    (401, ""),
    (402, ""),
    (407, ""),
    (511, ""),
]
FULL: list[Answer] = [
    (507, ""),
    (507, "XMinioStorageFull"),
    (507, "InsufficientStorage"),
    (403, "QuotaExceeded"),
    (400, "XMinioAdminBucketQuotaExceeded"),
    (403, "StorageCapExceeded"),
]
PASSING: list[Answer] = [
    (500, "InternalError"),
    (500, ""),
    (502, ""),
    (503, "SlowDown"),
    (503, "ServiceUnavailable"),
    (503, "Busy"),
    (503, ""),
    (504, ""),
    (509, "BandwidthLimitExceeded"),
    (520, ""),
    (598, ""),
    (400, "RequestTimeout"),
    (400, "IncompleteBody"),
    (408, ""),
    (409, "OperationAborted"),
    (409, "ConditionalRequestConflict"),
    (421, ""),
    (425, ""),
    (429, ""),
    (429, "TooManyRequests"),
    (400, "ThrottlingException"),
    (307, "TemporaryRedirect"),
    (302, ""),
    # A success with an error in its body: CopyObject and CompleteMultipartUpload do that.
    (200, "InternalError"),
]
NEVER: list[Answer] = [
    (501, "NotImplemented"),
    (501, ""),
    (405, "MethodNotAllowed"),
    (411, "MissingContentLength"),
    (505, ""),
    (400, "UnsupportedArgument"),
]
CLASSES: list[tuple[list[Answer], type[StoreError]]] = [
    (OBJECT, ObjectRefused),
    (CHECKSUM, ChecksumRefused),
    (STORE, StoreRefused),
    (FULL, StoreFull),
    (PASSING, StoreUnavailable),
    (NEVER, StoreUnsupported),
]
ALL = [(answer, kind) for answers, kind in CLASSES for answer in answers]


def named(value: object) -> str | None:
    return f"{value[0]} {value[1]}".strip() if isinstance(value, tuple) else None


@pytest.mark.parametrize(("answer", "kind"), ALL, ids=named)
def test_status_and_code_decide(answer: Answer, kind: type[StoreError]) -> None:
    assert classify(*answer) is kind


def test_no_code_is_in_two_classes_and_a_code_decides_before_its_status() -> None:
    for code, kind in CODES.items():
        assert {classify(status, code) for status in (200, 400, 403, 409, 500, 503)} == {kind}
    assert classify(412) is classify(412, "PreconditionFailed") is KeyTaken


def test_the_status_of_a_head_alone_never_condemns_a_store() -> None:
    for status in range(300, 600):
        kind = classify_head(status)
        assert kind in (ObjectRefused, StoreUnavailable)
        assert (kind is StoreUnavailable) == (classify(status) is StoreUnavailable)


# -- against a server ------------------------------------------------------------------------------------


@pytest.fixture
def upstream(quirky: QuirkyS3) -> Iterator[Upstream]:
    """Thirty bottles, and an empty mirror in a bucket behind the front."""
    options = S3Options(
        bucket=quirky.bucket,
        prefix=quirky.new_prefix(),
        region=REGION,
        endpoint_url=quirky.url,
        sse="bucket",
    )
    store = S3Store(options, clock=SystemClock())
    made = Upstream(store)
    for number in range(30):
        made.publish(f"f{number:02}")
    yield made
    store.close()


ODD = "f17-1.0.arm64_sonoma.bottle.tar.gz"


def sync(upstream: Upstream) -> Report:
    mirror = upstream.mirror(workers=4)
    plan = make_plan(mirror, Request(platforms=("arm64_sonoma",)), sizes=False).plan
    report, _ = mirror.sync(plan)
    return report


# A PUT that is answered with 200 has succeeded.
@pytest.mark.parametrize(("answer", "kind"), [pair for pair in ALL if pair[0][0] != 200], ids=named)
def test_one_odd_bottle_of_thirty_is_named_and_the_next_sync_gets_further(
    upstream: Upstream, quirky: QuirkyS3, answer: Answer, kind: type[StoreError]
) -> None:
    status, code = answer
    quirky.add(Quirk(method="PUT", key=ODD, status=status, code=code))
    report = sync(upstream)
    assert (report.outcome, report.stored, report.left) == ("partial", 29, 0)
    assert [(failure.name, failure.reason) for failure in report.failed] == [(ODD, kind.reason)]
    assert str(status) in report.failed[0].message
    quirky.clear()
    upstream.next_week()
    again = sync(upstream)
    assert (again.outcome, again.planned, again.stored) == ("success", 1, 1)


@pytest.mark.parametrize(
    "answer",
    [(404, "NoSuchBucket"), (507, "XMinioStorageFull"), (501, "NotImplemented"), (403, "InvalidAccessKeyId")],
    ids=named,
)
def test_a_store_that_refuses_the_canary_too_ends_the_run_and_the_next_sync_goes_on(
    upstream: Upstream, quirky: QuirkyS3, answer: Answer
) -> None:
    status, code = answer
    for key in (".tar.gz", CANARY_KEY):
        quirky.add(Quirk(method="PUT", key=key, status=status, code=code))
    report = sync(upstream)
    assert report.outcome == "failed"
    assert code in report.aborted
    assert report.left >= 30 - copy_threads(4)
    quirky.clear()
    assert sync(upstream).outcome == "success"


def test_a_full_server_that_takes_the_canary_ends_the_run_soon(upstream: Upstream, quirky: QuirkyS3) -> None:
    quirky.add(Quirk(method="PUT", key=".tar.gz", status=507, code="XMinioStorageFull"))
    report = sync(upstream)
    assert "507 XMinioStorageFull" in report.aborted
    assert len(report.failed) <= copy_threads(4) + 4
    quirky.clear()
    assert sync(upstream).outcome == "success"


def test_an_answer_that_is_lost_is_no_refusal_and_costs_no_bottle(
    upstream: Upstream, quirky: QuirkyS3
) -> None:
    quirky.add(Quirk(method="PUT", key=ODD, loses_answer=True, times=1))
    report = sync(upstream)
    assert (report.outcome, report.stored) == ("success", 30)


@pytest.mark.parametrize(
    "body",
    [
        b"<Error><Code>\n  NoSuchBucket \n</Code></Error>",
        b"<?xml version='1.0'?><Error><Code><![CDATA[NoSuchBucket]]></Code></Error>",
        b'<s3:Error xmlns:s3="x"><s3:Code>NoSuchBucket</s3:Code></s3:Error>',
    ],
)
def test_a_code_is_found_however_it_is_written(upstream: Upstream, quirky: QuirkyS3, body: bytes) -> None:
    quirky.add(Quirk(method="PUT", key=ODD, status=404, body=body))
    report = sync(upstream)
    assert [failure.reason for failure in report.failed] == [StoreRefused.reason]


@pytest.mark.parametrize("key", [ODD, MANIFEST_KEY])
def test_a_success_with_an_error_inside_is_none(upstream: Upstream, quirky: QuirkyS3, key: str) -> None:
    quirky.add(Quirk(method="PUT", key=key, status=200, code="InternalError", times=1))
    report = sync(upstream)
    assert (report.outcome, report.stored) == ("success", 30)
    assert len(upstream.mirror().fold().manifest) == 30
    entries = upstream.mirror().fold().manifest.entries()
    assert {c.verdict for c in certify(upstream.store, entries)} == {"CURRENT"}


@pytest.mark.parametrize(
    "quirk",
    [
        Quirk(
            method="GET",
            matches=lambda seen: "state%2Freports" in seen.query,
            status=403,
            code="AccessDenied",
        ),
        Quirk(method="GET", matches=lambda seen: "/state/reports/" in seen.key, status=500),
        Quirk(method="GET", matches=lambda seen: "/state/upstream/" in seen.key, status=500),
        Quirk(method="PUT", matches=lambda seen: "/state/upstream/formula/" in seen.key, status=413),
        Quirk(method="PUT", matches=lambda seen: "/state/upstream/judged-" in seen.key, status=500),
        Quirk(method="PUT", matches=lambda seen: "/state/reports/" in seen.key, status=500),
    ],
)
def test_what_a_sync_can_do_without_ends_none(upstream: Upstream, quirky: QuirkyS3, quirk: Quirk) -> None:
    # The first sync leaves a receipt and a report behind.
    for method in ("POST", "DELETE"):
        quirky.add(Quirk(method=method, status=403, code="AccessDenied"))
    assert sync(upstream).outcome == "success"
    upstream.next_week()
    upstream.publish("later")
    quirky.add(quirk)
    report = sync(upstream)
    assert (report.outcome, report.stored) == ("success", 1)


def test_an_index_that_the_store_does_not_take_is_named_and_costs_no_bottle(
    upstream: Upstream, quirky: QuirkyS3
) -> None:
    quirky.add(Quirk(method="PUT", matches=lambda seen: "/state/upstream/" in seen.key, status=413))
    report = sync(upstream)
    assert (report.outcome, report.failed, len(report.indexes_failed)) == ("partial", (), report.stored)
    assert all("413" in failure.message for failure in report.indexes_failed)


def test_receipts_that_are_listed_and_not_given_out_end_no_sync_and_prove_nothing(
    upstream: Upstream, quirky: QuirkyS3
) -> None:
    for method in ("POST", "DELETE"):
        quirky.add(Quirk(method=method, status=403, code="AccessDenied"))
    assert sync(upstream).outcome == "success"
    left = [listed.key for listed in upstream.store.listing("state/receipts/")]
    assert left
    upstream.next_week()
    upstream.publish("later")
    for key in left:
        quirky.add(Quirk(method="GET", key=key, status=404, code="NoSuchKey"))
    report = sync(upstream)
    assert (report.outcome, report.stored) == ("success", 1)
    # Of its own receipts it says so: what no manifest names is not done.
    upstream.next_week()
    upstream.publish("last")
    quirky.add(
        Quirk(method="GET", matches=lambda seen: "/state/receipts/" in seen.key, status=404, code="NoSuchKey")
    )
    report = sync(upstream)
    assert (report.outcome, [failure.reason for failure in report.failed]) == ("failed", ["not recorded"])


# -- another way of asking -------------------------------------------------------------------------------


def shared(upstream: Upstream) -> Upstream:
    """Formulae whose bottles for three platforms are one digest."""
    for number in range(4):
        upstream.publish(f"s{number}", tags=dict.fromkeys(ARM, f"shared {number}"))
    return upstream


@pytest.mark.parametrize("answer", [*NEVER, (403, "AccessDenied"), (404, "NoSuchKey")], ids=named)
def test_a_store_that_makes_no_copies_gets_all_names_from_upstream(
    upstream: Upstream, quirky: QuirkyS3, answer: Answer
) -> None:
    shared(upstream)
    quirky.add(Quirk(method="PUT", matches=lambda seen: seen.is_copy, status=answer[0], code=answer[1]))
    mirror = upstream.mirror(workers=1)
    report, _ = mirror.sync(make_plan(mirror, Request(platforms=ARM), sizes=False).plan)
    assert (report.outcome, report.duplicated) == ("success", 0)
    assert report.stored == 30 + 12
    copies = [seen for seen in quirky.seen if seen.is_copy]
    # Of the second names the first may be tried for each of the four at the same time.
    assert (1 <= len(copies) <= 4) if answer in NEVER else len(copies) == 8


def test_a_store_whose_copies_fail_for_ever_gets_all_names_from_upstream(
    upstream: Upstream, quirky: QuirkyS3
) -> None:
    upstream.publish("shared", tags=dict.fromkeys(ARM, "shared"))
    quirky.add(Quirk(method="PUT", matches=lambda seen: seen.is_copy, status=200, code="InternalError"))
    mirror = upstream.mirror(workers=1)
    report, _ = mirror.sync(make_plan(mirror, Request(platforms=ARM), sizes=False).plan)
    assert (report.outcome, report.duplicated, report.stored) == ("success", 0, 33)


def test_a_conflict_that_passes_is_no_name_that_is_taken(upstream: Upstream, quirky: QuirkyS3) -> None:
    shared(upstream)
    quirky.add(
        Quirk(
            method="PUT",
            matches=lambda seen: seen.is_copy,
            status=409,
            code="ConditionalRequestConflict",
            times=2,
        )
    )
    mirror = upstream.mirror(workers=1)
    report, _ = mirror.sync(make_plan(mirror, Request(platforms=ARM), sizes=False).plan)
    assert (report.outcome, report.duplicated, report.identified) == ("success", 8, 0)


@pytest.mark.parametrize("answer", [*NEVER, (400, "MalformedXML"), (404, ""), (400, "")], ids=named)
def test_a_store_that_does_not_delete_many_deletes_one_by_one(
    upstream: Upstream, quirky: QuirkyS3, answer: Answer
) -> None:
    quirky.add(Quirk(method="POST", status=answer[0], code=answer[1]))
    assert sync(upstream).outcome == "success"
    assert list(upstream.store.listing(RECEIPT_PREFIX)) == []
    # Asked once: the other way is known from then on.
    assert len([seen for seen in quirky.seen if seen.method == "POST"]) == 1


def test_a_store_that_deletes_nothing_keeps_one_manifest_and_says_so_once(
    upstream: Upstream, quirky: QuirkyS3, caplog: pytest.LogCaptureFixture
) -> None:
    for method in ("POST", "DELETE"):
        quirky.add(Quirk(method=method, status=403, code="AccessDenied"))
    assert sync(upstream).outcome == "success"
    kept = len(list(upstream.store.listing(RECEIPT_PREFIX)))
    assert kept
    before = upstream.store.read(MANIFEST_KEY)
    for _ in range(4):
        upstream.next_week()
        assert sync(upstream).planned == 0
    assert upstream.store.read(MANIFEST_KEY) == before
    assert len(list(upstream.store.listing("backups/"))) <= 1
    assert len([record for record in caplog.records if "cannot be deleted" in record.message]) == 1


# -- verifying -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quirk", "verdict"),
    [
        (Quirk(method="GET", key=ODD, status=403, code="InvalidObjectState"), "UNREADABLE"),
        (Quirk(method="GET", key=ODD, status=403, code="AccessDenied"), "UNREADABLE"),
        (Quirk(method="GET", key=ODD, status=500, code="InternalError"), "UNREADABLE"),
        (Quirk(method="GET", key=ODD, status=501, code="NotImplemented"), "UNREADABLE"),
        (Quirk(method="GET", key=ODD, status=400, code="BadDigest"), "MISMATCH"),
        (Quirk(method="GET", key=ODD, status=404, code="NoSuchKey"), "MISSING"),
        # Its checksum no longer fits: what bit rot looks like to a client.
        (Quirk(method="GET", key=ODD, spoils=lambda data: bytes([data[0] ^ 1]) + data[1:]), "MISMATCH"),
        (Quirk(method="GET", key=ODD, status=503, code="SlowDown", times=2), "CURRENT"),
        (Quirk(method="GET", key=ODD, loses_answer=True, times=2), "CURRENT"),
    ],
    ids=lambda value: f"{value.status} {value.code}" if isinstance(value, Quirk) else str(value),
)
def test_a_deep_verification_gives_each_bottle_a_verdict(
    upstream: Upstream, quirky: QuirkyS3, quirk: Quirk, verdict: str
) -> None:
    sync(upstream)
    quirky.add(quirk)
    entries = list(upstream.mirror().fold().manifest.entries())
    found = {c.entry.s3_key[11:]: c.verdict for c in certify(upstream.store, entries, deep=True)}
    assert found.pop(ODD) == verdict
    assert set(found.values()) == {"CURRENT"}
    assert len(found) == 29


@pytest.mark.parametrize("status", [400, 401, 403, 405, 410, 501, 507])
def test_a_head_that_is_refused_is_one_unreadable_bottle(
    upstream: Upstream, quirky: QuirkyS3, status: int
) -> None:
    sync(upstream)
    quirky.add(Quirk(method="HEAD", key=ODD, status=status))
    entries = list(upstream.mirror().fold().manifest.entries())
    found = {c.entry.s3_key[11:]: c.verdict for c in certify(upstream.store, entries)}
    assert found.pop(ODD) == "UNREADABLE"
    assert set(found.values()) == {"CURRENT"}


def test_a_head_that_tells_no_size_is_no_finding(upstream: Upstream, quirky: QuirkyS3) -> None:
    sync(upstream)
    quirky.add(Quirk(method="HEAD", drops=("content-length",)))
    entries = list(upstream.mirror().fold().manifest.entries())
    assert {c.verdict for c in certify(upstream.store, entries)} == {"CURRENT"}


def test_a_bottle_whose_answer_was_lost_is_recorded_with_its_size_though_no_head_tells_it(
    upstream: Upstream, quirky: QuirkyS3
) -> None:
    quirky.add(Quirk(method="HEAD", drops=("content-length",)))
    quirky.add(Quirk(method="PUT", key=ODD, loses_answer=True, times=1))
    assert sync(upstream).outcome == "success"
    assert all(entry.file_size > 0 for _, entry in upstream.mirror().fold().manifest.entries())
