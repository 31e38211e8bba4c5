"""What a server that answers 401 asks for: the challenges in `WWW-Authenticate` (RFC 9110, section 11).

One header may hold several challenges, separated by the commas that also separate their parameters. What a
server writes otherwise than the grammar has it (unquoted addresses, no end of a quote) is read as far as it
can be; nothing is looked through twice.
"""

import re
from typing import NamedTuple

# Of all challenges together; what registries send has some hundred characters.
_MOST_CHARACTERS = 8192
_SPACE = re.compile(r"[\s,]*")
_WORD = re.compile(r"[^\s,=\"]+")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\Z)', re.DOTALL)
_BARE = re.compile(r"[^\s,\"]*")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|\Z))")


class Challenge(NamedTuple):
    """One scheme, in small letters, with its parameters: names in small letters, the first of equal ones."""

    scheme: str
    parameters: dict[str, str]


def challenges_of(header: str) -> list[Challenge]:
    """The challenges, in their order; what is none is passed over."""
    text = header[:_MOST_CHARACTERS]
    found: list[Challenge] = []
    at = 0
    while at < len(text):
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
        word = _WORD.match(text, at)
        if word is None:
            at += 1
            continue
        at = word.end()
        if equals := _EQUALS.match(text, at):
            value, at = _value(text, equals.end())
            if found:
                found[-1].parameters.setdefault(word[0].lower(), value)
            continue
        found.append(Challenge(word[0].lower(), {}))
        at = _behind_token68(text, at)
    return found


def _value(text: str, at: int) -> tuple[str, int]:
    quoted = _QUOTED.match(text, at)
    if quoted is not None:
        return re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL), quoted.end()
    bare = _BARE.match(text, at)
    assert bare is not None  # it matches nothing at all, too
    return bare[0].strip("'"), max(bare.end(), at)


def _behind_token68(text: str, at: int) -> int:
    """The place behind what a scheme has instead of parameters (`Negotiate YII=`)."""
    start = at
    while start < len(text) and text[start] in " \t":
        start += 1
    token = _TOKEN68.match(text, start) if start > at else None
    return token.end() if token else at
