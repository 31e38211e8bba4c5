"""What the backups of the manifest are: for whoever has to choose one."""

from collections.abc import Callable

import msgspec

from brew_assets.domain.manifest import Manifest
from brew_assets.domain.object_keys import BACKUP_PREFIX, is_backup_name
from brew_assets.engine.ports import Store
from brew_assets.engine.record.foreign_objects import own_listing
from brew_assets.engine.record.rebuild import read_backup
from brew_assets.errors import ObjectRefused, StoreUnavailable

_DATE_CHARACTERS = 10
_TIME_CHARACTERS = 6


class KeptBackup(msgspec.Struct, frozen=True, kw_only=True):
    """One backup. `written_at` is what its name says; `why_invalid` is "" where it can be restored."""

    key: str
    written_at: str
    bytes: int
    entries: int
    why_invalid: str = ""


def kept_backups(store: Store, *, progress: Callable[[int, int], None] | None = None) -> list[KeptBackup]:
    """All backups, the newest first, each read and checked.

    Raises:
        StoreError: the store cannot be listed.
    """
    listed = sorted(own_listing(store, BACKUP_PREFIX, is_backup_name), key=lambda found: found.key)
    found = []
    for number, backup in enumerate(reversed(listed), 1):
        try:
            content = read_backup(store, backup.key)
        except (ObjectRefused, StoreUnavailable) as error:
            content = str(error)
        is_valid = isinstance(content, Manifest)
        found.append(
            KeptBackup(
                key=backup.key,
                written_at=_written_at(backup.key),
                bytes=backup.size,
                entries=len(content) if is_valid else 0,
                why_invalid="" if isinstance(content, Manifest) else content,
            )
        )
        if progress is not None:
            progress(number, len(listed))
    return found


def _written_at(key: str) -> str:
    """Of `backups/bottles_hash/2026-11-15T031502.123456Z.json`: 2026-11-15T03:15:02Z."""
    name = key.removeprefix(BACKUP_PREFIX)
    date, _, rest = name.partition("T")
    clock = rest[:_TIME_CHARACTERS]
    return f"{date[:_DATE_CHARACTERS]}T{clock[:2]}:{clock[2:4]}:{clock[4:]}Z"
