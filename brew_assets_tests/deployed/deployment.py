"""The project deployed on a local AWS, started and ended as one thing."""

import contextlib
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from brew_assets.domain.manifest import Entry, decode_manifest
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.simulator import Simulator
from brew_assets_tests.deployed.account import (
    BUCKET,
    CLUSTER,
    FUNCTION,
    Account,
    instance_home,
    new_account,
)
from brew_assets_tests.deployed.graphql import Run, Webserver
from brew_assets_tests.local_aws.session import LocalAws, wait_for
from brew_assets_tests.ports import free_ports
from brew_assets_tests.postgres import Postgres, postgres

ROOT = Path(__file__).resolve().parents[2]
RUN_FAMILY = "homebrew-sync-run"
_START_TIMEOUT_S = 150.0


class Deployed:
    """A running deployment. `settings` are what its task definitions and its Lambda have."""

    def __init__(
        self,
        account: Account,
        upstream: Simulator,
        webserver: Webserver,
        settings: Mapping[str, str],
        database: Postgres,
        *,
        code_port: int,
    ) -> None:
        self.account = account
        self.database = database
        self.aws = account.aws
        self.upstream = upstream
        self.webserver = webserver
        self.settings = settings
        self.daemon = ""
        self.code = ""
        self._code_port = code_port
        self._s3 = account.aws.client("s3")

    def start_daemon(self) -> str:
        """The id of the daemon's new task."""
        self.daemon = self.account.run("homebrew-sync-daemon")
        return self.daemon

    def start_code(self) -> str:
        """The id of the code server's new task, which answers."""
        self.code = self.account.run("homebrew-sync-code")
        wait_for(self._code_answers, what="the code server", timeout_s=_START_TIMEOUT_S)
        return self.code

    def _code_answers(self) -> bool:
        with socket.socket() as asking:
            return asking.connect_ex(("127.0.0.1", self._code_port)) == 0

    def wait_for_run(self, run_id: str, *, timeout_s: float = 240.0) -> Run:
        """The run when it has ended."""
        return wait_for(
            lambda: run if (run := self.webserver.run(run_id)).ended else None,
            what=f"the end of run {run_id}",
            timeout_s=timeout_s,
        )

    def wait_for_task_of(self, run_id: str, *, after: str = "", timeout_s: float = 150.0) -> str:
        """The id of the run's task, another one than `after`."""
        return wait_for(
            lambda: next(
                (
                    task.id
                    for task in reversed(self.aws.tasks())
                    if task.tags.get("dagster/run_id") == run_id and task.id != after
                ),
                None,
            ),
            what=f"a task of run {run_id}",
            timeout_s=timeout_s,
        )

    def keys(self, prefix: str = "") -> list[str]:
        """All keys of the bucket that begin so."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", ()))

    def read(self, key: str) -> bytes:
        """An object's bytes."""
        return bytes(self._s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def entries(self) -> dict[str, Entry]:
        """The manifest's entries, fully checked; none when there is no manifest."""
        if MANIFEST_KEY not in self.keys(MANIFEST_KEY):
            return {}
        return dict(decode_manifest(self.read(MANIFEST_KEY)).entries())


def create_tables(database: Postgres) -> None:
    """Dagster's tables are there: processes that make them at the same time get in each other's way."""
    from dagster_postgres import DagsterPostgresStorage

    DagsterPostgresStorage(database.url(), should_autocreate_tables=True)


@contextlib.contextmanager
def deployed(
    upstream: Simulator,
    settings: Mapping[str, str],
    *,
    quick: bool = True,
    prepare: Callable[[LocalAws], Mapping[str, str]] = lambda aws: {},
) -> Iterator[Deployed]:
    """The project on a local AWS, mirroring that upstream; `settings` are added to the usual ones.

    `prepare` may make more in the account, and gives the settings that name it. Everything that was started
    is gone when the block ends.
    """
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(postgres())
        create_tables(database)
        aws = stack.enter_context(LocalAws())
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="dagster-home-", ignore_cleanup_errors=True)
        )
        home = instance_home(Path(folder), ROOT / "infra" / "dagster", quick=quick)
        web_port, code_port = free_ports(2)
        mirror = {
            "S3_BUCKET_NAME": BUCKET,
            "LAMBDA_SYNC_FUNCTION": FUNCTION,
            "ECS_CLUSTER_NAME": CLUSTER,
            "ECS_TASK_DEFINITION": RUN_FAMILY,
            "DAGSTER_URL": f"http://127.0.0.1:{web_port}",
            **upstream.environment(),
            **settings,
            **prepare(aws),
        }
        dagster = {
            "DAGSTER_HOME": str(home),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
            "DAGSTER_COMPUTE_LOGS_BUCKET": BUCKET,
            "DAGSTER_CODE_SERVER_HOST": "127.0.0.1",
            "DAGSTER_CODE_SERVER_PORT": str(code_port),
            **database.environment(),
        }
        account = new_account(aws, mirror)
        both = mirror | dagster
        workspace = str(home / "workspace.yaml")
        code = [
            "dagster",
            "api",
            "grpc",
            "-m",
            "brew_assets.definitions",
            "-h",
            "127.0.0.1",
            "-p",
            str(code_port),
        ]
        account.register(RUN_FAMILY, ["true"], both)
        account.register("homebrew-sync-code", code, both)
        account.register("homebrew-sync-daemon", ["dagster-daemon", "run", "-w", workspace], both)
        account.register(
            "homebrew-sync-web",
            ["dagster-webserver", "-w", workspace, "-h", "127.0.0.1", "-p", str(web_port)],
            both,
        )
        webserver = Webserver(f"http://127.0.0.1:{web_port}")
        stack.callback(webserver.close)
        running = Deployed(account, upstream, webserver, mirror, database, code_port=code_port)
        running.code = account.run("homebrew-sync-code")
        web = account.run("homebrew-sync-web")
        running.start_daemon()
        try:
            wait_for(webserver.is_ready, what="the webserver with the project", timeout_s=_START_TIMEOUT_S)
            wait_for(
                webserver.daemons_are_healthy, what="the daemon's heartbeats", timeout_s=_START_TIMEOUT_S
            )
        except Exception as error:
            logs = (
                "\n".join(
                    f"{task.family} {task.status} {task.stopped_reason} {task.pid}: {task.log[-3000:]}"
                    for task in aws.tasks()
                )
                + aws.errors()[-3000:]
            )
            raise RuntimeError(f"{error}; task {web}\n{logs}") from error
        yield running
