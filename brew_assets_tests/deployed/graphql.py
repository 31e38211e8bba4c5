"""Dagster's webserver as an operator's browser speaks to it."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

LOCATION, REPOSITORY = "brew_assets", "__repository__"
_SELECTOR = {"repositoryLocationName": LOCATION, "repositoryName": REPOSITORY}

_LAUNCHED = "__typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the UI shows it."""

    id: str
    status: str
    job: str
    tags: dict[str, str]

    @property
    def platform(self) -> str:
        """The partition."""
        return self.tags.get("dagster/partition", "")

    @property
    def ended(self) -> bool:
        """Whether nothing more happens in it."""
        return self.status in ("SUCCESS", "FAILURE", "CANCELED")


class Webserver:
    """A client of the webserver's GraphQL API."""

    def __init__(self, url: str) -> None:
        self.url = url
        # The webserver closes what idles for 5 s; a request may not meet that.
        limits = httpx.Limits(keepalive_expiry=1.0)
        self._http = httpx.Client(timeout=60, trust_env=False, limits=limits)

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of the answer.

        Raises:
            RuntimeError: the webserver answered with an error.
        """
        response = self._http.post(f"{self.url}/graphql", json={"query": query, "variables": variables})
        body = response.raise_for_status().json()
        if body.get("errors"):
            raise RuntimeError(json.dumps(body["errors"])[:2000])
        return body["data"]

    def is_ready(self) -> bool:
        """Whether it answers and has loaded the project."""
        try:
            found = self.ask(
                "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError "
                "{ __typename } } } } }"
            )
        except (httpx.HTTPError, RuntimeError):
            return False
        entries = found["workspaceOrError"].get("locationEntries", [])
        return any(
            entry["loadStatus"] == "LOADED"
            and (entry["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation"
            for entry in entries
        )

    def daemons_are_healthy(self) -> bool:
        """Whether every daemon that is needed has sent a heartbeat."""
        found = self.ask(
            "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"
        )
        daemons = found["instance"]["daemonHealth"]["allDaemonStatuses"]
        return all(daemon["healthy"] for daemon in daemons if daemon["required"])

    def launch(
        self, job: str, *, tags: Mapping[str, str] | None = None, config: Mapping[str, Any] | None = None
    ) -> str:
        """The id of a new run of the job."""
        return self._launch({**_SELECTOR, "jobName": job}, tags=tags or {}, config=config or {})

    def materialize(self, *assets: str, config: Mapping[str, Any] | None = None) -> str:
        """The id of a new run of these assets, as the button "Materialize" launches it."""
        selected = [{"path": [asset]} for asset in assets]
        selector = {**_SELECTOR, "jobName": "__ASSET_JOB", "assetSelection": selected}
        return self._launch(selector, tags={}, config=config or {})

    def execute_again(self, run_id: str) -> str:
        """The id of a new run of what that one did, as the button "Re-execute" launches it."""
        found = self.ask(
            f"""mutation($p: ReexecutionParams!) {{ launchRunReexecution(reexecutionParams: $p) {{
                 {_LAUNCHED} }} }}""",
            p={"parentRunId": run_id, "strategy": "ALL_STEPS", "useParentRunTags": True},
        )
        return _launched(found["launchRunReexecution"])

    def _launch(
        self, selector: Mapping[str, Any], *, tags: Mapping[str, str], config: Mapping[str, Any]
    ) -> str:
        found = self.ask(
            f"""mutation($p: ExecutionParams!) {{ launchRun(executionParams: $p) {{
                 {_LAUNCHED} ... on RunConfigValidationInvalid {{ errors {{ message }} }} }} }}""",
            p={
                "selector": selector,
                "runConfigData": json.dumps(config),
                "mode": "default",
                "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in tags.items()]},
            },
        )
        return _launched(found["launchRun"])

    def backfill(self, asset: str, partition: str) -> str:
        """The id of a backfill of one partition, as the button "Materialize" launches it."""
        found = self.ask(
            """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
                 __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }""",
            p={"assetSelection": [{"path": [asset]}], "partitionNames": [partition], "tags": []},
        )["launchPartitionBackfill"]
        if found["__typename"] != "LaunchBackfillSuccess":
            raise RuntimeError(json.dumps(found)[:2000])
        return str(found["backfillId"])

    def terminate(self, run_id: str) -> None:
        """Asks a run to end, as the button "Terminate" does."""
        self.ask(
            "mutation($r: String!) { terminateRun(runId: $r) { __typename } }",
            r=run_id,
        )

    def runs(self, *, job: str | None = None) -> list[Run]:
        """All runs, oldest first."""
        found = self.ask(
            """{ runsOrError(limit: 500) { ... on Runs { results {
                 runId status jobName tags { key value } } } } }"""
        )["runsOrError"]["results"]
        runs = [
            Run(
                id=run["runId"],
                status=run["status"],
                job=run["jobName"],
                tags={tag["key"]: tag["value"] for tag in run["tags"]},
            )
            for run in found
        ]
        return [run for run in reversed(runs) if job in (None, run.job)]

    def run(self, run_id: str) -> Run:
        """One run."""
        return next(run for run in self.runs() if run.id == run_id)

    def events(self, run_id: str) -> list[str]:
        """The messages of the run's events, oldest first."""
        found = self.ask(
            """query($r: ID!) { logsForRun(runId: $r, limit: 2000) { ... on EventConnection { events {
                 ... on MessageEvent { message } } } } }""",
            r=run_id,
        )["logsForRun"]
        return [event.get("message", "") for event in found.get("events", [])]

    def progress(self, run_id: str) -> list[int]:
        """How many bottles were done whenever the run told how far it was."""
        found = self.ask(
            """query($r: ID!) { logsForRun(runId: $r, limit: 2000) { ... on EventConnection { events {
                 ... on ObservationEvent { metadataEntries { label
                   ... on IntMetadataEntry { intRepr } } } } } } }""",
            r=run_id,
        )["logsForRun"]["events"]
        entries = [entry for event in found for entry in event.get("metadataEntries", ())]
        return [int(entry["intRepr"]) for entry in entries if entry["label"] == "bottles_done"]

    def metadata(self, asset: str, *, partition: str | None = None) -> dict[str, Any]:
        """The metadata of the asset's last materialization: texts and numbers."""
        found = self.ask(
            """query($k: AssetKeyInput!, $p: [String!]) { assetOrError(assetKey: $k) { ... on Asset {
                 assetMaterializations(limit: 1, partitions: $p) { metadataEntries { label
                   ... on TextMetadataEntry { text } ... on IntMetadataEntry { intRepr }
                   ... on MarkdownMetadataEntry { mdStr }
                   ... on JsonMetadataEntry { jsonString } } } } } }""",
            k={"path": [asset]},
            p=[partition] if partition else None,
        )["assetOrError"]["assetMaterializations"]
        if not found:
            return {}
        return {entry["label"]: _value(entry) for entry in found[0]["metadataEntries"]}

    def stop_sensor(self, name: str) -> None:
        """The sensor does not look any more."""
        found = self.ask(
            """query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) {
                 ... on Sensor { id sensorState { id } } } }""",
            s={**_SELECTOR, "sensorName": name},
        )["sensorOrError"]
        self.ask(
            "mutation($i: String!) { stopSensor(id: $i) { __typename } }",
            i=found["id"],
        )

    def start_sensor(self, name: str) -> None:
        """The sensor looks from now on."""
        found = self.ask(
            """mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename
                 ... on PythonError { message } } }""",
            s={**_SELECTOR, "sensorName": name},
        )["startSensor"]
        if found["__typename"] != "Sensor":
            raise RuntimeError(json.dumps(found)[:2000])

    def sensor_is_on(self, name: str) -> bool:
        """Whether the sensor looks by itself."""
        found = self.ask(
            """query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) {
                 ... on Sensor { sensorState { status } } } }""",
            s={**_SELECTOR, "sensorName": name},
        )["sensorOrError"]
        return bool(found["sensorState"]["status"] == "RUNNING")

    def last_tick(self, name: str) -> float:
        """When the sensor last looked, in seconds since 1970; 0 if it never did."""
        found = self.ask(
            """query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) {
                 ... on Sensor { sensorState { ticks(limit: 1) { timestamp } } } } }""",
            s={**_SELECTOR, "sensorName": name},
        )["sensorOrError"]
        return max((float(tick["timestamp"]) for tick in found["sensorState"]["ticks"]), default=0.0)

    def stop_schedule(self, name: str) -> None:
        """The schedule does not tick any more."""
        found = self.ask(
            """query($s: ScheduleSelector!) { scheduleOrError(scheduleSelector: $s) {
                 ... on Schedule { id } } }""",
            s={**_SELECTOR, "scheduleName": name},
        )["scheduleOrError"]
        self.ask("mutation($i: String!) { stopRunningSchedule(id: $i) { __typename } }", i=found["id"])

    def close(self) -> None:
        """No connection is left."""
        self._http.close()


def _launched(found: Mapping[str, Any]) -> str:
    """The id of the run that was launched.

    Raises:
        RuntimeError: none was.
    """
    if found["__typename"] != "LaunchRunSuccess":
        raise RuntimeError(json.dumps(found)[:2000])
    return str(found["run"]["runId"])


def _value(entry: Mapping[str, Any]) -> Any:
    if "intRepr" in entry:
        return int(entry["intRepr"])
    if "jsonString" in entry:
        return json.loads(entry["jsonString"])
    return entry.get("mdStr", entry.get("text"))
