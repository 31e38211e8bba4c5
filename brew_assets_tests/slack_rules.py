"""Slack's rules for what a webhook accepts, as far as the project's messages use blocks.

https://docs.slack.dev/reference/block-kit/blocks and …/composition-objects.
"""

from collections.abc import Mapping
from typing import Any

MAX_BLOCKS = 50
_FIELDS, _FIELD_CHARACTERS, _SECTION_CHARACTERS = 10, 2000, 3000
_HEADER_CHARACTERS, _BUTTON_CHARACTERS, _URL_CHARACTERS = 150, 75, 3000
_ELEMENTS = {"context": 10, "actions": 25}
_ALLOWED = {"text", "blocks", "channel", "username"}


def problems_of(body: object) -> list[str]:
    """What Slack would refuse, or show otherwise than meant; nothing when the body is right."""
    if not isinstance(body, Mapping):
        return ["the body is no object"]
    blocks = body.get("blocks")
    problems = [f"unknown field {name}" for name in body.keys() - _ALLOWED]
    if not isinstance(body.get("text"), str) or not body["text"]:
        problems.append("no text")
    if not isinstance(blocks, list) or not 1 <= len(blocks) <= MAX_BLOCKS:
        return [*problems, f"expected 1 to {MAX_BLOCKS} blocks"]
    for number, block in enumerate(blocks):
        problems += [f"block {number}: {problem}" for problem in _problems_of_block(block)]
    return problems


def _problems_of_block(block: Mapping[str, Any]) -> list[str]:
    match block.get("type"):
        case "header":
            return _text(block.get("text"), "plain_text", _HEADER_CHARACTERS) + _only(block, "text")
        case "section" if "fields" in block:
            fields = block["fields"]
            count = [] if 1 <= len(fields) <= _FIELDS else [f"{len(fields)} fields"]
            texts = [problem for field in fields for problem in _text(field, "mrkdwn", _FIELD_CHARACTERS)]
            return count + texts + _only(block, "fields")
        case "section":
            return _text(block.get("text"), "mrkdwn", _SECTION_CHARACTERS) + _only(block, "text")
        case "context" | "actions" as kind:
            elements = block.get("elements", [])
            count = [] if 1 <= len(elements) <= _ELEMENTS[kind] else [f"{len(elements)} elements"]
            check = _button if kind == "actions" else _context_text
            return count + [p for element in elements for p in check(element)] + _only(block, "elements")
    return [f"unknown type {block.get('type')}"]


def _only(block: Mapping[str, Any], name: str) -> list[str]:
    return [f"unknown field {extra}" for extra in block.keys() - {"type", name}]


def _context_text(element: Mapping[str, Any]) -> list[str]:
    return _text(element, "mrkdwn", _SECTION_CHARACTERS)


def _button(element: Mapping[str, Any]) -> list[str]:
    url = element.get("url")
    problems = _text(element.get("text"), "plain_text", _BUTTON_CHARACTERS)
    if element.get("type") != "button":
        problems.append(f"an action of type {element.get('type')}")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")) or len(url) > _URL_CHARACTERS:
        problems.append("a button without a usable address")
    return problems


def _text(found: object, kind: str, limit: int) -> list[str]:
    if not isinstance(found, Mapping) or found.keys() != {"type", "text"} or found["type"] != kind:
        return [f"expected a text of type {kind}"]
    text = found["text"]
    if not isinstance(text, str) or not 1 <= len(text) <= limit:
        return [f"a text of {len(str(text))} characters, expected 1 to {limit}"]
    return []
