"""Listings of a bucket: what one page says, and that the pages come to an end.

A page is read by expat piece by piece, without a tree: its memory is that of its keys.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus
from xml.parsers import expat

from brew_assets.engine.ports import ListedObject
from brew_assets.errors import StoreUnavailable

# 250 times the bottles of all three default platforms under one prefix.
MOST_OBJECTS = 5_000_000
# As many, where a server puts no more than 500 into a page.
MOST_PAGES = 10_000
# Servers may send pages without an object, for example where they look through deleted ones.
MOST_EMPTY_PAGES = 1_000

_ROOT = "ListBucketResult"
_DEPTH = 16
_MOST_TOKEN_CHARACTERS = 16_384
_LARGEST_SIZE_DIGITS = 18
_OF_THE_PAGE = frozenset({"EncodingType", "IsTruncated", "NextContinuationToken"})
_OF_AN_OBJECT = frozenset({"Key", "Size", "Prefix"})


class Page(NamedTuple):
    """One page of a listing; `token` leads to the next one, "" at the end."""

    objects: list[ListedObject]
    folders: list[str]
    token: str


class _NoListing(Exception):
    """What was found in the place of a listing."""


def decode_page(data: bytes, *, prefix: str) -> Page:
    """The page; keys that are no UTF-8 have surrogates in the place of their odd bytes.

    Raises:
        StoreUnavailable: it is none. Never an empty listing for one that cannot be read.
    """
    reader = _Reader()
    try:
        reader.read(data)
        return reader.page(prefix)
    except (_NoListing, expat.ExpatError, ValueError, LookupError) as exc:
        raise StoreUnavailable(f"listing of {prefix!r}: expected a listing, found {exc}") from exc


class _Reader:
    """Collects what a page says while expat reads it."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._text: list[str] = []
        self._fields: dict[str, str] = {}
        self._item: dict[str, str] = {}
        self._objects: list[dict[str, str]] = []
        self._folders: list[str] = []
        # A page may not name another encoding: that would look for a codec.
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text.append
        self._parser.StartDoctypeDeclHandler = self._refuse_definitions

    def read(self, data: bytes) -> None:
        self._parser.Parse(data, True)

    def _refuse_definitions(self, *_: object) -> None:
        # No S3 server sends one, and its entities may grow without bound.
        raise _NoListing("a document type definition")

    def _start(self, name: str, _: object) -> None:
        local = name.rpartition(":")[2]
        if not self._path and local != _ROOT:
            raise _NoListing(f"a document of {local[:80]!r}")
        self._path.append(local)
        if len(self._path) > _DEPTH:
            raise _NoListing(f"elements nested deeper than {_DEPTH}")
        if len(self._path) == 2:
            self._item = {}
        self._text.clear()

    def _end(self, _: str) -> None:
        local, text = self._path.pop(), "".join(self._text)
        self._text.clear()
        if len(self._path) == 2 and local in _OF_AN_OBJECT:
            self._item.setdefault(local, text)
        elif len(self._path) != 1:
            return
        elif local == "Contents":
            self._objects.append(self._item)
        elif local == "CommonPrefixes":
            self._folders.append(self._item.get("Prefix", ""))
        elif local in _OF_THE_PAGE:
            self._fields.setdefault(local, text.strip())

    def page(self, prefix: str) -> Page:
        """What was read, checked."""
        plain = self._plain()
        objects = [_listed(item, plain, prefix) for item in self._objects]
        folders = [_below(plain(folder), prefix) for folder in self._folders]
        if self._fields.get("IsTruncated", "").lower() != "true":
            return Page(objects, folders, "")
        token = self._fields.get("NextContinuationToken", "")
        if not 0 < len(token) <= _MOST_TOKEN_CHARACTERS:
            raise _NoListing(f"a token of {len(token):,} characters for the next page")
        return Page(objects, folders, token)

    def _plain(self) -> Callable[[str], str]:
        """How keys are written: keys may hold what XML cannot."""
        # A server that does not know the parameter sends them as they are.
        if self._fields.get("EncodingType", "") != "url":
            return str
        # Some send "+" for a space, and then "%2B" for a plus, of which Homebrew's names have many. Others
        # send "%20", and leave a plus as it is.
        pluses = any("%2B" in item.get("Key", "").upper() for item in self._objects)
        decode = unquote_plus if pluses else unquote
        return lambda text: decode(text, errors="surrogateescape")


def _listed(item: dict[str, str], plain: Callable[[str], str], prefix: str) -> ListedObject:
    key, size = _below(plain(item.get("Key", "")), prefix), item.get("Size", "").strip()
    if not (size.isascii() and size.isdigit() and len(size) <= _LARGEST_SIZE_DIGITS):
        raise _NoListing(f"the size {size[:40]!r} of {key[:200]!r}")
    return ListedObject(key, int(size))


def _below(key: str, prefix: str) -> str:
    if not key or not key.startswith(prefix):
        raise _NoListing(f"the key {key[:200]!r}, which does not begin so")
    return key


def pages_to_the_end(prefix: str, page_after: Callable[[str], Page]) -> Iterator[Page]:
    """All pages, each without what the page before it had already. `page_after` gets the token of a page.

    Pages need not be in the order of keys: some servers know none.

    Raises:
        StoreUnavailable: the listing does not come to an end.
    """
    tokens: set[bytes] = set()
    seen: set[bytes] = set()
    before: set[str] = set()
    objects = empty = 0
    token = ""
    for _ in range(MOST_PAGES):
        page = page_after(token)
        names = {*(listed.key for listed in page.objects), *page.folders}
        empty = 0 if names else empty + 1
        objects += len(names)
        if names and (names <= before or _is_known(seen, *sorted(names))):
            raise _endless(prefix, "a page that came before")
        if page.token and _is_known(tokens, page.token):
            raise _endless(prefix, f"the token {page.token[:80]!r} twice")
        if empty > MOST_EMPTY_PAGES:
            raise _endless(prefix, f"{empty:,} pages without an object")
        if objects > MOST_OBJECTS:
            raise _endless(prefix, f"more than {MOST_OBJECTS:,} objects")
        yield page._replace(objects=[listed for listed in page.objects if listed.key not in before])
        if not page.token:
            return
        before, token = names, page.token
    raise _endless(prefix, f"more than {MOST_PAGES:,} pages")


def _is_known(known: set[bytes], *texts: str) -> bool:
    """Whether the texts were seen before; from now on they are."""
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    if digest.digest() in known:
        return True
    known.add(digest.digest())
    return False


def _endless(prefix: str, found: str) -> StoreUnavailable:
    return StoreUnavailable(f"listing of {prefix!r}: expected an end, found {found}")
