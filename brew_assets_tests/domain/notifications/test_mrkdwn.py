"""Foreign words in Slack's markup."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.domain.links import Links
from brew_assets.domain.notifications.blocks import code, foreign, preformatted, sentence
from brew_assets.domain.notifications.messages import end_message, start_message
from brew_assets.domain.report import Failure, Report
from brew_assets.domain.sync_status import Deployment, SyncStatus
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


def sync(text: str, *, reports: tuple[Report, ...] = ()) -> SyncStatus:
    """A sync of five bottles; the text stands wherever one from outside may."""
    return SyncStatus(
        sync_id="s",
        date=text,
        created_at=0.0,
        route=text,
        trigger=text,
        planned=5,
        held=0,
        size=1,
        run_id="r",
        platforms=(),
        notes=(text,),
        reports=reports,
    )


def deployment(environment: str) -> Deployment:
    return Deployment(environment=environment, threshold_gb=20, cluster="", store_url="", links=Links())


def test_a_message_says_foreign_words_in_every_place_without_markup() -> None:
    hostile = "*x* <!here> `y` \x1b[31m\n:tada: \ud800"
    shown = "∗x∗ &lt;!here&gt; 'y' \\x1b[31m\\n∶tada: \\ud800"
    start = start_message(sync(hostile), deployment(hostile))
    fields = [field["text"] for field in start.blocks[1]["fields"]]
    assert fields[0] == f"*Environment:* {shown}"
    assert [field for field in fields if shown in field] == [fields[n] for n in (0, 1, 4, 5)]
    assert start.blocks[2]["text"]["text"] == f"*Notes:*\n• {shown}"
    end = end_message(sync(hostile), deployment(hostile), duration_s=1, next_sync=hostile)
    shown_next = f"Hash file updated successfully • Next sync: {shown} UTC"
    assert end.blocks[-1]["elements"][0]["text"] == shown_next


def test_a_long_line_pushes_no_other_one_out() -> None:
    failures = tuple(
        Failure(name=name, digest="0" * 64, reason="not found", message="")
        for name in ("x" * 10**5, "y" * 10**5, "the third", "a fourth")
    )
    report = Report(
        sync_id="s",
        sync_date="2025-07-21",
        platforms=("tahoe",),
        route="local",
        started_at="",
        ended_at="",
        duration_s=1,
        planned=5,
        failed=failures,
    )
    warning = end_message(sync("x", reports=(report,)), deployment("prod"), duration_s=1)
    assert "• the third (?) - File not found\n• ... and 1 other" in warning.blocks[2]["text"]["text"]
