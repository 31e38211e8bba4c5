"""Who signed a file of the API: what is refused, and that what is accepted is what was signed."""

import base64
import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest

from brew_assets.domain.signatures import MAX_FILE_BYTES, PublicKey, verified_payload, why_no_key
from brew_assets.errors import PublicationInvalid
from brew_assets.simulator.signing import SigningKey, signed
from brew_assets_tests.signed import file_of, key, packages, public

OLD, NEW, THIEF = key("homebrew-1"), key("homebrew-2"), key("homebrew-1", 1)
TEXT = packages()


def verified(data: bytes, *keys: SigningKey) -> str:
    return verified_payload(data, public(*(keys or (OLD,))), where="packages")


def changed(data: bytes, **fields: Any) -> bytes:
    return json.dumps(json.loads(data) | fields).encode()


def with_signature(data: bytes, **fields: Any) -> bytes:
    document = json.loads(data)
    document["signatures"][0] |= fields
    return json.dumps(document).encode()


def test_what_the_key_signed_is_what_comes_back() -> None:
    assert verified(signed(TEXT, OLD)) == TEXT


def test_a_text_beyond_ascii_is_verified_as_it_stands() -> None:
    text = packages(note="Übergrößenträger 🍺")
    assert verified(signed(text, OLD)) == text
    written = json.dumps(json.loads(signed(text, OLD)), ensure_ascii=False).encode()
    assert verified(written) == text


def test_a_file_of_the_real_size_is_verified() -> None:
    """The library's own limit is 128,000 bytes; the real files have 16 MB."""
    text = packages(filler="x" * 16_000_000)
    assert verified(signed(text, OLD)) == text


@pytest.mark.parametrize("place", range(0, len(TEXT), 97))
def test_a_changed_byte_anywhere_in_the_text_is_refused(place: int) -> None:
    other = TEXT[:place] + chr(ord(TEXT[place]) ^ 1) + TEXT[place + 1 :]
    with pytest.raises(PublicationInvalid, match="expected bytes that homebrew-1 signed, found others"):
        verified(changed(signed(TEXT, OLD), payload=other))


def test_a_signature_of_another_key_with_the_same_name_is_refused() -> None:
    with pytest.raises(PublicationInvalid, match="bytes that homebrew-1 signed"):
        verified(signed(TEXT, THIEF))


@pytest.mark.parametrize("keys", [(NEW, OLD), (OLD, NEW)], ids=["unknown first", "unknown last"])
def test_while_a_key_rolls_a_signature_of_an_unknown_key_is_passed_over(keys: tuple[SigningKey, ...]) -> None:
    assert verified(signed(TEXT, *keys)) == TEXT
    assert verified(signed(TEXT, *keys), NEW) == TEXT
    assert verified(signed(TEXT, *keys), NEW, OLD) == TEXT


@pytest.mark.parametrize("keys", [(NEW, OLD), (OLD, NEW)], ids=["unknown first", "unknown last"])
def test_beside_an_unknown_key_the_known_one_still_has_to_be_right(keys: tuple[SigningKey, ...]) -> None:
    with pytest.raises(PublicationInvalid, match="signed, found others"):
        verified(changed(signed(TEXT, *keys), payload=TEXT + " "))


def test_no_known_key_is_refused_and_both_sides_are_named() -> None:
    with pytest.raises(
        PublicationInvalid, match=r"a signature of homebrew-1, found 'homebrew-2'.*API_PUBLIC_KEY"
    ):
        verified(signed(TEXT, NEW))


@pytest.mark.parametrize("keys", [(OLD, THIEF), (THIEF, OLD)], ids=["good first", "bad first"])
def test_a_good_and_a_bad_signature_of_one_name_are_refused(keys: tuple[SigningKey, ...]) -> None:
    with pytest.raises(PublicationInvalid, match="signed, found others"):
        verified(signed(TEXT, *keys))


def test_of_two_known_keys_both_must_have_signed() -> None:
    right, wrong = signed(TEXT, OLD, NEW), signed(TEXT, OLD, key("homebrew-2", 1))
    assert verified(right, OLD, NEW) == TEXT
    with pytest.raises(PublicationInvalid):
        verified(wrong, OLD, NEW)


def protected(**header: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "b64": False, "crit": ["b64"]},
        {"alg": "HS512", "b64": False, "crit": ["b64"]},
        {"alg": "RS512", "b64": False, "crit": ["b64"]},
        {"alg": "PS512"},
        {"alg": "PS512", "b64": True, "crit": ["b64"]},
        {"alg": "PS512", "b64": False},
        {"alg": "PS512", "b64": False, "crit": ["b64", "exp"]},
        {"alg": "PS512", "b64": False, "crit": "b64"},
        {},
    ],
)
def test_another_way_to_sign_is_refused_as_brew_refuses_it(header: dict[str, Any]) -> None:
    with pytest.raises(PublicationInvalid, match="PS512, b64 false and crit b64"):
        verified(with_signature(signed(TEXT, OLD), protected=protected(**header)))


# Made in the test: a signature differs each time, and several runners collect the same names.
NO_SIGNED_FILES: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "a page": lambda: b"<html>maintenance</html>",
    "a list": lambda: b"[]",
    "an empty object": lambda: b"{}",
    "a payload that is no text": lambda: b'{"payload":1,"signatures":[]}',
    "signatures that are no list": lambda: b'{"payload":"{}","signatures":{}}',
    "no signature": lambda: b'{"payload":"{}","signatures":[]}',
    "an empty signature": lambda: b'{"payload":"{}","signatures":[{}]}',
    "a signature of nobody": lambda: b'{"payload":"{}","signatures":[{"protected":"","signature":""}]}',
    "no UTF-8": lambda: b'{"payload":"\xff","signatures":[]}',
    "deep nesting": lambda: b"[" * 100_000,
    "a signature of no bytes": lambda: with_signature(signed(TEXT, OLD), signature=""),
    "a signature beyond ASCII": lambda: with_signature(signed(TEXT, OLD), signature="é"),
    "a signature of zeros": lambda: with_signature(signed(TEXT, OLD), signature="A" * 342),
    "a very long signature": lambda: with_signature(signed(TEXT, OLD), signature="A" * 5_000),
    "a list as kid": lambda: with_signature(signed(TEXT, OLD), header={"kid": ["homebrew-1"]}),
    "a header that is none": lambda: with_signature(signed(TEXT, OLD), protected="\x00"),
    "half of a surrogate pair": lambda: changed(signed(TEXT, OLD), payload="\ud800"),
    "many signatures": lambda: changed(
        signed(TEXT, OLD), signatures=json.loads(signed(TEXT, OLD))["signatures"] * 17
    ),
    "more than a file has": lambda: bytes(MAX_FILE_BYTES + 1),
}


@pytest.mark.parametrize("name", NO_SIGNED_FILES)
def test_what_is_no_signed_file_is_refused(name: str) -> None:
    with pytest.raises(PublicationInvalid, match="packages: expected"):
        verified(NO_SIGNED_FILES[name]())


def test_homebrews_own_key_is_shipped_and_is_one() -> None:
    folder = resources.files("brew_assets.adapters") / "api_keys"
    found = PublicKey(kid="homebrew-1", pem=(folder / "homebrew-1.pem").read_bytes())
    assert why_no_key(found) is None
    assert "Homebrew/brew" in (folder / "ORIGIN.md").read_text()
    with pytest.raises(PublicationInvalid, match="bytes that homebrew-1 signed"):
        verified_payload(file_of(), (found,), where="packages")


def test_a_key_of_4096_bits_verifies() -> None:
    large = SigningKey.make("homebrew-1", bits=4096)
    assert verified(signed(TEXT, large), large) == TEXT


@pytest.mark.parametrize(
    "pem", [b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"\xff"]
)
def test_a_file_without_a_key_is_told_from_one(pem: bytes) -> None:
    assert why_no_key(PublicKey(kid="a", pem=pem)) is not None
    assert why_no_key(public(OLD)[0]) is None
