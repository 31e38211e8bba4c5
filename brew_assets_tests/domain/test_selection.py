"""What a sync and a mirror are for: formulae by name, with what they need, and what is said of them."""

from typing import Any

import msgspec
import pytest

from brew_assets.domain.catalogue import Catalogue
from brew_assets.domain.left_out import message_notes_of, notes_of, remarks_of
from brew_assets.domain.lost import with_lost
from brew_assets.domain.manifest import entry_for
from brew_assets.domain.plan import Plan, Request, decode_plan, encode_plan
from brew_assets.domain.plan_summary import PlanSummary, summarize
from brew_assets.domain.selection import meant_to_hold
from brew_assets.domain.why import explain
from brew_assets.errors import CatalogueInvalid, PlanInvalid
from brew_assets_tests.worlds import DATE, bottle, catalogue_of, formula, plan_of

SONOMA, LINUX = "arm64_sonoma", "x86_64_linux"
BOTH = (SONOMA, LINUX)


def made(name: str, *dependencies: str, tags: tuple[str, ...] = BOTH, **other: Any) -> dict[str, Any]:
    return formula(name, tags=tags, dependencies=list(dependencies), **other)


@pytest.fixture
def catalogue() -> Catalogue:
    return catalogue_of(
        made("git", "pcre2", uses_from_macos=["curl"], uses_from_macos_bounds=[{}]),
        made("pcre2", "zlib"),
        made("zlib"),
        made("curl", "openssl@3"),
        made("openssl@3", aliases=["openssl"]),
        made("jq", oldnames=["jquery"]),
        made("mesa", "wayland", "off", "gone"),
        made("wayland", tags=(LINUX,)),
        made("off", disabled=True),
        *(made(f"good{number}") for number in range(20)),
        made("broken", revision=-1, aliases=["cracked"]),
    )


def notes(plan: Plan) -> list[str]:
    """What should be looked at, but for `broken`, which is in every catalogue here."""
    return [note for note in notes_of(plan) if not note.startswith("Rejected")]


def files(plan: Plan) -> dict[str, list[str]]:
    return {p: sorted(item.bottle.formula for item in plan.pending(p)) for p in plan.platforms}


def test_a_plan_brings_what_each_platform_needs_and_counts_it(catalogue: Catalogue) -> None:
    plan = plan_of(catalogue, *BOTH, formulae=("git", "jquery"))
    assert files(plan) == {
        SONOMA: ["git", "jq", "pcre2", "zlib"],
        LINUX: ["curl", "git", "jq", "openssl@3", "pcre2", "zlib"],
    }
    assert (plan.formulae, plan.meant) == (("git", "jq"), ())
    assert plan.needed == ("curl", "openssl@3", "pcre2", "zlib")
    summary = summarize(plan)
    assert (summary.asked_for, summary.with_needed) == (2, 6)
    assert summary.selection == "2 formulae asked for, 6 with what they need"
    assert summarize(plan_of(catalogue, SONOMA, formulae=("git",))).selection == (
        "1 formula asked for, 3 with what it needs"
    )
    assert notes(plan) == []


def test_without_dependencies_just_what_is_named_is_planned(catalogue: Catalogue) -> None:
    plan = plan_of(catalogue, *BOTH, formulae=("git", "mesa"), include_dependencies=False)
    assert files(plan) == {SONOMA: ["git", "mesa"], LINUX: ["git", "mesa"]}
    assert (plan.needed, plan.closed, notes(plan)) == ((), False, [])
    assert summarize(plan).selection == "2 formulae asked for, without what they need"


def test_a_sync_without_formulae_of_its_own_is_for_those_of_the_mirror(catalogue: Catalogue) -> None:
    plan = plan_of(catalogue, SONOMA, mirror_formulae=(" GIT", "homebrew/core/jq", "git"))
    assert files(plan) == {SONOMA: ["git", "jq", "pcre2", "zlib"]}
    assert (plan.formulae, plan.meant, plan.needed) == ((), ("git", "jq"), ("pcre2", "zlib"))
    assert summarize(plan).selection == "2 formulae asked for, 4 with what they need"
    own = plan_of(catalogue, SONOMA, mirror_formulae=("git",), formulae=("good1",))
    assert (own.formulae, own.meant, files(own)) == (("good1",), (), {SONOMA: ["good1"]})
    every = plan_of(catalogue, SONOMA)
    assert (every.covered, summarize(every).selection, len(every.objects)) == (None, "", 27)


def test_what_is_needed_and_cannot_be_had_is_named_with_who_needs_it(catalogue: Catalogue) -> None:
    plan = plan_of(catalogue, *BOTH, formulae=("mesa",))
    assert files(plan) == {SONOMA: ["mesa"], LINUX: ["mesa", "wayland"]}
    (note,) = notes(plan)
    assert note.startswith(
        "Needed by what was asked for, but not to be had from this mirror: 3 formulae; first: "
    )
    for said in (
        "wayland: it has no bottle for arm64_sonoma (needed by mesa)",
        "off: upstream has disabled it (INCLUDE_DISABLED=true mirrors them too) (needed by mesa)",
        "gone: it is not in the catalogue (needed by mesa)",
    ):
        assert said in note
    assert note in message_notes_of(plan)
    assert summarize(plan).selection == "1 formula asked for, 2 with what it needs"
    assert plan_of(catalogue, LINUX, formulae=("mesa",), include_disabled=True).left_out.unmet == 1


def test_what_is_needed_and_excluded_is_left_out_and_said(catalogue: Catalogue) -> None:
    plan = plan_of(catalogue, *BOTH, formulae=("git",), exclude=("openssl", "PCRE2"))
    assert files(plan) == {SONOMA: ["git"], LINUX: ["curl", "git"]}
    (remark,) = remarks_of(plan)
    assert remark == (
        "Needed by what was asked for, but left out, because EXCLUDE_FORMULAE names them: 2 formulae; "
        "first: pcre2 (needed by git); openssl@3 (needed by curl)"
    )
    assert (notes(plan), message_notes_of(plan)[-1]) == ([], remark)


def test_what_the_setting_names_and_the_catalogue_has_not_keeps_nobody_from_the_rest(
    catalogue: Catalogue,
) -> None:
    plan = plan_of(
        catalogue, SONOMA, mirror_formulae=("git", "gone", "cracked", "jq", "off"), exclude=("jquery",)
    )
    assert files(plan) == {SONOMA: ["git", "pcre2", "zlib"]}
    assert plan.meant == ("git", "off")
    said = " ".join(notes_of(plan))
    assert "Named in MIRROR_FORMULAE, but in no catalogue under this name" in said
    assert "1 name; first: gone" in said
    assert "first: broken: revision or rebuild is out of range" in said
    assert "off: upstream has disabled it" in said
    assert remarks_of(plan)[0].endswith("because EXCLUDE_FORMULAE names them: 1 formula; first: jq")


@pytest.mark.parametrize(
    ("names", "exclude", "said"),
    [
        (("gti", "gone"), (), r"MIRROR_FORMULAE: formula 'gti' is not in the catalogue; did you mean git\?"),
        (("broken",), (), "MIRROR_FORMULAE: formula 'broken' is in the catalogue, but rejected"),
        (("git",), ("git",), "MIRROR_FORMULAE: formula 'git' is excluded by EXCLUDE_FORMULAE"),
        ((" ", ""), (), "MIRROR_FORMULAE: expected names of formulae to mirror, found none"),
    ],
)
def test_a_setting_of_which_nothing_is_left_plans_nothing(
    catalogue: Catalogue, names: tuple[str, ...], exclude: tuple[str, ...], said: str
) -> None:
    with pytest.raises(PlanInvalid, match=said):
        plan_of(catalogue, SONOMA, mirror_formulae=names, exclude=exclude)
    with pytest.raises(PlanInvalid, match=said):
        meant_to_hold(catalogue, platforms=[SONOMA], mirror_formulae=names, exclude=exclude)


def test_unreadable_needs_are_said_and_too_many_end_a_selection_but_no_whole_sync() -> None:
    good = [made(f"good{number}") for number in range(30)]
    one = catalogue_of(*good, made("odd") | {"dependencies": 1})
    (note,) = notes_of(plan_of(one, SONOMA, formulae=("odd",)))
    assert note.startswith(
        "Taken without what they need, which upstream's catalogue has in a form that cannot"
    )
    assert "first: odd: Expected 'array', got 'int'" in note
    many = catalogue_of(*good, *(made(f"odd{number}") | {"dependencies": 1} for number in range(10)))
    with pytest.raises(CatalogueInvalid, match="10 of 40 formulae need cannot be read"):
        plan_of(many, SONOMA, formulae=("good1",))
    assert len(plan_of(many, SONOMA, formulae=("good1",), include_dependencies=False).objects) == 1
    assert len(plan_of(many, SONOMA).objects) == 40


def test_what_is_lost_of_what_is_needed_comes_back_and_nothing_else(catalogue: Catalogue) -> None:
    lost = {
        item.entry_key: entry_for(item, date=DATE, size=1000)
        for item in (bottle("zlib", "0.9"), bottle("jq", "0.9"))
    }
    asked_in: tuple[dict[str, Any], ...] = ({"formulae": ("git",)}, {"mirror_formulae": ("git",)})
    for asked in asked_in:
        found = with_lost(plan_of(catalogue, SONOMA, **asked), lost)
        assert [item.bottle.formula for item in found.objects if item.again] == ["zlib"]
        assert found.left_out.lost == 2


def test_a_plan_goes_into_the_store_and_back_and_one_from_before_is_read(catalogue: Catalogue) -> None:
    plan = plan_of(catalogue, *BOTH, formulae=("git",))
    assert decode_plan(encode_plan(plan)) == plan
    assert decode_plan(encode_plan(plan)).closed
    before = msgspec.json.decode(msgspec.json.encode(plan))
    for field in ("meant", "needed", "closed"):
        del before[field]
    old = decode_plan(msgspec.json.encode(before | {"plan_version": 1}), sealed=False)
    assert summarize(old).selection == "1 formula asked for, without what it needs"
    for field in ("formulae", "meant", "needed"):
        changed = msgspec.structs.replace(plan, **{field: ("../x",)})
        with pytest.raises(PlanInvalid, match="formulae: expected names of formulae"):
            decode_plan(encode_plan(changed))


def test_a_summary_from_before_is_read() -> None:
    known = msgspec.to_builtins(summarize(plan_of(catalogue_of(made("a")), SONOMA)))
    for field in ("meant", "needed", "closed", "asked_for", "with_needed"):
        del known[field]
    assert msgspec.convert(known, PlanSummary).selection == ""


def test_what_a_mirror_is_meant_to_hold_is_the_closed_selection_of_its_settings(catalogue: Catalogue) -> None:
    meant = meant_to_hold(
        catalogue, platforms=BOTH, mirror_formulae=("git", "mesa", "new-one", "cracked"), exclude=("zlib",)
    )
    assert meant.on(SONOMA) == {"git", "pcre2", "mesa", "wayland"}
    assert meant.on(LINUX) == {"git", "pcre2", "mesa", "wayland", "curl", "openssl@3"}
    assert meant.on("arm64_tahoe") == frozenset()
    assert [meant.covers("curl", platform) for platform in (SONOMA, LINUX)] == [False, True]
    # What is named and that the catalogue does not have (yet), or not in a form that can be used.
    assert meant.covers("new-one", SONOMA)
    assert meant.covers("broken", LINUX)
    assert not any(meant.covers(name, LINUX) for name in ("zlib", "off", "jq", "good1"))
    alone = meant_to_hold(catalogue, platforms=BOTH, mirror_formulae=("git",), include_dependencies=False)
    assert alone.on(LINUX) == {"git"}


def test_a_mirror_without_a_selection_is_meant_to_hold_all_but_excluded_and_disabled_ones(
    catalogue: Catalogue,
) -> None:
    meant = meant_to_hold(catalogue, platforms=(SONOMA,), exclude=("openssl", "Not-There"))
    assert meant.on(SONOMA) == {f.name for f in catalogue.formulae} - {"off", "openssl@3"}
    assert meant.covers("named-by-the-api-alone", SONOMA)
    assert not any(meant.covers(name, SONOMA) for name in ("off", "openssl@3", "not-there"))
    assert not meant.covers("git", LINUX)
    assert meant_to_hold(catalogue, platforms=(SONOMA,), include_disabled=True).covers("off", SONOMA)


def test_why_is_the_path_on_each_platform(catalogue: Catalogue) -> None:
    asked = Request(platforms=BOTH, formulae=("git",))
    found = explain(catalogue, "openssl", asked)
    assert (found.name, found.asked_for) == ("openssl@3", ("git",))
    assert (found.platforms[SONOMA].path, found.platforms[SONOMA].mirrored) == ((), False)
    assert (found.platforms[LINUX].path, found.platforms[LINUX].mirrored) == (
        ("git", "curl", "openssl@3"),
        True,
    )
    assert explain(catalogue, "git", asked).platforms[SONOMA].path == ("git",)
    assert explain(catalogue, "good1", asked).platforms[LINUX].path == ()
    alone = explain(catalogue, "curl", msgspec.structs.replace(asked, include_dependencies=False))
    assert (alone.include_dependencies, alone.platforms[LINUX].path) == (False, ())


def test_why_says_what_keeps_a_needed_formula_out(catalogue: Catalogue) -> None:
    asked = Request(platforms=BOTH, mirror_formulae=("mesa", "git"), exclude=("curl",))
    lacks = {name: explain(catalogue, name, asked).platforms for name in ("wayland", "off", "gone", "curl")}
    assert lacks["wayland"][SONOMA].lack == "it has no bottle for arm64_sonoma"
    assert (lacks["wayland"][LINUX].mirrored, lacks["wayland"][LINUX].lack) == (True, "")
    assert lacks["off"][LINUX].lack.startswith("upstream has disabled it")
    assert (lacks["gone"][SONOMA].path, lacks["gone"][SONOMA].lack) == (
        ("mesa", "gone"),
        "it is not in the catalogue",
    )
    assert (lacks["curl"][LINUX].path, lacks["curl"][LINUX].lack) == (
        ("git", "curl"),
        "EXCLUDE_FORMULAE names it",
    )
    assert not any(why.mirrored for name in ("off", "gone", "curl") for why in lacks[name].values())


def test_why_refuses_names_of_no_formula_and_says_what_may_have_been_meant(catalogue: Catalogue) -> None:
    for asked in (Request(platforms=BOTH), Request(platforms=BOTH, formulae=("jq",))):
        with pytest.raises(
            PlanInvalid, match=r"formula 'pcre' is not in the catalogue; did you mean pcre2\?"
        ):
            explain(catalogue, "pcre", asked)
        with pytest.raises(PlanInvalid, match="formula 'broken' is in the catalogue, but rejected"):
            explain(catalogue, "broken", asked)
    every = explain(catalogue, "jquery", Request(platforms=BOTH))
    assert (every.name, every.asked_for, every.platforms[SONOMA].path) == ("jq", (), ("jq",))
    assert (
        explain(catalogue, "off", Request(platforms=BOTH)).platforms[SONOMA].lack.startswith("upstream has")
    )
