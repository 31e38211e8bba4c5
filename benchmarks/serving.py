"""What `brew-mirror serve` costs, beside nginx over the same files in the same run.

    python -m benchmarks.serving [--rounds 5] [--requests 4000] [--output docs/performance.md]

Both send from one folder, to one client that takes nothing apart but Content-Length; the rounds are
interleaved, and processor time is that of the servers' processes alone. The gateway logs each request as a
deployment's does; nginx has its log off. The redirects go to addresses of a bucket in SeaweedFS, which
nobody fetches. The full record has the counts of the three default platforms, and API files of their size.
"""

import argparse
import contextlib
import hashlib
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from benchmarks import report
from benchmarks.nginx import Nginx, listening
from benchmarks.peers import find_program, missing_programs
from brew_assets.domain.bottle import Digest, image_name
from brew_assets.domain.publication import (
    POINTER_KEY,
    Pointer,
    Publication,
    PublishedApi,
    PublishedBottle,
    PublishedIndex,
    encode_pointer,
    encode_publication,
)
from brew_assets_tests.ports import free_ports
from brew_assets_tests.servers import S3Server, seaweedfs

SMALL_BYTES, LARGE_BYTES = 20_000, 500_000_000
SMALL_FILES = 1000
CLIENTS = 8
# Those of the three default platforms in August 2026.
BOTTLES, INDEXES, TAGS = 22_426, 8_219, ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma")
API_BYTES = 15_500_000
RECORDS = 8
DATE = "2026-08-22"
_NGINX = """\
    server {{
        {listen}
        location /bottles/ {{ alias "{root}/{date}/"; }}
    }}
"""
_PIECE = memoryview(bytearray(1024 * 1024))


def digest_of(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest())


class Connection:
    """One kept connection; `get` gives status and length of an answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)

    def get(self, path: str, *headers: str) -> tuple[int, int]:
        self.ask(path, *headers)
        return self.answer()

    def ask(self, path: str, *headers: str) -> None:
        lines = [f"GET {path} HTTP/1.1", "Host: mirror", *headers, "", ""]
        self._socket.sendall("\r\n".join(lines).encode())

    def answer(self) -> tuple[int, int]:
        """Status and length of an answer, of which nothing is left unread."""
        head = b""
        while b"\r\n\r\n" not in head:
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionError("the server has closed the connection")
            head += received
        head, _, begun = head.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        assert length is not None, head
        left = int(length[1]) - len(begun)
        while left:
            count = self._socket.recv_into(_PIECE, min(left, len(_PIECE)))
            if not count:
                raise ConnectionError(f"{left} bytes short")
            left -= count
        return int(head.split(b" ", 2)[1]), int(length[1])

    def close(self) -> None:
        self._socket.close()


class Served:
    """`brew-mirror serve` in a process of its own; use as a context manager. `started_s` is until /readyz."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment = environment
        self._log = log
        self.port = free_ports(1)[0]
        self.started_s = 0.0
        self.started_cpu_s = 0.0

    def __enter__(self) -> "Served":
        program = find_program("brew-mirror")
        assert program is not None
        begun = time.perf_counter()
        with self._log.open("wb") as output:
            self.process = psutil.Popen(
                [program, "serve", "--port", str(self.port)],
                env=os.environ | self._environment,
                stdout=output,
                stderr=output,
            )
        while True:
            try:
                connection = Connection(self.port)
                status, _ = connection.get("/readyz")
                connection.close()
                assert status == 200, self._log.read_text()[-2000:]
                break
            except OSError:
                assert self.process.poll() is None, self._log.read_text()
                assert time.perf_counter() - begun < 60
                time.sleep(0.005)
        self.started_s, self.started_cpu_s = time.perf_counter() - begun, self.cpu_s()
        # From now on nothing is packed beside what is measured.
        connection = Connection(self.port)
        for tag in TAGS:
            assert connection.get(f"/api/internal/packages.{tag}.jws.json", "Accept-Encoding: gzip")[0] == 200
        connection.close()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        assert self.process.wait(60) == 0

    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def rss_mib(self) -> float:
        return float(self.process.memory_info().rss / 2**20)


@dataclass(slots=True)
class Figures:
    """What was measured of one server, one figure for each round."""

    kept: list[float] = field(default_factory=list)
    fresh: list[float] = field(default_factory=list)
    per_gb: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)


class Mirror:
    """A folder with files, and the records that name them beside thousands of others."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bottles: list[PublishedBottle] = []

    def write(self, key: str, data: bytes) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def fill(self) -> None:
        """The small files and the large one stand there."""
        for number in range(SMALL_FILES):
            data = number.to_bytes(4, "big") * (SMALL_BYTES // 4)
            self.bottles.append(self._bottle(f"small-{number}", data))
        self.bottles.append(self._bottle("large", bytes(LARGE_BYTES)))

    def _bottle(self, name: str, data: bytes) -> PublishedBottle:
        key = f"{DATE}/{name}-1.0.arm64_sonoma.bottle.tar.gz"
        self.write(key, data)
        return PublishedBottle(image=image_name(name), digest=digest_of(data), key=key, size=len(data))

    def publish(self, number: int, *, own: int = 0) -> None:
        """A full record is current, in which `own` bottles, of those with no file, are in no other record."""
        bottles = list(self.bottles)
        for place in range(BOTTLES - len(bottles)):
            edition = number if place < own else 0
            name = f"formula-{place // 3}"
            key = f"{DATE}/{name}-{edition}.{place % 3}.{TAGS[place % 3]}.bottle.tar.gz"
            digest = digest_of(f"{place} {edition}".encode())
            bottles.append(PublishedBottle(image=name, digest=digest, key=key, size=1))
        indexes = tuple(
            PublishedIndex(
                image=f"formula-{place}",
                reference=f"{number if place < own // 3 else 0}.1",
                sha256=digest_of(f"index {place} {number if place < own // 3 else 0}".encode()),
            )
            for place in range(INDEXES)
        )
        # The first object of each kind is looked at by /readyz.
        index = PublishedIndex(image="small-0", reference="1.0", sha256=digest_of(b"{}"))
        self.write(index.key, b"{}")
        made = Publication(
            publication_id=f"2026112{number}T000000Z-0badcafe",
            created_at=f"2026-11-2{number}T00:00:00Z",
            generated_at=number,
            tap_git_head="0" * 40,
            api=tuple(self._api(tag, number) for tag in TAGS),
            bottles=tuple(bottles),
            indexes=(index, *indexes),
        )
        data = encode_publication(made)
        self.write(made.key, data)
        pointer = Pointer(
            publication_id=made.publication_id,
            sha256=digest_of(data),
            current_since=made.created_at,
            generated_at=number,
        )
        self.write(POINTER_KEY, encode_pointer(pointer))

    def _api(self, tag: str, number: int) -> PublishedApi:
        # As compressible as Homebrew's: a quarter.
        parts = [
            f'"{tag}-{number}-{place}":' + '["bottle_checksum","all"],' for place in range(API_BYTES // 100)
        ]
        salt = (hashlib.sha256(str(place).encode()).hexdigest() for place in range(API_BYTES // 100))
        text = "".join(part + one for part, one in zip(parts, salt, strict=True))
        data = text.encode()[:API_BYTES]
        made = PublishedApi(tag=tag, sha256=digest_of(data), size=len(data), generated_at=number)
        self.write(made.key, data)
        return made


def flat(bottle: PublishedBottle) -> str:
    return f"/bottles/{bottle.filename}"


def small_requests(
    port: int, paths: list[str], count: int, cpu_s: Callable[[], float], *, keep: bool
) -> float:
    """CPU seconds of the server per 1,000 requests, of which CLIENTS are under way at a time."""
    begun = cpu_s()
    connections = [Connection(port) for _ in range(CLIENTS)]
    for number in range(count // CLIENTS):
        if not keep and number:
            for connection in connections:
                connection.close()
            connections = [Connection(port) for _ in range(CLIENTS)]
        for place, connection in enumerate(connections):
            connection.ask(paths[(number * CLIENTS + place) % len(paths)])
        for connection in connections:
            assert connection.answer() == (200, SMALL_BYTES)
    for connection in connections:
        connection.close()
    return (cpu_s() - begun) / (count // CLIENTS * CLIENTS) * 1000


def large_request(port: int, path: str, cpu_s: Callable[[], float]) -> tuple[float, float]:
    """CPU seconds per GB, and MB per second, of the large bottle."""
    begun, started = cpu_s(), time.perf_counter()
    connection = Connection(port)
    assert connection.get(path) == (200, LARGE_BYTES)
    took = time.perf_counter() - started
    connection.close()
    return (cpu_s() - begun) / (LARGE_BYTES / 1e9), LARGE_BYTES / 1e6 / took


def measure_round(port: int, cpu_s: Callable[[], float], mirror: Mirror, count: int, found: Figures) -> None:
    paths = [flat(bottle) for bottle in mirror.bottles[:SMALL_FILES]]
    found.kept.append(small_requests(port, paths, count, cpu_s, keep=True))
    found.fresh.append(small_requests(port, paths, count, cpu_s, keep=False))
    per_gb, rate = large_request(port, flat(mirror.bottles[-1]), cpu_s)
    found.per_gb.append(per_gb)
    found.rate.append(rate)


def redirects(s3: S3Server, mirror: Mirror, folder: Path, count: int) -> tuple[float, float]:
    """Milliseconds of CPU per redirect: whose address is signed, and whose address is kept."""
    environment = s3.environment(s3.new_prefix())
    prefix = environment["MIRROR_URL"].removeprefix(f"s3://{s3.bucket}/")
    record = next(iter((mirror.root / "published").glob("2*.json")))
    for path in (record, mirror.root / POINTER_KEY, *(mirror.root / "state").rglob("*.json")):
        key = path.relative_to(mirror.root).as_posix()
        s3.client.put_object(Bucket=s3.bucket, Key=f"{prefix}/{key}", Body=path.read_bytes())
    first = mirror.bottles[0].key
    s3.client.put_object(Bucket=s3.bucket, Key=f"{prefix}/{first}", Body=(mirror.root / first).read_bytes())
    with Served(environment, folder / "redirects.log") as served:
        connection = Connection(served.port)
        asked = [f"/v2/homebrew/core/{one.image}/blobs/sha256:{one.digest}" for one in mirror.bottles[:count]]
        figures = []
        for _ in range(2):
            begun = served.cpu_s()
            for address in asked:
                assert connection.get(address) == (307, 0)
            figures.append((served.cpu_s() - begun) / len(asked) * 1000)
        connection.close()
    return figures[0], figures[1]


def memory(mirror: Mirror, folder: Path, own: int, name: str) -> tuple[float, float, float, float]:
    """Start in seconds with 8 records; MiB once all is packed, after 10,000 requests, after 10,000 more."""
    for number in range(1, RECORDS + 1):
        mirror.publish(number, own=own)
    with Served({"MIRROR_URL": str(mirror.root)}, folder / f"{name}.log") as served:
        connection = Connection(served.port)
        started = served.rss_mib()
        paths = [flat(bottle) for bottle in mirror.bottles[:SMALL_FILES]]
        rss = []
        for _ in range(2):
            for number in range(10_000):
                assert connection.get(paths[number % len(paths)])[0] == 200
            rss.append(served.rss_mib())
        connection.close()
        return served.started_s, started, rss[0], rss[1]


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory where there is one: the disk is nobody's merit."""
    parent = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="serving-", dir=parent if os.access(parent, os.W_OK) else None
    ) as name:
        yield Path(name)


def measured(nginx: str, folder: Path, *, rounds: int, requests: int) -> str:
    """The block of the document."""
    mirror = Mirror(folder / "mirror")
    mirror.fill()
    mirror.publish(1)
    ours, theirs, starts, started_cpu = Figures(), Figures(), [], []
    for _ in range(rounds):
        with Served({"MIRROR_URL": str(mirror.root)}, folder / "start.log") as served:
            starts.append(served.started_s)
            started_cpu.append(served.started_cpu_s)
    with ExitStack() as running:
        (port,) = free_ports(1)
        block = _NGINX.format(listen=listening(port, None), root=mirror.root, date=DATE)
        peer = running.enter_context(Nginx(nginx, block, ports=[port], scratch=folder / "nginx"))
        served = running.enter_context(Served({"MIRROR_URL": str(mirror.root)}, folder / "serve.log"))
        for _ in range(rounds):
            measure_round(served.port, served.cpu_s, mirror, requests, ours)
            measure_round(port, peer.cpu_s, mirror, requests, theirs)
    with seaweedfs() as s3:
        signed, kept = redirects(s3, mirror, folder, SMALL_FILES)
    weekly = memory(mirror, folder, BOTTLES // 10, "weekly")
    shutil.rmtree(mirror.root / "published")
    distinct = memory(mirror, folder, BOTTLES, "distinct")
    return _block(ours, theirs, starts, started_cpu, (signed, kept), weekly, distinct, rounds=rounds)


def _block(
    ours: Figures,
    theirs: Figures,
    starts: list[float],
    started_cpu: list[float],
    redirected: tuple[float, float],
    weekly: tuple[float, ...],
    distinct: tuple[float, ...],
    *,
    rounds: int,
) -> str:
    def row(name: str, goal: str, kind: str, digits: int = 2) -> str:
        mine, peers = getattr(ours, kind), getattr(theirs, kind)
        spread = f"({min(mine):.{digits}f}-{max(mine):.{digits}f})"
        return f"| {name} | {median(mine):.{digits}f} {spread} | {median(peers):.{digits + 1}f} | {goal} |"

    ratios = [mine / peer for mine, peer in zip(ours.rate, theirs.rate, strict=True)]
    flat_mib = max(weekly[3] - weekly[2], distinct[3] - distinct[2])
    lines = [
        "### Serving beside nginx",
        "",
        f"One folder, {rounds} interleaved rounds, medians (min-max). The gateway logs each request,",
        f"nginx does not. Load at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; what else",
        "runs there makes times longer, and costs processor time too.",
        "",
        "| | brew-mirror serve | nginx | goal |",
        "|---|---|---|---|",
        row(
            f"CPU s per 1,000 requests of 20 KB, {CLIENTS} at a time, connections kept", "<= 0.45", "kept", 3
        ),
        row("the same, a connection each, as brew's curl does", "", "fresh", 3),
        row("CPU s per GB, one bottle of 500 MB", "<= 0.45", "per_gb"),
        row("MB/s of that bottle", "", "rate", 0),
        f"| MB/s as a part of nginx's | {median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) | 1 "
        "| >= 0.8 |",
        "",
        "| | found | goal |",
        "|---|---|---|",
        f"| redirect to a bucket, CPU ms, signed anew | {redirected[0]:.2f} | <= 1 |",
        f"| the same, address kept | {redirected[1]:.2f} | <= 1 |",
        f"| start until /readyz, one record of {BOTTLES:,} bottles, s | {median(starts):.2f} "
        f"({min(starts):.2f}-{max(starts):.2f}) | <= 1 |",
        f"| CPU s of that start | {median(started_cpu):.2f} "
        f"({min(started_cpu):.2f}-{max(started_cpu):.2f}) | |",
        f"| start with {RECORDS} records, a tenth new in each, s | {weekly[0]:.2f} | |",
        f"| MiB with {RECORDS} records, a tenth new in each, and {len(TAGS)} API files | {weekly[1]:.0f} "
        "| <= 250 |",
        f"| MiB with {RECORDS} records, no two with a bottle in common, and those files | {distinct[1]:.0f} "
        "| <= 250 |",
        f"| MiB more after 10,000 requests than after the 10,000 before | {flat_mib:.1f} | flat |",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measures, prints, and renews the block of a document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--output", type=Path, help="file whose marked block is replaced")
    arguments = parser.parse_args()
    if missing := missing_programs({"nginx", "brew-mirror"}):
        parser.exit(2, "\n".join(missing) + "\n")
    nginx = find_program("nginx")
    assert nginx is not None
    with scratch() as folder:
        block = measured(nginx, folder, rounds=arguments.rounds, requests=arguments.requests)
    block = f"{block}\n\n{report.machine({'nginx', 'brew-mirror'}, is_memory=True)}"
    print(block)
    if arguments.output:
        report.write_block(arguments.output, block, name="serving")


if __name__ == "__main__":
    main()
