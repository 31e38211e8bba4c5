"""What others judge the configuration by: checkov's rules, each skip with its reason."""

import pytest
import yaml

from brew_assets_tests.terraform.program import SOURCES
from brew_assets_tests.terraform.static import checkov

pytestmark = [pytest.mark.infra, pytest.mark.timeout(900)]


def test_checkov_finds_nothing() -> None:
    found = checkov()
    failed = [
        f"{check['check_id']} {check['resource']} {check['file_path']}"
        for check in found["results"]["failed_checks"]
    ]
    assert failed == []
    assert found["summary"]["passed"] > 100
    assert found["summary"]["parsing_errors"] == 0


def test_every_rule_that_is_skipped_has_its_reason() -> None:
    lines = (SOURCES / ".checkov.yaml").read_text().splitlines()
    skipped = yaml.safe_load("\n".join(lines))["skip-check"]
    assert skipped
    reason = ""
    for line in map(str.strip, lines):
        if line.startswith("- CK"):
            assert len(reason) > 20, f"{line}: why is it skipped?"
        reason = f"{reason} {line}" if line.startswith("#") else ""
    for path in SOURCES.rglob("*.tf"):
        for line in path.read_text().splitlines():
            rule, _, why = line.partition("#checkov:skip=")[2].partition(":")
            assert not rule or len(why) > 20, f"{path.name}: {rule}: why is it skipped?"
