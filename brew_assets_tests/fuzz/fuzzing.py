"""How many examples there are, where they come from, and what holds for whatever a decoder lets in."""

import os
from collections.abc import Callable
from random import Random
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from brew_assets.domain.bottle import Bottle, is_digest, is_formula_name, is_pkg_version, is_tag
from brew_assets.domain.object_keys import is_object_key, parse_key

# Of each decoder. In CI they are the same ones on every machine; a campaign draws others each time.
IN_CI = 2_000
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", IN_CI))

# What the longest of our sentences have; they quote only a little of what they refuse.
MOST_CHARACTERS = 2_000
# Stands in documents where a secret would; no error may show it.
HIDDEN = "hush-hush"

_T = TypeVar("_T")


def fuzzed(test: Callable[[Random], None]) -> Callable[[], None]:
    """The test, called with EXAMPLES sources of accidents; the seed of one that fails is printed."""

    @settings(
        max_examples=EXAMPLES,
        derandomize=EXAMPLES == IN_CI,
        deadline=None,
        database=None,
        print_blob=EXAMPLES != IN_CI,
    )
    @given(seed=st.integers(0, 2**64 - 1))
    def example(seed: int) -> None:
        test(Random(seed))

    example.__name__, example.__doc__, example.__module__ = test.__name__, test.__doc__, test.__module__
    return example


def decoded(decode: Callable[[], _T], refuses: type[Exception], data: object) -> _T | None:
    """What comes out, None when it is refused in one short line; any other exception is a fault."""
    try:
        return decode()
    except Exception as error:
        # Not `refuses` alone: UnicodeError is a ValueError, and no sentence of ours.
        if type(error) is refuses and 0 < len(str(error)) < MOST_CHARACTERS and HIDDEN not in str(error):
            return None
        error.add_note(f"given: {data!r:.4000}")
        raise


def assert_sound(bottle: Bottle, date: str) -> None:
    """Returns when the bottle cannot lead anywhere but to its own key and address."""
    assert is_formula_name(bottle.formula)
    assert is_pkg_version(bottle.pkg_version)
    assert is_tag(bottle.tag)
    assert is_digest(bottle.digest)
    assert 0 <= bottle.rebuild <= 100_000
    assert bottle.url.endswith(f"/blobs/sha256:{bottle.digest}")
    assert is_object_key(bottle.key(date))
    assert parse_key(bottle.key(date)) == (date, bottle.filename)
    assert len(bottle.filename.encode()) <= 255 + 128
