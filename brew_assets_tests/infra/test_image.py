"""The image: its build leaves the checkout alone, and every program of it starts, works and ends."""

import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import httpx
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.ref import InstanceRef
from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT, JobPythonOrigin, RepositoryPythonOrigin
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import ExecuteRunArgs, ListRepositoriesResponse
from dagster_shared.serdes import deserialize_value

from brew_assets.definitions import defs
from brew_assets.domain.manifest import decode_manifest
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.simulator import Simulator, World
from brew_assets_tests.infra import image
from brew_assets_tests.infra.image import DOCKERFILE, ROOT, Program, in_context, instructions
from brew_assets_tests.local_aws.runtime_api import RuntimeApi, Work
from brew_assets_tests.ports import free_ports
from brew_assets_tests.postgres import Postgres

pytestmark = pytest.mark.timeout(900)

MAX_IMAGE_MIB = 300
Start = Callable[..., Program]


@pytest.fixture(scope="module")
def places() -> Iterator[Path]:
    """A folder that every user can pass through: pytest's own ones are closed."""
    with tempfile.TemporaryDirectory(prefix="image-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def context(places: Path) -> Path:
    return image.copy_context(places / "context")


@pytest.fixture(scope="module")
def built(places: Path, context: Path) -> Path:
    """What /opt/brew-assets is in the image; nobody may write to it."""
    target = places / "brew-assets"
    before = image.snapshot(context)
    image.build(context, target)
    assert image.snapshot(context) == before
    if image.unprivileged() is None:
        for path in [target, *target.rglob("*")]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o222)
    return target


@pytest.fixture(scope="module")
def upstream() -> Iterator[Simulator]:
    with Simulator(World.generate(seed=5, formulae=4)) as running:
        yield running


@pytest.fixture
def mirror(places: Path) -> Iterator[Path]:
    """An empty store that the programs may write to."""
    with tempfile.TemporaryDirectory(dir=places, prefix="mirror-", ignore_cleanup_errors=True) as name:
        if (user := image.unprivileged()) is not None:
            os.chown(name, user, user)
        yield Path(name)


@pytest.fixture
def environment(
    mirror: Path, database: Postgres, account: Mapping[str, str], upstream: Simulator
) -> dict[str, str]:
    """What a task definition sets, and what a container has besides: hardly anything."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(mirror),
        "TMPDIR": str(mirror),
        "MIRROR_URL": str(mirror / "store"),
        **database.environment(),
        **account,
        **upstream.environment(),
    }


@pytest.fixture
def start(built: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts the image's entry point with arguments, and more environment."""
    with contextlib.ExitStack() as stack:

        def begin(*arguments: str, **more: str) -> Program:
            log = tmp_path / f"{len(list(tmp_path.iterdir()))}-{arguments[0]}.log"
            program = Program([str(built / "entrypoint"), *arguments], environment | more, log)
            stack.callback(program.close)
            return program

        yield begin


def test_the_build_makes_what_the_tasks_need_and_no_more(built: Path) -> None:
    assert {path.name for path in built.iterdir()} == {"venv", "dagster_home", "workspace.yaml", "entrypoint"}
    for name, source in {
        "dagster_home/dagster.yaml": "infra/dagster/dagster.yaml",
        "workspace.yaml": "infra/dagster/workspace.yaml",
        "entrypoint": "infra/image/entrypoint",
    }.items():
        assert (built / name).read_bytes() == (ROOT / source).read_bytes()
    packages = next((built / "venv" / "lib").glob("python3.*/site-packages"))
    names = {path.name for path in packages.iterdir()}
    assert not names & {"pip", "setuptools", "pytest", "moto", "brew_assets_tests", "tests"}
    sources = list((packages / "brew_assets").rglob("*.py"))
    compiled = list((packages / "brew_assets").rglob("*.pyc"))
    assert len(sources) == len(list((ROOT / "brew_assets").rglob("*.py"))) == len(compiled)
    size = sum(path.lstat().st_size for path in built.rglob("*"))
    assert size < MAX_IMAGE_MIB * 2**20


def test_the_versions_are_those_of_the_lock(built: Path) -> None:
    code = "import json\nfrom importlib.metadata import distributions as all\n"
    code += "print(json.dumps({found.name: found.version for found in all()}))"
    found = subprocess.run(
        [str(built / "venv/bin/python"), "-c", code], capture_output=True, text=True, check=True
    )
    installed = {_normal(name): version for name, version in json.loads(found.stdout).items()}
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = {
        _normal(name): version
        for name, version in re.findall(r"^([\w.-]+)(?:\[.*\])?==([^\s;]+)", lock, re.M)
    }
    assert installed.pop("brew-assets") == "0.1.0"
    assert installed.items() <= locked.items()
    assert installed.keys() >= {
        "dagster",
        "dagster-webserver",
        "dagster-aws",
        "dagster-postgres",
        "awslambdaric",
    }


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_nobody_can_write_to_the_application(built: Path) -> None:
    for path in [built, *built.rglob("*")]:
        status = path.lstat()
        if not stat.S_ISLNK(status.st_mode):
            assert not status.st_mode & 0o022, path
            assert status.st_mode & 0o004, path


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "left").touch()
    done = subprocess.run(
        [str(image.IMAGE / "build"), str(tmp_path)], capture_output=True, text=True, check=False, timeout=20
    )
    assert (done.returncode, done.stderr.strip()) == (2, f"{tmp_path} is not empty")


def test_the_code_server_serves_the_definitions_and_ends_on_sigterm(start: Start) -> None:
    (port,) = free_ports(1)
    server = start("code-server", DAGSTER_CODE_SERVER_PORT=str(port))
    server.wait_until(lambda: _listens(port), "code server")
    checked = start("dagster", "api", "grpc-health-check", "-p", str(port))
    assert checked.wait() == 0, checked.output
    answered = DagsterGrpcClient(host="127.0.0.1", port=port).list_repositories()
    repositories = deserialize_value(answered, ListRepositoriesResponse)
    (pointer,) = repositories.repository_code_pointer_dict.values()
    assert isinstance(pointer, ModuleCodePointer)
    assert pointer.module == "brew_assets.definitions"
    # What the launcher starts in a task is looked up on the image's PATH.
    assert repositories.entry_point == DEFAULT_DAGSTER_ENTRY_POINT
    if (user := image.unprivileged()) is not None:
        assert image.user_of(server.process) == user
    assert server.stop() == 0


def _listens(port: int) -> bool:
    import socket

    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def test_webserver_and_daemon_find_the_code_server_and_end_on_sigterm(start: Start) -> None:
    code_port, web_port = free_ports(2)
    where = {"DAGSTER_CODE_SERVER_HOST": "127.0.0.1", "DAGSTER_CODE_SERVER_PORT": str(code_port)}
    code = start("code-server", **where)
    code.wait_until(lambda: _listens(code_port), "code server")
    web = start("webserver", "-h", "127.0.0.1", "-p", str(web_port), **where)
    daemon = start("daemon", **where, SCHEDULE_ENABLED="false")
    with httpx.Client(base_url=f"http://127.0.0.1:{web_port}", timeout=30, trust_env=False) as client:
        info = web.wait_until(lambda: _answer(client), "/server_info", 90)
        assert info["dagster_webserver_version"] == dg.__version__
        locations = "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } }"
        entries = _ask(client, locations)["workspaceOrError"]["locationEntries"]
        assert entries == [{"name": "brew_assets", "loadStatus": "LOADED"}]
        daemon.wait_until(lambda: _healthy(client), "heartbeats of the daemons", 90)
    assert (daemon.stop(), web.stop(), code.stop()) == (0, 0, 0), daemon.output[-2000:] + web.output[-2000:]
    for program in (daemon, web, code):
        assert _in_json(program.output), program.output


def _in_json(output: str) -> list[dict[str, Any]]:
    """The lines of a log, all of which are JSON objects."""
    return [json.loads(line) for line in output.splitlines()]


def _answer(client: httpx.Client) -> dict[str, Any] | None:
    with contextlib.suppress(httpx.HTTPError):
        found: dict[str, Any] = client.get("/server_info").json()
        return found
    return None


def _ask(client: httpx.Client, query: str) -> Any:
    return client.post("/graphql", json={"query": query}).raise_for_status().json()["data"]


def _healthy(client: httpx.Client) -> bool:
    query = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"
    statuses = _ask(client, query)["instance"]["daemonHealth"]["allDaemonStatuses"]
    required = {status["daemonType"]: status["healthy"] for status in statuses if status["required"]}
    assert {"MONITORING", "EVENT_LOG_CONSUMER", "QUEUED_RUN_COORDINATOR", "SENSOR", "SCHEDULER"} <= set(
        required
    )
    return all(required.values())


@pytest.fixture
def instance(
    built: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """The instance that the image's configuration describes, as the daemon has it."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (environment | {"AWS_DEFAULT_REGION": environment["AWS_REGION"]}).items():
        if name.startswith(("AWS_", "DAGSTER_", "ECS_")):
            monkeypatch.setenv(name, value)
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(built / "dagster_home"))) as found:
        yield found
        for run in found.get_runs():
            # Where Dagster stages a step's output; a container's /tmp ends with it.
            shutil.rmtree(f"/tmp/{run.run_id}", ignore_errors=True)


def _new_run(instance: dg.DagsterInstance, built: Path) -> tuple[str, JobPythonOrigin]:
    """A run of weekly_sync as the daemon makes it: its code is that of the code server's image."""
    pointer = ModuleCodePointer("brew_assets.definitions", "defs", working_directory="/")
    repository = RepositoryPythonOrigin(
        executable_path=str(built / "venv/bin/python"),
        code_pointer=pointer,
        entry_point=DEFAULT_DAGSTER_ENTRY_POINT,
    )
    origin = JobPythonOrigin(job_name="weekly_sync", repository_origin=repository)
    run = instance.create_run_for_job(defs.resolve_job_def("weekly_sync"), job_code_origin=origin)
    return run.run_id, origin


def test_the_launchers_command_carries_out_a_run(
    start: Start, built: Path, instance: dg.DagsterInstance, account: Mapping[str, str]
) -> None:
    run_id, origin = _new_run(instance, built)
    arguments = ExecuteRunArgs(job_origin=origin, run_id=run_id, instance_ref=instance.get_ref())
    worker = start(*arguments.get_command_args())
    assert worker.wait(90) == 0, worker.output
    finished = instance.get_run_by_id(run_id)
    assert finished is not None
    assert finished.status == dg.DagsterRunStatus.SUCCESS, worker.output[-3000:]
    assert run_id in {line.get("run_id") for line in _in_json(worker.output)}, worker.output[-6000:]
    s3 = boto3.client("s3", endpoint_url=account["AWS_ENDPOINT_URL"])
    stored = [item["Key"] for item in s3.list_objects_v2(Bucket="output")["Contents"]]
    assert stored
    assert all(key.startswith(f"state/compute-logs/storage/{run_id}/") for key in stored)


def test_run_takes_what_the_launcher_would_put_after_it(start: Start) -> None:
    shown = start("run", "--help")
    assert shown.wait() == 0
    assert "execute_run [OPTIONS] [INPUT_JSON]" in shown.output


def test_anything_else_is_run_as_it_stands(start: Start) -> None:
    shown = start("brew-mirror", "--help")
    assert (shown.wait(), "verify" in shown.output) == (0, True)
    assert start("no-such-program").wait() == 127


def test_without_a_name_the_entry_point_lists_the_names(built: Path) -> None:
    done = subprocess.run(
        [str(built / "entrypoint")], capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == 2
    assert done.stderr.startswith("usage: entrypoint webserver|daemon|code-server|run|lambda|COMMAND")


@pytest.mark.parametrize(
    ("name", "program"),
    [("webserver", "dagster-webserver"), ("daemon", "dagster-daemon"), ("code-server", "dagster")],
)
@pytest.mark.parametrize(("log_format", "flag"), [("", "json"), ("json", "json"), ("text", "colored")])
def test_log_format_reaches_dagsters_own_programs(
    tmp_path: Path, name: str, program: str, log_format: str, flag: str
) -> None:
    entrypoint = shutil.copy(image.IMAGE / "entrypoint", tmp_path)
    stand_in = tmp_path / "venv" / "bin" / program
    stand_in.parent.mkdir(parents=True)
    stand_in.write_text('#!/bin/sh\necho "$@"\n')
    stand_in.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "LOG_FORMAT": log_format}
    done = subprocess.run(
        [entrypoint, name], env=environment, capture_output=True, text=True, check=True, timeout=20
    )
    assert f"--log-format {flag} " in done.stdout


def test_a_step_has_time_to_pass_its_last_lines_on_to_the_tasks_log(tmp_path: Path) -> None:
    entrypoint = shutil.copy(image.IMAGE / "entrypoint", tmp_path)
    name = "DAGSTER_COMPUTE_LOG_TAIL_WAIT_AFTER_FINISH"
    for environment, seconds in (({}, "1.5"), ({name: "4"}, "4")):
        done = subprocess.run(
            [entrypoint, "printenv", name],
            env={"PATH": "/usr/bin:/bin"} | environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        assert done.stdout == f"{seconds}\n"


def test_the_lambda_copies_what_an_event_names_and_refuses_what_it_does_not_understand(
    start: Start, upstream: Simulator, mirror: Path
) -> None:
    bottle = upstream.world.bottles[0]
    bottles = {bottle.tag: {"url": bottle.url, "sha256": bottle.digest, "size": bottle.size}}
    if bottle.rebuild:
        bottles[bottle.tag]["rebuild"] = bottle.rebuild
    formula = {"name": bottle.formula, "version": bottle.pkg_version, "bottles": bottles}
    with contextlib.closing(RuntimeApi()) as api:
        function = start("lambda", AWS_LAMBDA_RUNTIME_API=api.address)
        function.wait_until(api.ready.is_set, "first question for work")
        assert api.init_error is None, api.init_error
        kind, answered = _invoke(api, {"formulas": [formula], "sync_date": "2025-07-21"})
        assert kind == "ok", answered
        stored = mirror / "store" / "2025-07-21" / bottle.filename
        assert stored.stat().st_size == bottle.size
        assert [
            entry.sha256
            for _, entry in decode_manifest((mirror / "store" / MANIFEST_KEY).read_bytes()).entries()
        ] == [bottle.digest]
        kind, answered = _invoke(api, {"source": "manual"})
        assert kind == "error"
        assert "source" in answered["errorMessage"]
        assert function.stop() == -15


def _invoke(api: RuntimeApi, event: object) -> tuple[str, Any]:
    work = Work(
        request_id=f"{len(json.dumps(event)):08d}-0000-4000-8000-000000000000",
        payload=json.dumps(event).encode(),
        function_arn="arn:aws:lambda:us-east-1:123456789012:function:mirror",
        deadline_ms=int(time.time() * 1000) + 60_000,
    )
    api.hand_out(work)
    kind, body = work.outcome.get(timeout=60)
    return kind, json.loads(body)


def test_the_dockerfile_runs_the_build_and_starts_programs_that_exist() -> None:
    assert instructions("RUN") == ["PYTHON=python3 infra/image/build /opt/brew-assets"]
    assert [json.loads(found) for found in instructions("ENTRYPOINT")] == [["/opt/brew-assets/entrypoint"]]
    (command,) = (json.loads(found) for found in instructions("CMD"))
    entrypoint = (image.IMAGE / "entrypoint").read_text(encoding="utf-8")
    names = re.findall(r"^  ([a-z-]+)\)", entrypoint, re.MULTILINE)
    assert names == ["webserver", "daemon", "code-server", "run", "lambda"]
    assert command[0] in names
    for name in names:
        assert re.search(rf"^#   {name} ", entrypoint, re.MULTILINE)


def test_every_program_replaces_the_shell() -> None:
    entrypoint = (image.IMAGE / "entrypoint").read_text(encoding="utf-8")
    branches = entrypoint.split("case $name in\n")[1].split("esac")[0]
    assert branches.count(";;") == branches.count("exec ") == 6
    assert " &\n" not in entrypoint


def test_the_image_has_one_pinned_base_and_an_unprivileged_user() -> None:
    (base,) = instructions("ARG")
    assert re.fullmatch(r"BASE=python:3\.1[1-4]\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", base)
    assert [found.split()[0] for found in instructions("FROM")] == ["${BASE}", "${BASE}"]
    assert "latest" not in DOCKERFILE
    assert instructions("USER") == [f"{image.NOBODY}:{image.NOBODY}"]


def test_the_build_gets_sources_and_nothing_else() -> None:
    for line in instructions("COPY"):
        for source in line.split()[:-1]:
            if not line.startswith("--from"):
                assert (ROOT / source).exists()
                assert in_context(ROOT / source), source
    for name in (
        ".git/config",
        ".venv/bin/python",
        "mirror/bottles_hash.json",
        ".env",
        "brew_assets_tests/fakes.py",
        "infra/dagster/laptop/dagster.yaml",
        "infra/terraform/terraform.tfstate",
        "brew_assets/domain/__pycache__/plan.cpython-311.pyc",
    ):
        assert not in_context(ROOT / name), name


def test_the_scripts_are_posix() -> None:
    shell = shutil.which("dash") or "sh"
    for name in ("build", "entrypoint"):
        assert os.access(image.IMAGE / name, os.X_OK)
        subprocess.run([shell, "-n", str(image.IMAGE / name)], check=True, timeout=20)
