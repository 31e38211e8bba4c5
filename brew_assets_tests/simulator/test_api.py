import gzip

import pytest

from brew_assets.simulator import SimulatedBottle, Simulator, World
from brew_assets_tests.simulator.client import Answer, ask


def catalogue(simulator: Simulator, *, method: str = "GET", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(f"{simulator.api_url}/formula.json", named, method=method)


def test_the_catalogue_is_served_plain_to_a_client_that_accepts_nothing_else(
    simulator: Simulator, world: World, wget: SimulatedBottle
) -> None:
    answer = catalogue(simulator)
    assert (answer.status, answer["Content-Encoding"]) == (200, "")
    assert answer.body == world.catalogue_json()
    assert wget.digest.encode() in answer.body


def test_the_catalogue_is_compressed_for_a_client_that_accepts_gzip(
    simulator: Simulator, world: World
) -> None:
    answer = catalogue(simulator, Accept_Encoding="deflate, gzip, br")
    assert answer["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.body) == world.catalogue_json()


def test_without_gzip_nothing_is_ever_compressed(world: World) -> None:
    with Simulator(world, gzip=False) as simulator:
        assert catalogue(simulator, Accept_Encoding="gzip").body == world.catalogue_json()


@pytest.mark.parametrize("weak", [True, False])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_an_unchanged_catalogue_is_304_until_something_is_published(
    simulator: Simulator, world: World, encoding: str, weak: bool
) -> None:
    simulator.weak_etag = weak
    etag = catalogue(simulator, Accept_Encoding=encoding)["ETag"]
    assert etag.startswith("W/") is weak
    again = catalogue(simulator, Accept_Encoding=encoding, If_None_Match=etag)
    assert (again.status, again.body, again["ETag"]) == (304, b"", etag)
    world.publish("wget", "1.25.0")
    changed = catalogue(simulator, Accept_Encoding=encoding, If_None_Match=etag)
    assert changed.status == 200
    assert changed["ETag"] != etag


def test_if_modified_since_counts_only_without_an_etag(simulator: Simulator, world: World) -> None:
    modified = catalogue(simulator)["Last-Modified"]
    assert catalogue(simulator, If_Modified_Since=modified).status == 304
    assert catalogue(simulator, If_Modified_Since=modified, If_None_Match='"other"').status == 200
    assert catalogue(simulator, If_Modified_Since="yesterday").status == 200
    world.publish("wget", "1.25.0")
    assert catalogue(simulator, If_Modified_Since=modified).status == 200


def test_head_tells_the_length_and_sends_nothing(simulator: Simulator, world: World) -> None:
    answer = catalogue(simulator, method="HEAD")
    assert int(answer["Content-Length"]) == len(world.catalogue_json())
    assert answer.body == b""


def test_an_api_that_is_down_answers_503_until_faults_are_cleared(simulator: Simulator) -> None:
    simulator.api_down = True
    assert catalogue(simulator).status == 503
    simulator.clear_faults()
    assert catalogue(simulator).status == 200


def test_an_override_is_served_with_an_etag_of_its_own(simulator: Simulator) -> None:
    etag = catalogue(simulator)["ETag"]
    simulator.api_body_override = b"<html>maintenance</html>"
    answer = catalogue(simulator, If_None_Match=etag)
    assert (answer.status, answer.body) == (200, b"<html>maintenance</html>")


def test_other_paths_are_404(simulator: Simulator) -> None:
    assert ask(f"{simulator.api_url}/cask.json").status == 404
