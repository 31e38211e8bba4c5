"""The project as on a laptop: Dagster's daemon with files as its database, runs as its child processes."""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES, PartitionBackfill
from dagster._core.scheduler.instigation import InstigatorState, SensorInstigatorData

from brew_assets.definitions import defs
from brew_assets_tests.local_aws.session import wait_for
from tools.demo_ui import started

ROOT = Path(__file__).resolve().parents[2]
_SENSOR = "route_pending_bottles"


class Laptop:
    """The instance, and the daemon while one runs."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        home = folder / "home"
        home.mkdir()
        (home / "dagster.yaml").write_text((ROOT / "infra/dagster/laptop/dagster.yaml").read_text())
        self.mirror = folder / "mirror"
        self.environment = {
            **os.environ,
            "DAGSTER_HOME": str(home),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
            "MIRROR_URL": str(self.mirror),
            **environment,
        }
        self.log = folder / "daemon.log"
        self.instance = dg.DagsterInstance.from_config(str(home))

    @contextlib.contextmanager
    def daemon(self) -> Iterator[None]:
        """Dagster's daemon runs while the block lasts."""
        module = ("brew_assets_tests.deployed.quick_daemon", "run", "-w", "workspace.yaml")
        with started(module, self.environment, log=self.log):
            yield

    def wait_for_backfill(self, backfill_id: str, *, timeout_s: float = 240.0) -> PartitionBackfill:
        """The backfill, once it is over."""

        def ended() -> PartitionBackfill | None:
            found = self.instance.get_backfill(backfill_id)
            return found if found and found.status in BULK_ACTION_TERMINAL_STATUSES else None

        return wait_for(ended, what=f"the end of backfill {backfill_id}", timeout_s=timeout_s)

    def planner(self, backfill_id: str) -> str:
        """The id of the run that plans for the backfill; empty while none does."""
        place = self.mirror / "state" / "plans" / "by-backfill" / backfill_id
        return str(json.loads(place.read_bytes())["run_id"]) if place.exists() else ""

    def process_of(self, run_id: str) -> int:
        """The process that executes the run, as its events name it."""
        told = " ".join(
            record.event_log_entry.user_message
            for record in self.instance.get_records_for_run(run_id).records
        )
        found = re.search(r"\(pid: (\d+)\)", told)
        assert found is not None, told
        return int(found[1])

    def sensor(self) -> InstigatorState | None:
        """The state of the sensor that starts runs; None before its first tick."""
        states = self.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        return next((state for state in states if state.instigator_name == _SENSOR), None)

    def cursor(self) -> str:
        """The sensor's cursor; empty when it has none."""
        state = self.sensor()
        data = state.instigator_data if state else None
        return (data.cursor or "") if isinstance(data, SensorInstigatorData) else ""

    def lose_cursor(self) -> None:
        """The sensor is as in a location of another name: it has never looked."""
        state = self.sensor()
        assert state is not None
        storage = self.instance.schedule_storage
        assert storage is not None
        storage.delete_instigator_state(state.instigator_origin_id, state.selector_id)

    def wait_for_cursor(self, *, beyond: int, timeout_s: float = 120.0) -> None:
        """The sensor has looked at the materialization with that storage id."""
        wait_for(
            lambda: self.cursor().isdecimal() and int(self.cursor()) >= beyond,
            what=f"the sensor's look at plan {beyond}",
            timeout_s=timeout_s,
        )

    def newest_plan(self) -> tuple[int, str]:
        """Storage id and sync id of the newest plan."""
        (record,) = self.instance.fetch_materializations(dg.AssetKey("pending_bottles"), limit=1).records
        assert record.asset_materialization is not None
        return record.storage_id, str(record.asset_materialization.metadata["sync_id"].value)

    def plan(self) -> None:
        """There is a new plan, made without the daemon."""
        with pytest.MonkeyPatch.context() as patched:
            for name, value in self.environment.items():
                patched.setenv(name, value)
            job = defs.resolve_job_def("weekly_sync")
            assert job.execute_in_process(instance=self.instance).success

    def runs(self) -> list[dg.DagsterRun]:
        """All runs, oldest first."""
        return list(self.instance.get_runs(ascending=True))

    def syncs(self) -> set[str]:
        """The sync ids that runs carry."""
        return {tag for run in self.runs() if (tag := run.tags.get("mirror/sync_id", ""))}

    def wait_until_idle(self, *, timeout_s: float = 240.0) -> None:
        """No run is waiting or going on."""
        wait_for(
            lambda: all(run.is_finished for run in self.runs()),
            what="the end of all runs",
            timeout_s=timeout_s,
        )

    def tell_of_failures(self) -> str:
        """What the runs that failed said, for an assertion's message."""
        failed = [run.run_id for run in self.runs() if run.status == dg.DagsterRunStatus.FAILURE]
        lines = [
            record.event_log_entry.user_message
            for run_id in failed
            for record in self.instance.get_records_for_run(run_id).records[-8:]
        ]
        return "\n".join(lines) + self.log.read_text()[-2000:]
