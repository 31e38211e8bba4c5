"""JSON that cannot be decoded as a whole is cut where its parts end, or not at all."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.domain.broken_json import TOKEN, cut_list, cut_object
from brew_assets.domain.formula import read_formulae
from brew_assets.errors import UNREADABLE

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(JSON, min_size=1), st.sampled_from((None, 1)))
def test_the_elements_of_a_list_are_cut_where_they_end(values: list[object], indent: int | None) -> None:
    parts = cut_list(json.dumps(values, indent=indent).encode())
    assert parts is not None
    assert [json.dumps(json.loads(part)) for part in parts] == [json.dumps(value) for value in values]


@given(st.dictionaries(st.text(max_size=5), JSON, min_size=1))
def test_the_members_of_an_object_are_cut_where_they_end(values: dict[str, object]) -> None:
    parts = cut_object(json.dumps(values).encode())
    assert parts is not None
    assert [json.loads(b"{%s}" % part).keys() for part in parts] == [{key} for key in values]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"5",
        b'"[1]"',
        b"[1",
        b"[1}",
        b"[1]]",
        b"[1]x",
        b"[[1]",
        b'["a]',
        b'["a\\"]',
        b'["a\\',
        # Where the string with the quote in its middle ends, nobody knows: the comma may be in it or not.
        b'[{"a":"x"y"},{"b":"x"y"}]',
        b'["a" "b"]',
        b'\xef\xbb\xbf["a"]',
    ],
)
def test_what_cannot_be_cut_for_certain_is_not_cut(data: bytes) -> None:
    assert cut_list(data) is None


@pytest.mark.parametrize("more", [10, 1_000, 500_000])
def test_a_string_that_does_not_close_takes_the_rest_at_once(more: int) -> None:
    data = b"[" * 3_001 + b'"' + b'\\"' * more
    # One match for all of the rest: no byte of it is looked at again.
    *brackets, rest = TOKEN.finditer(data)
    assert len(brackets) == 3_001
    assert rest.span() == (3_001, len(data))
    assert cut_list(data) is None


def test_what_cannot_be_cut_is_refused_with_the_first_error() -> None:
    data = b'[{"name":NaN}, ' + b'"' + b'\\"' * 500_000
    with pytest.raises(msgspec.DecodeError) as first:
        msgspec.json.decode(data, type=list[msgspec.Raw])
    with pytest.raises(UNREADABLE) as caught:
        read_formulae(data)
    assert str(caught.value) == str(first.value)
