"""The costs in infra/README.md follow from the prices and sizes beside them, and these from the code."""

import re

import pytest

from brew_assets_tests.docs.costs import COSTS, INFRA, cells, dollars, renewed, rows, sizes, value
from brew_assets_tests.docs.reading import ROOT
from brew_assets_tests.docs.test_variables import VARIABLES

TEXT = INFRA.read_text(encoding="utf-8")


def _default(name: str) -> str:
    found = re.search(r"^  default\s+= (.+)$", VARIABLES[name], re.MULTILINE)
    assert found is not None
    return found[1].strip('"')


def test_the_amounts_are_those_of_the_arithmetic() -> None:
    assert renewed(TEXT) == TEXT, "renew them: python -m brew_assets_tests.docs.costs"
    assert len(rows(TEXT, COSTS)) == 20


def test_another_price_gives_other_amounts() -> None:
    dearer = TEXT.replace("| a NAT gateway for an hour | 0.045 |", "| a NAT gateway for an hour | 0.095 |")
    (row,) = [cells(line) for line in rows(renewed(dearer), COSTS) if cells(line)[0] == "`c`"]
    assert row[-3:] == ["$73", "$73", "$219"]


def test_what_a_week_brings_takes_the_route_that_the_defaults_give_it() -> None:
    for names in sizes(TEXT):
        assert names["by_lambda"] + names["by_ecs"] == 1
        assert (names["weekly"] < float(_default("size_threshold_gb"))) == (names["by_lambda"] == 1)
        assert names["held"] > float(_default("size_threshold_gb"))


def test_the_rules_of_storage_are_those_of_the_defaults() -> None:
    assert _default("s3_transition_storage_class") == "INTELLIGENT_TIERING"
    assert _default("s3_transition_days") == "30"
    # The arithmetic has switched it on in every size.
    assert _default("enable_detailed_monitoring") == "true"


def test_the_endpoints_that_are_counted_are_those_of_the_network() -> None:
    text = (ROOT / "infra/terraform/modules/network/variables.tf").read_text(encoding="utf-8")
    listed = re.search(r'variable "interface_endpoints".*?default\s+= \[(.*?)\]', text, re.DOTALL)
    assert listed is not None
    count = listed[1].count('"') // 2
    assert f"`endpoint_zones * {count} * 730 * endpoint`" in TEXT


def test_what_the_production_example_costs_is_that_of_its_values() -> None:
    example = (ROOT / "infra/terraform/envs/prod.tfvars.example").read_text(encoding="utf-8")
    throughput = re.search(r"^#   efs_provisioned_throughput = (\d+)", example, re.MULTILINE)
    assert throughput is not None
    assert re.search(r"^enable_efs_storage = false$", example, re.MULTILINE)
    assert "enable_vpc_endpoints    = true" in example
    endpoint = sizes(TEXT)[0]["endpoint"]
    zones = int(_default("az_count"))
    assert f"11 × {zones} × $0.01 × 730 = {dollars(11 * zones * endpoint * 730)} a month" in TEXT
    assert f"{throughput[1]} × $6.00 = {dollars(int(throughput[1]) * 6)} a month" in TEXT


def test_arithmetic_is_sums_and_products_only() -> None:
    assert value("2 * (a + 0.5) - b / 4", {"a": 1, "b": 2}) == 2.5
    with pytest.raises(ValueError, match="open"):
        value("open('x')", {})
