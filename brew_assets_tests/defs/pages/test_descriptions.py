"""What Dagster's UI shows of the assets outside of their own pages."""

import dagster as dg
import pytest

from brew_assets.definitions import defs

ASSETS = [asset for asset in defs.assets or () if isinstance(asset, dg.AssetsDefinition)]


@pytest.mark.parametrize("asset", ASSETS, ids=lambda asset: asset.key.to_user_string())
def test_lists_of_assets_show_a_plain_sentence(asset: dg.AssetsDefinition) -> None:
    described = asset.descriptions_by_key[asset.key]
    first = (described or "").strip().splitlines()[0]
    assert len(first) > 20
    # The catalog shows Markdown's marks as they stand.
    assert not set("*`[#") & set(first), first
