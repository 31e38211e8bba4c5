"""Formulae that EXCLUDE_FORMULAE names: left out, and said to be."""

import pytest

from brew_assets.domain.catalogue import Catalogue
from brew_assets.domain.exclusions import without_excluded
from brew_assets.domain.left_out import message_notes_of, notes_of, remarks_of
from brew_assets.domain.lost import with_lost
from brew_assets.domain.manifest import entry_for
from brew_assets.domain.named_formulae import exclusions_of
from brew_assets.domain.plan import decode_plan, encode_plan
from brew_assets.errors import PlanInvalid
from brew_assets_tests.worlds import DATE, bottle, catalogue_of, formula, held, plan_of

LEFT_OUT = "Left out, because EXCLUDE_FORMULAE names them: "


@pytest.fixture
def catalogue() -> Catalogue:
    return catalogue_of(
        formula("jq"),
        formula("wget"),
        formula("python@3.14", aliases=["python", "python3"], oldnames=["python4"]),
        formula("off", disabled=True),
        formula("only-linux", tags=("x86_64_linux",)),
        *(formula(f"good{number}") for number in range(20)),
        formula("broken", revision=-1, aliases=["cracked"]),
    )


@pytest.mark.parametrize(
    ("written", "names", "unknown"),
    [
        (("jq",), ("jq",), ()),
        ((" JQ ", "jq", ""), ("jq",), ()),
        (("homebrew/core/jq", "Homebrew/homebrew-core/wget"), ("jq", "wget"), ()),
        (("python3", "Python4", "python@3.14"), ("python@3.14",), ()),
        (("broken", "cracked"), ("broken",), ()),
        (("somebody/tap/jq", "python@*", "no-such"), None, ("somebody/tap/jq", "python@*", "no-such")),
        ((), (), ()),
    ],
    ids=str,
)
def test_formulae_are_excluded_by_every_name_that_they_have(
    catalogue: Catalogue, written: tuple[str, ...], names: "tuple[str, ...] | None", unknown: tuple[str, ...]
) -> None:
    found = exclusions_of(catalogue, written)
    assert found.names == frozenset(unknown if names is None else names)
    assert found.unknown == unknown


def test_a_plan_says_what_it_leaves_out_and_which_names_are_in_vain(catalogue: Catalogue) -> None:
    plan = plan_of(catalogue, exclude=("JQ", "python", "only-linux", "off", "no-such", "nor-this"))
    assert {item.bottle.formula for item in plan.objects} == {"wget", *(f"good{n}" for n in range(20))}
    left_out = plan.left_out
    assert (left_out.excluded, left_out.excluded_formulae) == (3, ("jq", "python@3.14", "off"))
    assert (left_out.disabled, left_out.unknown_exclusions) == (0, ("no-such", "nor-this"))
    assert remarks_of(plan) == (f"{LEFT_OUT}3 formulae; first: jq; python@3.14; off",)
    assert notes_of(plan)[-1].endswith(": 2 names; first: no-such; nor-this")
    assert message_notes_of(plan) == (*notes_of(plan), *remarks_of(plan))
    assert decode_plan(encode_plan(plan)) == plan


def test_messages_say_it_even_where_nothing_else_is_to_be_said() -> None:
    plan = plan_of(catalogue_of(formula("jq"), formula("wget")), exclude=("jq",))
    assert notes_of(plan) == ()
    assert message_notes_of(plan) == (f"{LEFT_OUT}1 formula; first: jq",)


def test_to_ask_for_what_is_excluded_is_a_contradiction_and_all_are_named(catalogue: Catalogue) -> None:
    with pytest.raises(PlanInvalid) as caught:
        plan_of(catalogue, formulae=("jq", "python3", "no-such"), exclude=("jq", "python@3.14"))
    text = str(caught.value)
    assert "'jq' is excluded by EXCLUDE_FORMULAE: take it off there" in text
    assert "'python3' is excluded (as python@3.14) by EXCLUDE_FORMULAE" in text
    assert "'no-such' is not in the catalogue" in text


def test_a_selective_plan_of_others_says_nothing_of_it(catalogue: Catalogue) -> None:
    plan = plan_of(catalogue, formulae=("wget",), exclude=("jq",))
    assert (len(plan.objects), plan.left_out.excluded, remarks_of(plan)) == (1, 0, ())


def test_what_the_store_has_lost_of_an_excluded_formula_is_not_fetched_again(catalogue: Catalogue) -> None:
    gone = {b.entry_key: entry_for(b, date=DATE, size=5) for b in (bottle("jq"), bottle("ancient"))}
    plan = plan_of(catalogue, have=held([bottle(f"good{n}") for n in range(20)]), exclude=("jq", "ancient"))
    names = exclusions_of(catalogue, ("jq", "ancient")).names
    found = with_lost(plan, gone, excluded=names)
    assert {item.bottle.formula for item in found.objects} == {"wget", "python@3.14"}
    assert (found.left_out.lost, found.left_out.lost_planned) == (2, 0)


def test_a_plan_that_is_older_than_the_setting_is_cut(catalogue: Catalogue) -> None:
    plan = plan_of(catalogue)
    cut = without_excluded(plan, ("homebrew/core/JQ", "wget", "no-such"))
    assert {p.bottle.formula for p in plan.objects} - {p.bottle.formula for p in cut.objects} == {
        "jq",
        "wget",
    }
    assert remarks_of(cut)[0] == f"{LEFT_OUT}2 formulae; first: jq; wget"
    assert without_excluded(cut, ("jq", "wget")) == cut
