"""What somebody may have meant by a name that there is not."""

import difflib
import re
from collections.abc import Collection

_BETWEEN = re.compile(r"[\s,;|]+")


def suggest(name: str, known: Collection[str]) -> tuple[str, ...]:
    """The known names that were written as one, else the one that is most like it; none without a likeness.

    The size of letters is no difference.
    """
    in_small = {one.lower(): one for one in known}
    written = name.strip().lower()
    parts = [part for part in _BETWEEN.split(written) if part]
    if parts and all(part in in_small for part in parts):
        return tuple(dict.fromkeys(in_small[part] for part in parts))
    # A list of which one part is wrong is like none of its parts.
    close = [] if len(parts) > 1 else difflib.get_close_matches(written, in_small, n=1)
    return tuple(in_small[one] for one in close)


def question(suggested: Collection[str]) -> str:
    """The suggestion as a question; "" without one."""
    if not suggested:
        return ""
    each = "each by itself: " if len(suggested) > 1 else ""
    return f"did you mean {each}{', '.join(suggested)}?"
