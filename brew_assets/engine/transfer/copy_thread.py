"""One thread of a transfer: every name of one digest after the other, downloaded, copied or found."""

import contextlib
import logging

from brew_assets.domain.downloads import Fetch
from brew_assets.domain.manifest import Receipt, entry_for
from brew_assets.domain.plan import PlannedBottle
from brew_assets.domain.report import Failure
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.kept_indexes import forget_disproved
from brew_assets.engine.transfer.already_stored import look_for, prove
from brew_assets.engine.transfer.bottle_download import (
    BUFFER_BYTES,
    BottleDownload,
    facts_of,
    stored_already,
)
from brew_assets.engine.transfer.state import TransferState
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


class CopyThread:
    """What one thread does: one fetch after the other, until there is none or none may begin."""

    def __init__(self, transfer: TransferState) -> None:
        self._transfer = transfer
        self._store = transfer.ports.store
        self._date = transfer.job.sync_date
        self._buffer = memoryview(bytearray(BUFFER_BYTES))

    def run(self) -> None:
        """The thread's life; what crashes it ends the transfer, and is raised by whoever collects."""
        transfer = self._transfer
        try:
            while not transfer.begins_nothing():
                try:
                    fetch = transfer.work.popleft()
                except IndexError:
                    break
                transfer.results.append(self._copy(fetch))
        except BaseException as crash:
            transfer.crash = crash
            transfer.ended.set()
        finally:
            with contextlib.suppress(Exception):  # what cannot be closed is closed with the process
                self._store.close()
            transfer.end_thread()

    def _copy(self, fetch: Fetch) -> TransferResult:
        """What became of the fetch; no MirrorError leaves it."""
        # All names of a digest belong to one thread, one after the other: the first is downloaded, the others
        # are copies of it inside the store, and no bytes are fetched twice. What speaks against one name (its
        # key is taken or refused) leaves the next one its chance. Any other error is about the bytes or the
        # whole store, and would meet each of the other names after as many tries.
        done = TransferResult()
        source, size = fetch.source, fetch.size or 0
        names = list(fetch.names)
        if self._transfer.look_first:
            names, found = self._look(names, done)
            source, size = found or (source, size)
        for position, planned in enumerate(names):
            if source is not None:
                source, size = self._duplicate(planned, source, size, done)
                continue
            try:
                size = self._download(planned, done)
                source = planned.bottle.key(self._date)
            except TransferStopped:
                done.leave(names[position:])
                break
            except (StoreRefused, ObjectRefused, StoreUnsupported, KeyTaken) as error:
                # As far as anybody knows about this name alone: the next one is tried for itself.
                self._fail(planned, error, done)
                if self._transfer.ended.is_set():
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
        look = look_for(self._store, names, date=self._date)
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
                if not self._transfer.duplicates:
                    raise StoreUnsupported(f"{source}: the store makes no copies")
                self._store.duplicate(
                    source,
                    planned.bottle,
                    date=self._date,
                    size=size,
                    replace=self._transfer.job.force,
                )
                done.duplicated += 1
                self._record(planned, size, done, how="duplicated")
            except KeyTaken as error:
                self._identify(planned, error, done)
            except StoreError as error:
                # The place that should have had the bytes has not, or the store does not copy in this way, or
                # not now: upstream still has them.
                if isinstance(error, StoreUnsupported):
                    self._transfer.duplicates = False
                facts = (
                    stored_already(planned, self._transfer) if isinstance(error, StoreUnavailable) else None
                )
                if facts is not None:
                    # Only the answer was lost.
                    done.duplicated += 1
                    self._record(planned, facts.size, done, how="duplicated")
                    return source, size
                size = self._download(planned, done)
                source = planned.bottle.key(self._date)
        except TransferStopped:
            done.leave([planned])
        except MirrorError as error:
            self._fail(planned, error, done)
        return source, size

    def _fail(self, planned: PlannedBottle, error: MirrorError, done: TransferResult) -> None:
        if isinstance(error, StoreError) and self._transfer.canary.condemns(error):
            self._transfer.abort(str(error))
        if isinstance(error, UpstreamError) and (why := self._transfer.registry.condemns(error)):
            self._transfer.abort(why, kind=RegistryRefused)
        if why := self._transfer.hosts.condemns(error):
            self._transfer.abort(why, kind=HostRefused)
        level = logging.ERROR if self._transfer.hosts.is_news(error) else logging.DEBUG
        _log.log(level, "not stored", extra=facts_of(planned, error))
        done.failed.append(
            Failure(
                name=planned.bottle.filename,
                digest=planned.bottle.digest,
                reason=error.reason,
                message=str(error),
                retries=error.retries,
            )
        )

    def _record(self, planned: PlannedBottle, size: int, done: TransferResult, *, how: str) -> None:
        if how != "found":
            self._transfer.canary.bottle_taken()
        entry = entry_for(planned.bottle, date=self._date, size=size)
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
        transfer = self._transfer
        download = BottleDownload(planned, transfer, self._buffer)
        try:
            size = download.run()
            transfer.registry.bottle_given()
            transfer.hosts.bottle_given()
            self._record(planned, size, done, how="downloaded")
            done.downloaded += 1
        except KeyTaken as taken:
            done.downloaded += 1
            size = self._identify(planned, taken, done)
        finally:
            download.abandon()
            done.bytes_downloaded += download.moved
        if planned.size is not None and planned.size != size:
            forget_disproved(self._store, planned.bottle, size)
        return size
