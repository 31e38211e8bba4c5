"""What an error of a file system means for a store in a directory: one table of error numbers."""

import contextlib
import errno
from collections.abc import Iterator, Mapping

from brew_assets.errors import (
    ObjectRefused,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    StoreUnsupported,
)

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
