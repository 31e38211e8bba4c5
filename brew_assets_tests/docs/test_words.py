"""Words that CONTRIBUTING's glossary has retired are counted, and only become fewer."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RETIRED = re.compile(
    r"\b(tell|tells|telling|told|tellers?|story|stories|announcements?|carriers?|carr(?:y|ies|ied|ying) out"
    r"|carr(?:y|ies|ied|ying) (?:\w+ ){1,4}out|consignments?|gulps?|strays?|adopt(?:s|ed|ing|ions?)?|ledgers?"
    r"|tall(?:y|ies)|transferred|survey(?:s|ed|ing)?)\b",
    re.IGNORECASE,
)
# How often they may stand in brew_assets/. Never raise it.
ALLOWED = 0
# What is stored, or asked of Dagster and other libraries, under names from before.
_STORED = {
    "adopted",
    "tell",
    "told_progress_at",
    "told_progress_of",
}
_PIECES = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def retired(source: str) -> list[str]:
    """The retired words of a module: in its names, comments and texts, each as often as it stands there."""
    return [found[0] for text in _texts(source) for found in RETIRED.finditer(text)]


def _texts(source: str) -> Iterator[str]:
    methods = {
        (node.end_lineno, node.end_col_offset)
        for node in ast.walk(ast.parse(source))
        # The position in a file is the standard library's word.
        if isinstance(node, ast.Attribute) and node.attr == "tell"
    }
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and token.end not in methods:
            yield " ".join(_PIECES.findall(token.string))
        elif token.type == tokenize.COMMENT:
            yield token.string
        elif token.type == tokenize.STRING and _value(token.string) not in _STORED:
            yield token.string.replace("_", " ")


def _value(literal: str) -> object:
    return None if "f" in literal.lower().partition(literal[-1])[0] else ast.literal_eval(literal)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"""The story\nof a sync."""', ["story"]),
        ("class OwnCarrier: pass", ["Carrier"]),
        ("def tell_missing(): pass", ["tell"]),
        ("log.info(f'{n} syncs are not told to their end')", ["told"]),
        ("x = 1  # which is adopted", ["adopted"]),
        (
            '"""A plan is carried out; it carries each part of it out."""',
            ["carried out", "carries each part of it out"],
        ),
        ("size = file.tell()", []),
        ('field(name="told_progress_of")', []),
        ("storytelling = 'foretold'; history = 'installed'", []),
    ],
)
def test_the_count_sees_names_comments_and_texts(source: str, found: list[str]) -> None:
    assert retired(source) == found


def test_retired_words_only_become_fewer() -> None:
    places = {
        str(path.relative_to(ROOT)): words
        for path in sorted((ROOT / "brew_assets").rglob("*.py"))
        if (words := retired(path.read_text("utf-8")))
    }
    counted = sum(map(len, places.values()))
    assert counted <= ALLOWED, f"{counted} retired words: {places}"
    assert counted == ALLOWED, f"only {counted} retired words are left: lower ALLOWED"
