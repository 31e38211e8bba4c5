"""The store in a directory.

Incoming files live in `.incoming/`, each locked by its writer, are synced to disk and linked into place
under their name: create-only, whole or not at all. A `flock` on `.lock` makes compare-and-swap atomic
between processes of one machine. No link below the root is followed, and nothing but regular files is read.
"""

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from brew_assets.adapters.directory_store.file_calls import FileCalls, link, our_errors, sync_folder
from brew_assets.adapters.directory_store.incoming_files import IncomingFile, locked, remove_leftovers
from brew_assets.adapters.directory_store.rooted_files import RootedFiles, place_of, refuse_other_kinds
from brew_assets.domain.bottle import Bottle
from brew_assets.domain.foreign_text import printable_name
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.engine.ports import MAX_DOCUMENT_BYTES, Document, ListedObject, ObjectFacts
from brew_assets.errors import (
    DigestMismatch,
    KeyTaken,
    ObjectRefused,
    PreconditionFailed,
    StoreError,
    StoreRefused,
)

_HASH_BYTES = 1024 * 1024
_TAIL_BYTES = 256
# A folder, or a path below a file: nothing stands under such a key.
_NO_OBJECT = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class DirectoryStore:
    """A directory as the object store; `root` is created when the store is prepared. It may be a link."""

    def __init__(self, root: Path, calls: FileCalls | None = None) -> None:
        """`calls` are those of the operating system where none are given."""
        self._root = root.absolute()
        self._files = RootedFiles(self._root, calls)
        self.url = printable_name(f"{self._root}/")

    def prepare(self) -> None:
        """The directory can be written to; incoming files of killed runs are gone.

        Raises:
            StoreRefused: it cannot be made or written to, or what the mirror keeps there is a link.
        """
        try:
            with our_errors(self.url), self._files.folder(make=True):
                pass
        except ObjectRefused as exc:
            on_the_way = isinstance(exc.__cause__, NotADirectoryError | FileExistsError)
            found = "a link that leads to no folder" if self._root.is_symlink() else "a file on the way"
            text = f"{self.url}: expected a directory, found {found}" if on_the_way else str(exc)
            raise StoreRefused(text) from exc
        try:
            with our_errors(self.url):
                self._files.date_folders()
                remove_leftovers(self._files)
        except ObjectRefused as exc:
            raise StoreRefused(str(exc)) from exc

    def interrupt(self) -> None:
        """Nothing waits for anybody here."""

    def close(self) -> None:
        """Nothing to close."""

    def read(self, key: str) -> Document | None:
        """The object, None when there is none; its version is what `write` takes as `replaces`.

        Raises:
            ObjectRefused: something else than a regular file stands there, or the manifest is a folder, or it
                has more than MAX_DOCUMENT_BYTES.
            StoreRefused: a folder on the way is a link.
            StoreError: another of its classes: the disk fails, there is no permission.
        """
        with our_errors(key):
            try:
                with self._files.open_file(key) as file:
                    return Document(_whole(file, key), _version(file.fileno()))
            except IsADirectoryError as exc:
                if key == MANIFEST_KEY:
                    # A mirror without a manifest would get a new one.
                    raise ObjectRefused(
                        f"{key}: expected a file or nothing, found a folder. Move it away; the next sync "
                        "makes the manifest anew"
                    ) from exc
                return None
            except _NO_OBJECT:
                return None

    def exists(self, key: str) -> bool:
        """Whether a file stands there."""
        return self.version(key) is not None

    def version(self, key: str) -> str | None:
        """What changes with every write, None when there is no file."""
        with our_errors(key):
            try:
                with self._files.open_file(key) as file:
                    return _version(file.fileno())
            except _NO_OBJECT:
                return None

    def write(self, key: str, data: bytes, *, create_only: bool = False, replaces: str | None = None) -> str:
        """The new version, once it is on disk.

        Raises:
            KeyTaken: create_only, and there is an object.
            PreconditionFailed: another version stands there than `replaces`, or none.
            ObjectRefused: something else than a regular file stands there.
            StoreError: another of its classes: the disk is full, there is no permission.
        """
        with IncomingFile(self._files, key) as incoming:
            incoming.write(memoryview(data))
            version = _version(incoming.file.fileno())
            if create_only:
                incoming.link()
                return version
            with our_errors(key), self._files.folder() as root, locked(self._files, root):
                if replaces is not None and self.version(key) != replaces:
                    raise PreconditionFailed(key)
                incoming.replace()
        return version

    def delete(self, keys: Iterable[str]) -> None:
        """There is no object under any of the keys.

        Raises:
            StoreError: one cannot be deleted; those before it are gone.
        """
        for key in keys:
            path, name = place_of(key)
            with our_errors(key):
                try:
                    with self._files.folder(path) as folder:
                        os.unlink(name, dir_fd=folder)
                except (FileNotFoundError, NotADirectoryError):
                    continue

    def listing(self, prefix: str) -> Iterator[ListedObject]:
        """Every object whose key begins so, whole or an error; files that vanish meanwhile are left out.

        Raises:
            StoreError: a folder cannot be read, or one of the mirror's is a link.
        """
        path, _, start = prefix.rpartition("/")
        if path:
            place_of(path)
        with our_errors(prefix or self.url):
            yield from self._files.listing(path, start)

    def date_folders(self) -> list[str]:
        """The date folders (YYYY-MM-DD), newest first.

        Raises:
            StoreRefused: one of them, or another folder of the mirror, is a link.
            StoreError: the root cannot be read.
        """
        with our_errors(self.url):
            return self._files.date_folders()

    def facts(self, key: str) -> ObjectFacts | None:
        """Size in bytes and digest of the file, read back: a directory vouches for nothing. None if missing.

        Raises:
            StoreError: it cannot be read, or is no regular file.
        """
        return self.hash(key)

    def hash(self, key: str) -> ObjectFacts | None:
        """The same as `facts`.

        Raises:
            StoreError: it cannot be read, or is no regular file.
        """
        with our_errors(key):
            try:
                with self._files.open_file(key) as file:
                    return _facts_of(file, key)
            except _NO_OBJECT:
                return None

    def peek(self, key: str, length: int) -> bytes:
        """The first `length` bytes of a file, fewer where it is shorter.

        Raises:
            StoreError: it is missing, cannot be read, or is no regular file.
        """
        with our_errors(key), self._files.open_file(key) as file:
            return io.BufferedReader(file).read(length)

    def check_size(self, bottle: Bottle, size: int) -> None:
        """Returns: a file may be as large as the disk."""

    def receive(self, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> "DirectorySink":
        """A sink for the bottle's `size` bytes.

        Raises:
            ObjectRefused: where it or its folder should be something else stands.
            StoreError: another of its classes: the incoming file cannot be made.
        """
        key = bottle.key(date)
        with our_errors(key):
            try:
                with self._files.folder(date) as folder:
                    refuse_other_kinds(folder, bottle.filename, key)
            except FileNotFoundError:
                pass  # it is made when the first bottle is whole
        return DirectorySink(IncomingFile(self._files, key), key, size=size, replace=replace)

    def duplicate(self, source: str, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> None:
        """The bottle stands under its own key too: a hard link, or a copy where links fail.

        Raises:
            KeyTaken: another object stands there.
            StoreError: the object at `source` is missing, or is not the bottle of that size and digest.
        """
        key = bottle.key(date)
        with our_errors(source):
            try:
                with self._files.open_file(source) as file:
                    _check_bytes(_facts_of(file, source), bottle, size)
                    self._duplicate(file, source, key, replace=replace)
            except _NO_OBJECT as exc:
                message = f"{source}: expected the bytes of {bottle.filename}, found nothing"
                raise StoreError(message) from exc

    def _duplicate(self, file: io.FileIO, source: str, key: str, *, replace: bool) -> None:
        with our_errors(key):
            if not replace and self._linked(file, source, key):
                return
        file.seek(0)
        with IncomingFile(self._files, key) as incoming:
            buffer = memoryview(bytearray(_HASH_BYTES))
            while count := file.readinto(buffer):
                incoming.write(buffer[:count])
            if replace:
                incoming.replace()
            else:
                incoming.link()

    def _linked(self, file: io.FileIO, source: str, key: str) -> bool:
        """Whether the key now is another name of the opened source; False where links do not work."""
        (path, name), (target_path, target) = place_of(source), place_of(key)
        with (
            self._files.folder(path) as folder,
            self._files.folder(target_path, make=True) as target_folder,
        ):
            try:
                if not link(self._files.calls, name, target, folder=folder, target_folder=target_folder):
                    return False
            except FileExistsError as exc:
                refuse_other_kinds(target_folder, target, key)
                raise KeyTaken(key) from exc
            linked = os.stat(target, dir_fd=target_folder, follow_symlinks=False)
            if not os.path.samestat(linked, os.fstat(file.fileno())):
                os.unlink(target, dir_fd=target_folder)
                raise StoreError(f"{source}: changed while another name of it was made")
            sync_folder(self._files.calls, target_folder)
        return True


def _whole(file: io.FileIO, key: str) -> bytes:
    size, data = os.fstat(file.fileno()).st_size, io.BytesIO()
    # Not by the size alone: somebody may write on.
    while size <= MAX_DOCUMENT_BYTES and (piece := file.read(_HASH_BYTES)):
        data.write(piece)
        size = max(size, data.tell())
    if size > MAX_DOCUMENT_BYTES:
        raise ObjectRefused(f"{key}: expected at most {MAX_DOCUMENT_BYTES:,} bytes, found {size:,}")
    return data.getvalue()


def _check_bytes(found: ObjectFacts, bottle: Bottle, size: int) -> None:
    """Returns when they are the bottle's; else a StoreError, so that the name is fetched from upstream."""
    if found.digest != bottle.digest or found.size != size:
        raise StoreError(
            str(DigestMismatch(subject=found.key, expected=bottle.digest, actual=found.digest or ""))
        )


def _facts_of(file: io.FileIO, key: str) -> ObjectFacts:
    digest, size = hashlib.sha256(), 0
    buffer = memoryview(bytearray(_HASH_BYTES))
    while count := file.readinto(buffer):
        digest.update(buffer[:count])
        size += count
    return ObjectFacts(key=key, size=size, digest=digest.hexdigest())


def _version(descriptor: int) -> str:
    """What changes with every write: each makes a new file, an edit in place changes its time.

    An inode may be used again at once, so the end of the content counts too: a manifest ends in its digest.
    """
    stat = os.fstat(descriptor)
    tail = os.pread(descriptor, _TAIL_BYTES, max(0, stat.st_size - _TAIL_BYTES))
    return f"{stat.st_ino}-{stat.st_mtime_ns}-{stat.st_size}-{hashlib.sha256(tail).hexdigest()}"


class DirectorySink:
    """One bottle on its way into the directory."""

    def __init__(self, incoming: IncomingFile, key: str, *, size: int, replace: bool) -> None:
        self._incoming = incoming
        self._key = key
        self._left = size
        self._replace = replace

    def write(self, view: memoryview) -> None:
        """Passes the bytes on to the incoming file.

        Raises:
            StoreError: the disk is full, or fails.
        """
        self._incoming.write(view)
        self._left -= len(view)

    def commit(self) -> None:
        """The bottle stands under its key, on disk.

        Raises:
            KeyTaken: another object stands there.
            StoreError: fewer or more bytes came than were announced, or the disk fails.
        """
        if self._left:
            name = self._key.rpartition("/")[2]
            raise StoreError(f"{name}: {self._left} bytes short of what was announced")
        if self._replace:
            self._incoming.replace()
        else:
            self._incoming.link()

    def abort(self) -> None:
        """Nothing stands under the key; never raises."""
        self._incoming.discard()
