"""A sync from catalogue to manifest, over fakes."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.domain.manifest import decode_manifest
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.domain.plan import Plan, Request
from brew_assets.domain.report import REPORT_PREFIX, decode_report
from brew_assets.engine.catalogue_cache import kept_catalogue
from brew_assets.engine.kept_plans import load_plan
from brew_assets.engine.options import Options
from brew_assets.engine.planner import make_plan, refresh_catalogue
from brew_assets.engine.ports import FetchedCatalogue, HashFile, ListedObject, Ports, Store
from brew_assets.engine.read_only_store import read_only
from brew_assets.engine.record.fold import read_held
from brew_assets.engine.record.journal import RECEIPT_PREFIX
from brew_assets.engine.reports import kept_reports
from brew_assets.engine.retry import RetryPolicy
from brew_assets.engine.sync import Mirror
from brew_assets.engine.transfer.verdicts import CANARY_KEY
from brew_assets.errors import (
    BlobNotFound,
    CatalogueInvalid,
    HashFileInvalid,
    ManifestInvalid,
    ObjectRefused,
    PlanInvalid,
    PlanningStopped,
    StoreRefused,
)
from brew_assets_tests.fakes import (
    Act,
    FakeCatalogueSource,
    FakeClock,
    FakeIndexes,
    FakeStop,
    MemoryStore,
    ScriptedBlobs,
)
from brew_assets_tests.worlds import digest_of, formula, index_of_formula, old_shape

ARM = ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma")


class FakeHashFile:
    """An external hash file with these bytes, or one that cannot be had."""

    name = "hashes.json"

    def __init__(self, data: bytes | None) -> None:
        self._data = data

    def load(self) -> HashFile:
        if self._data is None:
            raise HashFileInvalid("cannot be had")
        return HashFile(source=self.name, data=self._data)


class BrokenHashFile(FakeHashFile):
    """A source that fails as none should, with its secret address in the text."""

    def load(self) -> HashFile:
        raise RuntimeError("https://hashes.example/?token=PLANTED")


class StoppingSource(FakeIndexes):
    """The catalogue, a hash file or the registry, during whose answer a stop signal comes."""

    url = "https://formulae.example/api/formula.json"
    name = "hashes.json"

    def __init__(self, upstream: "Upstream") -> None:
        super().__init__()
        self._upstream = upstream

    def fetch(self, *, etag: str = "") -> FetchedCatalogue | None:
        self._upstream.stop.set()
        return self._upstream.source.fetch(etag=etag)

    def load(self) -> HashFile:
        self._upstream.stop.set()
        return HashFile(source=self.name, data=b"[]")

    def fetch_index(self, image: str, reference: str) -> bytes | None:
        self._upstream.stop.set()
        return super().fetch_index(image, reference)


class Upstream:
    """A mirror over fakes, and an upstream that can publish."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = FakeClock()
        self.stop = FakeStop()
        self.blobs = ScriptedBlobs()
        self.source = FakeCatalogueSource(b"[]")
        self.indexes = FakeIndexes()
        self._formulae: dict[str, dict[str, Any]] = {}

    def publish(self, name: str, version: str = "1.0", **options: Any) -> None:
        """The formula replaces its earlier version; its bottles and its index can be fetched."""
        entry = formula(name, version, **options)
        tags = options.get("tags", ("arm64_sonoma",))
        rebuild = options.get("rebuild", 0)
        contents = (
            tags.values() if isinstance(tags, dict) else [f"{name}/{version}/{t}/{rebuild}" for t in tags]
        )
        self.blobs.publish(*(content.encode() for content in contents))
        self.indexes.indexes |= index_of_formula(entry)
        self._formulae[name] = entry
        self.source.body = json.dumps(list(self._formulae.values())).encode()

    def mirror(
        self, *, platforms: tuple[str, ...] = ARM, hash_file: FakeHashFile | None = None, workers: int = 2
    ) -> Mirror:
        ports = Ports(
            catalogue=self.source,
            blobs=self.blobs,
            indexes=self.indexes,
            store=self.store,
            hash_files=(hash_file,) if hash_file else (),
            clock=self.clock,
            stop=self.stop,
        )
        return Mirror(ports, Options(platforms=platforms, workers=workers, retry=RetryPolicy(attempts=1)))

    def plan(self, *platforms: str, **request: Any) -> Plan:
        asked = Request(platforms=platforms or ARM, **request)
        return make_plan(self.mirror(), asked).plan

    def next_week(self) -> None:
        self.clock.advance(7 * 86400)


@pytest.fixture(params=["memory", "directory"])
def upstream(request: pytest.FixtureRequest, tmp_path: Path) -> Upstream:
    made = Upstream(MemoryStore() if request.param == "memory" else DirectoryStore(tmp_path / "mirror"))
    made.publish("wget", tags=ARM)
    made.publish("ca-certificates", "2026-08-13", tags=("all",))
    made.publish("openssl@3", "3.5.2", tags=dict.fromkeys(ARM, "one digest for three tags"), revision=1)
    made.publish("gtk+3", "3.24", tags=("arm64_sonoma", "x86_64_linux"), rebuild=2)
    made.publish("old", tags=("arm64_sonoma",), disabled=True)
    return made


def manifest(store: Store) -> set[str]:
    document = store.read(MANIFEST_KEY)
    return set(decode_manifest(document.data).keys()) if document else set()


def test_after_a_sync_the_next_plan_is_empty(upstream: Upstream) -> None:
    plan = upstream.plan()
    assert (len(plan.objects), len(plan.digests())) == (8, 6)
    report, _ = upstream.mirror().sync(plan)
    assert (report.outcome, report.stored, report.downloaded) == ("success", 8, 6)
    assert manifest(upstream.store) == {planned.bottle.entry_key for planned in plan.objects}
    again = upstream.plan()
    assert (again.objects, again.held) == ((), 8)


def test_a_second_carrying_out_copies_nothing(upstream: Upstream) -> None:
    plan = upstream.plan()
    upstream.mirror().sync(plan)
    report, folded = upstream.mirror().sync(plan)
    assert (report.outcome, report.kept, report.stored, folded.added) == ("success", 8, 0, 0)
    assert len(upstream.blobs.opened) == 6


def test_runs_of_all_platforms_cover_the_plan_and_download_each_digest_once(upstream: Upstream) -> None:
    plan = upstream.plan()
    reports = [upstream.mirror().sync(plan, platform)[0] for platform in ARM]
    assert {report.outcome for report in reports} == {"success"}
    assert manifest(upstream.store) == {planned.bottle.entry_key for planned in plan.objects}
    assert len(upstream.blobs.opened) == 6


def test_runs_of_all_platforms_at_the_same_time_lose_nothing(upstream: Upstream) -> None:
    for number in range(30):
        upstream.publish(f"f{number:02}", tags=dict.fromkeys(ARM, f"{number}") if number % 3 else ARM)
    plan = upstream.plan()
    outcomes: list[object] = []

    def run(platform: str) -> None:
        try:
            outcomes.append(upstream.mirror().sync(plan, platform)[0].outcome)
        except BaseException as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run, args=(platform,)) for platform in ARM]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outcomes == ["success"] * 3
    assert set(read_held(upstream.store).entries) == {planned.bottle.entry_key for planned in plan.objects}
    assert upstream.plan().objects == ()


def test_a_new_week_copies_only_what_is_new(upstream: Upstream) -> None:
    upstream.mirror().sync(upstream.plan())
    upstream.next_week()
    upstream.publish("wget", "2.0", tags=ARM)
    upstream.publish("gtk+3", "3.24", tags=("arm64_sonoma",), rebuild=3)
    plan = upstream.plan()
    assert {planned.bottle.formula for planned in plan.objects} == {"wget", "gtk+3"}
    report, _ = upstream.mirror().sync(plan)
    assert (report.sync_date, report.stored) == ("2026-08-29", 4)
    assert len(manifest(upstream.store)) == 12


def test_a_digest_that_is_held_under_an_earlier_name_is_not_downloaded_again(upstream: Upstream) -> None:
    upstream.mirror().sync(upstream.plan())
    upstream.next_week()
    upstream.publish("openssl@3", "3.6.0", tags=dict.fromkeys(ARM, "one digest for three tags"))
    before = len(upstream.blobs.opened)
    report, _ = upstream.mirror().sync(upstream.plan())
    assert (report.stored, report.duplicated, report.downloaded) == (3, 3, 0)
    assert len(upstream.blobs.opened) == before


def test_force_downloads_again_in_the_same_folder(upstream: Upstream) -> None:
    upstream.mirror().sync(upstream.plan())
    plan = upstream.plan(formulae=("wget",), force=True)
    report, _ = upstream.mirror().sync(plan)
    assert (report.outcome, report.stored, report.downloaded) == ("success", 3, 3)


def test_a_kill_before_the_receipts_costs_no_second_download(upstream: Upstream) -> None:
    plan = upstream.plan()
    upstream.mirror().sync(plan)
    upstream.store.write(MANIFEST_KEY, _without(upstream.store, "wget"))
    before = len(upstream.blobs.opened)
    report, _ = upstream.mirror().sync(plan)
    assert (report.identified, report.kept, report.stored) == (3, 8, 0)
    assert len(upstream.blobs.opened) == before
    assert len(manifest(upstream.store)) == 8


def _without(store: Store, name: str) -> bytes:
    """The manifest without a formula's bottles."""
    document = store.read(MANIFEST_KEY)
    assert document is not None
    kept = decode_manifest(document.data)
    from brew_assets.domain.manifest import Manifest

    made = Manifest()
    for key, entry in kept.entries():
        if entry.formula_name != name:
            made.put(key, entry)
    return made.encode(last_updated="2026-08-22T03:00:00Z")


def test_an_unrecorded_bottle_with_a_flipped_byte_is_not_adopted(upstream: Upstream) -> None:
    plan = upstream.plan()
    upstream.mirror().sync(plan)
    upstream.store.write(MANIFEST_KEY, _without(upstream.store, "wget"))
    victim = next(p.bottle for p in plan.objects if p.bottle.formula == "wget")
    upstream.store.write(victim.key(plan.sync_date), b"flipped")
    planned = make_plan(upstream.mirror(), Request(platforms=ARM))
    assert [stray.key for stray in planned.unidentified] == [victim.key(plan.sync_date)]
    assert [p.bottle.filename for p in planned.plan.objects] == [victim.filename]


def test_a_manifest_that_was_deleted_is_rebuilt_before_anything_is_planned(upstream: Upstream) -> None:
    for week in range(6):
        upstream.publish("wget", f"1.{week}", tags=ARM)
        upstream.mirror().sync(upstream.plan())
        upstream.next_week()
    before = manifest(upstream.store)
    upstream.store.delete([MANIFEST_KEY])
    plan = upstream.plan()
    assert plan.objects == ()
    assert manifest(upstream.store) == before


def test_a_manifest_that_is_deleted_during_a_run_is_not_forgotten(upstream: Upstream) -> None:
    for week in range(6):
        upstream.publish("wget", f"1.{week}", tags=ARM)
        upstream.mirror().sync(upstream.plan())
        upstream.next_week()
    before = manifest(upstream.store)
    upstream.publish("wget", "2.0", tags=ARM)
    plan = upstream.plan()
    upstream.blobs.script(plan.objects[0].bottle, Act(on_open=lambda: upstream.store.delete([MANIFEST_KEY])))
    report, _ = upstream.mirror().sync(plan)
    assert report.stored == 3
    upstream.plan()
    assert set(read_held(upstream.store).entries) >= before


def test_a_look_without_recording_writes_nothing() -> None:
    store = MemoryStore()
    upstream = Upstream(store)
    upstream.publish("wget", tags=ARM)
    planned = make_plan(read_only(upstream.mirror()), Request(platforms=ARM))
    assert len(planned.plan.objects) == 3
    assert store.keys() == []


def test_an_invalid_manifest_stops_planning_and_copying(upstream: Upstream) -> None:
    plan = upstream.plan()
    upstream.store.write(MANIFEST_KEY, b'{"bottles":{}}')
    acts: list[Callable[[], object]] = [
        upstream.plan,
        lambda: upstream.mirror().sync(plan),
        lambda: upstream.mirror().fold(),
    ]
    for act in acts:
        with pytest.raises(ManifestInvalid):
            act()
    document = upstream.store.read(MANIFEST_KEY)
    assert document is not None
    assert document.data == b'{"bottles":{}}'
    assert upstream.blobs.opened == []


def test_a_bad_bottle_fails_by_name_and_the_next_plan_wants_it_again(upstream: Upstream) -> None:
    plan = upstream.plan()
    bad = next(p.bottle for p in plan.objects if p.bottle.formula == "gtk+3")
    upstream.blobs.always(bad, Act(error=BlobNotFound("404 from upstream")))
    report, _ = upstream.mirror().sync(plan)
    assert report.outcome == "partial"
    assert [failure.name for failure in report.failed] == [bad.filename]
    assert [p.bottle.filename for p in upstream.plan().objects] == [bad.filename]


def test_every_planned_name_is_accounted_for_in_the_report() -> None:
    store = MemoryStore()
    upstream = Upstream(store)
    for number in range(12):
        upstream.publish(f"f{number:02}", tags=("arm64_tahoe", "arm64_sonoma"))
        upstream.publish(f"s{number:02}", tags=dict.fromkeys(("arm64_tahoe", "arm64_sonoma"), f"{number}"))
    plan = upstream.plan("arm64_tahoe", "arm64_sonoma")
    store.fail("commit", StoreRefused("the bucket is gone"))
    store.refuse("write", StoreRefused("the bucket is gone"), key=CANARY_KEY)
    report, _ = upstream.mirror(workers=1).sync(plan, "arm64_tahoe")
    assert report.aborted
    assert report.outcome == "failed"
    assert report.kept + report.stored + len(report.failed) + report.left == report.planned


class StoreWithAnotherPrefix(MemoryStore):
    """It takes and gives out every object, and lists none: a server that keeps x//y as x/y."""

    def listing(self, prefix: str) -> Iterator[ListedObject]:
        return iter(())

    def date_folders(self) -> list[str]:
        return []


def test_what_is_stored_and_not_in_the_manifest_is_no_success() -> None:
    upstream = Upstream(StoreWithAnotherPrefix())
    upstream.publish("jq")
    upstream.publish("wget")
    report, folded = upstream.mirror().sync(upstream.plan())
    assert (report.outcome, report.stored, folded.entries) == ("failed", 0, 0)
    assert {failure.reason for failure in report.failed} == {"not recorded"}
    assert "the store does not list or give out the receipt" in report.failed[0].message
    assert report.kept + report.stored + len(report.failed) + report.left == report.planned == 2


def test_a_receipt_that_cannot_be_read_makes_its_bottle_no_success() -> None:
    upstream = Upstream(store := MemoryStore())
    upstream.publish("jq")
    plan = upstream.plan("arm64_sonoma")
    store.refuse_below("read", ObjectRefused("403 AccessDenied"), f"{RECEIPT_PREFIX}{plan.sync_id}/")
    report, _ = upstream.mirror().sync(plan)
    assert (report.outcome, report.stored, len(report.failed)) == ("failed", 0, report.planned)
    store.allow_all()
    report, _ = upstream.mirror().sync(plan)
    assert (report.outcome, report.kept, report.stored) == ("success", report.planned, 0)


def test_a_stopped_sync_says_what_is_left_and_the_next_run_goes_on(upstream: Upstream) -> None:
    plan = upstream.plan()
    upstream.blobs.script(plan.objects[0].bottle, Act(on_open=upstream.stop.set))
    report, _ = upstream.mirror(workers=1).sync(plan)
    assert report.outcome == "stopped"
    assert report.left == 7
    upstream.stop = FakeStop()
    report, _ = upstream.mirror().sync(plan)
    assert (report.outcome, report.kept, report.stored) == ("success", 1, 7)


def test_the_report_stands_in_the_store(upstream: Upstream) -> None:
    plan = upstream.plan()
    report, _ = upstream.mirror().sync(plan)
    (key,) = kept_reports(upstream.store, plan.sync_id)
    assert key.startswith(f"{REPORT_PREFIX}{plan.sync_id}/")
    document = upstream.store.read(key)
    assert document is not None
    assert decode_report(document.data) == report
    assert decode_report(document.data) == report
    assert list(upstream.store.listing(RECEIPT_PREFIX)) == []


def test_reports_of_tries_within_one_second_stand_in_their_order(upstream: Upstream) -> None:
    plan = upstream.plan()
    tries = [f"try {number}" for number in range(6)]
    for run_id in tries:
        upstream.mirror().sync(plan, "arm64_sonoma", run_id=run_id)
    kept = kept_reports(upstream.store, plan.sync_id)
    assert [report.run_id for report in kept.values()] == tries


def test_a_plan_can_be_loaded_by_its_sync(upstream: Upstream) -> None:
    plan = upstream.plan()
    assert load_plan(upstream.mirror().ports, plan.sync_id) == plan
    for name in ("", "../plans/x", "no-such-sync", "x" * 100):
        with pytest.raises(PlanInvalid):
            load_plan(upstream.mirror().ports, name)


def test_a_run_for_a_platform_that_the_plan_lacks_is_refused(upstream: Upstream) -> None:
    with pytest.raises(PlanInvalid, match="sonoma"):
        upstream.mirror().sync(upstream.plan("arm64_tahoe"), "sonoma")


def test_digests_of_an_external_hash_file_are_skipped_and_not_held(upstream: Upstream) -> None:
    digest = digest_of("one digest for three tags")
    mirror = upstream.mirror(hash_file=FakeHashFile(json.dumps([digest, "nonsense"]).encode()))
    planned = make_plan(mirror, Request(platforms=ARM))
    assert (planned.plan.skipped, planned.plan.held, len(planned.plan.objects)) == (3, 0, 5)
    assert planned.skip.rejected == 1
    assert len(upstream.plan().objects) == 8


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"\xff",
        b"5",
        b'["\xff"]',
        b"[" * 100_000,
        b'{"bottles":' + b"[" * 100_000,
        b'{"bottles":{"\xff":1}}',
    ],
)
def test_a_hash_file_that_cannot_be_read_is_a_warning(upstream: Upstream, data: bytes | None) -> None:
    planned = make_plan(upstream.mirror(hash_file=FakeHashFile(data)), Request(platforms=ARM))
    assert len(planned.plan.objects) == 8
    assert "hashes.json" in planned.skip.warnings[0]
    assert planned.plan.left_out.hash_file_warnings == 1
    assert planned.plan.left_out.hash_file_findings[0].startswith("hashes.json: ")


def test_a_source_that_fails_as_none_should_is_a_warning_without_its_text(upstream: Upstream) -> None:
    planned = make_plan(upstream.mirror(hash_file=BrokenHashFile(b"")), Request(platforms=ARM))
    assert len(planned.plan.objects) == 8
    assert planned.skip.warnings == ("hashes.json: RuntimeError; the sync goes on without it",)


def test_the_catalogue_is_kept_and_asked_for_conditionally(upstream: Upstream) -> None:
    mirror = upstream.mirror()
    upstream.store.prepare()
    first = refresh_catalogue(mirror)
    second = refresh_catalogue(mirror)
    assert (first.modified, second.modified) == (True, False)
    assert upstream.source.asked == ["", first.kept.etag]
    assert first.kept == second.kept
    upstream.publish("new")
    third = refresh_catalogue(mirror)
    assert third.modified
    assert third.kept.previous_sha256 == first.kept.sha256
    assert third.kept.previous_formulae == 5


def test_a_kept_catalogue_that_was_damaged_is_fetched_again(upstream: Upstream) -> None:
    mirror = upstream.mirror()
    upstream.store.prepare()
    first = refresh_catalogue(mirror)
    upstream.store.write(first.kept.key, b"damaged")
    second = refresh_catalogue(mirror)
    assert upstream.source.asked == ["", ""]
    assert second.catalogue.formulae == first.catalogue.formulae
    document = upstream.store.read(first.kept.key)
    assert document is not None
    assert digest_of(document.data) == first.kept.sha256


@pytest.mark.parametrize("note", [b"", b"\xff", b"{}", b'{"url":"\xff"}', b"[" * 100_000])
def test_a_damaged_note_of_the_kept_catalogue_is_fetched_again(upstream: Upstream, note: bytes) -> None:
    mirror = upstream.mirror()
    upstream.store.prepare()
    refresh_catalogue(mirror)
    upstream.store.write("state/upstream/formula/latest.json", note)
    assert len(refresh_catalogue(mirror).catalogue.formulae) == 5


def test_a_catalogue_that_is_none_leaves_the_kept_one(upstream: Upstream) -> None:
    mirror = upstream.mirror()
    upstream.store.prepare()
    first = refresh_catalogue(mirror)
    upstream.source.body = b"<html>maintenance</html>"
    with pytest.raises(CatalogueInvalid, match=r"formulae\.example"):
        refresh_catalogue(mirror)
    document = upstream.store.read("state/upstream/formula/latest.json")
    assert document is not None
    assert first.kept.sha256.encode() in document.data


def test_a_catalogue_that_rejects_too_much_for_a_configured_platform_leaves_the_kept_one(
    upstream: Upstream,
) -> None:
    upstream.store.prepare()
    first = refresh_catalogue(upstream.mirror())
    entries = json.loads(upstream.source.body)
    for entry in entries:
        entry["bottle"]["stable"]["files"].get("arm64_tahoe", {})["sha256"] = "none"
    upstream.source.body = json.dumps(entries).encode()
    with pytest.raises(CatalogueInvalid, match=r"formulae\.example.* 2 of 5 bottles for arm64_tahoe"):
        refresh_catalogue(upstream.mirror())
    assert kept_catalogue(upstream.store) == first.kept
    # A mirror without that platform can go on.
    assert refresh_catalogue(upstream.mirror(platforms=("x86_64_linux",))).modified


def test_a_kept_catalogue_that_would_be_refused_today_is_not_for_ever(upstream: Upstream) -> None:
    upstream.store.prepare()
    mirror, whole = upstream.mirror(), upstream.source.body
    first = refresh_catalogue(mirror)
    # As an earlier version kept it.
    data = old_shape()
    kept = msgspec.structs.replace(first.kept, sha256=digest_of(data), etag="of the old shape")
    upstream.store.write(kept.key, data)
    upstream.store.write("state/upstream/formula/latest.json", msgspec.json.encode(kept))
    upstream.source.body = data
    with pytest.raises(CatalogueInvalid, match="311 of 318"):
        refresh_catalogue(mirror)
    upstream.source.body = whole
    assert refresh_catalogue(mirror).kept.sha256 == first.kept.sha256
    assert upstream.source.asked == ["", "", ""]


@pytest.mark.parametrize("step", ["catalogue", "hash file", "index"])
def test_a_planning_that_is_stopped_keeps_no_plan(upstream: Upstream, step: str) -> None:
    ports = upstream.mirror(hash_file=FakeHashFile(b"[]")).ports
    stopping = StoppingSource(upstream)
    if step == "catalogue":
        ports = msgspec.structs.replace(ports, catalogue=stopping)
    elif step == "hash file":
        ports = msgspec.structs.replace(ports, hash_files=(stopping,))
    else:
        ports = msgspec.structs.replace(ports, indexes=stopping)
    mirror = Mirror(ports, Options(platforms=ARM))
    with pytest.raises(PlanningStopped, match="nothing was copied"):
        make_plan(mirror, Request(platforms=ARM))
    assert [listed.key for listed in upstream.store.listing("state/plans/")] == []
    upstream.stop = FakeStop()
    assert upstream.plan().objects


def test_a_hash_file_that_takes_long_to_read_holds_up_no_stop(upstream: Upstream) -> None:
    over, read = threading.Event(), []

    class Slow(FakeHashFile):
        def load(self) -> HashFile:
            upstream.stop.set()
            over.wait(30)
            read.append(self.name)
            return super().load()

    ports = msgspec.structs.replace(upstream.mirror().ports, hash_files=(Slow(b"[]"),))
    with pytest.raises(PlanningStopped):
        make_plan(Mirror(ports, Options(platforms=ARM)), Request(platforms=ARM))
    assert read == []
    over.set()


def test_a_run_reports_what_its_plan_left_out_and_names_what_is_left(upstream: Upstream) -> None:
    for number in range(30):
        upstream.publish(f"good{number}")
    upstream.publish("worse", revision=-1)
    plan = upstream.plan()
    assert (plan.left_out.rejected, plan.left_out.disabled) == (1, 1)
    upstream.stop.set()
    report, _ = upstream.mirror().sync(plan)
    assert (report.skipped, report.left_out) == (plan.skipped, plan.left_out)
    assert (report.left, len(report.left_bottles), report.undone) == (38, 20, ())
    (stored,) = kept_reports(upstream.store, plan.sync_id).values()
    assert stored == report


def test_a_bottle_whose_name_is_too_long_for_a_disk_is_left_out_by_name_and_alone(tmp_path: Path) -> None:
    upstream = Upstream(DirectoryStore(tmp_path / "mirror"))
    upstream.publish("a" * 120, "1" * 120)
    for number in range(10):
        upstream.publish(f"good{number}")
    mirror = upstream.mirror(workers=1)
    (rejected,) = refresh_catalogue(mirror).catalogue.rejected
    assert (rejected.name, "longer than file systems take" in rejected.why) == ("a" * 120, True)
    report, _ = mirror.sync(upstream.plan())
    assert (report.outcome, report.stored, report.failed) == ("success", 10, ())


def test_two_formulae_that_meet_in_one_file_name_are_settled_before_anything_is_copied(
    upstream: Upstream,
) -> None:
    for number in range(10):
        upstream.publish(f"good{number}")
    upstream.publish("a", "b-1")
    upstream.publish("a-b", "1")
    plan = upstream.plan()
    keys = [planned.bottle.key(plan.sync_date) for planned in plan.objects]
    assert len(keys) == len(set(keys))
