"""The catalogue as formulae.brew.sh shows it: the 58 keys of `api/formula.json`, read 2026-08-22."""

import hashlib
import json
from typing import Any

from brew_assets.simulator.model import ROOT_URL, Edition, SimulatedBottle, SimulatedFormula

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


def catalogue_json(edition: Edition) -> bytes:
    """The whole catalogue, one formula per entry, in the edition's order."""
    head = edition.tap_git_head
    entries = [formula_entry(formula, tap_git_head=head) for formula in edition.formulae]
    return json.dumps(entries, separators=(",", ":")).encode()


def formula_entry(formula: SimulatedFormula, *, tap_git_head: str) -> dict[str, Any]:
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
        "tap_git_head": tap_git_head,
        "ruby_source_path": f"Formula/{formula.name[0]}/{formula.name}.rb",
        "ruby_source_checksum": {"sha256": checksum(f"ruby/{formula.name}/{formula.version}")},
        "variations": {},
    }
    entry.update((key, []) for key in _LISTS.split())
    entry.update((key, None) for key in _NULLS.split())
    entry.update((key, False) for key in _FALSES.split())
    return entry


def _source(formula: SimulatedFormula) -> dict[str, str | None]:
    url = source_url(formula)
    return {"url": url, "tag": None, "revision": None, "using": None, "checksum": checksum(url)}


def source_url(formula: SimulatedFormula) -> str:
    """Where its source would be."""
    return f"https://example.invalid/{formula.name}-{formula.version}.tar.gz"


def _bottle_block(formula: SimulatedFormula) -> dict[str, Any]:
    if not formula.bottles:
        return {}
    files = {
        bottle.tag: {"cellar": cellar(bottle), "url": bottle.url, "sha256": bottle.digest}
        for bottle in formula.bottles
    }
    return {"stable": {"rebuild": formula.rebuild, "root_url": ROOT_URL, "files": files}}


def cellar(bottle: SimulatedBottle) -> str:
    """Where it was built to be poured."""
    if bottle.tag == "all":
        return ":any_skip_relocation"
    if bottle.tag.endswith("_linux"):
        return "/home/linuxbrew/.linuxbrew/Cellar"
    return "/opt/homebrew/Cellar" if bottle.tag.startswith("arm64_") else "/usr/local/Cellar"


def checksum(text: str) -> str:
    """A SHA-256 that belongs to the text."""
    return hashlib.sha256(text.encode()).hexdigest()
