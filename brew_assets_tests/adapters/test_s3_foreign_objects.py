"""Buckets as people have them: markers of folders, odd keys and other tools' objects beside the mirror's."""

from collections.abc import Callable, Iterator
from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest

from brew_assets.adapters.s3.bucket_client import S3Options
from brew_assets.adapters.s3.store import S3Store
from brew_assets.domain.manifest import BACKUPS_KEPT
from brew_assets.domain.object_keys import BACKUP_PREFIX, MANIFEST_KEY, is_object_key
from brew_assets.domain.plan import Request
from brew_assets.domain.report import Report
from brew_assets.engine.planner import make_plan
from brew_assets.engine.record.fold import backups
from brew_assets.engine.record.rebuild import rebuild_manifest, restore_manifest
from brew_assets.engine.record.verify import certify
from brew_assets.errors import StoreError, StoreUnavailable
from brew_assets.runtimes.status import read_status
from brew_assets_tests.adapters.store_contract import CONTENT, give
from brew_assets_tests.engine.test_sync import Upstream, manifest
from brew_assets_tests.fakes import ImpatientClock
from brew_assets_tests.quirky_s3 import Quirk, QuirkyS3, Seen
from brew_assets_tests.servers import REGION
from brew_assets_tests.worlds import DATE, SYNC_ID, bottle

MARKERS = [
    "",
    "state/",
    "state/receipts/",
    f"state/receipts/{SYNC_ID}/",
    "state/plans/",
    "state/reports/",
    "state/runs/",
    "state/batches/",
    "state/upstream/indexes/",
    "backups/",
    "backups/bottles_hash/",
    f"{DATE}/",
    "2026-13-45/",
]
OTHERS = [
    "state/foo.txt",
    "state/receipts/readme.txt",
    "state/receipts/x/y.json",
    "state/plans/notes.txt",
    "state/plans/by hand/a.json",
    "backups/bottles_hash/old.json",
    "backups/bottles_hash/2026-08-22 copy.json",
    f"{DATE}/notes.txt",
    "2026-13-45/wget-1.25.0.arm64_sonoma.bottle.tar.gz",
    ".DS_Store",
    "v2/homebrew/core/x",
]
# SeaweedFS keeps folders in the place of empty parts; other servers keep such keys as they are.
ODD = [
    "/x",
    "state//receipts/x.json",
    "state/receipts//x.json",
    f"state/receipts/{SYNC_ID}/../a.json",
    f"{DATE}//x.tar.gz",
    f"{DATE}/./x.tar.gz",
    f"{DATE}/a\nb.arm64_sonoma.bottle.tar.gz",
    f"{DATE}/\x1b[2J.tar.gz",
    f"{DATE}/\x00.tar.gz",
    f"{DATE}/{'x' * 2000}",
    "backups/bottles_hash//2026-08-22T030000.000000Z.json",
    "backups/bottles_hash/\u202e.json",
    "state/plans//20260822T030000Z-0badcafe.json",
]


@pytest.fixture
def prefix(quirky: QuirkyS3) -> str:
    return quirky.new_prefix()


@pytest.fixture
def store(quirky: QuirkyS3, prefix: str) -> Iterator[S3Store]:
    options = S3Options(
        bucket=quirky.bucket, prefix=prefix, region=REGION, endpoint_url=quirky.url, sse="bucket"
    )
    made = S3Store(options, clock=ImpatientClock())
    yield made
    made.close()


@pytest.fixture
def upstream(store: S3Store) -> Upstream:
    made = Upstream(store)
    for name in ("jq", "wget", "gtk+3"):
        made.publish(name)
    return made


def put(quirky: QuirkyS3, prefix: str, key: str, data: bytes = b"not ours") -> None:
    """As another tool does."""
    body = b"" if key.endswith("/") or not key else data
    quirky.client.put_object(Bucket=quirky.bucket, Key=f"{prefix}/{key}", Body=body)


def listed_too(prefix: str, keys: list[str]) -> Quirk:
    """Listings of the prefix say that these objects stand there too."""

    def add(data: bytes, asked: str) -> bytes:
        text = data.decode()
        inner = "".join(
            f"<Contents><Key>{escape(quote(key, safe='/'))}</Key><Size>5</Size></Contents>"
            for key in (f"{prefix}/{odd}" for odd in keys)
            if quote(key, safe="-_.~").startswith(asked)
        )
        end = text.rindex("</ListBucketResult>")
        return (text[:end] + inner + text[end:]).encode()

    seen: list[str] = []

    def matches(request: Seen) -> bool:
        asked = next((p[7:] for p in request.query.split("&") if p.startswith("prefix=")), None)
        if asked is None or "delimiter" in request.query:
            return False
        seen.append(asked)
        return True

    return Quirk(method="GET", matches=matches, spoils=lambda data: add(data, seen[-1]))


def sync(upstream: Upstream, *platforms: str) -> Report:
    mirror = upstream.mirror(platforms=platforms)
    return mirror.sync(make_plan(mirror, Request(platforms=platforms), sizes=False).plan)[0]


def weekly_syncs(upstream: Upstream, count: int) -> None:
    for number in range(count):
        upstream.publish("weekly", f"{number}.0")
        report = sync(upstream, "arm64_sonoma")
        assert (report.outcome, report.left) == ("success", 0)
        upstream.next_week()


def everything_goes_on(upstream: Upstream, store: S3Store) -> None:
    """Syncs, backups and their end, status, verification, rebuild and restore."""
    weekly_syncs(upstream, BACKUPS_KEPT + 3)
    assert len(backups(store)) == BACKUPS_KEPT
    held = manifest(store)
    assert len(held) == BACKUPS_KEPT + 6
    status = read_status(store)
    assert (status.held, status.journal_objects, len(status.backups)) == (len(held), 0, BACKUPS_KEPT)
    assert "2026-13-45" not in status.date_folders
    entries = upstream.mirror().fold().manifest.entries()
    assert {certificate.verdict for certificate in certify(store, entries)} == {"CURRENT"}
    store.delete([MANIFEST_KEY])
    restored, _ = restore_manifest(store, upstream.clock)
    assert restored.startswith(f"{BACKUP_PREFIX}20")
    rebuild_manifest(store, upstream.clock, workers=2)
    assert manifest(store) == held


def test_markers_and_objects_of_others_hinder_nothing_and_stay(
    upstream: Upstream, store: S3Store, quirky: QuirkyS3, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    for key in (*MARKERS, *OTHERS):
        put(quirky, prefix, key)
    everything_goes_on(upstream, store)
    pages = quirky.client.get_paginator("list_objects_v2").paginate(Bucket=quirky.bucket, Prefix=f"{prefix}/")
    there = {item["Key"][len(prefix) + 1 :] for page in pages for item in page.get("Contents", ())}
    assert set(OTHERS) <= there
    assert "state/receipts/" in there
    said = [record.__dict__ for record in caplog.records if record.message.startswith("ignored: ")]
    of_receipts = [record for record in said if record["prefix"] == "state/receipts/"]
    # Once for what cannot be a key, once for what others have made, however many listings there were.
    assert sorted(record["message"] for record in of_receipts) == [
        "ignored: objects that the mirror has not made",
        "ignored: objects whose keys are none that the mirror makes",
    ]
    assert [record["objects"] for record in of_receipts] == [2, 2]
    assert any("readme.txt" in record["first"] for record in of_receipts)


def test_keys_that_lead_nowhere_hinder_nothing(
    upstream: Upstream, store: S3Store, quirky: QuirkyS3, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    quirky.add(listed_too(prefix, [*MARKERS, *ODD]))
    everything_goes_on(upstream, store)
    assert all(is_object_key(listed.key) for listed in store.listing(""))
    said = [record.__dict__ for record in caplog.records if record.message.startswith("ignored: ")]
    assert {"state/receipts/", "state/plans/", BACKUP_PREFIX, ""} <= {record["prefix"] for record in said}
    assert all(record["first"].isascii() and record["first"].isprintable() for record in said)


def test_a_listing_gives_only_what_can_be_read(store: S3Store, quirky: QuirkyS3, prefix: str) -> None:
    for key in (*MARKERS, "a b", "größe/ü", "a+b", "a%2Bb", "plain", "tab\there", "x\x7f"):
        put(quirky, prefix, key, b"12345")
    keys = [listed.key for listed in store.listing("")]
    assert {"a b", "größe/ü", "a+b", "a%2Bb", "plain"} <= set(keys)
    for key in keys:
        document = store.read(key)
        assert document is not None
        assert document.data == b"12345"


# -- listings without end ----------------------------------------------------------------------------------


def goes_on(token: Callable[[], str]) -> Callable[[bytes], bytes]:
    """The page says that another one follows."""

    def spoil(data: bytes) -> bytes:
        text = data.decode().replace("<IsTruncated>false</IsTruncated>", "<IsTruncated>true</IsTruncated>")
        end = text.rindex("</ListBucketResult>")
        given = token()
        more = f"<NextContinuationToken>{given}</NextContinuationToken>" if given else ""
        return (text[:end] + more + text[end:]).encode()

    return spoil


@pytest.mark.parametrize("tokens", [["A"], ["A", "B"], [f"t{n}" for n in range(100)], [""]], ids=len)
@pytest.mark.parametrize(
    "act", [lambda store: list(store.listing("state/")), lambda store: store.date_folders()]
)
def test_a_listing_that_never_ends_is_an_error(
    store: S3Store,
    quirky: QuirkyS3,
    tokens: list[str],
    act: Callable[[S3Store], object],
) -> None:
    store.write("state/a.json", b"x")
    store.write(f"{DATE}/a", b"x")
    waiting = iter(tokens * 1000)
    quirky.add(Quirk(method="GET", drops=(), spoils=goes_on(lambda: next(waiting)), matches=is_listing))
    # The server behind knows none of these tokens: it goes on behind them in the order of keys.
    with pytest.raises(StoreError):
        act(store)
    assert len([seen for seen in quirky.seen if is_listing(seen)]) <= 120


def is_listing(seen: Seen) -> bool:
    return "list-type=2" in seen.query


def test_a_sync_beside_an_endless_listing_says_so(upstream: Upstream, quirky: QuirkyS3) -> None:
    quirky.add(Quirk(method="GET", spoils=goes_on(lambda: "A"), matches=is_listing))
    with pytest.raises(StoreUnavailable, match="the token 'A' twice"):
        weekly_syncs(upstream, 1)


# -- copies inside the store -------------------------------------------------------------------------------


def test_a_copy_inherits_no_tags(store: S3Store, quirky: QuirkyS3, prefix: str) -> None:
    first, second = bottle(content=CONTENT), bottle(tag="arm64_tahoe", content=CONTENT)
    give(store, first, CONTENT)
    ending = {"TagSet": [{"Key": "mirror-superseded", "Value": "true"}]}
    source = {"Bucket": quirky.bucket, "Key": f"{prefix}/{first.key(DATE)}"}
    quirky.client.put_object_tagging(**source, Tagging=ending)
    assert quirky.client.get_object_tagging(**source)["TagSet"] == ending["TagSet"]
    store.duplicate(first.key(DATE), second, date=DATE, size=len(CONTENT))
    copy = {"Bucket": quirky.bucket, "Key": f"{prefix}/{second.key(DATE)}"}
    assert quirky.client.get_object_tagging(**copy)["TagSet"] == []
    (asked,) = (seen for seen in quirky.seen if seen.is_copy)
    assert asked.headers["x-amz-tagging-directive"] == "REPLACE"
    assert "x-amz-tagging" not in asked.headers
    # Nobody asks for the source's tags.
    assert not any("tagging" in seen.query for seen in quirky.seen)


@pytest.mark.parametrize(
    "answer", [(501, "NotImplemented"), (400, "InvalidArgument"), (400, "NotImplemented")]
)
def test_a_server_that_knows_no_tags_gets_the_names_from_upstream(
    upstream: Upstream, quirky: QuirkyS3, answer: tuple[int, str]
) -> None:
    arm = ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma")
    upstream.publish("shared", tags=dict.fromkeys(arm, "shared"))
    status, code = answer
    quirky.add(
        Quirk(
            method="PUT",
            matches=lambda seen: "x-amz-tagging-directive" in seen.headers,
            status=status,
            code=code,
        )
    )
    report = sync(upstream, *arm)
    assert (report.outcome, report.duplicated, report.stored) == ("success", 0, 6)
