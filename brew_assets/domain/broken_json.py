"""JSON that no decoder takes as a whole, cut into the parts of which each can be tried by itself."""

import re
from collections.abc import Iterator

_BLANKS = b" \t\r\n"
# A bracket, a comma, or a whole string, so that no bracket or comma inside one counts. Where a string does
# not close, or something follows that cannot, nobody knows any more what is inside and what is not: that
# token takes all the rest. So each byte is looked at a bounded number of times, whatever the text.
TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"(?=[ \t\r\n]*+[]},:])|.*+)|[][{},]', re.DOTALL)


def cut_list(data: bytes) -> list[bytes] | None:
    """The elements of a list; None when the data is no list, or where one ends cannot be known."""
    return _cut(data, b"[", b"]")


def cut_object(data: bytes) -> list[bytes] | None:
    """The members of an object, each with its key; None as for a list."""
    return _cut(data, b"{", b"}")


def count_list(data: bytes, *, most: int) -> int:
    """How many elements a list has, no further than one more than `most`; 0 when the data is no list."""
    # Not stripped: that would be a copy.
    if not re.match(rb"[ \t\r\n]*+\[", data):
        return 0
    count = 0
    for _ in _at_the_top(data):
        count += 1
        if count > most:
            break
    return count


def _cut(data: bytes, opening: bytes, closing: bytes) -> list[bytes] | None:
    text = data.strip(_BLANKS)
    if not text.startswith(opening):
        return None
    parts: list[bytes] = []
    start = 1
    for token, begin, end in _at_the_top(text):
        if token not in (b",", closing):
            return None
        parts.append(text[start:begin])
        start = end
    return parts if start == len(text) and text.endswith(closing) else None


def _at_the_top(text: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The commas between the parts, and the bracket that closes the whole, with their places."""
    depth = 0
    for match in TOKEN.finditer(text):
        token = match[0]
        if token in (b"[", b"{"):
            depth += 1
        elif token in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                yield token, match.start(), match.end()
                return
        elif token == b"," and depth == 1:
            yield token, match.start(), match.end()
