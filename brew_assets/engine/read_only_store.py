"""A store that takes nothing: what a dry run plans with."""

from collections.abc import Iterable

import msgspec

from brew_assets.domain.bottle import Bottle
from brew_assets.engine.ports import BottleSink, Store
from brew_assets.engine.sync import Mirror
from brew_assets.errors import StoreRefused


def read_only(mirror: Mirror) -> Mirror:
    """The same mirror, in whose store nothing is written, moved or deleted whatever it is asked to do."""
    store = ReadOnlyStore(mirror.store)
    return Mirror(msgspec.structs.replace(mirror.ports, store=store), mirror.options)


class ReadOnlyStore:
    """Reads as the store does. Documents that are written or deleted are dropped; bottles are refused."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.url = store.url
        self.read = store.read
        self.listing = store.listing
        self.date_folders = store.date_folders
        self.facts = store.facts
        self.exists = store.exists
        self.version = store.version
        self.hash = store.hash
        self.peek = store.peek
        self.check_size = store.check_size
        self.interrupt = store.interrupt
        self.close = store.close

    def prepare(self) -> None:
        """Nothing: the store need not be there, and need not be writable."""

    def write(self, key: str, data: bytes, *, create_only: bool = False, replaces: str | None = None) -> str:
        """Nothing is written; the version is none."""
        return ""

    def delete(self, keys: Iterable[str]) -> None:
        """Nothing is deleted."""

    def receive(self, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> BottleSink:
        """No bottle is taken.

        Raises:
            StoreRefused: always.
        """
        raise StoreRefused(f"{self.url}: takes no bottle in a dry run")

    def duplicate(self, source: str, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> None:
        """No bottle is copied.

        Raises:
            StoreRefused: always.
        """
        raise StoreRefused(f"{self.url}: takes no bottle in a dry run")
