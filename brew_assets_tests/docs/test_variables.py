"""Every variable of the Terraform root says what it is and refuses what it cannot be."""

import re

import pytest

from brew_assets_tests.docs.reading import ROOT

TERRAFORM = ROOT / "infra" / "terraform"
_BLOCK = re.compile(r'^variable "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
VARIABLES = dict(_BLOCK.findall((TERRAFORM / "variables.tf").read_text(encoding="utf-8")))
# Nobody can guess a name that is unique in the world.
WITHOUT_DEFAULT = {"s3_bucket_name"}


def test_variables_stand_in_one_file() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(TERRAFORM.glob("*.tf")))
    assert [name for name, _ in _BLOCK.findall(text)] == list(VARIABLES)
    assert len(VARIABLES) > 90


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_has_a_description_a_type_and_a_default_and_refuses_wrong_values(name: str) -> None:
    body = VARIABLES[name]
    assert re.search(r'^  description = "[A-Za-z0-9$].{9,}"$', body, re.MULTILINE)
    kind = re.search(r"^  type\s+= (\w+)", body, re.MULTILINE)
    assert kind is not None
    assert (name in WITHOUT_DEFAULT) != bool(re.search(r"^  default\s+= ", body, re.MULTILINE))
    # Of two values neither is wrong.
    assert kind[1] == "bool" or "\n  validation {\n" in body
    messages = re.findall(r'^    error_message = "(.+)"$', body, re.MULTILINE)
    assert len(messages) == body.count("  validation {\n")
    for message in messages:
        assert message.startswith(name), message


@pytest.mark.parametrize("name", [name for name, body in VARIABLES.items() if "  validation {\n" in body])
def test_a_test_of_terraform_shows_what_a_variable_refuses(name: str) -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (TERRAFORM / "tests").glob("*.tftest.hcl"))
    expected = " ".join(re.findall(r"expect_failures\s*= \[(.*?)\]", tests, re.DOTALL))
    assert re.search(rf"\bvar\.{name}\b", expected)
