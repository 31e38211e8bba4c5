"""One nginx on loopback: as the upstream of a set, or with TLS before the sink."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from benchmarks.certificates import Trust

_CONFIG = """\
{user}worker_processes 1;
daemon off;
pid "{scratch}/nginx.pid";
error_log "{scratch}/error.log" warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 75s;
    keepalive_requests 1000000;
    default_type application/octet-stream;
    client_body_temp_path "{scratch}/body";
    proxy_temp_path "{scratch}/proxy";
    fastcgi_temp_path "{scratch}/fastcgi";
    uwsgi_temp_path "{scratch}/uwsgi";
    scgi_temp_path "{scratch}/scgi";
{servers}}}
"""


class NginxError(Exception):
    """nginx did not start; the message holds its log."""


def find_nginx() -> str | None:
    """The nginx program, or None. Debian keeps it outside an ordinary user's PATH."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which("nginx", path=path)


def listening(port: int, trust: Trust | None) -> str:
    """The lines of a server block that say where it listens, with TLS where there is a certificate."""
    if trust is None:
        return f"listen 127.0.0.1:{port};"
    return (
        f"listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:all:4m; "
        f'ssl_certificate "{trust.certificate}"; ssl_certificate_key "{trust.key}";'
    )


class Nginx:
    """Serves what its server blocks say; use as a context manager."""

    def __init__(self, program: str, servers: str, *, ports: list[int], scratch: Path) -> None:
        self._program = program
        self._servers = servers
        self._ports = ports
        self._scratch = scratch
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._scratch.mkdir(parents=True, exist_ok=True)
        config = self._scratch / "nginx.conf"
        # Workers of a master that root starts would otherwise run as "nobody" and could not read the set.
        user = f"user {pwd.getpwuid(0).pw_name};\n" if os.geteuid() == 0 else ""
        config.write_text(_CONFIG.format(user=user, scratch=self._scratch, servers=self._servers))
        log = self._scratch / "start.log"
        command = [self._program, "-p", str(self._scratch), "-e", str(log), "-c", str(config)]
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            for port in self._ports:
                self._wait(port, log)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def cpu_s(self) -> float:
        """CPU seconds of the master and its workers so far."""
        assert self._process is not None
        master = psutil.Process(self._process.pid)
        spent = [process.cpu_times() for process in [master, *master.children(recursive=True)]]
        return sum(times.user + times.system for times in spent)

    def _wait(self, port: int, log: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise NginxError(f"nginx did not listen within 10 s: {log.read_text().strip()}")

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
