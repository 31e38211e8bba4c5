"""Files on their way into a directory store: in `.incoming/`, each locked by its writer.

Whoever removes leftovers of killed writers holds `.lock`, and so does everybody who compares and swaps.
"""

import contextlib
import fcntl
import io
import logging
import os
import re
import secrets
from collections.abc import Iterator

from brew_assets.adapters.directory_store import file_calls
from brew_assets.adapters.directory_store.file_calls import our_errors
from brew_assets.adapters.directory_store.rooted_files import (
    INCOMING,
    LOCK,
    RootedFiles,
    kind_at,
    open_regular,
    place_of,
    refuse_other_kinds,
)
from brew_assets.engine.waiting import try_failed
from brew_assets.errors import KeyTaken, MirrorError

_NAME_BYTES = 12
_NAME = re.compile(rf"[0-9a-f]{{{2 * _NAME_BYTES}}}")
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def locked(files: RootedFiles, root: int, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """The lock of the store in the opened root is held while the block lasts; `how` as of flock.

    Another process that holds it is waited for.

    Raises:
        StoreError: the file system has no locks, or what stands in the lock's place is no file.
    """
    with our_errors(LOCK):
        descriptor = files.open_lock(root)
    try:
        with our_errors(LOCK):
            try:
                file_calls.lock(files.calls, descriptor, how | fcntl.LOCK_NB, place=str(files))
            except BlockingIOError:
                try_failed(f"another process holds {LOCK}", next_try_in_s=None)
                file_calls.lock(files.calls, descriptor, how, place=str(files))
        yield
    finally:
        os.close(descriptor)


class IncomingFile:
    """A file in `.incoming/`, locked while its writer lives, that will stand under the key."""

    def __init__(self, files: RootedFiles, key: str) -> None:
        self._files = files
        self._key = key
        self._folder, self._target = place_of(key)
        self._name = secrets.token_hex(_NAME_BYTES)
        with (
            our_errors(key),
            files.folder(make=True) as root,
            self._incoming(root) as incoming,
            # Whoever removes leftovers holds this lock: a new file is never seen without its own.
            locked(files, root, fcntl.LOCK_SH),
        ):
            descriptor = os.open(self._name, _NEW, 0o666, dir_fd=incoming)
            self.file = io.FileIO(descriptor, "r+b")
            try:
                file_calls.lock(files.calls, descriptor, fcntl.LOCK_EX, place=str(files))
            except (OSError, MirrorError):
                self.discard()
                raise

    def _incoming(self, root: int) -> "contextlib.AbstractContextManager[int]":
        return self._files.below(root, INCOMING, way=f"{INCOMING}/", make=True)

    def __enter__(self) -> "IncomingFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def write(self, view: memoryview) -> None:
        """The bytes follow those that were written before.

        Raises:
            StoreError: the disk is full, or fails.
        """
        with our_errors(self._key):
            while view:
                view = view[self.file.write(view) or 0 :]

    @contextlib.contextmanager
    def _on_the_way(self) -> Iterator[tuple[int, int, int]]:
        """The file is on disk; the root, `.incoming/` and the folder of the target, opened."""
        with our_errors(self._key):
            file_calls.sync(self._files.calls, self.file.fileno())
            with (
                self._files.folder() as root,
                self._incoming(root) as incoming,
                self._files.folder(self._folder, make=True) as folder,
            ):
                yield root, incoming, folder
                file_calls.sync_folder(self._files.calls, folder)
        self.discard()

    def link(self) -> None:
        """The file stands under its key, whole and on disk; create-only.

        Raises:
            KeyTaken: a file stands there already.
            ObjectRefused: something else does.
        """
        with self._on_the_way() as (root, incoming, folder):
            try:
                linked = file_calls.link(
                    self._files.calls, self._name, self._target, folder=incoming, target_folder=folder
                )
            except FileExistsError as exc:
                refuse_other_kinds(folder, self._target, self._key)
                raise KeyTaken(self._key) from exc
            if not linked:
                # Where nobody makes a name by a link, nobody makes one while this lock is held.
                self._rename_exclusively(root, incoming, folder)

    def _rename_exclusively(self, root: int, incoming: int, folder: int) -> None:
        with locked(self._files, root):
            try:
                os.stat(self._target, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                self._rename(incoming, folder)
            else:
                refuse_other_kinds(folder, self._target, self._key)
                raise KeyTaken(self._key)

    def replace(self) -> None:
        """The file stands under its key, whole and on disk, in the place of the file that was there.

        Raises:
            ObjectRefused: what stands there is no file.
        """
        with self._on_the_way() as (_, incoming, folder):
            refuse_other_kinds(folder, self._target, self._key)
            self._rename(incoming, folder)

    def _rename(self, incoming: int, folder: int) -> None:
        self._files.calls.replace(self._name, self._target, folder=incoming, target_folder=folder)

    def discard(self) -> None:
        """The file in `.incoming/` is gone; never raises."""
        if self.file.closed:
            return
        with contextlib.suppress(OSError, MirrorError), self._files.folder(INCOMING) as incoming:
            os.unlink(self._name, dir_fd=incoming)
        with contextlib.suppress(OSError):
            self.file.close()


def remove_leftovers(files: RootedFiles) -> None:
    """Incoming files whose writers are gone are gone; what is none of ours stays and is named in the log.

    Raises:
        StoreError: the folder cannot be made, locked or read. A file that cannot be removed stays.
    """
    with (
        files.folder(make=True) as root,
        our_errors(f"{INCOMING}/"),
        files.below(root, INCOMING, way=f"{INCOMING}/", make=True) as incoming,
        locked(files, root),
    ):
        for name in sorted(os.listdir(incoming)):
            key = f"{INCOMING}/{name}"
            if found := kind_at(incoming, name) or ("" if _NAME.fullmatch(name) else "a name of others"):
                files.leave(key, found)
                continue
            try:
                _remove_unless_locked(files, incoming, name, key)
            except (OSError, MirrorError) as exc:
                # It takes room and hinders nobody.
                files.leave(key, f"a file that cannot be removed: {exc}")


def _remove_unless_locked(files: RootedFiles, incoming: int, name: str, key: str) -> None:
    """Removes an incoming file whose writer is gone."""
    with contextlib.suppress(FileNotFoundError, BlockingIOError):
        # For writing: a network file system locks exclusively for nobody else.
        descriptor = open_regular(incoming, name, key, os.O_RDWR)
        try:
            files.calls.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(name, dir_fd=incoming)
        finally:
            os.close(descriptor)
