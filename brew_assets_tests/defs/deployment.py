"""What an operator does to a deployment, in the test's own process."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec

from brew_assets.compose.mirror import build_mirror
from brew_assets.definitions import defs
from brew_assets.defs.pages.markdown import without_escapes
from brew_assets.defs.sensors.launch_runs import pending_sensor
from brew_assets.domain.manifest import Entry, Manifest, decode_manifest
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.domain.plan_summary import PlanSummary
from brew_assets.engine.sync import Mirror
from brew_assets.settings import read_settings
from brew_assets.simulator import Simulator, World
from brew_assets_tests.fakes import MovableClock

PLATFORMS = ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma")
FORMULAE = 20


class Deployment:
    """The definitions of this project over one store, one upstream and one Dagster instance."""

    def __init__(self, root: Path, instance: dg.DagsterInstance) -> None:
        self.root = root
        self.instance = instance
        self.world = World.generate(seed=11, formulae=FORMULAE)
        self.simulator = Simulator(self.world)
        self.cursor: str | None = None
        self.clock = MovableClock()
        self.plans_per_tick = 50

    def environment(self) -> dict[str, str]:
        return {
            "MIRROR_URL": str(self.root),
            "RETRY_DELAY_SECONDS": "0",
            **self.simulator.environment(),
        }

    def run(
        self,
        job: str,
        *,
        platform: str | None = None,
        tags: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
        selection: Sequence[str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """A finished run, whether or not it succeeded."""
        return defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=platform,
            tags=tags,
            run_config=config,
            asset_selection=[dg.AssetKey(name) for name in selection] if selection else None,
            raise_on_error=False,
        )

    def run_of(self, result: dg.ExecuteInProcessResult) -> dg.DagsterRun:
        """The run as Dagster knows it now."""
        run = self.instance.get_run_by_id(result.run_id)
        assert run is not None
        return run

    def plan(self, **asked: object) -> dg.ExecuteInProcessResult:
        """A run of selective_sync that plans what was asked."""
        return self.run("selective_sync", config={"ops": {"pending_bottles": {"config": asked}}})

    def nodes(self, job: str) -> Sequence[Any]:
        """The ops of a job."""
        return defs.resolve_job_def(job).graph.nodes

    def tick(self) -> Any:
        """What the sensor says now."""
        sensor = pending_sensor(read_settings(), clock=self.clock, plans_per_tick=self.plans_per_tick)
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor, definitions=defs)
        data = sensor.evaluate_tick(context)
        self.cursor = data.cursor
        return data

    def copy_plan(self, requests: Sequence[dg.RunRequest]) -> list[dg.ExecuteInProcessResult]:
        """The runs that the sensor asked for."""
        return [
            self.run("mirror_platform", platform=request.partition_key, tags=request.tags)
            for request in requests
        ]

    def sync(self) -> list[dg.ExecuteInProcessResult]:
        """A whole weekly sync."""
        assert self.run("weekly_sync").success
        return self.copy_plan(self.tick().run_requests)

    def mirror(self) -> Mirror:
        return build_mirror(read_settings())

    def manifest(self) -> Manifest:
        return decode_manifest((self.root / MANIFEST_KEY).read_bytes())

    def entries(self) -> dict[str, Entry]:
        return dict(self.manifest().entries())

    def observations(self) -> list[dg.AssetObservation]:
        """What was observed of the bottles, oldest first."""
        records = self.instance.fetch_observations(dg.AssetKey("bottles"), limit=1000, ascending=True).records
        return [record.asset_observation for record in records if record.asset_observation]

    def failure(self, result: dg.ExecuteInProcessResult, step: str) -> dg.Failure:
        """What ended the step."""
        data = result.failure_data_for_node(step)
        assert data is not None
        assert data.user_failure_data is not None
        found = data.user_failure_data
        return dg.Failure(found.description, metadata=found.metadata)


def spoil(deployment: Deployment) -> None:
    """One element of the catalogue is null."""
    entries: list[Any] = json.loads(deployment.world.catalogue_json())
    deployment.simulator.api_body_override = json.dumps([*entries, None]).encode()


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """The metadata of the run's one materialization of the asset."""
    events = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey(asset)]
    assert len(events) == 1
    return {name: value.value for name, value in events[0].materialization.metadata.items()}


def figures_of(report: str) -> dict[str, str]:
    """The figures at the end of a report, by name."""
    _, _, table = report.rpartition("#### Figures\n\n")
    rows = (line.strip("| ").split(" | ") for line in table.splitlines()[2:])
    return {name: without_escapes(value) for name, value in rows}


def plan_of(result: dg.ExecuteInProcessResult) -> PlanSummary:
    """The plan that the run has recorded as pending_bottles."""
    return msgspec.convert(metadata_of(result, "pending_bottles")["plan_summary"], PlanSummary)


def pending_of(result: dg.ExecuteInProcessResult) -> dict[str, int]:
    """Platform -> the bottles that its plan has for it."""
    return {name: totals.bottles for name, totals in plan_of(result).platforms.items()}


def checks_of(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
