"""The reports that stand in the store: what the runs of a sync did."""

import logging

from brew_assets.domain.proof import is_sync_id
from brew_assets.domain.report import REPORT_PREFIX, Report, decode_report
from brew_assets.engine.ports import Store
from brew_assets.engine.record.foreign_objects import own_listing
from brew_assets.engine.record.stored_names import STORED_SUFFIX
from brew_assets.errors import ObjectRefused

MOST_REPORTS = 50
# Reports on a Lambda's batch are parts of a run's; names of stored bottles are no report.
_OTHERS = (".batch.json", STORED_SUFFIX)

_log = logging.getLogger(__name__)


def kept_reports(store: Store, sync_id: str, *, most: int = MOST_REPORTS) -> dict[str, Report]:
    """The newest reports of the sync's runs by key, oldest first.

    One that cannot be read, or is of another sync, is left out, and the log says so.

    Raises:
        StoreError: the store did not answer.
    """
    if not is_sync_id(sync_id):
        return {}
    listed = own_listing(store, f"{REPORT_PREFIX}{sync_id}/", lambda name: name.endswith(".json"))
    keys = sorted((item.key for item in listed if not item.key.endswith(_OTHERS)), key=_time_of)
    found: dict[str, Report] = {}
    for key in keys[-most:]:
        try:
            document = store.read(key)
            if document is not None:
                found[key] = decode_report(document.data, sync_id=sync_id)
        except (ValueError, ObjectRefused) as error:
            _log.warning("a report is left out", extra={"key": key, "error": str(error)})
    return found


def _time_of(key: str) -> tuple[str, str]:
    """What sorts keys by time: they end with `-<time>-<token>.json`."""
    parts = key.rsplit("-", 2)
    return (parts[1] if len(parts) == 3 else "", key)
