"""Has workers elsewhere copy bottles, a batch each: what the Lambda route is made of.

Batches travel by reference, a key in the store. What an invocation did is said by its report object and by
nothing else: an invocation that fails may have stored everything, one that succeeds nothing.
"""

import logging
import queue
import secrets
import threading
from collections import deque

import msgspec

from brew_assets.domain.batch import (
    Batch,
    batch_key,
    batch_name,
    encode_batch,
)
from brew_assets.domain.downloads import CopyJob, Fetch, cut_batch
from brew_assets.domain.report import Report
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.invocation_reports import counts_of, names_without_record, read_invocation_report
from brew_assets.engine.log_context import figures, in_this_context
from brew_assets.engine.ports import Invoker, Ports, Progress, ProgressListener
from brew_assets.engine.record.journal import read_recorded
from brew_assets.engine.retry import Backoff, retrying
from brew_assets.engine.transfer.local_copier import Copier
from brew_assets.errors import (
    InvocationError,
    InvocationFailed,
    InvocationRefused,
    InvocationThrottled,
    ObjectRefused,
)

_TICK_S = 0.2

_log = logging.getLogger(__name__)


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How batches are cut.

    A bottle is taken to cost its bytes / `bytes_per_s` + its names / `names_per_s` seconds of a worker; what
    batches really took corrects that. A batch is planned to last `target_s`, a third of the quarter of an
    hour that a Lambda has, and never less than `least_s`: starting a worker costs about as much.
    """

    bytes_per_s: float = 20e6
    names_per_s: float = 20.0
    target_s: float = 300.0
    least_s: float = 1.0


class DispatchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`rounds` of invocations, `concurrency` at a time, before the run's own process takes what is left.

    A throttled invocation is tried `tries` times in all, with the waits of `backoff`.
    """

    concurrency: int = 10
    rounds: int = 2
    pace: Pace = Pace()
    tries: int = 10
    backoff: Backoff = Backoff(first_s=1.0, cap_s=30.0)


class _Given(msgspec.Struct, frozen=True, kw_only=True):
    """A batch in the hands of a worker, and the slowness that it was cut for."""

    sync_id: str
    key: str
    fetches: list[Fetch]
    slowness: float


class _Back(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that came back, with the worker's report if there is one, and what went wrong if anything."""

    given: _Given
    report: Report | None = None
    error: InvocationError | None = None


class LambdaCopier:
    """Copies through Lambda; what the invocations could not finish it gives to `fallback`."""

    route = "lambda"

    def __init__(
        self,
        invoker: Invoker,
        ports: Ports,
        *,
        fallback: Copier,
        options: DispatchOptions | None = None,
    ) -> None:
        self._invoker = invoker
        self._store = ports.store
        self._clock = ports.clock
        self._stop = ports.stop
        self._fallback = fallback
        self._options = options or DispatchOptions()
        # Enough for a batch of small bottles to every invocation; between chunks the owner is looked for.
        self.chunk_size = 200 * self._options.concurrency
        # How much longer batches take than their cost says; the slowest of the recent ones counts.
        self._slowness = 1.0
        self._refused = False

    def copy(self, job: CopyJob, *, progress: ProgressListener | None = None) -> TransferResult:
        """Every name is in the store with a receipt, or counted as failed or undone.

        Stopping starts no new invocation; running ones are waited for as long as the grace lasts. Those go
        on by themselves, and their receipts are folded by whoever folds next.

        Raises:
            StoreError: a batch could not be written, or the receipts not be read.
            ManifestInvalid: a receipt or the manifest cannot be trusted.
        """
        # After each round what was done is what receipts prove, not what invocations say: one that failed may
        # have stored everything, so from the second round on every name is looked for first. The run itself
        # comes last: what Lambdas cannot do is done, or fails with a reason, in the process that reports it.
        result = TransferResult()
        reporter = _Reporter(progress, job.fetches)
        left = job.fetches
        for number in range(self._options.rounds):
            if not left or self._stop.is_set() or self._refused or result.aborted:
                break
            look_first = job.look_first or number > 0
            todo = msgspec.structs.replace(job, fetches=left, look_first=look_first)
            again = self._one_round(todo, result, reporter)
            left = self._still_to_force(job, again, result) + self._unproven(todo, again, result)
        if left and not self._stop.is_set() and not result.aborted:
            names = sum(len(fetch.names) for fetch in left)
            self._invoker.log(f"{names:,} bottles are copied by the run itself, after its workers.")
            rest = msgspec.structs.replace(job, fetches=left, look_first=True)
            result.add(self._fallback.copy(rest, progress=reporter.after(result)))
            left = []
        for fetch in left:
            result.leave(fetch.names)
        return result

    def _still_to_force(self, job: CopyJob, fetches: list[Fetch], result: TransferResult) -> list[Fetch]:
        """Of a forced plan the names without a receipt of this very sync; those with one count as stored.

        What stands in the store proves nothing here: it may be what the plan is to replace.
        """
        if not job.force:
            return fetches
        left: list[Fetch] = []
        recorded = read_recorded(self._store, job.sync_id)
        for fetch in fetches:
            names = tuple(p for p in fetch.names if p.bottle.entry_key not in recorded)
            done = len(fetch.names) - len(names)
            result.stored += done
            result.found += done
            if names:
                left.append(msgspec.structs.replace(fetch, names=names))
        return left

    def _unproven(self, todo: CopyJob, again: list[Fetch], result: TransferResult) -> list[Fetch]:
        """What workers say to have stored, and nothing records: it is done again, after a look."""
        if self._stop.expired():
            return []
        excepted = {planned.bottle.filename for fetch in again for planned in fetch.names}
        excepted.update(failure.name for failure in result.failed)
        claimed = [
            msgspec.structs.replace(fetch, names=names)
            for fetch in todo.fetches
            if (names := tuple(p for p in fetch.names if p.bottle.filename not in excepted))
        ]
        unproven = names_without_record(self._store, todo.sync_id, claimed)
        if count := sum(len(fetch.names) for fetch in unproven):
            result.stored -= count
            self._invoker.log(f"Reported as stored and not recorded, so done again: {count:,} bottles.")
        return unproven

    def log(self, message: str) -> None:
        """Writes a line for people into the log of the run."""
        self._invoker.log(message)

    def _one_round(self, job: CopyJob, result: TransferResult, reporter: "_Reporter") -> list[Fetch]:
        """What is to be done again: of batches that failed, were not finished or were never given out."""
        options = self._options
        work = deque(job.fetches)
        weigh = _Weigher(job.fetches, options.pace)
        # A batch is cut when an invocation is free, by what the earlier ones have shown, and not beforehand.
        # It is no larger than an equal share, so that all end at about the same time, nor than what ends well
        # within a Lambda's life; and no smaller than what is worth a start.
        # A little more than the share: sums of fractions must not leave one bottle over.
        share_s = max(options.pace.least_s, 1.01 * sum(map(weigh, work)) / options.concurrency)
        # No SimpleQueue, see engine/bottle_sizes.py.
        back: queue.Queue[_Back] = queue.Queue()
        running: dict[str, _Given] = {}
        again: list[Fetch] = []
        while running or (work and self._may_start(result)):
            while work and len(running) < options.concurrency and self._may_start(result):
                room = max(options.pace.least_s, min(share_s, options.pace.target_s / self._slowness))
                fetches = cut_batch(work, room=room, weigh=weigh)
                try:
                    given = self._give_out(job, fetches, back=back)
                except ObjectRefused as error:
                    # No Lambda can be given its batch: the run copies it itself.
                    self._invoker.log(f"No Lambda can be given a batch: {error}")
                    self._refused = True
                    again.extend(fetches)
                    break
                running[given.key] = given
            try:
                came = back.get(timeout=_TICK_S)
            except queue.Empty:
                came = None
            if came is not None:
                del running[came.given.key]
                again.extend(self._take_back(came, result, weigh))
            reporter.report_progress(result)
            if self._stop.expired():
                # Nobody waits for these any longer; they end by themselves.
                again.extend(fetch for given in running.values() for fetch in given.fetches)
                break
        return again + list(work)

    def _may_start(self, result: TransferResult) -> bool:
        return not (self._stop.is_set() or self._refused or result.aborted)

    def _give_out(
        self,
        job: CopyJob,
        fetches: list[Fetch],
        *,
        back: "queue.Queue[_Back]",
    ) -> _Given:
        """The batch stands in the store, and a thread waits for its worker.

        Not a pool: its threads would be joined at the end of the process, a quarter of an hour later.
        """
        batch = Batch(
            sync_id=job.sync_id,
            sync_date=job.sync_date,
            force=job.force,
            look_first=job.look_first,
            objects=tuple(planned for fetch in fetches for planned in fetch.names),
        )
        name = batch_name(self._clock.now(), secrets.token_hex(8))
        key = batch_key(job.sync_id, name)
        given = _Given(sync_id=batch.sync_id, key=key, fetches=fetches, slowness=self._slowness)
        self._store.write(given.key, encode_batch(batch), create_only=True)
        _log.info("batch given out", extra={"batch": given.key, "bottles": len(batch.objects)})
        see_through = in_this_context(lambda: back.put(self._see_through(given)))
        threading.Thread(target=see_through, name=f"invoke-{given.key[-21:-5]}", daemon=True).start()
        return given

    def _see_through(self, given: _Given) -> _Back:
        """One batch's way to a worker and back; no exception leaves it."""
        error: InvocationError | None = None
        try:
            self._invoke(given.key)
        except InvocationError as found:
            error = found
        except Exception as found:  # the thread has no caller who could catch it
            error = InvocationFailed(f"{given.key}: {found}")
        try:
            report = read_invocation_report(
                self._store, given.key, sync_id=given.sync_id, fetches=given.fetches
            )
        except Exception as found:  # as above
            return _Back(given=given, error=InvocationFailed(f"{given.key}: {found}"))
        finally:
            try:
                self._store.close()
            except Exception as found:  # what cannot be closed is closed with the process
                _log.warning("not closed", extra={"batch": given.key, "error": str(found)})
        return _Back(given=given, report=report, error=error)

    def _invoke(self, key: str) -> None:
        """A worker was given the batch, as often as throttling let it wait.

        Raises:
            InvocationError: it did not end well.
        """
        retrying(
            lambda: self._invoker.invoke(key),
            on=InvocationThrottled,
            next_wait_s=self._options.backoff.for_tries(self._options.tries),
            clock=self._clock,
            stop=self._stop,
        )

    def _take_back(self, came: _Back, result: TransferResult, weigh: "_Weigher") -> list[Fetch]:
        """The fetches of the batch that are to be done again; what was done is in the result."""
        given, report = came.given, came.report
        _log_return(came)
        if came.error is not None:
            self._invoker.log(str(came.error))
            self._refused = self._refused or isinstance(came.error, InvocationRefused)
        if report is None:
            return given.fetches
        result.add(counts_of(report))
        undone = set(report.undone)
        again = [
            msgspec.structs.replace(fetch, names=names)
            for fetch in given.fetches
            if (names := tuple(p for p in fetch.names if p.bottle.filename in undone))
        ]
        self._learn(given, report, done_s=sum(map(weigh, given.fetches)) - sum(map(weigh, again)))
        return again

    def _learn(self, given: _Given, report: Report, *, done_s: float) -> None:
        """Later batches are cut by how long the worker took for what it did, by its cost `done_s`."""
        slowness = self._slowness
        # Full batches show how fast invocations are; a nearly empty one only how long one takes to start.
        # The least batches are a little under the least cost.
        # It falls by a fifth at most: a batch that is too small costs a start, one too large a Lambda's life.
        if done_s >= self._options.pace.least_s / 2:
            slowness = max(report.duration_s / done_s, slowness * 0.8, 0.05)
        if report.undone:
            # Of what the batch was cut for: several that come back together all say the same.
            slowness = max(slowness, given.slowness * 2.0)
        self._slowness = slowness


def _log_return(came: _Back) -> None:
    facts: dict[str, object] = {"batch": came.given.key}
    if came.report is not None:
        facts |= figures(came.report)
    if came.error is None:
        _log.info("batch returned", extra=facts)
    else:
        _log.warning("batch failed", extra=facts | {"reason": came.error.reason, "error": str(came.error)})


class _Weigher:
    """The seconds of a worker that a fetch costs; unknown sizes count as the mean of the known ones."""

    def __init__(self, fetches: list[Fetch], pace: Pace) -> None:
        known = [fetch.size for fetch in fetches if fetch.size is not None]
        self._mean = sum(known) / len(known) if known else 0.0
        self._pace = pace

    def __call__(self, fetch: Fetch) -> float:
        size = self._mean if fetch.size is None else fetch.size
        return size / self._pace.bytes_per_s + len(fetch.names) / self._pace.names_per_s


class _Reporter:
    """Reports to a listener how far the invocations are; a batch counts when it is back."""

    def __init__(self, listener: ProgressListener | None, fetches: list[Fetch]) -> None:
        self._listener = listener
        self._bottles = sum(len(fetch.names) for fetch in fetches)
        self._bytes = sum(fetch.size or 0 for fetch in fetches)

    def report_progress(self, result: TransferResult) -> None:
        if self._listener is not None:
            self._listener(self._progress(result, bottles=0, moved=0, failed=0, current=""))

    def after(self, result: TransferResult) -> ProgressListener | None:
        """A listener for the copier that goes on after this result."""
        listener = self._listener
        if listener is None:
            return None
        return lambda more: listener(
            self._progress(
                result,
                bottles=more.bottles_done,
                moved=more.bytes_done,
                failed=more.failed,
                current=more.current,
            )
        )

    def _progress(
        self, result: TransferResult, *, bottles: int, moved: int, failed: int, current: str
    ) -> Progress:
        return Progress(
            bottles_done=result.stored + len(result.failed) + bottles,
            bottles_total=self._bottles,
            bytes_done=result.bytes_downloaded + moved,
            bytes_total=self._bytes,
            failed=len(result.failed) + failed,
            current=current,
        )
