"""Terraform in folders of the tests' own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from brew_assets_tests.terraform.program import Terraform, moto_account


@pytest.fixture
def terraform(tmp_path: Path) -> Terraform:
    """Terraform without an account."""
    return Terraform(tmp_path)


@pytest.fixture(scope="module")
def account() -> Iterator[str]:
    """The address of an empty account."""
    with moto_account() as url:
        yield url
