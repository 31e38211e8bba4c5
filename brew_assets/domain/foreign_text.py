"""Text that upstream, a store, a disk, a hash file or an event wrote: shown, and never obeyed.

Whoever shows such a text takes it through here first: the terminal and the log lines as it is, Markdown
(defs/pages/markdown.py) and Slack (domain/notifications/blocks.py) before they escape what is markup to them.
"""

import re
from typing import Any

# Longer than any sentence of ours, short enough to be read.
LINE_CHARACTERS = 4000
# Invisible, although Unicode calls them letters or marks: fillers, joiners, selectors of old scripts.
# The two selectors of emoji (U+FE0E, U+FE0F) stay: they belong to the emoji that they follow.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0]")
_BYTE = re.compile("[\udc80-\udcff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def printable(text: str, most: int = LINE_CHARACTERS) -> str:
    """The text on one line, cut to `most` characters, with escapes such as `\\x1b` for what is no print.

    Those are control characters of both sets, breaks of lines, overrides of the direction of writing,
    characters without width, and halves of surrogate pairs.
    """
    shown = text if len(text) <= most else f"{text[: most - 1]}…"
    if shown.isprintable() and not _INVISIBLE.search(shown):
        return shown
    return "".join(_visible(character) for character in shown)


def printable_lines(text: str) -> str:
    """The same for a text whose line breaks are meant; each line is cut by itself."""
    return "\n".join(printable(line) for line in text.split("\n"))


def printable_name(name: str) -> str:
    """A file's name with the same escapes, never cut; a byte that is not UTF-8 is `\\xff`.

    From the system such a byte comes as half of a surrogate pair.
    """
    if name.isprintable() and not _INVISIBLE.search(name):
        return name
    text = _BYTE.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", name)
    return "".join(_visible(character) for character in text)


def encodable(value: Any) -> Any:
    """The JSON value with escapes in the place of halves of surrogate pairs, which no encoding has."""
    match value:
        case str():
            return value if value.isascii() else _SURROGATE.sub(_escape_of, value)
        case dict():
            return {encodable(name): encodable(item) for name, item in value.items()}
        case list() | tuple():
            return [encodable(item) for item in value]
    return value


def _visible(character: str) -> str:
    hidden = not character.isprintable() or _INVISIBLE.match(character)
    return character.encode("unicode_escape").decode() if hidden else character


def _escape_of(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
