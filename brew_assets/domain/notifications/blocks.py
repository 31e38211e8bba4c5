"""Slack's blocks: the parts of a message, each within Slack's limits; the same text goes to SNS.

Limits: https://docs.slack.dev/reference/block-kit/blocks. A text from outside formats nothing: mrkdwn has
entities for `&`, `<` and `>`, which would open links and mentions, and no way to escape the rest
(https://docs.slack.dev/messaging/formatting-message-text). There another character that looks like it stands.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from brew_assets.domain.foreign_text import printable, printable_lines
from brew_assets.domain.links import Link

Block = dict[str, Any]

NOTES_SHOWN = 8
# Room for what stands around a detail of an error.
DETAIL_CHARACTERS = 2500
NOTE_CHARACTERS = 700
_BAR_LENGTH = 28
_HEADER_CHARACTERS = 150
_FIELD_CHARACTERS = 2000
_TEXT_CHARACTERS = 3000
_URL_CHARACTERS = 3000
_HALF_ENTITY = re.compile(r"&[a-z]{0,3}\Z")
_LOOKS_LIKE = str.maketrans({"*": "∗", "~": "∼", "`": "'"})
# Inside a word an underscore formats nothing: arm64_sonoma.
_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
# `:tada:`, not the colons of 03:00:15 or of sha256:…
_EMOJI = re.compile(r":(?=[a-z+-][a-z0-9_+'-]{0,50}:)", re.IGNORECASE)
# Commands in sentences of ours.
_COMMAND = re.compile(r"(`brew-mirror [a-z -]+`|`repair`)")


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What Slack gets: a text for notifications, and blocks."""

    text: str
    blocks: tuple[Block, ...]

    def plain(self) -> str:
        """The same as plain text, for e-mails; links stand in the place of buttons."""
        lines = [self.text, ""]
        for block in self.blocks[1:]:
            if "fields" in block:
                lines += [without_markup(field["text"]) for field in block["fields"]]
            elif block["type"] == "section":
                lines += ["", without_markup(block["text"]["text"])]
            elif block["type"] == "context":
                lines += ["", *(without_markup(element["text"]) for element in block["elements"])]
            else:
                lines += ["", *(f"{e['text']['text']}: {e['url']}" for e in block["elements"])]
        return "\n".join(lines)


def message(title: str, *blocks: Block, header: str = "") -> Message:
    """The blocks under a header: the title, or a shorter one."""
    text = {"type": "plain_text", "text": cut(header or title, _HEADER_CHARACTERS)}
    return Message(text=title, blocks=({"type": "header", "text": text}, *blocks))


def fields(*named: tuple[str, str]) -> Block:
    """Names with their values, in two columns; a value may be foreign."""
    return {
        "type": "section",
        "fields": [_mrkdwn(f"*{name}:* {foreign(value)}", _FIELD_CHARACTERS) for name, value in named],
    }


def section(text: str) -> Block:
    """A paragraph in Slack's markup."""
    return {"type": "section", "text": _mrkdwn(text or "–", _TEXT_CHARACTERS)}


def context(text: str) -> Block:
    """A small line in Slack's markup."""
    return {"type": "context", "elements": [_mrkdwn(text, _TEXT_CHARACTERS)]}


def bullet(text: str) -> str:
    """A line of a list; the text may be foreign."""
    return f"• {cut(foreign(text), NOTE_CHARACTERS)}"


def notes(sentences: Sequence[str]) -> tuple[Block, ...]:
    """What people should know beside the figures, a block for each; no block without a sentence."""
    shown = sentences if len(sentences) <= NOTES_SHOWN else sentences[: NOTES_SHOWN - 1]
    lines = [f"• {cut(sentence(one), NOTE_CHARACTERS)}" for one in shown]
    if len(sentences) > len(shown):
        lines.append(f"• ... and {len(sentences) - len(shown):,} others")
    return tuple(section(line if number else f"*Notes:*\n{line}") for number, line in enumerate(lines))


def buttons(links: Sequence[Link]) -> tuple[Block, ...]:
    """A row of buttons; no block without a link that Slack would take."""
    elements = [
        {"type": "button", "text": {"type": "plain_text", "text": link.title}, "url": link.url}
        for link in links
        if link.url and len(link.url) <= _URL_CHARACTERS
    ]
    return ({"type": "actions", "elements": elements},) if elements else ()


def bar(share: float) -> str:
    """28 blocks, as many of them full as the share (0 to 1) asks for; full only at the end."""
    share = min(1.0, max(0.0, share))
    full = _BAR_LENGTH if share == 1.0 else min(_BAR_LENGTH - 1, math.ceil(share * _BAR_LENGTH))
    return "█" * full + "░" * (_BAR_LENGTH - full)


def _mrkdwn(text: str, most: int) -> dict[str, str]:
    return {"type": "mrkdwn", "text": cut(text, most)}


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
