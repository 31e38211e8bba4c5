"""A packages file: what its entries say of bottles, and what of it is refused."""

import json
from typing import Any

import msgspec
import pytest

from brew_assets.domain.api import PackagesFile, decode_packages, packages_path, read_packages
from brew_assets.domain.api_bottles import bottles_of_api, only_in_api
from brew_assets.domain.bottle import Bottle, Digest
from brew_assets.domain.catalogue import Catalogue
from brew_assets.domain.plan import Plan, Request, decode_plan, encode_plan, plan_sync
from brew_assets.domain.publication import PublishedApi
from brew_assets.errors import PlanInvalid, PublicationInvalid
from brew_assets_tests.signed import GENERATED_AT, HEAD, entry, file_of, key, packages, public
from brew_assets_tests.worlds import CREATED_AT, SYNC_ID, catalogue_of, digest_of, formula, held

MANY = {f"tool{number}": entry(f"tool{number}") for number in range(20)}


def read(tag: str = "arm64_sonoma", **payload: Any) -> PackagesFile:
    return decode_packages(packages(**payload), tag=tag)


def test_a_signed_file_says_when_and_from_what_it_was_made() -> None:
    file = read_packages(file_of(), public(key()), tag="arm64_sonoma")
    assert (file.tag, file.generated_at, file.tap_git_head) == ("arm64_sonoma", GENERATED_AT, HEAD)
    assert (file.formulae, len(file.bottles), file.rejected) == (1, 1, ())


def test_the_path_is_the_one_that_brew_asks_for() -> None:
    assert packages_path("arm64_sonoma") == "internal/packages.arm64_sonoma.jws.json"


def test_an_entry_is_a_bottle_with_the_address_that_core_gives_it() -> None:
    found = entry("openssl@3", "3.6.3", revision=2, bottle_rebuild=1)
    (item,) = read(formulae={"openssl@3": found}).bottles
    made = item.bottle()
    assert made.filename == "openssl@3-3.6.3_2.arm64_sonoma.bottle.1.tar.gz"
    digest = found["bottle_checksum"]
    assert made.url == f"https://ghcr.io/v2/homebrew/core/openssl/3/blobs/sha256:{digest}"


@pytest.mark.parametrize("written", [":all", "all"])
def test_a_bottle_for_all_machines_is_one(written: str) -> None:
    (item,) = read(formulae={"ca": entry("ca", bottle_tag=written)}).bottles
    assert item.bottle_tag == "all"


def test_an_entry_without_a_tag_has_the_files_own_and_zeros_may_be_left_out() -> None:
    found = entry(bottle_tag=None, revision=None, bottle_rebuild=None)
    (item,) = read(formulae={"wget": found}).bottles
    assert (item.bottle_tag, item.revision, item.bottle_rebuild) == ("arm64_sonoma", 0, 0)


def test_a_formula_without_a_bottle_for_these_machines_is_counted_and_no_bottle() -> None:
    file = read(formulae={"a": entry("a"), "b": entry("b", bottle_checksum=None)})
    assert (file.formulae, [item.name for item in file.bottles]) == (2, ["a"])


@pytest.mark.parametrize(
    ("args", "disabled"),
    [
        ({":date": "2026-08-21", ":because": ":unmaintained"}, True),
        ({":date": "2026-08-22"}, True),
        ({":date": "2026-08-23", ":because": "it is gone"}, False),
        ({":date": "one day"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_a_formula_is_disabled_from_its_day_on(args: Any, disabled: bool) -> None:
    (item,) = read(formulae={"old": entry("old", disable_args=args)}).bottles
    assert item.disabled is disabled


@pytest.mark.parametrize("written", ["arm64_sonoma", ":arm64_sonoma"])
def test_a_file_of_the_tag_is_taken_and_one_of_another_tag_is_not(written: str) -> None:
    text = packages(metadata={"bottle_tag": written, "generated_at": GENERATED_AT})
    assert decode_packages(text, tag="arm64_sonoma").tag == "arm64_sonoma"
    with pytest.raises(PublicationInvalid, match="bottle_tag: expected arm64_tahoe, found 'arm64_sonoma'"):
        decode_packages(text, tag="arm64_tahoe")


@pytest.mark.parametrize(
    "payload",
    [
        {"generated_at": 0},
        {"generated_at": -1},
        {"generated_at": 10**14},
        {"generated_at": "today"},
        {"generated_at": None},
        {"head": ""},
        {"head": "../../x"},
        {"head": 7},
        {"formulae": {}},
        {"formulae": []},
        {"metadata": {}},
    ],
    ids=str,
)
def test_a_file_whose_head_cannot_be_is_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(PublicationInvalid):
        read(**payload)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"bottle_checksum": "0" * 63},
        {"bottle_checksum": "../../etc/passwd"},
        {"bottle_checksum": 7},
        {"stable_version": "../1.0"},
        {"stable_version": None, "revision": 3},
        {"stable_version": "1" * 200},
        {"revision": -1},
        {"revision": "1"},
        {"bottle_rebuild": 10**9},
        {"bottle_tag": ":../x"},
        {"disable_args": "yes"},
    ],
    ids=str,
)
def test_an_entry_that_cannot_be_used_rejects_itself_and_nothing_else(spoilt: dict[str, Any]) -> None:
    file = read(formulae=MANY | {"bad": entry("bad", **spoilt)})
    assert [item.name for item in file.bottles] == list(MANY)
    assert [rejected.name for rejected in file.rejected] == ["bad"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "a" * 300])
def test_a_name_that_cannot_be_one_rejects_itself(name: str) -> None:
    file = read(formulae=MANY | {name: entry("x")})
    assert len(file.bottles) == len(MANY)
    assert len(file.rejected) == 1


def test_a_file_of_which_more_than_a_tenth_cannot_be_used_is_refused() -> None:
    bad = {f"bad{number}": entry("x", bottle_checksum="-") for number in range(3)}
    with pytest.raises(PublicationInvalid, match=r"3 of 23 formulae cannot be used"):
        read(formulae=MANY | bad)


def test_an_error_names_the_file() -> None:
    with pytest.raises(PublicationInvalid, match=r"^internal/packages\.arm64_tahoe\.jws\.json: metadata"):
        read_packages(file_of(), public(key()), tag="arm64_tahoe")


def file(tag: str, *entries: dict[str, Any]) -> PackagesFile:
    """Names stand in `desc`."""
    formulae = {found["desc"].split()[1]: found for found in entries}
    return decode_packages(packages(tag=tag, formulae=formulae), tag=tag)


def names(chosen: list[tuple[Bottle, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    return {item.filename: serves for item, serves in chosen}


def test_a_bottle_that_several_files_name_is_one_and_serves_them_all() -> None:
    portable = entry("ca", bottle_tag=":all")
    files = [file("arm64_sonoma", portable), file("arm64_tahoe", portable), file("x86_64_linux", portable)]
    chosen = bottles_of_api(files, ("arm64_tahoe", "arm64_sonoma"))
    assert names(chosen) == {"ca-1.25.0.all.bottle.tar.gz": ("arm64_sonoma", "arm64_tahoe")}


def test_what_the_mirror_is_not_meant_to_hold_is_not_chosen() -> None:
    gone = entry("gone", disable_args={":date": "2026-01-01"})
    files = [file("arm64_sonoma", entry("jq"), gone, entry("left"), entry("other"))]
    asked = frozenset({"jq", "gone", "left"})
    chosen = bottles_of_api(files, ("arm64_sonoma",), selected={"arm64_sonoma": asked}, exclude={"left"})
    assert list(names(chosen)) == ["jq-1.25.0.arm64_sonoma.bottle.tar.gz"]
    more = bottles_of_api(files, ("arm64_sonoma",), include_disabled=True)
    assert len(more) == 4


def test_a_bottle_that_serves_no_machine_of_the_file_is_not_chosen() -> None:
    files = [file("arm64_sonoma", entry("jq", bottle_tag=":arm64_tahoe"))]
    assert bottles_of_api(files, ("arm64_sonoma",)) == []


def catalogue(*formulae: dict[str, Any]) -> Catalogue:
    return catalogue_of(*formulae, formula("curl"))


def of(name: str, version: str = "1.25.0", **other: Any) -> dict[str, Any]:
    """What the catalogue says of the same bottle as `entry`."""
    return formula(name, version, tags={"arm64_sonoma": f"{name} {version}"}, **other)


def test_what_the_catalogue_names_is_not_the_apis_alone() -> None:
    files = [file("arm64_sonoma", entry("wget"), entry("off"), entry("new", "2.0"))]
    of_api = bottles_of_api(files, ("arm64_sonoma",))
    alone = only_in_api(catalogue(of("wget"), of("off", disabled=True)), of_api)
    assert list(names(alone)) == ["new-2.0.arm64_sonoma.bottle.tar.gz"]


@pytest.mark.parametrize(
    "known",
    [
        of("wget", "1.24.5"),
        of("wget", revision=1),
        of("wget", rebuild=1),
        formula("wget", tags={"arm64_sonoma": "other bytes"}),
        formula("wget", tags={"arm64_tahoe": "wget 1.25.0"}),
        formula("wget", tags=()),
    ],
)
def test_what_the_catalogue_names_otherwise_is_the_apis_alone(known: dict[str, Any]) -> None:
    of_api = bottles_of_api([file("arm64_sonoma", entry("wget"))], ("arm64_sonoma",))
    assert only_in_api(catalogue(known), of_api) == of_api


def planned(plan: Plan) -> dict[str, str]:
    return {item.bottle.filename: item.bottle.digest for item in plan.objects}


def plan(known: Catalogue, *files: PackagesFile, **request: Any) -> Plan:
    asked = Request(platforms=("arm64_sonoma",), **request)
    return plan_sync(known, {}, asked, sync_id=SYNC_ID, created_at=CREATED_AT, api=files)


def test_a_bottle_that_only_the_api_names_joins_the_plan_behind_the_catalogues() -> None:
    made = plan(catalogue(of("wget")), file("arm64_sonoma", entry("wget"), entry("new", "2.0")))
    assert list(planned(made)) == [
        f"{name}.arm64_sonoma.bottle.tar.gz" for name in ("wget-1.25.0", "curl-1.25.0", "new-2.0")
    ]
    assert decode_plan(encode_plan(made)) == made


def test_one_name_has_the_digest_that_clients_ask_for() -> None:
    known = catalogue(formula("wget", tags={"arm64_sonoma": "other bytes"}))
    made = plan(known, file("arm64_sonoma", entry("wget")))
    assert planned(made)["wget-1.25.0.arm64_sonoma.bottle.tar.gz"] == digest_of("wget 1.25.0")
    assert decode_plan(encode_plan(made)) == made


def test_selection_and_exclusions_hold_for_the_api_too() -> None:
    files = file("arm64_sonoma", entry("wget", "2.0"), entry("curl", "2.0"))
    assert list(planned(plan(catalogue(of("wget")), files, formulae=("wget",)))) == [
        "wget-1.25.0.arm64_sonoma.bottle.tar.gz",
        "wget-2.0.arm64_sonoma.bottle.tar.gz",
    ]
    assert not planned(plan(catalogue(of("wget")), files, exclude=("wget", "curl")))


def test_what_is_held_is_not_planned_again_because_the_api_names_it() -> None:
    (item,) = file("arm64_sonoma", entry("new", "2.0")).bottles
    asked = Request(platforms=("arm64_sonoma",))
    held_now = held([item.bottle()])
    files = [file("arm64_sonoma", entry("new", "2.0"))]
    made = plan_sync(catalogue(), held_now, asked, sync_id=SYNC_ID, created_at=CREATED_AT, api=files)
    assert (list(planned(made)), made.held) == (["curl-1.25.0.arm64_sonoma.bottle.tar.gz"], 1)


@pytest.mark.parametrize(("tag", "sha256"), [("../x", "0" * 64), ("arm64_sonoma", "../../manifest")])
def test_a_plan_whose_api_files_cannot_be_is_refused(tag: str, sha256: str) -> None:
    api = (PublishedApi(tag=tag, sha256=Digest(sha256), size=1, generated_at=1),)
    made = msgspec.structs.replace(plan(catalogue()), api=api)
    with pytest.raises(PlanInvalid, match="api: expected tags and SHA-256s"):
        decode_plan(encode_plan(made))


def test_a_payload_that_is_no_json_is_refused() -> None:
    for text in ("", "[]", "null", json.dumps(packages()), "[" * 10_000):
        with pytest.raises(PublicationInvalid):
            decode_packages(text, tag="arm64_sonoma")
