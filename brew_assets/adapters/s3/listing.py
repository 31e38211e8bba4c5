"""Listings of a bucket: what one page says, and that the pages come to an end."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, unquote_plus

from brew_assets.engine.ports import ListedObject
from brew_assets.errors import StoreUnavailable

# 250 times the bottles of all three default platforms under one prefix.
MOST_OBJECTS = 5_000_000
# As many, where a server puts no more than 500 into a page.
MOST_PAGES = 10_000
# Servers may send pages without an object, for example where they look through deleted ones.
MOST_EMPTY_PAGES = 1_000

_MOST_TOKEN_CHARACTERS = 16_384
_TOO_LARGE = 10**18


class Page(NamedTuple):
    """One page of a listing; `token` leads to the next one, "" at the end."""

    objects: list[ListedObject]
    folders: list[str]
    token: str


class NoListing(Exception):
    """What was found in the place of a listing."""


def page_of(answer: Mapping[str, Any], *, prefix: str) -> Page:
    """The page that list_objects_v2 answered; keys that are no UTF-8 have surrogates for their odd bytes.

    Raises:
        NoListing: a key or size is none, or the next page is promised and not named.
    """
    contents = answer.get("Contents", ())
    plain = _plain(answer, [str(item.get("Key", "")) for item in contents])
    objects = [_listed(item, plain, prefix) for item in contents]
    folders = [
        _below(plain(str(item.get("Prefix", ""))), prefix) for item in answer.get("CommonPrefixes", ())
    ]
    if not answer.get("IsTruncated"):
        return Page(objects, folders, "")
    token = str(answer.get("NextContinuationToken", "")).strip()
    if not 0 < len(token) <= _MOST_TOKEN_CHARACTERS:
        raise NoListing(f"a token of {len(token):,} characters for the next page")
    return Page(objects, folders, token)


def _plain(answer: Mapping[str, Any], keys: list[str]) -> Callable[[str], str]:
    """How keys are written: keys may hold what XML cannot."""
    # A server that does not know the parameter sends them as they are.
    if str(answer.get("EncodingType", "")).strip() != "url":
        return str
    # Some send "+" for a space, and then "%2B" for a plus, of which Homebrew's names have many. Others
    # send "%20", and leave a plus as it is.
    decode = unquote_plus if any("%2B" in key.upper() for key in keys) else unquote
    return lambda text: decode(text, errors="surrogateescape")


def _listed(item: Mapping[str, Any], plain: Callable[[str], str], prefix: str) -> ListedObject:
    key, size = _below(plain(str(item.get("Key", ""))), prefix), item.get("Size")
    if not isinstance(size, int) or not 0 <= size < _TOO_LARGE:
        raise NoListing(f"the size {str(size)[:40]!r} of {key[:200]!r}")
    return ListedObject(key, size)


def _below(key: str, prefix: str) -> str:
    if not key or not key.startswith(prefix):
        raise NoListing(f"the key {key[:200]!r}, which does not begin so")
    return key


def pages_to_the_end(prefix: str, page_after: Callable[[str], Page]) -> Iterator[Page]:
    """All pages, each without what the page before it had already. `page_after` gets the token of a page.

    Pages need not be in the order of keys: some servers know none.

    Raises:
        StoreUnavailable: the listing does not come to an end.
    """
    # Nothing is taken for granted of the server, since a listing that goes round would hold a sync for ever:
    # some know no order, repeat their last keys on the next page, or name a token that leads back. A page
    # without a new name beside the one before it, a whole page that came earlier, or a token seen twice is a
    # circle. Names are kept of one page only, for the repeated keys; of all earlier pages and tokens 16 bytes
    # each.
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
