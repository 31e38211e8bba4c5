"""The benchmark's own code: what it says, and what its relay does. Nothing is measured here."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from benchmarks.certificates import make_trust
from benchmarks.conditions import CONDITIONS
from benchmarks.relay import Delay, Relay
from benchmarks.report import TableResult, distance_account, goals_table, set_table
from benchmarks.runs import Run
from benchmarks.sink import Sink


class ManualTimers:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, object]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: object) -> object:
        self._due.append((when, callback))
        return callback

    def advance_to(self, when: float) -> None:
        while self._due and min(self._due, key=lambda entry: entry[0])[0] <= when:
            entry = min(self._due, key=lambda found: found[0])
            self._due.remove(entry)
            self.now = entry[0]
            entry[1]()  # type: ignore[operator]
        self.now = when


def test_a_direction_is_late_by_half_and_keeps_its_order() -> None:
    timers = ManualTimers()
    arrived: list[bytes | None] = []
    delay = Delay(timers, arrived.append, late_s=0.015, opens_at=0.0)
    delay.put(b"first")
    timers.advance_to(0.010)
    delay.put(b"second")
    delay.put(None)
    timers.advance_to(0.014)
    assert arrived == []
    timers.advance_to(0.016)
    assert arrived == [b"first"]
    timers.advance_to(0.026)
    assert arrived == [b"first", b"second", None]


def test_the_first_bytes_of_a_connection_wait_for_its_handshake() -> None:
    timers = ManualTimers()
    arrived: list[bytes | None] = []
    delay = Delay(timers, arrived.append, late_s=0.015, opens_at=0.030)
    delay.put(b"a request")
    timers.advance_to(0.044)
    assert arrived == []
    timers.advance_to(0.046)
    assert arrived == [b"a request"]


def test_the_relay_passes_on_what_hundreds_of_connections_send() -> None:
    async def exchange(port: int, number: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /-/objects?{number} HTTP/1.1\r\nHost: sink\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer

    async def exchanges(port: int) -> list[bytes]:
        return await asyncio.gather(*(exchange(port, number) for number in range(600)))

    with Sink() as sink, Relay(sink.port, round_trip_ms=2.0) as relay:
        answers = asyncio.run(exchanges(relay.port))
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


def test_who_trusts_the_authority_trusts_its_certificate_and_nobody_else_does(tmp_path: Path) -> None:
    trust, other = make_trust(tmp_path / "one"), make_trust(tmp_path / "other")
    assert trust.key.stat().st_mode & 0o077 == 0

    def handshake(authority: Path) -> str | None:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(trust.certificate, trust.key)
        client = ssl.create_default_context(cafile=str(authority))
        ours, theirs = socket.socketpair()
        with ours, theirs:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            here = client.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
            there = server.wrap_bio(outgoing, incoming, server_side=True)
            for _ in range(4):
                for side in (here, there):
                    try:
                        side.do_handshake()
                    except ssl.SSLWantReadError:
                        continue
            return here.version()

    assert handshake(trust.authority) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(other.authority)


def _run(wall_s: float, cpu_s: float = 1.0, *, problem: str = "") -> Run:
    return Run(
        wall_s=wall_s,
        client_cpu_s=cpu_s,
        server_cpu_s=0.5,
        peak_mib=50.0,
        requests={},
        problem=problem,
    )


def _result(name: str, **runs: list[Run]) -> TableResult:
    result = TableResult(name=name, condition=CONDITIONS[name], objects=3000, total_bytes=150_000_000)
    result.runs = runs
    return result


def test_goals_compare_with_the_peers_of_the_same_round() -> None:
    results = [
        _result("mixed", ours=[_run(1, 3.8)], aria2=[_run(1, 10.0)], rclone=[_run(1)]),
        _result("small", ours=[_run(1.0)], aria2=[_run(1)], rclone=[_run(0.89)]),
        _result("large", ours=[_run(0.8)], aria2=[_run(1)], rclone=[_run(1.0)]),
        _result("distance", ours=[_run(13.0), _run(15.0)], aria2=[_run(14.0), _run(14.0)], rclone=[_run(29)]),
    ]
    rows = goals_table(results).splitlines()
    met = [row.rsplit("|", 2)[1].strip() for row in rows[4:]]
    assert met == ["yes", "no", "yes", "no", "yes", "yes"]
    assert "1.00 (0.93-1.07)" in rows[7]


def test_a_run_that_delivered_too_little_is_no_result() -> None:
    result = _result(
        "small", ours=[_run(1.0), _run(0.1, problem="nothing arrived")], rclone=[_run(1), _run(1)]
    )
    assert not result.is_ok
    (row,) = [line for line in set_table(result).splitlines() if line.startswith("| brew-mirror")]
    assert "1.00 (1.00-1.00)" in row
    assert row.endswith("| NO |")
    assert "| not measured |" in goals_table([_result("small", ours=[_run(1, problem="no")])])


def test_the_wall_time_at_a_distance_is_accounted_for() -> None:
    near, far = _result("small", ours=[_run(2.0)]), _result("distance", ours=[_run(13.25)])
    twice = _result("redirect", ours=[_run(26.0)])
    assert distance_account(near) == ""
    assert "11.25 s are the distance itself (1 hop x 30 ms x 3,000 bottles / 8" in distance_account(far)
    assert "0.04 s the set-up of the first connections (1 x" in distance_account(far)
    assert "2.0 s what remains" in distance_account(far)
    under_tls = _result("distance-tls", ours=[_run(13.25)])
    assert "0.08 s the set-up of the first connections (2 x" in distance_account(under_tls)
    assert "22.50 s are the distance itself (2 hops" in distance_account(twice)


def test_an_unknown_table_is_refused_by_name() -> None:
    from benchmarks.throughput import main

    with pytest.raises(SystemExit) as caught:
        main(["--tables", "small,middling"])
    assert caught.value.code == 2
