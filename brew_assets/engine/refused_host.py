"""Bottles that the registry keeps with a host that is not allowed: all of them, or one among good ones.

One may be somebody's attempt to lead us astray, and is one failed bottle. All of them are a registry that has
moved its bottles, or a setting that is wrong: asking for thousands would only say so thousands of times.
"""

import threading

from brew_assets.domain.manifest import Manifest
from brew_assets.domain.report import cause_of
from brew_assets.engine.forget import has_something
from brew_assets.engine.ports import Blobs, StopSignal
from brew_assets.engine.transferred import Transferred
from brew_assets.errors import HostRefused, MirrorError

# So many different bottles, and none that could be had between them.
REFUSALS_IN_A_ROW = 20
_NO_BOTTLE = "no bottle can be had, the registry keeps them at a host that is not allowed: "


class HostVerdict:
    """Judges the hosts to which one transfer was led. Used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cause = ""
        self._in_a_row = 0
        self._said: set[str] = set()

    def is_news(self, error: MirrorError) -> bool:
        """Whether the log does not have it yet; of one refused host it has one line."""
        if not isinstance(error, HostRefused):
            return True
        with self._lock:
            is_news = error.cause not in self._said
            self._said.add(error.cause)
            return is_news

    def bottle_given(self) -> None:
        """A bottle came from where it may."""
        with self._lock:
            self._in_a_row = 0

    def condemns(self, error: MirrorError) -> str:
        """Why no further bottle is worth asking for; empty when some may be."""
        if not isinstance(error, HostRefused):
            return ""
        with self._lock:
            self._in_a_row = self._in_a_row + 1 if error.cause == self._cause else 1
            self._cause = error.cause
            return _NO_BOTTLE + error.cause if self._in_a_row >= REFUSALS_IN_A_ROW else ""


def all_lead_elsewhere(tally: Transferred, blobs: Blobs, stop: StopSignal, manifest: Manifest) -> str:
    """Why nothing of what a run was to fetch could be had: all of it lies with the same refused host.

    Empty where something could, or can: a bottle of the manifest is looked for too.
    """
    refused = [failure for failure in tally.failed if failure.reason == HostRefused.reason]
    causes = {cause_of(failure) for failure in refused}
    if tally.downloaded or len(causes) != 1 or len(refused) < len(tally.failed) or stop.is_set():
        return ""
    return "" if has_something(blobs, manifest) else _NO_BOTTLE + causes.pop()
