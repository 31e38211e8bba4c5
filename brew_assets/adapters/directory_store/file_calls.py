"""The calls that not every file system has, and what is done without them.

Network file systems, FUSE and memory cards lack some: names of folders that are synced to disk, hard links,
locks. The first two are done without. A store without locks is refused: two writers would lose each other's
records.
"""

import errno
import fcntl
import os

from brew_assets.errors import StoreRefused

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
