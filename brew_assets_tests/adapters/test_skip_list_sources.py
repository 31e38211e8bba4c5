"""Where external hash files come from: each source as an operator has it, and what goes wrong there."""

import gzip
import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from brew_assets.adapters import skip_list_sources as hash_file_sources
from brew_assets.adapters.s3.bucket_client import S3Options
from brew_assets.adapters.skip_list_sources import HttpsHashFile, PathHashFile, S3HashFile
from brew_assets.compose.store import build_hash_files
from brew_assets.domain.skip_list import decode_hash_file
from brew_assets.errors import HashFileInvalid, PlanningStopped, SettingsInvalid
from brew_assets.settings import Settings
from brew_assets_tests.aws_profiles import NOBODY, ROLE, Profiles
from brew_assets_tests.fakes import FakeStop, ImpatientClock
from brew_assets_tests.private_ca import PrivateCa
from brew_assets_tests.raw_server import RawServer, head, raw_server, whole
from brew_assets_tests.servers import ACCESS_KEY, REGION, SECRET_KEY, seaweedfs

DIGEST = "ab" * 32
LISTED = json.dumps([DIGEST]).encode()


@pytest.fixture
def web() -> Iterator[str]:
    """A web server: /hashes.json, /private (403) and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = {"/hashes.json": 200, "/private": 403}.get(self.path.split("?")[0], 404)
            body = LISTED if status == 200 else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_path_is_read(tmp_path: Path) -> None:
    (tmp_path / "hashes.json").write_bytes(LISTED)
    assert decode_hash_file(PathHashFile(tmp_path / "hashes.json").load().data).digests == {DIGEST}
    with pytest.raises(HashFileInvalid, match="cannot be read"):
        PathHashFile(tmp_path / "absent.json").load()


def test_a_path_that_can_be_none_is_a_hash_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "x\0y", tmp_path / ("x" * 5_000)):
        with pytest.raises(HashFileInvalid, match="cannot be read"):
            PathHashFile(path).load()


def test_a_file_over_the_limit_is_refused(tmp_path: Path, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_file_sources, "MAX_HASH_FILE_BYTES", len(LISTED) - 1)
    (tmp_path / "hashes.json").write_bytes(LISTED)
    for source in (
        PathHashFile(tmp_path / "hashes.json"),
        HttpsHashFile(f"{web}/hashes.json", timeout_s=5, clock=ImpatientClock()),
    ):
        with pytest.raises(HashFileInvalid, match="bytes"):
            source.load()


def test_only_a_regular_file_is_read_and_a_link_leads_to_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "hashes.json").write_bytes(LISTED)
    (tmp_path / "link").symlink_to("hashes.json")
    (tmp_path / "dangling").symlink_to("absent")
    (tmp_path / "to-fifo").symlink_to("fifo")
    assert PathHashFile(tmp_path / "link").load().data == LISTED
    for path, found in (
        (tmp_path / "fifo", "a FIFO"),
        (tmp_path / "to-fifo", "a FIFO"),
        (tmp_path, "a folder"),
        (Path("/dev/zero"), "a device"),
        (tmp_path / "dangling", "No such file"),
    ):
        with pytest.raises(HashFileInvalid, match=f"cannot be read: .*{found}"):
            PathHashFile(path).load()


def test_a_file_that_claims_to_be_empty_is_read_no_further_than_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Of /proc's files the size is 0 until they are read, as that of a growing one is too small.
    monkeypatch.setattr(hash_file_sources, "MAX_HASH_FILE_BYTES", 3)
    with pytest.raises(HashFileInvalid, match="at most 3 bytes, found more"):
        PathHashFile(Path("/proc/self/status")).load()


def test_an_address_is_read_and_its_secret_part_never_shown(web: str) -> None:
    source = HttpsHashFile(f"{web}/hashes.json?X-Amz-Signature=secret", timeout_s=5, clock=ImpatientClock())
    assert decode_hash_file(source.load().data).digests == {DIGEST}
    assert "secret" not in source.name


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("{web}/absent.json", "found 404"),
        ("{web}/private?token=secret", "found 403"),
        ("http://127.0.0.1:9/hashes.json?token=secret", "cannot be had"),
        ("http://hashes.example/hashes.json", "use https"),
        ("file:///etc/passwd", "no https address"),
        ("https://xn--a/hashes.json?token=secret", "cannot be had"),
        (f"https://{'a' * 64}.example/hashes.json?token=secret", "cannot be had: UnicodeError"),
    ],
)
def test_an_address_that_gives_nothing_says_why_without_its_secret(web: str, url: str, said: str) -> None:
    with pytest.raises(HashFileInvalid) as caught:
        HttpsHashFile(url.format(web=web), timeout_s=5, clock=ImpatientClock()).load()
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_machine_that_can_make_no_tls_has_no_hash_file(
    web: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", "/nonexistent/keys")
    with pytest.raises(HashFileInvalid, match="cannot be had: FileNotFoundError"):
        HttpsHashFile(
            f"{web}/hashes.json", timeout_s=5, reach=PrivateCa(tmp_path).reach(), clock=ImpatientClock()
        ).load()


@pytest.mark.parametrize(
    "profile",
    [
        "credential_process = /nonexistent/program",
        "credential_process = /bin/false",
        "credential_process = /bin/echo rubbish",
        f"{ROLE}source_profile = absent",
        f"{ROLE}web_identity_token_file = /nonexistent/token",
    ],
)
def test_a_bucket_without_credentials_has_no_hash_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    Profiles(tmp_path, monkeypatch).write(profile)
    options = S3Options(bucket="hashes", region=REGION, endpoint_url=NOBODY)
    with pytest.raises(HashFileInvalid, match="cannot be had: AWS credentials: "):
        S3HashFile(options, "hashes.json", clock=ImpatientClock()).load()


def test_an_endpoint_that_is_none_has_no_hash_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Profiles(tmp_path, monkeypatch).write("aws_access_key_id = a\naws_secret_access_key = b")
    for endpoint in ("no address", "http://[x"):
        with pytest.raises(HashFileInvalid, match="cannot be had"):
            S3HashFile(
                S3Options(bucket="b-b", region=REGION, endpoint_url=endpoint),
                "hashes.json",
                clock=ImpatientClock(),
            ).load()


def test_an_object_in_a_bucket_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    with seaweedfs() as server:
        server.client.put_object(Bucket=server.bucket, Key="seed/hashes.json", Body=LISTED)
        options = S3Options(bucket=server.bucket, region=REGION, endpoint_url=server.url)
        source = S3HashFile(options, "seed/hashes.json", clock=ImpatientClock())
        assert source.name == f"s3://{server.bucket}/seed/hashes.json"
        assert decode_hash_file(source.load().data).digests == {DIGEST}
        with pytest.raises(HashFileInvalid, match="no such object"):
            S3HashFile(options, "seed/absent.json", clock=ImpatientClock()).load()
        # Nothing of S3's is decoded.
        packed = gzip.compress(LISTED)
        server.client.put_object(Bucket=server.bucket, Key="packed.json", Body=packed, ContentEncoding="gzip")
        with pytest.raises(HashFileInvalid, match=r"packed\.json: .* found Content-Encoding 'gzip'"):
            S3HashFile(options, "packed.json", clock=ImpatientClock()).load()
        monkeypatch.setattr(hash_file_sources, "MAX_HASH_FILE_BYTES", len(LISTED))
        assert source.load().data == LISTED
        monkeypatch.setattr(hash_file_sources, "MAX_HASH_FILE_BYTES", len(LISTED) - 1)
        with pytest.raises(
            HashFileInvalid, match=f"expected at most {len(LISTED) - 1} bytes, found {len(LISTED)}"
        ):
            source.load()


def test_a_bucket_that_trickles_or_stalls_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    stop = FakeStop()

    def answer(server: RawServer, connection: socket.socket) -> None:
        connection.sendall(head(100) + b"x")
        stop.set()
        server.over.wait(60)

    with raw_server(answer) as server, pytest.raises(PlanningStopped):
        S3HashFile(
            S3Options(bucket="b-b", region=REGION, endpoint_url=server.url),
            "k",
            stop=stop,
            clock=ImpatientClock(),
        ).load()


def test_somebody_elses_object_that_breaks_off_is_no_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    with (
        raw_server(lambda _, connection: connection.sendall(head(100) + b"[]")) as server,
        pytest.raises(HashFileInvalid, match="IncompleteRead"),
    ):
        S3HashFile(
            S3Options(bucket="b-b", region=REGION, endpoint_url=server.url), "k", clock=ImpatientClock()
        ).load()


def test_the_password_of_an_address_is_sent_and_shown_nowhere() -> None:
    with raw_server(whole(LISTED)) as server:
        url = server.url.replace("://", "://user:PLANTED@") + "/hashes.json?token=PLANTED"
        source = HttpsHashFile(url, timeout_s=5, clock=ImpatientClock())
        assert source.load().data == LISTED
    assert b"Authorization: Basic " in server.requests[0]
    assert "PLANTED" not in source.name
    assert source.name.endswith("/hashes.json")


def test_the_settings_name_the_sources() -> None:
    assert build_hash_files(Settings()) == ()
    sources = build_hash_files(
        Settings(
            mirror_url="s3://bottles/prefix",
            external_hash_file_s3_key="hashes.json",
            external_hash_file_url="https://hashes.example/list.json?token=secret",
            external_hash_file_path="/tmp/hashes.json",
        )
    )
    assert [source.name for source in sources] == [
        "s3://bottles/hashes.json",
        "https://hashes.example/list.json",
        "/tmp/hashes.json",
    ]
    with pytest.raises(SettingsInvalid, match="EXTERNAL_HASH_FILE_S3_BUCKET"):
        build_hash_files(Settings(mirror_url="mirror/", external_hash_file_s3_key="hashes.json"))
