"""The runs of a sync that began after its end was reported, and what they add to it."""

from collections.abc import Iterable, Sequence
from datetime import UTC

import dagster as dg
import msgspec

from brew_assets.defs.notifications.run_history import OpenSync
from brew_assets.domain.sync_status import SyncStatus


class LaterRuns(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of a sync that began after its end was reported.

    `first_s` and `later_s` are the seconds of the tries before and since; time between tries is not counted.
    """

    run_ids: frozenset[str] = frozenset()
    first_s: float = 0.0
    later_s: float = 0.0

    def added_to(self, status: SyncStatus) -> SyncStatus:
        """The sync's status with what these runs alone have done."""
        reports = tuple(report for report in status.reports if report.run_id in self.run_ids)
        stored = None if status.stored is None else sum(report.new for report in reports)
        return msgspec.structs.replace(status, reports=reports, stored=stored)


def later_runs(sync: OpenSync, records: Iterable[dg.RunRecord], *, since: float) -> LaterRuns:
    """Those of the sync's runs that began after that time."""
    first_end, later, ids = sync.created_at, [], set()
    for record in records:
        began = began_at(record)
        if began > since:
            ids.add(record.dagster_run.run_id)
            later.append((began, max(began, record.end_time or began)))
        elif record.end_time:
            first_end = max(first_end, min(record.end_time, since))
    return LaterRuns(
        run_ids=frozenset(ids), first_s=first_end - sync.created_at, later_s=covered_s(sorted(later))
    )


def began_at(record: dg.RunRecord) -> float:
    """When the run began, or was made if it never did; seconds since 1970."""
    return record.start_time or record.create_timestamp.replace(tzinfo=UTC).timestamp()


def covered_s(spans: Sequence[tuple[float, float]]) -> float:
    """The seconds that lie in any of the spans, which are sorted by their beginnings."""
    total, until = 0.0, float("-inf")
    for begin, end in spans:
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total
