"""Backfills in the test's own process: the records and runs as Dagster's daemon makes them, in any order."""

import time
from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.storage.tags import PARENT_BACKFILL_ID_TAG, ROOT_BACKFILL_ID_TAG

from brew_assets.definitions import defs
from brew_assets_tests.defs.deployment import Deployment

PLANNING = ("formula_catalog", "pending_bottles")
ALL = (*PLANNING, "bottles", "hash_manifest", "publication")


def asset_backfill(
    instance: dg.DagsterInstance,
    assets: Sequence[str],
    platforms: Sequence[str],
    *,
    backfill_id: str,
    parent: str = "",
) -> PartitionBackfill:
    """The record of a backfill as the button "Materialize all" makes it, or "Re-execute" of the parent."""
    graph = defs.resolve_asset_graph()
    keys = {dg.AssetKey(name) for name in assets}
    partitioned = {key for key in keys if graph.get(key).is_partitioned}
    target = AssetGraphSubset(
        partitions_subsets_by_asset_key={
            key: graph.get(key).partitions_def.subset_with_partition_keys(platforms)  # type: ignore[union-attr]
            for key in partitioned
        },
        non_partitioned_asset_keys=keys - partitioned,  # type: ignore[call-arg]
    )
    made: PartitionBackfill = PartitionBackfill.from_asset_graph_subset(
        backfill_id=backfill_id,
        backfill_timestamp=time.time(),
        tags={PARENT_BACKFILL_ID_TAG: parent, ROOT_BACKFILL_ID_TAG: parent} if parent else {},
        dynamic_partitions_store=instance,
        asset_graph_subset=target,
        title=None,
        description=None,
        run_config=None,
    )
    return made


class Backfilled:
    """A backfill of some assets for some platforms."""

    def __init__(
        self,
        deployment: Deployment,
        assets: Sequence[str],
        platforms: Sequence[str],
        *,
        backfill_id: str = "qwertyui",
        parent: str = "",
    ) -> None:
        self.id = backfill_id
        self._deployment = deployment
        self._instance = deployment.instance
        self._instance.add_backfill(
            asset_backfill(self._instance, assets, platforms, backfill_id=backfill_id, parent=parent)
        )

    def run(
        self, *assets: str, platform: str | None = None, config: dict[str, Any] | None = None
    ) -> dg.ExecuteInProcessResult:
        """One of its runs, finished."""
        keys = [dg.AssetKey(name) for name in assets]
        job = defs.resolve_implicit_job_def_def_for_assets(keys)
        assert job is not None
        return job.execute_in_process(
            instance=self._instance,
            partition_key=platform,
            tags={"dagster/backfill": self.id},
            run_config=config,
            asset_selection=keys,
            raise_on_error=False,
        )

    def end(self, status: BulkActionStatus = BulkActionStatus.COMPLETED_SUCCESS) -> None:
        """It is over."""
        record = self._instance.get_backfill(self.id)
        assert record is not None
        self._instance.update_backfill(record._replace(status=status))


def job_backfill(deployment: Deployment, platforms: Sequence[str], *, backfill_id: str) -> None:
    """A backfill of the job mirror_platform, as its tab "Partitions" starts it."""
    deployment.instance.add_backfill(
        PartitionBackfill(
            backfill_id=backfill_id,
            status=BulkActionStatus.REQUESTED,
            from_failure=False,
            tags={},
            backfill_timestamp=time.time(),
            partition_names=list(platforms),
        )
    )
