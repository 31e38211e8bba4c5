"""What the Lambda route costs over the in-process route, and what raising LAMBDA_CONCURRENCY does.

    python -m benchmarks.lambda_route [--bottles 2000] [--rounds 3] [--output docs/performance.md]

One Dagster run of `mirror_platform` per row, in this process, with the route as its tag. The bucket is
SeaweedFS; the Lambdas are real awslambdaric processes of the local AWS, warm as a second sync finds them.
Once upstream sends as fast as it can, once each body at 400 KB/s, as a registry far away does. All of it
shares this machine.
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg

from benchmarks import report
from brew_assets.simulator import Fault, Simulator, World
from brew_assets_tests.deployed.account import FUNCTION, new_account
from brew_assets_tests.local_aws.session import LocalAws
from brew_assets_tests.servers import S3Server, seaweedfs

PLATFORM = "arm64_sonoma"
BOTTLE_BYTES = 100_000
SLOW_BYTES_PER_SECOND = 400_000
CONCURRENCIES = (1, 2, 4, 8)
_QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


class Bench:
    """A bucket server, a local AWS with the function, and an upstream of equal bottles."""

    def __init__(self, aws: LocalAws, s3: S3Server, upstream: Simulator) -> None:
        self.aws = aws
        self.s3 = s3
        self.upstream = upstream
        self.account = new_account(aws, {})

    def environment(self, *, prefix: str, concurrency: int) -> dict[str, str]:
        """The settings of a run, and of the function."""
        credentials = self.s3.environment(prefix)
        endpoint = credentials.pop("AWS_ENDPOINT_URL")
        return {
            **credentials,
            **self.upstream.environment(),
            "AWS_ENDPOINT_URL": self.aws.url,
            "AWS_ENDPOINT_URL_S3": endpoint,
            "TARGET_PLATFORMS": PLATFORM,
            "LAMBDA_SYNC_FUNCTION": FUNCTION,
            "LAMBDA_CONCURRENCY": str(concurrency),
        }

    def run(self, route: str, *, concurrency: int) -> tuple[float, int]:
        """Seconds of the run's `bottles` step into an empty prefix, and how many invocations it made."""
        environment = self.environment(prefix=self.s3.new_prefix(), concurrency=concurrency)
        self.account.set_function(environment=environment)
        if route == "lambda":
            self._warm(concurrency)
        before = len(self.aws.invocations())
        with changed_environment(environment), dg.DagsterInstance.ephemeral() as instance:
            from brew_assets.definitions import defs

            job = defs.resolve_job_def("mirror_platform")
            planned = defs.resolve_job_def("weekly_sync").execute_in_process(
                instance=instance, run_config=_QUIET
            )
            (event,) = [
                e
                for e in planned.get_asset_materialization_events()
                if e.asset_key == dg.AssetKey("pending_bottles")
            ]
            sync_id = str(event.materialization.metadata["sync_id"].value)
            begun = time.monotonic()
            result = job.execute_in_process(
                instance=instance,
                partition_key=PLATFORM,
                asset_selection=[dg.AssetKey("bottles")],
                tags={"mirror/sync_id": sync_id, "mirror/route": route},
                run_config=_QUIET,
            )
            seconds = time.monotonic() - begun
            assert result.success
        return seconds, len(self.aws.invocations()) - before

    def _warm(self, concurrency: int) -> None:
        """So many environments have served an event before."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(concurrency) as pool:
            list(pool.map(lambda _: self.account.invoke({"warm": True}), range(concurrency)))


@contextmanager
def changed_environment(values: dict[str, str]) -> Iterator[None]:
    """This process's environment has the values while the block lasts."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def table(bench: Bench, *, bottles: int, rounds: int) -> list[str]:
    """The rows of one upstream: route, concurrency, seconds, ratio, invocations."""
    rows = [("in process", "local", 1)] + [
        (f"Lambda, LAMBDA_CONCURRENCY={n}", "lambda", n) for n in CONCURRENCIES
    ]
    seconds: dict[str, list[float]] = {name: [] for name, _, _ in rows}
    invoked: dict[str, int] = {}
    for _ in range(rounds):
        for name, route, concurrency in rows:
            took, invocations = bench.run(route, concurrency=concurrency)
            print(f"{name}: {took:.2f} s, {invocations} invocations", flush=True)
            seconds[name].append(took)
            invoked[name] = invocations
    alone = statistics.median(seconds["in process"])
    lines = [
        "| route | seconds median (min-max) | in-process = 1 | bottles per s | invocations |",
        "|---|---|---|---|---|",
    ]
    for name, _, _ in rows:
        found = seconds[name]
        median = statistics.median(found)
        lines.append(
            f"| {name} | {median:.1f} ({min(found):.1f}-{max(found):.1f}) | {median / alone:.2f} "
            f"| {bottles / median:.0f} | {invoked[name]} |"
        )
    return lines


def main() -> None:
    """Measures, prints, and renews the block of a document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bottles", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="file whose marked block is replaced")
    arguments = parser.parse_args()
    os.environ["TARGET_PLATFORMS"] = PLATFORM
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
    world = World.generate(seed=3, formulae=1)
    published = [
        bottle
        for number in range(arguments.bottles)
        for bottle in world.publish(f"bench-{number:05}", "1.0", tags=(PLATFORM,), size_bytes=BOTTLE_BYTES)
    ]
    with ExitStack() as stack:
        upstream = stack.enter_context(Simulator(world))
        bench = Bench(stack.enter_context(LocalAws()), stack.enter_context(seaweedfs()), upstream)
        fast = table(bench, bottles=arguments.bottles, rounds=arguments.rounds)
        for bottle in published:
            upstream.fault(bottle.filename, Fault.slow(SLOW_BYTES_PER_SECOND, times=None))
        slow = table(bench, bottles=arguments.bottles, rounds=arguments.rounds)
    block = "\n".join(
        (
            "### The Lambda route beside the in-process route",
            "",
            f"Each Dagster run stores {arguments.bottles:,} bottles of {BOTTLE_BYTES // 1000} KB, ten",
            "workers in each process. The Lambdas are warm. Upstream, bucket, run and Lambdas share the",
            f"machine's two cores, which real ones do not. Rounds, the rows interleaved: {arguments.rounds}.",
            "",
            "Upstream as fast as it can be:",
            "",
            *fast,
            "",
            f"Upstream at {SLOW_BYTES_PER_SECOND // 1000} KB/s per body:",
            "",
            *slow,
        )
    )
    print(block)
    if arguments.output:
        report.write_block(arguments.output, block, name="lambda-route")


if __name__ == "__main__":
    main()
