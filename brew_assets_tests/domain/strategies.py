"""What hypothesis draws: names and versions of every allowed shape, and whole catalogues."""

import string
from typing import Any

from hypothesis import strategies as st

from brew_assets.domain.bottle import Bottle
from brew_assets.domain.platforms import KNOWN_PLATFORMS
from brew_assets_tests.worlds import bottle, formula

_LETTERS = string.ascii_letters + string.digits


def _no_double_dots(text: str) -> bool:
    return ".." not in text


FORMULA_NAMES = st.builds(
    str.__add__, st.sampled_from(_LETTERS), st.text(_LETTERS + "@+._-", max_size=20)
).filter(_no_double_dots)
VERSIONS = st.builds(
    str.__add__, st.sampled_from(_LETTERS), st.text(_LETTERS + "+._,:~-", max_size=20)
).filter(_no_double_dots)
TAGS = st.one_of(
    st.sampled_from((*KNOWN_PLATFORMS, "all", "bottle", "tar", "gz")),
    st.builds(
        str.__add__,
        st.sampled_from(string.ascii_lowercase),
        st.text(string.ascii_lowercase + "_09", max_size=9),
    ),
)
REBUILDS = st.one_of(st.just(0), st.integers(0, 99_999))
CONTENTS = st.sampled_from([f"content {number}" for number in range(12)])
BOTTLES: st.SearchStrategy[Bottle] = st.builds(
    bottle, FORMULA_NAMES, VERSIONS, TAGS, rebuild=REBUILDS, content=st.none() | CONTENTS
)

# Few platforms and few contents, so that digests are shared and old tags serve new platforms.
SOME_PLATFORMS = ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma", "tahoe", "sonoma", "x86_64_linux")
PLATFORM_SETS = st.lists(st.sampled_from(SOME_PLATFORMS), min_size=1, max_size=4, unique=True)


@st.composite
def formulae(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Entries of a catalogue in which no two names meet; tags of one formula may share bytes.

    The first one serves every platform.
    """
    made = []
    for number in range(draw(st.integers(1, 7))):
        every = st.just(["all"])
        others = st.lists(st.sampled_from(SOME_PLATFORMS), unique=True)
        tags = draw(st.one_of(every, others) if number else every)
        contents = {tag: f"{number}/{draw(st.sampled_from(('one', 'two', tag)))}" for tag in tags}
        made.append(
            formula(
                f"f{number}",
                draw(st.sampled_from(("1.0", "2.0-r3", "2026-08-13"))),
                tags=contents,
                revision=draw(st.sampled_from((0, 0, 3))),
                rebuild=draw(st.sampled_from((0, 0, 2))),
                disabled=draw(st.sampled_from((False, False, True))),
            )
        )
    return made
