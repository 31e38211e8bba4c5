"""Markdown from values that come from outside: nothing in them becomes markup.

Dagster's pages render GitHub's dialect, in which addresses become links by themselves, also where every
character is escaped. Only code is left as it is: an address in a foreign text stands there as code.
"""

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

import dagster as dg

from brew_assets.domain.foreign_text import printable

# An event is a row of Dagster's database: the report in the store has the rest.
MAX_ROWS = 100
_CELL_CHARACTERS = 300
# An address that would become a link, and what is markup anywhere. Inside a word an underscore is none
# (arm64_sonoma), and `llvm@16.0.6` is no address. An address ends where no code of one backtick could go on.
_SPECIAL = re.compile(
    r"(?P<address>(?:(?:https?|ftp)://|www\.|(?:mailto|xmpp):)[^\s|`\\]+"
    r"|[-.\w+]+@[-\w]+(?:\.[-\w]+)+(?<![-\d_])(?![-\w]))"
    r"|(?P<mark>[\\`*\[\]<>|~]|&(?=[#\w])|(?<![^\W_])_|_(?![^\W_]))",
    re.IGNORECASE,
)
# What begins a heading, a list or a rule, or makes one of the line above, at the begin of a line.
_AT_BEGIN = re.compile(r"\d{1,9}(?=[.)](?:\s|$))|(?=(?:#{1,6}|[-+]|:?-+:?|=+)(?:\s|$))")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_PAGES = ("https://", "http://", "/")
_SAFE_IN_ADDRESS = ":/?#&=%@+,;~!$'"


def markdown_table(titles: Sequence[str], rows: Iterable[Sequence[object]], *, most: int = MAX_ROWS) -> str:
    """A table of the first rows; it says how many more there are, and "none" without any."""
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    left_out = 0
    for number, row in enumerate(rows):
        if number < most:
            lines.append(f"| {' | '.join(_cell(value) for value in row)} |")
        else:
            left_out += 1
    if len(lines) == 2:
        return "none"
    if left_out:
        lines.append(f"\n… and {left_out:,} more")
    return "\n".join(lines)


class Link(str):
    """Markdown that is ready to stand in a cell."""

    __slots__ = ()


def link(text: str, address: str) -> Link:
    """The text as a link; an address with spaces or brackets in it cannot end the link early.

    An address that leads to no page, such as one of a script, makes no link.
    """
    if not address.startswith(_PAGES) or address.startswith("//"):
        return Link(escaped(text))
    address = quote(address.encode(errors="replace"), safe=_SAFE_IN_ADDRESS)
    return Link(f"[{escaped(text)}]({address})")


def escaped(text: str, *, most: int = _CELL_CHARACTERS) -> str:
    """The text on one line, printable and cut to a readable length, without markup or links."""
    shown = printable(" ".join(text[: 4 * most].split()), most)
    return _begun(_SPECIAL.sub(_escape, shown))


def without_escapes(markdown: str) -> str:
    """The text of one line that `escaped` made, for where Markdown is not read; addresses stay as code."""
    return _ESCAPE.sub(r"\1", markdown)


def markdown(text: str) -> dg.MarkdownMetadataValue:
    """A text of ours, in which foreign ones are escaped, as Dagster's pages show it."""
    return dg.MetadataValue.md(text)


def _escape(found: re.Match[str]) -> str:
    return f"`{found['address']}`" if found["address"] else f"\\{found['mark']}"


def _begun(line: str) -> str:
    found = _AT_BEGIN.match(line)
    return f"{line[: found.end()]}\\{line[found.end() :]}" if found else line


def _cell(value: object) -> str:
    if isinstance(value, Link):
        return value
    return f"{value:,}" if type(value) is int else escaped(str(value))
