"""Whether planned bottles can be believed: each field by itself, and all against the address of the digest.

What a plan, a batch or an event names becomes keys in the store and addresses at the registry.
"""

import re
from collections.abc import Collection, Sequence
from typing import Protocol

from brew_assets.domain.bottle import (
    Bottle,
    blob_url,
    image_name,
    is_digest,
    is_formula_name,
    is_pkg_version,
    parse_filename,
)
from brew_assets.domain.catalogue import MAX_NAME_BYTES
from brew_assets.domain.object_keys import is_date, parse_key
from brew_assets.domain.oci import MAX_BOTTLE_BYTES
from brew_assets.domain.platforms import ALL_TAG, KNOWN_PLATFORMS, serving_tags

MAX_REBUILD = 99_999
_SHOWN_CHARACTERS = 120
_ENTRY_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9@+.,:~_-]{0,349}")
# An invocation by hand may name bottles by their tag, and `all` serves every machine.
_ANY_PLATFORM = frozenset((*KNOWN_PLATFORMS, ALL_TAG))


class Planned(Protocol):
    """One name to be stored (PlannedBottle)."""

    @property
    def bottle(self) -> Bottle: ...
    @property
    def platforms(self) -> tuple[str, ...]: ...
    @property
    def size(self) -> int | None: ...
    @property
    def source(self) -> str | None: ...
    @property
    def owner(self) -> str: ...
    @property
    def lost(self) -> str: ...


def is_sync_id(text: str) -> bool:
    """Whether text can be a sync's id and one part of a key."""
    return 0 < len(text) < 80 and text.isascii() and text.replace("-", "").isalnum()


def is_size(size: int) -> bool:
    """Whether a bottle can have so many bytes."""
    return 0 < size <= MAX_BOTTLE_BYTES


def is_entry_key(text: str) -> bool:
    """Whether text is made of what a key of the manifest can be made of."""
    return _ENTRY_KEY.fullmatch(text) is not None and ".." not in text


def is_bottle_key(text: str) -> bool:
    """Whether text is the key of a bottle in a date folder."""
    place = parse_key(text)
    return place is not None and is_date(place[0]) and parse_filename(place[1]) is not None


def shown(found: object) -> str:
    """The value, escaped and short; of what may be large or deep only its type."""
    if isinstance(found, str):
        return ascii(found[:_SHOWN_CHARACTERS])[:_SHOWN_CHARACTERS]
    if found is None or isinstance(found, bool | float):
        return repr(found)
    if isinstance(found, int):
        return str(found) if abs(found) < 10**30 else "a number of more than 30 digits"
    return type(found).__name__


def wrong(field: str, expected: str, found: object) -> str:
    """The finding on one field, as every message about a document words it."""
    return f"{field}: expected {expected}, found {shown(found)}"


class Proof:
    """Checks the planned bottles of one document; what many of them share is checked once."""

    def __init__(self, platforms: Collection[str] = _ANY_PLATFORM) -> None:
        """`platforms` are those of the document."""
        self._platforms = platforms
        # Formula -> Homebrew's own address of its blobs up to the digest, and what every address ends with.
        self._addresses: dict[str, tuple[str, str]] = {}
        self._versions: set[str] = set()
        self._served: set[tuple[str, tuple[str, ...]]] = set()
        self._seen: set[str] = set()

    def why_none(self, objects: Sequence[Planned]) -> str | None:
        """What is wrong with the first object that cannot be believed, by its number; None when all can."""
        for number, planned in enumerate(objects):
            if why := self.why_not(planned):
                return f"objects[{number}].{why}"
        return None

    def why_not(self, planned: Planned) -> str | None:
        """What is wrong with the object: field, expectation and finding; None when nothing is."""
        bottle = planned.bottle
        if why := self._why_not_bottle(bottle) or self._why_not_served(bottle.tag, planned.platforms):
            return why
        if planned.size is not None and not is_size(planned.size):
            return wrong("size", f"1 to {MAX_BOTTLE_BYTES} bytes, or null", planned.size)
        if planned.owner and planned.owner not in self._platforms:
            return wrong("owner", "a platform of the plan", planned.owner)
        if planned.source is not None and not is_bottle_key(planned.source):
            return wrong("source", "the key of a bottle, or null", planned.source)
        if planned.lost and (parse_key(planned.lost) or ("", ""))[1] != bottle.filename:
            return wrong("lost", f"<date>/{bottle.filename}, or nothing", planned.lost)
        key = bottle.entry_key
        if key in self._seen:
            return wrong("bottle", "every bottle once", key)
        self._seen.add(key)
        return None

    def _why_not_bottle(self, bottle: Bottle) -> str | None:
        formula, version, digest = bottle.formula, bottle.pkg_version, bottle.digest
        address = self._addresses.get(formula)
        if address is None:
            if not is_formula_name(formula):
                return wrong("bottle.formula", "a formula's name", formula)
            address = (blob_url(formula, ""), f"/{image_name(formula)}/blobs/sha256:")
            self._addresses[formula] = address
        if version not in self._versions:
            if not is_pkg_version(version):
                return wrong("bottle.pkg_version", "a version", version)
            self._versions.add(version)
        if not is_digest(digest):
            return wrong("bottle.digest", "64 lower-case hex digits", digest)
        # The rule of the catalogue: of another registry than Homebrew's only the end is known.
        if bottle.url != address[0] + digest and not bottle.url.endswith(address[1] + digest):
            return wrong("bottle.url", f"an address that ends {address[1]}{digest}", bottle.url)
        if not 0 <= bottle.rebuild <= MAX_REBUILD:
            return wrong("bottle.rebuild", f"0 to {MAX_REBUILD}", bottle.rebuild)
        if len(formula) + len(version) + len(bottle.tag) > MAX_NAME_BYTES:
            return wrong("bottle", "a file name that file systems take", bottle.filename)
        return None

    def _why_not_served(self, tag: str, platforms: tuple[str, ...]) -> str | None:
        if (tag, platforms) in self._served:
            return None
        if tag not in _ANY_PLATFORM:
            return wrong("bottle.tag", "a bottle tag", tag)
        if not platforms or len(set(platforms)) < len(platforms):
            return f"platforms: expected at least one, each once, found {len(platforms)}"
        for platform in platforms:
            if platform not in self._platforms:
                return wrong("platforms", "platforms of the plan", platform)
            if tag not in serving_tags(platform):
                return wrong("bottle.tag", f"a tag that serves {platform}", tag)
        self._served.add((tag, platforms))
        return None


def why_not_platforms(platforms: Sequence[str]) -> str | None:
    """What is wrong with the platforms of a plan: None when each is known and stands once."""
    if not platforms:
        return "platforms: expected at least one, found none"
    for platform in platforms:
        if platform not in _ANY_PLATFORM:
            return wrong("platforms", "platforms that are known", platform)
    if len(set(platforms)) < len(platforms):
        return f"platforms: expected each once, found {len(platforms)} of {len(set(platforms))}"
    return None
