"""Files of a directory for the gateway, opened as the store itself does: no link is followed."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from brew_assets.adapters.directory_store.file_calls import our_errors
from brew_assets.adapters.directory_store.rooted_files import RootedFiles, open_regular, place_of
from brew_assets.engine.served_objects import OpenedObject, ServedObject
from brew_assets.errors import ObjectRefused

_NO_OBJECT = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class ServedFiles:
    """The files below one folder, each opened anew for every request."""

    redirects = False

    def __init__(self, root: Path) -> None:
        self._files = RootedFiles(root.absolute())

    def open(self, key: str, *, most_bytes: int) -> OpenedObject | None:
        """The file under the key, None when there is none.

        Raises:
            ObjectRefused: it is no regular file, or larger than `most_bytes`.
            StoreError: another of its classes: a folder on the way is a link, the disk fails.
        """
        path, name = place_of(key)
        with our_errors(key):
            try:
                with self._files.folder(path) as folder:
                    descriptor = open_regular(folder, name, key)
            except _NO_OBJECT:
                return None
            # Unbuffered: pieces are as large as the reader asks for, and a seek reads nothing.
            body = cast(BinaryIO, os.fdopen(descriptor, "rb", buffering=0))
            facts = os.fstat(descriptor)
        if facts.st_size > most_bytes:
            body.close()
            raise ObjectRefused(f"{key}: expected at most {most_bytes:,} bytes, found {facts.st_size:,}")
        return OpenedObject(
            size=facts.st_size, modified=datetime.fromtimestamp(facts.st_mtime, UTC), body=body
        )

    def facts(self, key: str) -> ServedObject | None:
        """Size and time of the file, None when there is none.

        Raises:
            StoreError: as of `open`.
        """
        opened = self.open(key, most_bytes=2**63)
        if opened is None:
            return None
        opened.body.close()
        return ServedObject(size=opened.size, modified=opened.modified)

    def kept_address(self, key: str, *, filename: str = "") -> str | None:
        """None: files are sent from here."""
        return None

    def address(self, key: str, *, filename: str = "") -> str:
        """None is made: files are sent from here.

        Raises:
            ObjectRefused: always.
        """
        raise ObjectRefused(f"{key}: a directory has no addresses")
