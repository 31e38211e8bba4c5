"""Objects of others beside ours: passed over, counted, and named once in the log."""

import logging
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from brew_assets.engine.ports import ListedObject, Store

_NAMED = 3
_NAMED_CHARACTERS = 120

_log = logging.getLogger(__name__)

# Of each store what was said: a folder may be listed twice a second.
_said: "weakref.WeakKeyDictionary[Any, set[tuple[str, str]]]" = weakref.WeakKeyDictionary()


class ForeignObjects:
    """What one listing passes over."""

    def __init__(self, store: object, prefix: str, *, why: str) -> None:
        self._store = store
        self._prefix = prefix
        self._why = why
        self.count = 0
        self._first: list[str] = []

    def add(self, key: str) -> None:
        """One more object is passed over."""
        self.count += 1
        if len(self._first) < _NAMED:
            self._first.append(ascii(key[:_NAMED_CHARACTERS]))

    def log(self) -> None:
        """The log says how many there were and which first; once for every store and prefix."""
        said = _said.setdefault(self._store, set())
        if not self.count or (self._prefix, self._why) in said:
            return
        said.add((self._prefix, self._why))
        _log.warning(
            f"ignored: {self._why}",
            extra={"prefix": self._prefix, "objects": self.count, "first": ", ".join(self._first)},
        )


def own_listing(
    store: Store,
    prefix: str,
    is_own_name: Callable[[str], bool],
    *,
    besides: Callable[[str], bool] = lambda name: False,
) -> Iterator[ListedObject]:
    """The objects below the prefix whose names the mirror gives there.

    Names for which `besides` is true are the mirror's too, and of another kind: passed over without a word.

    Raises:
        StoreError: the store cannot be listed.
    """
    foreign = ForeignObjects(store, prefix, why="objects that the mirror has not made")
    for listed in store.listing(prefix):
        name = listed.key[len(prefix) :]
        if is_own_name(name):
            yield listed
        elif not besides(name):
            foreign.add(listed.key)
    foreign.log()
