"""The catalogue as formulae.brew.sh shows it: the 58 keys of `api/formula.json`, read 2026-08-22."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from brew_assets.simulator.model import ROOT_URL, SimulatedBottle, SimulatedFormula

_LISTS = """
    aliases versioned_formulae options build_dependencies test_dependencies recommended_dependencies
    optional_dependencies uses_from_macos uses_from_macos_bounds requirements conflicts_with
    conflicts_with_reasons link_overwrite installed post_install_steps oldnames patches
"""
_NULLS = """
    no_autobump_message pour_bottle_only_if keg_only_reason caveats linked_keg service
    deprecation_replacement_formula deprecation_replacement_cask deprecate_args
    disable_replacement_formula disable_replacement_cask disable_args
"""
_FALSES = "skip_livecheck keg_only pinned outdated post_install_defined"


def catalogue_json(formulae: Iterable[SimulatedFormula]) -> bytes:
    """The whole catalogue, one formula per entry, in the order given."""
    return json.dumps([formula_entry(formula) for formula in formulae], separators=(",", ":")).encode()


def formula_entry(formula: SimulatedFormula) -> dict[str, Any]:
    """One formula with every key that the real catalogue has."""
    entry: dict[str, Any] = {
        "name": formula.name,
        "full_name": formula.name,
        "tap": "homebrew/core",
        "desc": f"Simulated formula {formula.name}",
        "license": "BSD-2-Clause",
        "homepage": f"https://example.invalid/{formula.name}",
        "versions": {"stable": formula.version, "head": None, "bottle": bool(formula.bottles)},
        "urls": {"stable": _source(formula)},
        "revision": formula.revision,
        "version_scheme": 0,
        "compatibility_version": 1,
        "autobump": True,
        "bottle": _bottle_block(formula),
        "dependencies": list(formula.dependencies),
        "deprecated": formula.deprecated,
        "deprecation_date": "2026-01-01" if formula.deprecated else None,
        "deprecation_reason": "unmaintained" if formula.deprecated else None,
        "disabled": formula.disabled,
        "disable_date": "2026-06-01" if formula.disabled else None,
        "disable_reason": "unmaintained" if formula.disabled else None,
        "tap_git_head": _sha(f"head/{formula.name}")[:40],
        "ruby_source_path": f"Formula/{formula.name[0]}/{formula.name}.rb",
        "ruby_source_checksum": {"sha256": _sha(f"ruby/{formula.name}/{formula.version}")},
        "variations": {},
    }
    entry.update((key, []) for key in _LISTS.split())
    entry.update((key, None) for key in _NULLS.split())
    entry.update((key, False) for key in _FALSES.split())
    return entry


def _source(formula: SimulatedFormula) -> dict[str, str | None]:
    url = f"https://example.invalid/{formula.name}-{formula.version}.tar.gz"
    return {"url": url, "tag": None, "revision": None, "using": None, "checksum": _sha(url)}


def _bottle_block(formula: SimulatedFormula) -> dict[str, Any]:
    if not formula.bottles:
        return {}
    files = {
        bottle.tag: {"cellar": _cellar(bottle), "url": bottle.url, "sha256": bottle.digest}
        for bottle in formula.bottles
    }
    return {"stable": {"rebuild": formula.rebuild, "root_url": ROOT_URL, "files": files}}


def _cellar(bottle: SimulatedBottle) -> str:
    if bottle.tag == "all":
        return ":any_skip_relocation"
    if bottle.tag.endswith("_linux"):
        return "/home/linuxbrew/.linuxbrew/Cellar"
    return "/opt/homebrew/Cellar" if bottle.tag.startswith("arm64_") else "/usr/local/Cellar"


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
