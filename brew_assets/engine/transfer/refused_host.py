"""Bottles that the registry keeps with a host that is not allowed: all of them, or one among good ones.

One may be somebody's attempt to lead us astray, and is one failed bottle. All of them are a registry that has
moved its bottles, or a setting that is wrong: asking for thousands would only say so thousands of times.
"""

import re
import threading
from collections.abc import Iterable

from brew_assets.domain.manifest import Manifest
from brew_assets.domain.report import cause_of
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.ports import Blobs, StopSignal
from brew_assets.engine.record.forget import has_something
from brew_assets.errors import HostRefused, MirrorError

# So many different bottles, and none that could be had between them.
REFUSALS_IN_A_ROW = 20
_NO_BOTTLE = "no bottle can be had, the registry keeps them at a host that is not allowed: "
# A cause of HostRefused: the address, what is allowed and the setting as it is now, the host to add to it.
_CAUSE = re.compile(r"refuses to contact (\S+)(;.*BOTTLE_CDN_HOSTS=(?:\S*,)?)([^,\s]+)")
_LISTED = 20


class HostVerdict:
    """Judges the hosts to which one transfer was led. Used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._causes: set[str] = set()
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
            self._causes.clear()

    def condemns(self, error: MirrorError) -> str:
        """Why no further bottle is worth asking for; empty when some may be."""
        if not isinstance(error, HostRefused):
            return ""
        with self._lock:
            self._in_a_row += 1
            self._causes.add(error.cause)
            return _NO_BOTTLE + joined(self._causes) if self._in_a_row >= REFUSALS_IN_A_ROW else ""


def joined(causes: Iterable[str]) -> str:
    """The causes as one: the first hosts, and the setting that would allow them all."""
    first = sorted(set(causes))[:_LISTED]
    found = [match for cause in first if (match := _CAUSE.fullmatch(cause))]
    settings = {match[2] for match in found}
    if len(first) == 1 or len(found) < len(first) or len(settings) > 1:
        return "; ".join(first)
    addresses, hosts = (", ".join(match[1] for match in found), ",".join(match[3] for match in found))
    return f"refuses to contact {addresses}{settings.pop()}{hosts}"


def all_lead_elsewhere(result: TransferResult, blobs: Blobs, stop: StopSignal, manifest: Manifest) -> str:
    """Why nothing of what a run was to fetch could be had: all of it lies with refused hosts.

    Empty where something could, or can: a bottle of the manifest is looked for too.
    """
    refused = [failure for failure in result.failed if failure.reason == HostRefused.reason]
    causes = {cause_of(failure) for failure in refused}
    if result.downloaded or not causes or len(refused) < len(result.failed) or stop.is_set():
        return ""
    return "" if has_something(blobs, manifest) else _NO_BOTTLE + joined(causes)
