"""Foreign words on Dagster's pages, rendered by a Markdown parser of GitHub's dialect."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from brew_assets.defs.pages.markdown import escaped, link, markdown_table, without_escapes
from brew_assets.defs.pages.store_links import Places
from brew_assets.defs.pages.sync_report import holdings_of, run_report, sync_report
from brew_assets.domain.foreign_text import printable
from brew_assets.domain.manifest import Manifest
from brew_assets.domain.report import Failure, Report
from brew_assets.settings import Settings
from brew_assets_tests.domain.test_foreign_text import ANY_TEXT

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
# What becomes a link by itself in GitHub's dialect, wherever it stands as text.
AUTOLINK = re.compile(r"(?:https?|ftp)://|\bwww\.|[-.\w+]+@[-\w]+(?:\.[-\w]+)*\.[a-z]+\b(?!-)", re.IGNORECASE)
NEVER_OURS = {"html_inline", "html_block", "image", "fence", "code_block", "hr", "em_open", "s_open"}
HOSTILE = st.text("[]()!<>|`*_~#&;:/\\ \n@.w-+=1ax", max_size=60) | st.sampled_from(
    [
        "[x](javascript:alert(1))",
        "![](http://evil.example/x.png)",
        "<script>alert(1)</script>",
        "<http://evil.example>",
        "http://evil.example/a|b`c\\",
        "# heading",
        "- item",
        "1. item",
        "12) item",
        "---",
        ":-:",
        "===",
        "> quote",
        "```\ncode",
        "~~~",
        "    code",
        "&lt;b&gt; &#x1b; &amp;",
        "a\\|b\\",
        "[x]: http://evil.example",
        "mail@evil.example",
        "python@3.11-3.11.4.arm64_sonoma.bottle.tar.gz",
        "\x1b[2J \u202e \ud800",
    ]
)
TEXT = HOSTILE | ANY_TEXT


def seen(markdown: str) -> tuple[set[str], str]:
    """The kinds of elements that the Markdown makes, and the text that a reader sees."""
    tokens = list(flat(PARSER.parse(markdown)))
    for token in tokens:
        assert token.type != "text" or not AUTOLINK.search(token.content), token.content
    shown = "".join(t.content if t.type in ("text", "code_inline", "text_special") else "" for t in tokens)
    return {token.type for token in tokens} - {"inline", "text", "text_special", "code_inline"}, shown


def flat(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from flat(token.children or [])


def expected(text: str) -> str:
    return printable(" ".join(text[:1200].split()), 300)


@given(TEXT)
def test_any_text_is_a_paragraph_with_this_text_and_nothing_else(text: str) -> None:
    kinds, shown = seen(escaped(text))
    assert shown == expected(text)
    assert kinds <= {"paragraph_open", "paragraph_close"}


@given(TEXT, TEXT)
def test_any_text_is_one_cell_with_this_text(one: str, other: str) -> None:
    kinds, shown = seen(markdown_table(("a", "b"), [(one, other)]))
    assert shown == f"ab{expected(one)}{expected(other)}"
    assert not kinds & {"link_open", "image", "html_inline", "html_block", "em_open", "strong_open", "s_open"}
    assert PARSER.render(markdown_table(("a", "b"), [(one, other)])).count("<td>") == 2


@given(TEXT)
def test_a_link_has_any_text_and_leads_where_it_should(text: str) -> None:
    tokens = list(flat(PARSER.parse(link(text, "https://dagster.example/runs/1"))))
    (opened,) = [token for token in tokens if token.type == "link_open"]
    assert opened.attrs["href"] == "https://dagster.example/runs/1"


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "//evil.example/x", "", " https://e.example"]
)
def test_an_address_that_is_no_page_makes_no_link(address: str) -> None:
    assert link("a run", address) == "a run"


@given(TEXT)
def test_an_address_of_any_text_does_not_end_its_link(text: str) -> None:
    tokens = [token.type for token in flat(PARSER.parse(link("a run", f"https://dagster.example/{text}")))]
    assert tokens.count("link_open") == 1
    assert tokens.count("text") == 1


@given(TEXT)
def test_where_markdown_is_not_read_the_escapes_are_gone(text: str) -> None:
    assert without_escapes(escaped(text)).replace("`", "") == expected(text).replace("`", "")


def test_ordinary_names_need_no_escape() -> None:
    for text in ("arm64_sonoma", "llvm@16.0.6", "x86_64_linux-1.25.0", "expected sha256 0bad, found 1bad"):
        assert escaped(text) == text


def a_report(text: str) -> Report:
    """A run in which every word that comes from outside is this text."""
    return Report(
        sync_id="20261122T030000Z-00000000",
        sync_date=text,
        platforms=(text or "x",),
        route="local",
        started_at="2026-11-22T03:00:00Z",
        ended_at="2026-11-22T03:00:10Z",
        duration_s=10.0,
        planned=5,
        left=1,
        left_bottles=(text,),
        failed=(Failure(name=text, digest="0" * 64, reason=text, message=text),),
        forgotten=(text,),
        aborted=text,
        run_id=text,
        run_url=text,
    )


@given(TEXT)
def test_no_text_from_outside_adds_anything_to_a_report(text: str) -> None:
    ours = {"heading", "paragraph", "strong", "table", "thead", "tbody", "tr", "th", "td", "bullet_list"}
    kinds, _ = seen(run_report(a_report(text)))
    assert {kind.removesuffix("_open").removesuffix("_close") for kind in kinds} <= ours | {"list_item"}
    places = Places("s3://our-bottles/brew/", Settings())
    whole = sync_report(holdings_of(Manifest()), [a_report(text)], places)
    for token in flat(PARSER.parse(whole)):
        assert token.type not in (
            "html_inline",
            "html_block",
            "image",
            "fence",
            "code_block",
            "hr",
            "em_open",
        )
        if token.type == "link_open":
            assert str(token.attrs["href"]).startswith(("https://", "http://", "/"))
