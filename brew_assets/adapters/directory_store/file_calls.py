"""The calls that not every file system has, what is done without them, and what errors of all calls mean.

Network file systems, FUSE and memory cards lack some: names of folders that are synced to disk, hard links,
locks. The first two are done without. A store without locks is refused: two writers would lose each other's
records.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Mapping

from brew_assets.errors import (
    ObjectRefused,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    StoreUnsupported,
)

_NOT_SUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY)
_NO_LOCKS = frozenset({*_NOT_SUPPORTED, errno.ENOLCK})
_NO_LINKS = frozenset({*_NOT_SUPPORTED, errno.EPERM, errno.EACCES, errno.EXDEV, errno.EMLINK})
_NO_SYNC = frozenset(_NOT_SUPPORTED)
# Of a folder, some want a descriptor that can write, which no folder has.
_NO_FOLDER_SYNC = frozenset({*_NOT_SUPPORTED, errno.EBADF, errno.EACCES, errno.EPERM, errno.EISDIR})


class FileCalls:
    """The operating system's calls as they are, with the errors that they have: a test takes one away.

    Files and folders are given by their open descriptors, names as those in the folder.
    """

    def flock(self, descriptor: int, how: int) -> None:
        """fcntl.flock."""
        fcntl.flock(descriptor, how)

    def link(self, name: str, target: str, *, folder: int, target_folder: int) -> None:
        """os.link, which follows no symbolic link."""
        os.link(name, target, src_dir_fd=folder, dst_dir_fd=target_folder, follow_symlinks=False)

    def replace(self, name: str, target: str, *, folder: int, target_folder: int) -> None:
        """os.replace."""
        os.replace(name, target, src_dir_fd=folder, dst_dir_fd=target_folder)

    def sync(self, descriptor: int) -> None:
        """os.fsync of a file."""
        os.fsync(descriptor)

    def sync_folder(self, descriptor: int) -> None:
        """os.fsync of a folder."""
        os.fsync(descriptor)


def lock(calls: FileCalls, descriptor: int, how: int, *, place: str) -> None:
    """The file is locked.

    Raises:
        StoreRefused: the file system of `place` has no locks.
        OSError: somebody else has it locked, or another trouble.
    """
    try:
        calls.flock(descriptor, how)
    except OSError as exc:
        if exc.errno not in _NO_LOCKS:
            raise
        raise StoreRefused(
            f"{place}: the file system has no locks (flock: {exc.strerror}): keep the mirror on a local "
            "disk, on NFS version 4, or in S3 (MIRROR_URL)"
        ) from exc


def link(calls: FileCalls, name: str, target: str, *, folder: int, target_folder: int) -> bool:
    """Whether the file has the other name too; False where the file system gives it none.

    Raises:
        FileExistsError: something stands there.
        OSError: another trouble.
    """
    try:
        calls.link(name, target, folder=folder, target_folder=target_folder)
    except OSError as exc:
        # Whoever may not write there either is refused by what is done instead.
        if exc.errno not in _NO_LINKS:
            raise
        return False
    return True


def sync(calls: FileCalls, descriptor: int) -> None:
    """The file's bytes are on disk, as far as its file system promises that.

    Raises:
        OSError: the file system promises it, and has failed.
    """
    try:
        calls.sync(descriptor)
    except OSError as exc:
        if exc.errno not in _NO_SYNC:
            raise


def sync_folder(calls: FileCalls, descriptor: int) -> None:
    """The names in the opened folder are on disk, as far as its file system promises that.

    Raises:
        OSError: the file system promises it, and has failed.
    """
    try:
        calls.sync_folder(descriptor)
    except OSError as exc:
        if exc.errno not in _NO_FOLDER_SYNC:
            raise


# Permission and reading errors happen to one file or folder; whether to all, the canary finds out.
_OBJECT = (
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.EEXIST,
    errno.EFBIG,
    errno.EILSEQ,
    errno.EINVAL,
    errno.EISDIR,
    errno.ELOOP,
    errno.EMLINK,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENOTEMPTY,
    errno.ENXIO,
    errno.EOVERFLOW,
    errno.ETXTBSY,
)
_STORE = (errno.EROFS, errno.ENODEV, errno.ENOLCK, errno.ENOTCONN)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_PASSING = (
    errno.EAGAIN,
    errno.EBUSY,
    errno.EINTR,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOBUFS,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.EDEADLK,
)
_NEVER = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV)

NUMBERS: Mapping[int, type[StoreError]] = {
    number: kind
    for numbers, kind in (
        (_OBJECT, ObjectRefused),
        (_STORE, StoreRefused),
        (_FULL, StoreFull),
        (_PASSING, StoreUnavailable),
        (_NEVER, StoreUnsupported),
    )
    for number in numbers
}
_REMEDIES = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room, or have the quota raised",
    errno.ENOLCK: "the file system has no locks; keep the mirror on a local disk, or on NFS version 4",
    errno.ENOSYS: "keep the mirror on a local disk, or on NFS version 4",
    errno.EXDEV: "its folders are on different file systems; keep the whole mirror on one",
    errno.EACCES: "allow it to the user who runs the mirror",
    errno.EROFS: "mount it for writing, or name another place with MIRROR_URL",
}


def file_error(subject: str, error: OSError) -> StoreError:
    """Our error for one of the operating system, naming what it happened to. Unknown numbers may pass."""
    number = error.errno or 0
    kind = NUMBERS.get(number, StoreUnavailable)
    remedy = _REMEDIES.get(number, "")
    return kind(f"{subject}: {error.strerror or error}{f'; {remedy}' if remedy else ''}")


@contextlib.contextmanager
def our_errors(subject: str) -> Iterator[None]:
    """The operating system's errors as ours, naming what they happened to.

    Raises:
        StoreError: the class that NUMBERS has for the error, else StoreUnavailable.
    """
    try:
        yield
    except OSError as exc:
        raise file_error(subject, exc) from exc
