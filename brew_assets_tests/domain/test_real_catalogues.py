"""The figures of the design page, on the two real catalogues of August 2026."""

import gzip
import hashlib
import os
from functools import cache
from pathlib import Path

import pytest

from brew_assets.domain.bottle import parse_filename
from brew_assets.domain.catalogue import Catalogue, choose_bottles, decode_catalogue
from brew_assets.domain.dependencies import Dependencies
from brew_assets.domain.downloads import fetches_of_run
from brew_assets.domain.platforms import KNOWN_PLATFORMS, newer_macos
from brew_assets.setting_values import DEFAULT_PLATFORMS
from brew_assets_tests.worlds import held, plan_of

FOLDER = Path(
    os.environ.get("BREW_MIRROR_CATALOGUES") or Path(__file__).resolve().parents[3] / "shared" / "data"
)
NEW, OLD = "formula.2026-08-22.json.gz", "formula.2026-08-15.json.gz"

pytestmark = pytest.mark.skipif(
    not (FOLDER / NEW).is_file() or not (FOLDER / OLD).is_file(),
    reason=f"the real catalogues are not in {FOLDER} (BREW_MIRROR_CATALOGUES names another folder)",
)


@cache
def catalogue(name: str) -> Catalogue:
    data = gzip.decompress((FOLDER / name).read_bytes())
    return decode_catalogue(data, sha256=hashlib.sha256(data).hexdigest())


def test_every_entry_of_both_catalogues_is_accepted() -> None:
    assert len(catalogue(NEW).formulae) == 8_554
    assert catalogue(NEW).bottle_count() == 54_646
    assert [catalogue(name).rejected for name in (NEW, OLD)] == [[], []]


def test_one_platform_alone_is_8202_bottles() -> None:
    assert len(plan_of(catalogue(NEW), "arm64_sonoma").objects) == 8_202


def test_the_default_platforms_are_22426_names_and_20681_digests() -> None:
    plan = plan_of(catalogue(NEW), *DEFAULT_PLATFORMS)
    assert (len(plan.objects), len(plan.digests())) == (22_426, 20_681)


def test_a_week_later_2244_names_and_1960_digests_are_pending() -> None:
    before = [item.bottle for item in plan_of(catalogue(OLD), *DEFAULT_PLATFORMS).objects]
    plan = plan_of(catalogue(NEW), *DEFAULT_PLATFORMS, have=held(before))
    assert len(plan.objects) == 2_244
    assert len({item.bottle.digest for item in plan.objects}) == 1_960


def test_the_runs_of_the_default_platforms_share_the_plan() -> None:
    plan = plan_of(catalogue(NEW), *DEFAULT_PLATFORMS)
    owned = [fetches_of_run(plan, platform)[0] for platform in DEFAULT_PLATFORMS]
    assert sum(len(fetches) for fetches in owned) == 20_681
    assert len({fetch.digest for fetches in owned for fetch in fetches}) == 20_681
    assert max(map(len, owned)) - min(map(len, owned)) < 500


def test_every_real_file_name_leads_back_and_no_two_meet() -> None:
    chosen = choose_bottles(catalogue(NEW), KNOWN_PLATFORMS, include_disabled=True)
    for bottle, _ in chosen:
        parts = parse_filename(bottle.filename)
        assert parts is not None
        assert (parts.tag, parts.rebuild) == (bottle.tag, bottle.rebuild)
        assert parts.stem == f"{bottle.formula}-{bottle.pkg_version}"
    assert len({bottle.filename for bottle, _ in chosen}) == len(chosen)
    assert len({bottle.entry_key for bottle, _ in chosen}) == len(chosen)


def test_no_newer_macos_than_the_default_platforms() -> None:
    assert newer_macos(catalogue(NEW).tags(), DEFAULT_PLATFORMS) == []


# Counted apart from the project, with brew's rules written down a second time; the names themselves included,
# and without glibc and gcc, which brew installs by itself on an old Linux.
CLOSURES = {
    ("git", "arm64_sonoma"): 5,
    ("git", "x86_64_linux"): 28,
    ("ffmpeg", "arm64_sonoma"): 15,
    ("node", "arm64_sonoma"): 30,
    ("node", "arm64_tahoe"): 29,
    ("curl", "x86_64_linux"): 24,
    ("wget", "arm64_sonoma"): 8,
    ("python@3.14", "arm64_tahoe"): 9,
    ("python@3.14", "arm64_linux"): 15,
    ("postgresql@17", "x86_64_linux"): 26,
    ("llvm", "x86_64_linux"): 17,
    ("qt", "arm64_sonoma"): 84,
    # An Intel Mac with Tahoe is given a bottle that was built on Sonoma, which did not have jq yet.
    ("ijq", "tahoe"): 3,
    ("ijq", "arm64_tahoe"): 1,
}


@pytest.mark.parametrize(("name", "platform"), CLOSURES, ids=" on ".join)
def test_closures_are_those_that_were_counted_apart(name: str, platform: str) -> None:
    found = Dependencies(catalogue(NEW)).closure(platform, [name])
    assert (len(found.names), found.unmet) == (CLOSURES[name, platform], {})
    plan = plan_of(catalogue(NEW), platform, formulae=(name,))
    assert (len(plan.objects), len(plan.needed) + 1) == (CLOSURES[name, platform],) * 2


def test_the_formulae_that_git_and_ffmpeg_need_are_these() -> None:
    of = Dependencies(catalogue(NEW)).closure
    git, ffmpeg = (of("arm64_sonoma", [name]).names for name in ("git", "ffmpeg"))
    assert git == {"git", "gettext", "json-c", "libunistring", "pcre2"}
    assert " ".join(sorted(ffmpeg)) == (
        "ca-certificates dav1d ffmpeg lame libvmaf libvpx mpg123 openssl@3 opus sdl2-compat sdl3 svt-av1 "
        "x264 x265 xz"
    )
    node = {platform: of(platform, ["node"]).names for platform in ("arm64_sonoma", "arm64_tahoe")}
    assert node["arm64_sonoma"] - node["arm64_tahoe"] == {"expat"}
    assert of("x86_64_linux", ["git"]).path_to("expat") == ("git", "expat")


def test_all_formulae_need_nothing_beside_them_and_few_lack() -> None:
    everything = [formula.name for formula in catalogue(NEW).formulae]
    dependencies = Dependencies(catalogue(NEW))
    lacking = {}
    for platform in ("arm64_sonoma", "x86_64_linux"):
        found = dependencies.closure(platform, everything)
        assert len(found.names) == 8_554
        lacking[platform] = {(unmet.name, unmet.reason) for unmet in found.unmet.values()}
    assert lacking["arm64_sonoma"] == {(n, "unbottled") for n in ("elfutils", "vtable-dumper", "wayland")}
    # These catalogues have no aliases.
    assert lacking["x86_64_linux"] == {("python", "unknown"), ("openssl", "unknown")}
