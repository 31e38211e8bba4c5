"""How the mirror's bucket is laid out: the keys of bottles, and the names below `state/` and `backups/`.

Buckets and folders hold what others have put there, too. Names are what follows the folder's prefix.
"""

import hashlib
import re
from datetime import date

MANIFEST_KEY = "bottles_hash.json"
BACKUP_PREFIX = "backups/bottles_hash/"
INDEX_PREFIX = "state/upstream/indexes/"
# S3's own limit.
MOST_KEY_BYTES = 1024

_DATE_KEY = re.compile(r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})/(?P<filename>[^/]+\.tar\.gz)")
_ID = r"[A-Za-z0-9-]{1,79}"
_SYNC_ID = rf"[0-9]{_ID}"
# The folder of the receipts of bottles that stood in the store without a record.
FOUND = "adopted"
_PLAN = re.compile(rf"{_ID}\.json")
# Dagster's are eight lower-case letters; whoever starts a run can write anything among its tags.
_BACKFILL_ID = re.compile(r"[a-z0-9-]{1,60}")
_BACKFILL_FOLDER = "by-backfill/"
_BACKUP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{6}\.[0-9]{6}Z(?:-[0-9a-f]{6})?(?:\.invalid)?\.json")
# The journal names its objects by time and token. In the folders that only a sync, an identification or a
# repair makes, every JSON document is its word, and must be true.
_JOURNAL = re.compile(
    rf"{_ID}/[0-9]{{12}}-[0-9a-f]{{8}}\.json|(?:{_SYNC_ID}|{FOUND}|repair)/[A-Za-z0-9][A-Za-z0-9._-]*\.json"
)


def is_date(text: str) -> bool:
    """Whether text is a day of the calendar, YYYY-MM-DD."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def bottle_key(date: str, filename: str) -> str:
    """Where a bottle stands in the store that the sync of `date` (YYYY-MM-DD) has stored."""
    return f"{date}/{filename}"


def parse_key(key: str) -> tuple[str, str] | None:
    """(date, file name) of a bottle's key in the store, or None for any other key."""
    match = _DATE_KEY.fullmatch(key)
    return (match["date"], match["filename"]) if match else None


def is_object_key(text: str) -> bool:
    """Whether text is a key that leads nowhere else: relative, without empty or dotted parts, printable.

    What steers a terminal, or is no UTF-8, is in no key of ours.
    """
    return (
        text.isprintable()
        and not any(part in ("", ".", "..") for part in text.split("/"))
        and len(text.encode()) <= MOST_KEY_BYTES
    )


def is_journal_name(name: str) -> bool:
    """Whether an object of this name below the receipts' folder has receipts."""
    return _JOURNAL.fullmatch(name) is not None


def is_plan_name(name: str) -> bool:
    """Whether an object of this name below the plans' folder is the plan of a sync."""
    return _PLAN.fullmatch(name) is not None


def backfill_name(backfill: str) -> str:
    """Where below the plans' folder the plan of this backfill is named, whatever its id is made of."""
    plain = _BACKFILL_ID.fullmatch(backfill) is not None
    name = backfill if plain else f"sha256-{hashlib.sha256(backfill.encode(errors='replace')).hexdigest()}"
    return f"{_BACKFILL_FOLDER}{name}"


def is_backfill_name(name: str) -> bool:
    """Whether an object of this name below the plans' folder names the plan of a backfill."""
    return name.startswith(_BACKFILL_FOLDER)


def is_backup_name(name: str) -> bool:
    """Whether an object of this name below the backups' folder is a manifest that a fold has backed up."""
    return _BACKUP.fullmatch(name) is not None
