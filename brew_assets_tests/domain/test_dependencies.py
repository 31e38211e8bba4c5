"""What formulae need at run time, on each platform, as brew resolves it."""

import json
from random import Random
from typing import Any

import pytest

from brew_assets.domain.catalogue import Catalogue, decode_catalogue
from brew_assets.domain.dependencies import Closure, Dependencies, check_needs, needs_on
from brew_assets.domain.platforms import KNOWN_PLATFORMS
from brew_assets.errors import CatalogueInvalid
from brew_assets_tests.worlds import catalogue_of, digest_of, formula

TAGS = ("arm64_tahoe", "arm64_sonoma", "arm64_ventura", "tahoe", "sonoma", "x86_64_linux", "arm64_linux")
SONOMA, TAHOE, LINUX = "arm64_sonoma", "arm64_tahoe", "x86_64_linux"


def made(name: str, *dependencies: str, **other: Any) -> dict[str, Any]:
    """A formula that needs these, with bottles for all."""
    return formula(name, tags=other.pop("tags", TAGS), dependencies=list(dependencies), **other)


def names(catalogue: Catalogue, *asked: str, platform: str = SONOMA, **how: Any) -> list[str]:
    return sorted(closure(catalogue, *asked, platform=platform, **how).names)


def closure(catalogue: Catalogue, *asked: str, platform: str = SONOMA, **how: Any) -> Closure:
    return Dependencies(catalogue, **how).closure(platform, asked)


def test_what_is_needed_brings_what_it_needs_and_nothing_else() -> None:
    catalogue = catalogue_of(
        made("git", "pcre2", "gettext"), made("gettext", "icu"), *map(made, ("pcre2", "icu")), made("jq")
    )
    assert names(catalogue, "git") == ["gettext", "git", "icu", "pcre2"]
    assert names(catalogue, "gettext", "jq") == ["gettext", "icu", "jq"]
    assert names(catalogue, "jq") == ["jq"]


def test_what_only_building_and_testing_needs_stays_out() -> None:
    others = ("build", "test", "recommended", "optional")
    lists = {f"{kind}_dependencies": [f"{kind}-only"] for kind in others}
    catalogue = catalogue_of(made("a", "b", **lists), made("b"), *(made(f"{kind}-only") for kind in others))
    assert names(catalogue, "a") == ["a", "b"]


def test_a_variation_takes_the_place_of_the_dependencies_on_its_platform_alone() -> None:
    varied = {
        LINUX: {"dependencies": ["zlib"]},
        "arm64_linux": {"dependencies": []},
        "sonoma": {"caveats": "none"},
    }
    catalogue = catalogue_of(made("a", "gettext", variations=varied), made("gettext"), made("zlib"))
    assert names(catalogue, "a", platform=LINUX) == ["a", "zlib"]
    assert names(catalogue, "a", platform="arm64_linux") == ["a"]
    for platform in ("sonoma", SONOMA, TAHOE):
        assert names(catalogue, "a", platform=platform) == ["a", "gettext"]


def test_a_variation_may_change_what_is_used_of_macos_and_its_bounds() -> None:
    entry = made(
        "a",
        uses_from_macos=["expat"],
        uses_from_macos_bounds=[{}],
        variations={
            "arm64_ventura": {"uses_from_macos_bounds": [{"since": "sonoma"}]},
            "arm64_linux": {"uses_from_macos": ["zlib"]},
        },
    )
    catalogue = catalogue_of(entry, made("expat"), made("zlib"))
    assert names(catalogue, "a") == ["a"]
    assert names(catalogue, "a", platform="arm64_ventura") == ["a", "expat"]
    assert names(catalogue, "a", platform=LINUX) == ["a", "expat"]
    assert names(catalogue, "a", platform="arm64_linux") == ["a", "zlib"]


@pytest.mark.parametrize(
    ("since", "with_expat"),
    [
        ("catalina", {LINUX, "arm64_linux"}),
        ("sonoma", {"arm64_ventura", LINUX, "arm64_linux"}),
        ("sequoia", {"arm64_ventura", SONOMA, "sonoma", LINUX, "arm64_linux"}),
        ("golden_gate", set(TAGS)),
        # No macOS that is known here has it: only a new one can.
        ("a-later-one", set(TAGS)),
    ],
)
def test_what_macos_has_since_a_version_is_needed_on_older_ones_and_on_linux(
    since: str, with_expat: set[str]
) -> None:
    entry = made("a", uses_from_macos=["curl", "expat"], uses_from_macos_bounds=[{}, {"since": since}])
    catalogue = catalogue_of(entry, made("curl"), made("expat"))
    assert {
        platform for platform in TAGS if "expat" in names(catalogue, "a", platform=platform)
    } == with_expat
    assert [p for p in TAGS if "curl" in names(catalogue, "a", platform=p)] == [LINUX, "arm64_linux"]


def test_a_bottle_that_was_built_on_an_older_macos_needs_what_that_one_lacked() -> None:
    bounds: dict[str, Any] = {"uses_from_macos": ["jq"], "uses_from_macos_bounds": [{"since": "sequoia"}]}
    catalogue = catalogue_of(
        made("old", tags=("sonoma", "arm64_sonoma", "arm64_tahoe"), **bounds),
        made("any", tags=("all",), **bounds),
        made("jq"),
    )
    assert names(catalogue, "old", platform="tahoe") == ["jq", "old"]
    assert names(catalogue, "old", platform="arm64_tahoe") == ["old"]
    assert names(catalogue, "any", platform="tahoe") == ["any"]
    assert names(catalogue, "any", platform="sonoma") == ["any", "jq"]


def test_tags_of_what_is_used_of_macos_say_when_it_is_needed() -> None:
    used: list[dict[str, Any]] = [
        {"llvm": "build"},
        {"perl": "test"},
        {"python": ["build", "test"]},
        {"ruby": ["test"]},
        {"zlib": "no_linkage"},
        {"bzip2": ["no_linkage"]},
        {"ncurses": ["build", "no_linkage"]},
        {"flex": "optional", "bison": "no_linkage"},
        {"m4": []},
    ]
    others = [name for item in used for name in item]
    catalogue = catalogue_of(made("a", uses_from_macos=used), *map(made, others))
    assert names(catalogue, "a", platform=LINUX) == ["a", "bison", "bzip2", "m4", "zlib"]
    assert names(catalogue, "a") == ["a"]


def test_bounds_that_are_missing_or_too_many_bound_nothing_else() -> None:
    short = made("a", uses_from_macos=["b", "c"], uses_from_macos_bounds=[{"since": "golden_gate"}])
    long = made("d", uses_from_macos=["b"], uses_from_macos_bounds=[{}, {"since": "golden_gate"}])
    catalogue = catalogue_of(short, long, made("b"), made("c"))
    assert names(catalogue, "a") == ["a", "b"]
    assert names(catalogue, "d") == ["d"]


def test_dependencies_are_found_by_alias_old_name_and_with_the_tap() -> None:
    catalogue = catalogue_of(
        made("a", "python", "pkg-config", "homebrew/core/jq"),
        made("python@3.14", aliases=["python"]),
        made("pkgconf", oldnames=["pkg-config"]),
        made("jq"),
    )
    assert names(catalogue, "a") == ["a", "jq", "pkgconf", "python@3.14"]
    assert closure(catalogue, "a").unmet == {}


def test_circles_and_self_needs_end() -> None:
    catalogue = catalogue_of(made("a", "b"), made("b", "c", "b"), made("c", "a"), made("d", "d"))
    assert names(catalogue, "a") == names(catalogue, "c") == ["a", "b", "c"]
    assert names(catalogue, "d") == ["d"]
    assert closure(catalogue, "b").path_to("a") == ("b", "c", "a")


def test_a_chain_of_ten_thousand_ends_and_its_path_is_whole() -> None:
    chain = [made(f"f{n}", f"f{n + 1}", tags=(SONOMA,)) for n in range(9_999)]
    catalogue = catalogue_of(*chain, made("f9999", tags=(SONOMA,)))
    found = closure(catalogue, "f0")
    assert len(found.names) == 10_000
    assert found.path_to("f9999") == tuple(f"f{n}" for n in range(10_000))


def test_the_path_is_a_shortest_one_from_what_was_asked_for() -> None:
    catalogue = catalogue_of(
        made("a", "b", "d"),
        made("b", "c"),
        made("c", "e"),
        made("d", "e"),
        made("e", "f"),
        made("f"),
        made("x"),
    )
    found = closure(catalogue, "a")
    assert found.path_to("f") == ("a", "d", "e", "f")
    assert found.path_to("a") == ("a",)
    assert found.path_to("x") == found.path_to("no-such") == ()
    assert closure(catalogue, "a", "e").path_to("e") == ("e",)


def test_what_is_excluded_or_disabled_is_left_out_with_what_only_it_needs() -> None:
    catalogue = catalogue_of(
        made("a", "openssl", "old"),
        made("openssl", "ca-certificates"),
        made("ca-certificates"),
        made("old", "older", disabled=True),
        made("older"),
    )
    found = closure(catalogue, "a", excluded=frozenset({"openssl"}))
    assert sorted(found.names) == ["a"]
    reasons = {name: (unmet.reason, unmet.needed_by) for name, unmet in found.unmet.items()}
    assert reasons == {"openssl": ("excluded", "a"), "old": ("disabled", "a")}
    assert found.path_to("openssl") == ("a", "openssl")
    every = closure(catalogue, "a", include_disabled=True)
    assert (len(every.names), every.unmet) == (5, {})


def test_what_is_needed_and_has_no_bottle_is_named_and_so_is_what_the_catalogue_has_not() -> None:
    catalogue = catalogue_of(
        *(made(f"good{number}") for number in range(20)),
        made("a", "unbottled", "linux-only", "gone", "broken"),
        made("unbottled", "deep", tags=()),
        made("deep"),
        made("linux-only", tags=(LINUX,)),
        made("broken", revision=-1),
    )
    found = closure(catalogue, "a")
    assert sorted(found.names) == ["a", "deep", "linux-only", "unbottled"]
    assert {name: unmet.reason for name, unmet in found.unmet.items()} == {
        "unbottled": "unbottled",
        "linux-only": "unbottled",
        "gone": "unknown",
        "broken": "rejected",
    }
    assert "linux-only" not in closure(catalogue, "a", platform=LINUX).unmet


def test_a_formula_that_was_asked_for_and_has_no_bottle_there_brings_nothing_there() -> None:
    catalogue = catalogue_of(
        made("linux-only", "wayland", tags=(LINUX,)),
        made("wayland", "deep", tags=(LINUX,)),
        made("deep"),
        made("b", "wayland"),
    )
    found = closure(catalogue, "linux-only")
    assert (sorted(found.names), found.unmet) == (["linux-only"], {})
    assert names(catalogue, "linux-only", platform=LINUX) == ["deep", "linux-only", "wayland"]
    # Needed by another one it is named all the same.
    both = closure(catalogue, "wayland", "b")
    assert sorted(both.names) == ["b", "deep", "wayland"]
    assert both.unmet["wayland"].needed_by == "b"


HOSTILE: dict[str, Any] = {
    "dependencies": [None, "jq", {"jq": 1}, [1], [["jq"]], ["jq"] * 1_001, 7],
    "uses_from_macos": [None, "jq", [1], [{"jq": 1}], [{"jq": [1]}], [["jq"]], {"jq": "build"}],
    "uses_from_macos_bounds": [None, {}, [1], [{"since": 1}], ["catalina"], [{}] * 1_001],
    "variations": [
        None,
        [],
        {"x": 1},
        {"x": {"dependencies": "jq"}},
        {"x": {"uses_from_macos": [1]}},
        {f"x{n}": {} for n in range(101)},
    ],
}


@pytest.mark.parametrize(
    ("member", "value"), [(m, v) for m, values in HOSTILE.items() for v in values], ids=lambda v: str(v)[:40]
)
def test_needs_of_another_form_cost_the_formula_no_bottle_and_are_named(member: str, value: Any) -> None:
    whole = [made(f"good{number}", "jq") for number in range(20)]
    catalogue = catalogue_of(*whole, made("jq"), made("odd") | {member: value})
    assert catalogue.rejected == []
    odd = catalogue.formulae[-1]
    assert (odd.name, set(odd.tags)) == ("odd", set(TAGS))
    assert odd.unreadable_needs
    found = closure(catalogue, "odd", "good1")
    assert sorted(found.names) == ["good1", "jq", "odd"]
    assert (found.unmet["odd"].reason, bool(found.unmet["odd"].details)) == ("opaque", True)
    check_needs(catalogue)


def test_a_formula_cannot_say_itself_that_its_needs_are_unreadable() -> None:
    catalogue = catalogue_of(made("a", "b", why="no", unreadable_needs="no"), made("b"))
    assert names(catalogue, "a") == ["a", "b"]
    assert closure(catalogue, "a").unmet == {}


def test_a_catalogue_in_which_many_needs_are_of_another_form_gives_no_selection() -> None:
    spoiled = [made(f"odd{number}", uses_from_macos={}) for number in range(3)]
    catalogue = catalogue_of(*spoiled, *(made(f"good{number}") for number in range(26)))
    with pytest.raises(CatalogueInvalid, match=r"what 3 of 29 formulae need cannot be read.*First: odd0: "):
        check_needs(catalogue)
    check_needs(catalogue_of(*spoiled, *(made(f"good{number}") for number in range(27))))


def test_a_catalogue_without_needs_has_none() -> None:
    catalogue = catalogue_of(formula("a"), formula("b"))
    assert all(
        needs_on(formula, platform) == () for formula in catalogue.formulae for platform in KNOWN_PLATFORMS
    )


def test_whatever_a_catalogue_says_closures_end_and_are_of_its_formulae() -> None:
    random = Random(15)
    for _ in range(200):
        pool = [f"f{number}" for number in range(random.randrange(2, 40))]
        entries = [
            made(
                name,
                *random.choices([*pool, "gone"], k=random.randrange(4)),
                tags=random.sample(TAGS, random.randrange(len(TAGS))),
                disabled=random.random() < 0.1,
                uses_from_macos=random.choices([*pool, {"f0": "build"}], k=random.randrange(3)),
                uses_from_macos_bounds=[{"since": "sequoia"}],
                variations={LINUX: {"dependencies": random.choices(pool, k=2)}},
            )
            for name in pool
        ]
        data = json.dumps(entries).encode()
        catalogue = decode_catalogue(data, sha256=digest_of(data))
        for platform in (SONOMA, "tahoe", LINUX):
            found = closure(catalogue, pool[0], platform=platform, excluded=frozenset({pool[-1]}) - {pool[0]})
            assert found.names <= set(pool)
            for name in (*found.names, *found.unmet):
                path = found.path_to(name)
                assert (path[0], path[-1]) == (pool[0], name)
                assert len(set(path)) == len(path)
