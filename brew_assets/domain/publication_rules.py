"""Whether a publication may become current: what it must have, and which of two goes before the other."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from brew_assets.domain.publication import Lacking, Pointer, Publication

PublishMode = Literal["strict", "best_effort", "off"]
MOST_NAMED = 20


class PublicationRules(msgspec.Struct, frozen=True, kw_only=True):
    """When a publication becomes current (PUBLISH), and how many bottles may lack in a strict one.

    `max_upstream` may lack because upstream itself cannot serve them, `max_missing` for whatever reason.
    """

    mode: PublishMode = "strict"
    max_upstream: int = 50
    max_missing: int = 0


def why_not_whole(lacking: Sequence[Lacking], rules: PublicationRules) -> str:
    """Why the rules keep a publication with these gaps from becoming current; empty when they do not."""
    if rules.mode != "strict":
        return ""
    upstream = sum(one.fault == "upstream" for one in lacking)
    # What upstream lacks beyond the bound is no longer one formula's bad luck, but a sign of trouble there.
    missing = len(lacking) - min(upstream, rules.max_upstream)
    if missing <= rules.max_missing:
        return ""
    return (
        f"{len(lacking):,} bottles that the API names to clients are not servable, {upstream:,} of them "
        f"because upstream cannot serve them; expected at most {rules.max_missing:,} (PUBLISH_MAX_MISSING) "
        f"and {rules.max_upstream:,} by upstream's fault (PUBLISH_MAX_UPSTREAM)"
    )


def named(lacking: Sequence[Lacking]) -> list[str]:
    """The first of what lacks, one in a line."""
    ordered = in_order(lacking)
    lines = [f"{one.name} ({one.tag}): {one.reason}" for one in ordered[:MOST_NAMED]]
    left = len(ordered) - len(lines)
    return [*lines, f"and {left:,} more"] if left else lines


def in_order(lacking: Sequence[Lacking]) -> list[Lacking]:
    """What lacks: what this mirror could have comes before what upstream cannot serve."""
    return sorted(lacking, key=lambda one: (one.fault == "upstream", one.name, one.tag))


def goes_before(current: Pointer, found: Publication) -> bool:
    """Whether the current publication is the newer one, so that `found` stands down.

    By the generation of their API files, and then by their ids, which are ordered by time.
    """
    mine = (found.generated_at, found.publication_id)
    return (current.generated_at, current.publication_id) > mine
