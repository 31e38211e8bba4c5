"""The external hash files: whose bottles are not downloaded."""

import logging
from collections.abc import Iterable

import msgspec

from brew_assets.domain.hash_file import HashList, decode_hash_file
from brew_assets.engine.ports import HashFileSource
from brew_assets.errors import HashFileInvalid

_log = logging.getLogger(__name__)


class SkipList(msgspec.Struct, frozen=True, kw_only=True):
    """The external hash files as they were found; `warnings` name those that could not be had."""

    digests: frozenset[str] = frozenset()
    sources: tuple[str, ...] = ()
    rejected: int = 0
    warnings: tuple[str, ...] = ()


def load_skip_list(hash_files: Iterable[HashFileSource]) -> SkipList:
    """The digests of all external hash files; one that cannot be had is a warning."""
    digests: set[str] = set()
    sources: list[str] = []
    warnings: list[str] = []
    rejected = 0
    for source in hash_files:
        try:
            listed: HashList = decode_hash_file(source.load().data)
        except HashFileInvalid as error:
            warnings.append(f"{source.name}: {error}; the sync goes on without it")
            continue
        except Exception as error:
            # A source that fails as none should: its text may have the address, and in that a secret.
            warnings.append(f"{source.name}: {type(error).__name__}; the sync goes on without it")
            _log.warning("hash file not read", extra={"source": source.name, "error": type(error).__name__})
            continue
        sources.append(source.name)
        digests |= listed.digests
        rejected += listed.rejected
        warnings.extend(f"{source.name}: {example}" for example in listed.examples)
    return SkipList(
        digests=frozenset(digests), sources=tuple(sources), rejected=rejected, warnings=tuple(warnings)
    )
