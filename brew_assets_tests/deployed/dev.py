"""`make dev-aws`: the project on a local AWS, mirroring a simulated upstream, until Ctrl-C."""

import signal
import sys
import threading

import click

from brew_assets.simulator import Simulator, World
from brew_assets_tests.deployed.deployment import deployed

# Small plans go through Lambda, one of all formulae through ECS.
_SETTINGS = {
    "SIZE_THRESHOLD_GB": "0.001",
    "ECS_SPOT_PERCENT": "67",
    "LAMBDA_CONCURRENCY": "3",
    "PROGRESS_UPDATE_INTERVAL": "10",
    "SCHEDULE_EXPRESSION": "*/10 * * * *",
}


@click.command()
@click.option("--formulae", default=60, show_default=True, type=click.IntRange(1, 5000))
def main(formulae: int) -> None:
    """Start PostgreSQL, a local AWS and Dagster's services on loopback; Ctrl-C ends all of it.

    \b
    The schedule plans every ten minutes. To plan at once: Jobs, weekly_sync, Launchpad, Launch run.
    """
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    click.echo("Starting PostgreSQL, the local AWS, code server, webserver and daemon …")
    world = World.generate(seed=1, formulae=formulae)
    with Simulator(world) as upstream, deployed(upstream, _SETTINGS, quick=False) as running:
        click.echo(f"Dagster:  {running.webserver.url}")
        click.echo(f"AWS:      {running.aws.url} (any access key), for example:")
        environment = running.aws.environment()
        click.echo(
            "  export "
            + " ".join(f"{name}={environment[name]}" for name in sorted(environment) if "META" not in name)
        )
        click.echo(f"  aws s3 ls s3://{running.settings['S3_BUCKET_NAME']}/ --recursive")
        click.echo(f"Upstream: {upstream.api_url} ({len(world.bottles):,} simulated bottles)")
        click.echo("Ctrl-C ends all of it.")
        sys.stdout.flush()
        ended.wait()
        click.echo("Stopping …")


if __name__ == "__main__":
    main()
