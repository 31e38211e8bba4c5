"""How the text of an environment variable becomes a value, and how one that is not accepted is named."""

import enum
import re
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

from msgspec import Meta

from brew_assets.errors import SettingsInvalid

# The three newest versions of macOS on Apple silicon.
DEFAULT_PLATFORMS = ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma")

_ADDRESSES = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "DAGSTER_URL")
# Any white space may stand between their parts.
_OF_PARTS = ("SCHEDULE_EXPRESSION", "ECS_TASK_SIZES")
# A list of which nothing is left means nothing that anybody could want.
_NEVER_EMPTY = {"TARGET_PLATFORMS": "tags that `brew-mirror platforms` lists, separated by commas"}
_BOOLEANS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}
# A path has 4,096 bytes at most, a signed address about 2,000 characters.
MAX_CHARACTERS = 8192
_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
# Control characters, and what Python puts in the place of a byte that is no UTF-8.
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SPACE = re.compile(r"[ \t\n\r\f\v]+")
_SHOWN = 80
_ADDRESS_NAME = re.compile(r"[A-Z0-9_]+_URL(_S3)?|(HTTPS?|ALL)_PROXY")
# Read in small letters too.
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
_BEFORE_HOST = re.compile(r".*@", re.DOTALL)
_SECRET_END = re.compile(r"((?:://|…@)[^?#]*)[?#].*", re.DOTALL)


class Secret:
    """A value that is shown nowhere: not by print, not by an error's text, not in a repr of what holds it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret(…)" if self._value else "Secret()"

    __str__ = __repr__


class Group(enum.StrEnum):
    """What a setting is about: the headings of the table of settings."""

    STORE = "Where the bottles are kept"
    SELECTION = "What is mirrored, and when"
    NETWORK = "Upstream and the network"
    AWS = "AWS"
    PUBLICATION = "What clients are served"
    MESSAGES = "Messages, metrics and logs"


def in_group(group: Group) -> Callable[..., Meta]:
    """How a setting of the group is described: its meaning, and limits as msgspec.Meta takes them."""

    def described(description: str, **limits: Any) -> Meta:
        return Meta(description=description, extra={"group": group}, **limits)

    return described


def read_value(name: str, annotated: Any, text: str) -> "str | bool | list[str]":
    """What the variable says, as msgspec converts it into the type `annotated` of its field.

    Raises:
        SettingsInvalid: it is no text, too long, neither true nor false, no address where one is needed, or
            one where none is.
    """
    kind = get_args(annotated)[0]
    is_list = get_origin(kind) is tuple
    _check_text(name, _SPACE.sub("", text) if is_list or name in _OF_PARTS else text)
    # Values that are no addresses are shown as they are, wherever they are of use.
    if "://" in text and not _ADDRESS_NAME.fullmatch(name):
        raise SettingsInvalid(name=name, expected="no address", found=shown_value(text))
    if is_list:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not parts and name in _NEVER_EMPTY:
            raise SettingsInvalid(name=name, expected=_NEVER_EMPTY[name], found=shown_value(text))
        return parts
    if kind is bool:
        return _boolean(name, text)
    if name in _ADDRESSES and not _is_address(text):
        expected = "an http(s) address with its scheme, such as https://example.org:3000"
        raise SettingsInvalid(name=name, expected=expected, found=shown_value(text))
    return text


def _check_text(name: str, text: str) -> None:
    """Returns when it can be encoded and shown. It may be a secret: nothing else of it is in the error."""
    if len(text) > MAX_CHARACTERS:
        expected = f"at most {MAX_CHARACTERS:,} characters"
        raise SettingsInvalid(name=name, expected=expected, found=f"{len(text):,}")
    if match := _NO_TEXT.search(text):
        found = f"{match[0]!r} after {match.start():,} characters"
        raise SettingsInvalid(name=name, expected="UTF-8 without control characters", found=found)


def _boolean(name: str, text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise SettingsInvalid(name=name, expected="true or false", found=shown_value(text))
    return _BOOLEANS[text.lower()]


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        # Reading the port checks it.
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return whole and _VISIBLE_ASCII.fullmatch(text) is not None


def refusal(name: str, annotated: Any, value: object) -> SettingsInvalid:
    """The error of a variable whose value is none of its field's type `annotated`."""
    return SettingsInvalid(name=name, expected=_expected(annotated), found=shown_value(str(value)))


def shown_value(text: str) -> str:
    """The beginning of a value in quotes, as an error may show it.

    Whatever it was meant to be: nothing before an "@", and nothing behind the path of an address.
    """
    without_user = _BEFORE_HOST.sub("…@", text)
    return repr(_SECRET_END.sub(r"\1?…", without_user)[:_SHOWN])


def _expected(annotated: Any) -> str:
    """What a variable may be, in words: "an integer from 1 to 256", "one of AES256, aws:kms, bucket"."""
    kind, *metas = get_args(annotated)
    if choices := get_args(kind) if get_origin(kind) is Literal else ():
        named = f"one of {', '.join(choice for choice in choices if choice)}"
        return named if all(choices) else f"{named}, or nothing"
    words = {int: "an integer", float: "a number"}.get(kind, "text")
    for meta in metas:
        if meta.pattern is not None:
            words += f" that matches {meta.pattern}"
        low = meta.ge if meta.ge is not None else meta.gt
        if low is not None and meta.le is not None:
            words += f" {'from' if meta.ge is not None else 'above'} {low} to {meta.le}"
    return words
