"""The Lambda route without Lambdas: workers that do their work, die, hang, or are never there."""

import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from brew_assets.domain.batch import (
    BATCH_PREFIX,
    BatchReference,
    DirectRequest,
    batch_report_key,
    decode_batch,
    decode_event,
)
from brew_assets.domain.manifest import decode_manifest
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.domain.plan import Plan, Request
from brew_assets.domain.report import Report, decode_report
from brew_assets.engine.lambda_copier import DispatchOptions, LambdaCopier, Pace
from brew_assets.engine.options import Options
from brew_assets.engine.planner import make_plan
from brew_assets.engine.ports import Document, Ports
from brew_assets.engine.read_only_store import read_only
from brew_assets.engine.record.fold import read_held
from brew_assets.engine.record.journal import RECEIPT_PREFIX
from brew_assets.engine.retry import Backoff, RetryPolicy
from brew_assets.engine.sync import Mirror
from brew_assets.engine.sync_worker import work_on
from brew_assets.engine.transfer.local_copier import LocalCopier
from brew_assets.errors import (
    BlobNotFound,
    EventInvalid,
    InvocationFailed,
    InvocationRefused,
    InvocationThrottled,
    ObjectRefused,
)
from brew_assets_tests.engine.test_sync import Upstream
from brew_assets_tests.fakes import (
    Act,
    FakeIndexes,
    FakeStop,
    MemoryStore,
)

SMALL_BATCHES = Pace(least_s=0.1)
Behaviour = Callable[[str], None]


class StrangeStore(MemoryStore):
    """A store whose operation (`close`, or `read` of a batch's report) fails as no store should."""

    def __init__(self, operation: str) -> None:
        super().__init__()
        self._operation = operation

    def read(self, key: str) -> Document | None:
        if self._operation == "read" and key.endswith(".batch.json"):
            raise OSError("a descriptor that is closed")
        return super().read(key)

    def close(self) -> None:
        if self._operation == "close":
            raise OSError("a descriptor that is closed")
        super().close()


class Workers:
    """An invoker whose workers run in this process, each as its script says; by default they work."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.invoked: list[str] = []
        self.logged: list[str] = []
        self.script: list[Behaviour] = []
        self.always: Behaviour = self.work
        self._lock = threading.Lock()
        self._alone = threading.RLock()
        self.running = self.most = 0

    def invoke(self, batch_key: str) -> None:
        with self._lock:
            self.invoked.append(batch_key)
            behave = self.script.pop(0) if self.script else self.always
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            behave(batch_key)
        finally:
            with self._lock:
                self.running -= 1

    def log(self, message: str) -> None:
        self.logged.append(message)

    def work(self, batch_key: str) -> None:
        """Does all of the batch."""
        with self._alone:
            work_on(self._mirror(FakeStop()), decode_event({"batch_key": batch_key}))

    def work_then_die(self, batch_key: str) -> None:
        """Stores everything with receipts and dies before the report."""
        store = self.upstream.store
        self.work(batch_key)
        store.delete([batch_report_key(batch_key)])
        raise InvocationFailed(f"{batch_key}: died")

    def store_then_die(self, batch_key: str) -> None:
        """Stores everything and dies before receipts and report."""
        store = self.upstream.store
        with self._alone:
            before = {listed.key for listed in store.listing(RECEIPT_PREFIX)}
            self.work_then_die_quietly(batch_key)
            store.delete([x.key for x in store.listing(RECEIPT_PREFIX) if x.key not in before])
        raise InvocationFailed(f"{batch_key}: died")

    def work_then_die_quietly(self, batch_key: str) -> None:
        """Stores everything with receipts; there is no report, and no error either."""
        self.work(batch_key)
        self.upstream.store.delete([batch_report_key(batch_key)])

    def run_out_of_time(self, batch_key: str) -> None:
        """A worker whose time is over at once: it begins nothing and reports that."""
        stop = FakeStop()
        stop.set()
        work_on(self._mirror(stop), decode_event({"batch_key": batch_key}))

    def run_out_of_time_soon(self, batch_key: str) -> None:
        """A worker whose time is over with its first bottles: it begins no other and reports that."""
        stop = FakeStop()
        store = self.upstream.store
        assert isinstance(store, MemoryStore)
        store.before("commit", stop.set)
        work_on(self._mirror(stop), decode_event({"batch_key": batch_key}))

    def die(self, batch_key: str) -> None:
        """Does nothing at all."""
        raise InvocationFailed(f"{batch_key}: Task timed out after 900.00 seconds")

    def be_busy(self, batch_key: str) -> None:
        raise InvocationThrottled(f"{batch_key}: Rate Exceeded.")

    def refuse(self, batch_key: str) -> None:
        raise InvocationRefused(f"{batch_key}: Function not found")

    def _mirror(self, stop: FakeStop) -> Mirror:
        upstream = self.upstream
        ports = Ports(
            catalogue=upstream.source,
            blobs=upstream.blobs,
            indexes=FakeIndexes(),
            store=upstream.store,
            hash_files=(),
            clock=upstream.clock,
            stop=stop,
        )
        options = Options(platforms=("arm64_sonoma",), workers=2, retry=RetryPolicy(attempts=1))
        return Mirror(ports, options)


class SyncStatus:
    """A plan of bottles, carried out through workers."""

    def __init__(self, bottles: int = 12, *, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.upstream = Upstream(self.store)
        for number in range(bottles):
            self.upstream.publish(f"formula{number:03}")
        self.workers = Workers(self.upstream)
        self.bottles = bottles

    def plan(self, **asked: Any) -> Plan:
        return self.upstream.plan("arm64_sonoma", **asked)

    def copy_plan(
        self, plan: Plan, *, concurrency: int = 4, pace: Pace = SMALL_BATCHES, exclude: tuple[str, ...] = ()
    ) -> Report:
        mirror = self.upstream.mirror()
        mirror.options = msgspec.structs.replace(mirror.options, exclude_formulae=exclude)
        dispatcher = LambdaCopier(
            self.workers,
            mirror.ports,
            fallback=LocalCopier(mirror.ports, mirror.options),
            options=DispatchOptions(
                concurrency=concurrency, pace=pace, tries=8, backoff=Backoff(first_s=0.01, cap_s=30.0)
            ),
        )
        report, _ = mirror.sync(plan, "arm64_sonoma", copier=dispatcher)
        return report

    def slow_down(self, plan: Plan, *, seconds: float, first: int | None = None) -> None:
        """Each of the plan's first bottles (or all) takes its worker so long."""
        slowly = Act(on_open=lambda: self.upstream.clock.advance(seconds))
        for planned in plan.objects[:first]:
            self.upstream.blobs.always(planned.bottle, slowly)

    def sizes(self) -> list[int]:
        """How many bottles each batch had, in the order of the invocations."""
        return [len(decode_batch(self.store.data(key)).objects) for key in self.workers.invoked]

    def downloads(self) -> list[str]:
        return [name for name, _ in self.upstream.blobs.opened]

    def entries(self) -> int:
        document = self.upstream.store.read(MANIFEST_KEY)
        assert document is not None
        return len(decode_manifest(document.data))

    def assert_complete(self, report: Report) -> None:
        """All is held, recorded and folded, and was downloaded once."""
        assert report.outcome == "success", report
        assert report.stored + report.kept == report.planned == self.bottles
        assert self.entries() == self.bottles
        assert not list(self.upstream.store.listing(RECEIPT_PREFIX))


@pytest.fixture
def story() -> SyncStatus:
    return SyncStatus()


def test_batches_are_shared_out_over_concurrent_workers(story: SyncStatus) -> None:
    together = threading.Barrier(4, timeout=60)

    def meet(batch_key: str) -> None:
        together.wait()
        story.workers.work(batch_key)

    story.workers.always = meet
    report = story.copy_plan(story.plan())
    story.assert_complete(report)
    assert report.route == "lambda"
    assert (len(story.workers.invoked), story.workers.most) == (4, 4)
    assert sorted(story.downloads()) == sorted(set(story.downloads()))


def test_never_more_workers_at_once_than_allowed(story: SyncStatus) -> None:
    report = story.copy_plan(story.plan(), concurrency=2, pace=Pace(target_s=0.1, least_s=0.1))
    story.assert_complete(report)
    assert story.workers.most <= 2
    assert len(story.workers.invoked) > 2


def test_batches_travel_by_reference_and_reports_come_back(story: SyncStatus) -> None:
    plan = story.plan()
    story.copy_plan(plan)
    store = story.upstream.store
    keys = [listed.key for listed in store.listing(BATCH_PREFIX)]
    assert sorted(keys) == sorted(story.workers.invoked)
    for key in keys:
        batch, document = store.read(key), store.read(batch_report_key(key))
        assert batch is not None
        assert document is not None
        report = decode_report(document.data)
        assert report.stored == len(decode_batch(batch.data).objects) == report.planned
        assert (report.route, report.sync_id) == ("lambda", plan.sync_id)


@pytest.mark.parametrize(
    "ending", ["die", "run_out_of_time", "work_then_die", "store_then_die", "work_then_die_quietly"]
)
def test_what_a_worker_did_not_report_is_done_again_without_downloading_twice(
    story: SyncStatus, ending: str
) -> None:
    story.workers.script = [getattr(story.workers, ending)]
    report = story.copy_plan(story.plan())
    story.assert_complete(report)
    # The three bottles of the lost batch are shared out anew: two batches of at most two.
    assert len(story.workers.invoked) == 6
    assert sorted(story.downloads()) == sorted(set(story.downloads()))


@pytest.mark.parametrize("ending", ["die", "run_out_of_time", "store_then_die"])
def test_after_a_second_try_the_run_does_it_itself(story: SyncStatus, ending: str) -> None:
    story.workers.always = getattr(story.workers, ending)
    report = story.copy_plan(story.plan())
    story.assert_complete(report)
    assert any("12 bottles are copied by the run itself" in words for words in story.workers.logged)
    assert sorted(story.downloads()) == sorted(set(story.downloads()))


def test_an_error_that_hides_a_report_is_no_error(story: SyncStatus) -> None:
    def answer_lost(batch_key: str) -> None:
        story.workers.work(batch_key)
        raise InvocationFailed(f"{batch_key}: Read timeout on endpoint URL")

    story.workers.always = answer_lost
    story.assert_complete(story.copy_plan(story.plan()))
    assert len(story.workers.invoked) == 4


def test_throttled_invocations_wait_and_are_made_again(story: SyncStatus) -> None:
    story.workers.script = [story.workers.be_busy] * 6
    report = story.copy_plan(story.plan())
    story.assert_complete(report)
    assert len(set(story.workers.invoked)) == 4
    assert len(story.workers.invoked) == 10
    assert story.workers.logged == []


def test_a_function_that_stays_throttled_does_not_stop_the_sync(story: SyncStatus) -> None:
    story.workers.always = story.workers.be_busy
    story.assert_complete(story.copy_plan(story.plan()))


def test_a_function_that_is_not_there_is_asked_no_further(story: SyncStatus) -> None:
    story.workers.always = story.workers.refuse
    story.assert_complete(story.copy_plan(story.plan(), concurrency=1))
    assert len(story.workers.invoked) == 1
    assert "Function not found" in story.workers.logged[0]


def test_a_batch_that_the_store_refuses_is_copied_by_the_run_itself(story: SyncStatus) -> None:
    story.store.refuse_below("write", ObjectRefused("403 AccessDenied"), BATCH_PREFIX)
    story.assert_complete(story.copy_plan(story.plan()))
    assert story.workers.invoked == []
    assert any("403 AccessDenied" in line for line in story.workers.logged)


def test_a_bottle_that_cannot_be_had_is_reported_once_and_not_tried_again(story: SyncStatus) -> None:
    plan = story.plan()
    story.upstream.blobs.always(plan.objects[3].bottle, Act(error=BlobNotFound("404")))
    report = story.copy_plan(plan)
    assert report.outcome == "partial"
    assert [failure.reason for failure in report.failed] == ["not found"]
    assert len(story.workers.invoked) == 4
    assert story.entries() == story.bottles - 1


def test_cancelling_starts_nothing_new_and_keeps_what_running_workers_store() -> None:
    story = SyncStatus(12)
    running, go_on = threading.Event(), threading.Event()

    def wait_then_work(batch_key: str) -> None:
        running.set()
        go_on.wait(20)
        story.workers.work(batch_key)

    story.workers.always = wait_then_work
    plan, results = story.plan(), []
    run = threading.Thread(
        target=lambda: results.append(
            story.copy_plan(plan, concurrency=2, pace=Pace(target_s=0.1, least_s=0.1))
        )
    )
    run.start()
    assert running.wait(10)
    story.upstream.stop.set()
    go_on.set()
    run.join(20)
    (report,) = results
    # Two invocations were under way: they were waited for, and nothing followed them.
    assert len(story.workers.invoked) <= 2
    assert report.outcome == "stopped"
    assert report.stored == 2 * len(story.workers.invoked)
    assert report.left == story.bottles - report.stored
    assert story.entries() == report.stored


def test_after_the_grace_nobody_waits_and_receipts_are_folded_by_the_next_run() -> None:
    story = SyncStatus(6)
    running, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def work_late(batch_key: str) -> None:
        running.set()
        go_on.wait(20)
        story.workers.work(batch_key)
        done.set()

    story.workers.script = [work_late]
    plan, results = story.plan(), []
    run = threading.Thread(target=lambda: results.append(story.copy_plan(plan, concurrency=1)))
    run.start()
    assert running.wait(10)
    story.upstream.stop.expire()
    run.join(20)
    (report,) = results
    assert (report.outcome, report.stored, report.left) == ("stopped", 0, 6)
    go_on.set()
    assert done.wait(10)
    assert len(read_held(story.upstream.store).entries) == 6

    story.upstream.stop = FakeStop()
    again = story.copy_plan(plan)
    assert (again.outcome, again.kept, again.downloaded) == ("success", 6, 0)
    assert story.entries() == 6


@pytest.mark.parametrize("operation", ["read", "close"])
def test_a_store_that_fails_in_an_unknown_way_does_not_hang_the_run(operation: str) -> None:
    story = SyncStatus(store=StrangeStore(operation))
    results: list[Report] = []
    plan = story.plan()
    run = threading.Thread(target=lambda: results.append(story.copy_plan(plan)), daemon=True)
    run.start()
    run.join(20)
    assert results, "the run waits for ever"
    story.assert_complete(results[0])
    assert len(story.workers.invoked) == (8 if operation == "read" else 4)
    assert sorted(story.downloads()) == sorted(set(story.downloads()))


def test_a_forced_plan_downloads_again_through_workers() -> None:
    story = SyncStatus(4)
    story.assert_complete(story.copy_plan(story.plan()))
    report = story.copy_plan(story.plan(force=True))
    assert (report.outcome, report.downloaded) == ("success", 4)


@pytest.mark.parametrize("lost", [1, 2])
@pytest.mark.parametrize("ending", ["die", "work_then_die", "store_then_die", "run_out_of_time"])
def test_a_forced_plan_takes_nothing_older_for_what_a_lost_worker_did(ending: str, lost: int) -> None:
    story = SyncStatus(4)
    story.copy_plan(story.plan())
    before = len(story.downloads())
    story.workers.script = [getattr(story.workers, ending)] * lost
    report = story.copy_plan(story.plan(force=True), concurrency=1)
    story.assert_complete(report)
    again = story.downloads()[before:]
    # Without a receipt nothing proves that the worker was the one who stored it.
    assert sorted(again) == sorted([*set(again)] * (lost + 1 if ending == "store_then_die" else 1))
    assert len(set(again)) == 4


def test_a_batch_that_is_not_there_is_refused(story: SyncStatus) -> None:
    with pytest.raises(EventInvalid, match="expected a batch in memory:, found none"):
        work_on(story.upstream.mirror(), BatchReference(batch_key="state/batches/x/y.json"))


def test_bottles_by_value_are_stored_recorded_and_reported(story: SyncStatus) -> None:
    plan = make_plan(read_only(story.upstream.mirror()), Request(platforms=("arm64_sonoma",))).plan
    item = plan.objects[0].bottle
    given = {"url": item.url, "sha256": item.digest}
    formula = {"name": item.formula, "version": item.pkg_version, "bottles": {item.tag: given}}
    event = {"formulas": [formula], "sync_date": "2025-07-21"}
    report = work_on(story.upstream.mirror(), decode_event(event))
    assert (report.outcome, report.stored, report.route) == ("success", 1, "lambda")
    assert story.entries() == 1
    assert story.upstream.store.facts(f"2025-07-21/{item.filename}") is not None
    again = work_on(story.upstream.mirror(), decode_event(event))
    assert (again.kept, again.downloaded) == (1, 0)


def test_bottles_by_value_of_an_excluded_formula_are_refused(story: SyncStatus) -> None:
    mirror = story.upstream.mirror()
    item = make_plan(read_only(mirror), Request(platforms=("arm64_sonoma",))).plan.objects[0]
    mirror.options = msgspec.structs.replace(mirror.options, exclude_formulae=(item.bottle.formula,))
    with pytest.raises(EventInvalid, match=f"'{item.bottle.formula}' is excluded by EXCLUDE_FORMULAE"):
        work_on(mirror, DirectRequest(sync_date="2025-07-21", objects=(item,)))
    assert story.downloads() == []


@pytest.mark.parametrize("written", ["go-lang", "homebrew/core/Golang", "go"])
def test_every_name_of_a_formula_excludes_it_from_what_was_planned_or_asked_for(written: str) -> None:
    upstream = Upstream(MemoryStore())
    upstream.publish("go", aliases=["go-lang"], oldnames=["golang"])
    upstream.publish("jq")
    plan = upstream.plan("arm64_sonoma")
    item = next(item for item in plan.objects if item.bottle.formula == "go")
    mirror = upstream.mirror()
    mirror.options = msgspec.structs.replace(mirror.options, exclude_formulae=(written,))
    with pytest.raises(EventInvalid, match="'go' is excluded by EXCLUDE_FORMULAE"):
        work_on(mirror, DirectRequest(sync_date="2025-07-21", objects=(item,)))
    report, folded = mirror.sync(plan)
    assert (report.left_out.excluded_formulae, report.stored) == (("go",), 1)
    assert {entry.formula_name for _, entry in folded.manifest.entries()} == {"jq"}


def test_no_batch_has_a_bottle_of_an_excluded_formula(story: SyncStatus) -> None:
    plan = story.plan()
    names = {"formula003", "formula007"}
    report = story.copy_plan(plan, exclude=tuple(names))
    assert (report.left_out.excluded_formulae, report.stored) == (tuple(sorted(names)), 10)
    batched = {
        item.bottle.formula
        for key in story.workers.invoked
        for item in decode_batch(story.store.data(key)).objects
    }
    assert batched == {item.bottle.formula for item in plan.objects} - names


def test_bottles_by_value_do_not_go_to_a_folder_of_the_future(story: SyncStatus) -> None:
    def on(date: str) -> DirectRequest:
        return DirectRequest(sync_date=date, objects=())

    # It would be among the newest folders, in which stored bottles are looked for, until that day.
    with pytest.raises(EventInvalid, match="sync_date: expected at most 2026-08-23, found 9999-12-31"):
        work_on(story.upstream.mirror(), on("9999-12-31"))
    with pytest.raises(EventInvalid, match="sync_date"):
        work_on(story.upstream.mirror(), on("2026-08-24"))
    # In the east it is tomorrow already.
    assert work_on(story.upstream.mirror(), on("2026-08-23")).sync_date == "2026-08-23"
