"""One bottle on its way from upstream into the store: bytes so far, running hash, sink."""

import hashlib
from collections.abc import Callable

from brew_assets.domain.plan import PlannedBottle
from brew_assets.engine.ports import Blobs, BlobStream, BottleSink, StopSignal
from brew_assets.errors import (
    DigestMismatch,
    SizeMismatch,
    StoreError,
    TransferStopped,
    UpstreamInterrupted,
    UpstreamRefused,
)

# A bottle up to this size is whole in memory before the store hears of it, so that a store that fails
# costs no second download. Larger ones are passed on piece by piece.
BUFFER_BYTES = 1024 * 1024
# Pieces that stay in the processor's cache between receiving and hashing.
CHUNK_BYTES = 512 * 1024


class Reception:
    """Receives one bottle; `go_on` may be called again after an error and keeps what can be kept.

    `received` bytes are hashed and kept so far, `size` is the whole bottle's, `moved` counts every byte
    that came over the wire.
    """

    def __init__(
        self,
        planned: PlannedBottle,
        *,
        blobs: Blobs,
        open_sink: Callable[[int], BottleSink],
        buffer: memoryview,
        stop: StopSignal,
        on_bytes: Callable[[int], None],
    ) -> None:
        self._bottle = planned.bottle
        self._expected = planned.size
        self._blobs = blobs
        self._open_sink = open_sink
        self._buffer = buffer
        self._stop = stop
        self._on_bytes = on_bytes
        self._sink: BottleSink | None = None
        self._sink_failed = False
        self._hash = hashlib.sha256()
        self.received = 0
        self.size = 0
        self.moved = 0

    def go_on(self) -> int:
        """The bottle's size, once it is whole, verified and in the store.

        Raises:
            MirrorError: this try failed; call `pause` before the next, or `reset` to begin anew.
        """
        if not self._is_whole_in_buffer():
            stream = self._blobs.open(self._bottle, offset=self.received)
            try:
                self._receive(stream)
            finally:
                stream.close()
        self._store()
        return self.size

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
        self._sink, self._sink_failed = None, False

    def _is_whole_in_buffer(self) -> bool:
        return 0 < self.size == self.received <= BUFFER_BYTES

    def _receive(self, stream: BlobStream) -> None:
        self._begin(stream)
        if self.size <= BUFFER_BYTES:
            while self.received < self.size:
                self._read(stream, self._buffer[self.received : self.size])
            return
        while self.received < self.size:
            piece = self._read(stream, self._buffer[: self.size - self.received])
            if self.received == self.size:
                # The store sees the last bytes only when all of them are known to be right.
                self._verify()
            self._pass_on(piece)

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
            raise UpstreamRefused(f"{name}: neither upstream nor its index tells the size")
        expected = self.size if self.received else self._expected
        if expected is not None and total != expected:
            raise SizeMismatch(subject=name, expected=expected, actual=total)
        if total == 0:
            raise SizeMismatch(subject=name, expected=1, actual=0)
        self.size = total

    def _read(self, stream: BlobStream, view: memoryview) -> memoryview:
        if self._stop.expired():
            raise TransferStopped(f"{self._bottle.filename}: the grace was over before it was whole")
        count = stream.readinto(view[:CHUNK_BYTES])
        if count == 0:
            raise UpstreamInterrupted(
                f"{self._bottle.filename}: the body ended after {self.received} of {self.size} bytes"
            )
        piece = view[:count]
        self._hash.update(piece)
        self.received += count
        self.moved += count
        self._on_bytes(count)
        return piece

    def _verify(self) -> None:
        actual = self._hash.hexdigest()
        if actual != self._bottle.digest:
            raise DigestMismatch(subject=self._bottle.filename, expected=self._bottle.digest, actual=actual)

    def _pass_on(self, piece: memoryview) -> None:
        try:
            if self._sink is None:
                self._sink = self._open_sink(self.size)
            self._sink.write(piece)
        except StoreError:
            self._sink_failed = True
            raise

    def _store(self) -> None:
        if self.size <= BUFFER_BYTES:
            self._verify()
            self._pass_on(self._buffer[: self.size])
        assert self._sink is not None
        try:
            self._sink.commit()
        except StoreError:
            self._sink_failed = True
            raise
        self._sink = None
