"""The adapter of the signed API: addresses, proxies, keys. Its answers are those of the catalogue's."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from brew_assets.adapters.formulae_api import SignedFiles
from brew_assets.adapters.http.reach import Reach
from brew_assets.domain.signatures import PublicKey
from brew_assets.errors import (
    CatalogueRefused,
    CatalogueUnavailable,
    CatalogueUnreachable,
    PlanningStopped,
    SettingsInvalid,
)
from brew_assets.simulator import Fault, Simulator, World
from brew_assets.simulator.packages import packages_path
from brew_assets.simulator.signing import SigningKey
from brew_assets_tests.fakes import FakeStop, ImpatientClock

TAG = "arm64_sonoma"


def files(url: str, *key_files: Path, reach: Reach | None = None) -> SignedFiles:
    return SignedFiles(url, key_files=key_files, timeout_s=20, reach=reach or Reach(), clock=ImpatientClock())


def test_a_file_comes_as_its_publisher_signed_it_and_is_not_sent_again() -> None:
    world = World.generate(seed=2, formulae=5)
    with Simulator(world, gzip=True) as packed, Simulator(world, gzip=False) as plain:
        fetched, same = files(packed.api_url).fetch(TAG), files(plain.api_url).fetch(TAG)
        assert fetched is not None
        assert same is not None
        # No two signatures are the same, of the same text.
        assert json.loads(fetched.data)["payload"] == json.loads(same.data)["payload"]
        assert files(packed.api_url).fetch(TAG, etag=fetched.etag) is None
        assert [r.path for r in packed.requests] == [f"/api/{packages_path(TAG)}"] * 2
        assert packed.requests[0].headers["accept-encoding"] == "gzip"


def test_a_tag_without_a_file_is_final_and_a_host_that_fails_is_tried_again() -> None:
    with Simulator(World.generate(seed=2, formulae=2)) as simulator:
        simulator.fault(packages_path(TAG), Fault.not_found(times=1, at="api"))
        with pytest.raises(CatalogueRefused, match="found 404"):
            files(simulator.api_url).fetch(TAG)
        assert len(simulator.requests) == 1
        simulator.fault(packages_path(TAG), Fault.server_error(503, times=2, at="api"))
        assert files(simulator.api_url).fetch(TAG) is not None
        assert len(simulator.requests) == 4


def test_a_server_that_is_gone_is_unreachable() -> None:
    with Simulator(World.generate(seed=2, formulae=2)) as simulator:
        api = files(simulator.api_url)
    with pytest.raises(CatalogueUnreachable):
        api.fetch(TAG)


@pytest.mark.parametrize("url", ["http://formulae.example/api", "ftp://127.0.0.1/api", "", "http://[x/api"])
def test_an_address_that_cannot_be_contacted_is_refused(url: str) -> None:
    with pytest.raises(CatalogueRefused):
        files(url).fetch(TAG)


def test_a_password_in_the_address_is_shown_nowhere() -> None:
    with Simulator(World.generate(seed=2, formulae=2)) as simulator:
        simulator.api_down = True
        api = files(simulator.api_url.replace("http://", "http://somebody:s3cret@"))
        with pytest.raises(CatalogueUnavailable) as found:
            api.fetch(TAG)
    shown = f"{api.url} {found.value} {found.value.__cause__}"
    assert "s3cret" not in shown
    assert packages_path(TAG) in shown


def test_a_stop_signal_ends_the_tries() -> None:
    with Simulator(World.generate(seed=2, formulae=2)) as simulator:
        simulator.api_down = True
        stop = FakeStop()
        stop.set()
        api = SignedFiles(simulator.api_url, timeout_s=20, clock=ImpatientClock(), stop=stop)
        with pytest.raises(PlanningStopped):
            api.fetch(TAG)


def test_without_key_files_it_is_homebrews_key() -> None:
    (key,) = files("https://formulae.example/api").keys()
    assert key.kid == "homebrew-1"
    assert b"BEGIN PUBLIC KEY" in key.pem


def test_a_key_is_named_by_its_file(tmp_path: Path) -> None:
    pems = {kid: SigningKey.make(kid).public_pem() for kid in ("homebrew-1", "homebrew-2")}
    for kid, pem in pems.items():
        (tmp_path / f"{kid}.pem").write_bytes(pem)
    found = files("https://formulae.example/api", *(tmp_path / f"{kid}.pem" for kid in pems)).keys()
    assert found == tuple(PublicKey(kid=kid, pem=pem) for kid, pem in pems.items())


def test_a_key_file_that_is_missing_or_none_is_refused_by_name(tmp_path: Path) -> None:
    private = tmp_path / "private.pem"
    private.write_bytes(
        rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    page = tmp_path / "page.pem"
    page.write_text("<html></html>")
    for path in (tmp_path / "missing.pem", tmp_path, page, private):
        with pytest.raises(SettingsInvalid, match="API_PUBLIC_KEY: expected a PEM file with an RSA"):
            files("https://formulae.example/api", path).keys()
