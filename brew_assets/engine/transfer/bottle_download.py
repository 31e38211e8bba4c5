"""One bottle on its way from upstream into the store: bytes so far, running hash, sink."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager

from brew_assets.domain.oci import MAX_BOTTLE_BYTES
from brew_assets.domain.plan import PlannedBottle
from brew_assets.engine.ports import Blobs, BlobStream, BottleSink, ObjectFacts, StopSignal
from brew_assets.errors import (
    DigestMismatch,
    KeyTaken,
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
# Another create-only write of the same key was under way.
_CONFLICT = 409


class Reception:
    """Receives one bottle; `go_on` may be called again after an error and keeps what can be kept.

    `received` bytes are hashed and kept so far, `size` is the whole bottle's, `moved` counts every byte
    that came over the wire. What an index says of the size is a hint: upstream's own length goes before it,
    and the digest decides.
    """

    def __init__(
        self,
        planned: PlannedBottle,
        *,
        blobs: Blobs,
        check_size: Callable[[int], None],
        turn: Callable[[], AbstractContextManager[None]],
        open_sink: Callable[[int], BottleSink],
        look: Callable[[], ObjectFacts | None],
        buffer: memoryview,
        stop: StopSignal,
        on_bytes: Callable[[int], None],
    ) -> None:
        self._bottle = planned.bottle
        self._expected = planned.size
        self._blobs = blobs
        self._check_size = check_size
        self._turn = turn
        self._open_sink = open_sink
        self._look = look
        self._lost_answer: StoreUnavailable | None = None
        self._buffer = buffer
        self._stop = stop
        self._on_bytes = on_bytes
        self._sink: BottleSink | None = None
        self._sink_failed = False
        # Of a bottle that is passed on piece by piece: verified with it, and not passed on yet.
        self._last_piece: memoryview | None = None
        self._hash = hashlib.sha256()
        self._length_given = True
        self.received = 0
        self.size = 0
        self.moved = 0

    @property
    def registry(self) -> str:
        """The address of the registry, as it may be shown."""
        return self._blobs.url

    def go_on(self) -> int:
        """The bottle's size, once it is whole, verified and in the store.

        Bytes come only inside a `turn`, which ends before the store is given the last of them.

        Raises:
            KeyTaken: another object stands there, perhaps the bottle.
            MirrorError: this try failed; call `pause` before the next, or `reset` to begin anew.
        """
        if self.is_stored():
            return self.size
        if not self._is_whole_in_buffer():
            # Before a byte moves: what the store cannot hold is not downloaded.
            self._check_size(self._expected or 0)
            with self._turn():
                stream = self._blobs.open(self._bottle, offset=self.received)
                try:
                    self._receive(stream)
                finally:
                    stream.close()
        self._store()
        return self.size

    def is_stored(self) -> bool:
        """Whether the store has the bottle of which an earlier try got no answer.

        It is that try's own then: a create-only write of somebody else would have been answered as such.

        Raises:
            KeyTaken: somebody else was writing it, and has.
            StoreUnavailable: the store still does not answer; nothing is worth downloading for it.
        """
        lost = self._lost_answer
        facts = self._look() if lost is not None else None
        self._lost_answer = None
        if lost is None or facts is None:
            return False
        if lost.status == _CONFLICT:
            raise KeyTaken(facts.key)
        self.size = facts.size
        return True

    def pause(self) -> None:
        """After a failed try: keeps what the buffer or a healthy sink has, drops what is lost."""
        if not self._sink_failed:
            return
        if self._is_whole_in_buffer():
            self._drop_sink()
        else:
            self.reset()

    def reset(self) -> None:
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
            # The store sees the last bytes only when all of them are known to be right.
            self._check_length(stream)
            self._verify()
            self._last_piece = piece

    def _begin(self, stream: BlobStream) -> None:
        """Settles offset and size; a stream that starts at zero starts the bottle anew."""
        name = self._bottle.filename
        if stream.start != self.received:
            asked = self.received
            self.reset()
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
        self._check_size(total)
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
        self._on_bytes(len(piece))
        return piece

    def _check_length(self, stream: BlobStream) -> None:
        """Reads on where only an index has said the length and the bytes so far are not the bottle.

        Raises:
            SizeMismatch: with more bytes they are; the next try knows how many.
        """
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
                self._sink = self._open_sink(self.size)
            self._sink.write(piece)
        except StoreError as error:
            self._fail_sink(error)
            raise

    def _store(self) -> None:
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
