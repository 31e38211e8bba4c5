"""What the errors of a file system say of a store: one file, the whole store, passing, or never."""

import errno

import pytest

from brew_assets.adapters.directory_store.file_calls import NUMBERS, file_error
from brew_assets.errors import (
    ObjectRefused,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    StoreUnsupported,
)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, ObjectRefused),
        (errno.EPERM, ObjectRefused),
        (errno.EIO, ObjectRefused),
        (errno.EFBIG, ObjectRefused),
        (errno.ENAMETOOLONG, ObjectRefused),
        (errno.EISDIR, ObjectRefused),
        (errno.ELOOP, ObjectRefused),
        (errno.ENOENT, ObjectRefused),
        (errno.EROFS, StoreRefused),
        (errno.ENOLCK, StoreRefused),
        (errno.ENODEV, StoreRefused),
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EAGAIN, StoreUnavailable),
        (errno.ESTALE, StoreUnavailable),
        (errno.EMFILE, StoreUnavailable),
        (errno.ETIMEDOUT, StoreUnavailable),
        (errno.ENOTSUP, StoreUnsupported),
        (errno.ENOSYS, StoreUnsupported),
        (errno.EXDEV, StoreUnsupported),
        # Nobody knows these: another try may help.
        (errno.EPROTO, StoreUnavailable),
        (None, StoreUnavailable),
    ],
)
def test_the_number_of_an_error_decides(number: int | None, kind: type[StoreError]) -> None:
    error = file_error("2026-11-22/jq", OSError(number, "said so") if number else OSError("said so"))
    assert type(error) is kind
    assert str(error).startswith("2026-11-22/jq: said so")


def test_a_file_system_without_locks_is_told_with_its_remedy() -> None:
    assert "NFS version 4" in str(file_error(".lock", OSError(errno.ENOLCK, "No locks available")))


def test_no_number_is_in_two_classes() -> None:
    assert len(NUMBERS) == len(set(NUMBERS))
