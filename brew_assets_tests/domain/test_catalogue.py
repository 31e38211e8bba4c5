"""The upstream catalogue: what is taken from it, what is refused, and which bottle serves whom."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.domain import formula as formula_module
from brew_assets.domain.catalogue import Catalogue, choose_bottles, decode_catalogue
from brew_assets.domain.platforms import (
    KNOWN_PLATFORMS,
    is_platform,
    newer_macos,
    serving_tags,
)
from brew_assets.errors import CatalogueInvalid
from brew_assets.setting_values import DEFAULT_PLATFORMS
from brew_assets_tests.worlds import catalogue_of, digest_of, formula, plan_of

SHA = "0" * 64
GOOD = [formula(f"good{number}") for number in range(30)]
NAMES = [entry["name"] for entry in GOOD]


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
    formula("good0", "2.0"),
]


@pytest.mark.parametrize("entry", HOSTILE, ids=lambda entry: json.dumps(entry)[:60])
def test_a_hostile_entry_is_named_and_left_out_and_the_others_stay(entry: dict[str, Any]) -> None:
    catalogue = catalogue_of(*GOOD[:15], entry, *GOOD[15:])
    assert [f.name for f in catalogue.formulae] == NAMES
    (rejected,) = catalogue.rejected
    assert (rejected.name, rejected.tag) == (entry["name"][:128], "")
    assert rejected.why
    assert catalogue.bottle_count() == 30
    assert str(rejected).isprintable()


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in formula("bad").items() if key != name}


def with_bottle(block: Any) -> dict[str, Any]:
    return formula("bad") | {"bottle": block}


# What cannot even be read: the element, and its name where that can be.
UNREADABLE: list[tuple[Any, str]] = [
    (None, ""),
    (5, ""),
    (True, ""),
    ("text", ""),
    ([], ""),
    ({}, ""),
    (without("name"), ""),
    (formula("bad") | {"name": None}, ""),
    (formula("bad") | {"name": ["bad"]}, ""),
    (without("versions"), "bad"),
    (without("bottle"), "bad"),
    (formula("bad") | {"versions": None}, "bad"),
    (formula("bad") | {"versions": {"stable": 5}}, "bad"),
    (formula("bad") | {"revision": None}, "bad"),
    (formula("bad") | {"revision": "1"}, "bad"),
    (formula("bad") | {"revision": 10**400}, "bad"),
    (formula("bad") | {"aliases": None}, "bad"),
    (formula("bad") | {"aliases": [5]}, "bad"),
    (formula("bad") | {"disabled": None}, "bad"),
    (with_bottle(None), "bad"),
    (with_bottle([]), "bad"),
    (with_bottle({"stable": 5}), "bad"),
    (with_bottle({"stable": {}}), "bad"),
    (with_bottle({"stable": {"files": None}}), "bad"),
    (with_bottle({"stable": {"files": []}}), "bad"),
    (with_bottle({"stable": {"files": {}, "rebuild": None}}), "bad"),
    (with_bottle({"stable": {"files": {"arm64_sonoma": None}}}), "bad"),
]


@pytest.mark.parametrize(("element", "name"), UNREADABLE, ids=lambda value: repr(value)[-60:])
def test_a_formula_that_cannot_be_read_is_rejected_alone(element: Any, name: str) -> None:
    catalogue = decode_catalogue(json.dumps([*GOOD[:15], element, *GOOD[15:]]).encode(), sha256=SHA)
    assert [f.name for f in catalogue.formulae] == NAMES
    (rejected,) = catalogue.rejected
    assert (rejected.name, rejected.tag) == (name or "element 16", "")
    assert len(plan_of(catalogue).objects) == 30


@pytest.mark.parametrize(("element", "name"), UNREADABLE, ids=lambda value: repr(value)[-60:])
def test_a_catalogue_of_nothing_else_is_refused_and_the_refusal_names_it(element: Any, name: str) -> None:
    with pytest.raises(
        CatalogueInvalid, match=f"1 of 1 formulae cannot be used.* First: {name or 'element 1'}: "
    ):
        decode_catalogue(json.dumps([element]).encode(), sha256=SHA)


REST = b'"versions":{"stable":"1"},"bottle":{}}'


@pytest.mark.parametrize(
    ("element", "name"),
    [
        (b'{"name":"\xff",' + REST, ""),
        (b'{"name":"a","aliases":["\xff"],' + REST, "a"),
        (b'{"name":"a","x":' + b"[" * 50_000 + b"]" * 50_000 + b"," + REST, "a"),
        (b'{"name":"a, [b]","x":' + b'{"]":' * 50_000 + b"1" + b"}" * 50_000 + b"," + REST, "a, [b]"),
        (b'{"desc":"\\ud83c","name":"a",' + REST, "a"),
        (b'{"name":"a","desc":"\\ud83c, }",' + REST, "a"),
        (b'{"name":"a\\ud83c",' + REST, ""),
        (b'{"name":"a","revision":NaN,' + REST, "a"),
        (b'{"name":"a","x":-Infinity,' + REST, "a"),
        (b'{"name":"a","x":01,' + REST, "a"),
        (b'{"name":"a","desc":"one\x01two",' + REST, "a"),
        (b'{"name":"a","desc":"one\ntwo",' + REST, "a"),
        (b'{"name":"a\tb",' + REST, ""),
        (b'{"name":"a","x\x00":1,' + REST, "a"),
        (b'{"name":"a",,' + REST, "a"),
        (b"NaN", ""),
        (b"", ""),
    ],
    ids=lambda value: repr(value[:60]),
)
def test_bytes_that_no_decoder_follows_harm_their_own_formula_alone(element: bytes, name: str) -> None:
    good = [json.dumps(entry).encode() for entry in GOOD]
    for place in (0, 15, 30):
        data = b"[" + b" , ".join([*good[:place], element, *good[place:]]) + b"]\n"
        catalogue = decode_catalogue(data, sha256=SHA)
        assert [f.name for f in catalogue.formulae] == NAMES
        (rejected,) = catalogue.rejected
        assert (rejected.name, rejected.tag) == (name or f"element {place + 1}", "")
        assert rejected.why.startswith("it cannot be read: ")


def test_the_bottles_of_a_formula_that_no_decoder_follows_count_for_its_platforms() -> None:
    element = json.dumps(formula("a", tags=("x86_64_linux",)))[:-1].encode() + b',"desc":NaN}'
    data = json.dumps(GOOD).encode()[:-1] + b"," + element + b"]"
    (rejected,) = decode_catalogue(data, sha256=SHA).rejected
    assert (rejected.name, rejected.tags) == ("a", ("x86_64_linux",))


OTHERS = ("arm64_ventura", "x86_64_linux")


def with_file(tag: str, file: Any) -> dict[str, Any]:
    """A formula with two good tags and this one."""
    entry = formula("bad", tags=OTHERS)
    entry["bottle"]["stable"]["files"] = {tag: file} | entry["bottle"]["stable"]["files"]
    return entry


FILE = formula("bad")["bottle"]["stable"]["files"]["arm64_sonoma"]
BAD_FILES: list[tuple[str, Any]] = [
    ("arm64_sonoma", None),
    ("arm64_sonoma", 5),
    ("arm64_sonoma", "text"),
    ("arm64_sonoma", []),
    ("arm64_sonoma", {}),
    ("arm64_sonoma", {"url": FILE["url"]}),
    ("arm64_sonoma", FILE | {"url": None}),
    ("arm64_sonoma", FILE | {"sha256": 5}),
    ("arm64_sonoma", FILE | {"sha256": "abc"}),
    ("arm64_sonoma", FILE | {"sha256": FILE["sha256"].upper()}),
    ("arm64_sonoma", FILE | {"url": ""}),
    ("arm64_sonoma", FILE | {"url": FILE["url"].replace("/bad/", "/other/")}),
    ("arm64_sonoma", FILE | {"url": FILE["url"][:-64] + SHA}),
    ("a/b", FILE),
    ("../../x", FILE),
    ("ARM", FILE),
    ("a" * 65, FILE),
]


@pytest.mark.parametrize(("tag", "file"), BAD_FILES, ids=lambda value: repr(value)[-60:])
def test_a_bad_tag_drops_that_tag_alone(tag: str, file: Any) -> None:
    catalogue = catalogue_of(*GOOD[:15], with_file(tag, file), *GOOD[15:])
    assert len(catalogue.formulae) == 31
    (rejected,) = catalogue.rejected
    assert (rejected.name, rejected.tag) == ("bad", tag)
    assert set(next(f for f in catalogue.formulae if f.name == "bad").tags) == set(OTHERS)
    # What is left serves as brew would choose from it.
    assert len(plan_of(catalogue).objects) == 31
    assert len(plan_of(catalogue, "arm64_tahoe", "x86_64_linux", formulae=("bad",)).objects) == 2


def test_an_empty_tag_is_not_the_whole_formula() -> None:
    catalogue = catalogue_of(*GOOD, with_file("", FILE))
    assert [rejected.tag for rejected in catalogue.rejected] == ["an empty tag"]
    assert len(catalogue.formulae) == 31


def test_a_file_name_that_no_disk_takes_drops_the_tags_that_make_it_so() -> None:
    long = formula("a" * 100, "1" * 100, tags=("arm64_sonoma", "all", "x86_64_linux", "a" * 21))
    catalogue = catalogue_of(*GOOD, long)
    assert [r.tag for r in catalogue.rejected] == ["a" * 21]
    assert "longer than file systems take" in catalogue.rejected[0].why


def test_a_name_that_stands_twice_is_that_of_the_first_that_can_be_used() -> None:
    catalogue = catalogue_of(formula("twice", revision=-1), *GOOD, formula("twice"), formula("twice", "2.0"))
    assert [f.pkg_version for f in catalogue.formulae if f.name == "twice"] == ["1.25.0"]
    assert [(r.name, "twice" in r.why) for r in catalogue.rejected] == [("twice", False), ("twice", True)]


def test_a_formula_without_bottles_takes_no_file_names() -> None:
    catalogue = catalogue_of(*GOOD, formula("a", "b-1", tags=()), formula("a-b", "1"))
    assert catalogue.rejected == []


def test_a_tag_of_a_new_platform_is_no_rejection() -> None:
    catalogue = catalogue_of(*(formula(name, tags=("arm64_sonoma", "arm64_unheard_of")) for name in NAMES))
    assert catalogue.rejected == []
    assert len(plan_of(catalogue).objects) == 30


def test_a_formula_without_a_bottle_needs_no_version() -> None:
    catalogue = catalogue_of(GOOD[0], formula("headonly", None, tags=()))
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


@pytest.mark.parametrize(
    ("limit", "most", "data", "expected"),
    [
        ("MAX_CATALOGUE_BYTES", 100, b"[]" + b" " * 99, "100 bytes"),
        ("MAX_CATALOGUE_VALUES", 20, b"[" + b"1," * 20 + b"1]", "20 values"),
        ("MAX_CATALOGUE_VALUES", 20, b"[" * 21, "20 values"),
        ("MAX_CATALOGUE_VALUES", 20, b"[" + b'{"":' * 20, "20 values"),
        ("MAX_FORMULAE", 3, b"[{},{},{},{}]", "3 formulae"),
        ("MAX_FORMULAE", 3, b"[1,[2,2],{},4]", "3 formulae"),
        ("MAX_FORMULAE", 3, b' [1,"\x01",{},NaN]', "3 formulae"),
    ],
)
def test_more_than_any_catalogue_has_is_refused_before_anything_is_made_of_it(
    monkeypatch: pytest.MonkeyPatch, limit: str, most: int, data: bytes, expected: str
) -> None:
    monkeypatch.setattr(formula_module, limit, most)
    with pytest.raises(CatalogueInvalid, match=f"expected at most {expected}"):
        decode_catalogue(data, sha256="0" * 64)


@pytest.mark.parametrize(
    "changes",
    [
        {"aliases": [f"a{number}" for number in range(101)]},
        {"oldnames": [f"a{number}" for number in range(101)]},
        {"bottle": {"stable": {"files": {f"t{number}": {"url": "", "sha256": ""} for number in range(101)}}}},
        {"junk": "x" * 2_000_000, "aliases": 5},
    ],
)
def test_a_formula_with_more_than_any_has_is_rejected_alone(changes: dict[str, Any]) -> None:
    good = [formula(f"good{number}") for number in range(20)]
    found = catalogue_of(formula("large") | changes, *good)
    assert len(found.formulae) == 20
    (rejected,) = found.rejected
    assert rejected.name in ("large", "element 1")
    assert len(rejected.aliases) <= 200
