"""The packages file of one tag: what brew 6 reads of the API, signed byte for byte by its publisher.

Ruby's symbols stand as texts with a colon before them, keys (":date") and values (":unmaintained") alike.
"""

import json
import re
from typing import Any

from brew_assets.domain.platforms import KNOWN_PLATFORMS, serving_tags
from brew_assets.simulator.catalogue import cellar, checksum, source_url
from brew_assets.simulator.model import HOMEBREW_VERSION, Edition, SimulatedBottle, SimulatedFormula

# Its path below the base address of the API.
PACKAGES_FILE = re.compile(r"internal/packages\.(?P<tag>[a-z0-9_]+)\.jws\.json")
_DEFAULT_CELLAR = ":any_skip_relocation"
# Of these machines upstream has one.
TAGS = KNOWN_PLATFORMS


def packages_path(tag: str) -> str:
    """Where the file is, below the base address of the API."""
    return f"internal/packages.{tag}.jws.json"


def packages_json(edition: Edition, tag: str) -> str:
    """The text that is signed: every formula of the edition, with the bottle that serves the tag, if any."""
    document = {
        "formulae": {formula.name: _entry(formula, tag) for formula in edition.formulae},
        "formula_aliases": {},
        "formula_renames": {},
        "formula_tap_git_head": edition.tap_git_head,
        "formula_tap_migrations": {},
        "casks": {},
        "cask_renames": {},
        "cask_tap_git_head": checksum("casks")[:40],
        "cask_tap_migrations": {},
        "metadata": {
            "homebrew_version": HOMEBREW_VERSION,
            "bottle_tag": tag,
            "generated_at": edition.generated_at,
        },
    }
    return json.dumps(document, separators=(",", ":"))


def _entry(formula: SimulatedFormula, tag: str) -> dict[str, Any]:
    url = source_url(formula)
    entry: dict[str, Any] = {
        "desc": f"Simulated formula {formula.name}",
        "homepage": f"https://example.invalid/{formula.name}",
        "license": "BSD-2-Clause",
        "ruby_source_path": f"Formula/{formula.name[0]}/{formula.name}.rb",
        "ruby_source_checksum": checksum(f"ruby/{formula.name}/{formula.version}"),
        "stable_version": formula.version,
        "stable_url_args": [url, {}],
        "stable_checksum": checksum(url),
    }
    # As brew writes it, nothing stands there that a reader supplies: no 0, no empty list, not the file's tag.
    if formula.revision:
        entry["revision"] = formula.revision
    if formula.dependencies:
        entry["stable_dependencies"] = list(formula.dependencies)
    if formula.deprecated:
        entry["deprecate_args"] = {":date": "2026-01-01", ":because": ":unmaintained"}
    if formula.disabled:
        entry["disable_args"] = {":date": "2026-06-01", ":because": ":unmaintained"}
    bottle = serving_bottle(formula, tag)
    if bottle is not None:
        entry["bottle_checksum"] = bottle.digest
        if formula.rebuild:
            entry["bottle_rebuild"] = formula.rebuild
        if bottle.tag != tag:
            entry["bottle_tag"] = f":{bottle.tag}"
        if cellar(bottle) != _DEFAULT_CELLAR:
            entry["bottle_cellar"] = cellar(bottle)
    return entry


def serving_bottle(formula: SimulatedFormula, tag: str) -> SimulatedBottle | None:
    """The bottle that brew takes on a machine of that tag, None when there is none."""
    by_tag = {bottle.tag: bottle for bottle in formula.bottles}
    return next((by_tag[served] for served in serving_tags(tag) if served in by_tag), None)
