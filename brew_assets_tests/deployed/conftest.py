"""One deployment for the stories that need no schedule, and what a story does with it."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from brew_assets.engine.record.stored_names import STORED_SUFFIX
from brew_assets.simulator import Fault, Simulator, World
from brew_assets.simulator.model import SimulatedBottle
from brew_assets_tests.deployed.deployment import Deployed, deployed
from brew_assets_tests.deployed.graphql import Run
from brew_assets_tests.local_aws.session import wait_for

PLATFORM = "arm64_sonoma"
BOTTLE_BYTES = 100_000
# Two at a time, so that a story can catch a run between bottles.
SETTINGS = {
    "TARGET_PLATFORMS": PLATFORM,
    "MAX_CONCURRENT_DOWNLOADS": "2",
    "LAMBDA_CONCURRENCY": "3",
    "BATCH_SIZE": "2",
    "RETRY_DELAY_SECONDS": "0.05",
    "SCHEDULE_ENABLED": "false",
    "PROGRESS_UPDATE_INTERVAL": "1",
}
SPOT = {
    "ecs/run_task_kwargs": '{"capacityProviderStrategy":[{"capacityProvider":"FARGATE_SPOT","weight":1}]}'
}


@pytest.fixture(scope="module")
def aws_deployment() -> Iterator[Deployed]:
    """The project on a local AWS; nothing starts by itself."""
    world = World.generate(seed=5, formulae=3)
    with Simulator(world) as upstream, deployed(upstream, SETTINGS) as running:
        yield running


class SyncStatus:
    """Bottles of its own, a plan for them, and runs that carry it out."""

    def __init__(self, deployment: Deployed, name: str) -> None:
        self.deployed = deployment
        self.aws = deployment.aws
        self.webserver = deployment.webserver
        self.upstream = deployment.upstream
        self.name = name
        self.bottles: list[SimulatedBottle] = []

    def publish(
        self, count: int, *, bytes_per_second: int | None = None, size_bytes: int = BOTTLE_BYTES
    ) -> None:
        """Upstream has so many new bottles, and sends each no faster than that."""
        for number in range(count):
            (bottle,) = self.upstream.world.publish(
                f"{self.name}-{number:02}", "1.0", tags=(PLATFORM,), size_bytes=size_bytes
            )
            self.bottles.append(bottle)
            if bytes_per_second:
                self.upstream.fault(bottle.filename, Fault.slow(bytes_per_second, times=None))

    def hurry(self) -> None:
        """Upstream is as fast as it can again."""
        self.upstream.clear_faults()

    def begin_plan(self) -> str:
        """The id of a new run that makes a plan for the story's bottles."""
        names = [bottle.formula for bottle in self.bottles]
        config = {"ops": {"pending_bottles": {"config": {"formula_names": names, "platforms": [PLATFORM]}}}}
        return self.webserver.launch("selective_sync", config=config)

    def plan(self) -> str:
        """The sync id of a new plan for the story's bottles."""
        run_id = self.begin_plan()
        run = self.deployed.wait_for_run(run_id)
        assert run.status == "SUCCESS", self.webserver.events(run_id)[-10:]
        return str(self.webserver.metadata("pending_bottles")["sync_id"])

    def start(self, route: str, *, sync_id: str = "", **tags: str) -> str:
        """The id of a new run that carries out a plan of the story's bottles by that route."""
        asked = {
            "dagster/partition": PLATFORM,
            "mirror/sync_id": sync_id or self.plan(),
            "mirror/route": route,
        }
        return self.webserver.launch("mirror_platform", tags=asked | tags)

    def stored(self) -> list[SimulatedBottle]:
        """The story's bottles that stand in the bucket now."""
        names = {key.split("/")[1] for key in self.deployed.keys("20")}
        return [bottle for bottle in self.bottles if bottle.filename in names]

    def wait_for_stored(self, count: int, *, timeout_s: float = 150.0) -> list[SimulatedBottle]:
        """Those that stand in the bucket, once they are so many."""
        return wait_for(
            lambda: found if len(found := self.stored()) >= count else None,
            what=f"{count} bottles of {self.name}",
            timeout_s=timeout_s,
        )

    def wait_for_success(self, run_id: str, *, timeout_s: float = 240.0) -> Run:
        """The run, which has succeeded."""
        run = self.deployed.wait_for_run(run_id, timeout_s=timeout_s)
        assert run.status == "SUCCESS", "\n".join(self.webserver.events(run_id)[-30:])
        return run

    def child_of(self, run_id: str, *, timeout_s: float = 240.0) -> Run:
        """The run of the same sync that Dagster started in the place of that one, which has failed."""
        child = wait_for(
            lambda: next(
                (r for r in self.webserver.runs() if r.tags.get("dagster/parent_run_id") == run_id), None
            ),
            # One that has succeeded before it was lost gets none.
            what=lambda: f"a child of {run_id}, which is {self.webserver.run(run_id).status}",
            timeout_s=timeout_s,
        )
        lost = self.webserver.run(run_id)
        assert lost.status == "FAILURE"
        assert child.tags["mirror/sync_id"] == lost.tags["mirror/sync_id"]
        return child

    def wait_for_child(self, run_id: str, *, timeout_s: float = 240.0) -> Run:
        """The child of that run, which has succeeded."""
        return self.wait_for_success(self.child_of(run_id).id, timeout_s=timeout_s)

    def assert_held(self, *, once: list[SimulatedBottle] | None = None) -> None:
        """Every bottle of the story is recorded and stands there whole; `once` were downloaded once."""
        recorded = {entry.s3_key.split("/")[1]: entry for entry in self.deployed.entries().values()}
        for bottle in self.bottles:
            entry = recorded[bottle.filename]
            assert entry.sha256 == bottle.digest
            assert hashlib.sha256(self.deployed.read(entry.s3_key)).hexdigest() == bottle.digest
        for bottle in self.bottles if once is None else once:
            assert self.upstream.downloads[bottle.digest] == 1, bottle.filename

    def lambdas(self) -> int:
        """How many invocations there were so far."""
        return len(self.aws.invocations())

    def reports(self, sync_id: str) -> Mapping[str, Any]:
        """The reports of a sync by key."""
        import json

        return {
            key: json.loads(self.deployed.read(key))
            for key in self.deployed.keys(f"state/reports/{sync_id}/")
            if not key.endswith(STORED_SUFFIX)
        }


@pytest.fixture
def story(aws_deployment: Deployed, request: pytest.FixtureRequest) -> Iterator[SyncStatus]:
    """A story in the deployment; nothing of it goes on afterwards."""
    # Also a formula's name; with the end of the test's, where parameters stand.
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower()).strip("-")
    name = words if len(words) <= 40 else f"{words[:28].strip('-')}-{words[-10:].strip('-')}"
    made = SyncStatus(aws_deployment, name)
    yield made
    made.hurry()
    for run in aws_deployment.webserver.runs():
        if not run.ended:
            aws_deployment.webserver.terminate(run.id)
            aws_deployment.wait_for_run(run.id)
