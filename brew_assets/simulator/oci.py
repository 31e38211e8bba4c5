"""OCI documents as Homebrew's registry serves them: one index per version, one child manifest per bottle.

Shapes follow LH/github_packages.rb; `all` bottles have no platform there.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from brew_assets.simulator.model import HOMEBREW_VERSION, SimulatedBottle

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
REF_NAME = "org.opencontainers.image.ref.name"
DIGEST = "sh.brew.bottle.digest"
SIZE = "sh.brew.bottle.size"
TAB = "sh.brew.tab"
_MACOS = {"tahoe": "26", "sequoia": "15", "sonoma": "14", "ventura": "13", "monterey": "12", "big_sur": "11"}


def image_name(formula: str) -> str:
    """`openssl@3` -> `openssl/3`, `libsigc++@2` -> `libsigcxx/2` (github_packages.rb:130-136)."""
    return formula.replace("@", "/").replace("+", "x")


def index_json(
    bottles: Sequence[SimulatedBottle],
    *,
    lacking: Collection[str] = (),
    without: Mapping[str, Collection[str]],
) -> bytes:
    """The index of one version: no entry for bottles named in lacking, and the others without annotations."""
    entries = [
        index_entry(bottle, without=without.get(bottle.filename, ()))
        for bottle in bottles
        if bottle.filename not in lacking
    ]
    first = bottles[0]
    annotations = _common_annotations(first) | {REF_NAME: first.reference}
    return _dump({"schemaVersion": 2, "manifests": entries, "annotations": annotations})


def index_entry(bottle: SimulatedBottle, *, without: Collection[str] = ()) -> dict[str, Any]:
    """One entry of `manifests[]`, without these annotations."""
    child = manifest_json(bottle)
    annotations = {
        REF_NAME: bottle.ref_name,
        DIGEST: bottle.digest,
        SIZE: str(bottle.size),
        "sh.brew.bottle.installed_size": str(3 * bottle.size),
        "sh.brew.license": "BSD-2-Clause",
        TAB: _tab(bottle),
        "sh.brew.path_exec_files": f"bin/{bottle.formula}",
    }
    entry: dict[str, Any] = {
        "mediaType": MANIFEST_TYPE,
        "digest": f"sha256:{hashlib.sha256(child).hexdigest()}",
        "size": len(child),
    }
    platform = _platform(bottle.tag)
    if platform:
        entry["platform"] = platform
    entry["annotations"] = {name: text for name, text in annotations.items() if name not in without}
    return entry


def manifest_json(bottle: SimulatedBottle) -> bytes:
    """The child manifest: its one layer is the bottle, with its size."""
    config = _dump(_platform(bottle.tag) | {"rootfs": {"type": "layers"}})
    title = f"{bottle.formula}--{bottle.filename.removeprefix(bottle.formula + '-')}"
    layer = {
        "mediaType": LAYER_TYPE,
        "digest": f"sha256:{bottle.digest}",
        "size": bottle.size,
        "annotations": {"org.opencontainers.image.title": title},
    }
    return _dump(
        {
            "schemaVersion": 2,
            "config": {
                "mediaType": CONFIG_TYPE,
                "digest": f"sha256:{hashlib.sha256(config).hexdigest()}",
                "size": len(config),
            },
            "layers": [layer],
            "annotations": _common_annotations(bottle) | {REF_NAME: bottle.ref_name},
        }
    )


def _common_annotations(bottle: SimulatedBottle) -> dict[str, str]:
    return {
        "com.github.package.type": "homebrew_bottle",
        "org.opencontainers.image.license": "BSD-2-Clause",
        "org.opencontainers.image.title": f"homebrew/core/{bottle.formula}",
        "org.opencontainers.image.vendor": "homebrew",
        "org.opencontainers.image.version": bottle.pkg_version,
    }


def _tab(bottle: SimulatedBottle) -> str:
    tab = {
        "homebrew_version": HOMEBREW_VERSION,
        "changed_files": [],
        "source_modified_time": 1_700_000_000,
        "compiler": "clang",
        "runtime_dependencies": [],
        "arch": "x86_64" if _is_intel(bottle.tag) else "arm64",
        "built_on": {"os": "Linux" if bottle.tag.endswith("_linux") else "Macintosh"},
    }
    return json.dumps(tab, separators=(",", ":"))


def _platform(tag: str) -> dict[str, Any]:
    """The platform object of a tag; empty for `all`."""
    if tag == "all":
        return {}
    architecture = "amd64" if _is_intel(tag) else "arm64"
    if tag.endswith("_linux"):
        return {"architecture": architecture, "os": "linux", "os.version": "Ubuntu 22.04.5 LTS"}
    release = _MACOS.get(tag.removeprefix("arm64_"), "10.15")
    return {"architecture": architecture, "os": "darwin", "os.version": f"macOS {release}"}


def _is_intel(tag: str) -> bool:
    return not tag.startswith("arm64_")


def _dump(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
