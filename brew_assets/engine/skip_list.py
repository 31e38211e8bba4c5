"""The external hash files: whose bottles are not downloaded."""

import logging
from collections.abc import Container, Iterable

import msgspec

from brew_assets.domain.foreign_text import printable
from brew_assets.domain.left_out import LISTED, LeftOut
from brew_assets.domain.skip_list import HashList, decode_hash_file
from brew_assets.engine.ports import HashFileSource
from brew_assets.errors import HashFileInvalid, PlanningStopped

_CHARACTERS = 300
_log = logging.getLogger(__name__)


class SkipList(msgspec.Struct, frozen=True, kw_only=True):
    """The external hash files as they were found.

    `rejected` counts entries that cannot be used, `unread` files that could not be had. `warnings` name the
    files first, then the first entries of each.
    """

    digests: frozenset[str] = frozenset()
    sources: tuple[str, ...] = ()
    rejected: int = 0
    unread: int = 0
    warnings: tuple[str, ...] = ()

    def noted_in(self, left_out: LeftOut) -> LeftOut:
        """The same, with what of the hash files could not be used."""
        return msgspec.structs.replace(
            left_out,
            hash_file_warnings=self.unread + self.rejected,
            hash_file_findings=tuple(printable(text, _CHARACTERS) for text in self.warnings[:LISTED]),
        )


def load_skip_list(hash_files: Iterable[HashFileSource], *, wanted: Container[str] | None = None) -> SkipList:
    """The digests of all external hash files, of `wanted` alone when it is given.

    A file that cannot be had is a warning.

    Raises:
        PlanningStopped: a stop signal came meanwhile.
    """
    digests: set[str] = set()
    sources: list[str] = []
    unread: list[str] = []
    entries: list[str] = []
    rejected = 0
    for source in hash_files:
        try:
            listed: HashList = decode_hash_file(source.load().data, wanted=wanted)
        except HashFileInvalid as error:
            unread.append(f"{source.name}: {error}; the sync goes on without it")
            continue
        except PlanningStopped:
            raise
        except Exception as error:
            # A source that fails as none should: its text may have the address, and in that a secret.
            unread.append(f"{source.name}: {type(error).__name__}; the sync goes on without it")
            _log.warning("hash file not read", extra={"source": source.name, "error": type(error).__name__})
            continue
        sources.append(source.name)
        digests |= listed.digests
        rejected += listed.rejected
        entries.extend(f"{source.name}: {example}" for example in listed.examples)
    return SkipList(
        digests=frozenset(digests),
        sources=tuple(sources),
        rejected=rejected,
        unread=len(unread),
        warnings=(*unread, *entries),
    )
