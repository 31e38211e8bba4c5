"""Where the CPU time of a transfer under TLS goes: one process, one profile of all its threads.

python -m benchmarks.tls_profile [--output docs/performance.md]
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks import report, sets
from benchmarks.conditions import CONDITIONS, arranged
from benchmarks.peers import TOOLS, Job, find_program, missing_programs
from benchmarks.throughput import roomy_folder, temporary

_TABLES = ("mixed", "small")
_TIMEOUT_S = 900
# The parts of the libraries in C, by the names that the profile gives them.
_PARTS = {
    "TLS, receiving": "<method 'read' of '_ssl._SSLSocket' objects>",
    "TLS, sending": "<method 'write' of '_ssl._SSLSocket' objects>",
    "TLS, handshakes": "<method 'do_handshake' of '_ssl._SSLSocket' objects>",
    "SHA-256": "<method 'update' of '_hashlib.HASH' objects>",
}

Row = tuple[str, int, float]


def profile(name: str, scratch: Path) -> list[Row]:
    """Function, calls and own CPU seconds of the copy threads of one transfer.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    condition = CONDITIONS[name]
    work_set = sets.build(condition.set_name, scratch / "upstream")
    nginx = find_program("nginx")
    assert nginx is not None
    with arranged(condition, nginx, work_set, scratch) as place:
        own = scratch / "run"
        own.mkdir()
        commands = TOOLS["ours"].prepare(Job(work_set=work_set, place=place, scratch=own))
        (command,) = commands.stages
        found = own / "profile.json"
        subprocess.run(
            [sys.executable, "-m", "benchmarks.profiled", str(found), *command[1:]],
            env={**os.environ, **commands.env, "HOME": str(own), "MAX_TRANSFER_PROCESSES": "1"},
            stdout=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            check=True,
        )
        return [(function, calls, own_s) for function, calls, own_s in json.loads(found.read_text())]


def table(profiles: dict[str, list[Row]]) -> str:
    """One row per set: the parts, as shares of the threads' CPU time."""
    lines = [
        "### Where the CPU time goes under TLS",
        "",
        "A profile of the copy threads of one process (`MAX_TRANSFER_PROCESSES=1`), own CPU time of each "
        "function; the profile itself makes Python's part look larger than it is.",
        "",
        f"| set | CPU s | {' | '.join(_PARTS)} | everything else |",
        f"|{'---|' * (len(_PARTS) + 3)}",
    ]
    for name, rows in profiles.items():
        total = sum(own_s for _, _, own_s in rows)
        parts = [sum(own_s for found, _, own_s in rows if found == part) for part in _PARTS.values()]
        shares = [f"{part / total:.0%}" for part in [*parts, total - sum(parts)]]
        lines.append(f"| {CONDITIONS[name].title} | {total:.2f} | {' | '.join(shares)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Profile, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tls_profile")
    parser.add_argument("--output", type=Path, help="file whose marked block is replaced")
    options = parser.parse_args(arguments)
    if missing := missing_programs({"nginx", "brew-mirror"}):
        print("\n".join(missing), file=sys.stderr)
        return 2
    profiles = {}
    for name in _TABLES:
        folder = roomy_folder(sets.total_bytes(CONDITIONS[name].set_name) + (512 << 20))
        if folder is None:
            return 2
        with temporary(folder) as scratch:
            profiles[name] = profile(name, scratch)
    block = table(profiles)
    print(block)
    if options.output is not None:
        report.write_block(options.output, block, name="tls-profile")
    return 0


if __name__ == "__main__":
    sys.exit(main())
