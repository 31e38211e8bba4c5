"""When too much of a catalogue is rejected, and how people are told what a plan leaves out."""

from typing import Any

import msgspec
import pytest

from brew_assets.domain.catalogue import check_served, decode_catalogue
from brew_assets.domain.left_out import (
    LeftOut,
    message_notes_of,
    notes_of,
    remarks_of,
)
from brew_assets.domain.lost import with_lost
from brew_assets.domain.manifest import entry_for
from brew_assets.domain.plan import (
    Plan,
    Request,
    check_request,
    decode_plan,
    encode_plan,
)
from brew_assets.domain.plan_summary import PlanSummary, summarize
from brew_assets.domain.report import decode_report
from brew_assets.domain.seal import seal
from brew_assets.errors import CatalogueInvalid, PlanInvalid
from brew_assets.setting_values import DEFAULT_PLATFORMS
from brew_assets_tests.worlds import DATE, bottle, catalogue_of, digest_of, formula, old_shape, plan_of

SONOMA, LINUX = "arm64_sonoma", "x86_64_linux"


def good(count: int, **options: Any) -> list[dict[str, Any]]:
    return [formula(f"good{number}", **options) for number in range(count)]


def spoilt(name: str, *bad: str, tags: tuple[str, ...] = (SONOMA, LINUX), **options: Any) -> dict[str, Any]:
    """A formula with these tags, of which the bad ones have no digest."""
    entry = formula(name, tags=tags, **options)
    for tag in bad:
        entry["bottle"]["stable"]["files"][tag]["sha256"] = "none"
    return entry


@pytest.mark.parametrize(("bad", "refused"), [(0, False), (1, False), (10, False), (11, True), (12, True)])
def test_a_tenth_of_the_formulae_may_be_rejected_and_no_more(bad: int, refused: bool) -> None:
    entries = [formula(f"bad{n}", revision=-1) for n in range(bad)] + good(100 - bad)
    if not refused:
        assert len(catalogue_of(*entries).formulae) == 100 - bad
        return
    with pytest.raises(CatalogueInvalid) as caught:
        catalogue_of(*entries)
    text = str(caught.value)
    assert f"{bad} of 100 formulae" in text
    assert "bad0: revision or rebuild is out of range; bad1: " in text
    assert f"and {bad - 4} others" in text
    assert "FORMULAE_API_URL" in text


@pytest.mark.parametrize(("bad", "refused"), [(0, False), (4, False), (5, True)])
def test_a_tenth_of_a_platforms_bottles_may_be_rejected_and_no_more(bad: int, refused: bool) -> None:
    entries = [spoilt(f"bad{n}", LINUX) for n in range(bad)]
    entries += good(40 - bad, tags=(SONOMA, LINUX))
    # Those have no bottle for Linux, and do not count there.
    entries += [formula(f"other{n}", tags=(SONOMA,)) for n in range(60)]
    catalogue = catalogue_of(*entries)
    check_served(catalogue, [SONOMA])
    if not refused:
        check_served(catalogue, [SONOMA, LINUX])
        assert len(plan_of(catalogue, LINUX).objects) == 40 - bad
        return
    with pytest.raises(CatalogueInvalid, match=r"5 of 40 bottles for x86_64_linux.*bad0 \(x86_64_linux\): "):
        check_served(catalogue, [SONOMA, LINUX])
    with pytest.raises(CatalogueInvalid, match="5 of 40 bottles for x86_64_linux"):
        plan_of(catalogue, LINUX)
    assert len(plan_of(catalogue, SONOMA).objects) == 100


def test_the_bottle_that_brew_would_choose_counts_also_where_an_older_one_could_serve() -> None:
    tags = ("arm64_tahoe", SONOMA)
    entries = [spoilt(f"bad{n}", "arm64_tahoe", tags=tags) for n in range(2)] + good(8, tags=tags)
    catalogue = catalogue_of(*entries)
    check_served(catalogue, [SONOMA, "arm64_sequoia"])
    with pytest.raises(CatalogueInvalid, match="2 of 10 bottles for arm64_tahoe"):
        check_served(catalogue, ["arm64_tahoe"])


def test_the_bottles_of_a_rejected_formula_count_for_its_platforms() -> None:
    linux = [formula(f"linux{number}", tags=(LINUX,)) for number in range(5)]
    catalogue = catalogue_of(*good(9), *linux, formula("bad", revision=-1, tags=(LINUX,)))
    check_served(catalogue, [SONOMA])
    with pytest.raises(CatalogueInvalid, match="1 of 6 bottles for x86_64_linux"):
        check_served(catalogue, [LINUX])


def test_a_bad_tag_that_serves_no_platform_of_ours_takes_nothing_away() -> None:
    catalogue = catalogue_of(*(spoilt(f"odd{n}", "catalina", tags=(SONOMA, "catalina")) for n in range(30)))
    check_served(catalogue, DEFAULT_PLATFORMS)
    plan = plan_of(catalogue)
    assert len(plan.objects) == 30
    assert (plan.left_out.rejected, plan.left_out.rejected_bottles) == (30, 30)
    assert len(plan.left_out.rejections) == 20
    assert "30 bottles; first: odd0 (catalina): the digest is not a SHA-256; " in notes_of(plan)[0]
    assert notes_of(plan)[0].endswith("; and 25 others")


def test_a_taps_catalogue_in_an_older_shape_is_refused() -> None:
    with pytest.raises(CatalogueInvalid) as caught:
        decode_catalogue(old_shape(), sha256="0" * 64)
    assert "311 of 318 formulae cannot be used" in str(caught.value)
    assert "tool7: none of its bottles can be used; sierra: the address does not name the blob" in str(
        caught.value
    )


def test_a_plan_names_what_it_leaves_out_with_counts_and_reasons() -> None:
    catalogue = catalogue_of(
        *good(30),
        spoilt("half", SONOMA),
        formula("off", disabled=True),
        formula("worse", revision=-1),
    )
    plan = plan_of(catalogue, skip=frozenset({digest_of("good3/1.25.0/arm64_sonoma/0")}))
    assert len(plan.objects) == 29
    left_out = plan.left_out
    assert (left_out.catalogue_formulae, left_out.rejected, left_out.rejected_bottles) == (33, 2, 1)
    assert (left_out.disabled, left_out.disabled_formulae) == (1, ("off",))
    assert left_out.skipped_bottles == ("good3-1.25.0.arm64_sonoma.bottle.tar.gz",)
    assert notes_of(plan) == (
        "Rejected, because upstream's catalogue has them in a form that cannot be used: 1 of 33 formulae and "
        "1 bottle; first: worse: revision or rebuild is out of range; half (arm64_sonoma): the digest is not "
        "a SHA-256",
        "Skipped, because an external hash file names them: 1 bottle; first: "
        "good3-1.25.0.arm64_sonoma.bottle.tar.gz",
    )
    (remark,) = remarks_of(plan)
    assert "disabled" in remark
    assert remark.endswith("1 formula; first: off")
    assert message_notes_of(plan) == (*notes_of(plan), remark)
    summary = summarize(plan)
    assert (summary.left_out, notes_of(summary)) == (left_out, notes_of(plan))


def test_a_platform_that_no_bottle_serves_is_no_silent_success() -> None:
    found = plan_of(catalogue_of(*good(3)), SONOMA, "el_capitan")
    assert found.left_out.empty_platforms == ("el_capitan",)
    (note,) = notes_of(found)
    assert note == "Asked for, but no bottle of the catalogue serves them: 1 platform; first: el_capitan"


def test_a_catalogue_that_serves_none_of_the_platforms_is_refused() -> None:
    catalogue = catalogue_of(*good(3, tags=("catalina", LINUX)), formula("none", tags=()))
    with pytest.raises(CatalogueInvalid) as caught:
        plan_of(catalogue, SONOMA, "arm64_tahoe")
    assert (
        "expected bottles that serve arm64_sonoma, arm64_tahoe, found bottles for catalina, x86_64_linux"
        in str(caught.value)
    )
    request = Request(platforms=(SONOMA,))
    with pytest.raises(CatalogueInvalid, match="found bottles for catalina, x86_64_linux"):
        check_request(catalogue, request)
    with pytest.raises(CatalogueInvalid, match="serve arm64_sonoma, found no bottle at all"):
        check_request(catalogue_of(formula("none", tags=())), request)
    # One of several is a note, and so is a formula that was asked for by name.
    assert plan_of(catalogue, SONOMA, LINUX).left_out.empty_platforms == (SONOMA,)
    assert plan_of(catalogue, SONOMA, formulae=("good1",)).left_out.unserved == 1


def test_a_request_of_which_too_much_is_rejected_is_refused_as_its_plan_is() -> None:
    catalogue = catalogue_of(*good(10), *(spoilt(f"bad{n}", LINUX) for n in range(5)))
    with pytest.raises(CatalogueInvalid, match="5 of 5 bottles for x86_64_linux"):
        check_request(catalogue, Request(platforms=(LINUX,), formulae=("good1",)))


def test_a_plan_that_covers_all_says_nothing_and_disabled_formulae_alone_are_no_message() -> None:
    whole = plan_of(catalogue_of(*good(3)))
    assert whole.left_out == LeftOut(catalogue_formulae=3)
    assert (notes_of(whole), remarks_of(whole), message_notes_of(whole)) == ((), (), ())
    plan = plan_of(catalogue_of(*good(3), formula("off", disabled=True)))
    assert (notes_of(plan), len(remarks_of(plan)), message_notes_of(plan)) == ((), 1, ())
    assert remarks_of(plan_of(catalogue_of(formula("off", disabled=True)), include_disabled=True)) == ()


def test_what_a_formula_lost_that_was_asked_for_is_named_first() -> None:
    lost = [spoilt(f"lost{n}", LINUX) for n in range(9)]
    catalogue = catalogue_of(*good(100), *lost, spoilt("wget", "catalina", tags=(SONOMA, "catalina")))
    plan = plan_of(catalogue, formulae=("wget",))
    assert len(plan.objects) == 1
    assert plan.left_out.rejections[0] == "wget (catalina): the digest is not a SHA-256"
    assert "10 bottles; first: wget (catalina): the digest is not a SHA-256; lost0" in notes_of(plan)[0]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (formula("x", disabled=True), "upstream has disabled it (INCLUDE_DISABLED=true mirrors them too)"),
        (formula("x", tags=(LINUX,)), "it has no bottle for arm64_sonoma"),
        (formula("x", tags=()), "it has no bottle for arm64_sonoma"),
        (
            spoilt("x", SONOMA),
            "it has no bottle for arm64_sonoma besides those that cannot be used (arm64_sonoma)",
        ),
    ],
)
def test_a_formula_that_was_asked_for_and_cannot_be_planned_is_no_silence(
    entry: dict[str, Any], why: str
) -> None:
    plan = plan_of(catalogue_of(*good(20), entry), formulae=("x", "good1"))
    assert len(plan.objects) == 1
    assert (plan.left_out.unserved, plan.left_out.unserved_formulae) == (1, (f"x: {why}",))
    assert notes_of(plan)[-1].endswith(f"1 formula; first: x: {why}")


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (formula("x", revision=-1), "revision or rebuild is out of range"),
        (formula("x") | {"versions": None}, r"Expected 'object', got 'null' - at '\$.versions'"),
        (spoilt("x", SONOMA, tags=(SONOMA,)), "none of its bottles can be used; arm64_sonoma: the digest"),
        (formula("x", aliases=["y"], revision=-1), "revision or rebuild is out of range"),
    ],
)
def test_a_rejected_formula_that_is_asked_for_says_why(entry: dict[str, Any], why: str) -> None:
    catalogue = catalogue_of(*good(20), entry)
    for asked in ("x", *entry["aliases"]):
        expected = f"formula '{asked}' is in the catalogue, but rejected: x: .*{why}"
        with pytest.raises(PlanInvalid, match=expected):
            plan_of(catalogue, formulae=("good1", asked))


@pytest.mark.parametrize(
    ("asked", "entry"),
    [
        ("y", formula("x", aliases=["y"]) | {"versions": {"stable": 17}}),
        ("z", formula("x", oldnames=["z"]) | {"versions": {"stable": 17}}),
        ("y", formula("x", aliases=["y", 5, None])),
        ("y", formula("x", aliases=["y"]) | {"oldnames": None}),
        ("z", formula("x", oldnames=[[], "z"]) | {"aliases": "y"}),
        ("y", formula("x", aliases=["y"], desc=float("nan"))),
    ],
)
def test_another_name_of_a_formula_that_cannot_be_read_says_why_too(
    asked: str, entry: dict[str, Any]
) -> None:
    catalogue = catalogue_of(*good(20), entry)
    with pytest.raises(
        PlanInvalid, match=f"formula '{asked}' is in the catalogue, but rejected: x: it cannot"
    ):
        plan_of(catalogue, formulae=(asked,))


def test_all_unknown_and_rejected_formulae_are_named_in_one_error() -> None:
    catalogue = catalogue_of(*good(20), formula("x", revision=-1))
    with pytest.raises(PlanInvalid) as caught:
        plan_of(catalogue, formulae=("god1", "good2", "x", *(f"none{n}" for n in range(30))))
    text = str(caught.value)
    assert text.startswith("formula 'god1' is not in the catalogue; did you mean good1")
    assert "; formula 'x' is in the catalogue, but rejected: x: revision" in text
    assert all(f"formula 'none{n}' is not in the catalogue" in text for n in range(30))
    assert "formula 'good2'" not in text


@pytest.mark.parametrize("name", ["bad\x1b[31mred", "bad\nline", "bad\u202ename", "b" * 500])
def test_a_hostile_name_is_shown_on_one_line_and_moves_no_cursor(name: str) -> None:
    plan = plan_of(catalogue_of(*good(20), formula(name)))
    (note,) = notes_of(plan)
    assert note.isprintable()
    assert len(note) < 400


def test_what_the_store_has_lost_is_said_before_what_upstream_spoilt() -> None:
    entry = entry_for(bottle("gone"), date=DATE, size=1)
    plan = with_lost(
        plan_of(catalogue_of(*good(30), formula("x", revision=-1)), SONOMA, "sonoma"), {"gone": entry}
    )
    starts = ["Recorded, but gone from the store", "Rejected, because", "Asked for, but no bottle"]
    assert [note[: len(start)] for note, start in zip(notes_of(plan), starts, strict=True)] == starts


def test_documents_from_before_still_read() -> None:
    plan = plan_of(catalogue_of(*good(3), formula("off", disabled=True)))
    assert decode_plan(encode_plan(plan)) == plan
    older = msgspec.to_builtins(plan)
    del older["left_out"]
    read = decode_plan(bytes(seal(msgspec.json.encode(older))))
    assert read == msgspec.structs.replace(plan, left_out=LeftOut())
    summary = msgspec.to_builtins(summarize(plan))
    del summary["left_out"]
    assert msgspec.convert(summary, PlanSummary).left_out == LeftOut()
    report = decode_report(
        b'{"sync_id":"s","sync_date":"2026-08-22","platforms":["all"],"route":"local","started_at":"",'
        b'"ended_at":"","duration_s":1,"planned":1,"left":1}'
    )
    assert (report.left_out, report.skipped, report.left_bottles) == (LeftOut(), 0, ())
    assert notes_of(report) == ()


def test_notes_speak_of_plans_summaries_and_reports_alike() -> None:
    left_out = LeftOut(catalogue_formulae=8554, rejected=5, rejected_bottles=2, rejections=("a: b",) * 5)
    plan = Plan(
        sync_id="s", sync_date="", created_at="", catalogue_sha256="", platforms=(), left_out=left_out
    )
    assert "3 of 8,554 formulae and 2 bottles; first: a: b; a: b; a: b; a: b; a: b" in notes_of(plan)[0]
    assert "others" not in notes_of(plan)[0]
