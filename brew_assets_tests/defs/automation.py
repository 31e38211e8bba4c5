"""The sensor that asks for assets by their conditions, tick by tick, and the runs that it asks for."""

from typing import Any

import dagster as dg
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor

from brew_assets.definitions import defs
from brew_assets_tests.defs.deployment import Deployment


class Automation:
    """The sensor `record_stored_bottles` of a deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self._instance = deployment.instance
        self._cursor: AssetDaemonCursor | None = None

    def asks(self) -> list[str]:
        """Of which assets it asks for a run now."""
        found = dg.evaluate_automation_conditions(defs, self._instance, cursor=self._cursor)
        self._cursor = found.cursor
        keys = sorted(defs.resolve_asset_graph().get_all_asset_keys())
        return [key.to_user_string() for key in keys if found.get_num_requested(key)]

    def run(self, *assets: str, fails: bool = False, **more: Any) -> dg.ExecuteInProcessResult:
        """The run of these assets that it asks for, ended."""
        keys = [dg.AssetKey(name) for name in assets]
        job = defs.resolve_implicit_job_def_def_for_assets(keys)
        assert job is not None
        tags = {"dagster/auto_materialize": "true", "mirror/purpose": "record"}
        result = job.execute_in_process(
            instance=self._instance, tags=tags, asset_selection=keys, raise_on_error=False, **more
        )
        assert result.success is not fails
        return result
