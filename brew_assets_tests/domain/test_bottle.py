"""What bottles are called, and that a name leads back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.domain.bottle import (
    Bottle,
    blob_url,
    entry_key,
    image_name,
    index_reference,
    is_digest,
    is_formula_name,
    is_index_reference,
    is_pkg_version,
    is_tag,
    parse_filename,
)
from brew_assets.domain.manifest import decode_receipts, encode_receipts
from brew_assets.domain.object_keys import parse_key
from brew_assets_tests.domain.strategies import BOTTLES
from brew_assets_tests.worlds import DATE, bottle, receipt


@given(BOTTLES)
def test_a_file_name_leads_back_to_its_bottle(item: Bottle) -> None:
    parts = parse_filename(item.filename)
    assert parts is not None
    assert (parts.tag, parts.rebuild) == (item.tag, item.rebuild)
    assert parts.stem == f"{item.formula}-{item.pkg_version}"
    assert parse_key(item.key(DATE)) == (DATE, item.filename)


@given(BOTTLES)
def test_every_bottle_that_a_catalogue_may_name_can_be_recorded(item: Bottle) -> None:
    written = [receipt(item)]
    assert decode_receipts(encode_receipts(written), key="k") == written


@given(BOTTLES, BOTTLES)
def test_bottles_of_one_formula_never_share_a_key(one: Bottle, other: Bottle) -> None:
    same = (one.pkg_version, one.tag, one.rebuild) == (other.pkg_version, other.tag, other.rebuild)
    if one.formula == other.formula:
        assert (one.filename == other.filename) == (one.entry_key == other.entry_key) == same


@given(st.text())
def test_any_text_can_be_asked_about(text: str) -> None:
    parse_filename(text)
    parse_key(text)
    assert not (is_formula_name(text) and ("/" in text or text in (".", "..")))
    assert not (is_tag(text) and "." in text)


@pytest.mark.parametrize(
    ("filename", "stem", "tag", "rebuild"),
    [
        ("wget-1.25.0.arm64_sonoma.bottle.tar.gz", "wget-1.25.0", "arm64_sonoma", 0),
        ("wget-1.25.0_1.arm64_sonoma.bottle.2.tar.gz", "wget-1.25.0_1", "arm64_sonoma", 2),
        ("ca-certificates-2026-08-13.all.bottle.tar.gz", "ca-certificates-2026-08-13", "all", 0),
        ("openssl@3-3.5.2.x86_64_linux.bottle.tar.gz", "openssl@3-3.5.2", "x86_64_linux", 0),
        ("llama.cpp-6090.sonoma.bottle.10.tar.gz", "llama.cpp-6090", "sonoma", 10),
        ("a-1.bottle.bottle.bottle.tar.gz", "a-1.bottle", "bottle", 0),
    ],
)
def test_file_names_are_read_as_brew_writes_them(filename: str, stem: str, tag: str, rebuild: int) -> None:
    parts = parse_filename(filename)
    assert parts is not None
    assert (parts.stem, parts.tag, parts.rebuild) == (stem, tag, rebuild)


@pytest.mark.parametrize(
    "filename",
    [
        "",
        "wget.tar.gz",
        "wget-1.0.arm64_sonoma.tar.gz",
        "wget-1.0.arm64_sonoma.bottle.0.tar.gz",
        "wget-1.0.arm64_sonoma.bottle.01.tar.gz",
        "wget-1.0.ARM.bottle.tar.gz",
        "wget-1.0.arm64_sonoma.bottle.tar.gz\n",
        ".arm64_sonoma.bottle.tar.gz",
    ],
)
def test_other_names_are_no_bottles(filename: str) -> None:
    assert parse_filename(filename) is None


@pytest.mark.parametrize(
    ("formula", "image"),
    [
        ("wget", "wget"),
        ("openssl@3", "openssl/3"),
        ("libsigc++@2", "libsigcxx/2"),
        ("gtk+3", "gtkx3"),
        ("libxml++@2.6", "libxmlxx/2.6"),
    ],
)
def test_image_names_follow_homebrew(formula: str, image: str) -> None:
    assert image_name(formula) == image
    assert blob_url(formula, "0" * 64) == f"https://ghcr.io/v2/homebrew/core/{image}/blobs/sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("version", "rebuild", "reference", "accepted"),
    [
        ("1.25.0", 0, "1.25.0", True),
        ("1.25.0_1", 3, "1.25.0_1-3", True),
        ("2.8.0-r3", 0, "2.8.0-r3", True),
        ("1.0+git", 0, "1.0+git", False),
        ("1:2", 0, "1:2", False),
        ("1" * 129, 0, "1" * 129, False),
    ],
)
def test_index_references_follow_homebrew(version: str, rebuild: int, reference: str, accepted: bool) -> None:
    assert index_reference(version, rebuild) == reference
    assert is_index_reference(reference) is accepted


@pytest.mark.parametrize(
    ("rebuild", "key"), [(0, "wget-1.25.0_1-arm64_sonoma"), (2, "wget-1.25.0_1-arm64_sonoma.2")]
)
def test_a_rebuild_has_an_entry_of_its_own(rebuild: int, key: str) -> None:
    assert entry_key("wget", "1.25.0_1", "arm64_sonoma", rebuild) == key
    assert bottle("wget", "1.25.0_1", rebuild=rebuild).entry_key == key


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n", "٣" * 64])
def test_other_texts_are_no_digests(text: str) -> None:
    assert not is_digest(text)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a/b", "../a", "a..b", "-a", "a b", "a\n", "é", "a\0", "a" * 129]
)
def test_other_texts_are_no_names(text: str) -> None:
    assert not is_formula_name(text)
    assert not is_pkg_version(text)
