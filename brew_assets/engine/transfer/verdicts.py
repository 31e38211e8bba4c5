"""Whether what refuses a bottle refuses all of them: the store, the registry, or its hosts.

Each judge belongs to one transfer and is used by several threads.
"""

import heapq
import logging
import re
import threading
from collections.abc import Iterable

from brew_assets.domain.manifest import Manifest, bottle_of
from brew_assets.domain.report import cause_of
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.ports import Blobs, Ports, Store
from brew_assets.errors import (
    BlobNotFound,
    HostRefused,
    MirrorError,
    ObjectRefused,
    RegistryRefused,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    StoreUnsupported,
    UpstreamRefused,
    UpstreamUnauthorized,
)

# Overwritten, never deleted: some may write and not delete.
CANARY_KEY = "state/canary"
_CANARY = b"Written when the store refuses bottles, to see whether it refuses everything.\n"
# So many different bottles in a row; fewer would be one formula that a policy names, or one bad address.
REFUSALS_IN_A_ROW = 20
# A full store may still take what is as small as the canary.
REFUSALS_WHEN_FULL = 3
# What another try of the same bottle would not change.
_REFUSALS = (BlobNotFound, UpstreamRefused, UpstreamUnauthorized)
_NO_BOTTLE = "no bottle can be had, the registry keeps them at a host that is not allowed: "
# A cause of HostRefused: the address, what is allowed and the setting as it is now, the host to add to it.
_CAUSE = re.compile(r"refuses to contact (\S+)(;.*BOTTLE_CDN_HOSTS=(?:\S*,)?)([^,\s]+)")
_LISTED = 20
# Of the newest bottles that are held the registry has to have one; where none is held, one of as many others.
_KNOWN_BOTTLES = 3

_log = logging.getLogger(__name__)


class Canary:
    """Whether a store that refuses bottles refuses everything: a small object under one key decides.

    A refusal may be about one bottle (no permission for its key, too large) or about the store (the bucket is
    gone). Ending a run for the first would stop the mirror for ever at the same bottle; going on after the
    second would download everything in vain.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._since_full: int | None = None
        self._has_taken = False
        self._last: StoreError | None = None

    def bottle_taken(self) -> None:
        """The store has taken a bottle: what it refused before was no more than that."""
        if self._has_taken and not self._in_a_row:
            return  # as after nearly every bottle: no lock for it
        with self._lock:
            self._in_a_row, self._since_full, self._has_taken = 0, None, True

    def judge_at_the_end(self) -> StoreError | None:
        """The last refusal, where the store has taken no bottle at all and refuses the canary too."""
        with self._lock:
            if self._last is None or self._has_taken or not self._refuses_the_canary():
                return None
            return self._last

    def condemns(self, error: StoreError) -> bool:
        """Whether the store, which has refused one more bottle with `error`, refuses everything.

        Refusals that speak for the whole store, and every twentieth in a row, are put to the test. What may
        pass, and an object that stands there already, is no refusal.
        """
        # A refusal of the store is put to the test at once. One of an object (too large, a policy for its
        # name) is most likely just that, so only a long row of them is worth a write. A full store may take
        # the canary where no bottle fits any more: after its first refusal a few more in a row are enough,
        # whatever becomes of the canary.
        if not isinstance(error, StoreRefused | StoreUnsupported | ObjectRefused):
            return False
        with self._lock:
            self._in_a_row += 1
            self._last = error
            if self._since_full is not None:
                self._since_full += 1
                if self._since_full >= REFUSALS_WHEN_FULL:
                    return True
            if isinstance(error, ObjectRefused) and self._in_a_row % REFUSALS_IN_A_ROW:
                return False
            if self._refuses_the_canary():
                return True
            if isinstance(error, StoreFull) and self._since_full is None:
                self._since_full = 0
            return False

    def _refuses_the_canary(self) -> bool:
        try:
            self._store.write(CANARY_KEY, _CANARY)
        except StoreUnavailable:
            return False
        except StoreError as error:
            _log.error("the store refuses everything", extra={"key": CANARY_KEY, "error": str(error)})
            return True
        return False


class RegistryVerdict:
    """Whether a registry that refuses bottles refuses everything: then a setting is wrong, no bottle is gone.

    A registry's 404 may be about one bottle, which upstream has taken away, or about all of them: a path that
    leads to no cache. So may its 401 and 403. Going on after the second would ask for thousands in vain, and
    say of each that it is gone.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._lock = threading.Lock()
        self._has_given = False
        self._refused = self._missing = 0

    def bottle_given(self) -> None:
        """The registry has given a bottle: what it lacks is no more than that."""
        self._has_given = True

    def condemns(self, error: MirrorError) -> str:
        """Why the registry, which has refused one more, gives none; empty where it may give others."""
        if isinstance(error, RegistryRefused):
            return str(error)
        if self._has_given or not isinstance(error, _REFUSALS):
            return ""
        with self._lock:
            self._refused += 1
            self._missing += isinstance(error, BlobNotFound)
            if self._refused < REFUSALS_IN_A_ROW:
                return ""
            if self._missing == self._refused:
                return _has_none(self._blobs, self._missing)
            return (
                f"the registry at {self._blobs.url} has refused all of the {self._refused:,} bottles that it "
                f"was asked for, the last with: {error}"
            )


class HostVerdict:
    """Whether the registry keeps all bottles with hosts that are not allowed, or one among good ones.

    One may be somebody's attempt to lead us astray, and is one failed bottle. All of them are a registry that
    has moved its bottles, or a setting that is wrong: asking for thousands would only say so thousands of
    times.
    """

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
        if self._in_a_row:
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
            return _NO_BOTTLE + _joined(self._causes) if self._in_a_row >= REFUSALS_IN_A_ROW else ""


def _joined(causes: Iterable[str]) -> str:
    """The causes as one: the first hosts, and the setting that would allow them all."""
    first = sorted(set(causes))[:_LISTED]
    found = [match for cause in first if (match := _CAUSE.fullmatch(cause))]
    settings = {match[2] for match in found}
    if len(first) == 1 or len(found) < len(first) or len(settings) > 1:
        return "; ".join(first)
    addresses, hosts = (", ".join(match[1] for match in found), ",".join(match[3] for match in found))
    return f"refuses to contact {addresses}{settings.pop()}{hosts}"


def lacks_everything(result: TransferResult, ports: Ports, manifest: Manifest) -> str:
    """Why all that a run was to fetch was not found: the registry has nothing that it should have.

    Empty where it has, or where a bottle failed for another reason.
    """
    missing = {f.digest for f in result.failed if f.reason == BlobNotFound.reason}
    if result.downloaded or not missing or len(missing) < len({f.digest for f in result.failed}):
        return ""
    known = min(_KNOWN_BOTTLES, len(manifest))
    if ports.stop.is_set() or (not known and len(missing) < _KNOWN_BOTTLES):
        return ""
    return "" if has_something(ports.blobs, manifest) else _has_none(ports.blobs, len(missing) + known)


def all_lead_elsewhere(result: TransferResult, ports: Ports, manifest: Manifest) -> str:
    """Why nothing of what a run was to fetch could be had: all of it lies with refused hosts.

    Empty where something could, or can: a bottle of the manifest is looked for too.
    """
    refused = [failure for failure in result.failed if failure.reason == HostRefused.reason]
    causes = {cause_of(failure) for failure in refused}
    if result.downloaded or not causes or len(refused) < len(result.failed) or ports.stop.is_set():
        return ""
    return "" if has_something(ports.blobs, manifest) else _NO_BOTTLE + _joined(causes)


def has_something(blobs: Blobs, manifest: Manifest) -> bool:
    """Whether one of the newest bottles of the manifest can be had."""
    newest = heapq.nlargest(_KNOWN_BOTTLES, manifest.entries(), key=lambda item: item[1].s3_key)
    for _, entry in newest:
        try:
            blobs.open(bottle_of(entry)).close()
        except MirrorError:
            continue
        return True
    return False


def _has_none(blobs: Blobs, asked: int) -> str:
    """The sentence on a registry that has none of so many bottles that were asked for."""
    return (
        f"the registry at {blobs.url} has none of the {asked:,} bottles that it was asked for (404): look "
        "where BOTTLE_REGISTRY_URL leads"
    )
