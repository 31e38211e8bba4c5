"""Slack's blocks: the parts of a message, each within Slack's limits; the same text goes to SNS.

Limits: https://docs.slack.dev/reference/block-kit/blocks.
"""

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from brew_assets.domain.links import Link
from brew_assets.domain.notifications.mrkdwn import cut, foreign, sentence, without_markup

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
