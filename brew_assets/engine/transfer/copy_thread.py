"""One thread of a transfer: every name of one digest after the other, downloaded, copied or found."""

import contextlib
import logging

from brew_assets.domain.downloads import Fetch
from brew_assets.domain.manifest import Receipt, entry_for
from brew_assets.domain.plan import PlannedBottle
from brew_assets.domain.report import Failure
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.kept_indexes import forget_disproved
from brew_assets.engine.ports import ObjectFacts
from brew_assets.engine.transfer.already_stored import look_for, prove, stored_whole
from brew_assets.engine.transfer.bottle_download import BUFFER_BYTES, Reception
from brew_assets.engine.transfer.state import TransferRun
from brew_assets.engine.transfer.tries import facts_of, receive_whole
from brew_assets.errors import (
    HostRefused,
    KeyTaken,
    MirrorError,
    ObjectRefused,
    RegistryRefused,
    StoreError,
    StoreRefused,
    StoreUnavailable,
    StoreUnsupported,
    TransferStopped,
    UpstreamError,
)

_log = logging.getLogger(__name__)


def work_through(run: TransferRun) -> None:
    """One thread's life."""
    worker = _CopyThread(run)
    try:
        while not (run.ports.stop.is_set() or run.ended.is_set()):
            try:
                fetch = run.work.popleft()
            except IndexError:
                break
            run.results.append(worker.copy_plan(fetch))
    except BaseException as crash:  # raised again by the thread that called transfer
        run.crash = crash
        run.ended.set()
    finally:
        with contextlib.suppress(Exception):  # what cannot be closed is closed with the process
            run.ports.store.close()
        run.end_thread()


class _CopyThread:
    """What one thread does with one fetch after the other."""

    def __init__(self, run: TransferRun) -> None:
        self._run = run
        self._store = run.ports.store
        self._buffer = memoryview(bytearray(BUFFER_BYTES))

    def copy_plan(self, fetch: Fetch) -> TransferResult:
        """What became of the fetch; no MirrorError leaves it."""
        done = TransferResult()
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
        self, names: list[PlannedBottle], done: TransferResult
    ) -> "tuple[list[PlannedBottle], tuple[str, int] | None]":
        """The names that the store lacks, and a place and size of the digest if one was found."""
        look = look_for(self._store, names, date=self._run.date)
        for planned, facts in look.there:
            done.found += 1
            self._record(planned, facts.size, done, how="found")
        place = look.there[-1][1] if look.there else None
        return look.missing, (place.key, place.size) if place else None

    def _duplicate(
        self, planned: PlannedBottle, source: str, size: int, done: TransferResult
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
                self._identify(planned, error, done)
            except StoreError as error:
                # The place that should have had the bytes has not, or the store does not copy in this way, or
                # not now: upstream still has them.
                if isinstance(error, StoreUnsupported):
                    self._run.duplicates = False
                facts = self._stored_already(planned) if isinstance(error, StoreUnavailable) else None
                if facts is not None:
                    # Only the answer was lost.
                    done.duplicated += 1
                    self._record(planned, facts.size, done, how="duplicated")
                    return source, size
                size = self._download(planned, done)
                source = planned.bottle.key(self._run.date)
        except TransferStopped:
            done.leave([planned])
        except MirrorError as error:
            self._fail(planned, error, done)
        return source, size

    def _stored_already(self, planned: PlannedBottle) -> ObjectFacts | None:
        """What the store vouches for where it took the bottle and its answer was lost, else None."""
        # What is to be replaced stood there before, and would prove nothing.
        if self._run.options.replace:
            return None
        return stored_whole(self._store, planned, date=self._run.date)

    def _fail(self, planned: PlannedBottle, error: MirrorError, done: TransferResult) -> None:
        if isinstance(error, StoreError) and self._run.canary.condemns(error):
            self._run.abort(str(error))
        if isinstance(error, UpstreamError) and (why := self._run.verdict.condemns(error)):
            self._run.abort(why, kind=RegistryRefused)
        if why := self._run.hosts.condemns(error):
            self._run.abort(why, kind=HostRefused)
        level = logging.ERROR if self._run.hosts.is_news(error) else logging.DEBUG
        _log.log(level, "not stored", extra=facts_of(planned, error))
        done.failed.append(
            Failure(
                name=planned.bottle.filename,
                digest=planned.bottle.digest,
                reason=error.reason,
                message=str(error),
            )
        )

    def _record(self, planned: PlannedBottle, size: int, done: TransferResult, *, how: str) -> None:
        if how != "found":
            self._run.canary.bottle_taken()
        entry = entry_for(planned.bottle, date=self._run.date, size=size)
        done.receipts.append(Receipt(key=planned.bottle.entry_key, entry=entry))
        if how != "found":
            done.put_there.append(planned.bottle.entry_key)
        done.stored += 1
        done.bytes_stored += size
        if _log.isEnabledFor(logging.INFO):
            _log.info("stored", extra={"bottle": planned.bottle.filename, "how": how, "bytes": size})

    def _identify(self, planned: PlannedBottle, taken: KeyTaken, done: TransferResult) -> int:
        """The size of the object that stands under the bottle's key and is the bottle.

        Raises:
            KeyTaken: it is something else.
        """
        facts = prove(self._store, planned, taken)
        done.found += 1
        self._record(planned, facts.size, done, how="found")
        return facts.size

    def _download(self, planned: PlannedBottle, done: TransferResult) -> int:
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
            check_size=lambda size: self._store.check_size(planned.bottle, size),
            turn=run.turn_to_download,
            open_sink=lambda size: self._store.receive(
                planned.bottle, date=run.date, size=size, replace=run.options.replace
            ),
            look=lambda: self._stored_already(planned),
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
            run.verdict.bottle_given()
            run.hosts.bottle_given()
            self._record(planned, size, done, how="downloaded")
            done.downloaded += 1
        except KeyTaken as taken:
            done.downloaded += 1
            size = self._identify(planned, taken, done)
        finally:
            reception.reset()
            done.bytes_downloaded += reception.moved
        if planned.size is not None and planned.size != size:
            forget_disproved(self._store, planned.bottle, size)
        return size
