"""What is shown of a text that somebody else wrote."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.domain.foreign_text import encodable, printable, printable_lines

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("wget-1.25.0 (arm64_sonoma): naïve …", "wget-1.25.0 (arm64_sonoma): naïve …"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\r\tc\0\x7f", "a\\nb\\r\\tc\\x00\\x7f"),
        ("gro.\u202ekcatta\u202c", "gro.\\u202ekcatta\\u202c"),
        ("\u2066x\u2069\u200b\u200d\ufeff\u2028", "\\u2066x\\u2069\\u200b\\u200d\\ufeff\\u2028"),
        ("\u3164\u115f\u034f", "\\u3164\\u115f\\u034f"),
        ("caf\udce9 \ud800", "caf\\udce9 \\ud800"),
        ("[/x] [bold] :tada:", "[/x] [bold] :tada:"),
        ("⚠️ from us", "⚠️ from us"),
    ],
)
def test_what_is_no_print_is_an_escape_that_one_can_read(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_text_is_cut_before_its_escapes_and_says_so() -> None:
    assert printable("x" * 11, 10) == "x" * 9 + "…"
    assert printable("\x1b" * 11, 10) == "\\x1b" * 9 + "…"
    assert len(printable("x" * 10**6)) == 4000


@given(ANY_TEXT)
def test_any_text_is_one_printable_line_that_stays_as_it_is(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert shown.replace("\ufe0e", "").replace("\ufe0f", "").isprintable()
    assert shown.encode().decode() == shown
    assert printable(shown) == shown or len(shown) > 4000


def test_line_breaks_that_are_meant_stay_and_nothing_else_breaks_a_line() -> None:
    assert printable_lines("a\nb\x1bc\x85d\r\n") == "a\nb\\x1bc\\x85d\\r\n"


JSON_VALUES = st.recursive(
    ANY_TEXT | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(JSON_VALUES)
def test_any_value_can_be_encoded_and_only_half_characters_differ(value: object) -> None:
    made = encodable(value)
    assert json.loads(msgspec.json.encode(made)) == made
    if "\\ud" not in json.dumps(value):
        assert made == value
