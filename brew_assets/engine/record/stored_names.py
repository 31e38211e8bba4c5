"""Which names each sync has put into the store itself: what "New bottles" counts.

A create-only write succeeds for one writer only, so of two syncs that overlap one claims a bottle. Names, not
numbers: a forced sync that is tried again, or whose runs meet at a bottle, puts it there twice and claims it
once. What is found there whole is nobody's claim, also when only the answer to the sync's own write was lost:
another sync may have been the writer.
"""

import logging
import secrets
from collections.abc import Iterable

import msgspec

from brew_assets.domain.proof import is_entry_key, is_sync_id, wrong
from brew_assets.domain.report import REPORT_PREFIX
from brew_assets.engine.ports import Store
from brew_assets.errors import UNREADABLE, ObjectRefused, StoreError

STORED_SUFFIX = ".stored.json"
# An object is written again with every batch of receipts: with so many names it has about 40 KB.
NAMES_PER_OBJECT = 1000

_log = logging.getLogger(__name__)


class _Names(msgspec.Struct, frozen=True):
    names: list[str]


_names_decoder = msgspec.json.Decoder(_Names)


class StoredNames:
    """The entry keys of what one writer has put into the store for a sync.

    They stand in objects that nobody else writes, so that a try that is killed has said what it stored.
    """

    def __init__(self, store: Store, *, sync_id: str) -> None:
        self._store = store
        self._prefix = f"{REPORT_PREFIX}{sync_id}/"
        self._begin([])

    def _begin(self, names: list[str]) -> None:
        self._key = f"{self._prefix}{secrets.token_hex(8)}{STORED_SUFFIX}"
        self._names = names
        self._written = 0

    def add(self, names: Iterable[str]) -> None:
        """Takes names; they are in the store after the next `write`."""
        self._names.extend(names)

    def write(self) -> None:
        """The names taken so far stand in the store; nothing taken, nothing written.

        A count is not worth a sync: what cannot be written now is written with the names that follow.
        """
        while self._written < len(self._names):
            names = self._names[:NAMES_PER_OBJECT]
            try:
                self._store.write(self._key, msgspec.json.encode(_Names(names)))
            except StoreError as error:
                _log.warning(
                    "what this run stored may be counted too low",
                    extra={"key": self._key, "reason": error.reason, "error": str(error)},
                )
                return
            self._written = len(names)
            if len(names) == NAMES_PER_OBJECT:
                self._begin(self._names[NAMES_PER_OBJECT:])


def stored_names(store: Store, sync_id: str) -> frozenset[str]:
    """The entry keys of what the sync has put into the store itself, in all its tries and runs.

    What was stored in the last seconds before a kill may be missing. An object that cannot be understood
    counts nothing, and the log says so.

    Raises:
        StoreError: the store did not answer.
    """
    found: set[str] = set()
    if not is_sync_id(sync_id):
        return frozenset()
    for listed in store.listing(f"{REPORT_PREFIX}{sync_id}/"):
        if not listed.key.endswith(STORED_SUFFIX):
            continue
        try:
            document = store.read(listed.key)
            found.update(_names_in(document.data) if document else ())
        except (*UNREADABLE, ValueError, ObjectRefused) as error:
            _log.warning(
                "stored bottles are not counted: expected a list of names",
                extra={"key": listed.key, "error": str(error)},
            )
    return frozenset(found)


def _names_in(data: bytes) -> list[str]:
    names = _names_decoder.decode(data).names
    for name in names:
        if not is_entry_key(name):
            raise ValueError(wrong("names", "keys of entries of the manifest", name))
    return names
