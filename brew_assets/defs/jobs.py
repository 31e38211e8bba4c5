"""The jobs: planning every week, planning on demand, mirroring for one platform, and mending."""

from typing import Any

import dagster as dg

from brew_assets.defs.assets import bottles, formula_catalog, hash_manifest, pending_bottles
from brew_assets.defs.repair import repair_everything

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

JOBS: list[Any] = [
    weekly_sync,
    selective_sync,
    mirror_platform,
    repair_everything,
]
