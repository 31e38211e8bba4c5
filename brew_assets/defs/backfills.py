"""What Dagster knows of a run's backfill: its partitions, its runs, and whether it is over."""

from collections.abc import Sequence

import dagster as dg

from brew_assets.defs.dagster_internals import BULK_ACTION_TERMINAL_STATUSES, BulkActionStatus
from brew_assets.defs.resources import platforms
from brew_assets.defs.tags import (
    BACKFILL_TAG,
    PARENT_BACKFILL_TAG,
    PARENT_RUN_TAG,
    PARTITION_TAG,
    ROOT_RUN_TAG,
)

PENDING_BOTTLES = dg.AssetKey("pending_bottles")
_WELL = (BulkActionStatus.COMPLETED_SUCCESS, BulkActionStatus.COMPLETED)
# Whoever executes a backfill again and again does not do so more often.
_MOST_PARENTS = 20
BOTTLES, HASH_MANIFEST = dg.AssetKey("bottles"), dg.AssetKey("hash_manifest")
PUBLICATION = dg.AssetKey("publication")


class Backfill:
    """A backfill by its id. Nothing is known of one whose record is gone, or that somebody made up."""

    def __init__(self, instance: dg.DagsterInstance, backfill_id: str) -> None:
        self.id = backfill_id
        self._instance = instance
        self._record = instance.get_backfill(backfill_id)

    @property
    def is_over(self) -> bool:
        """Whether it starts no more runs, and none of its runs goes on."""
        return self._record is not None and self._record.status in BULK_ACTION_TERMINAL_STATUSES

    @property
    def goes_on(self) -> bool:
        """Whether it may start more runs, or one of its runs goes on."""
        return self._record is not None and not self.is_over

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms whose bottles it stores, in the order of TARGET_PLATFORMS."""
        record, names = self._record, set[str]()
        if record is not None and record.partition_names is not None:
            # Of a job's partitions: only mirror_platform has some.
            names.update(record.partition_names)
        elif record is not None and record.asset_backfill_data is not None:
            target = record.asset_backfill_data.target_subset
            subset = target.partitions_subsets_by_asset_key.get(BOTTLES)
            names.update(subset.get_partition_keys() if subset is not None else ())
        return tuple(name for name in platforms.get_partition_keys() if name in names)

    @property
    def stores(self) -> tuple[str, ...]:
        """The platforms that nobody else needs to start a run for.

        Not those that were given up as its planning run failed, which was then executed again in time to be
        part of it and too late to be followed.
        """
        given_up = self._record is not None and self._record.status == BulkActionStatus.COMPLETED_FAILED
        return tuple(name for name in self.platforms if not given_up or self.has_run_for(name))

    @property
    def ends_with_manifest(self) -> bool:
        """Whether a run of its own materializes hash_manifest after those of the bottles."""
        record = self._record
        if record is None or record.asset_backfill_data is None or not self.platforms:
            return False
        return HASH_MANIFEST in record.asset_backfill_data.target_subset.asset_keys

    @property
    def failed_before(self) -> tuple[str, ...]:
        """The ids of the backfills that were no success and that this one executes again, newest first."""
        found: list[str] = []
        record = self._record
        while record is not None and len(found) < _MOST_PARENTS:
            parent = record.tags.get(PARENT_BACKFILL_TAG)
            record = self._instance.get_backfill(parent) if parent and parent not in found else None
            if record is not None and record.status not in _WELL:
                found.append(record.backfill_id)
            else:
                record = None
        return tuple(found)

    def records(self) -> Sequence[dg.RunRecord]:
        """Its runs, oldest first."""
        wanted = dg.RunsFilter(tags={BACKFILL_TAG: self.id})
        return self._instance.get_run_records(wanted, ascending=True, order_by="id")

    def has_run_for(self, platform: str) -> bool:
        """Whether it has started a run for that platform."""
        return any(r.dagster_run.tags.get(PARTITION_TAG) == platform for r in self.records())


def backfill_of(instance: dg.DagsterInstance, run: dg.DagsterRun | None) -> Backfill | None:
    """The backfill that the run is part of, None when it is of none.

    A retry after the backfill's end has no such tag.
    """
    found = run.tags.get(BACKFILL_TAG, "") if run is not None else ""
    return Backfill(instance, found) if found else None


def former_backfill_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """The id of the backfill of a run that this one is a retry of, empty when there is none."""
    for tag in (PARENT_RUN_TAG, ROOT_RUN_TAG):
        before = instance.get_run_by_id(earlier) if (earlier := run.tags.get(tag)) else None
        if before is not None and (found := before.tags.get(BACKFILL_TAG, "")):
            return str(found)
    return ""


def is_of_manifest(run: dg.DagsterRun) -> bool:
    """Whether the run materializes hash_manifest and no bottles, as the last one of a backfill does."""
    return HASH_MANIFEST in (run.asset_selection or ()) and PARTITION_TAG not in run.tags
