"""`make demo`: the whole job in Dagster against a simulated upstream, into a directory.

Needs no network and no AWS. The runs are kept in `.demo`, where `make demo-ui` shows them.
"""

import os
import sys
from pathlib import Path

import click
import dagster as dg

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.demo_processes import only_one
from brew_assets.demo_upstream import demo_environment, demo_world, describe_upstream
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.errors import MirrorError
from brew_assets.runtimes.context import SIMULATED_MARK
from brew_assets.runtimes.printing import print_line
from brew_assets.simulator import Simulator

# The UI has every event; the terminal shows what went wrong.
_QUIET = {"loggers": {"console": {"config": {"log_level": "WARNING"}}}}


@click.command()
@click.option("--mirror", default="mirror", show_default=True, help="The directory to mirror into.")
@click.option("--home", default=".demo", show_default=True, help="Where Dagster keeps the runs.")
def main(mirror: str, home: str) -> None:
    """Run the weekly sync against a simulated upstream, twice, and prove every stored byte."""
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
            _run(root, mirror, Path(home).absolute())
    except MirrorError as error:
        print_line(f"Error: {error}", err=True)
        sys.exit(2)


def _run(root: Path, mirror: str, home: Path) -> None:
    """Both syncs are done, and what they left is proved and printed.

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
    _show(root, mirror, place, stored=stored, downloads=first, again=again)


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


def _show(root: Path, mirror: str, place: str, *, stored: int, downloads: int, again: int) -> None:
    """Proves every byte, and prints the report and where to look."""
    from brew_assets.domain.manifest import decode_manifest
    from brew_assets.engine.record.verify import certify
    from brew_assets.runtimes.status import read_status, show_status

    store = DirectoryStore(root)
    document = store.read(MANIFEST_KEY)
    entries = list(decode_manifest(document.data).entries()) if document else []
    certificates = certify(store, entries, deep=True)
    current = sum(certificate.verdict == "CURRENT" for certificate in certificates)
    show_status(read_status(store))
    copied = stored - downloads
    shared = f" {copied} have the bytes of another one and were copied inside the store." if copied else ""
    print_line(f"Downloaded by the first sync: {downloads}.{shared} By the second: {again}.")
    print_line(f"Re-hashed from disk: {current} of {len(entries)} bottles equal their digest.")
    print_line(f"The manifest: {mirror}/{MANIFEST_KEY}. The bottles: {mirror}/<date>/.")
    print_line(f"Look at the runs, and start some by clicks: make demo-ui{place}, then http://127.0.0.1:3000")
    print_line(
        f'Real bottles: make demo-clean{place}, then make sync FORMULAE="jq ripgrep" PLATFORMS=arm64_sonoma'
    )
    if again or current != len(entries) or not entries:
        sys.exit(1)


if __name__ == "__main__":
    main()
