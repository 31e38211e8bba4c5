"""The jobs: planning every week, planning on demand, mirroring for one platform, and mending."""

from typing import Any

import dagster as dg

from brew_assets.configured import task_sizes
from brew_assets.defs.assets import bottles, formula_catalog, hash_manifest, pending_bottles
from brew_assets.defs.repair import mend_store
from brew_assets.defs.resources import LOADED_SETTINGS
from brew_assets.defs.tags import CPU_TAG, MEMORY_TAG, STORAGE_TAG
from brew_assets.domain.routing import task_size
from brew_assets.settings import Settings

weekly_sync = dg.define_asset_job(
    "weekly_sync",
    selection=dg.AssetSelection.assets(formula_catalog, pending_bottles),
    tags={"mirror/purpose": "plan"},
    description="Fetches the catalogue and plans everything that is not held; the sensor does the rest.",
)

selective_sync = dg.define_asset_job(
    "selective_sync",
    selection=dg.AssetSelection.assets(formula_catalog, pending_bottles),
    tags={"mirror/purpose": "plan"},
    description=(
        "Plans what the run config of pending_bottles names: formula_names, include_dependencies, "
        "platforms, force_download, rebuild_manifest. Without formula_names it is MIRROR_FORMULAE, or all."
    ),
)

mirror_platform = dg.define_asset_job(
    "mirror_platform",
    selection=dg.AssetSelection.assets(bottles, hash_manifest),
    tags={"mirror/purpose": "transfer"},
    description=(
        "Stores the bottles of one platform and records them in the manifest. Copies by the plan that the "
        "tag mirror/sync_id names, or plans for its platform first."
    ),
)


def repair_job(settings: Settings) -> dg.JobDefinition:
    """The job; its task in ECS has the size for the largest plans, since it may read everything back.

    Raises:
        SettingsInvalid: ECS_TASK_SIZES cannot be read.
    """
    tags = {"mirror/purpose": "repair"}
    if settings.ecs_cluster_name:
        size = task_size(task_sizes(settings), 2**62)
        tags |= {
            CPU_TAG: str(size.cpu),
            MEMORY_TAG: str(size.memory_mib),
            STORAGE_TAG: str(size.storage_gib),
        }

    @dg.job(
        name="repair",
        tags=tags,
        description=(
            "Looks at every bottle that the manifest names and fetches again what is missing or wrong, each "
            "under its own key: as `brew-mirror verify --deep --repair`. What cannot be read (archived, "
            "refused) is named and left as it is."
        ),
    )
    def repair_store() -> None:
        mend_store()

    return repair_store


repair_everything = repair_job(LOADED_SETTINGS)

JOBS: list[Any] = [
    weekly_sync,
    selective_sync,
    mirror_platform,
    repair_everything,
]
