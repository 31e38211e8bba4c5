"""Which bottles an index makes servable: brew's three conditions, one by one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.domain.bottle import Bottle
from brew_assets.domain.oci import MAX_INDEX_BYTES
from brew_assets.domain.servable import Judgement, by_index, index_of, judge, most_fitting
from brew_assets_tests.worlds import bottle, index_json

SONOMA = bottle("openssl@3", "3.5.2_1", rebuild=2)
TAHOE = bottle("openssl@3", "3.5.2_1", tag="arm64_tahoe", rebuild=2)


def changed(item: Bottle, **annotations: Any) -> bytes:
    document = json.loads(index_json(item))
    for name, value in annotations.items():
        key = {"digest": "sh.brew.bottle.digest", "tab": "sh.brew.tab"}.get(
            name, "org.opencontainers.image.ref.name"
        )
        if value is None:
            del document["manifests"][0]["annotations"][key]
        else:
            document["manifests"][0]["annotations"][key] = value
    return json.dumps(document).encode()


def test_an_index_with_digest_name_and_tab_makes_its_bottles_servable() -> None:
    judgement = judge(index_json(SONOMA, TAHOE))
    assert judgement.fits([SONOMA, TAHOE])
    assert judgement.describe_unfit(SONOMA) == ""
    assert str(index_of(SONOMA)) == "openssl/3:3.5.2_1-2"
    assert SONOMA.ref_name == "3.5.2_1.arm64_sonoma.2"
    assert list(by_index([SONOMA, TAHOE]).values()) == [[SONOMA, TAHOE]]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (changed(SONOMA, digest=None), "digest"),
        (changed(SONOMA, digest="0" * 64), "digest"),
        # brew compares with the digest as it is.
        (changed(SONOMA, digest=f"sha256:{SONOMA.digest}"), "digest"),
        (changed(SONOMA, digest=SONOMA.digest.upper()), "digest"),
        (changed(SONOMA, name=None), "ref name"),
        (changed(SONOMA, name="3.5.2_1.arm64_sonoma"), "ref name"),
        (changed(SONOMA, name="3.5.2_1.arm64_sonoma.2" * 1000), "ref name"),
        (changed(SONOMA, tab=None), "tab"),
        (changed(SONOMA, tab=""), "tab"),
        (changed(SONOMA, tab="null"), "tab"),
        (changed(SONOMA, tab="[]"), "tab"),
        (changed(SONOMA, tab='{"a":1'), "tab"),
        (changed(SONOMA, tab='{"a":1} x'), "tab"),
        (b"", "no JSON"),
        (b"{}", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"manifests":[{"annotations":{"sh.brew.tab":{}}}]}', "no JSON"),
        (index_json(SONOMA).ljust(MAX_INDEX_BYTES), "too large"),
    ],
)
def test_what_lacks_one_of_the_three_is_unfit_and_says_so(data: bytes, why: str) -> None:
    judgement = judge(data)
    assert judgement.why_unfit(SONOMA) == why
    assert judgement.describe_unfit(SONOMA).startswith("expected ")
    assert len(judgement.describe_unfit(SONOMA)) < 1000


def test_an_index_just_under_the_limit_is_read() -> None:
    assert judge(index_json(SONOMA).ljust(MAX_INDEX_BYTES - 1)).fits([SONOMA])


def test_one_digest_under_two_tags_needs_an_entry_of_each_name() -> None:
    same = [bottle("jq", tag=tag, content="the same bytes") for tag in ("arm64_tahoe", "arm64_sonoma")]
    judgement = judge(index_json(*same))
    assert judgement.fits(same)
    assert judge(index_json(same[0])).why_unfit(same[1]) == "ref name"


def test_brew_takes_the_first_entry_of_a_name_and_so_do_we() -> None:
    entries = json.loads(changed(SONOMA, tab=None))["manifests"] + json.loads(index_json(SONOMA))["manifests"]
    assert judge(json.dumps({"manifests": entries}).encode()).why_unfit(SONOMA) == "tab"
    assert judge(json.dumps({"manifests": entries[::-1]}).encode()).why_unfit(SONOMA) is None


def test_of_several_versions_the_one_is_served_that_fits_most() -> None:
    judged = {
        "first": judge(index_json(SONOMA)),
        "whole": judge(index_json(SONOMA, TAHOE)),
        "spoilt": Judgement(size=3, unfit="no JSON"),
    }
    assert most_fitting(judged, [SONOMA, TAHOE]) == "whole"
    assert most_fitting({"spoilt": judged["spoilt"]}, [SONOMA]) == ""
    assert most_fitting({}, [SONOMA]) == ""


@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["manifests", "annotations", "sh.brew.tab", "sh.brew.bottle.digest"]),
                inner,
                max_size=4,
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_upstream_sends_nothing_but_a_whole_entry_fits(data: bytes) -> None:
    judgement = judge(data)
    assert not judgement.fits([SONOMA])
    assert judgement.describe_unfit(SONOMA)
