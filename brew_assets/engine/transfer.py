"""Copies bottles from upstream into the store: the same code in a laptop's process, a task and a Lambda.

Threads, each with one reused buffer, one upstream connection and one store connection. Memory =
workers x (BUFFER_BYTES + the store's part, which only a bottle over 5 GiB needs). No temporary file.
"""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Iterable

import msgspec

from brew_assets.domain.downloads import Fetch
from brew_assets.domain.manifest import Receipt, entry_for
from brew_assets.domain.plan import PlannedBottle
from brew_assets.domain.report import Failure
from brew_assets.engine.already_there import look_for, prove
from brew_assets.engine.canary import Canary
from brew_assets.engine.download import facts_of, receive_whole
from brew_assets.engine.journal import Journal
from brew_assets.engine.log_context import in_this_context
from brew_assets.engine.ports import (
    Blobs,
    Clock,
    Progress,
    ProgressListener,
    StopSignal,
    Store,
)
from brew_assets.engine.reception import BUFFER_BYTES, Reception
from brew_assets.engine.retry import Gate, RetryPolicy, SyncBudget
from brew_assets.engine.transferred import Transferred
from brew_assets.errors import (
    KeyTaken,
    MirrorError,
    ObjectRefused,
    StoreError,
    StoreRefused,
    StoreUnsupported,
    TransferStopped,
)

_TICK_S = 0.1
_log = logging.getLogger(__name__)


class TransferOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to copy. `replace` overwrites what stands under a key (force, repair)."""

    workers: int = 10
    batch_size: int = 50
    retry: RetryPolicy = RetryPolicy()
    replace: bool = False


class TransferPorts(msgspec.Struct, frozen=True, kw_only=True):
    """What a transfer works with."""

    blobs: Blobs
    store: Store
    clock: Clock
    stop: StopSignal


def transfer(
    fetches: Iterable[Fetch],
    *,
    ports: TransferPorts,
    journal: Journal,
    date: str,
    options: TransferOptions,
    look_first: bool = False,
    progress: ProgressListener | None = None,
    gate: Gate | None = None,
) -> Transferred:
    """Every name of the fetches is in the folder of `date` with a receipt, or counted as failed or left.

    `look_first` asks the store for each name before it is fetched, because another run may have stored it
    meanwhile; one that replaces what it finds does not look. `gate` is one that other transfers share.

    Raises:
        StoreError: receipts could not be written; the stored bottles will be adopted by the next run.
    """
    work = deque(fetches)
    run = _Run(ports, options, date=date, look_first=look_first, work=work, gate=gate)
    totals = (sum(len(fetch.names) for fetch in work), sum(fetch.size or 0 for fetch in work))
    threads = [
        threading.Thread(target=in_this_context(run.work_through), name=f"transfer-{number}", daemon=True)
        for number in range(min(options.workers, len(work)))
    ]
    tally, teller = Transferred(), _Teller(progress, *totals)
    run.expect(len(threads))
    for thread in threads:
        thread.start()
    try:
        _collect(run, tally, journal, teller)
    finally:
        run.ended.set()
        for thread in threads:
            thread.join()
        # A listener may be what ended the block: it is not asked again, the receipts must be written.
        _collect(run, tally, journal, None)
        journal.flush()
    if run.crash is not None:
        raise run.crash
    if not run.aborted and (refusal := run.canary.judge_at_the_end()) is not None:
        run.abort(str(refusal))
    for fetch in work:
        tally.leave(fetch.names)
    tally.retries = run.budget.spent
    tally.aborted = run.aborted
    return tally


class _Teller:
    """Tells a listener how far the transfer is."""

    def __init__(self, listener: ProgressListener | None, bottles: int, size: int) -> None:
        self._listener = listener
        self._bottles = bottles
        self._bytes = size
        self._current = ""

    def tell(self, tally: Transferred, moved: int, current: str) -> None:
        self._current = current or self._current
        if self._listener is not None:
            self._listener(
                Progress(
                    bottles_done=tally.stored + len(tally.failed),
                    bottles_total=self._bottles,
                    bytes_done=moved,
                    bytes_total=self._bytes,
                    failed=len(tally.failed),
                    current=self._current,
                )
            )


def _collect(run: "_Run", tally: Transferred, journal: Journal, teller: _Teller | None) -> None:
    """Adds up what the workers did, in gulps, until all of them ended.

    Waking this thread for every bottle would cost a small bottle more than its copying does.
    """
    while True:
        all_ended = run.all_ended.wait(_TICK_S)
        current = ""
        while run.results:
            done = run.results.popleft()
            tally.add(done)
            journal.add(done.receipts, put_there=done.put_there)
            if done.receipts:
                current = done.receipts[-1].key
        journal.tick()
        if run.ports.stop.expired():
            run.interrupt()
        if teller is not None:
            teller.tell(tally, run.moved, current)
        if all_ended and not run.results:
            return


class _Run:
    """What the workers of one transfer share."""

    def __init__(
        self,
        ports: TransferPorts,
        options: TransferOptions,
        *,
        date: str,
        look_first: bool,
        work: "deque[Fetch]",
        gate: Gate | None,
    ) -> None:
        self.ports = ports
        self.options = options
        self.date = date
        # What is to be replaced stands there already and proves nothing.
        self.look_first = look_first and not options.replace
        self.work = work
        self.gate = gate or Gate(ports.clock)
        self.budget = SyncBudget.for_bottles(len(work), options.retry.attempts)
        self.results: deque[Transferred] = deque()
        self.ended = threading.Event()
        self.all_ended = threading.Event()
        self._running = 0
        self._running_lock = threading.Lock()
        self.canary = Canary(ports.store)
        # Whether the store makes another name of what it has; asked no more once it says that it never does.
        self.duplicates = True
        self.aborted = ""
        self.crash: BaseException | None = None
        # A display only: a lost update between threads does no harm.
        self.moved = 0

    def expect(self, workers: int) -> None:
        """So many workers will start."""
        self._running = workers
        if workers == 0:
            self.all_ended.set()

    def count_bytes(self, count: int) -> None:
        self.moved += count

    def interrupt(self) -> None:
        """Workers that wait for upstream or store wait no longer."""
        self.ports.blobs.interrupt()
        self.ports.store.interrupt()

    def abort(self, reason: str) -> None:
        """No further bottle starts: the store refuses everything."""
        if not self.aborted:
            _log.error("no further bottle starts", extra={"reason": StoreRefused.reason, "error": reason})
        self.aborted = self.aborted or reason
        self.ended.set()

    def work_through(self) -> None:
        """One thread's life."""
        worker = _Worker(self)
        try:
            while not (self.ports.stop.is_set() or self.ended.is_set()):
                try:
                    fetch = self.work.popleft()
                except IndexError:
                    break
                self.results.append(worker.carry_out(fetch))
        except BaseException as crash:  # raised again by the thread that called transfer
            self.crash = crash
            self.ended.set()
        finally:
            for port in (self.ports.blobs, self.ports.store):
                with contextlib.suppress(Exception):  # what cannot be closed is closed with the process
                    port.close()
            with self._running_lock:
                self._running -= 1
                if self._running == 0:
                    self.all_ended.set()


class _Worker:
    """What one thread does with one fetch after the other."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._store = run.ports.store
        self._buffer = memoryview(bytearray(BUFFER_BYTES))

    def carry_out(self, fetch: Fetch) -> Transferred:
        """What became of the fetch; no MirrorError leaves it."""
        done = Transferred()
        source, size = fetch.source, fetch.size or 0
        names = list(fetch.names)
        if self._run.look_first:
            names, found = self._look(names, done)
            source, size = found or (source, size)
        for position, planned in enumerate(names):
            if source is not None:
                source, size = self._duplicate(planned, source, size, done)
                continue
            try:
                size = self._download(planned, done)
                source = planned.bottle.key(self._run.date)
            except TransferStopped:
                done.leave(names[position:])
                break
            except (StoreRefused, ObjectRefused, StoreUnsupported, KeyTaken) as error:
                # As far as anybody knows about this name alone: the next one is tried for itself.
                self._fail(planned, error, done)
                if self._run.ended.is_set():
                    done.leave(names[position + 1 :])
                    break
            except MirrorError as error:
                for missing in names[position:]:
                    self._fail(missing, error, done)
                break
        return done

    def _look(
        self, names: list[PlannedBottle], done: Transferred
    ) -> "tuple[list[PlannedBottle], tuple[str, int] | None]":
        """The names that the store lacks, and a place and size of the digest if one was found."""
        look = look_for(self._store, names, date=self._run.date)
        for planned, facts in look.there:
            done.adopted += 1
            self._record(planned, facts.size, done, how="adopted")
        place = look.there[-1][1] if look.there else None
        return look.missing, (place.key, place.size) if place else None

    def _duplicate(
        self, planned: PlannedBottle, source: str, size: int, done: Transferred
    ) -> tuple[str, int]:
        """A place and size of the digest; the name stands there, made from `source` or else downloaded."""
        try:
            try:
                if not self._run.duplicates:
                    raise StoreUnsupported(f"{source}: the store makes no copies")
                self._store.duplicate(
                    source,
                    planned.bottle,
                    date=self._run.date,
                    size=size,
                    replace=self._run.options.replace,
                )
                done.duplicated += 1
                self._record(planned, size, done, how="duplicated")
            except KeyTaken as error:
                self._adopt(planned, error, done)
            except StoreError as error:
                # The place that should have had the bytes has not, or the store does not copy in this way, or
                # not now: upstream still has them.
                if isinstance(error, StoreUnsupported):
                    self._run.duplicates = False
                size = self._download(planned, done)
                source = planned.bottle.key(self._run.date)
        except TransferStopped:
            done.leave([planned])
        except MirrorError as error:
            self._fail(planned, error, done)
        return source, size

    def _fail(self, planned: PlannedBottle, error: MirrorError, done: Transferred) -> None:
        if isinstance(error, StoreError) and self._run.canary.condemns(error):
            self._run.abort(str(error))
        _log.error("not stored", extra=facts_of(planned, error))
        done.failed.append(
            Failure(
                name=planned.bottle.filename,
                digest=planned.bottle.digest,
                reason=error.reason,
                message=str(error),
            )
        )

    def _record(self, planned: PlannedBottle, size: int, done: Transferred, *, how: str) -> None:
        if how != "adopted":
            self._run.canary.bottle_taken()
        entry = entry_for(planned.bottle, date=self._run.date, size=size)
        done.receipts.append(Receipt(key=planned.bottle.entry_key, entry=entry))
        if how != "adopted":
            done.put_there.append(planned.bottle.entry_key)
        done.stored += 1
        done.bytes_stored += size
        if _log.isEnabledFor(logging.INFO):
            _log.info("stored", extra={"bottle": planned.bottle.filename, "how": how, "bytes": size})

    def _adopt(self, planned: PlannedBottle, taken: KeyTaken, done: Transferred) -> int:
        """The size of the object that stands under the bottle's key and is the bottle.

        Raises:
            KeyTaken: it is something else.
        """
        facts = prove(self._store, planned, taken)
        done.adopted += 1
        self._record(planned, facts.size, done, how="adopted")
        return facts.size

    def _download(self, planned: PlannedBottle, done: Transferred) -> int:
        """The bottle's size; it is in the store with a receipt.

        Raises:
            TransferStopped: the stop signal came first.
            KeyTaken: another object stands under its key.
            MirrorError: it cannot be had; the last try's error.
        """
        run = self._run
        reception = Reception(
            planned,
            blobs=run.ports.blobs,
            open_sink=lambda size: self._store.receive(
                planned.bottle, date=run.date, size=size, replace=run.options.replace
            ),
            buffer=self._buffer,
            stop=run.ports.stop,
            on_bytes=run.count_bytes,
        )
        try:
            size = receive_whole(
                planned,
                reception,
                retry=run.options.retry,
                budget=run.budget,
                gate=run.gate,
                clock=run.ports.clock,
                stop=run.ports.stop,
            )
            self._record(planned, size, done, how="downloaded")
            done.downloaded += 1
        except KeyTaken as taken:
            done.downloaded += 1
            size = self._adopt(planned, taken, done)
        finally:
            reception.reset()
            done.bytes_downloaded += reception.moved
        return size
