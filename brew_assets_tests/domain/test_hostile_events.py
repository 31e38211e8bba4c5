"""What a Lambda is invoked with: only an EventInvalid comes out, short and printable, in time."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.domain.batch import MAX_GIVEN, DirectRequest, decode_event
from brew_assets.domain.bottle import blob_url
from brew_assets.domain.oci import MAX_BOTTLE_BYTES
from brew_assets.errors import EventInvalid
from brew_assets_tests.domain.test_batch import DIGEST, event

EMPTY: dict[str, Any] = {"name": "", "version": "", "bottles": {}}
BOTTLE = {"url": blob_url("curl", DIGEST), "sha256": DIGEST}


def finding(given: object) -> str:
    with pytest.raises(EventInvalid) as caught:
        decode_event(given)
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()
    return str(caught.value)


def deep(levels: int = 100_000) -> list[Any]:
    made: list[Any] = []
    for _ in range(levels):
        made = [made]
    return made


def endless() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


HOSTILE: dict[str, Callable[[], object]] = {
    "none": lambda: None,
    "a list": lambda: [event()],
    "a text": lambda: json.dumps(event()),
    "a number": lambda: 10**5000,
    "no formula": lambda: event(formulas={}),
    "formulas that are none": lambda: event(formulas=[None]),
    "formulas in one another": lambda: event(formulas=deep()),
    "formulas that have no end": lambda: event(formulas=endless()),
    "a key of bytes": lambda: {b"formulas": [], b"sync_date": "2026-01-01"},
    "a key of bytes in a formula": lambda: event(formulas=[{b"name": "curl"}]),
    "a key that is a number": lambda: {10**5000: 1},
    "a lone surrogate as key": lambda: {"\ud800": 1},
    "a lone surrogate as key of a formula": lambda: event(formulas=[{"\ud800": 1}]),
    "a lone surrogate as name": lambda: event(name="\ud800"),
    "a lone surrogate as version": lambda: event(version="1\ud800"),
    "a lone surrogate as digest": lambda: event(sha256="\ud800" * 64),
    "a lone surrogate as address": lambda: event(url="\ud800"),
    "a lone surrogate as tag": lambda: event(bottles={"\ud800": BOTTLE}),
    "a lone surrogate as date": lambda: event(sync_date="2026-01-0\ud800"),
    "a lone surrogate as batch": lambda: {"batch_key": "state/batches/\ud800/x.json"},
    "a batch in one another": lambda: {"batch_key": deep()},
    "a batch that is a number": lambda: {"batch_key": 10**5000},
    "a batch of 6 MB": lambda: {"batch_key": "state/batches/" + "x" * 6_000_000},
    "a size of 31 digits": lambda: event(size=10**30),
    "a size of 5001 digits": lambda: event(size=10**5000),
    "a size that no bottle has": lambda: event(size=MAX_BOTTLE_BYTES + 1),
    "no size at all": lambda: event(size=0),
    "a size that is true": lambda: event(size=True),
    "a size that is a fraction": lambda: event(size=1.5),
    "a size that is not a number": lambda: event(size=float("nan")),
    "a size without end": lambda: event(size=float("inf")),
    "a rebuild that is true": lambda: event(rebuild=True),
    "a rebuild of 31 digits": lambda: event(rebuild=10**30),
    "a rebuild of 5001 digits": lambda: event(rebuild=-(10**5000)),
    "a date that is a number": lambda: event(sync_date=20260101),
    "a date in other digits": lambda: event(sync_date="٢٠٢٦-٠١-٠١"),
    "a date that is a folder": lambda: event(sync_date="state/receipts"),
    "a date and a line": lambda: event(sync_date="2026-01-01\n"),
    "no date": lambda: {"formulas": event()["formulas"]},
    "a name of 6 MB": lambda: event(name="x" * 6_000_000),
    "a name with a line": lambda: event(name="curl\n"),
    "a name and a version that no file can have": lambda: event(
        name="c" * 120,
        version="1" * 120,
        url=blob_url("c" * 120, DIGEST),
    ),
    "a tag of 6 MB": lambda: event(bottles={"x" * 6_000_000: BOTTLE}),
    "a tag that steers a terminal": lambda: event(bottles={"\x1b[2J": BOTTLE}),
    "a bottle twice": lambda: event(formulas=event()["formulas"] * 2),
    "100,000 formulas": lambda: event(formulas=event()["formulas"] * 100_000),
    "100,000 formulas without a bottle": lambda: event(
        formulas=[{"name": "", "version": "", "bottles": {}}] * 100_000
    ),
    "100,000 bottles of a formula": lambda: event(
        bottles={f"t{number}": BOTTLE for number in range(100_000)}
    ),
    "100,000 other fields": lambda: {f"field-{number}\x07": number for number in range(100_000)},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_payload_is_the_senders_error(name: str) -> None:
    payload = HOSTILE[name]()
    began = time.process_time()
    finding(payload)
    # A hundredth of that is usual: what is not linear takes minutes.
    assert time.process_time() - began < 5.0


def test_what_is_asked_beside_the_fields_does_not_matter() -> None:
    more: dict[Any, Any] = {b"x": 1, "\ud800": deep(), "more": float("nan")}
    request = decode_event(event() | more)
    assert isinstance(request, DirectRequest)


def test_as_many_bottles_as_a_lambda_can_store_may_be_given() -> None:
    def formula(number: int) -> dict[str, Any]:
        name = f"formula{number}"
        given = {"url": blob_url(name, DIGEST), "sha256": DIGEST}
        return {"name": name, "version": "1", "bottles": {"all": given}}

    request = decode_event(event(formulas=[formula(number) for number in range(MAX_GIVEN)]))
    assert isinstance(request, DirectRequest)
    assert len(request.objects) == MAX_GIVEN
    said = finding(event(formulas=[formula(number) for number in range(MAX_GIVEN + 1)]))
    assert "10,000 at most, found 10,001" in said


# json.loads reads all of these, and AWS's client has nothing else.
ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=9)
    | st.sampled_from(["curl", "8.2.1", DIGEST, BOTTLE["url"], "2026-01-01", "all"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(codec=None), max_size=5)
            | st.sampled_from(
                ["formulas", "batch_key", "name", "version", "bottles", "url", "sha256", "size"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(ANY, st.sampled_from(["formulas", "sync_date", "batch_key", "name", "bottles", "size", "rebuild"]))
def test_whatever_a_payload_holds_only_our_error_comes_out(value: object, field: str) -> None:
    for payload in (value, {**event(), field: value}, event(**{field: value})):
        said = ""
        try:
            decode_event(payload)
        except EventInvalid as error:
            said = str(error)
        assert len(said) < 600
        assert said.isprintable()
