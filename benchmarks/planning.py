"""Planning at full size: a real catalogue and a manifest of 250,000 held bottles.

    python -m benchmarks.planning [--catalogues DIR] [--held 250000] [--runs 5]

The catalogue is served by a plain static web server on loopback; each run is a fresh `brew-mirror plan
--no-sizes --json` process, whose wall time and peak memory are measured. Goals: 1.5 s and 300 MiB.
"""

import argparse
import gzip
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks import measure, report
from brew_assets.domain.bottle import Bottle, Digest, PkgVersion, blob_url
from brew_assets.domain.catalogue import choose_bottles, decode_catalogue
from brew_assets.domain.manifest import Manifest, entry_for
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.setting_values import DEFAULT_PLATFORMS

GOAL_WALL_S = 1.5
GOAL_PEAK_MIB = 300.0


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def catalogue_folder(given: str | None) -> Path:
    """The folder of the real catalogues: given, or `shared/data` beside the checkout."""
    folder = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    if not (folder / "formula.2026-08-22.json.gz").exists():
        sys.exit(f"no formula.2026-08-22.json.gz in {folder}: name its folder with --catalogues")
    return folder


def held_manifest(older: bytes, count: int) -> bytes:
    """A manifest with every bottle of the older catalogue, filled up with made-up ones to `count`."""
    catalogue = decode_catalogue(older, sha256=hashlib.sha256(older).hexdigest())
    manifest = Manifest()
    for bottle, _ in choose_bottles(catalogue, DEFAULT_PLATFORMS):
        manifest.put(bottle.entry_key, entry_for(bottle, date="2026-08-15", size=1_000_000))
    number = 0
    while len(manifest) < count:
        digest = Digest(hashlib.sha256(str(number).encode()).hexdigest())
        name = f"formula-{number % 8000}"
        bottle = Bottle(
            formula=name,
            pkg_version=PkgVersion(f"1.{number}"),
            tag="arm64_sonoma",
            digest=digest,
            url=blob_url(name, digest),
        )
        manifest.put(bottle.entry_key, entry_for(bottle, date="2026-08-01", size=1_000_000))
        number += 1
    return manifest.encode(last_updated="2026-08-15T03:00:00Z")


def measured_plan(environment: dict[str, str], folder: Path) -> tuple[float, float, dict[str, object]]:
    """Wall seconds, peak MiB and the printed object of one `plan --no-sizes --json`."""
    program = str(Path(sys.executable).parent / "brew-mirror")
    log = folder / "plan.json"
    log.unlink(missing_ok=True)
    order = {
        "stages": [[program, "plan", "--no-sizes", "--json", "--dry-run"]],
        "env": environment | {"LOG_LEVEL": "WARNING"},
        "log": str(log),
        "folder": str(folder),
    }
    done = subprocess.run(
        [sys.executable, "-I", "-S", measure.__file__],
        input=json.dumps(order),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: measure.Measured = json.loads(done.stdout)
    if found["stages"][0]["code"]:
        sys.exit(f"brew-mirror plan failed: {log.read_text()}")
    return found["wall_s"], found["stages"][0]["peak_kib"] / 1024, json.loads(log.read_text())


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--catalogues", help="folder with the real catalogues")
    parser.add_argument("--held", type=int, default=250_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path, help="file whose marked block is replaced")
    arguments = parser.parse_args()
    folder = catalogue_folder(arguments.catalogues)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        api, mirror = root / "www" / "api", root / "mirror"
        api.mkdir(parents=True)
        mirror.mkdir()
        (api / "formula.json").write_bytes(
            gzip.decompress((folder / "formula.2026-08-22.json.gz").read_bytes())
        )
        older = gzip.decompress((folder / "formula.2026-08-15.json.gz").read_bytes())
        (mirror / MANIFEST_KEY).write_bytes(held_manifest(older, arguments.held))
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(root / "www")))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = os.environ | {
            "FORMULAE_API_URL": f"http://127.0.0.1:{server.server_port}/api",
            "PUBLISH": "off",
            "MIRROR_URL": str(mirror),
        }
        runs = [measured_plan(dict(environment), root) for _ in range(arguments.runs)]
        server.shutdown()
        size = (mirror / MANIFEST_KEY).stat().st_size
    printed = runs[0][2]
    walls, peaks = sorted(run[0] for run in runs), [run[1] for run in runs]
    block = "\n".join(
        (
            "### Planning: the whole process of `brew-mirror plan --no-sizes --json`",
            "",
            "The catalogue of 2026-08-22 from a static web server; held in a directory: a manifest with",
            "everything of 2026-08-15 and made-up bottles besides.",
            "",
            "| held | manifest MB | pending names | digests | wall s median (min-max) | peak MiB |",
            "|---|---|---|---|---|---|",
            f"| {arguments.held:,} | {size / 1e6:.0f} | {printed['objects']:,} | {printed['downloads']:,} "
            f"| {walls[len(walls) // 2]:.2f} ({walls[0]:.2f}-{walls[-1]:.2f}) | {max(peaks):.0f} |",
            "",
            f"Goals: at most {GOAL_WALL_S} s and {GOAL_PEAK_MIB:.0f} MiB.",
        )
    )
    print(block)
    if arguments.output:
        report.write_block(arguments.output, block, name="planning")


if __name__ == "__main__":
    main()
