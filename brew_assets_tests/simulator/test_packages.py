import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from brew_assets.domain.platforms import serving_tags
from brew_assets.simulator import Fault, Simulator, World
from brew_assets.simulator.model import SimulatedFormula
from brew_assets_tests.simulator.client import Answer, ask

SONOMA = "internal/packages.arm64_sonoma.jws.json"


def file_of(simulator: Simulator, tag: str = "arm64_sonoma", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(f"{simulator.api_url}/internal/packages.{tag}.jws.json", named)


def payload_of(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200
    payload: dict[str, Any] = json.loads(json.loads(answer.body)["payload"])
    return payload


def is_signed(simulator: Simulator, document: bytes) -> bool:
    """As RFC 7515 and RFC 7797 have it, with the primitives alone."""
    jws = json.loads(document)
    (signature,) = jws["signatures"]
    assert json.loads(unpadded(signature["protected"])) == {"alg": "PS512", "b64": False, "crit": ["b64"]}
    assert signature["header"] == {"kid": simulator.api_public_key.stem}
    key = serialization.load_pem_public_key(Path(simulator.environment()["API_PUBLIC_KEY"]).read_bytes())
    assert isinstance(key, RSAPublicKey)
    signed = f"{signature['protected']}.{jws['payload']}".encode()
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA512()), salt_length=64)
    try:
        key.verify(unpadded(signature["signature"]), signed, pss, hashes.SHA512())
    except InvalidSignature:
        return False
    return True


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_packages_file_is_signed_as_homebrew_signs(simulator: Simulator, world: World) -> None:
    world.publish("wget", "1.25.0")
    assert is_signed(simulator, file_of(simulator).body)


def test_an_entry_says_all_of_its_bottle(simulator: Simulator, world: World) -> None:
    (item,) = world.publish("openssl@3", "3.6.3", revision=2, rebuild=1, tags=("arm64_sonoma",))
    payload = payload_of(file_of(simulator))
    entry = payload["formulae"]["openssl@3"]
    assert payload["metadata"]["bottle_tag"] == "arm64_sonoma"
    assert {name: entry[name] for name in entry if name.startswith("bottle_")} == {
        "bottle_rebuild": 1,
        "bottle_cellar": "/opt/homebrew/Cellar",
        "bottle_checksum": item.digest,
    }
    assert (entry["stable_version"], entry["revision"]) == ("3.6.3", 2)


def test_an_entry_leaves_out_what_its_reader_supplies(simulator: Simulator, world: World) -> None:
    """As brew 6.0.22 writes it: no 0, no tag that is the file's, no cellar that is the most common one."""
    world.publish("jq", "1.8.1", tags=("arm64_sonoma",))
    world.publish("docs", "1.0", tags=("all",))
    formulae = payload_of(file_of(simulator))["formulae"]
    assert not {"revision", "bottle_rebuild", "bottle_tag"} & formulae["jq"].keys()
    assert not {"revision", "bottle_rebuild", "bottle_cellar"} & formulae["docs"].keys()


def test_symbols_are_written_as_brew_writes_them(simulator: Simulator, world: World) -> None:
    world.publish("old", "1.0", tags=("all",), disabled=True, deprecated=True)
    entry = payload_of(file_of(simulator))["formulae"]["old"]
    assert entry["disable_args"] == {":date": "2026-06-01", ":because": ":unmaintained"}
    assert entry["deprecate_args"] == {":date": "2026-01-01", ":because": ":unmaintained"}
    assert entry["bottle_tag"] == ":all"


@pytest.mark.parametrize(
    ("tag", "there", "served"),
    [
        ("arm64_tahoe", True, ":arm64_sequoia"),
        ("arm64_sequoia", True, None),
        ("arm64_sonoma", False, None),
    ],
)
def test_a_file_names_the_bottle_that_brew_takes_there(
    simulator: Simulator, world: World, tag: str, there: bool, served: str | None
) -> None:
    world.publish("jq", "1.8.1", tags=("arm64_sequoia",))
    entry = payload_of(file_of(simulator, tag))["formulae"]["jq"]
    assert ("bottle_checksum" in entry, entry.get("bottle_tag")) == (there, served)


def test_all_that_the_api_shows_is_of_one_commit(simulator: Simulator, world: World) -> None:
    def heads() -> set[str]:
        entries = json.loads(ask(f"{simulator.api_url}/formula.json").body)
        files = [payload_of(file_of(simulator, tag)) for tag in ("arm64_sonoma", "x86_64_linux")]
        return {entry["tap_git_head"] for entry in entries} | {f["formula_tap_git_head"] for f in files}

    world.publish("wget", "1.25.0")
    world.publish("jq", "1.8.1")
    before = heads()
    world.remove("jq")
    assert len(before) == len(heads()) == 1
    assert before != heads()


def test_a_newer_edition_was_made_later(simulator: Simulator, world: World) -> None:
    world.publish("wget", "1.25.0")
    before = payload_of(file_of(simulator))["metadata"]["generated_at"]
    world.publish("wget", "1.25.1")
    assert payload_of(file_of(simulator))["metadata"]["generated_at"] > before


def test_an_unchanged_file_is_304_until_something_is_published(simulator: Simulator, world: World) -> None:
    etag = file_of(simulator)["ETag"]
    assert file_of(simulator, If_None_Match=etag).status == 304
    world.publish("wget", "1.25.0")
    assert file_of(simulator, If_None_Match=etag).status == 200


def test_a_host_can_still_show_the_last_edition_or_an_older_one(simulator: Simulator, world: World) -> None:
    for version in ("1.25.0", "1.25.1", "1.25.2"):
        world.publish("wget", version)
    simulator.fault(SONOMA, Fault.last_edition(), Fault.older_edition())
    files = [file_of(simulator) for _ in range(3)]
    versions = [payload_of(file)["formulae"]["wget"]["stable_version"] for file in files]
    assert versions == ["1.25.1", "1.25.0", "1.25.2"]
    assert all(is_signed(simulator, file.body) for file in files)


def test_an_edition_that_never_was_cannot_be_scripted(simulator: Simulator, world: World) -> None:
    world.publish("wget", "1.25.0")
    with pytest.raises(ValueError, match="editions are known"):
        simulator.fault(SONOMA, Fault.older_edition(back=2))


@pytest.mark.parametrize("fault", [Fault.wrong_signature(), Fault.changed_byte()])
def test_a_file_can_be_one_that_its_publisher_never_signed(
    simulator: Simulator, world: World, fault: Fault
) -> None:
    (item,) = world.publish("wget", "1.25.0")
    simulator.fault(SONOMA, fault)
    spoilt, good = file_of(simulator), file_of(simulator)
    assert len(spoilt.body) == len(good.body)
    assert (is_signed(simulator, spoilt.body), is_signed(simulator, good.body)) == (False, True)
    named = payload_of(spoilt)["formulae"]["wget"]["bottle_checksum"]
    assert (named != item.digest) == (fault.kind == "changed_byte")


def test_a_changed_byte_is_seen_where_no_formula_has_a_bottle(simulator: Simulator) -> None:
    simulator.fault(SONOMA, Fault.changed_byte())
    assert not is_signed(simulator, file_of(simulator).body)


def test_a_host_can_show_the_file_of_another_tag(simulator: Simulator) -> None:
    simulator.fault(SONOMA, Fault.other_tag())
    answer = file_of(simulator)
    assert payload_of(answer)["metadata"]["bottle_tag"] != "arm64_sonoma"
    assert is_signed(simulator, answer.body)


def test_a_tag_can_be_missing(simulator: Simulator) -> None:
    simulator.fault(SONOMA, Fault.not_found(at="api"))
    assert file_of(simulator).status == 404
    assert file_of(simulator, "arm64_tahoe").status == 200
    assert file_of(simulator, "arm64_nowhere").status == 404
    simulator.clear_faults()
    assert file_of(simulator).status == 200


def test_the_key_of_this_run_is_gone_with_the_simulator(world: World) -> None:
    with Simulator(world) as simulator:
        path = simulator.api_public_key
        assert b"BEGIN PUBLIC KEY" in path.read_bytes()
    assert not path.parent.exists()


def test_no_formula_needs_one_that_is_disabled_or_cannot_be_had() -> None:
    formulae = {f.name: f for f in World.generate(seed=11, formulae=400).formulae}
    needed = [(f, formulae[name]) for f in formulae.values() for name in f.dependencies]
    assert len(needed) > 100
    assert not [(f.name, dep.name) for f, dep in needed if dep.disabled or not dep.bottles]
    tags = ("arm64_tahoe", "arm64_sonoma", "sonoma", "x86_64_linux")
    lacking = [(f.name, dep.name) for f, dep in needed for tag in tags if has(f, tag) and not has(dep, tag)]
    assert lacking == []


def has(formula: SimulatedFormula, tag: str) -> bool:
    return any(bottle.tag in serving_tags(tag) for bottle in formula.bottles)
