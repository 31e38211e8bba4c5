"""Where a registry's API begins, for each way to write an address."""

import pytest

from brew_assets.adapters.ghcr.addresses import RegistryAddress
from brew_assets.adapters.http.url import AddressInvalid

NEXUS = "https://nexus.example/repository/ghcr"


@pytest.mark.parametrize(
    ("written", "roots"),
    [
        ("https://ghcr.io", ["https://ghcr.io/v2"]),
        ("https://ghcr.io/", ["https://ghcr.io/v2"]),
        ("https://ghcr.io/v2", ["https://ghcr.io/v2"]),
        ("https://ghcr.io/v2/homebrew/core", ["https://ghcr.io/v2"]),
        ("https://docker-remote.art.example", ["https://docker-remote.art.example/v2"]),
        ("https://harbor.example/v2/ghcr-cache", ["https://harbor.example/v2/ghcr-cache"]),
        ("https://harbor.example//v2//ghcr-cache/", ["https://harbor.example/v2/ghcr-cache"]),
        ("https://harbor.example/v2/a/homebrew/core/", ["https://harbor.example/v2/a"]),
        ("https://harbor.example:8443/x/v2", ["https://harbor.example:8443/x/v2"]),
        (
            "https://harbor.example/ghcr-cache",
            ["https://harbor.example/ghcr-cache/v2", "https://harbor.example/v2/ghcr-cache"],
        ),
        (NEXUS, [f"{NEXUS}/v2", "https://nexus.example/v2/repository/ghcr"]),
        (f"{NEXUS}/v2", [f"{NEXUS}/v2"]),
    ],
    ids=str,
)
def test_each_form_of_an_address_is_understood(written: str, roots: list[str]) -> None:
    assert list(RegistryAddress(written).roots) == roots


@pytest.mark.parametrize(
    "written",
    [
        "https://ann:PLANTED@harbor.example/v2",
        "https://PLANTED@harbor.example",
        "https://harbor.example?x=PLANTED",
    ],
)
def test_what_does_not_belong_into_an_address_is_refused_and_not_shown(written: str) -> None:
    with pytest.raises(AddressInvalid, match="expected an address without") as caught:
        RegistryAddress(written)
    assert "PLANTED" not in str(caught.value)
    error = caught.value
    assert str(error) == f"expected {error.expected}, found {error.found}"
