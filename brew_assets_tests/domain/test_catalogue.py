"""The upstream catalogue: what is taken from it, what is refused, and which bottle serves whom."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.domain.catalogue import Catalogue, choose_bottles, decode_catalogue
from brew_assets.domain.platforms import (
    DEFAULT_PLATFORMS,
    KNOWN_PLATFORMS,
    is_platform,
    newer_macos,
    serving_tags,
)
from brew_assets.errors import CatalogueInvalid
from brew_assets_tests.worlds import catalogue_of, digest_of, formula

SHA = "0" * 64
GOOD = formula("good")


@pytest.mark.parametrize(
    ("tags", "platform", "serving"),
    [
        (["arm64_tahoe", "arm64_sequoia"], "arm64_tahoe", "arm64_tahoe"),
        (["arm64_tahoe", "arm64_sequoia"], "arm64_sequoia", "arm64_sequoia"),
        (["all"], "arm64_tahoe", "all"),
        (["all"], "x86_64_linux", "all"),
        (["all"], "sonoma", "all"),
        (["arm64_sonoma", "arm64_ventura"], "arm64_tahoe", "arm64_sonoma"),
        (["arm64_big_sur", "arm64_ventura"], "arm64_tahoe", "arm64_ventura"),
        (["sonoma", "ventura", "arm64_tahoe"], "tahoe", "sonoma"),
        (["catalina"], "tahoe", "catalina"),
        (["arm64_tahoe"], "arm64_sonoma", None),
        (["sonoma"], "arm64_sonoma", None),
        (["arm64_sonoma"], "sonoma", None),
        (["arm64_sonoma", "sonoma"], "x86_64_linux", None),
        (["arm64_linux"], "x86_64_linux", None),
        (["x86_64_linux"], "x86_64_linux", "x86_64_linux"),
        (["arm64_linux", "x86_64_linux"], "arm64_linux", "arm64_linux"),
        (["arm64_linux"], "arm64_tahoe", None),
        (["all", "arm64_ventura"], "arm64_tahoe", "all"),
        (["arm64_tahoe"], "arm64_golden_gate", "arm64_tahoe"),
    ],
)
def test_the_bottle_is_chosen_as_brew_chooses(tags: list[str], platform: str, serving: str | None) -> None:
    chosen = choose_bottles(catalogue_of(formula(tags=tags)), [platform])
    assert [bottle.tag for bottle, _ in chosen] == ([serving] if serving else [])


def test_a_bottle_that_serves_two_platforms_is_chosen_once() -> None:
    chosen = choose_bottles(catalogue_of(formula(tags=["arm64_sonoma"])), DEFAULT_PLATFORMS)
    ((bottle, serves),) = chosen
    assert bottle.tag == "arm64_sonoma"
    assert serves == DEFAULT_PLATFORMS


def test_disabled_formulae_are_left_out_unless_asked_for_and_deprecated_ones_kept() -> None:
    catalogue = catalogue_of(formula("off", disabled=True), formula("old", deprecated=True))
    names = [bottle.formula for bottle, _ in choose_bottles(catalogue, ["arm64_sonoma"])]
    assert names == ["old"]
    assert len(choose_bottles(catalogue, ["arm64_sonoma"], include_disabled=True)) == 2


def test_the_catalogues_fields_become_the_bottles() -> None:
    catalogue = catalogue_of(formula("openssl@3", "3.5.2", revision=1, rebuild=2, aliases=["openssl"]))
    ((bottle, _),) = choose_bottles(catalogue, ["arm64_sonoma"])
    assert bottle.filename == "openssl@3-3.5.2_1.arm64_sonoma.bottle.2.tar.gz"
    assert bottle.digest == digest_of("openssl@3/3.5.2/arm64_sonoma/2")
    assert bottle.url.startswith("https://ghcr.io/v2/homebrew/core/openssl/3/blobs/sha256:")
    assert catalogue.names() == {"openssl": "openssl@3", "openssl@3": "openssl@3"}


def spoilt(**changes: Any) -> dict[str, Any]:
    """A formula `bad` whose one file has other fields."""
    entry = formula("bad")
    entry["bottle"]["stable"]["files"]["arm64_sonoma"] |= changes
    return entry


BAD_TAG = formula("bad", tags={"a/b": "x"})
HOSTILE = [
    formula("../x"),
    formula("/etc"),
    formula("a/b"),
    formula("."),
    formula("a\nb"),
    formula("x" * 129),
    formula(""),
    formula("bad", "1/2"),
    formula("bad", "../1"),
    formula("bad", "1\n"),
    formula("bad", ""),
    formula("bad", None),
    formula("bad", revision=-1),
    formula("bad", revision=10**6),
    formula("bad", rebuild=-1),
    formula("bad", rebuild=10**6),
    BAD_TAG,
    formula("bad", tags={"../../x": "x"}),
    formula("bad", tags={"ARM": "x"}),
    formula("bad", tags={"": "x"}),
    spoilt(sha256=digest_of("bad").upper()),
    spoilt(sha256="abc"),
    spoilt(sha256=""),
    spoilt(
        url="https://ghcr.io/v2/homebrew/core/other/blobs/sha256:" + digest_of("bad/1.25.0/arm64_sonoma/0")
    ),
    spoilt(url="https://ghcr.io/v2/homebrew/core/bad/blobs/sha256:" + SHA),
    spoilt(url=""),
    formula("good", "2.0"),
]


@pytest.mark.parametrize("entry", HOSTILE, ids=lambda entry: json.dumps(entry)[:60])
def test_a_hostile_entry_is_named_and_left_out_and_the_others_stay(entry: dict[str, Any]) -> None:
    catalogue = catalogue_of(GOOD, entry, formula("better"))
    assert [f.name for f in catalogue.formulae] == ["good", "better"]
    (rejected,) = catalogue.rejected
    assert rejected.name == entry["name"][:80]
    assert rejected.why
    assert catalogue.bottle_count() == 2


def test_a_formula_without_a_bottle_needs_no_version() -> None:
    catalogue = catalogue_of(GOOD, formula("headonly", None, tags=()))
    assert catalogue.rejected == []
    assert len(choose_bottles(catalogue, ["arm64_sonoma"])) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"{}",
        b"[]",
        b"5",
        b'"text"',
        b"<html>",
        b"[{}]",
        b"[null]",
        b'[{"name":5}]',
        b'[{"name":"a","versions":{},"bottle":[]}]',
        b'[{"name":"a","versions":null,"bottle":{}}]',
        b'[{"name":"a","versions":{"stable":5},"bottle":{}}]',
        b'[{"name":"a","versions":{},"bottle":{"stable":{"files":{"all":5}}}}]',
        b'[{"name":"../a","versions":{},"bottle":{}}]',
        b'[{"name":"a","versions":{},"bottle":{}}',
        b'[{"name":"a","versions":{},"bottle":{}}]x',
        b"\xff\xfe",
        b'[{"name":"\xff","versions":{},"bottle":{}}]',
        b'[{"name":"a","versions":{},"bottle":{},"aliases":["\xff"]}]',
        b'[{"name":"a","versions":{},"bottle":{},"revision":' + b"9" * 5_000 + b"}]",
        b"[" * 100_000,
        b'[{"name":"a","versions":{},"bottle":{},"unknown":' + b"[" * 100_000,
        b'[{"x":' * 50_000,
    ],
    ids=lambda data: repr(data[:60]),
)
def test_what_is_no_catalogue_is_invalid(data: bytes) -> None:
    with pytest.raises(CatalogueInvalid, match=r"formula\.json"):
        decode_catalogue(data, sha256=SHA)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("name", "versions", "bottle", "stable", "files", "all", "sha256", "url", "x")),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.one_of(st.binary(max_size=200), JSON.map(lambda value: json.dumps(value).encode())))
def test_whatever_upstream_sends_only_our_error_comes_out(data: bytes) -> None:
    try:
        catalogue = decode_catalogue(data, sha256=SHA)
    except CatalogueInvalid:
        return
    assert isinstance(catalogue, Catalogue)
    choose_bottles(catalogue, KNOWN_PLATFORMS)


# Platforms


def test_serving_tags_are_the_tag_all_and_older_ones_of_its_kind() -> None:
    assert serving_tags("arm64_sonoma") == (
        "arm64_sonoma",
        "all",
        "arm64_ventura",
        "arm64_monterey",
        "arm64_big_sur",
    )
    assert serving_tags("x86_64_linux") == ("x86_64_linux", "all")
    assert serving_tags("sonoma")[:3] == ("sonoma", "all", "ventura")


@pytest.mark.parametrize(
    ("tags", "platforms", "newer"),
    [
        (["arm64_tahoe", "tahoe", "all", "x86_64_linux"], DEFAULT_PLATFORMS, []),
        (["arm64_golden_gate", "arm64_tahoe"], DEFAULT_PLATFORMS, ["arm64_golden_gate"]),
        (["arm64_tahoe", "arm64_sequoia"], ("arm64_sonoma",), ["arm64_sequoia", "arm64_tahoe"]),
        (["golden_gate"], DEFAULT_PLATFORMS, []),
        (["golden_gate"], ("tahoe",), ["golden_gate"]),
        (["arm64_unheard_of"], DEFAULT_PLATFORMS, ["arm64_unheard_of"]),
        (["arm64_tahoe"], ("x86_64_linux",), []),
        (["arm64_linux"], DEFAULT_PLATFORMS, []),
        ([], DEFAULT_PLATFORMS, []),
    ],
)
def test_a_newer_macos_is_noticed(tags: list[str], platforms: tuple[str, ...], newer: list[str]) -> None:
    assert newer_macos(tags, platforms) == newer


def test_all_is_no_platform() -> None:
    assert all(is_platform(platform) for platform in (*DEFAULT_PLATFORMS, "tahoe", "arm64_linux"))
    assert not any(is_platform(tag) for tag in ("all", "", "arm64_catalina", "linux", "Sonoma"))
