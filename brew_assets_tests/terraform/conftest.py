"""Terraform in folders of the tests' own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from brew_assets_tests.terraform.mocked import Mocked, apply_mocked
from brew_assets_tests.terraform.program import Terraform, moto_account

VALUES = Path(__file__).parent / "values"


@pytest.fixture
def terraform(tmp_path: Path) -> Terraform:
    """Terraform without an account."""
    return Terraform(tmp_path)


@pytest.fixture(scope="module")
def account() -> Iterator[str]:
    """The address of an empty account."""
    with moto_account() as url:
        yield url


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Mocked:
    """The root with everything switched on, applied with mocked providers."""
    terraform = Terraform(tmp_path_factory.mktemp("everything"))
    return apply_mocked(terraform, (VALUES / "everything.hcl").read_text())


@pytest.fixture(scope="session")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Mocked:
    """The root with every switch the other way round."""
    terraform = Terraform(tmp_path_factory.mktemp("nothing"))
    return apply_mocked(terraform, (VALUES / "nothing.hcl").read_text())
