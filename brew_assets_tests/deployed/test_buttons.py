"""What a click starts, with Dagster's own daemon: runs, syncs and messages are counted."""

import os
import signal
from collections import Counter
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.domain.manifest import decode_manifest
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.engine.published import read_pointer, read_record
from brew_assets.simulator import Fault, Simulator, World
from brew_assets_tests.defs.announced import COMPLETE, FAILED, START
from brew_assets_tests.defs.backfilled import ALL, asset_backfill
from brew_assets_tests.defs.deployment import PLATFORMS
from brew_assets_tests.deployed.laptop import Laptop
from brew_assets_tests.local_aws.session import wait_for
from brew_assets_tests.slack_sink import SlackSink, slack_sink

pytestmark = [pytest.mark.aws, pytest.mark.timeout(900)]

# The schedule that the sensor needs to be on ticks on the 29th of February alone.
SETTINGS = {
    "SCHEDULE_EXPRESSION": "0 3 29 2 *",
    # How often the daemon looks for what to say: each look costs a part of a second on a busy machine.
    "PROGRESS_UPDATE_INTERVAL": "3",
    "RETRY_DELAY_SECONDS": "0.05",
    "ENVIRONMENT": "staging",
}


class Desk:
    """Somebody who clicks, and hears what Slack is told meanwhile."""

    def __init__(self, laptop: Laptop, upstream: Simulator, slack: SlackSink) -> None:
        self.laptop = laptop
        self.upstream = upstream
        self.slack = slack
        self._clicks = 0

    def click(self, *assets: str) -> str:
        """The id of a new backfill of these assets for all platforms."""
        self._clicks += 1
        instance = self.laptop.instance
        click = asset_backfill(instance, assets, PLATFORMS, backfill_id=f"click{self._clicks}")
        instance.add_backfill(click)
        return click.backfill_id

    def backfill(self, *assets: str) -> list[dg.DagsterRun]:
        """The runs that such a backfill made, which has succeeded."""
        before, backfill_id = len(self.laptop.runs()), self.click(*assets)
        ended = self.laptop.wait_for_backfill(backfill_id)
        assert ended.status == BulkActionStatus.COMPLETED_SUCCESS, self.laptop.tell_of_failures()
        return [run for run in self.laptop.runs()[before:] if run not in self.of_condition()]

    def of_condition(self, *assets: str) -> list[dg.DagsterRun]:
        """The runs that automation conditions have asked for; of just these assets where some are named."""
        runs = [run for run in self.laptop.runs() if run.tags.get("mirror/purpose") == "record"]
        wanted = {dg.AssetKey(asset) for asset in assets}
        return [run for run in runs if not wanted or run.asset_selection == wanted]

    def wait_for_messages(self, count: int) -> list[str]:
        """The first lines of what Slack took, once it is so much."""
        wait_for(lambda: len(self.slack.taken) >= count, what=f"{count} messages", timeout_s=120)
        return self.slack.texts

    def asked_for(self, place: str) -> bool:
        """Whether upstream was asked for it."""
        return any(request.path.endswith(place) for request in self.upstream.requests)

    def held(self) -> int:
        """How many bottles the manifest names."""
        return len(decode_manifest((self.laptop.mirror / MANIFEST_KEY).read_bytes()))

    def plan(self) -> str:
        """The sync id of a new plan, of one new bottle."""
        self._clicks += 1
        self.upstream.world.publish(f"click-{self._clicks}", "1.0", tags=("arm64_sonoma",))
        self.laptop.plan()
        return self.laptop.newest_plan()[1]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A laptop on an upstream of its own; stories start the daemon."""
    folder = tmp_path_factory.mktemp("laptop")
    world = World.generate(seed=11, formulae=8)
    with slack_sink() as slack, Simulator(world) as upstream:
        settings = SETTINGS | upstream.environment() | {"SLACK_WEBHOOK_URL": slack.url}
        laptop = Laptop(folder, settings)
        with laptop.instance:
            yield Desk(laptop, upstream, slack)
        assert slack.problems == []


def test_clicks_on_an_empty_mirror_are_one_sync_each(desk: Desk) -> None:
    laptop = desk.laptop
    with laptop.daemon():
        runs = desk.backfill(*ALL)
        # The planning, a run for each platform, and the manifest with what clients are served.
        assert len(runs) == len(PLATFORMS) + 2
        sync_id = laptop.newest_plan()[1]
        assert laptop.syncs() == {sync_id}
        assert desk.wait_for_messages(2) == [START, COMPLETE]
        held = desk.held()
        assert held == len(set(desk.upstream.completed)) > 0

        desk.upstream.world.publish("wget", "9.9", tags=("arm64_sonoma",))
        runs = desk.backfill("bottles")
        assert len(runs) == len(PLATFORMS)
        (second,) = laptop.syncs() - {sync_id}
        assert {run.tags["mirror/sync_id"] for run in runs} == {second}
        assert desk.wait_for_messages(4) == [START, COMPLETE] * 2
        assert desk.held() == held + 1
        assert set(desk.upstream.downloads.values()) == {1}

        # Bottles alone were stored: the manifest follows with its checks, and then the publication, once.
        wait_for(lambda: desk.of_condition("hash_manifest"), what="a run of hash_manifest", timeout_s=120)
        wait_for(lambda: desk.of_condition("publication"), what="a run of publication", timeout_s=120)
        # The sensor has seen the plan of the first click, and started nothing for it.
        laptop.wait_for_cursor(beyond=laptop.newest_plan()[0])
        laptop.wait_until_idle()
        manifest, published = desk.of_condition()
        assert manifest.asset_selection == {dg.AssetKey("hash_manifest")}
        assert published.asset_selection == {dg.AssetKey("publication")}
        assert {manifest.status, published.status} == {dg.DagsterRunStatus.SUCCESS}
        pointer = read_pointer(DirectoryStore(laptop.mirror)).pointer
        assert pointer is not None
        record = read_record(DirectoryStore(laptop.mirror), pointer.publication_id, sha256=pointer.sha256)
        assert (record.counts["bottles"], record.sync_id) == (held + 1, second)
        assert laptop.syncs() == {sync_id, second}
        assert len(laptop.runs()) == 2 * len(PLATFORMS) + 4
        assert len(desk.slack.taken) == 4


def test_a_backfill_whose_first_run_is_killed_while_it_plans_goes_on_with_another(desk: Desk) -> None:
    laptop = desk.laptop
    before, told, syncs = len(laptop.runs()), len(desk.slack.taken), laptop.syncs()
    desk.upstream.world.publish("killed", "1.0", tags=("arm64_sonoma",))
    # The size of the new bottle is minutes away, once.
    desk.upstream.fault("killed:1.0", Fault.slow(10, times=1, at="registry"))
    with laptop.daemon():
        backfill_id = desk.click("bottles")
        first = wait_for(lambda: laptop.planner(backfill_id), what="a run that plans", timeout_s=120)
        wait_for(lambda: desk.asked_for("killed/manifests/1.0"), what="its wait for a size")
        os.kill(laptop.process_of(first), signal.SIGKILL)
        ended = laptop.wait_for_backfill(backfill_id)
        assert ended.status == BulkActionStatus.COMPLETED_FAILED
        runs = [run for run in laptop.runs()[before:] if run not in desk.of_condition()]
        assert len(runs) == len(PLATFORMS)
        killed, others = [r for r in runs if r.run_id == first], [r for r in runs if r.run_id != first]
        assert [run.status for run in (*killed, *others)] == [
            dg.DagsterRunStatus.FAILURE,
            dg.DagsterRunStatus.SUCCESS,
            dg.DagsterRunStatus.SUCCESS,
        ]
        (sync_id,) = laptop.syncs() - syncs
        assert {run.tags.get("mirror/sync_id") for run in others} == {sync_id}
        assert desk.wait_for_messages(told + 2)[told:] == [START, FAILED]


def test_a_sensor_that_lost_its_cursor_begins_at_the_newest_plan(desk: Desk) -> None:
    laptop = desk.laptop
    laptop.lose_cursor()
    old = [desk.plan(), desk.plan()]
    newest = desk.plan()
    before = len(laptop.runs())
    with laptop.daemon():
        laptop.wait_for_cursor(beyond=laptop.newest_plan()[0])
        laptop.wait_until_idle()
        # What follows by a condition belongs to no sync.
        begun = Counter(
            run.tags["mirror/sync_id"] for run in laptop.runs()[before:] if run.tags.get("mirror/sync_id")
        )
        assert begun == {newest: len(PLATFORMS)}
        assert not laptop.syncs() & set(old)
        # Once more, when that one has been carried out: nothing is left to start.
        laptop.lose_cursor()
        laptop.wait_for_cursor(beyond=laptop.newest_plan()[0])
        laptop.wait_until_idle()
        more = [run for run in laptop.runs()[before:] if run not in desk.of_condition()]
        assert len(more) == len(PLATFORMS)
