"""`make dev-aws`: the project on a local AWS, mirroring a simulated upstream, until Ctrl-C."""

import datetime as dt
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Mapping

import click

from brew_assets.simulator import Simulator, World
from brew_assets_tests.deployed.deployment import Deployed, deployed
from brew_assets_tests.deployed.listeners import Channels, make_channels
from brew_assets_tests.local_aws.session import LocalAws

_MINUTES = 10
# Small plans go through Lambda, one of all formulae through ECS.
_SETTINGS = {
    "ENVIRONMENT": "dev",
    "SIZE_THRESHOLD_GB": "0.001",
    "ECS_SPOT_PERCENT": "67",
    "LAMBDA_CONCURRENCY": "3",
    "PROGRESS_UPDATE_INTERVAL": "10",
    "SCHEDULE_EXPRESSION": f"*/{_MINUTES} * * * *",
}
# Version 1 of the command line goes to SQS itself, whatever AWS_ENDPOINT_URL says.
_FUNCTION = 'aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }'
# What examples/selective-sync.json names.
_OF_THE_EXAMPLES = {"curl": "8.17.0", "node": "25.2.1", "python@3.11": "3.11.14"}
_PLATFORMS = ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma")


@click.command()
@click.option("--formulae", default=60, show_default=True, type=click.IntRange(1, 5000))
def main(formulae: int) -> None:
    """Start PostgreSQL, a local AWS and Dagster's services on loopback; Ctrl-C ends all of it.

    The account has queues, a rule and topics as infra/terraform makes them: docs/triggers.md can be tried.
    """
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    # PostgreSQL's package asks for a folder that only desktops have, and finds another one.
    warnings.filterwarnings("ignore", message=".*XDG_RUNTIME_DIR.*")
    click.echo("Starting PostgreSQL, the local AWS, code server, webserver and daemon …")
    world = World.generate(seed=1, formulae=formulae)
    for name, version in _OF_THE_EXAMPLES.items():
        world.publish(name, version, tags=_PLATFORMS, size_bytes=60_000)
    made: list[Channels] = []

    def prepare(aws: LocalAws) -> Mapping[str, str]:
        made.append(make_channels(aws))
        return made[0].settings

    with (
        Simulator(world) as upstream,
        deployed(upstream, _SETTINGS, quick=False, prepare=prepare) as running,
    ):
        click.echo(what_to_try(running, made[0], world))
        sys.stdout.flush()
        ended.wait()
        click.echo("Stopping …")


def what_to_try(running: Deployed, channels: Channels, world: World) -> str:
    """Where to look, what goes where and when, and commands for another terminal."""
    now = dt.datetime.now(dt.UTC)
    first = now + dt.timedelta(minutes=_MINUTES - now.minute % _MINUTES)
    served = sum(bottle.size for bottle in world.bottles if bottle.tag in {*_PLATFORMS, "all"})
    variables = running.aws.environment() | {
        "TRIGGER_QUEUE_URL": channels.queues["events"],
        "TRIGGER_DEAD_LETTER_QUEUE_URL": channels.queues["dead-letters"],
        "MESSAGES_QUEUE_URL": channels.queues["messages"],
    }
    threshold = _SETTINGS["SIZE_THRESHOLD_GB"]
    exports = "\n".join(f"  export {name}={shlex.quote(value)}" for name, value in sorted(variables.items()))
    return f"""
Dagster:   {running.webserver.url}
Upstream:  {running.upstream.api_url} ({len(world.bottles):,} simulated bottles)
Schedule:  weekly_sync plans every {_MINUTES} minutes here, first at {first:%H:%M} UTC. To plan at once: Jobs,
           weekly_sync, Materialize all. The sensors are on; each looks every 30 seconds.
Routes:    SIZE_THRESHOLD_GB is {threshold}: a plan below 1 MB goes through Lambda, such as that
           of examples/selective-sync.json; a larger one through ECS, such as the first of all formulae
           ({served / 1e6:.0f} MB).
Messages:  go to an SNS topic; a queue behind it keeps them: the last command below.
AWS:       {running.aws.url}, any access key. In another terminal, in this folder, with the AWS command line:

{exports}
  {_FUNCTION}
  aws s3 ls s3://{running.settings["S3_BUCKET_NAME"]}/ --recursive
  aws events put-events --entries file://examples/manual-trigger.json
  aws sqs receive-message --queue-url "$MESSAGES_QUEUE_URL"

docs/triggers.md has more events, word for word as they work here. Ctrl-C ends all of it."""


if __name__ == "__main__":
    main()
