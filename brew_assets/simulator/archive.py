"""Bottle archives made from a seed: real gzip'd tars that can be read at any offset without being kept.

An archive is three runs of bytes: a deflated head (the tar members up to the filler's first byte), the filler
in stored deflate blocks, and a deflated tail. Only head and tail depend on zlib, and both are under 2 KB, so
a 4 GiB bottle costs a hash pass when it is made and one unit of 256 KiB whenever it is read.
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from brew_assets.simulator.model import HOMEBREW_VERSION

STORED_BLOCK_BYTES = 65_535  # the longest stored block that deflate knows (RFC 1951, 3.2.4)
BLOCKS_PER_UNIT = 4
UNIT_BYTES = BLOCKS_PER_UNIT * STORED_BLOCK_BYTES
BLOCK_HEAD_BYTES = 5
PACKED_UNIT_BYTES = UNIT_BYTES + BLOCKS_PER_UNIT * BLOCK_HEAD_BYTES
LARGEST_FILLER_BYTES = 8**11 - 1  # a ustar size field holds eleven octal digits: 8 GiB
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # mtime 0, so that equal content is equal bytes
_TAR_HEAD = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_TAR_TIME = b"14617224500\0"  # one fixed mtime for every member
_STAMP_BYTES = 32


@dataclass(frozen=True, slots=True)
class Recipe:
    """What it takes to make one archive again, byte for byte."""

    formula: str
    pkg_version: str
    content_seed: str
    filler_bytes: int


@dataclass(frozen=True, slots=True)
class Baked:
    """A recipe that was made once: its digest, its size, and the tar's CRC that the gzip trailer repeats."""

    recipe: Recipe
    digest: str
    size: int
    crc: int


class Filler:
    """Incompressible bytes by seed; every unit carries its number, so exchanged units change the content."""

    __slots__ = ("_pool", "_stamp", "length", "packed_length")

    def __init__(self, content_seed: str, length: int) -> None:
        seed = hashlib.blake2b(content_seed.encode(), digest_size=_STAMP_BYTES).digest()
        self._stamp = seed[:24]
        start = int.from_bytes(seed[24:28], "big") % UNIT_BYTES
        self._pool = memoryview(_pool())[start : start + UNIT_BYTES]
        self.length = length
        self.packed_length = length + BLOCK_HEAD_BYTES * -(-length // STORED_BLOCK_BYTES)

    @property
    def units(self) -> int:
        """Number of units; the last may be short."""
        return -(-self.length // UNIT_BYTES)

    def raw(self, unit: int) -> bytes:
        """The unit's bytes as they stand in the tar."""
        length = min(UNIT_BYTES, self.length - unit * UNIT_BYTES)
        stamp = self._stamp + unit.to_bytes(_STAMP_BYTES - 24, "big")
        return b"".join((stamp, self._pool[_STAMP_BYTES:]))[:length]

    def packed(self, unit: int) -> bytes:
        """The unit's bytes as they stand in the gzip file: stored blocks."""
        return pack(self.raw(unit))


class Blob:
    """One archive, readable at any offset."""

    __slots__ = ("_filler", "_head", "_tail", "size")

    def __init__(self, head: bytes, filler: Filler, tail: bytes) -> None:
        self._head, self._filler, self._tail = head, filler, tail
        self.size = len(head) + filler.packed_length + len(tail)

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from start up to stop, in pieces of at most about 256 KiB."""
        stop = self.size if stop is None else min(stop, self.size)
        filler_at = len(self._head)
        tail_at = filler_at + self._filler.packed_length
        if start < filler_at:
            yield self._head[start:stop]
        if start < tail_at and stop > filler_at:
            first = max(0, start - filler_at) // PACKED_UNIT_BYTES
            for unit in range(first, self._filler.units):
                unit_at = filler_at + unit * PACKED_UNIT_BYTES
                if unit_at >= stop:
                    return
                yield self._filler.packed(unit)[max(0, start - unit_at) : stop - unit_at]
        if stop > tail_at:
            yield self._tail[max(0, start - tail_at) : stop - tail_at]

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes from start up to stop, in one piece."""
        return b"".join(self.chunks(start, stop))


def filler_for(size_bytes: int, formula: str) -> int:
    """Filler that brings an archive of that formula near to the wished size (at least one stamp)."""
    around = 480 + 3 * len(formula)
    blocks = max(1, size_bytes // STORED_BLOCK_BYTES)
    return max(_STAMP_BYTES, size_bytes - around - blocks * BLOCK_HEAD_BYTES)


def bake(recipe: Recipe) -> Baked:
    """The recipe's digest, size and CRC, from one pass over its bytes."""
    prefix = _tar_prefix(recipe)
    head = _deflated_head(prefix)
    filler = Filler(recipe.content_seed, recipe.filler_bytes)
    digest = hashlib.sha256(head)
    crc = zlib.crc32(prefix)
    for unit in range(filler.units):
        raw = filler.raw(unit)
        crc = zlib.crc32(raw, crc)
        digest.update(pack(raw))
    crc = zlib.crc32(bytes(_closing_zeros(filler.length)), crc)
    tail = _tail(len(prefix), filler.length, crc)
    digest.update(tail)
    size = len(head) + filler.packed_length + len(tail)
    return Baked(recipe, digest.hexdigest(), size, crc)


def open_blob(baked: Baked) -> Blob:
    """The archive itself, ready to be read."""
    prefix = _tar_prefix(baked.recipe)
    filler = Filler(baked.recipe.content_seed, baked.recipe.filler_bytes)
    return Blob(_deflated_head(prefix), filler, _tail(len(prefix), filler.length, baked.crc))


@cache
def _pool() -> bytes:
    """Two units of random bytes: a filler takes one unit out of it, at an offset its seed decides."""
    return hashlib.shake_128(b"brew_assets.simulator").digest(2 * UNIT_BYTES)


def pack(raw: bytes) -> bytes:
    """The same bytes as stored deflate blocks, none of them final."""
    view = memoryview(raw)
    parts: list[bytes | memoryview] = []
    for at in range(0, len(raw), STORED_BLOCK_BYTES):
        block = view[at : at + STORED_BLOCK_BYTES]
        parts += (struct.pack("<BHH", 0, len(block), len(block) ^ 0xFFFF), block)
    return b"".join(parts)


def _deflated_head(prefix: bytes) -> bytes:
    # A small window and hash table: setting up zlib's default ones takes longer than deflating 5 KB.
    squeeze = zlib.compressobj(1, zlib.DEFLATED, -13, 5)
    return _GZIP_HEAD + squeeze.compress(prefix) + squeeze.flush(zlib.Z_SYNC_FLUSH)


def _closing_zeros(filler_bytes: int) -> int:
    """Padding of the last member to 512 bytes, and the two empty blocks that end a tar."""
    return -filler_bytes % 512 + 1024


@lru_cache(maxsize=512)
def _deflated_zeros(count: int) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return squeeze.compress(bytes(count)) + squeeze.flush()


def _tail(prefix_bytes: int, filler_bytes: int, crc: int) -> bytes:
    zeros = _closing_zeros(filler_bytes)
    tar_bytes = prefix_bytes + filler_bytes + zeros
    return _deflated_zeros(zeros) + struct.pack("<II", crc, tar_bytes & 0xFFFFFFFF)


def _tar_prefix(recipe: Recipe) -> bytes:
    """Every member of the bottle up to the filler's header.

    Each file lies at a path with the formula's name in it: bottles install beside each other.
    """
    name = recipe.formula
    keg = f"{name}/{recipe.pkg_version}"
    receipt = json.dumps(
        {
            "homebrew_version": HOMEBREW_VERSION,
            "built_as_bottle": True,
            "poured_from_bottle": True,
            "runtime_dependencies": [],
            "source": {"spec": "stable", "tap": "homebrew/core", "versions": {"stable": recipe.pkg_version}},
        }
    ).encode()
    ruby = f'class Simulated < Formula\n  desc "{name}"\n  homepage "https://example.invalid/{name}"\nend\n'
    script = f'#!/bin/sh\necho "{name} {recipe.pkg_version}"\n'
    return b"".join(
        (
            tar_header(f"{keg}/", 0, 0o755, b"5"),
            _member(f"{keg}/INSTALL_RECEIPT.json", receipt, 0o644),
            _member(f"{keg}/.brew/{name}.rb", ruby.encode(), 0o444),
            _member(f"{keg}/bin/{name}", script.encode(), 0o555),
            tar_header(f"{keg}/share/{name}/filler.bin", recipe.filler_bytes, 0o444, b"0"),
        )
    )


def _member(path: str, content: bytes, mode: int) -> bytes:
    return tar_header(path, len(content), mode, b"0") + content + bytes(-len(content) % 512)


def tar_header(path: str, size: int, mode: int, kind: bytes) -> bytes:
    """One ustar header; tarfile writes the same an order of magnitude slower.

    Raises:
        ValueError: the path or the size does not fit.
    """
    name, prefix = path.encode(), b""
    if len(name) > 100:
        cut = name.rindex(b"/", 0, len(name) - 1)
        prefix, name = name[:cut], name[cut + 1 :]
    if len(name) > 100 or len(prefix) > 155 or size > LARGEST_FILLER_BYTES:
        raise ValueError(f"{path!r} of {size} bytes does not fit a ustar header")
    fields = (b"%07o\0" % mode, b"0000000\0", b"0000000\0", b"%011o\0" % size, _TAR_TIME)
    rest = (kind, b"", b"ustar\x0000", b"", b"", b"", b"", prefix)
    checksum = sum(_TAR_HEAD.pack(name, *fields, b" " * 8, *rest))
    return _TAR_HEAD.pack(name, *fields, b"%06o\0 " % checksum, *rest)
