"""What others wrote, through the whole command: shown as text, and never the reason for another exit code."""

import json
import os
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from brew_assets.domain.foreign_text import printable_lines
from brew_assets.simulator import Fault, Simulator, SizeDistribution, World
from brew_assets_tests.integration.mirrors import PROGRAM, BucketMirror, DirectoryMirror
from brew_assets_tests.quirky_s3 import Quirk, quirky_s3
from brew_assets_tests.servers import S3Server

PLATFORM = ("--platform", "arm64_sonoma")
WORDS = {"LOG_FORMAT": "text", "COLUMNS": "400", "RETRY_ATTEMPTS": "0"}
# Markup that nothing opened, an emoji, a link of Rich's, and what clears, recolours and turns round a line.
HOSTILE = "[/x] :smile: [link=http://e.example]\x1b[2J\x9b31m\u202e"
SHOWN = "[/x] :smile: [link=http://e.example]\\x1b[2J\\x9b31m\\u202e"


@pytest.fixture
def upstream() -> Iterator[Simulator]:
    world = World(seed=12, sizes=SizeDistribution.fixed(2_000))
    for name in ("good", "other"):
        world.publish(name, "1.0", tags=["arm64_sonoma"])
    with Simulator(world) as running:
        yield running


@pytest.fixture
def mirror(tmp_path: Path) -> DirectoryMirror:
    return DirectoryMirror(tmp_path / "mirror")


def assert_text(done: "subprocess.CompletedProcess[str]", code: int) -> str:
    """Both streams together, of which nothing is interpreted; the command ended with this exit code."""
    both = done.stdout + done.stderr
    assert done.returncode == code, both
    assert "Traceback" not in both
    assert printable_lines(both) == both
    return both


@contextmanager
def raw_server(answer: bytes) -> Iterator[str]:
    """Host and port where every request is answered by these bytes."""

    class Answer(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    "answer",
    [
        b"[/bold]HTTP\r\n\r\n",
        b"\x1b[31mHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 500 [/x]\x1b[2J\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n[/x]\x1b]8;;http://e\x07\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: [/x]\x1b[2J\r\n\r\n",
        b"HTTP/1.1 307 x\r\nLocation: http://[/x]\x1b[2J/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 206 x\r\nContent-Range: [/x]\x9b31m\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_what_upstream_answers_fails_its_bottle_and_nothing_else(
    mirror: DirectoryMirror, upstream: Simulator, answer: bytes
) -> None:
    bad = next(bottle.filename for bottle in upstream.world.bottles if bottle.formula == "other")
    with raw_server(answer) as host:
        upstream.fault(bad, Fault.redirects_to(f"http://{host}/blob", times=None))
        hosts = f"{upstream.cdn_host},{host}"
        assert_text(mirror.run(upstream, "sync", *PLATFORM, BOTTLE_CDN_HOSTS=hosts, **WORDS), 1)
        assert_text(mirror.run(upstream, "sync", "--json", *PLATFORM, BOTTLE_CDN_HOSTS=hosts), 1)
    assert [entry.formula_name for entry in mirror.entries().values()] == ["good"]


def test_what_a_bucket_answers_is_text(s3: S3Server, upstream: Simulator) -> None:
    message = "[/nope] :smile: \x9b31m \u202e"
    body = f"<Error><Code>[/x]Denied</Code><Message>{message}</Message></Error>".encode()
    with quirky_s3(s3) as front:
        bucket = BucketMirror(front)
        other = next(bottle.filename for bottle in upstream.world.bottles if bottle.formula == "other")
        front.add(Quirk(method="PUT", key=other, status=403, body=body))
        assert_text(bucket.run(upstream, "sync", *PLATFORM, **WORDS), 1)
        front.add(Quirk(method="GET", status=403, body=body))
        for command in ("plan", "status"):
            shown = assert_text(bucket.run(upstream, command, **WORDS), 2)
            assert "[/nope] :smile: \\x9b31m \\u202e" in shown


NAMES = [
    "x [red] :smile: \x1b[2J\x9b31m\u202e-1.0.arm64_sonoma.bottle.tar.gz",
    "two\nlines\r-1.0.arm64_sonoma.bottle.tar.gz",
    "naïve…-1.0.arm64_sonoma.bottle.tar.gz",
]


@pytest.fixture
def littered(mirror: DirectoryMirror, upstream: Simulator) -> DirectoryMirror:
    """A mirror among whose bottles somebody has put files with odd names."""
    mirror.sync(upstream, *PLATFORM, "--formula", "good")
    folder = mirror.root / mirror.bottle_keys()[0].split("/")[0]
    for name in NAMES:
        (folder / name).write_bytes(b"x")
    (folder / "[").mkdir()
    (folder / "[" / "bad].tar.gz").write_bytes(b"x")
    with open(os.fsencode(folder) + b"/caf\xe9-1.0.arm64_sonoma.bottle.tar.gz", "wb") as file:
        file.write(b"x")
    return mirror


@pytest.mark.parametrize(
    ("form", "locale"),
    [
        ((), {}),
        ((), {"PYTHONIOENCODING": "ascii"}),
        (("--json",), {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
    ],
    ids=["words", "words in ASCII", "JSON in the locale C"],
)
def test_names_on_the_disk_are_text(
    littered: DirectoryMirror, upstream: Simulator, form: tuple[str, ...], locale: dict[str, str]
) -> None:
    for command in (
        ("plan", *PLATFORM),
        ("sync", *PLATFORM),
        ("verify",),
        ("manifest", "rebuild"),
    ):
        done = littered.run(upstream, *command, *form, **(WORDS | locale))
        shown = assert_text(done, 0)
        if form:
            assert json.loads(done.stdout)
            assert done.stdout.isascii()
        if command[0] in ("plan", "manifest"):
            assert "[red] :smile: " in shown
            # The store names the file by escapes already; JSON has its own for their backslashes.
            name = "two\\nlines\\r"
            assert (json.dumps(name)[1:-1] if form else name) in shown


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([HOSTILE]),
        '{"[/x]\\u001b[2J\\ud800": "[/y]\\udfff"}',
        '["\\u0000\\n[/x]"]',
        "[/x]\x1b",
    ],
)
def test_what_a_hash_file_says_is_text(
    mirror: DirectoryMirror, upstream: Simulator, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "hashes[red].json"
    file.write_text(content)
    for form in ((), ("--json",)):
        done = mirror.run(
            upstream, "plan", "--dry-run", *form, *PLATFORM, EXTERNAL_HASH_FILE_PATH=str(file), **WORDS
        )
        assert "[red].json" in assert_text(done, 0)


def test_what_the_catalogue_says_is_text(mirror: DirectoryMirror) -> None:
    world = World(seed=13, sizes=SizeDistribution.fixed(2_000))
    for number in range(60):
        world.publish(f"tool{number}", "1.0", tags=["arm64_sonoma"])
    with Simulator(world) as upstream:
        entries = json.loads(world.catalogue_json())
        names = (HOSTILE, "\n[/x]", "a" * 5000, "[bold]")
        bad = [entries[0] | {"name": name, "versions": {"stable": HOSTILE}} for name in names]
        entries[1]["bottle"]["stable"]["files"][HOSTILE] = {"url": HOSTILE, "sha256": HOSTILE}
        upstream.api_body_override = json.dumps([*entries, *bad]).encode()
        for form in ((), ("--json",)):
            assert SHOWN[:40] in assert_text(mirror.run(upstream, "plan", *form, *PLATFORM, **WORDS), 0)
        upstream.api_body_override = json.dumps([entries[0], *bad]).encode()
        assert SHOWN[:40] in assert_text(mirror.run(upstream, "plan", *PLATFORM, **WORDS), 2)


def test_what_is_imported_is_text(mirror: DirectoryMirror, upstream: Simulator, tmp_path: Path) -> None:
    mirror.sync(upstream, *PLATFORM)
    foreign = json.loads(mirror.read("bottles_hash.json"))
    del foreign["integrity"]
    for number, name in enumerate((HOSTILE, "\n[/x]", "")):
        (key, entry) = next(iter(foreign["bottles"].items()))
        foreign["bottles"][f"{name}{key}"] = entry | {"s3_key": name, "formula_name": f"{name}{number}"}
    file = tmp_path / "old[red].json"
    file.write_text(json.dumps(foreign))
    for form in ((), ("--json",)):
        done = mirror.run(upstream, "manifest", "import", str(file), *form, **WORDS)
        assert done.returncode in (1, 2)
        assert_text(done, done.returncode)


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "--formula", HOSTILE),
        ("plan", "--platform", HOSTILE),
        ("sync", "--plan", HOSTILE),
        ("sync", "--plan", "\n[/x]", "--run-of", HOSTILE),
        ("manifest", "restore", "--backup", HOSTILE),
        ("manifest", "restore", "--backup", "a\nError: b"),
        ("manifest", "import", f"no-such-file{HOSTILE}"),
        ("verify", f"extra{HOSTILE}"),
        ("status", f"--no-such{HOSTILE}"),
        (f"no-such{HOSTILE}",),
        ("simulate", "--formulae", HOSTILE),
        ("--mirror", f"/nowhere/{HOSTILE}", "status"),
        ("--mirror", f"s3://{HOSTILE}/", "status"),
        ("--mirror", "\x1b[31m", "verify"),
        ("--mirror", "\udce9\n", "verify"),
        ("plan", "--formula", "caf\udce9"),
        ("plan", "--formula", "x" * 50_000),
    ],
    ids=lambda arguments: printable_lines(" ".join(arguments))[:50].replace("\n", " "),
)
def test_what_somebody_types_is_text_and_exit_code_2(
    mirror: DirectoryMirror, upstream: Simulator, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    mirror.root.mkdir()
    (mirror.root / "bottles_hash.json").write_bytes(b"")
    environment = mirror.environment(upstream, **WORDS)
    done = subprocess.run(
        [PROGRAM, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    shown = assert_text(done, 2)
    assert "Error: " in shown
    assert all(len(line) < 10_000 for line in shown.splitlines())


@pytest.mark.parametrize(
    "settings",
    [
        {"TARGET_PLATFORMS": HOSTILE},
        {"FORMULAE_API_URL": HOSTILE},
        {"FORMULAE_API_URL": f"http://127.0.0.1:1/{HOSTILE}"},
        {"BOTTLE_REGISTRY_URL": f"ftp://{HOSTILE}"},
        {"MIRROR_URL": f"ftp://{HOSTILE}"},
        {"MAX_CONCURRENT_DOWNLOADS": HOSTILE},
        {"LOG_LEVEL": HOSTILE},
        {"S3_SSE": f"\n{HOSTILE}"},
    ],
    ids=str,
)
def test_a_setting_that_is_none_is_text(
    mirror: DirectoryMirror, upstream: Simulator, settings: dict[str, str]
) -> None:
    assert_text(mirror.run(upstream, "plan", **(WORDS | settings)), 2)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("arguments", [("status",), ("sync", *PLATFORM), ("sync", "--json", *PLATFORM)])
def test_a_reader_that_is_gone_changes_no_exit_code(
    mirror: DirectoryMirror, upstream: Simulator, arguments: tuple[str, ...], stream: str
) -> None:
    mirror.sync(upstream, *PLATFORM, "--formula", "good")
    reads, writes = os.pipe()
    os.close(reads)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writes}
    try:
        done = run_with(streams, mirror, upstream, *arguments)
    finally:
        os.close(writes)
    assert done.returncode == 0
    assert not any(word in f"{done.stdout}{done.stderr}" for word in ("Traceback", "Exception ignored"))


def run_with(
    streams: dict[str, int], mirror: DirectoryMirror, upstream: Simulator, *arguments: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PROGRAM, *arguments],
        env=mirror.environment(upstream, **WORDS),
        text=True,
        check=False,
        timeout=60,
        stdout=streams["stdout"],
        stderr=streams["stderr"],
    )


def test_a_result_that_cannot_be_written_is_no_success(mirror: DirectoryMirror, upstream: Simulator) -> None:
    mirror.sync(upstream, *PLATFORM, "--formula", "good")
    with open("/dev/full", "w") as full:
        streams = {"stdout": full.fileno(), "stderr": subprocess.PIPE}
        done = run_with(streams, mirror, upstream, "status")
    assert done.returncode == 2
    assert done.stderr == "Error: standard output: No space left on device\n"
