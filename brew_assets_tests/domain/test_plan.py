"""Plans: what has to be copied, decided before a byte moves."""

import contextlib
import json
from collections import deque
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.domain.downloads import Fetch, cut_batch, fetches_of_run, group_fetches
from brew_assets.domain.plan import Plan, decode_plan, encode_plan, with_sizes
from brew_assets.domain.plan_summary import summarize
from brew_assets.errors import PlanInvalid
from brew_assets_tests.domain.strategies import PLATFORM_SETS, formulae
from brew_assets_tests.worlds import (
    CREATED_AT,
    SYNC_ID,
    bottle,
    catalogue_of,
    digest_of,
    fetch,
    formula,
    held,
    plan_of,
    planned,
)

CATALOGUES = formulae().map(lambda entries: catalogue_of(*entries))


@given(formulae(), PLATFORM_SETS)
def test_a_plan_is_the_same_each_time(entries: list[dict[str, Any]], platforms: list[str]) -> None:
    one = plan_of(catalogue_of(*entries), *platforms)
    assert encode_plan(one) == encode_plan(plan_of(catalogue_of(*entries), *platforms))
    assert decode_plan(encode_plan(one)) == one


@given(formulae(), PLATFORM_SETS, st.randoms(use_true_random=False))
def test_after_carrying_out_the_plan_the_plan_is_empty(
    entries: list[dict[str, Any]], platforms: list[str], random: Any
) -> None:
    catalogue = catalogue_of(*entries)
    plan = plan_of(catalogue, *platforms)
    names = [item.bottle for item in plan.objects]
    assert plan_of(catalogue, *platforms, have=held(names)).objects == ()
    some = random.sample(names, len(names) // 2)
    rest = plan_of(catalogue, *platforms, have=held(some))
    assert rest.held == len(some)
    assert {item.bottle for item in rest.objects} == set(names) - set(some)
    held_digests = {item.digest for item in some}
    assert rest.digests() == {item.digest for item in names} - held_digests
    assert all((item.source is not None) == (item.bottle.digest in held_digests) for item in rest.objects)


@given(formulae(), PLATFORM_SETS)
def test_every_digest_has_one_owner_and_the_runs_cover_the_plan(
    entries: list[dict[str, Any]], platforms: list[str]
) -> None:
    plan = plan_of(catalogue_of(*entries), *platforms)
    owners: dict[str, set[str]] = {}
    for item in plan.objects:
        owners.setdefault(item.bottle.digest, set()).add(item.owner)
    assert all(len(found) == 1 for found in owners.values())
    assert all(found <= set(platforms) for found in owners.values())
    everything = {item.bottle for item in plan.objects}
    owned: list[str] = []
    covered = set()
    for platform in platforms:
        own, rest = fetches_of_run(plan, platform)
        owned += [item.digest for item in own]
        in_run = {name.bottle for item in (*own, *rest) for name in item.names}
        assert in_run >= {item.bottle for item in plan.pending(platform)}
        covered |= in_run
    assert sorted(owned) == sorted(owners)
    assert covered == everything
    whole, rest = fetches_of_run(plan, None)
    assert rest == []
    assert {name.bottle for item in whole for name in item.names} == everything


@given(formulae(), PLATFORM_SETS)
def test_every_platform_gets_what_serves_it(entries: list[dict[str, Any]], platforms: list[str]) -> None:
    catalogue = catalogue_of(*entries)
    together = plan_of(catalogue, *platforms)
    for platform in platforms:
        alone = {item.bottle for item in plan_of(catalogue, platform).objects}
        assert {item.bottle for item in together.pending(platform)} == alone


@given(formulae(), PLATFORM_SETS, st.integers(1, 10**9))
def test_the_summary_agrees_with_the_plan(
    entries: list[dict[str, Any]], platforms: list[str], size: int
) -> None:
    plan = plan_of(catalogue_of(*entries), *platforms)
    assert summarize(plan).unknown_sizes == len(plan.digests())
    assert summarize(plan).bytes == 0
    sizes: dict[str, int] = dict.fromkeys(plan.digests(), size)
    sized = with_sizes(plan, sizes)
    summary = summarize(sized)
    assert (summary.objects, summary.downloads) == (len(plan.objects), len(plan.digests()))
    assert summary.bytes == size * len(plan.digests())
    assert summary.unknown_sizes == 0
    for platform, totals in summary.platforms.items():
        assert totals.bottles == len(plan.pending(platform))
        assert totals.bytes <= summary.bytes
    alone = summarize(with_sizes(plan_of(catalogue_of(*entries), platforms[0]), sizes))
    (only,) = alone.platforms.values()
    # One platform's row and the total are the same numbers.
    assert (only.bottles, only.bytes, only.unknown_sizes) == (alone.objects, alone.bytes, 0)


def test_a_row_of_the_summary_counts_to_download_what_the_total_counts() -> None:
    catalogue = catalogue_of(formula("wget"), formula("curl", tags={"arm64_sonoma": "wget's own bytes"}))
    once = plan_of(catalogue, "arm64_sonoma")
    plan = msgspec.structs.replace(
        once,
        objects=tuple(
            msgspec.structs.replace(item, source="2026-08-15/somewhere" if number else None, size=7)
            for number, item in enumerate(once.objects)
        ),
    )
    summary = summarize(plan)
    row = summary.platforms["arm64_sonoma"]
    assert (row.bottles, row.bytes) == (summary.objects, summary.bytes) == (2, 7)


def test_what_the_runs_of_some_platforms_copy_is_counted_once() -> None:
    arm = ("arm64_sonoma", "arm64_tahoe")
    entries = [formula(f"f{number}", tags=("all",)) for number in range(6)]
    entries += [formula("only", tags=("arm64_tahoe",))]
    plan = plan_of(catalogue_of(*entries), *arm)
    assert [len(plan.of_runs((platform,))) for platform in arm] == [6, 7]
    assert plan.of_runs(arm) == list(plan.objects)
    for platform in arm:
        own, rest = fetches_of_run(plan, platform)
        copied = {name for fetch in (*own, *rest) for name in fetch.names}
        assert set(plan.of_runs((platform,))) == copied


def test_a_size_known_under_one_name_is_known_for_the_digest() -> None:
    one, two = bottle(content="x"), bottle(tag="arm64_tahoe", content="x")
    some = plan_of(catalogue_of(formula()), "arm64_sonoma")
    plan = msgspec.structs.replace(some, objects=(planned(one, size=10), planned(two)))
    assert (summarize(plan).bytes, summarize(plan).unknown_sizes) == (10, 0)


def test_owners_are_balanced_by_size() -> None:
    entries = [formula(f"f{number}", tags=("all",)) for number in range(30)]
    plan = plan_of(catalogue_of(*entries), "arm64_tahoe", "arm64_sonoma")
    sizes: dict[str, int] = {
        item.bottle.digest: 1_000_000 if n == 0 else 1_000 for n, item in enumerate(plan.objects)
    }
    owners = [item.owner for item in with_sizes(plan, sizes).objects]
    assert owners.count(owners[0]) == 1
    assert len(set(owners)) == 2


@given(
    st.lists(st.tuples(st.integers(0, 50) | st.none(), st.integers(1, 4)), max_size=30),
    st.integers(1, 60),
    st.integers(0, 20),
)
def test_batches_keep_order_and_limits(shapes: list[tuple[int | None, int]], room: int, unknown: int) -> None:
    fetches = []
    for number, (size, names) in enumerate(shapes):
        tags = ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma", "sonoma")[:names]
        fetches.append(
            fetch(*(bottle(f"f{number}", tag=tag, content=f"{number}") for tag in tags), size=size)
        )

    def weigh(item: Fetch) -> float:
        return (unknown if item.size is None else item.size) + len(item.names)

    work, batches = deque(fetches), []
    while work:
        batches.append(cut_batch(work, room=room, weigh=weigh))
    assert [item for batch in batches for item in batch] == fetches
    for batch in batches:
        assert batch
        assert len(batch) == 1 or sum(map(weigh, batch)) <= room
    assert cut_batch(work, room=room, weigh=weigh) == []


def test_names_of_a_digest_are_one_fetch() -> None:
    catalogue = catalogue_of(formula(tags=dict.fromkeys(("arm64_tahoe", "arm64_sonoma"), "same")))
    plan = plan_of(catalogue, "arm64_tahoe", "arm64_sonoma")
    (item,) = group_fetches(plan.objects)
    assert [name.bottle.tag for name in item.names] == ["arm64_tahoe", "arm64_sonoma"]
    assert item.digest == digest_of("same")


def test_a_digest_that_is_held_under_another_name_is_copied_inside_the_store() -> None:
    old = bottle("wget", "1.0", content="same")
    plan = plan_of(catalogue_of(formula("wget", "2.0", tags={"arm64_sonoma": "same"})), have=held([old]))
    (item,) = plan.objects
    assert (item.source, item.size) == (old.key("2026-08-22"), 1000)
    assert plan.digests() == set()
    assert summarize(plan).bytes == 0


def test_another_digest_under_a_held_name_is_planned() -> None:
    stale = bottle("wget", content="stale")
    plan = plan_of(catalogue_of(formula("wget")), have=held([stale]))
    assert (plan.held, len(plan.objects)) == (0, 1)
    assert plan.objects[0].source is None


def test_force_plans_what_is_held_and_skipped_from_upstream() -> None:
    catalogue = catalogue_of(formula("wget"), formula("curl"))
    names = [item.bottle for item in plan_of(catalogue).objects]
    plan = plan_of(catalogue, have=held(names), skip=frozenset(item.digest for item in names), force=True)
    assert len(plan.objects) == 2
    assert all(item.source is None for item in plan.objects)


def test_skipped_digests_are_neither_planned_nor_held() -> None:
    plan = plan_of(
        catalogue_of(formula("wget"), formula("curl")),
        skip=frozenset({digest_of("wget/1.25.0/arm64_sonoma/0")}),
    )
    assert (plan.held, plan.skipped, len(plan.objects)) == (0, 1, 1)


def test_a_selective_plan_takes_names_aliases_and_old_names() -> None:
    catalogue = catalogue_of(
        formula("openssl@3", aliases=["openssl"]), formula("new", oldnames=["old"]), formula("wget")
    )
    plan = plan_of(catalogue, formulae=("openssl", "old"))
    assert plan.formulae == ("new", "openssl@3")
    assert [item.bottle.formula for item in plan.objects] == ["openssl@3", "new"]


def test_a_name_wins_over_an_alias() -> None:
    catalogue = catalogue_of(formula("a", aliases=["b"]), formula("b"))
    assert plan_of(catalogue, formulae=("b",)).formulae == ("b",)


@pytest.mark.parametrize(
    ("platforms", "request_", "message"),
    [
        (("arm64_sonomar",), {}, "did you mean arm64_sonoma"),
        (("all",), {}, "all"),
        (("../x",), {}, "not known"),
        (("arm64_sonoma",), {"formulae": ("wgett",)}, "did you mean wget"),
        (("arm64_sonoma",), {"formulae": ("zzzzzz",)}, "not in the catalogue"),
    ],
)
def test_what_cannot_be_planned_is_refused_by_name(
    platforms: tuple[str, ...], request_: dict[str, Any], message: str
) -> None:
    with pytest.raises(PlanInvalid, match=message):
        plan_of(catalogue_of(formula("wget")), *platforms, **request_)


def test_a_platform_named_twice_counts_once() -> None:
    assert plan_of(catalogue_of(formula()), "arm64_sonoma", "arm64_sonoma").platforms == ("arm64_sonoma",)


def _documents() -> list[bytes]:
    good = encode_plan(plan_of(catalogue_of(formula())))
    return [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        good[:-1],
        good.replace(b'"plan_version":2', b'"plan_version":3'),
        good.replace(b'"plan_version":2', b'"plan_version":"2"'),
        good.replace(b"wget", b"w\xffet"),
        good.replace(b'"rebuild":0', b'"rebuild":null'),
        good[:-1] + b',"later":' + b"[" * 100_000,
        b"[" * 100_000,
    ]


@pytest.mark.parametrize("data", _documents(), ids=range(len(_documents())))
def test_what_is_no_plan_is_invalid(data: bytes) -> None:
    with pytest.raises(PlanInvalid):
        decode_plan(data)


@given(st.binary(max_size=200))
def test_whatever_stands_in_the_store_only_our_error_comes_out(data: bytes) -> None:
    with contextlib.suppress(PlanInvalid):
        assert isinstance(decode_plan(data), Plan)


def test_a_plan_document_names_what_it_was_made_from() -> None:
    plan = plan_of(catalogue_of(formula()))
    document = json.loads(encode_plan(plan))
    assert document["sync_id"] == SYNC_ID
    assert document["created_at"] == CREATED_AT
    assert document["sync_date"] == CREATED_AT[:10]
    assert document["catalogue_sha256"] == plan.catalogue_sha256
    assert msgspec.json.decode(encode_plan(plan), type=Plan) == plan
