"""Receipts: proof that bottles were stored, until a fold has taken them into the manifest."""

import contextlib
import contextvars
import functools
import logging
import secrets
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from brew_assets.domain.manifest import Receipt, decode_receipts, encode_receipts
from brew_assets.domain.object_keys import is_journal_name
from brew_assets.engine.ports import Clock, Document, ListedObject, Store
from brew_assets.engine.record.foreign_objects import own_listing
from brew_assets.engine.record.stored_names import StoredNames
from brew_assets.errors import (
    KeyTaken,
    ManifestInvalid,
    ObjectRefused,
    StoreError,
    StoreFull,
    StoreUnavailable,
)

RECEIPT_PREFIX = "state/receipts/"
REJECTED_PREFIX = "state/rejected/"
# A fold takes a receipt out of the listing too. Some servers list for ever what they have lost.
_ABSENT_AFTER = 5
_MOST_NAMED = 20
# Each reading again means that somebody has folded meanwhile.
_MOST_READINGS = 50
_READ_AHEAD = 8
_WORTH_READING_AHEAD = 16

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Absent:
    """The receipts that are listed and, however often they are read, not there."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}
        self._gone: set[str] = set()

    def note(self, keys: Iterable[str]) -> None:
        """The receipts were listed and not found once more."""
        for key in keys:
            self._times[key] = self._times.get(key, 0) + 1
            if self._times[key] == _ABSENT_AFTER:
                self._gone.add(key)
                if len(self._gone) <= _MOST_NAMED:
                    _log.warning("receipts are listed and not there", extra={"key": key})

    @property
    def keys(self) -> Collection[str]:
        """Those that are left out from now on."""
        return self._gone


def journal_objects(store: Store) -> Iterator[ListedObject]:
    """The objects of the journal, without what others keep beside them.

    Raises:
        StoreError: the store cannot be listed.
    """
    return own_listing(store, RECEIPT_PREFIX, is_journal_name)


def journal_keys(store: Store, absent: "Absent | None" = None) -> list[str]:
    """The journal's keys in the order of time, so that of two receipts of one bottle the later counts.

    Sync ids begin with their time; the other names (of found bottles, of a repair) only say what was there
    before. Those that are known to be `absent` are left out.

    Raises:
        StoreError: the store cannot be listed.
    """
    gone = absent.keys if absent is not None else ()
    keys = [listed.key for listed in journal_objects(store) if listed.key not in gone]
    return sorted(keys, key=lambda key: (_is_of_a_sync(key[len(RECEIPT_PREFIX) :]), key))


def _is_of_a_sync(name: str) -> bool:
    return name[:1].isdigit()


def read_objects(store: Store, keys: Iterable[str]) -> Iterator[tuple[str, list[Receipt] | None]]:
    """The receipts of each journal object; None for one that vanished: another fold took it.

    A few objects at a time: a journal of 50,000 receipts never is in memory as a whole. One that the store
    does not give out is left out: its bottles are found where they stand.

    Raises:
        ManifestInvalid: a receipt cannot be trusted.
        StoreError: the store refuses to be read.
    """
    # Closed here: what raises would leave the reading threads to whoever collects the garbage.
    with contextlib.closing(_read_ahead(store, list(keys))) as reading:
        for key, read in reading:
            try:
                document = read()
            except (ObjectRefused, StoreUnavailable) as error:
                # A store that answers nothing says so again when the manifest is read.
                _log.warning("receipts cannot be read", extra={"key": key, "error": str(error)})
                continue
            yield key, None if document is None else decode_receipts(document.data, key=key)


def _read_ahead(
    store: Store, keys: list[str]
) -> Generator[tuple[str, Callable[[], Document | None]], None, None]:
    """Each key, in order, and what gives its object or raises; those after it are read meanwhile.

    One after the other, a distant bucket would be waited for as often as there are objects.
    """
    if len(keys) < _WORTH_READING_AHEAD:
        yield from ((key, functools.partial(store.read, key)) for key in keys)
        return
    pool = ThreadPoolExecutor(_READ_AHEAD, thread_name_prefix="receipts")
    reading: deque[tuple[str, Future[Document | None]]] = deque()
    try:
        for key in keys:
            # A context has one user at a time.
            here = contextvars.copy_context()
            reading.append((key, pool.submit(here.run, store.read, key)))
            if len(reading) > _READ_AHEAD:
                first, found = reading.popleft()
                yield first, found.result
        while reading:
            first, found = reading.popleft()
            yield first, found.result
    except BaseException:
        # Whoever stops reading does not wait for a store that hangs.
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def read_settled(store: Store, convert: Callable[[Receipt], _T]) -> list[_T]:
    """What is made of each receipt that nobody has folded yet, in the order of time.

    For readers who read the manifest afterwards: a fold in between then hides nothing. Read again while
    receipts vanish, for of two receipts of one bottle the later counts; when that does not end, what vanished
    is left out: it is in the manifest by then.

    Raises:
        ManifestInvalid: a receipt cannot be trusted.
        StoreError: the store cannot be read.
    """
    absent = Absent()
    made: list[_T] = []
    for _ in range(_MOST_READINGS):
        made, vanished = [], []
        for key, receipts in read_objects(store, journal_keys(store, absent)):
            if receipts is None:
                vanished.append(key)
            else:
                made.extend(convert(receipt) for receipt in receipts)
        if not vanished:
            break
        absent.note(vanished)
    return made


def read_journal(store: Store) -> list[Receipt]:
    """The receipts that nobody has folded yet, in the order of time; see `read_settled`.

    Raises:
        ManifestInvalid: a receipt cannot be trusted.
        StoreError: the store cannot be read.
    """
    return read_settled(store, lambda receipt: receipt)


def check_journal(store: Store) -> None:
    """Returns when every receipt can be trusted.

    Raises:
        ManifestInvalid: one cannot.
        StoreError: the store cannot be read.
    """
    for _ in read_objects(store, journal_keys(store)):
        pass


def untrusted_receipts(store: Store) -> dict[str, ManifestInvalid]:
    """Key -> what is wrong with it, of each journal object that cannot be trusted.

    Raises:
        StoreError: the store cannot be read.
    """
    found = {}
    for key in journal_keys(store):
        try:
            list(read_objects(store, [key]))
        except ManifestInvalid as error:
            found[key] = error
    return found


def move_to_rejected(store: Store, key: str) -> str:
    """Where the journal object stands from now on; nobody reads it as receipts any more.

    Raises:
        StoreError: it could not be moved; it is where it was.
    """
    # Written there first, deleted here last: killed in between, the object stands at both places, and the
    # next try takes the copy for its own. Where two objects have the same name, the second gets a place of
    # its own: nothing that was moved before is overwritten.
    document = store.read(key)
    place = f"{REJECTED_PREFIX}{key.removeprefix('state/')}"
    if document is None:
        return place
    try:
        store.write(place, document.data, create_only=True)
    except (KeyTaken, ObjectRefused):
        if not _stands_at(store, place, document.data):
            place = f"{place}.{secrets.token_hex(4)}"
            store.write(place, document.data)
    try:
        store.delete([key])
    except StoreError:
        # Where nothing can be deleted, it says nothing any more.
        store.write(key, encode_receipts([]))
    return place


def _stands_at(store: Store, key: str, data: bytes) -> bool:
    try:
        document = store.read(key)
    except ObjectRefused:
        return False
    return document is not None and document.data == data


def read_recorded(store: Store, sync_id: str) -> set[str]:
    """The entry keys of the sync's receipts that nobody has folded yet.

    Raises:
        ManifestInvalid: a receipt cannot be trusted.
        StoreError: the store cannot be read.
    """
    own = f"{RECEIPT_PREFIX}{sync_id}/"
    keys = [
        listed.key for listed in own_listing(store, own, lambda name: is_journal_name(f"{sync_id}/{name}"))
    ]
    with contextlib.closing(_read_ahead(store, keys)) as reading:
        return {
            receipt.key
            for key, read in reading
            if (document := read()) is not None
            for receipt in decode_receipts(document.data, key=key)
        }


def empty(store: Store, keys: Iterable[str]) -> None:
    """The receipts that cannot be deleted say nothing any more, as far as the store takes that."""
    for key in keys:
        with contextlib.suppress(StoreError):
            store.write(key, encode_receipts([]))


class Journal:
    """Collects receipts of one run and writes them every `batch_size` bottles or `flush_s` seconds.

    A sync's journal says beside them which names the run put into the store itself.
    """

    def __init__(
        self, store: Store, clock: Clock, *, sync_id: str, batch_size: int = 50, flush_s: float = 5.0
    ) -> None:
        self._store = store
        self._clock = clock
        self._prefix = f"{RECEIPT_PREFIX}{sync_id}/"
        self._batch_size = batch_size
        self._flush_s = flush_s
        self._pending: list[Receipt] = []
        self._put_there = StoredNames(store, sync_id=sync_id) if _is_of_a_sync(sync_id) else None
        self._last = clock.monotonic()
        self.written = 0

    def add(self, receipts: Iterable[Receipt], *, put_there: Iterable[str] = ()) -> None:
        """Takes receipts; they are written at the latest by the next `tick` after `flush_s`.

        `put_there` are the entry keys of those bottles that did not stand there before.

        Raises:
            StoreError: as of `tick`.
        """
        self._pending.extend(receipts)
        if self._put_there is not None:
            self._put_there.add(put_there)
        self.tick()

    def tick(self) -> None:
        """Writes what is due.

        Raises:
            StoreError: receipts could not be written, and not because the store is full or does not answer;
                they are kept for the next try.
        """
        if len(self._pending) >= self._batch_size or (
            self._pending and self._clock.monotonic() - self._last >= self._flush_s
        ):
            # What passes has passed by the next time, and a full store ends the run by itself. The last
            # flush, at the end of the run, raises.
            with contextlib.suppress(StoreUnavailable, StoreFull):
                self.flush()

    def flush(self) -> None:
        """All receipts taken so far stand in the store.

        Raises:
            StoreError: they could not be written; they are kept for the next try.
        """
        self._last = self._clock.monotonic()
        # Before the receipts: what is recorded is found by the next try, and nobody would claim it any more.
        if self._put_there is not None:
            self._put_there.write()
        if self._pending:
            self._write_receipts()

    def _write_receipts(self) -> None:
        stamp = self._clock.now().strftime("%H%M%S%f")
        key = f"{self._prefix}{stamp}-{secrets.token_hex(4)}.json"
        # A key that is taken is our own: the answer to the first try was lost.
        with contextlib.suppress(KeyTaken):
            self._store.write(key, encode_receipts(self._pending), create_only=True)
        self.written += len(self._pending)
        self._pending = []
