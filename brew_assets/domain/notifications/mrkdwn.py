"""Slack's markup: what formats there, and how a text from outside formats nothing.

mrkdwn has entities for `&`, `<` and `>`, which would open links and mentions, and no way to escape the rest
(https://docs.slack.dev/messaging/formatting-message-text). There another character that looks like it stands.
"""

import re

from brew_assets.domain.foreign_text import printable, printable_lines

_HALF_ENTITY = re.compile(r"&[a-z]{0,3}\Z")
_LOOKS_LIKE = str.maketrans({"*": "∗", "~": "∼", "`": "'"})
# Inside a word an underscore formats nothing: arm64_sonoma.
_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
# `:tada:`, not the colons of 03:00:15 or of sha256:…
_EMOJI = re.compile(r":(?=[a-z+-][a-z0-9_+'-]{0,50}:)", re.IGNORECASE)
# Commands in sentences of ours.
_COMMAND = re.compile(r"(`brew-mirror [a-z -]+`|`repair`)")


def foreign(text: str) -> str:
    """The text on one line, in which nothing is a link, a mention, an emoji, or formatted."""
    shown = _UNDERSCORE.sub("＿", printable(text).translate(_LOOKS_LIKE))
    return entities(_EMOJI.sub("∶", shown))


def sentence(text: str) -> str:
    """A sentence of ours in which names may be foreign; the commands that it names stay code."""
    parts = enumerate(_COMMAND.split(text))
    return "".join(part if number % 2 else foreign(part) for number, part in parts)


def preformatted(text: str) -> str:
    """Lines for a block between ``` and ```, which they cannot end."""
    return entities(printable_lines(text)).replace("`", "'")


def code(text: str, most: int) -> str:
    """The text as code, cut to `most` characters."""
    return f"`{cut(entities(printable(text)).replace('`', chr(39)), most)}`"


def entities(text: str) -> str:
    """The text with the three characters escaped that open links and mentions."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, limit: int) -> str:
    """The text, or what fits of it; an entity (`&amp;`) is never cut in two."""
    if len(text) <= limit:
        return text
    return _HALF_ENTITY.sub("", text[: limit - 1]) + "…"


def without_markup(text: str) -> str:
    """What Slack would show of a text of ours, for e-mails."""
    plain = re.sub(r"\*(.+?:)\*", r"\1", text).replace("```\n", "").replace("\n```", "").replace("`", "")
    return plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
