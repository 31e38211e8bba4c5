"""What upstream may serve as the index of a bottle, and what never is served on."""

import json
from collections.abc import Callable
from typing import Any

from brew_assets.domain.oci import MAX_INDEX_BYTES
from brew_assets.simulator import SimulatedBottle, World


def spoilt(world: World, bottle: SimulatedBottle, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The index of the bottle with one annotation of its entry changed."""
    document = json.loads(world.index_json(bottle.image, bottle.reference) or b"")
    for entry in document["manifests"]:
        if entry["annotations"]["org.opencontainers.image.ref.name"] == bottle.ref_name:
            change(entry["annotations"])
    return json.dumps(document).encode()


def _huge(world: World, bottle: SimulatedBottle) -> bytes:
    data = world.index_json(bottle.image, bottle.reference) or b""
    return data + b" " * (MAX_INDEX_BYTES - len(data))


# Each makes the index of a bottle one with which brew cannot install it.
BAD: dict[str, Callable[[World, SimulatedBottle], bytes]] = {
    "no digest": lambda world, b: spoilt(world, b, lambda a: a.pop("sh.brew.bottle.digest")),
    "wrong digest": lambda world, b: spoilt(
        world, b, lambda a: a.update({"sh.brew.bottle.digest": "0" * 64})
    ),
    "no ref name": lambda world, b: spoilt(world, b, lambda a: a.pop("org.opencontainers.image.ref.name")),
    "wrong ref name": lambda world, b: spoilt(
        world, b, lambda a: a.update({"org.opencontainers.image.ref.name": f"{b.ref_name}.1"})
    ),
    "no tab": lambda world, b: spoilt(world, b, lambda a: a.pop("sh.brew.tab")),
    "a tab that is a list": lambda world, b: spoilt(world, b, lambda a: a.update({"sh.brew.tab": "[]"})),
    "a tab that is cut": lambda world, b: spoilt(world, b, lambda a: a.update({"sh.brew.tab": '{"a":'})),
    "4 MiB": _huge,
    "more than 4 MiB": lambda world, b: _huge(world, b) + b"  ",
    "a page": lambda world, b: b"<!DOCTYPE html><html><body>Please sign in.</body></html>",
    "half of it": lambda world, b: (world.index_json(b.image, b.reference) or b"")[:-20],
    "another document": lambda world, b: b'{"schemaVersion":2}',
}
# In these the entries of other tags are whole.
OF_ONE_ENTRY = frozenset(list(BAD)[:7])
