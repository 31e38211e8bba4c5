"""External hash files: digests of bottles that somebody has already, which a sync skips.

Two shapes are read: our manifest's, and a plain JSON list of digests. Every entry is checked by itself; a
bad one is counted and left out, it never spoils the others.

A file is proved to be JSON by a decoder that makes nothing of it, and then walked through with expressions
that look at each byte a bounded number of times. So whatever it is, it costs little more than its bytes.
"""

import codecs
import re
from collections.abc import Container

import msgspec

from brew_assets.domain.bottle import is_digest
from brew_assets.errors import UNREADABLE, HashFileInvalid

# A manifest of 600,000 entries, or 4 million digests.
MAX_HASH_FILE_BYTES = 256 * 1024 * 1024
# What a manifest of that size has: a dozen to an entry. They bound the time, as the bytes bound the memory.
MAX_HASH_FILE_VALUES = 8_000_000
_NAMED_AT_MOST = 20
_SHOWN_CHARACTERS = 40
_NAME_CHARACTERS = 120
_SMALL_BYTES = 400
_PIECE_BYTES = 1024 * 1024

_WS = rb"[ \t\r\n]*+"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SCALAR = rb'[^][{}",: \t\r\n]++'
# A string that cannot be a digest, and has no comma that would count as one between values.
_SHORT = rb'(?:"[^"\\,]{0,63}+"|[^][{}",: \t\r\n]++|\[\]|\{\})'
_DIGEST_ELEMENT = re.compile(_WS + rb'"(?:sha256:)?+([0-9a-f]{64})"' + _WS + rb"([],])")
_BAD_ELEMENTS = re.compile(rb"(?:" + _WS + _SHORT + _WS + rb",)++")
_BAD_MEMBERS = re.compile(rb"(?:" + _WS + rb'"[^"\\,]*+"' + _WS + b":" + _WS + _SHORT + _WS + rb",)++")
_KEY = re.compile(_WS + rb"(" + _STRING + rb")" + _WS + rb":", re.DOTALL)
_VALUE = re.compile(
    _WS + rb"(?:" + _STRING + rb"|" + _SCALAR + rb'|[\[{](?:[^][{}"]++|' + _STRING + rb")*+[]}])", re.DOTALL
)
_INSIDE = re.compile(_STRING + rb"|[][{}]", re.DOTALL)
_BETWEEN = re.compile(_WS + rb"([],}])")
_BLANK = re.compile(_WS)


class HashList(msgspec.Struct, frozen=True, kw_only=True):
    """The digests of one external hash file. `rejected` counts bad entries, `examples` names some."""

    digests: frozenset[str]
    rejected: int = 0
    examples: tuple[str, ...] = ()


class _Entry(msgspec.Struct):
    sha256: msgspec.Raw = msgspec.Raw(b"null")


_json_decoder = msgspec.json.Decoder(msgspec.Raw)
_entry_decoder = msgspec.json.Decoder(_Entry)
_any_decoder = msgspec.json.Decoder()


def decode_hash_file(data: bytes, *, wanted: Container[str] | None = None) -> HashList:
    """The digests in a hash file, of the `wanted` ones those: a catalogue's, which alone can be skipped.

    Raises:
        HashFileInvalid: it is neither a manifest nor a JSON list, or too large.
    """
    if len(data) > MAX_HASH_FILE_BYTES:
        raise HashFileInvalid(f"expected at most {MAX_HASH_FILE_BYTES} bytes, found {len(data)}")
    values = sum(data.count(mark) for mark in (b",", b"[", b"{"))
    if values > MAX_HASH_FILE_VALUES:
        raise HashFileInvalid(f"expected at most {MAX_HASH_FILE_VALUES} values, found about {values}")
    entries = _Entries(wanted)
    start = _BLANK.match(data).end()  # type: ignore[union-attr]
    try:
        _check_text(data)
        _json_decoder.decode(data)
        if data[start : start + 1] == b"[":
            _walk_list(data, start + 1, entries)
        else:
            _walk_manifest(data, start, entries)
    except UNREADABLE as exc:
        raise HashFileInvalid(f"expected a manifest or a JSON list of digests, found: {exc}") from exc
    return HashList(
        digests=frozenset(entries.digests), rejected=entries.rejected, examples=tuple(entries.examples)
    )


class _Entries:
    """What the entries of one file come to."""

    def __init__(self, wanted: Container[str] | None) -> None:
        self._wanted = wanted
        self.digests: set[str] = set()
        self.rejected = 0
        self.examples: list[str] = []

    @property
    def has_examples(self) -> bool:
        """Whether bad entries are counted only from now on."""
        return len(self.examples) >= _NAMED_AT_MOST

    def take(self, digest: str) -> None:
        if self._wanted is None or digest in self._wanted:
            self.digests.add(digest)

    def look_at(self, name: str, value: bytes | memoryview) -> None:
        """Takes the digest that this value is, or rejects it."""
        if self.has_examples and bytes(value[:1]) != b'"':
            self.rejected += 1
            return
        found = _text_of(value)
        digest = found.removeprefix("sha256:")
        if is_digest(digest):
            self.take(digest)
            return
        self.rejected += 1
        if not self.has_examples:
            shown = found[:_SHOWN_CHARACTERS]
            self.examples.append(
                f"{name[:_NAME_CHARACTERS]}: expected 64 lower-case hex digits, found {shown!r}"
            )


def _digest_of_entry(value: memoryview) -> memoryview:
    """What a manifest's entry has under `sha256`; itself when it is no object."""
    return memoryview(_entry_decoder.decode(value).sha256) if bytes(value[:1]) == b"{" else value


def _check_text(data: bytes) -> None:
    """Returns when it is UTF-8, which nobody looks at in what is skipped.

    Raises:
        UnicodeDecodeError: it is not.
    """
    if data.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(data)
    for start in range(0, len(data), _PIECE_BYTES):
        decoder.decode(view[start : start + _PIECE_BYTES])
    decoder.decode(b"", final=True)


def _text_of(value: bytes | memoryview) -> str:
    """The value as text, of a large one its beginning."""
    small = bytes(value[:_SMALL_BYTES])
    try:
        return (
            str(_any_decoder.decode(small)) if len(value) <= _SMALL_BYTES else small.decode(errors="replace")
        )
    except UNREADABLE:
        return small.decode(errors="replace")


def _walk_list(data: bytes, at: int, entries: _Entries) -> None:
    number, view = 0, memoryview(data)
    if _BETWEEN.match(data, at) is not None:
        return
    while True:
        if match := _DIGEST_ELEMENT.match(data, at):
            entries.take(match[1].decode())
            at, number = match.end(), number + 1
            if match[2] == b"]":
                return
            continue
        if entries.has_examples and (run := _BAD_ELEMENTS.match(data, at)):
            count = data.count(b",", at, run.end())
            entries.rejected += count
            at, number = run.end(), number + count
            continue
        start, end = _value_at(data, at)
        entries.look_at(f"entry {number}", view[start:end])
        between = _BETWEEN.match(data, end)
        if between is None or between[1] != b",":
            return
        at, number = between.end(), number + 1


def _walk_manifest(data: bytes, at: int, entries: _Entries) -> None:
    """Takes the entries of all members named `bottles`.

    Raises:
        msgspec.DecodeError: it is no object, or has no such member.
    """
    if data[at : at + 1] != b"{":
        raise msgspec.DecodeError("neither an object nor a list")
    has_bottles, at = False, at + 1
    while key := _KEY.match(data, at):
        start = _BLANK.match(data, key.end()).end()  # type: ignore[union-attr]
        if data[start : start + 1] == b"{" and _text_of(data[key.start(1) : key.end(1)]) == "bottles":
            has_bottles, end = True, _walk_bottles(data, start + 1, entries)
        else:
            end = _value_at(data, start)[1]
        between = _BETWEEN.match(data, end)
        if between is None or between[1] != b",":
            break
        at = between.end()
    if not has_bottles:
        raise msgspec.DecodeError("an object without an object `bottles`")


def _walk_bottles(data: bytes, at: int, entries: _Entries) -> int:
    """Where the object ends whose members begin here."""
    view = memoryview(data)
    while True:
        if entries.has_examples and (run := _BAD_MEMBERS.match(data, at)):
            entries.rejected += data.count(b",", at, run.end())
            at = run.end()
        key = _KEY.match(data, at)
        if key is None:  # an empty object
            between = _BETWEEN.match(data, at)
            return between.end() if between else at
        start, end = _value_at(data, key.end())
        entries.look_at(_text_of(view[key.start(1) : key.end(1)]), _digest_of_entry(view[start:end]))
        between = _BETWEEN.match(data, end)
        if between is None or between[1] != b",":
            return between.end() if between else end
        at = between.end()


def _value_at(data: bytes, at: int) -> tuple[int, int]:
    """Where the value at this place begins and ends."""
    start = _BLANK.match(data, at).end()  # type: ignore[union-attr]
    if match := _VALUE.match(data, start):
        return start, match.end()
    depth = 0
    for match in _INSIDE.finditer(data, start):
        mark = data[match.start()]
        if mark in b"[{":
            depth += 1
        elif mark in b"]}":
            depth -= 1
            if depth == 0:
                return start, match.end()
    raise msgspec.DecodeError("Input data was truncated")
