"""Documents that are almost right: valid ones, spoiled in the ways in which files and answers are spoiled."""

import json
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

from brew_assets.domain.seal import seal

# Stand in a document until it is text: what json.dumps cannot write.
_DEEP, _HUGE, _RAW = "\0deep", "\0huge", "\0raw"
_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    1.5,
    -0.0,
    1e308,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64,
    -(2**63) - 1,
    10**400,
    float("nan"),
    float("inf"),
    float("-inf"),
    "",
    " ",
    ".",
    "..",
    "/",
    "a/b",
    "../x",
    "/etc/passwd",
    "a//b",
    "a\\b",
    "\0",
    "a\0b",
    "\n",
    "\x1b[31m",
    "[/x]",
    "\ud800",
    "a\udfff",
    "\u202e",
    "\U0001f37a",
    "x" * 300,
    "é" * 130,
    "0" * 64,
    "F" * 64,
    "sha256:" + "0" * 64,
    "all",
    "arm64_sonoma",
    "state/receipts",
    "2026-02-30",
    "9999-12-31",
    "99999-01-01",
    "NaN",
    "1e999",
    "٣",
    [],
    {},
    [[]],
    {"": None},
    [None, 1, "x"],
    _DEEP,
    _HUGE,
    _RAW,
)
# Decoders stumble over these only in fields of certain types: often enough to meet each of them.
_UNENCODABLE = ("\ud800", "a\udfff", _DEEP, _HUGE)
_CHARACTERS = "\0\n/.-_@+~:%?#\\\"'<>[]{}éß\u202e\ud800\udfff0aZ"
_RAW_TEXTS = (
    b"NaN",
    b"Infinity",
    b"1e999",
    b"-",
    b"'x'",
    b"tru",
    b'"\\u12"',
    b'"\x01"',
    b"01",
    b'"\xff"',
    b"1.",
    b"",
)


def spoiled(valid: bytes, random: Random) -> bytes:
    """The document with one to three faults, or in one of eight cases bytes that nobody has ever meant."""
    if random.random() < 0.125:
        return _noise(random)
    document = json.loads(valid)
    is_sealed = isinstance(document, dict) and document.pop("integrity", None) is not None
    if random.random() < 0.8:
        for _ in range(random.randint(1, 3)):
            document = _changed(document, random)
    data = _text(document, random)
    # What changes bytes comes before the seal as often as after it.
    if random.random() < 0.25:
        data = _damaged(data, random)
    if is_sealed and random.random() < 0.9 and data.endswith(b"}"):
        data = bytes(seal(data))
    return _damaged(data, random) if random.random() < 0.15 else data


def changed_text(valid: str, random: Random) -> str:
    """The text with a few other characters, or another one altogether."""
    if random.random() < 0.25:
        return str(random.choice([value for value in _VALUES if isinstance(value, str | int | float)]))
    for _ in range(random.randint(1, 4)):
        valid = _changed_text(valid, random)
    return valid


def _value(random: Random) -> Any:
    """A value that JSON can have, seldom the right one; nobody else has it, so that it can be changed."""
    return deepcopy(random.choice(_VALUES))


def _changed(document: Any, random: Random) -> Any:
    """The document with another value, name or number of elements somewhere in it."""
    places = _places(document)
    if not places or random.random() < 0.02:
        return _value(random)
    holder, key = random.choice(places)
    change: Callable[[Any, Any, Random], None] = random.choice(_CHANGES)
    change(holder, key, random)
    return document


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every list and object in the document, once with each of its indexes and keys."""
    found: list[tuple[Any, Any]] = []
    open_ones = [document]
    while open_ones:
        holder = open_ones.pop()
        inner = (
            holder.items()
            if isinstance(holder, dict)
            else enumerate(holder)
            if isinstance(holder, list)
            else ()
        )
        for key, value in inner:
            found.append((holder, key))
            open_ones.append(value)
    return found


def _replace(holder: Any, key: Any, random: Random) -> None:
    holder[key] = random.choice(_UNENCODABLE) if random.random() < 0.25 else _value(random)


def _adjust(holder: Any, key: Any, random: Random) -> None:
    """A value of the same type, close to the right one."""
    value = holder[key]
    if isinstance(value, str):
        holder[key] = _changed_text(value, random)
    elif isinstance(value, int | float):
        holder[key] = random.choice((value + 1, value - 1, -value, value * 1000, str(value)[:4000]))
    else:
        copies = [deepcopy(value) for _ in range(3)]
        holder[key] = random.choice((value, [value], {"x": value}, copies, str(value)))


def _remove(holder: Any, key: Any, random: Random) -> None:
    del holder[key]


def _repeat(holder: Any, key: Any, random: Random) -> None:
    if isinstance(holder, list):
        holder.extend([deepcopy(holder[key]) for _ in range(random.choice((1, 2, 40)))])
    else:
        # The same name twice, once it is text: the second stands where the first does.
        holder[f"{key}\0again"] = random.choice((deepcopy(holder[key]), _value(random)))


def _rename(holder: Any, key: Any, random: Random) -> None:
    if isinstance(holder, dict):
        holder[_changed_text(key, random)] = holder.pop(key)
    else:
        holder[key] = _value(random)


def _take_from_beside(holder: Any, key: Any, random: Random) -> None:
    """The value of a neighbour: of the right shape, and of another bottle."""
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    holder[key] = deepcopy(holder[random.choice(keys)])


_CHANGES = (_replace, _replace, _adjust, _adjust, _adjust, _remove, _repeat, _rename, _take_from_beside)


def _changed_text(text: str, random: Random) -> str:
    at = random.randint(0, len(text))
    piece = random.choice(_CHARACTERS) * random.choice((1, 1, 1, 2, 200))
    kind = random.randrange(5)
    if kind == 0:
        return text[:at] + piece + text[at:]
    if kind == 1:
        return text[:at] + piece + text[at + 1 :]
    if kind == 2:
        return text[:at] + text[at + 1 :]
    if kind == 3:
        return text[:at]
    return text.swapcase() if random.random() < 0.5 else text + text


def _text(document: Any, random: Random) -> bytes:
    """The document as JSON, with what no encoder writes."""
    compact = (",", ":") if random.random() < 0.8 else None
    # Two thirds have their halves of pairs as escapes, the others as bytes that are no UTF-8.
    ascii_only = random.random() < 0.67
    text = json.dumps(document, ensure_ascii=ascii_only, separators=compact)
    data = text.encode("utf-8", "surrogatepass").replace(b"\\u0000again", b"")
    if b"\\u0000" not in data:
        return data
    deep, opening = random.choice((5, 500, 3_000)), random.choice((b"[", b'{"a":'))
    closing = b"]" if opening == b"[" else b"}"
    nested = opening * deep + b"1" + closing * deep
    data = data.replace(b'"\\u0000deep"', nested)
    data = data.replace(
        b'"\\u0000huge"', random.choice((b"9" * 5_000, b'"' + b"x" * 20_000 + b'"', b"1e9999"))
    )
    return data.replace(b'"\\u0000raw"', random.choice(_RAW_TEXTS))


def _damaged(data: bytes, random: Random) -> bytes:
    """The bytes as a bad disk, a broken connection or an editor leaves them."""
    at = random.randint(0, len(data))
    kind = random.randrange(7)
    if kind == 0:
        return data[:at]
    if kind == 1 and data:
        flipped = bytearray(data)
        for _ in range(random.choice((1, 1, 8))):
            flipped[random.randrange(len(data))] ^= 1 << random.randrange(8)
        return bytes(flipped)
    if kind == 2:
        return data[:at] + random.randbytes(random.choice((1, 4))) + data[at:]
    if kind == 3:
        return data[:at] + bytes(random.choice((1, 100))) + data[at + 100 :]
    if kind == 4:
        return random.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b" \n", b"\x1f\x8b")) + data
    if kind == 5:
        return data + random.choice((b"\n", b"}", b"]", b"\0", data, b"\xff"))
    return data.decode("utf-8", "replace").encode(random.choice(("utf-16", "utf-32", "utf-7")), "replace")


def _noise(random: Random) -> bytes:
    kind = random.randrange(4)
    if kind == 0:
        return random.randbytes(random.choice((0, 1, 3, 64)))
    if kind == 1:
        return random.choice((b"[", b'{"a":', b"[{", b'"', b"-", b"\0", b" ", b"9", b"\xff")) * random.choice(
            (1, 9_000)
        )
    if kind == 2:
        return json.dumps(_value(random)).encode()
    tokens = (
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"a"',
        b"1",
        b"null",
        b"true",
        b'"',
        b"\\",
        b"-1",
        b"1e9",
        b" ",
    )
    return b"".join(random.choice(tokens) for _ in range(random.randint(1, 30)))
