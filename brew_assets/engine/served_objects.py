"""How the gateway gets at objects: as files that it sends, or as addresses to which it sends clients."""

from datetime import datetime
from typing import BinaryIO, Protocol

import msgspec


class ServedObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object as it stands in the store: its size in bytes, and when it was stored."""

    size: int
    modified: datetime


class OpenedObject(msgspec.Struct, frozen=True, kw_only=True):
    """The same with its bytes, which are read by one thread at a time; whoever has it closes the body."""

    size: int
    modified: datetime
    body: BinaryIO


class ServedObjects(Protocol):
    """Objects of the store for clients. Used by several threads at once.

    `redirects` says that clients fetch bottles themselves, at an address; else they are opened here.
    """

    redirects: bool

    def open(self, key: str, *, most_bytes: int) -> OpenedObject | None:
        """The object, None when there is none.

        Raises:
            ObjectRefused: what stands there is not given out: a link, or more than `most_bytes`.
            StoreError: another of its classes, see errors.py.
        """

    def facts(self, key: str) -> ServedObject | None:
        """Size and time of the object, None when there is none.

        Raises:
            StoreError: one of its classes, see errors.py.
        """

    def kept_address(self, key: str, *, filename: str = "") -> str | None:
        """An address that was made before and is still good for long enough; nobody waits for it."""

    def address(self, key: str, *, filename: str = "") -> str:
        """Where a client fetches the object with a GET, under `filename` if that is given.

        Raises:
            StoreError: there are no credentials to sign with.
        """
