"""How a mirror may have come to hold its bottles without the indexes that brew needs.

Each way holds what upstream lists now, and returns the arguments of the sync that completes it.
"""

import json
from collections.abc import Callable
from pathlib import Path

from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.domain.publication import RECORD_PREFIX
from brew_assets.simulator import Simulator
from brew_assets_tests.integration.mirrors import MirrorUnderTest

Way = Callable[[MirrorUnderTest, Simulator, Path], list[str]]


def lose(mirror: MirrorUnderTest, *prefixes: str) -> None:
    """Nothing stands below these prefixes any more."""
    for key in mirror.keys():
        if key.startswith(prefixes):
            mirror.remove(key)


def asked(upstream: Simulator) -> list[str]:
    """The indexes and manifests that upstream was asked for."""
    return [seen.path for seen in upstream.requests if "/manifests/" in seen.path]


def plan_without_sizes(mirror: MirrorUnderTest, upstream: Simulator, folder: Path) -> list[str]:
    before = len(asked(upstream))
    done = mirror.run(upstream, "plan", "--no-sizes", "--json")
    assert done.returncode == 0, done.stderr
    assert len(asked(upstream)) == before
    return ["--plan", json.loads(done.stdout)["sync_id"]]


def a_rebuilt_manifest(mirror: MirrorUnderTest, upstream: Simulator, folder: Path) -> list[str]:
    mirror.sync(upstream)
    lose(mirror, "state/", "backups/", RECORD_PREFIX, MANIFEST_KEY)
    assert mirror.run(upstream, "manifest", "rebuild").returncode == 0
    return []


def an_import(mirror: MirrorUnderTest, upstream: Simulator, folder: Path) -> list[str]:
    mirror.sync(upstream)
    document = json.loads(mirror.read(MANIFEST_KEY))
    del document["integrity"]
    foreign = folder / "foreign.json"
    foreign.write_text(json.dumps(document))
    lose(mirror, "state/", "backups/", RECORD_PREFIX, MANIFEST_KEY)
    done = mirror.run(upstream, "manifest", "import", str(foreign))
    assert done.returncode == 0, done.stderr
    return []
