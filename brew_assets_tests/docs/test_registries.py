"""docs/registries.md: every address of its table leads where the table says."""

import re
from pathlib import Path

import pytest

from brew_assets.adapters.ghcr.addresses import NAMESPACE, RegistryAddress

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "registries.md"
_ROW = re.compile(r"\| `(https://\S+)` \| [^|]+ \| `(https://\S+)/jq/blobs/…` \|")
_ROWS = _ROW.findall(_PAGE.read_text())


def test_the_table_is_there() -> None:
    assert len(_ROWS) == 7


@pytest.mark.parametrize(("written", "asked"), _ROWS)
def test_an_address_leads_where_the_table_says(written: str, asked: str) -> None:
    assert asked in [f"{root}/{NAMESPACE}" for root in RegistryAddress(written).roots]
