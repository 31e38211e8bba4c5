"""Syncs whose end was reported and was no success: what their later runs did."""

from collections.abc import Iterable, Sequence
from datetime import UTC

import dagster as dg
import msgspec

from brew_assets.defs.notifications.run_history import OpenSync, last_runs_of, runs_of
from brew_assets.domain.report import Report

# A month and a bit: whoever executes a sync again after that time looks at the run.
FOLLOWED_FOR_S = 35 * 86_400.0
# Each costs every tick a query, and the cursor its plan's figures.
MOST_FOLLOWED = 50


class IncompleteSync(msgspec.Struct, frozen=True, kw_only=True):
    """A sync that ended as a failure or with a warning, which channels were given.

    `reported_at` is when, in seconds since 1970; `seen` are its runs that had ended at the last look.
    """

    sync: OpenSync
    reported_at: float
    seen: tuple[str, ...]


class LaterRuns(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of a sync that began after its end was reported.

    `first_s` and `later_s` are the seconds of the tries before and since; time between tries is not counted.
    """

    run_ids: frozenset[str] = frozenset()
    first_s: float = 0.0
    later_s: float = 0.0

    def of(self, reports: Iterable[Report]) -> tuple[Report, ...]:
        """Those of the reports that these runs wrote."""
        return tuple(report for report in reports if report.run_id in self.run_ids)


def ended_runs(
    instance: dg.DagsterInstance, sync: OpenSync, *, until: float = float("inf")
) -> tuple[str, ...]:
    """The ids of the sync's runs that had ended by that time, oldest first."""
    return tuple(
        record.dagster_run.run_id
        for record in _all_runs_of(instance, sync)
        if record.dagster_run.is_finished and (record.end_time or 0.0) <= until
    )


def _all_runs_of(instance: dg.DagsterInstance, sync: OpenSync) -> list[dg.RunRecord]:
    """Those of the platforms and those of the manifest, oldest first."""
    both = (*runs_of(instance, sync), *last_runs_of(instance, sync))
    return sorted(both, key=lambda record: record.storage_id)


def later_runs(instance: dg.DagsterInstance, sync: OpenSync, *, since: float) -> LaterRuns:
    """The runs that began after that time."""
    first_end, later, ids = sync.created_at, [], set()
    for record in _all_runs_of(instance, sync):
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
