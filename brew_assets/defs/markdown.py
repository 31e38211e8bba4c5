"""Markdown from values that come from outside: nothing in them becomes markup."""

from collections.abc import Iterable, Sequence
from urllib.parse import quote

# An event is a row of Dagster's database: the report in the store has the rest.
MAX_ROWS = 100
_CELL_CHARACTERS = 300
_MARKUP = "|<>`*[]"
_SAFE_IN_ADDRESS = ":/?#&=%@+,;~!$'"


def markdown_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of the first MAX_ROWS rows; it says how many more there are, and "none" without any."""
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    left_out = 0
    for number, row in enumerate(rows):
        if number < MAX_ROWS:
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
    """The text as a link; an address with spaces or brackets in it cannot end the link early."""
    return Link(f"[{escaped(text)}]({quote(address, safe=_SAFE_IN_ADDRESS)})")


def escaped(text: str, *, most: int = _CELL_CHARACTERS) -> str:
    """The text on one line, cut to a readable length, without markup."""
    text = text[:most].replace("\\", "\\\\")
    for character in _MARKUP:
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def _cell(value: object) -> str:
    if isinstance(value, Link):
        return value
    return f"{value:,}" if isinstance(value, int) else escaped(str(value))
