"""The files below one folder, opened by descriptors: nothing outside it is ever reached.

A path that is checked first and opened afterwards may lead elsewhere by then. So every part of a key is
opened below the one before it and follows no link (`O_NOFOLLOW`, `dir_fd`); the root alone may be a link.
Only regular files are read, and no open waits for anybody (`O_NONBLOCK`), as that of a FIFO would.
Descriptors live as long as one call, a listing's as long as it goes on: at most MOST_NESTED and two.
"""

import contextlib
import errno
import io
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from brew_assets.adapters.directory_store.file_calls import FileCalls, sync_folder
from brew_assets.domain.bottle import parse_filename
from brew_assets.domain.foreign_text import printable_name
from brew_assets.domain.object_keys import is_date, is_object_key
from brew_assets.engine.ports import ListedObject
from brew_assets.errors import ObjectRefused, StoreError, StoreRefused

INCOMING = ".incoming"
LOCK = ".lock"
# Folders in folders that a listing enters. The deepest key of a mirror, an index's, has eight.
MOST_NESTED = 16
# Of entries that are left alone so many are named.
_MOST_NAMED = 100
_MIRRORS_OWN = (INCOMING, LOCK, "state", "backups")
_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MOVE_IT = "move the real folder there, or make the whole mirror a link or a bind mount"
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
)

_log = logging.getLogger(__name__)


def place_of(key: str) -> tuple[str, str]:
    """The folder and the name of a key.

    Raises:
        StoreError: it is no key of this store.
    """
    if not is_object_key(key):
        raise StoreError(f"expected a relative key, found {key[:200]!r}")
    folder, _, name = key.rpartition("/")
    return folder, name


class RootedFiles:
    """The folder at `root` and what is below it. Used by several threads and processes at once."""

    def __init__(self, root: Path, calls: FileCalls | None = None) -> None:
        self._root = root
        self.calls = calls or FileCalls()
        self._named: set[str] = set()

    @contextlib.contextmanager
    def folder(self, path: str = "", *, make: bool = False) -> Iterator[int]:
        """A descriptor of the folder while the block lasts; "" is the root.

        Raises:
            FileNotFoundError: it is missing, and not to be made.
            NotADirectoryError: something else stands there.
            StoreRefused: a link stands there, or on the way.
        """
        descriptor = self._open_root(make=make)
        try:
            way = ""
            for name in path.split("/") if path else ():
                way += f"{name}/"
                below = self._open_below(descriptor, name, way, make=make)
                descriptor, above = below, descriptor
                os.close(above)
            yield descriptor
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def below(self, folder: int, name: str, *, way: str, make: bool = False) -> Iterator[int]:
        """The same for a folder in an opened one; errors call it `way`.

        Raises:
            FileNotFoundError, NotADirectoryError, StoreRefused: as of `folder`.
        """
        descriptor = self._open_below(folder, name, way, make=make)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _open_root(self, *, make: bool) -> int:
        try:
            return os.open(self._root, _FOLDER)
        except FileNotFoundError:
            if not make:
                raise
        self._root.mkdir(parents=True, exist_ok=True)
        return os.open(self._root, _FOLDER)

    def _open_below(self, folder: int, name: str, way: str, *, make: bool) -> int:
        try:
            return os.open(name, _FOLDER | _SAFE, dir_fd=folder)
        except FileNotFoundError:
            if not make:
                raise
        except OSError as exc:
            found = kind_at(folder, name)
            if found == "a symbolic link":
                raise self._refused(way, "a folder of the mirror", found, _MOVE_IT) from exc
            if isinstance(exc, NotADirectoryError):
                there = f"something else stands where the folder {name}/ should be ({found or 'a file'})"
                text = f"{there}; move it away, the mirror makes its own"
                raise NotADirectoryError(errno.ENOTDIR, text) from exc
            raise
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=folder)
            sync_folder(self.calls, folder)
        return self._open_below(folder, name, way, make=False)

    def _refused(self, way: str, expected: str, found: str, remedy: str) -> StoreRefused:
        where = printable_name(f"{self._root}/{way}")
        return StoreRefused(f"{where}: expected {expected}, found {found}; {remedy}")

    def open_lock(self, root: int) -> int:
        """A descriptor of `.lock` in the opened root, which is made where it is missing.

        Raises:
            StoreRefused: something else than a regular file stands there.
        """
        try:
            # For reading too: a network file system's shared lock needs that.
            descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | _SAFE, 0o666, dir_fd=root)
        except OSError as exc:
            if found := kind_at(root, LOCK):
                raise self._no_lock(found) from exc
            raise
        if found := _kind(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise self._no_lock(found)
        return descriptor

    def _no_lock(self, found: str) -> StoreRefused:
        return self._refused(LOCK, "a regular file", found, "move it away, the mirror makes its own")

    @contextlib.contextmanager
    def open_file(self, key: str) -> Iterator[io.FileIO]:
        """The regular file under the key, for reading, while the block lasts.

        Raises:
            FileNotFoundError, NotADirectoryError: there is none.
            IsADirectoryError: a folder stands there.
            ObjectRefused: something else stands there.
            StoreRefused: a folder on the way is a link.
        """
        path, name = place_of(key)
        with self.folder(path) as folder:
            descriptor = open_regular(folder, name, key)
        with io.FileIO(descriptor, "rb") as file:
            yield file

    def listing(self, path: str, start: str) -> Iterator[ListedObject]:
        """Every object in the folder and below it, whole or an error; of its own entries those that start so.

        Of a date folder all entries but folders, as somebody has to say what they are. Elsewhere what is no
        regular file is left alone and named in the log, and so is what has a name that no key has; in a date
        folder the latter is listed under its printable name, which is that of no bottle. Sizes are in bytes.

        Raises:
            OSError: a folder cannot be read.
            StoreRefused: a folder of the mirror is a link.
        """
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(self.folder(path))
            except (FileNotFoundError, NotADirectoryError):
                return
            yield from self._walk(folder, f"{path}/" if path else "", start)

    def _walk(self, folder: int, way: str, start: str) -> Iterator[ListedObject]:
        # An entry that is passed over without a word would be a bottle fetched again in every sync. So in a
        # date folder everything but folders is listed, whatever it is, for `identify` to say what is wrong
        # with it; a folder with a bottle's name is named, and one with another name may be somebody's own.
        # Elsewhere only regular files are objects. Links are never followed (ADR 0029), and what vanishes
        # during the walk was deleted by another writer.
        in_date = is_date(way[:-1])
        for entry in self._entries(folder, way):
            key = f"{way}{entry.name}"
            if not entry.name.startswith(start) or (not way and entry.name.startswith(".")):
                continue
            if not in_date and not is_object_key(key):
                self.leave(key, "a name that no object has")
            elif entry.is_dir(follow_symlinks=False):
                # No bottle stands deeper than in its date folder, whatever somebody keeps there.
                if not in_date:
                    yield from self._walk_below(folder, entry.name, f"{key}/")
                elif parse_filename(entry.name) is not None:
                    self.leave(key, "a folder")
            else:
                with contextlib.suppress(FileNotFoundError):
                    facts = entry.stat(follow_symlinks=False)
                    if in_date or stat.S_ISREG(facts.st_mode):
                        yield ListedObject(printable_name(key), facts.st_size)
                    else:
                        self.leave(key, _kind(facts.st_mode))

    def _walk_below(self, folder: int, name: str, way: str) -> Iterator[ListedObject]:
        if way.count("/") > MOST_NESTED:
            self.leave(way, f"folders nested deeper than {MOST_NESTED}")
            return
        with contextlib.ExitStack() as stack:
            try:
                below = stack.enter_context(self.below(folder, name, way=way))
            except (FileNotFoundError, NotADirectoryError):
                return
            yield from self._walk(below, way, "")

    def _entries(self, folder: int, way: str) -> "list[os.DirEntry[str]]":
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        if not way:
            self._refuse_links(found)
        return found

    def _refuse_links(self, entries: "list[os.DirEntry[str]]") -> None:
        """Returns when none of the mirror's own entries in its root is a link."""
        for entry in entries:
            if (entry.name in _MIRRORS_OWN or is_date(entry.name)) and entry.is_symlink():
                if entry.name == LOCK:
                    raise self._no_lock("a symbolic link")
                found = "a symbolic link"
                raise self._refused(f"{entry.name}/", "a folder of the mirror", found, _MOVE_IT)

    def date_folders(self) -> list[str]:
        """The date folders, newest first; none where there is no root.

        Raises:
            StoreRefused: one of them, or another folder of the mirror, is a link.
        """
        try:
            with self.folder() as root:
                entries = self._entries(root, "")
                dates = [entry for entry in entries if is_date(entry.name)]
                folders = [entry.name for entry in dates if entry.is_dir(follow_symlinks=False)]
                for name in {entry.name for entry in dates}.difference(folders):
                    self.leave(name, kind_at(root, name) or "a file")
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(folders, reverse=True)

    def leave(self, key: str, found: str) -> None:
        """The entry is named in the log, once, as one that nobody touches."""
        if key in self._named or len(self._named) > _MOST_NAMED:
            return
        self._named.add(key)
        if len(self._named) > _MOST_NAMED:
            _log.warning("more is left alone that is no object of the mirror", extra={"store": str(self)})
            return
        extra = {"key": printable_name(key), "found": printable_name(found)}
        _log.warning("left alone, for it is no object of the mirror", extra=extra)

    def __str__(self) -> str:
        return printable_name(f"{self._root}/")


def open_regular(folder: int, name: str, key: str, how: int = os.O_RDONLY) -> int:
    """A descriptor of the regular file, for reading or as `how` says.

    Raises:
        IsADirectoryError: a folder stands there.
        ObjectRefused: something else stands there.
        OSError: it cannot be opened.
    """
    try:
        descriptor = os.open(name, how | _SAFE, dir_fd=folder)
    except OSError as exc:
        if found := kind_at(folder, name):
            raise _no_file(key, found) from exc
        raise
    found = _kind(os.fstat(descriptor).st_mode)
    if not found:
        return descriptor
    os.close(descriptor)
    if found == "a folder":
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise _no_file(key, found)


def refuse_other_kinds(folder: int, name: str, key: str) -> None:
    """Returns when a regular file or nothing stands there.

    Raises:
        ObjectRefused: something else does, which nobody replaces.
    """
    if found := kind_at(folder, name):
        raise _no_file(key, found)


def _no_file(key: str, found: str) -> ObjectRefused:
    remedy = "put a file there, or move it away"
    return ObjectRefused(f"{printable_name(key)}: expected a regular file, found {found}; {remedy}")


def kind_at(folder: int, name: str) -> str:
    """What stands there: "a FIFO", for one; "" when it is a regular file or nothing."""
    try:
        return _kind(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return ""


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return ""
    return next((name for matches, name in _KINDS if matches(mode)), "a device")
