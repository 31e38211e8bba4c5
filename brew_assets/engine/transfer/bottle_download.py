"""One bottle on its way from upstream into the store, tried again until it is whole or given up."""

import hashlib
import logging

from brew_assets.domain.oci import MAX_BOTTLE_BYTES
from brew_assets.domain.plan import PlannedBottle
from brew_assets.engine.log_context import facts_of_error
from brew_assets.engine.ports import BlobStream, BottleSink, ObjectFacts
from brew_assets.engine.retry import Tries
from brew_assets.engine.transfer.already_stored import stored_whole
from brew_assets.engine.transfer.state import TransferState
from brew_assets.engine.waiting import waiting_for
from brew_assets.errors import (
    ChecksumRefused,
    ContentMismatch,
    DigestMismatch,
    KeyTaken,
    MirrorError,
    SizeMismatch,
    StoreError,
    StoreUnavailable,
    TransferStopped,
    UpstreamInterrupted,
    UpstreamRefused,
)

# A bottle up to this size is whole in memory before the store hears of it, so that a store that fails
# costs no second download. Larger ones are passed on piece by piece.
BUFFER_BYTES = 1024 * 1024
# Pieces that stay in the processor's cache between receiving and hashing.
CHUNK_BYTES = 512 * 1024
# The catalogue's digest is the truth: bytes that miss it twice will miss it again.
MAX_MISMATCHES = 2
# Another create-only write of the same key was under way.
_CONFLICT = 409

_log = logging.getLogger(__name__)


class BottleDownload:
    """Brings one bottle; a try that failed leaves what the next one can keep.

    `received` bytes are hashed and kept so far, `size` is the whole bottle's, `moved` counts every byte
    that came over the wire. What an index says of the size is a hint: upstream's own length goes before it,
    and the digest decides.
    """

    def __init__(self, planned: PlannedBottle, transfer: TransferState, buffer: memoryview) -> None:
        ports = transfer.ports
        self._planned = planned
        self._bottle = planned.bottle
        self._expected = planned.size
        self._transfer = transfer
        self._blobs, self._store, self._stop = ports.blobs, ports.store, ports.stop
        self._buffer = buffer
        self._tries = Tries(transfer.options.retry, transfer.budget, transfer.gate)
        self._furthest = self._mismatches = 0
        self._lost_answer: StoreUnavailable | None = None
        self._sink: BottleSink | None = None
        self._sink_failed = False
        # Of a bottle that is passed on piece by piece: verified with it, and not passed on yet.
        self._last_piece: memoryview | None = None
        self._hash = hashlib.sha256()
        self._length_given = True
        self.received = 0
        self.size = 0
        self.moved = 0

    def run(self) -> int:
        """The bottle's size, once it is whole, verified and in the store.

        Bytes come only while the thread holds a download slot, which it gives back before the store is given
        the last of them.

        Raises:
            TransferStopped: the stop signal came first, or upstream has asked all to wait for too long.
            KeyTaken: another object stands under its key, perhaps the bottle.
            MirrorError: it cannot be had; the last try's error.
        """
        # Each try asks first whether the one before it was stored, its answer lost: fetched again, the bottle
        # would come twice and then meet itself as somebody else's. What is whole in memory is committed again
        # without a download, so a store that fails for a while costs upstream nothing. The same question
        # comes once more before giving up: the last try may be the one that was stored.
        transfer = self._transfer
        while True:
            try:
                if not self._is_stored():
                    if not self._is_whole_in_buffer():
                        # Before a byte moves: what the store cannot hold is not downloaded.
                        self._store.check_size(self._bottle, self._expected or 0)
                        transfer.take_turn()
                        try:
                            stream = self._blobs.open(self._bottle, offset=self.received)
                            try:
                                self._receive(stream)
                            finally:
                                stream.close()
                        finally:
                            transfer.slots.give()
                    self._commit()
                transfer.gate.has_given()
                return self.size
            except (ContentMismatch, ChecksumRefused) as error:
                self._begin_anew(error)
            except MirrorError as error:
                try:
                    self._wait_for_next_try(error)
                except MirrorError:
                    if self._was_stored():
                        return self.size
                    raise

    def abandon(self) -> None:
        """Nothing of what is not whole stands in the store."""
        self._drop_sink()

    def _begin_anew(self, error: MirrorError) -> None:
        """The next try fetches every byte again.

        Raises:
            MirrorError: the error; there is none.
        """
        self._mismatches += 1
        if self._mismatches >= MAX_MISMATCHES or not self._transfer.budget.spend():
            raise error
        _log.warning("tried again", extra=facts_of(self._planned, error) | {"wait_s": 0.0})
        self._reset()

    def _wait_for_next_try(self, error: MirrorError) -> None:
        """Returns when it may begin; what the buffer or a healthy sink has is kept, what is lost dropped.

        Raises:
            MirrorError: the error; there is none.
            TransferStopped: the stop signal came first.
        """
        wait_s = self._tries.next_wait_s(error, gained=self.received > self._furthest)
        if wait_s is None:
            error.retries = self._tries.retries
            raise error
        self._furthest = max(self._furthest, self.received)
        _log.warning("tried again", extra=facts_of(self._planned, error) | {"wait_s": round(wait_s, 3)})
        if self._sink_failed and self._is_whole_in_buffer():
            self._drop_sink()
        elif self._sink_failed:
            self._reset()
        what = "the store" if isinstance(error, StoreError) else f"the registry {self._blobs.url}"
        with waiting_for(what) as wait:
            wait.failed(error, next_try_in_s=wait_s)
            is_stopped = self._transfer.ports.clock.wait(wait_s, self._stop)
        if is_stopped:
            raise TransferStopped(f"{self._bottle.filename}: stopped before a retry") from error

    def _was_stored(self) -> bool:
        """A last look, for which the error that is known already is not replaced by another."""
        try:
            return self._is_stored()
        except StoreUnavailable:
            return False

    def _is_stored(self) -> bool:
        """Whether the store has the bottle of which an earlier try got no answer.

        It is that try's own then: a create-only write of somebody else would have been answered as such.

        Raises:
            KeyTaken: somebody else was writing it, and has.
            StoreUnavailable: the store still does not answer; nothing is worth downloading for it.
        """
        lost = self._lost_answer
        if lost is None:
            return False
        facts = stored_already(self._planned, self._transfer)
        self._lost_answer = None
        if facts is None:
            return False
        if lost.status == _CONFLICT:
            raise KeyTaken(facts.key)
        self.size = facts.size
        return True

    def _reset(self) -> None:
        """No byte is kept and nothing stands in the store."""
        self._drop_sink()
        self._hash = hashlib.sha256()
        self.received = 0

    def _drop_sink(self) -> None:
        if self._sink is not None:
            self._sink.abort()
        self._sink, self._sink_failed, self._last_piece = None, False, None

    def _is_whole_in_buffer(self) -> bool:
        return 0 < self.size == self.received <= BUFFER_BYTES

    def _receive(self, stream: BlobStream) -> None:
        self._begin(stream)
        if self.size <= BUFFER_BYTES:
            while self.received < self.size:
                self._read(stream, self._buffer[self.received : self.size])
            self._check_length(stream)
            return
        while self.received < self.size:
            piece = self._read(stream, self._buffer[: self.size - self.received])
            if self.received < self.size:
                self._pass_on(piece)
                continue
            # The store sees the last bytes only when all of them are known to be right: what is wrong or cut
            # short is never complete there, even if this process dies without an abort. The piece stays in
            # the buffer, which nothing is read into until `_commit` has passed it on.
            self._check_length(stream)
            self._verify()
            self._last_piece = piece

    def _begin(self, stream: BlobStream) -> None:
        """Settles offset and size; a stream that starts at zero starts the bottle anew."""
        name = self._bottle.filename
        if stream.start != self.received:
            asked = self.received
            self._reset()
            if stream.start != 0:
                raise UpstreamRefused(f"{name}: asked for byte {asked}, was given byte {stream.start}")
        total = stream.total if stream.total is not None else self._expected
        if total is None:
            raise UpstreamRefused(f"{name}: neither upstream nor its index says the size")
        if self.received and total != self.size:
            raise SizeMismatch(subject=name, expected=self.size, actual=total)
        if total == 0:
            raise SizeMismatch(subject=name, expected=self._expected or 1, actual=0)
        if total > MAX_BOTTLE_BYTES:
            raise UpstreamRefused(
                f"{name}: expected at most {MAX_BOTTLE_BYTES} bytes, found {total} announced"
            )
        self._store.check_size(self._bottle, total)
        self._length_given = stream.total is not None
        self.size = total

    def _read(self, stream: BlobStream, view: memoryview) -> memoryview:
        if self._stop.expired():
            raise TransferStopped(f"{self._bottle.filename}: the grace was over before it was whole")
        count = stream.readinto(view[:CHUNK_BYTES])
        if count == 0:
            self._learn_length()
            raise UpstreamInterrupted(
                f"{self._bottle.filename}: the body ended after {self.received} of {self.size} bytes"
            )
        return self._take(view[:count])

    def _take(self, piece: memoryview) -> memoryview:
        self._hash.update(piece)
        self.received += len(piece)
        self.moved += len(piece)
        self._transfer.moved += len(piece)
        return piece

    def _check_length(self, stream: BlobStream) -> None:
        """Reads on where only an index has said the length and the bytes so far are not the bottle.

        Raises:
            SizeMismatch: with more bytes they are; the next try knows how many.
        """
        # A wrong index would make every try fetch as many bytes too few, and blame the digest each time. The
        # bytes read on are hashed and not kept, so the length found here only serves the next try, which
        # begins anew.
        if self._length_given or self._hash.hexdigest() == self._bottle.digest:
            return
        while self.received <= MAX_BOTTLE_BYTES and (count := stream.readinto(self._buffer[:CHUNK_BYTES])):
            self._take(self._buffer[:count])
            if self._stop.expired():
                raise TransferStopped(f"{self._bottle.filename}: the grace was over before it was whole")
        self._learn_length()

    def _learn_length(self) -> None:
        if not self._length_given and self._hash.hexdigest() == self._bottle.digest:
            announced, self._expected = self.size, self.received
            raise SizeMismatch(subject=self._bottle.filename, expected=announced, actual=self.received)

    def _verify(self) -> None:
        actual, name = self._hash.hexdigest(), self._bottle.filename
        if actual == self._bottle.digest:
            return
        if self._expected not in (None, self.size):
            raise SizeMismatch(subject=name, expected=self._expected or 0, actual=self.size)
        raise DigestMismatch(subject=name, expected=self._bottle.digest, actual=actual)

    def _pass_on(self, piece: memoryview) -> None:
        try:
            if self._sink is None:
                job = self._transfer.job
                self._sink = self._store.receive(
                    self._bottle, date=job.sync_date, size=self.size, replace=job.force
                )
            self._sink.write(piece)
        except StoreError as error:
            self._fail_sink(error)
            raise

    def _commit(self) -> None:
        if self.size <= BUFFER_BYTES:
            self._verify()
            self._pass_on(self._buffer[: self.size])
        elif self._last_piece is not None:
            self._pass_on(self._last_piece)
        assert self._sink is not None
        try:
            self._sink.commit()
        except StoreError as error:
            self._fail_sink(error)
            raise
        self._sink = self._last_piece = None

    def _fail_sink(self, error: StoreError) -> None:
        self._sink_failed = True
        # Before the last bytes have left there is nothing that the store could have kept.
        if isinstance(error, StoreUnavailable) and self._sink is not None and self.received == self.size:
            self._lost_answer = error


def stored_already(planned: PlannedBottle, transfer: TransferState) -> ObjectFacts | None:
    """What the store vouches for where it took the bottle and its answer was lost, else None.

    Raises:
        StoreUnavailable: it does not answer.
    """
    # What is to be replaced stood there before, and would prove nothing.
    if transfer.job.force:
        return None
    return stored_whole(transfer.ports.store, planned, date=transfer.job.sync_date)


def facts_of(planned: PlannedBottle, error: MirrorError) -> dict[str, object]:
    """What a log line says of a try that failed."""
    return {"bottle": planned.bottle.filename} | facts_of_error(error)
