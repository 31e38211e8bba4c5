"""Whether a registry that refuses bottles refuses everything: then a setting is wrong, and no bottle is gone.

A registry's 404 may be about one bottle, which upstream has taken away, or about all of them: a path that
leads to no cache. So may its 401 and 403. Going on after the second would ask for thousands in vain, and say
of each that it is gone.
"""

import threading

from brew_assets.engine.ports import Blobs
from brew_assets.errors import (
    BlobNotFound,
    MirrorError,
    RegistryRefused,
    UpstreamRefused,
    UpstreamUnauthorized,
)

# So many different bottles, and not one that it gives.
REFUSALS_IN_A_ROW = 20
# What another try of the same bottle would not change.
_REFUSALS = (BlobNotFound, UpstreamRefused, UpstreamUnauthorized)


class RegistryVerdict:
    """Judges the refusals of one transfer. Used by several threads."""

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
                return has_none(self._blobs, self._missing)
            return (
                f"the registry at {self._blobs.url} has refused all of the {self._refused:,} bottles that it "
                f"was asked for, the last with: {error}"
            )


def has_none(blobs: Blobs, asked: int) -> str:
    """The sentence on a registry that has none of so many bottles that were asked for."""
    return (
        f"the registry at {blobs.url} has none of the {asked:,} bottles that it was asked for (404): look "
        "where BOTTLE_REGISTRY_URL leads"
    )
