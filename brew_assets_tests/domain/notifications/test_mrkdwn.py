"""Foreign words in Slack's markup."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.domain.notifications.blocks import start_message, warning_message
from brew_assets.domain.notifications.mrkdwn import code, foreign, preformatted, sentence
from brew_assets_tests.domain.test_foreign_text import ANY_TEXT

# What opens or closes something in mrkdwn; an underscore and a colon do so at the edge of a word only.
FORMATS = re.compile(r"[*~`]|(?<![^\W_])_|_(?![^\W_])|:[a-z+-][a-z0-9_+'-]{0,50}:", re.IGNORECASE)


@pytest.mark.parametrize(
    "text",
    [
        "llvm@16.0.6 (arm64_ventura) - SHA mismatch",
        "2025-07-21 03:00:15, node@20.5.1, s3://homebrew-bottles-prod/2025-07-21/",
        "x86_64_linux: expected sha256:0badcafe",
    ],
)
def test_ordinary_words_stay_as_they_are(text: str) -> None:
    assert foreign(text) == sentence(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "<!channel> <@U1> & <https://e.example|x>",
            "&lt;!channel&gt; &lt;@U1&gt; &amp; &lt;https://e.example|x&gt;",
        ),
        ("*bold* _it_ ~gone~ `code` ```block```", "∗bold∗ ＿it＿ ∼gone∼ 'code' '''block'''"),
        (":tada: it is 03:00:15", "∶tada: it is 03:00:15"),
        ("a\n> quote\x1b[2J\u202e\ud800", "a\\n&gt; quote\\x1b[2J\\u202e\\ud800"),
    ],
)
def test_markup_in_foreign_words_is_shown_and_formats_nothing(text: str, shown: str) -> None:
    assert foreign(text) == shown


@given(st.text("*_~`:<>& a1é\n", max_size=60) | ANY_TEXT)
def test_no_foreign_text_formats_anything(text: str) -> None:
    shown = foreign(text)
    assert not FORMATS.search(shown)
    assert not re.search(r"[<>\n]|&(?!amp;|lt;|gt;)", shown)


@given(ANY_TEXT)
def test_no_foreign_text_ends_the_code_that_it_stands_in(text: str) -> None:
    assert "`" not in code(text, 500)[1:-1]
    assert len(code(text, 50)) <= 52
    assert "`" not in preformatted(text)


def test_a_sentence_keeps_the_commands_that_it_names() -> None:
    told = "Of another size (`brew-mirror verify --deep --repair` or `repair`): 1 object; first: `*x*`"
    assert sentence(told) == told.replace("`*x*`", "'∗x∗'")


def test_a_message_says_foreign_words_in_every_place_without_markup() -> None:
    hostile = "*x* <!here> `y` \x1b[31m\n:tada: \ud800"
    shown = "∗x∗ &lt;!here&gt; 'y' \\x1b[31m\\n∶tada: \\ud800"
    start = start_message(
        environment=hostile,
        date=hostile,
        bottles=1,
        size=1,
        route=hostile,
        trigger=hostile,
        started_at=hostile,
        notes=[hostile],
    )
    fields = [field["text"] for field in start.blocks[1]["fields"]]
    assert fields[0] == f"*Environment:* {shown}"
    assert [field for field in fields if shown in field] == [fields[n] for n in (0, 1, 4, 5)]
    assert start.blocks[2]["text"]["text"] == f"*Notes:*\n• {shown}"
    assert start.blocks[3]["elements"][0]["text"] == f"Started at {shown} UTC"


def test_a_long_line_pushes_no_other_one_out() -> None:
    told = warning_message(
        environment="prod",
        date="2025-07-21",
        done=0,
        planned=5,
        failed=["x" * 10**5, "y" * 10**5, "the third", "a fourth"],
        duration_s=1,
    )
    assert "• the third\n• ... and 1 other" in told.blocks[2]["text"]["text"]
