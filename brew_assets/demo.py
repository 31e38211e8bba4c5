"""`make demo`: the whole job in Dagster against a simulated upstream, into a directory.

Needs no network and no AWS. The runs are kept in `.demo`, where `make demo-ui` shows them.
"""

import os
import sys
from pathlib import Path

import click
import dagster as dg

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.demo_gateway import publish_held, show_gateway
from brew_assets.demo_processes import only_one
from brew_assets.demo_report import show_held
from brew_assets.demo_upstream import demo_environment, demo_world, describe_upstream
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.errors import MirrorError
from brew_assets.runtimes.context import SIMULATED_MARK
from brew_assets.runtimes.printing import print_line
from brew_assets.simulator import Simulator

_PORT = 8080
# The UI has every event; the terminal shows what went wrong.
_QUIET = {"loggers": {"console": {"config": {"log_level": "WARNING"}}}}


@click.command()
@click.option("--mirror", default="mirror", show_default=True, help="The directory to mirror into.")
@click.option("--home", default=".demo", show_default=True, help="Where Dagster keeps the runs.")
@click.option(
    "--port", default=_PORT, show_default=True, help="The gateway's port; another one where it is taken."
)
def main(mirror: str, home: str, port: int) -> None:
    """Run the weekly sync against a simulated upstream, twice, prove every stored byte, and serve it."""
    root = Path(mirror).absolute()
    if (root / MANIFEST_KEY).exists() and not (root / SIMULATED_MARK).exists():
        print_line(f"{mirror}/ holds real bottles; the demo goes elsewhere: make demo MIRROR=demo", err=True)
        sys.exit(2)
    mark = b"Simulated bottles of `make demo`; `make demo-clean` removes them.\n"
    try:
        DirectoryStore(root).write(SIMULATED_MARK, mark)
    except MirrorError as error:
        print_line(f"Error: {error}", err=True)
        sys.exit(2)
    try:
        # A daemon beside it would start runs for the demo's plans too.
        with only_one(Path(home)):
            _run(root, mirror, Path(home).absolute(), port)
    except MirrorError as error:
        print_line(f"Error: {error}", err=True)
        sys.exit(2)


def _run(root: Path, mirror: str, home: Path, port: int) -> None:
    """Both syncs are done, and what they left is proved, printed and served.

    Raises:
        MirrorError: a sync could not do its work.
    """
    # What the commands that follow need to find it again.
    place = "" if mirror == "mirror" else f" MIRROR={mirror}"
    world = demo_world()
    with Simulator(world) as upstream:
        environment = demo_environment(upstream, root, home)
        os.environ.clear()
        os.environ.update(environment, LOG_LEVEL="WARNING")
        print_line(describe_upstream(world, upstream.api_url))
        with dg.DagsterInstance.get() as instance:
            stored = _sync(instance, "First sync", place)
            first = upstream.downloads.total()
            _sync(instance, "Second sync", place)
        again = upstream.downloads.total() - first
        is_published = publish_held()
    store = DirectoryStore(root)
    is_whole = show_held(store, mirror, place, stored=stored, downloads=first, again=again)
    if not (is_published and is_whole):
        sys.exit(1)
    if not show_gateway(store, home, dict(os.environ), place=mirror, port=port):
        sys.exit(1)


def _sync(instance: dg.DagsterInstance, title: str, place: str) -> int:
    """How many bottles a weekly sync stored: the planning job, the sensor and its runs, as with a daemon."""
    from brew_assets.compose.store import CLOCK
    from brew_assets.definitions import defs
    from brew_assets.defs.pages.metadata import recorded_plan
    from brew_assets.defs.sensors.launch_runs import route_pending_bottles

    before = instance.fetch_materializations(dg.AssetKey("pending_bottles"), limit=1).records
    weekly = defs.resolve_job_def("weekly_sync").execute_in_process(
        instance=instance, run_config=_QUIET, raise_on_error=False
    )
    _stop_unless(weekly.success, "weekly_sync", place)
    cursor = str(before[0].storage_id) if before else None
    with dg.build_sensor_context(instance=instance, cursor=cursor, definitions=defs) as context:
        requests = route_pending_bottles(context, CLOCK).run_requests or []
    planned = sum(
        plan.objects
        for event in weekly.get_asset_materialization_events()
        if (plan := recorded_plan(event.materialization.metadata)) is not None
    )
    runs = f", copied by a run for each of {len(requests)} platforms" if requests else ""
    print_line(f"{title}: {planned} bottles are planned{runs}")
    for request in requests:
        run = defs.resolve_job_def("mirror_platform").execute_in_process(
            instance=instance,
            partition_key=request.partition_key,
            tags=dict(request.tags),
            run_config=_QUIET,
            raise_on_error=False,
        )
        _stop_unless(run.success, f"mirror_platform of {request.partition_key}", place)
    return planned


def _stop_unless(success: bool, what: str, place: str) -> None:
    if not success:
        print_line(f"{what} failed; its run is in the UI: make demo-ui{place}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
