"""The store in a directory.

Incoming files live in `.incoming/`, each locked by its writer, are synced to disk and linked into place
under their name: create-only, whole or not at all. A `flock` on `.lock` makes compare-and-swap atomic
between processes of one machine.
"""

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from brew_assets.adapters.file_errors import file_error
from brew_assets.domain.bottle import Bottle, is_object_key
from brew_assets.engine.ports import Document, ListedObject, ObjectFacts
from brew_assets.errors import (
    DigestMismatch,
    KeyTaken,
    ObjectRefused,
    PreconditionFailed,
    StoreError,
    StoreRefused,
)

_INCOMING = ".incoming"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_HASH_BYTES = 1024 * 1024
_TAIL_BYTES = 256

_log = logging.getLogger(__name__)


class DirectoryStore:
    """A directory as the object store; `root` is created when the store is prepared."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._incoming = self._root / _INCOMING
        self.url = f"{self._root}/"

    def _path(self, key: str) -> Path:
        if not is_object_key(key):
            raise StoreError(f"expected a relative key, found {key[:200]!r}")
        return self._root / key

    def prepare(self) -> None:
        """The directory can be written to; incoming files of killed runs are gone.

        Raises:
            StoreRefused: it cannot be made or written to.
        """
        try:
            with _our_errors(self.url):
                self._incoming.mkdir(parents=True, exist_ok=True)
        except ObjectRefused as exc:
            on_the_way = isinstance(exc.__cause__, NotADirectoryError | FileExistsError)
            found = f"{self.url}: expected a directory, found a file on the way" if on_the_way else str(exc)
            raise StoreRefused(found) from exc
        with self._lock(), _our_errors(self.url):
            for leftover in self._incoming.iterdir():
                try:
                    _remove_unless_locked(leftover)
                except OSError as exc:
                    # It takes room and hinders nobody.
                    _log.warning("not removed", extra={"key": str(leftover), "error": str(exc)})

    def interrupt(self) -> None:
        """Nothing waits for anybody here."""

    def close(self) -> None:
        """Nothing to close."""

    def read(self, key: str) -> Document | None:
        """The object, None when there is none."""
        with _our_errors(key):
            try:
                with self._path(key).open("rb", buffering=0) as file:
                    return Document(file.read(), _version(file.fileno()))
            except _NO_OBJECT:
                return None

    def write(self, key: str, data: bytes, *, create_only: bool = False, replaces: str | None = None) -> str:
        """The new version, once it is on disk.

        Raises:
            KeyTaken: create_only, and there is an object.
            PreconditionFailed: another version stands there than `replaces`, or none.
        """
        with _Incoming(self._incoming, key) as incoming:
            incoming.write(memoryview(data))
            version = _version(incoming.file.fileno())
            if create_only:
                incoming.link_to(self._path(key))
            else:
                with self._lock():
                    if replaces is not None and self._version_of(key) != replaces:
                        raise PreconditionFailed(key)
                    incoming.move_to(self._path(key))
        return version

    def _version_of(self, key: str) -> str | None:
        with _our_errors(key):
            try:
                with self._path(key).open("rb", buffering=0) as file:
                    return _version(file.fileno())
            except _NO_OBJECT:
                return None

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            with _our_errors(".lock"):
                lock = stack.enter_context((self._root / ".lock").open("ab"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def delete(self, keys: Iterable[str]) -> None:
        """There is no object under any of the keys."""
        for key in keys:
            path = self._path(key)
            with _our_errors(key):
                path.unlink(missing_ok=True)

    def listing(self, prefix: str) -> Iterator[ListedObject]:
        """Every object whose key begins so, whole or an error; files that vanish meanwhile are left out."""
        folder, _, start = prefix.rpartition("/")
        with _our_errors(prefix):
            top = self._path(folder) if folder else self._root
            yield from self._walk(top, f"{folder}/" if folder else "", start)

    def _walk(self, folder: Path, key: str, start: str) -> Iterator[ListedObject]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            if not entry.name.startswith(start) or (not key and entry.name.startswith(".")):
                continue
            if entry.is_dir(follow_symlinks=False):
                # No bottle stands deeper than in its date folder, whatever somebody keeps there.
                if _DATE.fullmatch(key[:-1]) is None:
                    yield from self._walk(Path(entry.path), f"{key}{entry.name}/", "")
            elif (size := _size(entry)) is not None:
                yield ListedObject(f"{key}{entry.name}", size)

    def date_folders(self) -> list[str]:
        """The date folders (YYYY-MM-DD), newest first."""
        with _our_errors(self.url):
            try:
                names = [entry.name for entry in os.scandir(self._root) if _is_folder(entry)]
            except FileNotFoundError:
                return []
        return sorted((name for name in names if _DATE.fullmatch(name)), reverse=True)

    def facts(self, key: str) -> ObjectFacts | None:
        """Size and digest of the file, read back. None if missing."""
        return self.hash(key)

    def hash(self, key: str) -> ObjectFacts | None:
        """Size and digest of the file, read back. None if missing."""
        digest, size = hashlib.sha256(), 0
        with _our_errors(key):
            try:
                with self._path(key).open("rb", buffering=0) as file:
                    buffer = memoryview(bytearray(_HASH_BYTES))
                    while count := file.readinto(buffer):
                        digest.update(buffer[:count])
                        size += count
            except _NO_OBJECT:
                return None
        return ObjectFacts(key=key, size=size, digest=digest.hexdigest())

    def peek(self, key: str, length: int) -> bytes:
        """The first bytes of a file."""
        with _our_errors(key), self._path(key).open("rb") as file:
            return file.read(length)

    def receive(self, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> "DirectorySink":
        """A sink for the bottle's bytes."""
        key = bottle.key(date)
        return DirectorySink(_Incoming(self._incoming, key), self._path(key), size=size, replace=replace)

    def duplicate(self, source: str, bottle: Bottle, *, date: str, size: int, replace: bool = False) -> None:
        """The bottle stands under its own key too: a hard link, or a copy where links fail.

        Raises:
            KeyTaken: another object stands there.
            DigestMismatch: the object at `source` is not the bottle.
            StoreError: it is missing.
        """
        key = bottle.key(date)
        found = self.hash(source)
        if found is None:
            raise StoreError(f"{source}: expected the bytes of {bottle.filename}, found nothing")
        if found.digest != bottle.digest or found.size != size:
            # A StoreError, so that the name is fetched from upstream instead.
            raise StoreError(
                str(DigestMismatch(subject=source, expected=bottle.digest, actual=found.digest or ""))
            )
        path, target = self._path(source), self._path(key)
        with _our_errors(key):
            if not replace and _linked(path, target):
                return
        with _Incoming(self._incoming, key) as incoming:
            with _our_errors(source), path.open("rb") as file:
                shutil.copyfileobj(file, incoming.file, _HASH_BYTES)
            incoming.move_to(target) if replace else incoming.link_to(target)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether it leads to a folder; a link that leads nowhere does not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _size(entry: "os.DirEntry[str]") -> int | None:
    """The size of a file, None of one that has vanished; of a link that leads nowhere its own."""
    try:
        return entry.stat().st_size
    except FileNotFoundError:
        return None
    except OSError:
        return entry.stat(follow_symlinks=False).st_size


def _linked(source: Path, target: Path) -> bool:
    """Whether the target now is another name of the source; False where links do not work."""
    _make_folder(target.parent)
    try:
        os.link(source, target)
    except FileExistsError as exc:
        raise KeyTaken(f"{target.parent.name}/{target.name}") from exc
    except OSError as exc:
        if exc.errno in (errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP):
            return False
        raise
    _sync_folder(target.parent)
    return True


def _version(descriptor: int) -> str:
    """What changes with every write: each makes a new file, an edit in place changes its time.

    An inode may be used again at once, so the end of the content counts too: a manifest ends in its digest.
    """
    stat = os.fstat(descriptor)
    tail = os.pread(descriptor, _TAIL_BYTES, max(0, stat.st_size - _TAIL_BYTES))
    return f"{stat.st_ino}-{stat.st_mtime_ns}-{stat.st_size}-{hashlib.sha256(tail).hexdigest()}"


class _Incoming:
    """A file in `.incoming/`, locked while its writer lives."""

    def __init__(self, folder: Path, key: str) -> None:
        self._key = key
        self._path = folder / secrets.token_hex(12)
        with _our_errors(key):
            folder.mkdir(parents=True, exist_ok=True)
            # Whoever removes leftovers holds this lock: a new file is never seen without its own.
            with (folder.parent / ".lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH)
                self.file = self._path.open("x+b", buffering=0)
                fcntl.flock(self.file, fcntl.LOCK_EX)

    def __enter__(self) -> "_Incoming":
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def write(self, view: memoryview) -> None:
        with _our_errors(self._key):
            while view:
                view = view[self.file.write(view) :]

    def link_to(self, target: Path) -> None:
        """The file stands at the target, whole and on disk; create-only."""
        with _our_errors(self._key):
            os.fsync(self.file.fileno())
            _make_folder(target.parent)
            try:
                os.link(self._path, target)
            except FileExistsError as exc:
                raise KeyTaken(self._key) from exc
            except OSError as exc:
                if exc.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP):
                    raise
                # A file system without links: an exclusive empty file takes the name, the rename fills it.
                self._rename_exclusively(target)
            _sync_folder(target.parent)
        self.discard()

    def _rename_exclusively(self, target: Path) -> None:
        with (self._path.parent.parent / ".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if target.exists():
                raise KeyTaken(self._key)
            os.replace(self._path, target)

    def move_to(self, target: Path) -> None:
        """The file stands at the target, whole and on disk, in the place of what was there."""
        with _our_errors(self._key):
            os.fsync(self.file.fileno())
            _make_folder(target.parent)
            os.replace(self._path, target)
            _sync_folder(target.parent)
        self.discard()

    def discard(self) -> None:
        """The file in `.incoming/` is gone; never raises."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.file.close()


class DirectorySink:
    """One bottle on its way into the directory."""

    def __init__(self, incoming: _Incoming, target: Path, *, size: int, replace: bool) -> None:
        self._incoming = incoming
        self._target = target
        self._left = size
        self._replace = replace

    def write(self, view: memoryview) -> None:
        """Passes the bytes on to the incoming file."""
        self._incoming.write(view)
        self._left -= len(view)

    def commit(self) -> None:
        """The bottle stands under its key, on disk.

        Raises:
            KeyTaken: another object stands there.
        """
        if self._left:
            raise StoreError(f"{self._target.name}: {self._left} bytes short of what was announced")
        if self._replace:
            self._incoming.move_to(self._target)
        else:
            self._incoming.link_to(self._target)

    def abort(self) -> None:
        """Nothing stands under the key."""
        self._incoming.discard()


def _remove_unless_locked(path: Path) -> None:
    """Removes an incoming file whose writer is gone."""
    with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    """The folder exists, and its name is on disk."""
    if folder.is_dir():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as exc:
        raise NotADirectoryError(
            errno.ENOTDIR, f"something else stands where the folder {folder.name}/ should be"
        ) from exc
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        # Some network file systems sync no folders; what they promise for files is all there is.
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    finally:
        os.close(descriptor)


# A folder, or a path below a file: nothing stands under such a key.
_NO_OBJECT = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


@contextlib.contextmanager
def _our_errors(subject: str) -> Iterator[None]:
    """The operating system's errors as ours, naming what they happened to."""
    try:
        yield
    except OSError as exc:
        raise file_error(subject, exc) from exc
